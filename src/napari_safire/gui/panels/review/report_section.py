"""The report: where it goes, in which language; written in a worker, opened on request."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.review.job_line import JobLine
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    beside,
    button,
    elided_combo,
    form,
    plain,
    small_button,
)
from napari_safire.review.report.catalogue import languages
from napari_safire.session.review.analyses import ANALYSING
from napari_safire.session.review.report_work import WRITING
from napari_safire.text import isolated, printable

_NAMES = {"en": "English", "de": "Deutsch"}


class ReportSection(FoldedSection):
    """Write the report of the selected picture.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("Report", "HTML, PDF and JSON that another expert can repeat.")
        self._controller, self._review, self._reports = controller, review, review.reports
        self._suggested = ""
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder of the report")
        self.folder.setToolTip("Made if it is missing.")
        self.folder.textChanged.connect(lambda _: self._show_buttons())
        self.language = elided_combo("Language of the report", "Of its texts.")
        for code in languages():
            self.language.addItem(_NAMES.get(code, code), code)
        self.language.setCurrentIndex(max(0, self.language.findData("en")))
        browse = small_button("…", "Choose a folder for the report", self._browse)
        fields = form()
        fields.addRow("Folder", beside(self.folder, browse))
        fields.addRow("Language", self.language)
        self.state = plain()
        self.state.setAccessibleName("What the report lacks")
        self.write = button(
            "Write report", "Analyse the picture if need be, and write its report.", self._write
        )
        self.writing = JobLine("the report", self._reports.cancel)
        self.written = plain()
        self.written.setAccessibleName("The report that was written")
        self.open_page = button("Open in the browser", "Show the report.", self._open_page)
        self.open_folder = button("Open folder", "Show where it lies.", self._open_folder)
        self.results = Rows([self.open_page, self.open_folder], 2)
        self.body.addLayout(fields)
        for widget in (
            self.state, Rows([self.write], 1), self.writing, self.written, self.results,
        ):  # fmt: skip
            self.body.addWidget(widget)
        session = controller.session
        for signal, slot in (
            (review.work.changed, self._show),
            (review.reports.changed, self._show),
            (review.analyses.changed, self._show_buttons),
            (session.progress, self._so_far),
        ):
            self.connections.connect(signal, slot)
        self._show()

    # ---------------------------------------------------------------- what users do

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the report")
        if path:
            self.folder.setText(path)

    def _write(self) -> None:
        self._reports.write(
            Path(self.folder.text().strip()),
            self._controller.settings,
            str(self.language.currentData()),
        )

    def _open_page(self) -> None:
        written = self._reports.written
        if written is not None:
            self._show_outside(written.html)

    def _open_folder(self) -> None:
        written = self._reports.written
        if written is not None:
            self._show_outside(written.folder)

    def _show_outside(self, path: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(os.fspath(path))):
            self._controller.notice.emit(
                f"No program opens {printable(path.name)}: it lies in {printable(path.parent)}.",
                True,
                None,
            )

    # ---------------------------------------------------------------- what is shown

    def _so_far(self, text: str, done: int, total: int) -> None:
        if text.startswith((ANALYSING, WRITING)):
            self.writing.show_progress(done, total)
        self._show_buttons()

    def _show(self) -> None:
        suggested = self._reports.suggested
        text = "" if suggested is None else str(suggested)
        if self.folder.text() in ("", self._suggested):
            self.folder.setText(text)
        self._suggested = text
        written = self._reports.written
        self.written.setText("" if written is None else f"Written: {isolated(written.folder)}")
        self.written.setVisible(written is not None)
        self.results.setVisible(written is not None)
        opened = self._review.work.opened
        n_written = 0 if opened is None else len(opened.review.reports)
        self.say_beside_title(f"{n_written} written" if n_written else "")
        self._show_buttons()

    def _show_buttons(self, _: object = None) -> None:
        work, asked = self._review.work, self._reports.is_asked
        opened = work.opened
        lacking = work.problem
        if opened is not None and not lacking and opened.mine.verdict is None:
            lacking = "You have given no verdict yet: the report will say so."
        if opened is not None and opened.is_blind and not work.problem:
            lacking += " It shows the model's verdict: that ends the blind first look."
        self.state.setText(lacking.strip())
        self.state.setVisible(bool(self.state.text()))
        self.writing.show_asked(asked)
        ready = not (work.problem or asked) and bool(self.folder.text().strip())
        self.write.setEnabled(ready)
