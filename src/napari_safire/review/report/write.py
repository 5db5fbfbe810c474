"""A report as files: the document, its figures, and the HTML and PDF made of nothing else.

==================  ============================================================================
``report.json``     the document, written last; it holds the hashes of all others
``report.html``     self-contained, for reading
``report.pdf``      the same for print
``figures/``        the figures, each named by what it shows and by its hash
==================  ============================================================================
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_files, atomic_path
from napari_safire.errors import SafireError
from napari_safire.images.records.writing import record_text
from napari_safire.review.report.document import FIGURES, identified, is_figure_name
from napari_safire.text import printable

JSON, HTML, PDF = "report.json", "report.html", "report.pdf"


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """Where a report lies.

    Parameters
    ----------
    folder, json, html, pdf : Path
    digest : str
        SHA-256 of its content (`napari_safire.review.report.document.content_digest`).
    files : mapping of str to str
        SHA-256 of HTML and PDF, by their names.
    """

    folder: Path
    json: Path
    html: Path
    pdf: Path
    digest: str
    files: Mapping[str, str]


def rendered(document: Mapping[str, Any], figures: Mapping[str, bytes]) -> dict[str, bytes]:
    """Make HTML and PDF of a document and its figures; the same of the same, always.

    Parameters
    ----------
    document : mapping
    figures : mapping of str to bytes
        By their ids.

    Returns
    -------
    dict of str to bytes
        By the names of the files.
    """
    from napari_safire.review.report.html import render_html
    from napari_safire.review.report.pdf import render_pdf

    whole, language = {**document, "files": {}}, str(document["language"])
    return {
        HTML: render_html(whole, figures, language).encode("utf-8", "backslashreplace"),
        PDF: render_pdf(whole, figures, language),
    }


def write_report(
    folder: str | os.PathLike[str],
    document: Mapping[str, Any],
    figures: Mapping[str, bytes],
    *,
    overwrite: bool = False,
) -> WrittenReport:
    """Write a report; whoever is killed meanwhile leaves the former one, or none.

    Parameters
    ----------
    folder : path-like
        Made if it is missing.
    document : mapping
        From `napari_safire.review.report.document.make_document`.
    figures : mapping of str to bytes
        Of each entry of its "figures" the file's bytes, by id.
    overwrite : bool
        Replace a report that is there.

    Returns
    -------
    WrittenReport

    Raises
    ------
    SafireError
        There is a report already, or the folder cannot be written to.
    """
    folder = Path(os.path.abspath(folder))
    refuse_existing(folder, overwrite)
    whole = identified(document)
    made = rendered(whole, figures)
    whole["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}
    names = {figure["id"]: figure["file"] for figure in whole["figures"]}
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
        for name, data in figures.items():
            with atomic_path(folder / names[name]) as temporary:
                temporary.write_bytes(data)
        with atomic_files(folder, JSON) as place:
            for name, data in made.items():
                (place / name).write_bytes(data)
            (place / JSON).write_text(record_text(whole), encoding="utf-8", newline="\n")
        _remove_former(folder, {Path(name).name for name in names.values()})
    except OSError as error:
        raise SafireError(
            f"The report cannot be written to {printable(folder)} ({error.strerror or error}): "
            "choose another folder, or make room."
        ) from error
    return WrittenReport(
        folder, folder / JSON, folder / HTML, folder / PDF, whole["digest"], whole["files"]
    )


def refuse_existing(folder: Path, overwrite: bool) -> None:
    """Raise if a folder holds a report that is not to be replaced."""
    if not overwrite and any((folder / name).exists() for name in (JSON, HTML, PDF)):
        raise SafireError(
            f"{printable(folder)} holds a report already: choose another folder, or have it "
            "replaced (--overwrite)."
        )


def _remove_former(folder: Path, kept: Collection[str]) -> None:
    """Figures of the report that was here before; nothing that has another kind of name."""
    for path in (folder / FIGURES).iterdir():
        if path.name not in kept and is_figure_name(path.name):
            path.unlink(missing_ok=True)
