"""The report of the selected picture: analysed if it is not yet, written in the model worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_safire.errors import sentence
from napari_safire.progress import Cancel, Progress
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.review.analyses import Analyses, MadeAnalysis
from napari_safire.session.review.cases import Selected, ignore
from napari_safire.session.review.opened import OpenCase
from napari_safire.session.review.work import ReviewWork
from napari_safire.session.session import Session
from napari_safire.session.workers import Job
from napari_safire.settings import PartitionSettings
from napari_safire.text import isolated

if TYPE_CHECKING:
    from napari_safire.review.report.write import WrittenReport

WRITING = "Writing the report"


class ReportWork:
    """Writes reports.

    Parameters
    ----------
    session : Session
    work : ReviewWork
    analyses : Analyses

    Attributes
    ----------
    changed : Signal()
        A report is being written, is written, or could not be.
    """

    changed = Signal()

    def __init__(self, session: Session, work: ReviewWork, analyses: Analyses) -> None:
        self._session, self._work, self._analyses = session, work, analyses
        self._asked: Job | None = None
        self._written: tuple[OpenCase, WrittenReport] | None = None

    @property
    def is_asked(self) -> bool:
        """Whether one is being written, or waits for its analysis."""
        writing = self._asked is not None and not self._asked.cancelled.is_set()
        return writing or self._analyses.is_asked

    @property
    def written(self) -> WrittenReport | None:
        """The last report of the selected picture that was written here."""
        opened = self._work.opened
        if opened is None or self._written is None or self._written[0].case is not opened.case:
            return None
        return self._written[1]

    @property
    def suggested(self) -> Path | None:
        """Where the next report goes if nothing else is said: in the folder of the case."""
        opened = self._work.opened
        if opened is None:
            return None
        folder = opened.case.project.folder
        parts = ("report",) if opened.own else ("reports", opened.picture.id)
        number = len(opened.review.reports)
        name = parts[-1] if not number else f"{parts[-1]}-{number + 1}"
        return folder.joinpath(*parts[:-1], name)

    def write(
        self, folder: Path, settings: PartitionSettings, language: str, *, overwrite: bool = False
    ) -> None:
        """Write the report of the selected picture.

        Parameters
        ----------
        folder : Path
        settings : PartitionSettings
            How the picture is divided.
        language : str
        overwrite : bool
            Replace a report that is there.
        """
        opened, selected = self._work.opened, self._work.selected
        if opened is None or selected is None or opened.problem:
            self._tell(selected, self._work.problem)
            return
        self._work.flush()
        file = opened.picture.file_sha256
        made = self._analyses.current(selected.key, settings, file)

        def write(made: MadeAnalysis) -> None:
            self._write(selected, opened, made, folder, language, overwrite=overwrite)

        if made is not None:
            write(made)
        else:
            self._analyses.ask(selected.key, opened.path, settings, write, outlives=True)
            self.changed.emit()

    def _write(
        self,
        selected: Selected,
        opened: OpenCase,
        made: MadeAnalysis,
        folder: Path,
        language: str,
        *,
        overwrite: bool,
    ) -> None:
        def work(progress: Progress, cancel: Cancel) -> WrittenReport:
            from napari_safire.review.report.making import report_on

            return report_on(
                opened.case,
                made.analysis,
                folder,
                device=str(made.engine.model.device),
                overwrite=overwrite,
                language=language,
                progress=progress,
                cancel=cancel,
            )

        def left(opened: OpenCase) -> None:
            """Close the files of a case whose picture was left; what asks it again opens them."""
            now = self._work.opened
            if opened.own and (now is None or now.case is not opened.case):
                self._session.keep(opened.case.project.close, ignore, ignore)

        def done(written: WrittenReport) -> None:
            self._asked = None
            self._written = opened, written
            if self.written is None:  # another picture is selected by now
                text = f"The report is written: {isolated(written.folder)}"
                self._session.notice.emit(text, False, ANYWHERE)
            left(opened)
            self._work.read_anew()
            self.changed.emit()

        def failed(error: Exception) -> None:
            self._asked = None
            self._tell(selected, sentence(error))
            left(opened)
            self.changed.emit()

        self._asked = self._session.run_long(WRITING, work, done, failed)
        self.changed.emit()

    def cancel(self) -> None:
        """Give up a report that is being written."""
        self._analyses.cancel()
        job, self._asked = self._asked, None
        if job is not None:
            job.cancelled.set()
        self.changed.emit()

    def _tell(self, selected: Selected | None, text: str) -> None:
        self._session.notice.emit(text, True, Topic(None if selected is None else selected.key))
