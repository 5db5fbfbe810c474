"""The case of the picture: which file it is about, who reviews, and what is asked."""

from __future__ import annotations

import os
from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_safire.errors import DatasetError
from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.review.case_form import CaseForm
from napari_safire.gui.panels.section import FoldedSection, Rows, button, form, plain
from napari_safire.project.people import ANNOTATOR_VARIABLE, annotator_name
from napari_safire.review.codec import as_record
from napari_safire.review.values import CaseDescription
from napari_safire.session.review.opened import OpenCase
from napari_safire.session.review.work import CASE
from napari_safire.text import isolated, printable


class CaseSection(FoldedSection):
    """Open or make the case of the picture, and say what it is about.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("Case", "Which case this picture belongs to, and what is asked.")
        self._controller, self._review, self._work = controller, review, review.work
        self._seen: OpenCase | None = None
        self.state = plain()
        self.state.setAccessibleName("State of the case")
        self.make = button(
            "Make case", "Begin a case of this picture, in a folder beside it.", self._make
        )
        self.make_in = button("Make in …", "Begin it in another folder.", self._make_in)
        self.open = button(
            "Open …", "Open a case folder or project. You can also drop it here.", self._open
        )
        self.again = button(
            "Read anew",
            "Read the case and the picture's file again: what others did, and whether it changed.",
            self._work.read_anew,
        )
        self.identity = plain()
        self.identity.setAccessibleName("Which file it is")
        self.others = plain()
        self.others.setAccessibleName("Who else has reviewed")
        self.who = QLineEdit()
        self.who.setAccessibleName("Reviewer")
        self.who.editingFinished.connect(self._name_given)
        fields = form()
        fields.addRow("Your name", self.who)
        self.data = FoldedSection("Case data", "What the case is about.", quiet=True)
        self.form = CaseForm()
        self.form.edited.connect(self._typed)
        self.form.wanted.connect(self._keep)
        self.data.body.addWidget(self.form)
        buttons = Rows([self.make, self.make_in, self.open, self.again], 3)
        self.body.addWidget(self.state)
        self.body.addWidget(self.identity)
        self.body.addWidget(buttons)
        self.body.addLayout(fields)
        self.body.addWidget(self.others)
        self.body.addWidget(self.data)
        self.connections.connect(review.work.changed, self._show)
        self.connections.connect(review.work.opened_now, self._opened)
        self.unfold()
        self._show()

    # ---------------------------------------------------------------- what users do

    def open_folder(self, folder: Path) -> None:
        """Open a case folder or project that was chosen or dropped."""
        self._work.open_case(folder)

    def _make(self) -> None:
        folder = self._work.suggested
        if folder is None:
            self._controller.notice.emit(
                "A case is about a picture file: save this picture first.", True, None
            )
        else:
            self._work.open_case(folder, CaseDescription(), self._ask_data)

    def _make_in(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the case")
        if path:
            self._work.open_case(Path(path), CaseDescription(), self._ask_data)

    def _ask_data(self) -> None:
        self.data.unfold()
        self.form.lines["number"].setFocus()  # else what is typed next becomes the reviewer's name

    def _open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a case folder")
        if path:
            self.open_folder(Path(path))

    def _name_given(self) -> None:
        name = self.who.text().strip()
        if name and name != self._name():
            self._work.choose_reviewer(name)

    def _typed(self) -> None:
        self._review.type_in(CASE, self.form.values)
        self._show_data()

    def _keep(self) -> None:
        try:
            description = self.form.description
        except DatasetError as error:
            self._controller.notice.emit(str(error), True, None)
            return
        self._work.describe(description)

    # ---------------------------------------------------------------- what is shown

    def _opened(self) -> None:
        opened = self._work.opened
        if opened is not None:
            typed = self._work.typed(CASE)
            self.form.show_values(typed or as_record(opened.description))

    def _show(self) -> None:
        work, opened = self._work, self._work.opened
        is_open, free = opened is not None, not work.doing
        self._show_state()
        for control in (self.make, self.make_in, self.open):
            control.setVisible(not is_open)
            control.setEnabled(free and work.selected is not None)
        self.again.setVisible(is_open)
        for part in (self.identity, self.others, self.data):
            part.setVisible(is_open)
        self._show_name(opened)
        if opened is None:
            self.say_beside_title(work.doing)
            self._seen = None
            return
        if self._seen is None:  # what follows needs the room
            self.heading.setChecked(bool(opened.problem) or not opened.description.title)
        self._seen = opened
        folder = isolated(opened.case.project.folder.name)
        self.say_beside_title(f"{folder} · {isolated(opened.case.reviewer)}")
        self.identity.setText(identity_words(opened))
        self.identity.setToolTip(f"SHA-256 {opened.picture.file_sha256}")
        others = ", ".join(map(isolated, opened.others))
        self.others.setText(f"Also reviewed by {others}." if others else "")
        self.others.setVisible(bool(others))
        if not work.typed(CASE):
            self.form.show_values(as_record(opened.description))
        self._show_data()

    def _show_state(self) -> None:
        problem = self._work.problem
        words = self._work.doing or (f"⚠ {printable(problem)}" if problem else "")
        if self._work.opened is None and not self._work.doing:
            words = problem
        self.state.setText(words)
        self.state.setVisible(bool(words))

    def _show_data(self) -> None:
        typed = bool(self._work.typed(CASE))
        self.form.keep.setEnabled(typed)
        opened = self._work.opened
        title = "" if opened is None else opened.description.title
        self.data.say_beside_title("not kept yet" if typed else isolated(title))

    def _show_name(self, opened: OpenCase | None) -> None:
        if not self.who.hasFocus():
            with QSignalBlocker(self.who):
                self.who.setText(self._name())
        by_variable = bool(os.environ.get(ANNOTATOR_VARIABLE, "").strip())
        of_queue = opened is not None and not opened.own
        self.who.setReadOnly(by_variable or of_queue)
        self.who.setToolTip(
            f"Your name, given by {ANNOTATOR_VARIABLE}."
            if by_variable
            else "Your name in this project; the dock SAFIRE Curate changes it."
            if of_queue
            else "Your name, under which you review."
        )

    def _name(self) -> str:
        opened = self._work.opened
        return annotator_name() if opened is None else opened.case.reviewer


def identity_words(opened: OpenCase) -> str:
    """Say which file a case is about, in a line."""
    picture = opened.picture
    size = "" if picture.width is None else f"{picture.height} rows, {picture.width} columns"
    parts = (
        isolated(picture.name), picture.format, size, f"SHA-256 {picture.file_sha256[:12]} …",
    )  # fmt: skip
    return " · ".join(filter(None, parts))
