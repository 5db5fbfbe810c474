"""What is gone through: a folder, a list, a manifest or a project; and in whose name."""

from __future__ import annotations

import os

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_safire.errors import DatasetError
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.curate.new_project import LISTS, NewProjectForm
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    form,
    run_guarded,
    sentence,
)
from napari_safire.progress import Cancel, Progress
from napari_safire.project.adding import Added
from napari_safire.project.people import ANNOTATOR_VARIABLE, annotator_name, choose_annotator_name
from napari_safire.session.messages import ANYWHERE
from napari_safire.session.queue.new_project import (
    PicturesToAdd,
    add_to_project,
    what_was_added,
)
from napari_safire.text import isolated


class OpeningSection(FoldedSection):
    """Buttons that open a queue, the form of a new project, and the annotator's name.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
    """

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        super().__init__("Pictures", "Which pictures to go through, and in whose name.")
        self._opened: object = None  # the store that is open
        self._controller, self._queue, self._work = controller, queue, queue.work
        self.folder = button(
            "Folder …",
            "Go through the pictures of a folder, or of the results of a corpus. You can also drop "
            "it on the dock.",
            self._browse_folder,
        )
        self.list_file = button(
            "List …",
            "Go through the pictures of a list file with lines image,mask, a table or a manifest. "
            "The masks that it names are where work begins; they are never written to.",
            self._browse_list,
        )
        self.project = button(
            "Project …", "Go on with a project: its folder.", self._browse_project
        )
        self.new = button(
            "New project …",
            "Make a project of the pictures of a folder, a list or a table.",
            self._ask_for_project,
        )
        self.more = button("Add …", "Add pictures to this project.", self._ask_for_pictures)
        self.output = button("Masks …", "", self._browse_output)
        self.form = NewProjectForm(controller.session, self.connections)
        self.who = QLineEdit()
        self.who.setAccessibleName("Annotator")
        self.who.setToolTip("Your name, under which your work in projects is kept.")
        self.who.editingFinished.connect(self._name_given)
        self._fields = form()
        self._fields.addRow("Your name", self.who)
        self.body.addWidget(Rows([self.folder, self.list_file, self.project], 3))
        self.body.addWidget(Rows([self.new, self.more, self.output], 3))
        self.body.addWidget(self.form)
        self.body.addLayout(self._fields)
        self.form.wanted.connect(self._make)
        self.form.cancel.clicked.connect(lambda checked=False: self._show())
        self.connections.connect(queue.work.changed, self._show)
        self.unfold()
        self._show()

    # ---------------------------------------------------------------- what users do

    def open_queue(self, path: str | os.PathLike[str]) -> None:
        """See `QueueWork.open_queue`."""
        self._work.open_queue(path)

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        if path:
            self.open_queue(path)

    def _browse_list(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list of pictures", "", LISTS)
        if path:
            self.open_queue(path)

    def _browse_project(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose the folder of a project")
        if path:
            self.open_queue(path)

    def _browse_output(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the masks")
        if path:
            self._work.choose_output(path)

    def _ask_for_project(self) -> None:
        self.form.ask_for_project()
        self._show()

    def _ask_for_pictures(self) -> None:
        store = self._work.store
        if store is not None:
            self.form.ask_for_pictures(store.place)

    def _make(self, wanted: PicturesToAdd) -> None:
        def add(progress: Progress, cancel: Cancel) -> Added | DatasetError:
            try:
                return add_to_project(wanted, progress, cancel)
            except DatasetError as error:
                return error

        def done(added: Added | DatasetError) -> None:
            if isinstance(added, DatasetError):
                self._controller.notice.emit(sentence(added), True, ANYWHERE)
                self.form.show()  # to be mended: nothing that was typed is lost
                self._show()
                return
            self._controller.notice.emit(what_was_added(added), bool(added.problems), ANYWHERE)
            store = self._work.store
            if store is not None and store.annotator and store.place == wanted.folder:
                self._work.list_anew()
                self._queue.look_at_choices()
            else:
                self._work.open_queue(wanted.folder)

        self._controller.session.run_long(
            "Adding pictures",
            add,
            self.connections.while_connected(done),
        )

    def _name_given(self) -> None:
        """Keep another name for this machine; the open project is then worked on in it."""
        name, store = self.who.text().strip(), self._work.store
        if name == self._name():
            return

        def kept(_: str) -> None:
            if store is not None and store is self._work.store and store.annotator:
                self._work.open_queue(store.place)
            self._show()

        def refused(error: Exception) -> None:
            self._controller.notice.emit(sentence(error), True, ANYWHERE)
            self._show()

        still_there = self.connections.while_connected
        run_guarded(
            self._controller.session,
            lambda: choose_annotator_name(name),
            still_there(kept),
            still_there(refused),
        )

    def _name(self) -> str:
        store = self._work.store
        return (store.annotator if store is not None else "") or annotator_name()

    # ---------------------------------------------------------------- what is shown

    def _show(self) -> None:
        store, free = self._work.store, not self._work.doing
        actions = frozenset() if store is None else store.actions
        for opening in (self.folder, self.list_file, self.project, self.new, self.more):
            opening.setEnabled(free)
        in_project = store is not None and bool(store.annotator)
        if store is not self._opened:  # its pictures need the room
            self._opened = store
            self.heading.setChecked(store is None)
        named = [] if store is None else [store.title, *filter(None, [store.annotator])]
        self.say_beside_title(" · ".join(isolated(name) for name in named))
        self.more.setVisible(in_project)
        self._fields.setRowVisible(self.who, in_project or not self.form.isHidden())
        self.output.setVisible("choose output" in actions)
        self.output.setEnabled(free)
        self.output.setToolTip(f"Choose the folder for masks and records.{self._output()}")
        if not self.who.hasFocus():
            with QSignalBlocker(self.who):
                self.who.setText(self._name())
        by_variable = bool(os.environ.get(ANNOTATOR_VARIABLE, "").strip())
        self.who.setReadOnly(by_variable)
        if by_variable:
            self.who.setToolTip(f"Your name, given by {ANNOTATOR_VARIABLE}.")

    def _output(self) -> str:
        folder = self._queue.folder
        return "" if folder is None else f" Now: {folder.output}"
