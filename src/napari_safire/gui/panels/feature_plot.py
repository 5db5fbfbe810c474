"""Patches of a picture, or prompts of a grid, as dots in the plane of their features."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from qtpy.QtCore import QPointF, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QKeyEvent, QPalette
from qtpy.QtWidgets import QWidget

from napari_safire.gui.panels.plot import HALF, Plot, adds

_REACH = 10.0  # pixels: a click this near to a dot means it
_DIAMETERS = (5.0, 10.0)  # pixels: dots of weight 0 and 1
_HALO = 6.0  # pixels that a selected dot is larger
_STEPS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class FeaturePlot(Plot):
    """Dots that lie near each other where the model sees the same features.

    A click selects the nearest dot, a drag those inside the band; Shift adds (a Shift-click on a
    selected dot takes it out). A click beside the dots or Escape selects none. Arrow keys go to the
    next dot in that direction.

    Attributes
    ----------
    selected : Signal(object)
        The user changed the selection: a sorted tuple of int, indices of dots. Not emitted for
        changes from outside.
    """

    selected = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        self._noun = ("prompt", "prompts")
        self._xy = np.zeros((0, 2))
        self._colours = np.zeros((0, 4))
        self._diameters = np.zeros(0)
        self._name: Callable[[int], str] | None = None
        self._selection: frozenset[int] = frozenset()
        super().__init__(
            "Features in two directions",
            "Dots lie near each other where the model sees the same features. "
            "Click or drag to select, Shift adds, Escape clears.",
            140,
            _Field(),
            parent,
        )
        self.field.plot = self
        self.field.setAspectLocked(True)
        self._halos, self._dots = pg.ScatterPlotItem(), pg.ScatterPlotItem()
        self.field.addItem(self._halos)
        self.field.addItem(self._dots)
        self.show_hint("Partition the picture to see its features here")

    def set_dots(
        self,
        xy: npt.ArrayLike,
        colours: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        name: Callable[[int], str] | None = None,
        noun: tuple[str, str] = ("prompt", "prompts"),
    ) -> None:
        """Show dots in place of what was shown.

        The selection stays where the dots lie at the same positions as before, as they do when only
        the number of sources changed; else nothing is selected. No signal is emitted.

        Parameters
        ----------
        xy : (N, 2) array_like
            Positions in the plane, y upwards, in any unit. Rows that are not finite are not drawn.
        colours : (N, 4) array_like
            Red, green, blue, alpha in [0, 1]. Alpha 0 stands for "in no source": a hollow dot.
        weights : (N,) array_like, optional
            0 .. 1, clipped: size of the dot, of prompts their confidence. Not finite counts as 0.
        name : callable of int to str, optional
            Plain text for the tooltip of a dot.
        noun : (str, str)
            What a dot is, and several of them.

        Raises
        ------
        ValueError
            Arrays that do not belong together; colours outside [0, 1].
        """
        positions = np.array(xy, dtype=np.float64)
        paints = np.array(colours, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] != 2:
            raise ValueError(f"Positions of shape {positions.shape}: give (dots, 2).")
        positions[~np.isfinite(positions).all(axis=1)] = np.nan
        count = len(positions)
        if paints.shape != (count, 4):
            raise ValueError(
                f"Colours of shape {paints.shape} for {count} dots: give one RGBA for each."
            )
        if not ((paints >= 0) & (paints <= 1)).all():
            raise ValueError("Colours lie outside 0 .. 1: divide 8-bit values by 255.")
        shares = np.full(count, 0.5) if weights is None else np.array(weights, np.float64)
        if shares.shape != (count,):
            raise ValueError(
                f"Weights of shape {shares.shape} for {count} dots: give one for each."
            )
        if not np.array_equal(positions, self._xy, equal_nan=True):
            self._selection = frozenset()
        shares = np.clip(np.nan_to_num(shares, posinf=0.0, neginf=0.0), 0, 1)
        self._xy, self._colours, self._name, self._noun = positions, paints, name, noun
        self._diameters = np.interp(shares, (0, 1), _DIAMETERS)
        drawn = positions[self._drawn]
        self._fit_range(drawn)
        self._show("" if len(drawn) else f"No {noun[0]} has features")

    def _fit_range(self, drawn: npt.NDArray[np.float64]) -> None:
        """Let the axes hold all dots."""
        if not len(drawn):
            return
        low, high = drawn.min(axis=0), drawn.max(axis=0)
        spread = (high - low).max() or 1.0
        middle = (low + high) / 2
        # A line of dots has no height of its own: any does, as both axes share one scale.
        width, height = np.maximum(high - low, 1e-3 * spread)
        box = QRectF(middle[0] - width / 2, middle[1] - height / 2, width, height)
        self.field.setRange(box, padding=0.12)

    def show_hint(self, message: str) -> None:
        """Show a hint instead of dots."""
        self._xy, self._colours = np.zeros((0, 2)), np.zeros((0, 4))
        self._diameters, self._name = np.zeros(0), None
        self._selection = frozenset()
        self._show(message)

    def set_selected(self, indices: Iterable[int]) -> None:
        """Highlight these dots and no others; emits nothing.

        Raises
        ------
        ValueError
            An index of no dot.
        """
        self._selection = self._known(indices)
        self._draw()

    def positions(self) -> npt.NDArray[np.float64]:
        """Where the dots are drawn: (N, 2) x and y in pixels of the widget, NaN where not drawn."""
        zero, one = self.on_screen(0, 0), self.on_screen(1, 1)
        origin = np.array([zero.x(), zero.y()])
        return origin + self._xy * (np.array([one.x(), one.y()]) - origin)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Escape gives up a drag, else the selection; arrows go to the next dot."""
        if event is None:
            return
        if event.key() == Qt.Key.Key_Escape and (self.field.begun or self._selection):
            if self.field.begun:
                self.field.give_up()
            else:
                self._select(frozenset())
        elif event.key() in _STEPS and self._drawn.any():
            self._select(frozenset((self._next(*_STEPS[Qt.Key(event.key())]),)))
        else:
            event.ignore()

    def explain(self, position: QPointF) -> str:
        """Name of the dot under the mouse."""
        nearest = self._nearest(position)
        return "" if nearest is None or self._name is None else self._name(nearest)

    def restyle(self) -> None:
        """Take the colours of the theme."""
        super().restyle()
        self._draw()

    def clicked(self, position: QPointF, adds: bool) -> None:
        """Select what was clicked, at a position in pixels of the widget."""
        nearest = self._nearest(position)
        hit = frozenset(() if nearest is None else (nearest,))
        self._select(self._selection ^ hit if adds else hit)

    def banded(self, band: QRectF, adds: bool) -> None:
        """Select what lies in a band, in units of the plot."""
        low, high = (band.left(), band.top()), (band.right(), band.bottom())
        inside = ((self._xy >= low) & (self._xy <= high)).all(axis=1)
        chosen = frozenset(np.flatnonzero(inside).tolist())
        self._select(self._selection | chosen if adds else chosen)

    @property
    def _drawn(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: dots that have a position."""
        return np.asarray(np.isfinite(self._xy).all(axis=1))

    def _known(self, indices: Iterable[int]) -> frozenset[int]:
        chosen = frozenset(int(index) for index in indices)
        for index in sorted(chosen):
            if not 0 <= index < len(self._xy):
                raise ValueError(
                    f"Dot {index} cannot be selected: the plot has {len(self._xy)} dots."
                )
        return chosen

    def _draw(self) -> None:
        """Give the dots to pyqtgraph: the selected last, so that they lie on top."""
        shown = np.flatnonzero(self._drawn)
        chosen = np.isin(shown, list(self._selection))
        order = shown[np.argsort(chosen, kind="stable")]
        colours = (255 * self._colours[order]).round().astype(int)
        # One brush a colour and one pen a kind: pyqtgraph renders a dot once for each that differs.
        of = functools.cache(lambda colour: pg.mkBrush(QColor(*colour)))
        ground = pg.mkPen(self.palette().color(QPalette.ColorRole.Window))
        ink = pg.mkPen(self.ink(HALF))
        pens = [ground if index in self._selection else ink for index in order.tolist()]
        self._dots.setData(
            pos=self._xy[order],
            size=self._diameters[order],
            brush=[of(tuple(colour)) for colour in colours.tolist()],
            pen=pens,
        )
        # all halos below all dots: in a crowd they would hide each other
        halos = [index for index in sorted(self._selection) if np.isfinite(self._xy[index]).all()]
        self._halos.setData(
            pos=self._xy[halos],
            size=self._diameters[halos] + _HALO,
            brush=self.ink(),
            pen=None,
        )
        missing = len(self._xy) - len(shown)
        several = f"{len(self._xy)} {self._noun[len(self._xy) != 1]}"
        without = f", {missing} without features" if missing else ""
        told = f"{several}{without}, {len(self._selection)} selected"
        self.setAccessibleDescription(self.hint or told)

    def _nearest(self, position: QPointF) -> int | None:
        """Dot that is hit; of dots at one position the one drawn on top."""
        distances = np.linalg.norm(self.positions() - (position.x(), position.y()), axis=1)
        distances[np.isnan(distances)] = np.inf
        if not len(distances) or distances.min() > _REACH:
            return None
        return int(np.flatnonzero(distances == distances.min())[-1])

    def _next(self, step_x: int, step_y: int) -> int:
        """Nearest dot in a direction from the selected ones; from none, the outermost.

        What lies aside counts as twice as far, so that the way is not left for a dot at its side.
        """
        positions = self.positions()
        along = positions @ (step_x, step_y)
        chosen = [i for i in self._selection if self._drawn[i]]
        if not chosen:
            return int(np.nanargmin(along))
        start = max(chosen, key=lambda i: along[i])
        ahead = along - along[start]
        aside = np.abs((positions - positions[start]) @ (step_y, step_x))
        cost = np.where(ahead > 1e-6, ahead + 2 * aside, np.inf)
        return int(np.argmin(cost)) if np.isfinite(cost).any() else start

    def _select(self, chosen: frozenset[int]) -> None:
        if chosen == self._selection:
            return
        self.set_selected(chosen)
        self.selected.emit(tuple(sorted(chosen)))

    def _show(self, message: str) -> None:
        self.hint = message
        self.field.give_up()
        self.restyle()


class _Field(pg.ViewBox):
    """Tells a `FeaturePlot` of bands, which pyqtgraph draws to zoom into."""

    plot: FeaturePlot

    def __init__(self) -> None:
        super().__init__(enableMenu=False)
        self.begun = False  # a band is being drawn
        self._given_up = False

    def give_up(self) -> None:
        """Forget the band; what follows of the drag changes nothing."""
        self._given_up, self.begun = self.begun, False
        self.rbScaleBox.hide()

    def mouseDragEvent(self, event: Any, axis: Any = None) -> None:
        """Draw the band, and select what is in it in the end."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        event.accept()
        if event.isStart():
            self.begun, self._given_up = True, False
        if self._given_up:
            return
        begin, end = event.buttonDownPos(event.button()), event.pos()
        if not event.isFinish():
            self.updateScaleBox(begin, end)
            return
        self.rbScaleBox.hide()
        self.begun = False
        corners = (self.mapToView(begin), self.mapToView(end))
        self.plot.banded(QRectF(*corners).normalized(), adds(event))
