"""Model: what reads the pictures, and on which device."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QFileDialog
from rich.filesize import decimal

from napari_safire.errors import sentence
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import (
    FoldedSection,
    beside,
    button,
    elided_combo,
    form,
    wrapped,
)
from napari_safire.model.catalogue.registry import (
    ALWAYS_THERE,
    available_models,
    model_entry,
    model_state,
)
from napari_safire.progress import Cancel, Progress
from napari_safire.session.messages import ANYWHERE

Choice = tuple[str, str]
"""Name or path of a model, and the device it is to run on."""

_FILES = "Models (*.safetensors *.pth *.pt);;All files (*)"
_EVERYWHERE = ("auto", "cpu")  # devices that need no look at the machine


class ModelSection(FoldedSection):
    """Choose model and device.

    A model file is looked at before it takes the place of the one in use: what cannot be used
    stays chosen with its reason, beside a button that goes back, and work goes on meanwhile.

    Parameters
    ----------
    controller : ViewerController
    model, device : str
        What to begin with.
    """

    def __init__(self, controller: ViewerController, model: str, device: str) -> None:
        super().__init__("Model", "Which model works, and on which device.")
        self._controller = controller
        self._files: list[str] = []
        self._descriptions: dict[str, str] = {}  # file to what it is by its structure
        self._refused: dict[str, str] = {}  # model to the reason why it cannot be used
        self._wanted: Choice | None = None  # what the user chose last
        self._asked: Choice | None = None  # what the session was asked to load last
        self._used: Choice | None = None  # what was loaded last
        self._way_back: Choice | None = None
        self._dropped: str | None = None  # a file that was dropped on the dock last
        self._make_fields()
        self.connections.connect(controller.session.progress, self._progressed)
        self.connections.connect(controller.session.model_changed, self._model_changed)
        self.model.activated.connect(self._model_chosen)
        self.device.activated.connect(self._model_chosen)
        self._show_models(model)
        self._add_devices([device])
        self.device.setCurrentText(device)
        self._model_chosen()

    def _make_fields(self) -> None:
        self.model = elided_combo(
            "Model",
            "The model. You can drop a checkpoint file on the dock: napari-safire's own, or a "
            "published SAFIRE file. Nothing in it is ever executed.",
        )
        self.device = elided_combo(
            "Device", "Where the model runs; auto takes the fastest there is."
        )
        self.device.addItems(_EVERYWHERE)
        self.browse = button("…", "Choose a checkpoint file.", self._browse)
        self.browse.setFixedWidth(28)
        self.browse.setAccessibleName("Choose a checkpoint file")
        self.download = button("Download", "Download this model.", self._download)
        self.about = wrapped()
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setAccessibleName("About the chosen model")
        self.back = button("Back", "Choose the model that is in use again.", self._go_back)
        fields = form()
        fields.addRow("Model", beside(self.model, self.browse))
        fields.addRow("", self.download)
        fields.addRow("Device", self.device)
        self.body.addLayout(fields)
        self.body.addWidget(self.about)
        self.body.addWidget(self.back)
        for hidden in (self.download, self.about, self.back):
            hidden.hide()

    @property
    def model_in_use(self) -> str | None:
        """Name or path of the model that is loaded, or about to be; not one that was refused."""
        return None if self._asked is None else self._asked[0]

    def choose_file(self, path: str, *, dropped: bool = False) -> None:
        """Choose a checkpoint by its path.

        Parameters
        ----------
        path : str
        dropped : bool
            On the dock, of which this section may be far away: a refusal is a message as well.
        """
        self._dropped = path if dropped else None
        self._show_models(path)
        self._model_chosen()

    def _show_models(self, chosen: str) -> None:
        names = [entry.name for entry in available_models()]
        if chosen not in [*names, *self._files]:
            self._files.append(chosen)
        with QSignalBlocker(self.model):
            self.model.clear()
            for name in names:
                self._add_model(name, name, model_state(name), _described(name))
            for path in self._files:
                self._add_model(path, Path(path).name, "file", path)
            self.model.setCurrentIndex(self.model.findData(chosen))

    def _add_model(self, name: str, shown: str, state: str, tip: str) -> None:
        if name in self._refused:
            state, tip = "cannot be used", f"{tip}\n{self._refused[name]}"
        self.model.addItem(f"{shown}  ({state})", name)
        self.model.setItemData(self.model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def _model_chosen(self, _: object = None) -> None:
        """Use the chosen model on the chosen device, if that is possible."""
        name, device = self.model.currentData(), self.device.currentText()
        if name is None:
            return
        choice: Choice = (name, device)
        self._wanted = choice
        registered = name in {entry.name for entry in available_models()}
        missing = registered and model_state(name) == "not downloaded"
        self.download.setVisible(missing)
        if missing:
            size = model_entry(name).size
            self.download.setText(f"Download ({decimal(size)})" if size else "Download")
            self._stay(f"{name} has not been downloaded yet.", (ALWAYS_THERE, device))
        elif choice == self._used or (registered and device in _EVERYWHERE):
            self._use(choice, self._descriptions.get(name, ""))
        else:
            self._say(f"Looking at {Path(name).name} …")

            def look() -> str | Exception:
                try:
                    return _look_at(None if registered else name, device)
                except Exception as error:  # whatever is wrong with it, it is shown as the reason
                    return error

            def seen(answer: str | Exception) -> None:
                if self._wanted != choice:
                    return
                if isinstance(answer, Exception):
                    self._refuse(choice, answer)
                else:
                    self._use(choice, answer)

            self._controller.session.run(look, self.connections.while_connected(seen))

    def _use(self, choice: Choice, description: str) -> None:
        if self._refused.pop(choice[0], None) is not None:
            self._show_models(choice[0])
        if description:
            self._descriptions[choice[0]] = description
        self._say(description)
        self._ask(choice)

    def _ask(self, choice: Choice) -> None:
        def failed(error: Exception) -> None:
            self._refuse(choice, error)

        self._asked = choice
        name, device = choice
        self.say_beside_title(Path(name).name if device == "auto" else _named(choice))
        session = self._controller.session
        is_new = session.model_choice != choice
        session.choose_model(*choice, failed=self.connections.while_connected(failed, self._tell))
        if not is_new:  # nothing is told: it was loaded for another dock
            self._model_changed()

    def _tell(self, error: Exception) -> None:
        self._controller.notice.emit(sentence(error), True, ANYWHERE)

    def _refuse(self, choice: Choice, error: Exception) -> None:
        """Tell why a choice cannot be used, and go on with what was in use."""
        name, _ = choice
        reason = str(error) or type(error).__name__
        if isinstance(error, ValueError):  # the device; what is wrong with a model is another error
            self._stay(reason, (name, "auto"))
            return
        self._refused[name] = reason
        self._show_models(self.model.currentData())
        if choice == self._used:  # it was given up for another one and cannot be loaded again
            self._used = None
        if self._used is None and name == ALWAYS_THERE:
            self._say(f"⚠ {reason}")
            return
        self._stay(reason, (ALWAYS_THERE, "auto"))

    def _stay(self, reason: str, instead: Choice) -> None:
        """Go on with the model in use, or with another one where there is none."""
        choice = self._used or instead
        follows = "stays in use" if self._used else "is used instead"
        told = f"{reason} {_named(choice)} {follows}."
        self._say(f"⚠ {told}", way_back=choice)
        if self._wanted is not None and self._wanted[0] == self._dropped:
            self._dropped = None
            self._controller.notice.emit(told, True, ANYWHERE)
        self._ask(choice)

    def _say(self, text: str, way_back: Choice | None = None) -> None:
        self.about.setText(text)
        self.about.setVisible(bool(text))
        self._way_back = way_back
        self.back.setVisible(way_back is not None)
        if way_back is not None:
            self.back.setText(f"Back to {_named(way_back)}")
            self.unfold()

    def _go_back(self) -> None:
        if self._way_back is not None:
            name, device = self._way_back
            self._show_models(name)
            self.device.setCurrentText(device)
            self._model_chosen()

    def _download(self) -> None:
        name = self.model.currentData()

        def work(progress: Progress, cancel: Cancel) -> Path:
            from napari_safire.model.catalogue.download import download_model

            return download_model(name, progress=progress, cancel=cancel)

        def done(path: Path) -> None:
            chosen = self.model.currentData()  # the user may have gone on to another one
            self._show_models(chosen)
            if chosen == name:
                self._model_chosen()

        self.download.setEnabled(False)  # until nothing runs any more
        then = self.connections.while_connected(done)
        self._controller.session.run_long(f"Downloading {name}", work, then)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a checkpoint", "", _FILES)
        if path:
            self.choose_file(path)

    def _model_changed(self) -> None:
        if self._controller.session.engine is not None:
            self._used = self._asked
            then = self.connections.while_connected(self._add_devices)
            self._controller.session.run(_device_names, then)

    def _progressed(self, text: str, done: int, total: int) -> None:
        if not text:
            self.download.setEnabled(True)

    def _add_devices(self, names: list[str]) -> None:
        for name in names:
            if self.device.findText(name) < 0:
                self.device.addItem(name)


def _described(name: str) -> str:
    entry = model_entry(name)
    lines = [entry.description, f"Licence: {entry.licence}"]
    if entry.trained_on:
        lines.append(f"Trained on: {entry.trained_on}")
    return "\n".join(lines)


def _look_at(path: str | None, device: str) -> str:
    """Say what a model file is, and whether there is such a device.

    Raises
    ------
    ValueError
        There is no such device.
    CheckpointError
        The file cannot be used.
    """
    from napari_safire.model.files.checkpoint import describe_checkpoint  # brings torch
    from napari_safire.model.safire import resolve_device

    resolve_device(device)
    if path is None:
        return ""
    if not (Path(path).suffix or Path(path).exists()):
        model_entry(path)  # a name and no path: this tells the names that there are
    return describe_checkpoint(path)


def _named(choice: Choice) -> str:
    return f"{Path(choice[0]).name} on {choice[1]}"


def _device_names() -> list[str]:
    from napari_safire.engine.machine import devices  # torch is loaded by now

    return [device.name for device in devices()]
