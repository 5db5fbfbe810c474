"""What a report rests on, made once more and compared: its pages, and the analysis."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire.basis import ALGORITHM
from napari_safire.errors import Cancelled, SafireError, sentence
from napari_safire.images.records.writing import versions
from napari_safire.progress import Cancel, Progress
from napari_safire.review.proof.case_checks import stored_events
from napari_safire.review.proof.checks import Check, right, settled, unchecked, wrong
from napari_safire.review.proof.reading import StoredReport, read_file
from napari_safire.review.reading import read_review
from napari_safire.review.report.document import (
    ANALYSED,
    as_written,
    chosen_findings,
    drawn_by,
    review_limitations,
)
from napari_safire.review.report.program import other_program
from napari_safire.review.report.write import HTML, PDF, rendered
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.review.analysis import Analysis

ELSEWHERE = 0.01
"""By how much numbers may differ: with other threads, machines or versions of what computes."""
_IDENTITY = (
    "bytes", "file_sha256", "pixels_sha256", "format", "shape", "dtype", "orientation", "decoder",
    "decoding", "why_no_pixels", "metadata",
)  # fmt: skip


def drawn_again(stored: StoredReport) -> Iterator[Check]:
    """Make HTML and PDF of the document and its figures, and compare the bytes."""
    document, what = stored.document, "pages made again"
    figures = {}
    for figure in document["figures"]:
        try:
            data = read_file(stored.folder / figure["file"])
        except (OSError, ValueError):
            data = b""
        if hashlib.sha256(data).hexdigest() != figure["sha256"]:
            yield unchecked(what, "A figure that they are made of was changed or is gone.")
            return
        figures[figure["id"]] = data
    try:
        made = rendered(document, figures)
    except Exception as error:  # whatever somebody wrote into a document is that report's fault
        yield wrong(what, f"They cannot be made: {sentence(error)}")
        return
    for name in (HTML, PDF):
        if hashlib.sha256(made[name]).hexdigest() == document["files"].get(name):
            yield right(f"{name} made again", "The same bytes come of the document.")
            continue
        other = _other_makers(document, drawn_by())
        if not other and name == PDF and _needs_fonts(document):
            other = "it has characters for which fonts of the machine are taken"
        if other:
            yield unchecked(f"{name} made again", f"Other bytes come of it; {other}.")
        else:
            yield wrong(f"{name} made again", "Other bytes come of the document.")


def _needs_fonts(document: Mapping[str, Any]) -> bool:
    """Whether a document has characters that typst's own fonts do not show."""
    from napari_safire.review.report.fonts import EMBEDDED, not_shown

    text = json.dumps(document, ensure_ascii=False)
    characters = {one for one in set(text) if not one.isascii() and printable(one) == one}
    return bool(not_shown(characters, EMBEDDED))


def analysed_again(
    stored: StoredReport,
    picture: Path,
    engine: Engine,
    progress: Progress | None,
    cancel: Cancel | None,
) -> Iterator[Check]:
    """Analyse the picture once more, and tell what differs."""
    from napari_safire.review.analysis import analyse
    from napari_safire.review.differences import differences
    from napari_safire.review.settings import AnalysisSettings

    document, what = stored.document, "analysis made again"
    model = document["model"]
    if model["algorithm"] != ALGORITHM:
        yield unchecked(
            what,
            f"It was made by algorithm {model['algorithm']}, this program has {ALGORITHM}: install "
            "the version that made it.",
        )
        return
    try:
        settings = AnalysisSettings.from_record(document["settings"])
        with _called(document["picture"]["name"], picture) as path:
            analysis = analyse(
                path,
                engine,
                settings,
                model_name=model["name"],
                progress=progress,
                cancel=cancel,
            )
            found = analysis.as_record()
    except Cancelled:
        raise
    except (SafireError, OSError) as error:
        yield wrong(what, f"It cannot be made: {sentence(error)}")
        return
    review = read_review(document["picture"]["id"], stored_events(stored))
    limits = [*found["limitations"], *(one.as_record() for one in review_limitations(review))]
    old = _compared(document, document["limitations"])
    new = _compared(found, as_written("limitations", limits, stored.version))
    yield from _compared_again(stored, old, new)
    if not differences(old, new):
        yield _figures_again(stored, analysis, cancel)


