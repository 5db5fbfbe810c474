"""The loupe: what views show around the pointer, enlarged, side by side, with their values."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QGridLayout, QSizePolicy, QWidget

from napari_safire.gui.layers.loupe import CutOut
from napari_safire.gui.panels.section import plain

_SIDE = 150  # pixels of the screen


class LoupeView(QWidget):
    """Two squares side by side, each with its name and value."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        self.squares = [_Square("A"), _Square("B")]
        self.texts = [plain(), plain()]
        for column, (square, text) in enumerate(zip(self.squares, self.texts, strict=True)):
            text.setAccessibleName(f"Value of {'AB'[column]} under the pointer")
            grid.addWidget(square, 0, column)
            grid.addWidget(text, 1, column)
            grid.setColumnStretch(column, 1)

    def show_cut_outs(self, seen: Sequence[tuple[str, CutOut]]) -> None:
        """Show views; fewer than two leave a square empty.

        Parameters
        ----------
        seen : sequence of (str, CutOut)
            Names, and what was seen.
        """
        for number, (square, text) in enumerate(zip(self.squares, self.texts, strict=True)):
            there = number < len(seen)
            square.show_cut_out(seen[number][1] if there else None)
            name, value = (seen[number][0], seen[number][1].value) if there else ("", "")
            text.setText(f"{'AB'[number]} {name}\n{value or 'nothing'}" if there else "")


class _Square(QWidget):
    def __init__(self, letter: str) -> None:
        super().__init__()
        self.setAccessibleName(f"Loupe on {letter}")
        self.setFixedHeight(_SIDE)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._image: QImage | None = None

    def show_cut_out(self, seen: CutOut | None) -> None:
        """Show it, or nothing."""
        self._image = None
        if seen is not None:
            height, width, _ = seen.rgb.shape
            drawn = QImage(
                seen.rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
            )
            self._image = drawn.copy()  # the bytes go
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw each pixel as a square, and a frame around that under the pointer."""
        if self._image is None:
            return
        painter = QPainter(self)
        n = self._image.width()
        pixel = max(1, min(self.width(), self.height()) // n)
        drawn = QRect(0, 0, pixel * n, pixel * n)
        drawn.moveCenter(self.rect().center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(drawn, self._image)
        middle = QRect(drawn.topLeft() + QPoint(n // 2, n // 2) * pixel, drawn.topLeft())
        middle.setWidth(pixel)
        middle.setHeight(pixel)
        for colour, grown in (("black", 1), ("white", 0)):
            painter.setPen(QPen(QColor(colour), 1, Qt.PenStyle.SolidLine))
            painter.drawRect(middle.adjusted(-grown, -grown, grown - 1, grown - 1))
        painter.end()
