"""One switch for what is looked at, the opacity of it, and what its colours mean."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.layer_group import VIEWS, View
from napari_safire.gui.panels.map_legend import MapLegend
from napari_safire.gui.panels.section import Rows, Section, button

_HELP: dict[View, str] = {
    "picture": "Look at the picture alone.",
    "sources": "Look at the sources, in the colours of the table.",
    "forgery map": (
        "Look at where a paste would be, if there were one. Whether there is one, the verdict says."
    ),
    "uncertainty": "Look at how unsure each pixel's source is; it is made when first asked for.",
}


class ViewPanel(Section):
    """Picture, Sources, Forgery map or Uncertainty.

    Parameters
    ----------
    controller : ViewerController
    switch : ViewSwitch
    """

    def __init__(self, controller: ViewerController, switch: ViewSwitch) -> None:
        super().__init__("")
        self._controller, self._switch = controller, switch
        self._layer: Layer | None = None
        self._of_layer = Connections()
        self.buttons: dict[View, QPushButton] = {}
        for view in VIEWS:
            made = button(view.capitalize(), _HELP[view], self._chooser(view))
            made.setCheckable(True)
            made.setAccessibleName(f"View: {view}")
            self.buttons[view] = made
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("How opaque what lies over the picture is drawn.")
        self.opacity.setAccessibleName("Opacity of what lies over the picture")
        self.opacity.valueChanged.connect(self._opacity_chosen)
        self.legend = MapLegend()
        beside = QHBoxLayout()
        beside.setSpacing(6)
        beside.addWidget(QLabel("Opacity"))
        beside.addWidget(self.opacity, 1)
        self.body.addWidget(Rows(list(self.buttons.values()), len(VIEWS)))
        self.body.addLayout(beside)
        self.body.addWidget(self.legend)
        for signal in (
            controller.view_changed,
            controller.plane_changed,
            controller.shown,
            controller.session.partitioned,
            controller.session.model_changed,
            controller.session.blind.changed,
        ):
            self.connections.connect(signal, self._show)
        self._show()

    def close_section(self) -> None:
        """Let go of the layer, too."""
        super().close_section()
        self._of_layer.disconnect()
        self._switch.connections.disconnect()

    def _chooser(self, view: View) -> Any:
        def choose() -> None:
            self._switch.show(view)
            self._show()  # also where nothing came of it

        return choose

    def _show(self, _: object = None) -> None:
        now = self._switch.view
        for view, made in self.buttons.items():
            with QSignalBlocker(made):
                made.setChecked(view == now and self._switch.is_there("picture"))
            made.setEnabled(self._switch.can_be_shown(view))
        layer = self._switch.layer
        if layer is not self._layer:
            self._of_layer.disconnect()
            self._layer = layer
            if layer is not None:
                self._of_layer.connect(layer.events.opacity, self._show_opacity)
        self._show_opacity()
        plane = self._controller.plane
        forgery = None if plane is None else plane.forgery
        if layer is not None and now == "forgery map" and forgery is not None:
            self.legend.show_map(forgery)
        elif layer is not None and now == "uncertainty":
            self.legend.show_uncertainty()
        else:
            self.legend.hide()

    def _show_opacity(self, _: object = None) -> None:
        self.opacity.setEnabled(self._layer is not None)
        if self._layer is not None:
            with QSignalBlocker(self.opacity):
                self.opacity.setValue(round(100 * self._layer.opacity))

    def _opacity_chosen(self, percent: int) -> None:
        if self._layer is not None:
            self._layer.opacity = percent / 100
