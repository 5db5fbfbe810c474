"""A report as PDF, set by typst: tagged for readers' programs, and the same bytes every time."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from napari_safire.errors import SafireError
from napari_safire.review.report.blocks import (
    Block,
    Box,
    Bullets,
    Comment,
    Content,
    Facts,
    Figure,
    Paragraph,
    Run,
    Table,
    Words,
    runs,
)
from napari_safire.review.report.catalogue import ENGLISH, Texts, moment
from napari_safire.review.report.content import make_content
from napari_safire.review.report.figure_files import FigureFile, drawable
from napari_safire.review.report.fonts import Fonts, choose_fonts, refused_by
from napari_safire.text import isolated

_TEMPLATE = Path(__file__).parent / "templates" / "report.typ"
_PIECE = 8  # characters after which a word that is too long for its line may be broken
_LINE, _VALUE, _NAME, _CELLS = 85, 58, 24, 104  # characters that surely fit into one line
_LONG_ROW = 600  # characters of a table's row, which then may go over a page
_SHORT_START = 900  # characters of a box that stay together, as far as its first figure
_MOST_CODE_POINTS = 100  # of one stretch of characters that no font shows
_TRIES = 4
_WORD = re.compile(r"\S+|\s+")


def render_pdf(
    document: Mapping[str, Any], figures: Mapping[str, bytes], language: str = ENGLISH
) -> bytes:
    """Write a report as PDF: A4, PDF/A-2a and PDF/UA-1.

    Parameters
    ----------
    document : mapping
        Of `napari_safire.review.report.document`. It may be from anybody: text reaches typst as
        data, never as markup.
    figures : mapping of str to bytes
        By the ids of the document's figures, as of `render_html`.
    language : str
        See `napari_safire.review.report.catalogue.languages`.

    Returns
    -------
    bytes
        The same for the same document, figures, language and version of typst. On another machine
        only where no font of the machine was needed: else the last line of the summary names it.

    Raises
    ------
    SafireError
        There is no such language, or typst fails.
    """
    texts = Texts(language)
    files = drawable(figures)
    content = make_content(document, texts, {name: file.size for name, file in files.items()})
    shown = {figure.id: files[figure.id] for figure in content.figures() if figure.id in files}
    fonts = choose_fonts({isolated(run.text) for run in content.all_runs()})
    for _ in range(_TRIES):
        try:
            return _compile(_data(content, texts, fonts, shown, document), content, shown)
        except _NotShown as refused:
            fonts = Fonts(
                fonts.families, fonts.of_machine, fonts.missing | frozenset(refused.characters)
            )
    raise SafireError(
        "The report cannot be made as PDF: its fonts show other characters than they say. Use the "
        "HTML file, which says the same."
    )


class _NotShown(Exception):
    """Characters that no font shows, though it was believed."""

    def __init__(self, characters: set[str]) -> None:
        super().__init__()
        self.characters = characters


def _compile(data: dict[str, Any], content: Content, files: Mapping[str, FigureFile]) -> bytes:
    import typst

    at = moment(content.made_at)
    with tempfile.TemporaryDirectory(prefix="napari-safire-") as folder:
        root = Path(folder)
        (root / "report.typ").write_bytes(_TEMPLATE.read_bytes())
        (root / "report.json").write_text(json.dumps(data), encoding="utf-8")
        for name, file in zip(data["files"].values(), files.values(), strict=True):
            (root / name).write_bytes(file.data)
        try:
            made = typst.compile(
                str(root / "report.typ"),
                root=str(root),
                # Fonts of the machine are looked at only where the text needs them.
                ignore_system_fonts=not data["of_machine"],
                pdf_standards=["ua-1", "a-2a"],  # accessible, and for archives
                timestamp=0 if at is None else max(0, int(at.timestamp())),
            )
        except typst.TypstError as error:
            characters = refused_by(error)
            if characters:
                raise _NotShown(characters) from error
            raise SafireError(f"The report cannot be made as PDF: typst says {error}.") from error
    if not isinstance(made, bytes):
        raise SafireError("The report cannot be made as PDF: typst gave no single file.")
    return made


def _data(
    content: Content,
    texts: Texts,
    fonts: Fonts,
    files: Mapping[str, FigureFile],
    document: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the template draws, as JSON values."""
    words = _Setter(fonts.missing)
    summary = Box(content.summary.title, (*content.summary.blocks, *_about_fonts(texts, fonts)))
    return {
        "language": _typst_language(texts.language),
        "direction": texts.direction,
        "recorded_language": ENGLISH,
        "title": words.set(content.title),
        "plain_title": words.line(_plain(content.title)),
        "author": words.line(content.author),
        "subject": words.line(" · ".join(map(_plain, content.head))),
        "head": [words.set(part) for part in content.head],
        "summary": words.block(summary),
        "sections": [
            {
                "number": section.number,
                "level": section.level,
                "title": words.set(section.title),
                "blocks": [words.block(block) for block in section.blocks],
            }
            for section in content.sections
        ],
        "texts": {
            "contents": texts.line("page.contents"),
            "page": texts.line("page.number"),
            "no_figure": texts.line("page.no_figure"),
            "caveat": texts.line("figure.caveat"),
        },
        "fonts": list(fonts.families),
        "of_machine": list(fonts.of_machine),
        "files": {name: f"{k}.{file.suffix}" for k, (name, file) in enumerate(files.items())},
    }


