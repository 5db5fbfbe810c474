"""The colour of a source, as a small square beside its number."""

from __future__ import annotations

from qtpy.QtGui import QColor, QPixmap

from napari_safire.gui.layers.colours import source_rgba

_SWATCH = 14


def swatch(number: int) -> QPixmap:
    """Paint the colour of a source, from 1."""
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor.fromRgbF(*source_rgba(number - 1)))
    return pixmap
