"""The form in which a project is made of pictures, or gets more of them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFrame,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
)

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.panels.curate.choice_form import ChoiceForm
from napari_safire.gui.panels.section import Rows, beside, button, form, small_button, wrapped
from napari_safire.session.queue.new_project import PicturesToAdd, project_folder_for
from napari_safire.session.session import Session

LISTS = "Lists (*.txt *.csv *.tsv *.parquet);;All files (*)"


class NewProjectForm(QFrame):
    """Where the pictures are, where the project goes, and how many annotate each picture.

    Parameters
    ----------
    session : Session
    connections : Connections
        Of the section that it is in.
    """

    wanted = Signal(PicturesToAdd)
    """Emitted with what is to be done."""

    def __init__(self, session: Session, connections: Connections) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._project: Path | None = None  # that gets more pictures; None: one is made
        self._suggested = ""
        self.title = wrapped()
        self.source = QLineEdit()
        self.source.setPlaceholderText("folder, list, CSV, pattern, manifest")
        self.source.setAccessibleName("Pictures")
        self.source.setToolTip(
            "A folder with its subfolders, a list of lines image,mask, a table (CSV, TSV) with a "
            "column path, a pattern such as photos/**/*.jpg, or the results of a corpus."
        )
        self.source.textChanged.connect(self._source_changed)
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder of the project")
        self.folder.textChanged.connect(lambda _: self._show())
        self.annotators = QSpinBox()
        self.annotators.setRange(1, 20)
        self.annotators.setAccessibleName("Annotators of each picture")
        self.annotators.setToolTip("How many annotate each picture, without seeing each other.")
        self.decode = QCheckBox("Read all pictures now")
        self.decode.setChecked(True)
        self.decode.setToolTip(
            "Finds damaged pictures and those with the same pixels. Without, they are read when "
            "they are opened: ten times as fast."
        )
        self.create_button = button("Create", "Make the project.", self._create)
        self.cancel = button("Not now", "Make no project.", self.hide)
        self._fields = form()
        browse_folder = small_button("Folder", "Choose a folder of pictures", self._browse_folder)
        browse_file = small_button("List", "Choose a list or table", self._browse_file)
        browse_project = small_button("…", "Choose a folder for the project", self._browse_project)
        self._place = beside(self.folder, browse_project)
        self._fields.addRow("Pictures", beside(self.source, browse_folder, browse_file))
        self.choice = ChoiceForm(session, connections)
        self.choice.changed.connect(self._show)
        self._fields.addRow(self.choice)
        self._fields.addRow("Project in", self._place)
        self._fields.addRow("Annotators", self.annotators)
        self._fields.addRow("", self.decode)
        body = QVBoxLayout(self)
        body.setContentsMargins(4, 4, 4, 4)
        body.addWidget(self.title)
        body.addLayout(self._fields)
        body.addWidget(Rows([self.create_button, self.cancel], 2))
        self.hide()

    def ask_for_project(self) -> None:
        """Ask for a new one."""
        self._ask("A new project", None)

    def ask_for_pictures(self, project: Path) -> None:
        """Ask for more pictures of a project."""
        self._ask("More pictures", project)

    def _ask(self, title: str, project: Path | None) -> None:
        self._project = project
        self.title.setText(title)
        self.create_button.setText("Create" if project is None else "Add")
        for field in (self._place, self.annotators):
            self._fields.setRowVisible(field, project is None)
        self._show()
        self.show()
        self.source.setFocus()

    def _source_changed(self, text: str) -> None:
        """Suggest a place for the project, unless one was chosen."""
        if self.folder.text() == self._suggested and text.strip() and "*" not in text:
            self._suggested = str(project_folder_for(text.strip()))
            self.folder.setText(self._suggested)
        self.choice.ask(text.strip())
        self._show()

    def _show(self) -> None:
        placed = self._project is not None or bool(self.folder.text().strip())
        can_be_read = self.choice.counted.can_be_opened
        self.create_button.setEnabled(bool(self.source.text().strip()) and placed and can_be_read)

    def _create(self) -> None:
        folder = self._project or Path(self.folder.text().strip())
        self.hide()
        self.wanted.emit(
            PicturesToAdd(
                self.source.text().strip(),
                folder,
                self.annotators.value(),
                self.decode.isChecked(),
                self.choice.choice,
            )
        )

    def _browse_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder of pictures")
        if path:
            self.source.setText(path)

    def _browse_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list or table", "", LISTS)
        if path:
            self.source.setText(path)

    def _browse_project(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the project")
        if path:
            self.folder.setText(path)
