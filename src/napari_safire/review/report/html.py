"""A report as one page of HTML that needs nothing else: no script, no link outside, no file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from napari_safire.evaluation.template import environment
from napari_safire.review.report.blocks import Content, Words
from napari_safire.review.report.catalogue import ENGLISH, Texts
from napari_safire.review.report.content import make_content
from napari_safire.review.report.figure_files import FigureFile, drawable
from napari_safire.text import printable

_FOLDER = Path(__file__).parent / "templates"


def render_html(
    document: Mapping[str, Any], figures: Mapping[str, bytes], language: str = ENGLISH
) -> str:
    """Write a report as a self-contained page.

    Parameters
    ----------
    document : mapping
        Of `napari_safire.review.report.document`. It may be from anybody: all of its text is made
        printable and escaped.
    figures : mapping of str to bytes
        PNG or JPEG pictures by the ids of the document's figures; others are not drawn.
    language : str
        See `napari_safire.review.report.catalogue.languages`.

    Returns
    -------
    str
        The same for the same document, figures and language, on any machine.

    Raises
    ------
    SafireError
        There is no such language.
    """
    texts = Texts(language)
    files = drawable(figures)
    content = make_content(document, texts, {name: file.size for name, file in files.items()})
    shown = {figure.id: files[figure.id] for figure in content.figures() if figure.id in files}
    weight = sum(len(file.data) for file in shown.values())
    template = _templates().get_template("report.html")
    return template.render(
        content=content,
        texts=texts,
        weight=texts.words("page.weight", size=texts.size(weight)),
        sources={name: _source(file) for name, file in shown.items()},
        page_head=_style_string(content),
        recorded_language=ENGLISH,
    )


def plain(words: Words) -> str:
    """Return the characters of words, as an attribute or a title needs them."""
    return "".join(run.text for run in words)


@cache
def _templates() -> Environment:
    templates = environment(_FOLDER)
    templates.filters["plain"] = plain
    templates.tests["block"] = lambda value, name: type(value).__name__ == name
    return templates


def _source(file: FigureFile) -> str:
    return f"data:{file.media};base64,{base64.b64encode(file.data).decode('ascii')}"


def _style_string(content: Content) -> str:
    """What stands on top of each printed page, between the quotes of a style sheet's string.

    Everything but letters and digits of ASCII is written by its code, so that no text can end the
    string, the sheet or the element.
    """
    text = " · ".join(printable(plain(words)) for words in content.head)
    shown = (c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text)
    return "".join(shown)
