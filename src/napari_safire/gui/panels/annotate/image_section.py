"""Image & model: what is worked on, and with what."""

from __future__ import annotations

from pathlib import Path

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QSpinBox,
    QWidget,
)
from rich.filesize import decimal

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.image_planes import Channels
from napari_safire.gui.panels.section import Section, button, elided_combo, form, wrapped
from napari_safire.model.catalogue.registry import available_models, model_entry, model_state
from napari_safire.progress import Cancel, Progress
from napari_safire.session.planes import Plane

Choice = tuple[str, str]
"""Name or path of a model, and the device it is to run on."""

_FILES = "Models (*.safetensors *.pth *.pt);;All files (*)"
_SUFFIXES = (".safetensors", ".pth", ".pt")
_SLICES = "each slice is a picture"
_COLOURS = "first axis holds colours"
_ALWAYS_THERE = "safire-lite"  # ships with the package
_EVERYWHERE = ("auto", "cpu")  # devices that need no look at the machine


class ImageSection(Section):
    """Choose image, channels, model and device; see what is being read, and stop it.

    A model file is looked at before it takes the place of the one in use: what cannot be used
    stays chosen with its reason, beside a button that goes back, and work goes on meanwhile.

    Parameters
    ----------
    controller : ViewerController
    model, device : str
        What to begin with.
    """

    def __init__(self, controller: ViewerController, model: str, device: str) -> None:
        super().__init__("Image & model")
        self._controller = controller
        self.setAcceptDrops(True)
        self._files: list[str] = []
        self._descriptions: dict[str, str] = {}  # file to what it is by its structure
        self._refused: dict[str, str] = {}  # model to the reason why it cannot be used
        self._wanted: Choice | None = None  # what the user chose last
        self._asked: Choice | None = None  # what the session was asked to load last
        self._used: Choice | None = None  # what was loaded last
        self._way_back: Choice | None = None

        self.image = QComboBox()
        self.image.setToolTip("The image layer to work on; it follows the layer you select.")
        self.channels = QComboBox()
        self.channels.addItems([_SLICES, _COLOURS])
        self.channels.setToolTip(
            "What the first axis of the image means. With colours, choose the values that are red, "
            "green and blue; three times the same is grey."
        )
        self.picks = [QSpinBox() for _ in "RGB"]
        picks = QWidget()
        row = QHBoxLayout(picks)
        row.setContentsMargins(0, 0, 0, 0)
        for number, (spin, name) in enumerate(zip(self.picks, "RGB", strict=True)):
            spin.setPrefix(f"{name} ")
            spin.setValue(number)
            spin.setToolTip(f"Channel shown as {['red', 'green', 'blue'][number]}.")
            row.addWidget(spin)
        self.model = QComboBox()
        self.model.setToolTip(
            "The model. You can drop a checkpoint file here: napari-safire's own, or a published "
            "SAFIRE file. Nothing in it is ever executed."
        )
        self.device = QComboBox()
        self.device.addItems(_EVERYWHERE)
        self.device.setToolTip("Where the model runs; auto takes the fastest there is.")
        for combo in (self.image, self.channels, self.model, self.device):
            elided_combo(combo)

        self.browse = button("…", "Choose a checkpoint file.", self._browse)
        self.browse.setFixedWidth(28)
        self.browse.setAccessibleName("Choose a checkpoint file")
        self.download = button("Download", "Download this model.", self._download)
        self.about = wrapped()
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setAccessibleName("About the chosen model")
        self.back = button("Back", "Choose the model that is in use again.", self._go_back)
        beside = QWidget()
        line = QHBoxLayout(beside)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addWidget(self.model, 1)
        line.addWidget(self.browse)

        fields = form()
        fields.addRow("Image", self.image)
        fields.addRow("Channels", self.channels)
        fields.addRow("", picks)
        fields.addRow("Model", beside)
        fields.addRow("", self.download)
        fields.addRow("Device", self.device)
        self.body.addLayout(fields)
        self.body.addWidget(self.about)
        self.body.addWidget(self.back)
        self._form, self._picks_row = fields, picks

        self.status = wrapped()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.cancel = button(
            "Cancel", "Stop what is running; nothing is lost.", controller.session.cancel
        )
        self.cancel.setFixedWidth(64)
        self._running = QWidget()
        running = QHBoxLayout(self._running)
        running.setContentsMargins(0, 0, 0, 0)
        running.addWidget(self.progress, 1)
        running.addWidget(self.cancel)
        self.body.addWidget(self.status)
        self.body.addWidget(self._running)
        for hidden in (self._running, self.download, self.about, self.back):
            hidden.hide()

        layers = controller.viewer.layers.events
        for signal, slot in (
            (layers.inserted, self._show_images),
            (layers.removed, self._show_images),
            (controller.plane_changed, self._show_images),
            (controller.plane_changed, self._show_status),
            (controller.session.embedded, self._show_status),
            (controller.session.partitioned, self._show_status),
            (controller.shown, self._show_status),
            (controller.session.progress, self._show_progress),
            (controller.session.model_changed, self._model_changed),
        ):
            self.connections.connect(signal, slot)
        self.image.activated.connect(self._image_chosen)
        self.channels.activated.connect(self._channels_chosen)
        for spin in self.picks:
            spin.valueChanged.connect(self._channels_chosen)
        self.model.activated.connect(self._model_chosen)
        self.device.activated.connect(self._model_chosen)
        self._show_images()
        self._show_models(model)
        self._add_devices([device])
        self.device.setCurrentText(device)
        self._model_chosen()

    # ---------------------------------------------------------------- model

    @property
    def model_in_use(self) -> str | None:
        """Name or path of the model that is loaded, or about to be; not one that was refused."""
        return None if self._asked is None else self._asked[0]

    def choose_file(self, path: str) -> None:
        """Choose a checkpoint by its path."""
        self._show_models(path)
        self._model_chosen()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept checkpoint files."""
        if event is not None and _dropped_model(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Choose the checkpoint that was dropped."""
        path = _dropped_model(event) if event is not None else None
        if event is not None and path is not None:
            event.acceptProposedAction()
            self.choose_file(path)

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
            self._stay(f"{name} has not been downloaded yet.", (_ALWAYS_THERE, device))
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

            self._controller.session.run(look, seen)

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
        self._controller.session.choose_model(*choice, failed=failed)

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
        if self._used is None and name == _ALWAYS_THERE:
            self._say(f"⚠ {reason}")
            return
        self._stay(reason, (_ALWAYS_THERE, "auto"))

    def _stay(self, reason: str, instead: Choice) -> None:
        """Go on with the model in use, or with another one where there is none."""
        choice = self._used or instead
        follows = "stays in use" if self._used else "is used instead"
        self._say(f"⚠ {reason} {_named(choice)} {follows}.", way_back=choice)
        self._ask(choice)

    def _say(self, sentence: str, way_back: Choice | None = None) -> None:
        self.about.setText(sentence)
        self.about.setVisible(bool(sentence))
        self._way_back = way_back
        self.back.setVisible(way_back is not None)
        if way_back is not None:
            self.back.setText(f"Back to {_named(way_back)}")

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
        self._controller.session.run_long(f"Downloading {name}", work, done)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a checkpoint", "", _FILES)
        if path:
            self.choose_file(path)

    def _model_changed(self) -> None:
        self._show_status()
        if self._controller.session.engine is not None:
            self._used = self._asked
            self._controller.session.run(_device_names, self._add_devices)

    def _add_devices(self, names: list[str]) -> None:
        for name in names:
            if self.device.findText(name) < 0:
                self.device.addItem(name)

    # ---------------------------------------------------------------- image

    def _show_images(self, event: object = None) -> None:
        controller = self._controller
        with QSignalBlocker(self.image):
            self.image.clear()
            for layer in controller.images:
                self.image.addItem(layer.name, layer)
            if not controller.images:
                self.image.addItem("no image open", None)
            nothing = -1 if controller.images else 0
            self.image.setCurrentIndex(
                next(
                    (i for i, layer in enumerate(controller.images) if layer is controller.image),
                    nothing,
                )
            )
        picture = controller.picture
        may_choose = picture is not None and not picture.layer.rgb and picture.layer.ndim == 3
        chosen = picture.channels if picture is not None else None
        self._form.setRowVisible(self.channels, may_choose)
        self._form.setRowVisible(self._picks_row, may_choose and chosen is not None)
        with QSignalBlocker(self.channels):
            self.channels.setCurrentText(_SLICES if chosen is None else _COLOURS)
        if may_choose and picture is not None:
            for spin in self.picks:
                with QSignalBlocker(spin):
                    spin.setMaximum(int(picture.array.shape[0]) - 1)

    def _image_chosen(self, _: object = None) -> None:
        layer = self.image.currentData()
        if isinstance(layer, Image):
            self._controller.viewer.layers.selection.active = layer

    def _channels_chosen(self, _: object = None) -> None:
        picks = tuple(spin.value() for spin in self.picks)
        if len(set(picks)) == 1:
            picks = picks[:1]
        colours = self.channels.currentText() == _COLOURS
        self._controller.work_on(self._controller.image, Channels(picks) if colours else None)

    # ---------------------------------------------------------------- progress

    def _show_progress(self, text: str, done: int, total: int) -> None:
        self._running.setVisible(bool(text))
        if not text:
            self.download.setEnabled(True)
            self._show_status()
            return
        self.status.setText(f"{text} …")
        # The bar paints at once else, and with it napari's canvas: 10 to 30 ms each time.
        self.progress.setUpdatesEnabled(False)
        self.progress.setRange(0, total)  # 0 of 0: it moves without an end
        self.progress.setValue(done)
        self.progress.setUpdatesEnabled(True)

    def _show_status(self, _: object = None) -> None:
        if not self._running.isHidden():
            return
        plane, session = self._controller.plane, self._controller.session
        if plane is None:
            self.status.setText("Open a picture to begin.")
        elif session.engine is None:
            self.status.setText("The model is not loaded yet.")
        elif plane.embedding is None:
            self.status.setText("The picture has not been read yet: press Segment.")
        else:
            rows, cols = plane.shape
            self.status.setText(f"Ready ({cols} x {rows} pixels): {_what_next(plane)}")


def _what_next(plane: Plane) -> str:
    """What is there, or what can be done."""
    found = len(set(plane.shown_numbers) - {0})
    if found:
        return f"partitioned into {found} source{'s' if found > 1 else ''}."
    areas = {} if plane.snapshot is None else plane.snapshot.areas
    if areas:
        return f"{len(areas)} source{'s' if len(areas) > 1 else ''} so far."
    return "place prompts on the picture, or partition it."


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


def _dropped_model(event: QDropEvent) -> str | None:
    data = event.mimeData()
    paths = [url.toLocalFile() for url in data.urls()] if data is not None else []
    return next((path for path in paths if Path(path).suffix.lower() in _SUFFIXES), None)
