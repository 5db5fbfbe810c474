"""Separation of the sources over their number, to choose that number by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRect, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent, QMouseEvent, QPainter, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_safire.gui.panels.plot import FAINT, HALF, MARGIN, QUIET, Plot

if TYPE_CHECKING:
    from napari_safire.engine.partitioning.quality import QualityPoint

_LEAST_RANGE = 0.2  # of the silhouette axis: smaller differences shall look small
_TICK = 0.05


class QualityCurve(Plot):
    """Separation of the sources over their number; the current number is marked.

    A click asks for the nearest number, Left and Right for the one beside the current.

    Attributes
    ----------
    chosen : Signal(int)
        The user asks for this number of sources. The marker moves when the owner agrees and calls
        `set_curve`.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Separation by number of sources",
            "How clearly the prompts divide into this many sources (mean silhouette, at best 1). "
            "It compares numbers from 2 on; it cannot tell whether there is more than one source. "
            "Click to choose a number.",
            90,
            parent,
        )
        self._points: tuple[QualityPoint, ...] = ()
        self._current: int | None = None
        self.clear("Run the partition to compare numbers of sources here")

    def set_curve(self, points: Sequence[QualityPoint], current: int | None) -> None:
        """Show a curve in place of what was shown.

        Parameters
        ----------
        points : sequence of QualityPoint
            In the order of their number of sources.
        current : int or None
            Number of sources to mark; one that is not on the curve, such as 1, has no mark.

        Raises
        ------
        ValueError
            Points out of order, or a silhouette that is not finite.
        """
        numbers = [point.n_sources for point in points]
        if any(a >= b for a, b in pairwise(numbers)):
            raise ValueError(f"Numbers of sources {numbers} are out of order: sort the points.")
        for point in points:
            if not math.isfinite(point.silhouette):
                raise ValueError(
                    f"The silhouette of {point.n_sources} sources is {point.silhouette}: "
                    "leave the point out."
                )
        self._points, self._current = tuple(points), current
        self._show("" if points else "Too few different prompts to compare numbers of sources")

    def clear(self, message: str) -> None:
        """Show a hint instead of a curve."""
        self._points, self._current = (), None
        self._show(message)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Ask for the number of sources at the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton and self._points:
            self.chosen.emit(self._points[self._nearest(event.position())].n_sources)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Ask for the number of sources beside the current one."""
        if event is None:
            return
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        numbers = [point.n_sources for point in self._points]
        if event.key() not in steps or self._current not in numbers:
            super().keyPressEvent(event)
            return
        index = numbers.index(self._current) + steps[Qt.Key(event.key())]
        if 0 <= index < len(numbers):
            self.chosen.emit(numbers[index])

    def positions(self) -> npt.NDArray[np.float64]:
        """Where the points are drawn: (K, 2) x and y in pixels of the widget."""
        field = self._field()
        low, high = self._range()
        steps = np.arange(len(self._points)) + 0.5
        heights = np.array([point.silhouette for point in self._points])
        x = field.left() + field.width() * steps / max(len(steps), 1)
        y = field.bottom() - field.height() * (heights - low) / (high - low)
        return np.stack([x, y], axis=1)

    def paint_plot(self, painter: QPainter) -> None:
        """Paint axis, curve and mark."""
        field, metrics = self._field(), self.fontMetrics()
        line = metrics.height()
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        centre, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter

        def write(box: QRectF, alignment: Qt.AlignmentFlag, text: str, strong: bool) -> None:
            painter.setPen(self.ink(1.0 if strong else QUIET))
            painter.drawText(box, int(alignment | middle), text)

        for value, y in zip(self._range(), (field.bottom(), field.top()), strict=True):
            painter.setPen(QPen(self.ink(FAINT), 1.0))
            painter.drawLine(QPointF(field.left(), y), QPointF(field.right(), y))
            box = QRectF(0, y - line / 2, field.left() - 6, line)
            write(box, right, f"{value:.2f}", False)
        write(QRectF(MARGIN, 2, field.right(), line), left, "separation", False)
        below = QRectF(0, field.bottom() + 3, 0, line)
        write(QRectF(0, below.top(), self.width() - MARGIN, line), right, "sources", False)
        positions = [QPointF(*place) for place in self.positions()]
        painter.setPen(QPen(self.ink(HALF), 1.5))
        painter.drawPolyline(QPolygonF(positions))
        for point, place in zip(self._points, positions, strict=True):
            marked = point.n_sources == self._current
            if marked:
                painter.setPen(QPen(self.ink(HALF), 1.0, Qt.PenStyle.DashLine))
                painter.drawLine(
                    QPointF(place.x(), field.top()), QPointF(place.x(), field.bottom())
                )
            painter.setPen(QPen(self.ink(), 1.5))
            window = self.palette().color(QPalette.ColorRole.Window)
            painter.setBrush(self.ink() if marked else window)
            radius = 5.0 if marked else 3.0
            painter.drawEllipse(place, radius, radius)
            box = QRectF(place.x() - 20, below.top(), 40, line)
            write(box, centre, str(point.n_sources), marked)

    def explain(self, position: QPointF) -> tuple[str, QRect]:
        """Value of the number of sources under the mouse."""
        if not self._points:
            return "", QRect()
        index = self._nearest(position)
        point, field = self._points[index], self._field()
        column = field.width() / len(self._points)
        if not field.left() <= position.x() <= field.right():
            return "", QRect()
        area = QRectF(field.left() + index * column, 0, column, self.height())
        return f"{point.n_sources} sources: separation {point.silhouette:.3f}", area.toRect()

    def _nearest(self, position: QPointF) -> int:
        return int(np.argmin(np.abs(self.positions()[:, 0] - position.x())))

    def _field(self) -> QRectF:
        """The part inside the axis labels."""
        metrics = self.fontMetrics()
        left = MARGIN + metrics.horizontalAdvance("-0.00") + 6
        right = MARGIN + metrics.horizontalAdvance("sources")
        line = metrics.height()
        return QRectF(self.rect()).adjusted(left, 1.5 * line + 4, -right, -line - 8)

    def _range(self) -> tuple[float, float]:
        """Ends of the silhouette axis, round numbers around all points."""
        heights = [point.silhouette for point in self._points]
        high = math.ceil(max(heights, default=1.0) / _TICK - 1e-9) * _TICK
        low = math.floor(min(heights, default=0.0) / _TICK + 1e-9) * _TICK
        return min(low, high - _LEAST_RANGE), high

    def _show(self, message: str) -> None:
        self.hint = message
        marked = f", {self._current} chosen" if self._current is not None else ""
        curve = "; ".join(f"{p.n_sources} sources: {p.silhouette:.2f}" for p in self._points)
        self.setAccessibleDescription(message or curve + marked)
        self.setCursor(
            Qt.CursorShape.PointingHandCursor if self._points else Qt.CursorShape.ArrowCursor
        )
        self.update()
