"""Picture: which image layer is worked on, and which of its channels."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QSpinBox

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.image_planes import Channels
from napari_safire.gui.panels.section import ControllerSection, beside, elided_combo, form
from napari_safire.text import isolated

_HELP = "The image layer to work on; it follows the layer you select."
_SLICES = "each slice is a picture"
_COLOURS = "first axis holds colours"


class PictureSection(ControllerSection):
    """Choose the image layer and, where its first axis may hold colours, the channels."""

    def __init__(self, controller: ViewerController) -> None:
        super().__init__(controller)
        self.image = elided_combo("Picture to work on", _HELP)
        self.channels = elided_combo(
            "Meaning of the first axis",
            "What the first axis of the image means. With colours, choose the values that are red, "
            "green and blue; three times the same is grey.",
        )
        self.channels.addItems([_SLICES, _COLOURS])
        self.picks = [QSpinBox() for _ in "RGB"]
        for number, (spin, colour) in enumerate(
            zip(self.picks, ("red", "green", "blue"), strict=True)
        ):
            spin.setPrefix(f"{colour[0].upper()} ")
            spin.setValue(number)
            spin.setToolTip(f"Channel shown as {colour}.")
            spin.setAccessibleName(f"Channel shown as {colour}")
        self._picks_row = beside(*self.picks)
        self._form = form()
        self._form.addRow("Picture", self.image)
        self._form.addRow("Channels", self.channels)
        self._form.addRow("", self._picks_row)
        self.body.addLayout(self._form)
        layers = controller.viewer.layers.events
        for signal in (layers.inserted, layers.removed, controller.plane_changed):
            self.connections.connect(signal, self._show)
        self.image.activated.connect(self._image_chosen)
        self.channels.activated.connect(self._channels_chosen)
        for spin in self.picks:
            spin.valueChanged.connect(self._channels_chosen)
        self._show()

    def _show(self, event: object = None) -> None:
        controller = self._controller
        with QSignalBlocker(self.image):
            self.image.clear()
            for layer in controller.images:
                self.image.addItem(isolated(layer.name), layer)
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
        # The whole name, of which a narrow dock shows a part.
        self.image.setToolTip(_HELP if picture is None else f"{picture.layer.name}\n{_HELP}")
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
