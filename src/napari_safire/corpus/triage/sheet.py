"""A contact sheet: the first pictures of a selection on one page, with why each is there.

One HTML file that needs nothing beside it: the small pictures are in it, scripts and what lies on
other machines its own policy forbids. Links lead to the pictures and masks themselves.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire import __version__
from napari_safire.atomic import atomic_path
from napari_safire.corpus.manifest_schema import CONTRIBUTIONS
from napari_safire.corpus.triage.ahead import ahead
from napari_safire.corpus.triage.choice import Chosen
from napari_safire.corpus.triage.places import PictureFiles, PicturePlace, place_of
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.images.lists import ListEntry, path_inside
from napari_safire.images.masks import UNASSIGNED, resize_nearest
from napari_safire.images.thumbnails import picture_thumbnail
from napari_safire.images.truth import read_labels
from napari_safire.palette import source_colour
from napari_safire.progress import Cancel, Progress, report
from napari_safire.text import printable

MOST = 1_000
"""Pictures on one sheet: more make a page that is slow to open, and that nobody looks through."""
_SIDE = 240  # pixels of a small picture
_NAMED = 12  # names of further pictures of a group
_AT_ONCE = 256
_WIDEST = 4.6  # log odds at which a bar is full: 100 to 1
_LEAST = 0.005  # log odds that have a bar
_TEMPLATES = Path(__file__).parent / "templates"
_SOURCES = "_sources.png"
_COLUMNS = (
    "picture", "place", "file_sha256", "verdict", "score", "likelihood_ratio", "smallest_source",
    "n_sources", "height", "width", "format", "warnings", "error", "outputs",
    *CONTRIBUTIONS.values(),
)  # fmt: skip


def write_sheet(
    path: Path,
    chosen: Chosen,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> int:
    """Write a contact sheet of chosen pictures.

    Parameters
    ----------
    path : Path
        An HTML file.
    chosen : Chosen
        Of more than `MOST` pictures the first ones are shown.
    progress, cancel : callable, optional

    Returns
    -------
    int
        How many are shown.

    Raises
    ------
    SafireError
        It cannot be written.
    """
    from napari_safire.evaluation.template import render  # and half the program with it

    shown = chosen.first(MOST)
    cards = _cards(shown, Path(os.path.abspath(path.parent)), progress, cancel)
    page = render(
        "sheet.html",
        templates=_TEMPLATES,
        title=printable(chosen.source.path.name),
        about=_about(chosen, len(shown)),
        cards=cards,
        version=__version__,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        widest=round(float(np.exp(_WIDEST))),
        alike_bits=chosen.choice.alike_bits,
    )
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SafireError(
            f"{printable(path)} cannot be written: {error.strerror or error}."
        ) from error
    return len(shown)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture and its mask in small, as addresses that hold them; or why they are not there."""

    picture: str = ""
    mask: str = ""
    problem: str = ""


def _cards(
    chosen: Chosen, folder: Path, progress: Progress | None, cancel: Cancel | None
) -> list[dict[str, Any]]:
    known = [name for name in _COLUMNS if name in chosen.source.schema.names]
    rows = chosen.selection.at(chosen.groups.first).table(known).to_pylist()
    others, n_more = chosen.others(_NAMED), chosen.n_more()
    corpus = chosen.source.corpus
    places = [place_of(row["place"], corpus) for row in rows]
    cards = []
    with PictureFiles(places) as files:
        looked = ahead(partial(_look, files, corpus), list(zip(places, rows, strict=True)))
        for number, (row, place, seen) in enumerate(zip(rows, places, looked, strict=True)):
            report(progress, cancel, number, len(rows), printable(place.name))
            cards.append(
                {
                    **_facts(row),
                    "number": number + 1,
                    "name": row["picture"],
                    "link": _link(place.file, folder),
                    "seen": seen,
                    "outputs": _output_links(row, corpus, folder),
                    "others": others[number],
                    "n_more": int(n_more[number]),
                }
            )
    return cards


