"""What speaks for each number of sources, as bars, to choose that number by."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget

from napari_safire.gui.panels.plot import HALF, QUIET, Plot

_WIDTH = 0.7  # of a bar, where the next one begins at 1
_ROOM = 0.5  # of the range: for the values over the bars

PROBABILITY = (
    "How probable each number of sources is, by the model. Click a bar to partition into that "
    "number."
)
SEPARATION = (
    "How clearly the prompts divide into each number of sources (mean silhouette, at best 1). It "
    "cannot tell whether there is more than one source. Click a bar to take its number."
)


class NumberPlot(Plot):
    """A bar for each number of sources; the current number is marked.

    A click asks for the nearest number, Left and Right for the one beside the current.

    Attributes
    ----------
    chosen : Signal(int)
        The user asks for this number of sources. The mark moves when the owner agrees and calls
        `set_values`.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._values: dict[int, float] = {}
        self._current: int | None = None
        self._percent = False
        super().__init__("Number of sources", PROBABILITY, 90, parent=parent)
        self._axis = pg.AxisItem("bottom", linkView=self.field, maxTickLength=0)
        self.rows.addItem(self._axis, 1, 0)
        self._bars = pg.BarGraphItem(x=[], height=[], width=_WIDTH)
        self._texts: list[pg.TextItem] = []
        self.field.addItem(self._bars)
        self.show_hint("Partition the picture to compare numbers of sources here")

    def set_values(
        self, values: Mapping[int, float], current: int | None, *, percent: bool = False
    ) -> None:
        """Show bars in place of what was shown.

        Parameters
        ----------
        values : mapping of int to float
            By number of sources: probabilities in [0, 1], or mean silhouettes in [-1, 1].
        current : int or None
            Number of sources to mark; one without a bar has no mark.
        percent : bool
            Whether these are probabilities.

        Raises
        ------
        ValueError
            A value that is not finite.
        """
        for number, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"The value of {number} sources is {value}: leave it out.")
        self._values, self._current, self._percent = dict(sorted(values.items())), current, percent
        self.setToolTip(PROBABILITY if percent else SEPARATION)
        self._show("" if values else "Too little to compare numbers of sources")

    def show_hint(self, message: str) -> None:
        """Show a hint instead of bars."""
        self._values, self._current = {}, None
        self._show(message)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Ask for the number of sources beside the current one."""
        if event is None:
            return
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        numbers = list(self._values)
        if event.key() not in steps or self._current not in numbers:
            event.ignore()
            return
        index = numbers.index(self._current) + steps[Qt.Key(event.key())]
        if 0 <= index < len(numbers):
            self.chosen.emit(numbers[index])

    def clicked(self, position: QPointF, adds: bool) -> None:
        """Ask for the number that was clicked."""
        if self._values:
            self.chosen.emit(self._nearest(self.field.mapSceneToView(position).x()))

    def positions(self) -> dict[int, QPointF]:
        """Top of each bar, in pixels of the widget, by number of sources."""
        return {number: self.on_screen(number, value) for number, value in self._values.items()}

    def explain(self, position: QPointF) -> str:
        """Value of the number of sources under the mouse."""
        x = self.field.mapSceneToView(position).x()
        if not self._values or not min(self._values) - 0.5 <= x <= max(self._values) + 0.5:
            return ""
        number = self._nearest(x)
        what = "probability" if self._percent else "separation"
        return f"{_sources(number)}: {what} {self._text(number)}"

    def restyle(self) -> None:
        """Take the colours of the theme."""
        super().restyle()
        for text in self._texts:
            self.field.removeItem(text)
        self._texts = []
        numbers = list(self._values)
        if not numbers:
            return  # the hint is shown; pyqtgraph has no bars without pens
        marks = [number == self._current for number in numbers]
        self._bars.setOpts(
            x=numbers,
            height=list(self._values.values()),
            width=_WIDTH,
            brushes=[self.ink(QUIET if mark else HALF / 2) for mark in marks],
            pens=[self.ink(1.0 if mark else HALF) for mark in marks],
        )
        for number, mark in zip(numbers, marks, strict=True):
            item = pg.TextItem(self._text(number), color=self.ink(1.0 if mark else QUIET))
            item.setAnchor((0.5, 1))
            item.setPos(number, max(self._values[number], 0))
            self.field.addItem(item, ignoreBounds=True)
            self._texts.append(item)
        self._axis.setPen(self.ink(HALF))
        self._axis.setTextPen(self.ink(QUIET))
        self._axis.setTicks([[(number, str(number)) for number in numbers]])

    def _text(self, number: int) -> str:
        value = self._values[number]
        return f"{value:.0%}" if self._percent else f"{value:.2f}"

    def _nearest(self, x: float) -> int:
        return min(self._values, key=lambda number: abs(number - x))

    def _show(self, message: str) -> None:
        self.hint = message
        values = self._values
        if values:
            high = max(*values.values(), 0.2)  # smaller differences shall look small
            low = min(0.0, *values.values())
            self.field.setRange(
                xRange=(min(values) - 0.6, max(values) + 0.6),
                yRange=(low, high + _ROOM * (high - low)),
                padding=0,
            )
        marked = f", {self._current} chosen" if self._current is not None else ""
        told = "; ".join(f"{_sources(number)}: {self._text(number)}" for number in values)
        self.setAccessibleDescription(message or told + marked)
        hand, arrow = Qt.CursorShape.PointingHandCursor, Qt.CursorShape.ArrowCursor
        self.setCursor(hand if values else arrow)
        self.restyle()


def _sources(number: int) -> str:
    return "1 source" if number == 1 else f"{number} sources"
