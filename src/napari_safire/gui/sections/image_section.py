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

from napari_safire.engine.progress import Cancel, Progress
from napari_safire.gui.desk import Desk
from napari_safire.gui.pictures import Channels
from napari_safire.gui.sections.section import Section, button, elided_combo, form, wrapped
from napari_safire.model.registry import available_models, model_entry, model_state

_FILES = "Models (*.safetensors *.pth *.pt);;All files (*)"
_SUFFIXES = (".safetensors", ".pth", ".pt")
_SLICES = "each slice is a picture"
_COLOURS = "first axis holds colours"


class ImageSection(Section):
    """Choose image, channels, model and device; see what is being read, and stop it.

    Parameters
    ----------
    desk : Desk
    model, device : str
        What to begin with.
    """

    def __init__(self, desk: Desk, model: str, device: str) -> None:
        super().__init__("Image & model")
        self._desk = desk
        self.setAcceptDrops(True)

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
        self.device.addItems(["auto", "cpu"])
        self.device.setToolTip("Where the model runs; auto takes the fastest there is.")
        for combo in (self.image, self.channels, self.model, self.device):
            elided_combo(combo)

        self.browse = button("…", "Choose a checkpoint file.", self._browse)
        self.browse.setFixedWidth(28)
        self.browse.setAccessibleName("Choose a checkpoint file")
        self.download = button("Download", "Download this model.", self._download)
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
        self._form, self._picks_row = fields, picks

        self.status = wrapped()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.cancel = button("Cancel", "Stop what is running; nothing is lost.", desk.cancel)
        self.cancel.setFixedWidth(64)
        self._running = QWidget()
        running = QHBoxLayout(self._running)
        running.setContentsMargins(0, 0, 0, 0)
        running.addWidget(self.progress, 1)
        running.addWidget(self.cancel)
        self.body.addWidget(self.status)
        self.body.addWidget(self._running)
        self._running.hide()
        self.download.hide()

        layers = desk.viewer.layers.events
        for signal, slot in (
            (layers.inserted, self._show_images),
            (layers.removed, self._show_images),
            (desk.plane_changed, self._show_images),
            (desk.plane_changed, self._show_status),
            (desk.session.embedded, self._show_status),
            (desk.session.progress, self._show_progress),
            (desk.session.model_changed, self._model_changed),
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
        paths = [
            self.model.itemData(i)
            for i in range(self.model.count())
            if Path(self.model.itemData(i)).suffix in _SUFFIXES
        ]
        with QSignalBlocker(self.model):
            self.model.clear()
            names = [entry.name for entry in available_models()]
            for name in names:
                self._add_model(name, f"{name}  ({model_state(name)})", _described(name))
            for path in dict.fromkeys([*paths, *([] if chosen in names else [chosen])]):
                self._add_model(path, f"{Path(path).name}  (file)", path)
            self.model.setCurrentIndex(self.model.findData(chosen))

    def _add_model(self, name: str, text: str, tip: str) -> None:
        self.model.addItem(text, name)
        self.model.setItemData(self.model.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)

    def _model_chosen(self, _: object = None) -> None:
        name = self.model.currentData()
        if name is None:
            return
        known = {entry.name for entry in available_models()}
        missing = name in known and model_state(name) == "not downloaded"
        self.download.setVisible(missing)
        if missing:
            size = model_entry(name).size
            self.download.setText(f"Download ({size / 1e6:.0f} MB)" if size else "Download")
            self._desk.notice.emit(f"{name} has not been downloaded yet.", False)
            return
        self._desk.session.choose_model(name, self.device.currentText())

    def _download(self) -> None:
        name = self.model.currentData()

        def work(progress: Progress, cancel: Cancel) -> Path:
            from napari_safire.model.download import download_model

            return download_model(name, progress=progress, cancel=cancel)

        def done(path: Path) -> None:
            self._show_models(name)
            self._model_chosen()

        self._desk.session.run_long(f"Downloading {name}", work, done)

    def _browse(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Choose a checkpoint", "", _FILES)
        if path:
            self.choose_file(path)

    def _model_changed(self) -> None:
        self._show_status()
        if self._desk.session.engine is not None:
            self._desk.session.run(_device_names, self._add_devices)

    def _add_devices(self, names: list[str]) -> None:
        for name in names:
            if self.device.findText(name) < 0:
                self.device.addItem(name)

    # ---------------------------------------------------------------- image

    def _show_images(self, event: object = None) -> None:
        desk = self._desk
        with QSignalBlocker(self.image):
            self.image.clear()
            for layer in desk.images:
                self.image.addItem(layer.name, layer)
            if not desk.images:
                self.image.addItem("no image open", None)
            self.image.setCurrentIndex(
                next((i for i, layer in enumerate(desk.images) if layer is desk.image), -1)
            )
        picture = desk.picture
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
            self._desk.viewer.layers.selection.active = layer

    def _channels_chosen(self, _: object = None) -> None:
        picks = tuple(spin.value() for spin in self.picks)
        if len(set(picks)) == 1:
            picks = picks[:1]
        colours = self.channels.currentText() == _COLOURS
        self._desk.work_on(self._desk.image, Channels(picks) if colours else None)

    # ---------------------------------------------------------------- progress

    def _show_progress(self, text: str, done: int, total: int) -> None:
        self._running.setVisible(bool(text))
        if not text:
            self._show_status()
            return
        self.status.setText(f"{text} …")
        self.progress.setRange(0, total)  # 0 of 0: it moves without an end
        self.progress.setValue(done)

    def _show_status(self, _: object = None) -> None:
        if not self._running.isHidden():
            return
        plane, session = self._desk.plane, self._desk.session
        if plane is None:
            self.status.setText("Open a picture to begin.")
        elif session.engine is None:
            self.status.setText("The model is not loaded yet.")
        elif plane.embedding is None:
            self.status.setText("The picture has not been read yet: press Segment.")
        else:
            rows, cols = plane.shape
            self.status.setText(
                f"Ready ({cols} x {rows} pixels): place prompts on the picture, or partition it."
            )


def _described(name: str) -> str:
    entry = model_entry(name)
    lines = [entry.description, f"Licence: {entry.licence}"]
    if entry.trained_on:
        lines.append(f"Trained on: {entry.trained_on}")
    return "\n".join(lines)


def _device_names() -> list[str]:
    from napari_safire.engine.machine import devices  # torch is loaded by now

    return [device.name for device in devices()]


def _dropped_model(event: QDropEvent) -> str | None:
    data = event.mimeData()
    paths = [url.toLocalFile() for url in data.urls()] if data is not None else []
    return next((path for path in paths if path.endswith(_SUFFIXES)), None)