def _typst_language(code: str) -> str:
    """Typst takes the first part of a BCP 47 code: for hyphens and for readers' programs."""
    return code.partition("-")[0]


def _about_fonts(texts: Texts, fonts: Fonts) -> Iterator[Block]:
    if fonts.of_machine:
        named = Run(", ".join(fonts.of_machine), "data")
        yield Paragraph(texts.words("page.fonts", fonts=named), "note")
    if fonts.missing:
        example = f"[{_code_point(min(fonts.missing))}]"
        n = texts.whole(len(fonts.missing))
        yield Paragraph(texts.words("page.code_points", n=n, example=example), "note")


def _plain(words: Words) -> str:
    return "".join(run.text for run in words)


class _Setter:
    """Makes of blocks what typst can set: no character without a glyph, no word without an end."""

    def __init__(self, missing: frozenset[str]) -> None:
        self._missing = re.compile(
            "[" + "".join(map(re.escape, sorted(missing))) + "]+" if missing else r"(?!)"
        )

    def line(self, text: str) -> str:
        """Return text on one line, for the file's own data."""
        return self._missing.sub(_code_points, isolated(text))

    def set(self, words: Words, longest: int = _LINE) -> list[Any]:
        """Return runs as lists: kind, strong, pieces between which a line may end.

        Parameters
        ----------
        words : tuple of Run
        longest : int
            Characters that fit into one line; longer words are cut into pieces.
        """
        return [[run.kind, run.strong, self._pieces(run, longest)] for run in words]

    def _pieces(self, run: Run, longest: int) -> list[str]:
        if run.kind == "swatch":
            return [run.text]
        line = self.line(run.text)
        # Words of the catalogue are hyphenated by typst, which knows their language.
        return [line] if run.kind == "own" else list(_pieces(line, longest))

    def block(self, block: Block) -> dict[str, Any]:
        """Return a block as JSON values, by the names of its fields."""
        match block:
            case Paragraph():
                made: dict[str, Any] = {"role": block.role, "words": self.set(block.words)}
            case Comment():
                made = {"lines": [self.set(line) for line in block.lines]}
            case Bullets():
                made = {"items": [self.set(item) for item in block.items]}
            case Facts():
                rows = block.rows
                made = {"rows": [[self.set(n, _NAME), self.set(v, _VALUE)] for n, v in rows]}
            case Table():
                made = self._table(block)
            case Figure():
                made = self._figure(block)
            case Box():
                made = {
                    "title": self.set(block.title),
                    "blocks": [self.block(inner) for inner in block.blocks],
                    "together": _together(block),
                }
        return {"block": type(block).__name__, **made}

    def _table(self, table: Table) -> dict[str, Any]:
        total = sum(column.share for column in table.columns)
        fit = [max(4, int(_CELLS * column.share / total)) for column in table.columns]
        return {
            "caption": self.set(table.caption),
            "columns": [
                {"title": self.set(of.title), "share": of.share, "numbers": of.numbers}
                for of in table.columns
            ],
            "rows": [
                [self.set(cell, longest) for cell, longest in zip(row, fit, strict=True)]
                for row in table.rows
            ],
            "whole": [_length(row) < _LONG_ROW for row in table.rows],
        }

    def _figure(self, figure: Figure) -> dict[str, Any]:
        return {
            "id": figure.id,
            "title": self.set(figure.title),
            "caption": self.set(figure.caption),
            "caveat": self.set(figure.caveat),
            "size": figure.size,
            "alt": self.line(f"{_plain(figure.title)} {_plain(figure.caption)}"),
        }


def _together(box: Box) -> int:
    """How many blocks of a box stay on one page: those up to its figure, if they are short."""
    figures = (n for n, of in enumerate(box.blocks, 1) if isinstance(of, Figure))
    until = next(figures, len(box.blocks))
    before = Box(box.title, box.blocks[:until])
    length = sum(len(run.text) for run in runs((before,)))
    return until if length < _SHORT_START else 0


def _length(row: tuple[Words, ...]) -> int:
    return sum(len(run.text) for cell in row for run in cell)


def _pieces(text: str, longest: int) -> Iterator[str]:
    """Cut a text where a line may end though there is no space: in words too long for a line."""
    kept = ""
    for word in _WORD.findall(text):
        if len(word) <= longest:
            kept += word
            continue
        yield kept + word[:_PIECE]
        kept = ""
        yield from (word[at : at + _PIECE] for at in range(_PIECE, len(word), _PIECE))
    if kept:
        yield kept


def _code_points(stretch: re.Match[str]) -> str:
    characters = stretch[0]
    shown = " ".join(map(_code_point, characters[:_MOST_CODE_POINTS]))
    left = len(characters) - _MOST_CODE_POINTS
    # Between marks that nobody sees: read from left to right, whatever stands around them.
    return f"\u2066[{shown}]\u2069" if left <= 0 else f"\u2066[{shown} … +{left}]\u2069"


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"
