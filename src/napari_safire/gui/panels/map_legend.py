"""What the colours of the forgery map and of the uncertainty mean."""

from __future__ import annotations

from typing import Any

from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_safire.forgery import ForgeryMap
from napari_safire.gui.layers.colours import UNCERTAINTY_COLOURS, forgery_colormap
from napari_safire.gui.panels.section import wrapped

_STOPS = 16
_HEIGHT = 12
_UNDER = 0.3  # grey of the picture that stands for all, under the half transparent map
_OPACITY = 0.5
_MAP = (
    "Share of the model's softmax that is not the largest source, from 0 to 1. It says where, not "
    "whether: it is no probability that a pixel was forged."
)
_UNCERTAINTY = (
    "1 minus the smaller of two: how far a pixel's strongest source is ahead of the next, and how "
    "often the partition made again puts it into the same source."
)


class MapLegend(QWidget):
    """Colour bar of what lies over the picture; the map's with its caveat."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = _Bar()
        self.caveat = wrapped()
        self._low, self._high = QLabel(), QLabel()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        grid.addWidget(self._bar, 0, 0, 1, 3)
        grid.addWidget(self._low, 1, 0)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self._high, 1, 2)
        grid.addWidget(self.caveat, 2, 0, 1, 3)
        self.hide()

    def show_map(self, forgery: ForgeryMap) -> None:
        """Explain a forgery map; unless its verdict is "forged", with its caveat.

        Regions that other evidence accuses are named.
        """
        self._bar.show_colours(forgery_colormap(muted=bool(forgery.caveat)))
        told = [forgery.caveat] if forgery.caveat else []
        if forgery.regions:
            told.append(f"Other evidence has regions in it: {', '.join(forgery.regions)}.")
        self._say("0: largest source", "1: other sources", " ".join(told), _MAP)

    def show_uncertainty(self) -> None:
        """Explain the uncertainty."""
        self._bar.show_colours(UNCERTAINTY_COLOURS)
        self._say("0: sure", "1: could be another source", "", _UNCERTAINTY)

    def _say(self, low: str, high: str, caveat: str, tip: str) -> None:
        self._low.setText(low)
        self._high.setText(high)
        self.caveat.setText(caveat)
        self.caveat.setVisible(bool(caveat))
        self.setToolTip(tip)
        self.setAccessibleName(f"Colours, from {low} to {high}")
        self.setAccessibleDescription(tip)
        self.show()


class _Bar(QWidget):
    """The colours as they lie over a grey picture."""

    def __init__(self) -> None:
        super().__init__()
        self._colours: Any = forgery_colormap(muted=True)
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_colours(self, colours: Any) -> None:
        """Show the colours of a layer."""
        self._colours = colours
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the gradient."""
        colours = ensure_colormap(self._colours)
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for step in range(_STOPS + 1):
            red, green, blue, alpha = colours.map(step / _STOPS).ravel().tolist()
            share = _OPACITY * alpha
            mixed = (share * value + (1 - share) * _UNDER for value in (red, green, blue))
            gradient.setColorAt(step / _STOPS, QColor.fromRgbF(*mixed))
        painter = QPainter(self)
        painter.fillRect(QRectF(self.rect()), gradient)
        painter.end()
