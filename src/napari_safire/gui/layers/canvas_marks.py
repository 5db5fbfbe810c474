"""What lies over the canvas while views are compared: a line to drag, names, linked crosses.

They are widgets on the canvas: no layer of the viewer, nothing that a screenshot of it holds, and
a drag of the line is never a stroke or a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from napari.components import ViewerModel
from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, QPoint, QRect, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QLabel, QWidget

from napari_safire.gui.layers.canvas_guard import canvas_of
from napari_safire.gui.layers.drawn_layers import Line

_GRIP = 9  # pixels across the line that take the mouse
_HANDLE = 28  # pixels along it
_CROSS = 17  # pixels a side
_MARGIN = 6
_CAPTION = "background: rgba(0, 0, 0, 170); color: white; padding: 1px 5px; border-radius: 3px;"


@dataclass(frozen=True, slots=True)
class Caption:
    """A name over the canvas.

    Parameters
    ----------
    text : str
    x, y : float
        Where its corner lies, 0 to 1 of the canvas.
    corner : str
        Which corner: "bottom left", "bottom right" or "top right". napari writes names of layers
        at the upper left.
    """

    text: str
    x: float
    y: float
    corner: Literal["bottom left", "bottom right", "top right"] = "bottom left"


class CanvasMarks:
    """Marks over the canvas of a viewer; without a window there are none.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Attributes
    ----------
    dragged : Signal(float)
        The line was dragged there: 0 to 1.
    resized : Signal()
        The canvas has another size.
    """

    dragged = Signal(float)
    resized = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._line: LineMark | None = None
        self._captions: list[QLabel] = []
        self._crosses: list[CrossMark] = []
        self._places: Sequence[Caption] = ()
        self._watch: _SizeWatch | None = None

    @property
    def line(self) -> LineMark | None:
        """The line, where there is one."""
        return self._line

    @property
    def captions(self) -> list[QLabel]:
        """Names of what is drawn where."""
        return self._captions

    @property
    def crosses(self) -> list[CrossMark]:
        """One in each cell of the grid that the pointer is not in."""
        return [cross for cross in self._crosses if cross.isVisible()]

    def show_line(self, line: Line | None) -> None:
        """Show the line, or none."""
        native = self._native
        if line is None or native is None:
            if self._line is not None:
                _drop(self._line)
                self._line = None
            return
        if self._line is None:
            self._line = LineMark(native, self.dragged.emit)
            self._watch_size(native)
        self._line.go_to(line)

    def show_captions(self, captions: Sequence[Caption]) -> None:
        """Show names, and only these."""
        native = self._native
        if native is None:
            return
        while len(self._captions) > len(captions):
            _drop(self._captions.pop())
        while len(self._captions) < len(captions):
            label = QLabel(native)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            label.setStyleSheet(_CAPTION)
            label.show()
            self._captions.append(label)
        self._places = captions
        for label, caption in zip(self._captions, captions, strict=True):
            if label.text() != caption.text:
                label.setText(caption.text)
                label.adjustSize()
        self._watch_size(native)
        self._place_captions()

    def show_crosses(self, world: Sequence[float] | None) -> None:
        """Show in all cells of the grid but the pointer's own where the pointer is.

        Parameters
        ----------
        world : sequence of float or None
            Where, in world coordinates; None: nowhere.
        """
        canvas = canvas_of(self._viewer)
        cells = [] if world is None or canvas is None else _cells(canvas)
        native = self._native
        while native is not None and len(self._crosses) < len(cells):
            self._crosses.append(CrossMark(native))
        own = getattr(self._viewer.cursor, "viewbox", None)
        for number, cross in enumerate(self._crosses):
            inside = None
            if number < len(cells) and world is not None and cells[number].place != own:
                inside = cells[number].position(world)
            cross.setVisible(inside is not None)
            if inside is not None:
                cross.move(inside - QPoint(_CROSS // 2, _CROSS // 2))

    def close(self) -> None:
        """Take all of them away."""
        for widget in (self._line, *self._captions, *self._crosses):
            _drop(widget)
        self._line, self._captions, self._crosses, self._places = None, [], [], ()
        if self._watch is not None:
            with suppress(RuntimeError):
                self._watch.stop()
            self._watch = None

    @property
    def _native(self) -> QWidget | None:
        canvas = canvas_of(self._viewer)
        return None if canvas is None else canvas.native

    def _watch_size(self, native: QWidget) -> None:
        if self._watch is None:
            self._watch = _SizeWatch(native, self._size_changed)

    def _size_changed(self) -> None:
        if self._line is not None:
            self._line.go_to(self._line.line)
        self._place_captions()
        self.resized.emit()

    def _place_captions(self) -> None:
        native = self._native
        if native is None:
            return
        for label, caption in zip(self._captions, self._places, strict=True):
            x, y = round(caption.x * native.width()), round(caption.y * native.height())
            left = x + _MARGIN if "left" in caption.corner else x - label.width() - _MARGIN
            top = y + _MARGIN if "top" in caption.corner else y - label.height() - _MARGIN
            label.move(left, top)


class LineMark(QWidget):
    """A line across the canvas that can be dragged.

    Parameters
    ----------
    canvas : QWidget
    dragged : callable
        Takes where it was dragged to, 0 to 1.
    """

    def __init__(self, canvas: QWidget, dragged: Any) -> None:
        super().__init__(canvas)
        self._canvas, self._dragged = canvas, dragged
        self.line = Line()
        self.setToolTip("Drag: what lies on either side is another view.")
        self.setAccessibleName("Line between the views")
        self.show()

    def go_to(self, line: Line) -> None:
        """Lie there."""
        self.line = line
        width, height = self._canvas.width(), self._canvas.height()
        half = _GRIP // 2
        if line.upright:
            self.setCursor(Qt.CursorShape.SplitHCursor)
            self.setGeometry(round(line.position * width) - half, 0, _GRIP, height)
        else:
            self.setCursor(Qt.CursorShape.SplitVCursor)
            self.setGeometry(0, round(line.position * height) - half, width, _GRIP)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Keep it from the canvas."""
        if event is not None:
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Keep it from the canvas."""
        if event is not None:
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Go along with the mouse."""
        if event is None or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        at = self.mapToParent(event.position().toPoint())
        length = self._canvas.width() if self.line.upright else self._canvas.height()
        place = at.x() if self.line.upright else at.y()
        self._dragged(min(1.0, max(0.0, place / max(1, length))))
        event.accept()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a white line with dark edges, and a handle in its middle."""
        painter = QPainter(self)
        middle = self.rect().center()
        upright = self.line.upright
        along = self.rect().adjusted(3, 0, -3, 0) if upright else self.rect().adjusted(0, 3, 0, -3)
        painter.fillRect(along, QColor(0, 0, 0, 160))
        size = (_GRIP, _HANDLE) if upright else (_HANDLE, _GRIP)
        handle = QRect(QPoint(0, 0), QPoint(size[0] - 1, size[1] - 1))
        handle.moveCenter(middle)
        painter.fillRect(handle, QColor(0, 0, 0, 160))
        painter.fillRect(handle.adjusted(1, 1, -1, -1), QColor("white"))
        thin = along.adjusted(1, 0, -1, 0) if upright else along.adjusted(0, 1, 0, -1)
        painter.fillRect(thin, QColor("white"))
        painter.end()


class CrossMark(QWidget):
    """A cross that takes no mouse."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(_CROSS, _CROSS)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it white in black, so that it is seen on any ground."""
        painter = QPainter(self)
        middle = _CROSS // 2
        for colour, width in (("black", 3), ("white", 1)):
            painter.setPen(QPen(QColor(colour), width))
            painter.drawLine(0, middle, _CROSS - 1, middle)
            painter.drawLine(middle, 0, middle, _CROSS - 1)
        painter.end()


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell of napari's grid."""

    place: tuple[int, int]
    view: Any  # vispy's

    def position(self, world: Sequence[float]) -> QPoint | None:
        """Where a place of the world is drawn on the canvas; None beyond this cell."""
        x, y, _, w = self.view.scene.transform.map([world[-1], world[-2], 0, 1])
        inside = QPoint(round(x / w), round(y / w))
        width, height = self.view.rect.size
        if not QRect(0, 0, round(width), round(height)).contains(inside):
            return None
        left, top = self.view.transform.translate[:2]
        return inside + QPoint(round(left), round(top))


class _SizeWatch(QObject):
    """Tells of another size of the canvas."""

    def __init__(self, canvas: QWidget, tell: Any) -> None:
        super().__init__(canvas)
        self._canvas, self._tell = canvas, tell
        canvas.installEventFilter(self)

    def stop(self) -> None:
        """Tell nothing any more."""
        self._canvas.removeEventFilter(self)
        self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at an event, and let it go on."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._tell()
        return False


def _cells(canvas: Any) -> list[_Cell]:
    """Those of the grid that hold a layer."""
    grid, layers = canvas.viewer.canvas.grid, canvas.viewer.layers
    if not grid.enabled:
        return []
    listed = zip(grid.iter_viewboxes(layers), canvas.grid_views, strict=False)
    return [_Cell(place, view) for (place, held), view in listed if held]


def _drop(widget: QWidget | None) -> None:
    if widget is not None:
        with suppress(RuntimeError):  # it went with the canvas
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()
