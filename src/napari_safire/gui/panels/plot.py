"""What the small plots of the dock share: frame, hint, tooltips and colours.

Plain painted widgets. They show what they are given and tell what the user picked; text and lines
take their colours from the palette, so that they follow napari's theme.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

MARGIN = 12.0  # pixels
FAINT, HALF, QUIET = 0.2, 0.55, 0.8  # strengths of ink


class Plot(QWidget):
    """A framed field that shows either a plot or a hint; a plot paints and explains itself.

    Parameters
    ----------
    name : str
        What it is, for screen readers.
    explanation : str
        What one sees and can do: the tooltip where the plot has no better one.
    height : int
        Least height in pixels.
    parent : QWidget, optional

    Attributes
    ----------
    hint : str
        Shown in place of the plot unless empty.
    """

    def __init__(
        self, name: str, explanation: str, height: int, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.hint = ""
        self._height = height
        self.setMinimumHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)  # a tooltip goes when the mouse leaves its place
        self.setAccessibleName(name)
        self.setToolTip(explanation)

    def sizeHint(self) -> QSize:
        """Wide enough for a dock of 360 pixels."""
        return QSize(340, round(1.4 * self._height))

    def minimumSizeHint(self) -> QSize:
        """Still readable at this size."""
        return QSize(160, self._height)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the frame, and the hint or the plot."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setPen(QPen(self.ink(HALF if self.hasFocus() else FAINT), 1.0))
        painter.drawRoundedRect(frame, 3, 3)
        if self.hint:
            painter.setPen(self.ink(QUIET))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            inside = frame.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
            painter.drawText(inside, int(flags), self.hint)
        else:
            self.paint_plot(painter)
        painter.end()

    def event(self, event: QEvent | None) -> bool:
        """Show a tooltip for the place under the mouse; all else as usual."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            text, area = self.explain(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), text or self.toolTip(), self, area)
            return True
        return super().event(event)

    def paint_plot(self, painter: QPainter) -> None:
        """Paint what is plotted, in pixels of the widget."""
        raise NotImplementedError

    def explain(self, position: QPointF) -> tuple[str, QRect]:
        """Tooltip for a place and the area where it holds; no text where there is none."""
        raise NotImplementedError

    def ink(self, strength: float = 1.0) -> QColor:
        """Colour of text and lines, mixed with the ground; 1 is the strongest.

        Mixed rather than translucent: Qt strokes translucent outlines several times slower.
        """
        # Not Base, Mid or Highlight: a style sheet leaves some of them as the desktop has them.
        palette = self.palette()
        full = palette.color(QPalette.ColorRole.WindowText)
        ground = palette.color(QPalette.ColorRole.Window)
        pairs = zip(full.getRgb()[:3], ground.getRgb()[:3], strict=True)
        return QColor(*(round(strength * a + (1 - strength) * b) for a, b in pairs))
