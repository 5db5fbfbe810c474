"""What the small plots of the dock share: pyqtgraph with a hint, tooltips, focus and the theme.

pyqtgraph draws by Qt's own painter: unlike a canvas of vispy it brings no second OpenGL context
beside napari's (`gui/layers/canvas_guard`). It takes the Qt binding that is loaded already.
"""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import QEvent, QPointF, QSize, Qt
from qtpy.QtGui import QColor, QFocusEvent, QHelpEvent, QPalette, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QToolTip, QWidget

FAINT, HALF, QUIET = 0.2, 0.55, 0.8  # strengths of ink


class Plot(pg.GraphicsView):
    """A field that shows either a plot or a hint; nothing in it is zoomed or dragged.

    Parameters
    ----------
    name : str
        What it is, for screen readers.
    explanation : str
        What one sees and can do: the tooltip where the plot has no better one.
    height : int
        Least height in pixels.
    field : pyqtgraph.ViewBox, optional
        One that hears drags.
    parent : QWidget, optional
    """

    def __init__(
        self,
        name: str,
        explanation: str,
        height: int,
        field: pg.ViewBox | None = None,
        parent: QWidget | None = None,
    ) -> None:
        self._height = height
        field = field or pg.ViewBox(enableMenu=False)
        super().__init__(parent, background=None)
        self.field = field
        # Not pyqtgraph's PlotWidget: its menus are widgets without a parent, which outlive a dock.
        self.rows = pg.GraphicsLayout()
        self.rows.layout.setSpacing(0)
        self.rows.layout.setContentsMargins(1, 1, 1, 1)
        self.rows.addItem(field, 0, 0)
        self.setCentralItem(self.rows)
        field.setMouseEnabled(False, False)
        self.scene().sigMouseClicked.connect(self._clicked)
        self._hint = QLabel(self)
        self._hint.setWordWrap(True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._hint.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setMinimumHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(name)
        self.setToolTip(explanation)

    @property
    def hint(self) -> str:
        """Shown in place of the plot unless empty."""
        return self._hint.text()

    @hint.setter
    def hint(self, text: str) -> None:
        self._hint.setText(text)
        self._hint.setVisible(bool(text))
        self.rows.setVisible(not text)

    def sizeHint(self) -> QSize:
        """Wide enough for a dock of 360 pixels."""
        return QSize(340, round(1.4 * self._height))

    def minimumSizeHint(self) -> QSize:
        """Still readable at this size."""
        return QSize(160, self._height)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the hint over all of it."""
        super().resizeEvent(event)
        if hasattr(self, "_hint"):  # Qt tells of sizes while pyqtgraph still builds the widget
            self._hint.setGeometry(self.rect().adjusted(12, 4, -12, -4))

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow napari's theme."""
        super().changeEvent(event)
        kinds = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in kinds and hasattr(self, "_hint"):
            self.restyle()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Show that keys go here."""
        super().focusInEvent(event)
        self.restyle()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Show that keys go elsewhere."""
        super().focusOutEvent(event)
        self.restyle()

    def viewportEvent(self, event: QEvent | None) -> bool:
        """Show a tooltip for the position under the mouse; all else as usual."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text = self.explain(QPointF(event.pos())) or self.toolTip()
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return bool(super().viewportEvent(event))

    def restyle(self) -> None:
        """Take the colours of the theme."""
        self.setBackground(self.palette().color(QPalette.ColorRole.Window))
        self.field.setBorder(self.ink(QUIET if self.hasFocus() else FAINT))

    def explain(self, position: QPointF) -> str:
        """Tooltip for a position in pixels of the widget; empty where there is none."""
        raise NotImplementedError

    def clicked(self, position: QPointF, adds: bool) -> None:
        """Answer a click of the left button, at a position in pixels of the widget.

        Parameters
        ----------
        position : QPointF
        adds : bool
            Whether Shift was held.
        """
        raise NotImplementedError

    def on_screen(self, x: float, y: float) -> QPointF:
        """Where a point of the plot is drawn, in pixels of the widget."""
        scene = self.field.mapViewToScene(QPointF(x, y))
        return self.viewportTransform().map(scene)

    def ink(self, strength: float = 1.0) -> QColor:
        """Colour of text and lines, mixed with the ground; 1 is the strongest."""
        # Not Base, Mid or Highlight: a style sheet leaves some of them as the desktop has them.
        palette = self.palette()
        full = palette.color(QPalette.ColorRole.WindowText)
        ground = palette.color(QPalette.ColorRole.Window)
        pairs = zip(full.getRgb()[:3], ground.getRgb()[:3], strict=True)
        return QColor(*(round(strength * a + (1 - strength) * b) for a, b in pairs))

    def _clicked(self, event: Any) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.clicked(self.viewportTransform().map(QPointF(event.scenePos())), adds(event))


def adds(event: Any) -> bool:
    """Whether Shift was held at an event of pyqtgraph."""
    return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
