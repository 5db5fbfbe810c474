"""A report made of a case and its analysis: figures, document, files, and the event of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_safire.errors import SafireError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.case import Case
from napari_safire.review.report.document import chosen_findings, make_document
from napari_safire.review.report.figures import make_figures
from napari_safire.review.report.write import WrittenReport, refuse_existing, write_report
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

EPOCH = "SOURCE_DATE_EPOCH"
"""Environment variable with the seconds since 1970 that every file made shall tell as its time."""


def report_on(
    case: Case,
    analysis: Analysis,
    folder: str | os.PathLike[str],
    *,
    made_at: datetime | None = None,
    device: str = "",
    overwrite: bool = False,
    language: str = "en",
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> WrittenReport:
    """Write the report of a case, and note in the case that it was written.

    The same case, analysis, time and versions give the same bytes. Where the reviewer's first look
    is to be blind and is not over, the case notes first that the model's verdict was shown.

    Parameters
    ----------
    case : Case
    analysis : Analysis
        Of the case's picture.
    folder : path-like
        Made if it is missing.
    made_at : datetime, optional
        With a time zone; default: `SOURCE_DATE_EPOCH` of the environment, else now.
    device : str
        On which the model answered.
    overwrite : bool
        Replace a report that is there.
    language : str
    progress, cancel : callable, optional

    Returns
    -------
    WrittenReport

    Raises
    ------
    SafireError
        The picture is another than was analysed, or than the case's; or nothing can be written.
    Cancelled
    """
    record = analysis.as_record()
    refuse_existing(Path(os.path.abspath(folder)), overwrite)
    _refuse_other_picture(case, record["picture"]["file_sha256"])
    _note_what_is_shown(case, analysis)
    moment = made_at or time_of_making()  # not before the events it tells of
    at = moment.astimezone(UTC).isoformat(timespec="seconds")
    findings = [noted.finding for noted in chosen_findings(case.review())]
    figures = make_figures(analysis, findings, progress=within(progress, 0, 70), cancel=cancel)
    told = {"at": at, "device": device, "language": language}
    document = make_document(case, record, [figure.as_record() for figure in figures], **told)
    report(progress, cancel, 70, 100, "writing the report")
    written = write_report(folder, document, {f.id: f.data for f in figures}, overwrite=overwrite)
    if not case.project.read_only:
        files = {written.json.name: file_sha256(written.json), **written.files}
        case.keep_report(files, document["head"])
    report(progress, None, 100, 100, "writing the report")
    return written


def _note_what_is_shown(case: Case, analysis: Analysis) -> None:
    if case.project.read_only:
        return
    keep_analysis(case, analysis)
    if not case.review().of(case.reviewer).may_see_verdicts:
        case.show_verdict()


def keep_analysis(case: Case, analysis: Analysis) -> None:
    """Keep an analysis in a case, unless its last one is the same.

    Parameters
    ----------
    case : Case
        Of the same picture.
    analysis : Analysis

    Raises
    ------
    SafireError
        It cannot be written.
    """
    record, labels, forgery = analysis.as_record(), analysis.labels, analysis.forgery
    model = record["model"]
    basis = analysis.settings.examination.basis(
        model["sha256"], model["precision"], record["picture"]["file_sha256"]
    )
    case.keep_analysis(
        record,
        None if labels is None else labels.astype(np.int64) + 1,
        basis,
        "" if forgery is None else forgery.verdict,
    )


def time_of_making() -> datetime:
    """Return the time that a report tells: of the environment (`EPOCH`), else of the clock.

    Raises
    ------
    SafireError
        The environment's is no time.
    """
    given = os.environ.get(EPOCH, "").strip()
    if not given:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SafireError(
            f"{EPOCH} is {printable(given)[:40]!r}: give whole seconds since 1970, or remove it."
        ) from error


def _refuse_other_picture(case: Case, analysed: str) -> None:
    if analysed != case.picture.file_sha256:
        raise SafireError(
            f"{printable(case.picture.name)} was analysed with other bytes than those of the case: "
            "put the former file back, or begin a case of this one."
        )
    path = case.path
    gone = why_unreadable(path)
    if gone is not None:
        raise SafireError(f"The picture of the case is not there any more: {gone}")
    if file_sha256(path) != analysed:
        raise SafireError(
            f"{printable(path)} was changed since it was analysed: put the former file back, or "
            "begin a case of this one."
        )
