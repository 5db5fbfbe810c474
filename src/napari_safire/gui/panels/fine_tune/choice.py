"""What a fine-tuning shall learn from, and where its result goes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_safire.corpus.learning_list import (
    LearningList,
    done_list_root,
    look_at_list,
    write_done_list,
)
from napari_safire.corpus.queue import PictureQueue
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.annotate.model_section import ModelSection
from napari_safire.gui.panels.curate.new_project import LISTS
from napari_safire.gui.panels.fine_tune.words import counted
from napari_safire.gui.panels.section import (
    button,
    form,
    may_be_narrow,
    run_guarded,
    sentence,
    wrapped,
)
from napari_safire.images.masks import MaskKind
from napari_safire.learning.comparison import FEWEST
from napari_safire.project.learning_list import truth_list_root, write_truth_list
from napari_safire.project.store import Project
from napari_safire.session.fine_tuning import FineTuneRequest, folder_state, fresh_folder

_STEPS = 300  # as the command has it, whose module would bring torch
_FEWEST_PICTURES = 2 * FEWEST  # so many judge at least, and never more than half of all
_KINDS: tuple[tuple[str, MaskKind | None], ...] = (
    ("choose …", None),
    ("sources: grey 50 x k", "sources"),
    ("forged where not black", "binary"),
)
_LIST_NAME = "list.txt"


@dataclass(frozen=True, slots=True, eq=False)
class FineTunePlan:
    """What was chosen, complete.

    Parameters
    ----------
    material : LearningList, PictureQueue or Project
        Of a queue or project the done pictures are meant.
    pictures : int
    kind : {"sources", "binary"}
    model : str
    steps : int
    folder : Path
    resume : bool
        A fine-tuning was stopped in the folder.
    """

    material: LearningList | PictureQueue | Project
    pictures: int
    kind: MaskKind
    model: str
    steps: int
    folder: Path
    resume: bool

    def describe(self) -> str:
        """Say what would be done."""
        if self.resume:
            return f"Goes on with what was stopped in {self.folder.name}."
        listed = isinstance(self.material, LearningList)
        what = "pictures of the list" if listed else "done pictures"
        return f"Of the {self.pictures} {what} most are learned from, the others judge."

    def request(self) -> FineTuneRequest:
        """Make the request; a queue gets its list, in the folder, which takes a while.

        One that goes on keeps the list that it began with, whatever was done since.

        Raises
        ------
        SafireError, ValueError
            The list cannot be written.
        """
        left_out: tuple[str, ...] = ()
        path = self.folder / _LIST_NAME
        if isinstance(self.material, LearningList):
            path, root = self.material.path, self.material.root
        elif isinstance(self.material, PictureQueue):
            root = done_list_root(self.material)
            if not self.resume:
                left_out = write_done_list(self.material, path).left_out
        else:
            root = truth_list_root(self.material, path)
            if not self.resume:
                left_out = write_truth_list(self.material, path).left_out
        return FineTuneRequest(
            (path,), self.folder, self.kind, self.model, root, self.resume,
            ("--steps", str(self.steps)), left_out,
        )  # fmt: skip


class FineTuneChoice(QWidget):
    """The fields above Start.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
        Gives its done pictures to learn from.
    model : ModelSection
        Whose model learns.
    """

    changed = Signal()
    """Emitted when `plan` may give another answer."""
    refused = Signal(str)
    """Emitted with the reason why a list cannot be used; the choice before stays."""

    def __init__(
        self, controller: ViewerController, queue: QueueController, model: ModelSection
    ) -> None:
        super().__init__()
        self._controller, self._queue, self._model = controller, queue, model
        self._suggested = ""  # the folder that was put into the field last
        self._beside: Path | None = None  # what it was made of
        self.connections = Connections()
        self._make_material()
        self._make_fields()
        self._form = form()
        self._form.addRow("Learn from", _with_button(self.material, self.list_file))
        self._form.addRow("Masks say", self.kind)
        self._form.addRow("Old model", self.model)
        self._form.addRow("Steps", self.steps)
        self._form.addRow("Result in", _with_button(self.folder, self.browse))
        self.setLayout(self._form)

        self.connections.connect(controller.session.model_changed, self._model_changed)
        self.connections.connect(queue.changed, self._queue_changed)
        self.material.activated.connect(self._material_chosen)
        for changed in (self.kind.activated, self.folder.textChanged):
            changed.connect(lambda _: self.changed.emit())
        self.set_free(True)
        self._queue_changed()
        self._material_chosen()

    def _make_material(self) -> None:
        self.material = QComboBox()
        self.material.setToolTip(
            "The pictures of the open queue that are marked as done, or a list file."
        )
        self.material.setAccessibleName("What to learn from")
        self.material.addItem("", None)
        self.list_file = button(
            "…", "Choose a list file with lines image,mask[,group].", self._browse_list
        )
        self.list_file.setAccessibleName("Choose a list file to learn from")
        self.kind = QComboBox()
        self.kind.setAccessibleName("What the masks of the list say")
        self.kind.setToolTip(
            "What the masks of the list say: source k where they are 50 x k, or forged wherever "
            "they are not black. It is told from the files where that is possible."
        )
        for text, kind in _KINDS:
            self.kind.addItem(text, kind)
        for combo in (self.material, self.kind):
            may_be_narrow(combo)

    def _make_fields(self) -> None:
        self.model = wrapped()
        self.model.setTextFormat(Qt.TextFormat.PlainText)
        self.model.setToolTip("The model in use, see Model. It is never changed.")
        self.steps = QSpinBox()
        self.steps.setAccessibleName("Steps at most")
        self.steps.setRange(1, 1_000_000)
        self.steps.setValue(_STEPS)
        self.steps.setToolTip(
            "Updates of the weights at most: it ends earlier where pictures that it does not "
            "learn from show no progress."
        )
        self.folder = QLineEdit()
        self.folder.setAccessibleName("Folder for the result")
        self.folder.setToolTip(
            "The folder for the run and the new model, made if need be. Choose that of a stopped "
            "one to go on with it."
        )
        self.browse = button("…", "Choose the folder for the run and the model.", self._browse)
        self.browse.setAccessibleName("Choose the folder for the result")

    @property
    def fields(self) -> tuple[QWidget, ...]:
        """All that has the keyboard's focus, in order."""
        return (
            self.material, self.list_file, self.kind, self.steps, self.folder, self.browse,
        )  # fmt: skip

    def set_free(self, free: bool) -> None:
        """Let the user choose, or not while what was chosen is under way."""
        self.setEnabled(free)
        if free:
            name = self._model.model_in_use
            self.model.setText("none" if name is None else Path(name).name)

    def plan(self) -> FineTunePlan | str:
        """Give what was chosen, or say what is missing."""
        listed, model = self._listed, self._model.model_in_use
        material = listed or self._queue.folder or self._queue.project
        if material is None:
            return "Open a queue and mark pictures as done, or choose a list file."
        kind: MaskKind | None = "sources" if listed is None else self.kind.currentData()
        pictures = self._done if listed is None else listed.pictures
        text = self.folder.text().strip()
        folder = Path(os.path.abspath(os.path.expanduser(text)))
        state = folder_state(folder)
        if pictures < _FEWEST_PICTURES:
            where = "done" if listed is None else "in the list"
            return (
                f"{counted(pictures, 'picture')} {'is' if pictures == 1 else 'are'} {where}, at "
                f"least {_FEWEST_PICTURES} are needed: {FEWEST} of them have to judge."
            )
        if kind is None:
            return "Choose what the masks say: their files do not tell."
        if model is None:
            return "Choose a model first, under Model."
        if not text:
            return "Choose a folder for the result."
        if state == "finished":
            return f"{folder.name} holds a finished fine-tuning: choose another folder."
        steps = self.steps.value()
        return FineTunePlan(material, pictures, kind, model, steps, folder, state == "stopped")

    def choose_list(self, path: str | os.PathLike[str]) -> None:
        """Learn from a list file.

        Parameters
        ----------
        path : path-like
        """

        def failed(error: Exception) -> None:
            self.refused.emit(sentence(error))

        while_open = self.connections.while_connected
        run_guarded(
            self._controller.session,
            lambda: look_at_list(path),
            while_open(self._add_list),
            while_open(failed),
        )

    def suggest_folder(self) -> None:
        """Put a fresh folder into the field, unless the one that is there can be used."""
        place = self._place()
        if place is None:
            return
        text, same = self.folder.text(), place == self._beside
        by_user = text not in ("", self._suggested)
        state = folder_state(Path(text)) if text else "finished"
        self._beside = place
        # What was stopped can only be gone on with by what it learned from.
        if (state == "stopped" and same) or (state == "free" and (same or by_user)):
            return
        self._suggested = str(fresh_folder(place))
        self.folder.setText(self._suggested)

    def _place(self) -> Path | None:
        """The folder for results beside what is learned from."""
        listed, queue, project = self._listed, self._queue.folder, self._queue.project
        if listed is not None:
            return listed.path.with_name(f"{listed.path.stem}_tuned")
        if queue is not None:
            name = queue.output.name.removesuffix("_masks")
            return queue.output.with_name(f"{name}_tuned")
        if project is not None:
            return project.folder.with_name(f"{project.folder.name}_tuned")
        return None

    @property
    def _listed(self) -> LearningList | None:
        """The list that is chosen; None: the queue."""
        listed: LearningList | None = self.material.currentData()
        return listed

    @property
    def _done(self) -> int:
        return self._queue.n_done

    def _add_list(self, listed: LearningList) -> None:
        known = [self.material.itemData(row) for row in range(1, self.material.count())]
        row = next((n for n, one in enumerate(known, 1) if one.path == listed.path), len(known) + 1)
        if row > len(known):
            self.material.addItem("")
        self.material.setItemText(row, f"{listed.path.name}: {counted(listed.pictures, 'picture')}")
        self.material.setItemData(row, listed)
        self.material.setItemData(row, str(listed.path), Qt.ItemDataRole.ToolTipRole)
        self.material.setCurrentIndex(row)
        self._material_chosen()

    def _material_chosen(self, _: object = None) -> None:
        listed = self._listed
        self._form.setRowVisible(self.kind, listed is not None)
        self.kind.setCurrentIndex(self.kind.findData(None if listed is None else listed.kind))
        self.suggest_folder()
        self.changed.emit()

    def _queue_changed(self) -> None:
        known = self._queue.folder is not None or self._queue.project is not None
        self.material.setItemText(0, f"open queue: {self._done} done" if known else "no queue open")
        if self.isEnabled():  # else it is being filled
            self.suggest_folder()
        self.changed.emit()

    def _model_changed(self) -> None:
        self.changed.emit()

    def _browse_list(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a list to learn from", "", LISTS)
        if path:
            self.choose_list(path)

    def _browse(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Choose a folder for the fine-tuning")
        if path:
            self.folder.setText(path)


def _with_button(field: QWidget, browse: QPushButton) -> QWidget:
    """A field with a small button."""
    browse.setFixedWidth(28)
    both = QWidget()
    line = QHBoxLayout(both)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    line.addWidget(field, 1)
    line.addWidget(browse)
    return both