def _about(chosen: Chosen, n_shown: int) -> dict[str, Any]:
    job, selection, choice = chosen.source.job, chosen.selection, chosen.choice
    return {
        "n_shown": n_shown,
        "n_chosen": len(selection),
        "n_pictures": selection.n_pictures,
        "where": choice.where.strip(),
        "sort": choice.sort or "-score",
        "grouping": choice.grouping,
        "n_looked_at": chosen.groups.n_looked_at,
        "model": "" if job is None else job.model,
        "checkpoint": "" if job is None else job.basis.checkpoint_sha256 or "",
        "algorithm": "" if job is None else str(job.basis.algorithm),
        "evidence": "" if job is None else str(job.basis.settings.get("evidence", "")),
    }


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says, as it is shown; nothing is shown of what it does not say."""
    score, ratio, smallest = (
        row.get(name) for name in ("score", "likelihood_ratio", "smallest_source")
    )
    size = f"{row['width']} x {row['height']}" if row.get("width") and row.get("height") else ""
    sources = row.get("n_sources") or 0
    parts = {
        name: row[column]
        for name, column in CONTRIBUTIONS.items()
        if row.get(column) is not None and np.isfinite(row[column])
    }
    return {
        "verdict": row.get("verdict") or "",
        "score": "" if score is None else f"{score:.3f}",
        "ratio": "" if ratio is None else f"{ratio:,.3g}",
        "sources": "" if not sources else f"{sources} source{'s' if sources > 1 else ''}",
        "smallest": "" if smallest is None or sources < 2 else f"{smallest:.1%}",
        "about": " ".join(filter(None, (row.get("format") or "", size))),
        "sha256": row.get("file_sha256") or "",
        "warnings": row.get("warnings") or [],
        "error": row.get("error") or "",
        "bars": [_bar(name, value) for name, value in parts.items() if abs(value) >= _LEAST],
        "silent": [name for name, value in parts.items() if abs(value) < _LEAST],
    }


def _bar(name: str, log_odds: float) -> dict[str, Any]:
    """A bar from the middle: to the right what speaks for forgery, to the left what against."""
    half = 50 * min(1.0, abs(log_odds) / _WIDEST)
    return {
        "name": name,
        "value": f"{log_odds:+.2f}",
        "side": "for" if log_odds >= 0 else "against",
        "left": f"{50 if log_odds >= 0 else 50 - half:.1f}",
        "width": f"{half:.1f}",
    }


def _outputs(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row.get("outputs") or ())


def _output_links(row: Mapping[str, Any], corpus: Path, folder: Path) -> list[dict[str, str]]:
    found = ((name, _output(name, corpus)) for name in _outputs(row))
    return [
        {"name": Path(name).stem.rpartition("_")[2], "link": _link(path, folder)}
        for name, path in found
        if path is not None
    ]


def _output(name: str, corpus: Path) -> Path | None:
    """The file of an output; None of one that is not there, or leads out of the corpus."""
    try:
        path = path_inside(name, corpus)
    except ValueError:
        return None
    return path if why_unreadable(path) is None else None


def _look(files: PictureFiles, corpus: Path, asked: tuple[PicturePlace, dict[str, Any]]) -> _Seen:
    place, row = asked
    try:
        with files.opened(place) as path:
            # What was found must not be shown beside what it was not found in.
            if row.get("file_sha256") not in (None, "", file_sha256(path)):
                return _Seen(problem=f"{printable(place.name)} was changed since it was examined.")
            picture = picture_thumbnail(path, _SIDE)
    except (SafireError, OSError) as error:
        return _Seen(problem=str(error))
    mask = next((_output(name, corpus) for name in _outputs(row) if name.endswith(_SOURCES)), None)
    drawn = None if mask is None else _draw_mask(mask, (picture.shape[0], picture.shape[1]))
    return _Seen(_embedded(picture, "JPEG"), "" if drawn is None else _embedded(drawn, "PNG"))


def _draw_mask(mask: Path, shape: tuple[int, int]) -> npt.NDArray[np.uint8] | None:
    """The sources of a mask in their colours, small; None of a single one, or of no mask."""
    try:
        labels = read_labels(ListEntry(mask, mask), "sources")
    except (DatasetError, ImageReadError):
        return None
    if labels.min() == labels.max():
        return None
    colours = np.array([source_colour(k) for k in range(UNASSIGNED + 1)], np.uint8)
    return colours[resize_nearest(labels, shape)]


def _embedded(pixels: npt.NDArray[np.uint8], kind: str) -> str:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "PNG":  # few colours: a tenth of the bytes
        image = image.quantize(dither=Image.Dither.NONE)
        image.save(file, "PNG", optimize=True)
    else:
        image.save(file, "JPEG", quality=80)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def _link(path: Path | None, folder: Path) -> str:
    """Where a file lies, from the folder of the sheet: no name can be taken for a scheme."""
    if path is None:
        return ""
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.as_uri()
    return quote(os.fsencode(relative))
