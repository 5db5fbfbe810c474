"""What the colours of the forgery map mean, beside the button that shows it."""

from __future__ import annotations

from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_safire.gui.layers.colours import forgery_colormap
from napari_safire.gui.panels.section import wrapped
from napari_safire.types import ForgeryMap

_STOPS = 16
_HEIGHT = 12
_UNDER = 0.3  # grey of the picture that stands for all, under the half transparent map
_OPACITY = 0.5
_HELP = (
    "Share of the model's softmax that is not the largest source, from 0 to 1. It says where, not "
    "whether: it is no probability that a pixel was forged."
)


class ForgeryScale(QWidget):
    """Colour bar of the forgery map, with its caveat where the verdict is not "forged"."""

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(_HELP)
        self._bar = _Bar()
        self.caveat = wrapped()
        low, high = QLabel("0: largest source"), QLabel("1: other sources")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(1)
        grid.addWidget(self._bar, 0, 0, 1, 3)
        grid.addWidget(low, 1, 0)
        grid.setColumnStretch(1, 1)
        grid.addWidget(high, 1, 2)
        grid.addWidget(self.caveat, 2, 0, 1, 3)
        self.hide()

    def show_map(self, forgery: ForgeryMap | None) -> None:
        """Explain a forgery map that is shown; None hides the scale."""
        self.setVisible(forgery is not None)
        if forgery is not None:
            self._bar.set_muted(bool(forgery.caveat))
            where = "Where the model sees other sources than the largest."
            self.caveat.setText(f"{forgery.caveat or where} The sources are hidden meanwhile.")


class _Bar(QWidget):
    """The colours as they lie over a grey picture."""

    def __init__(self) -> None:
        super().__init__()
        self._muted = True
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_muted(self, muted: bool) -> None:
        """Show the colours of a muted map, or of one that glows."""
        if muted != self._muted:
            self._muted = muted
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the gradient."""
        from napari.utils.colormaps import ensure_colormap

        colours = ensure_colormap(forgery_colormap(muted=self._muted))
        gradient = QLinearGradient(0, 0, self.width(), 0)
        for step in range(_STOPS + 1):
            red, green, blue, alpha = colours.map(step / _STOPS).ravel().tolist()
            share = _OPACITY * alpha
            mixed = (share * value + (1 - share) * _UNDER for value in (red, green, blue))
            gradient.setColorAt(step / _STOPS, QColor.fromRgbF(*mixed))
        painter = QPainter(self)
        painter.fillRect(QRectF(self.rect()), gradient)
        painter.end()