def _compared_again(
    stored: StoredReport, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Check]:
    """Compare what was told with what is found, as closely as the same program has to have it."""
    from napari_safire.review.differences import differences

    what, made = "analysis made again", stored.document["made"]
    program = other_program(made["program"])
    other = _other_makers(stored.document, versions())
    exactly, told = differences(old, new), differences(old, new, ELSEWHERE)
    if not other:  # the same decoder then
        told = (*told, *differences(_decoded(old), _decoded(new)))
    if not exactly:
        yield right(what, "Every number and word of it came again.")
        return
    if told and program and not differences(old, new, ELSEWHERE, wording=False):
        more = f" and {len(told) - 1} more" if len(told) > 1 else ""
        yield unchecked(
            what,
            "Numbers and verdicts came again; sentences are worded otherwise: "
            f"{told[0][:-1]}{more}. The reason: {printable(program)}.",
        )
        return
    why = other or "as with another number of threads or another device"
    yield settled(
        what,
        told,
        f"It came again to {ELSEWHERE:.0%}, not to the last digit, {why}. One of "
        f"{len(exactly)}: {exactly[0]}",
    )


@contextmanager
def _called(name: str, picture: Path) -> Iterator[Path]:
    """The picture under the name that the report knows it by, which stands in some sentences."""
    is_name = 0 < len(name) <= 200 and name == os.path.basename(name) and "\0" not in name
    if not is_name or name in (".", "..") or printable(picture.name) == name:
        yield picture
        return
    with tempfile.TemporaryDirectory(prefix="napari-safire-") as folder:
        path = Path(folder) / name
        try:
            path.symlink_to(picture.absolute())
        except OSError:  # not allowed here, as on most Windows machines
            shutil.copyfile(picture, path)
        yield path


def _figures_again(stored: StoredReport, analysis: Analysis, cancel: Cancel | None) -> Check:
    """Draw the figures once more: a page is believed for what it shows.

    Those of findings that were seen in the view "comparison" need a file of which only the report
    says where it lies, and a report from anybody shall not make this program look anywhere.
    """
    from napari_safire.review.report.figures import make_figures

    what = "figures made again"
    review = read_review(stored.document["picture"]["id"], stored_events(stored))
    findings = [noted.finding for noted in chosen_findings(review)]
    unseen = {f"finding-{n}" for n, one in enumerate(findings, 1) if one.view == "comparison"}
    findings = [replace(one, view="") if one.view == "comparison" else one for one in findings]
    made = [figure.as_record() for figure in make_figures(analysis, findings, cancel=cancel)]
    new = {figure["id"]: figure for figure in made if figure["id"] not in unseen}
    old = {one["id"]: one for one in stored.document["figures"] if one["id"] not in unseen}
    told = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    other = _other_makers(stored.document, versions())
    if told and other:
        named = printable(", ".join(told))
        return unchecked(what, f"Others come, or with other captions ({named}); {other}.")
    left = f" {len(unseen)} were not made: they need another picture." if unseen else ""
    return settled(
        what,
        [f"{printable(name)} is another." for name in told],
        f"All {len(new)} came again, byte by byte.{left}",
    )


def _decoded(record: Mapping[str, Any]) -> dict[str, Any]:
    picture = record["picture"]
    return {"picture": {name: picture.get(name) for name in ("decoder", "decoding")}}


def _compared(record: Any, limitations: list[Any]) -> dict[str, Any]:
    picture = record["picture"]
    return {
        "limitations": limitations,
        **{name: record.get(name) for name in ANALYSED},
        "picture": {name: picture.get(name) for name in _IDENTITY},
    }


def _other_makers(document: Mapping[str, Any], here: Mapping[str, str]) -> str:
    """Say which program, or which version of what it rests on, is another here; empty if none."""
    made = document["made"]["versions"]
    program = other_program(document["made"]["program"])
    other = [program] if program else []
    other += [
        f"{n} {made.get(n)} made it, {here[n]} is here" for n in here if made.get(n) != here[n]
    ]
    return printable(", ".join(other))
