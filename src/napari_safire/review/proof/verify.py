"""A report proved: its bytes, its events, the case, the picture, the model, the analysis again.

Hashes alone prove that nobody changed anything by accident. Against somebody who could rewrite
every file stands what lies elsewhere: the case, whose chain names the report; signatures, of keys
that are known from elsewhere; a head that was noted elsewhere; and the picture, of which the
analysis can be made again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from napari_safire.errors import SafireError, sentence
from napari_safire.images.records.writing import record_text
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.proof.again import analysed_again, drawn_again
from napari_safire.review.proof.case_checks import (
    OTHER_FORM,
    case_checks,
    event_checks,
    signature_checks,
)
from napari_safire.review.proof.checks import Check, right, settled, tried, unchecked, wrong
from napari_safire.review.proof.originals import found_case, found_model, found_picture
from napari_safire.review.proof.reading import StoredReport, read_file, read_report
from napari_safire.review.report.document import ENTRIES, READ, VERSION, content_digest
from napari_safire.review.report.write import HTML, JSON, PDF
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.engine.precision import Precision


@dataclass(frozen=True, slots=True)
class Originals:
    """Where to look for what a report was made of; nothing: where it says.

    Parameters
    ----------
    picture, model, case : Path, optional
    signers : Path, optional
        OpenSSH's list of allowed signers.
    """

    picture: Path | None = None
    model: Path | None = None
    case: Path | None = None
    signers: Path | None = None


@dataclass(frozen=True, slots=True)
class ReportProof:
    """What came of a proof.

    Parameters
    ----------
    report : Path
        The document.
    digest : str
        Of its content.
    checks : tuple of Check
    """

    report: Path
    digest: str
    checks: tuple[Check, ...] = field(default_factory=tuple)

    @property
    def holds(self) -> bool:
        """Whether nothing was wrong; what could not be looked at is not wrong."""
        return all(check.state != "wrong" for check in self.checks)

    @property
    def words(self) -> str:
        """What came of it in a sentence, which claims no more than was looked at."""
        if not self.holds:
            return "The report does not hold."
        left = sum(check.state == "not checked" for check in self.checks)
        if not left:
            return "The report holds."
        return f"Nothing is wrong with what was checked; not checked: {left}."


def verify_report(
    path: str | os.PathLike[str],
    originals: Originals | None = None,
    *,
    load_engine: Callable[[Path, Precision], Engine] | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ReportProof:
    """Prove a report; nothing is changed.

    Parameters
    ----------
    path : path-like
        Its folder, or a file of it.
    originals : Originals, optional
    load_engine : callable, optional
        Takes a model's file and a precision, and gives its engine; without it the analysis is not
        made again.
    progress, cancel : callable, optional

    Returns
    -------
    ReportProof

    Raises
    ------
    DatasetError
        There is no report that can be read.
    Cancelled
    """
    given = originals or Originals()
    stored = read_report(path)
    other = stored.version not in READ
    steps: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        (JSON, partial(_of_document, stored)),
        ("files", partial(_of_files, stored)),
        ("figures", partial(_of_figures, stored)),
        ("event log", partial(event_checks, stored)),
        ("signatures", partial(signature_checks, stored, given.signers)),
        ("case", partial(_of_case, stored, given)),
        ("picture", partial(_of_picture, stored, given)),
        ("model", partial(_of_model, stored, given)),
        ("pages made again", partial(drawn_again, stored)),
        (
            "analysis made again",
            partial(_of_analysis, stored, given, load_engine, within(progress, 90, 100), cancel),
        ),
    ]
    checks: list[Check] = []
    for number, (what, make) in enumerate(steps):
        report(progress, cancel, 10 * number, 100, what)
        checks += tried(what, make, other)
    digest = stored.document.get("digest")
    return ReportProof(stored.path, digest if isinstance(digest, str) else "", tuple(checks))


def _of_document(stored: StoredReport) -> Iterator[Check]:
    document = stored.document
    is_known = document["digest"] == content_digest(document)
    if stored.version not in READ:
        yield unchecked(
            "version",
            f"The report has form {stored.version}, this program knows {VERSION}: install the "
            "version that made it for a whole proof. What can be checked follows.",
        )
        yield settled(
            JSON, [] if is_known else ["Its content has another digest."], "It has its digest."
        )
        return
    problems = [] if is_known else ["Its content was changed: its digest is another."]
    more = sorted(set(document) - ENTRIES)
    if more:
        named = printable(", ".join(more[:3]))
        problems.append(f"It has entries that no report of this program has: {named[:100]}.")
    if not problems and stored.data != record_text(document).encode():
        problems = ["Its bytes were changed: they are not those that this content is written in."]
    yield settled(JSON, problems, f"It has its digest, {document['digest'][:16]}.")


def _of_files(stored: StoredReport) -> Iterator[Check]:
    for name in (HTML, PDF):
        yield _same(name, stored.folder / name, stored.document["files"].get(name))


def _same(what: str, path: Path, expected: Any) -> Check:
    try:
        found = hashlib.sha256(read_file(path)).hexdigest()
    except (OSError, ValueError) as error:
        return wrong(what, f"It cannot be read: {error}.")
    if found == expected:
        return right(what, "Its hash is that in the document.")
    return wrong(what, "It was changed: its hash is not that in the document.")


def _of_figures(stored: StoredReport) -> Iterator[Check]:
    figures = stored.document["figures"]
    problems = [
        f"{figure['id']}: {check.words}"
        for figure in figures
        if (check := _same("", stored.folder / figure["file"], figure["sha256"])).state != "right"
    ]
    yield settled("figures", problems, f"All {len(figures)} have the hashes in the document.")


def _of_case(stored: StoredReport, given: Originals) -> Iterator[Check]:
    folder = found_case(stored, given.case)
    if folder is None:
        yield unchecked(
            "case",
            "No case lies beside the report, so who made it, and when, is not proved: give its "
            "folder by --case.",
        )
        return
    yield from case_checks(stored, folder, was_given=given.case is not None)


def _of_picture(stored: StoredReport, given: Originals) -> Iterator[Check]:
    path, is_it = found_picture(stored, given.picture, given.case)
    if path is None:
        yield unchecked("picture", "It is not where the report says: give it by --picture.")
    elif is_it:
        yield right("picture", f"{printable(path)} has the hash in the document.")
    else:
        yield wrong(
            "picture",
            f"{printable(path)} has another hash: it was changed, or is another of this name.",
        )


def _of_model(stored: StoredReport, given: Originals) -> Iterator[Check]:
    if stored.document["model"] is None:
        yield unchecked("model", "No model was asked.")
        return
    path, is_it = found_model(stored, given.model)
    if path is None:
        yield unchecked("model", "It is not on this machine: give its file by --model.")
    elif is_it:
        yield right("model", f"{printable(path.name)} has the hash in the document.")
    else:
        yield wrong("model", f"{printable(path)} is another model: its hash is another.")


def _of_analysis(
    stored: StoredReport,
    given: Originals,
    load_engine: Callable[[Path, Precision], Engine] | None,
    progress: Progress | None,
    cancel: Cancel | None,
) -> Iterator[Check]:
    what = "analysis made again"
    if load_engine is None:
        yield unchecked(what, "It was not asked for.")
        return
    if stored.version not in READ:
        yield unchecked(what, OTHER_FORM)
        return
    from napari_safire.engine.precision import Precision as known  # brings torch

    picture, is_picture = found_picture(stored, given.picture, given.case)
    if picture is None or not is_picture:
        yield unchecked(what, "The picture of the report is not there.")
        return
    if stored.document["model"] is None:
        yield unchecked(what, "No model was asked.")
        return
    model, is_model = found_model(stored, given.model)
    if model is None or not is_model:
        yield unchecked(what, "The model of the report is not there.")
        return
    precision = stored.document["model"].get("precision")
    if precision not in get_args(known):
        yield unchecked(what, "The precision that the report names is none of this program's.")
        return
    try:
        engine = load_engine(model, precision)
    except (SafireError, OSError, RuntimeError) as error:
        yield unchecked(what, f"The model cannot be loaded: {sentence(error)}")
        return
    yield from analysed_again(stored, picture, engine, progress, cancel)


def as_record(proof: ReportProof) -> Mapping[str, Any]:
    """Return JSON values of a proof."""
    return {
        "report": os.fspath(proof.report),
        "digest": proof.digest,
        "holds": proof.holds,
        "checks": [
            {"what": check.what, "state": check.state, "words": check.words}
            for check in proof.checks
        ],
    }
