"""The prompts of a grid as dots in the plane of their features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPalette, QPen
from qtpy.QtWidgets import QApplication, QWidget

from napari_safire.gui.panels.plot import MARGIN, QUIET, Plot

_REACH = 10.0  # pixels: a click this near to a dot means it
_RADII = (2.5, 5.0)  # pixels: dots with confidence 0 and 1
_HALO = 3.0  # pixels around a selected dot
_VEIL = 0.15  # opacity of the band


class FeaturePlot(Plot):
    """The prompts of a grid as dots, near each other where their regions have like features.

    A click selects the nearest dot, a drag those inside the band; Shift adds (a Shift-click on a
    selected dot takes it out). A click beside the dots or Escape selects none. Arrow keys go to the
    next dot in that direction.

    Attributes
    ----------
    selected : Signal(object)
        The user changed the selection: a sorted tuple of int, indices of prompts. Not emitted for
        changes from outside.
    """

    selected = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(
            "Features of the prompts",
            "Each dot is a prompt; dots lie near each other where their regions look alike to the "
            "model. Click or drag to select prompts, Shift adds, Escape clears.",
            140,
            parent,
        )
        self._xy = np.zeros((0, 2))
        self._colours = np.zeros((0, 4))
        self._radii = np.zeros(0)
        self._names: tuple[str, ...] = ()
        self._selection: frozenset[int] = frozenset()
        self._pressed: QPointF | None = None
        self._band: QRectF | None = None
        self.clear("Run the partition to see its prompts here")

    def set_prompts(
        self,
        xy: npt.ArrayLike,
        colours: npt.ArrayLike,
        confidence: npt.ArrayLike | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        """Show prompts in place of what was shown.

        The selection stays where the prompts lie at the same places as before, as they do when only
        the number of sources changed; else nothing is selected. No signal is emitted.

        Parameters
        ----------
        xy : (P, 2) array_like
            Places in the plane, y upwards, in any unit. Rows that are not finite are prompts
            without region: counted below the plot, not drawn.
        colours : (P, 4) array_like
            Red, green, blue, alpha in [0, 1]. Alpha 0 stands for "in no source": a hollow dot.
        confidence : (P,) array_like, optional
            0 .. 1, clipped: size of the dot. Not finite counts as 0.
        names : sequence of P str, optional
            Plain text for the tooltips.

        Raises
        ------
        ValueError
            Arrays that do not belong together; colours outside [0, 1].
        """
        places = np.array(xy, dtype=np.float64)
        paints = np.array(colours, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != 2:
            raise ValueError(f"Places of shape {places.shape}: give (prompts, 2).")
        places[~np.isfinite(places).all(axis=1)] = np.nan
        count = len(places)
        if paints.shape != (count, 4):
            raise ValueError(
                f"Colours of shape {paints.shape} for {count} prompts: give one RGBA for each."
            )
        if not ((paints >= 0) & (paints <= 1)).all():
            raise ValueError("Colours lie outside 0 .. 1: divide 8-bit values by 255.")
        shares = np.ones(count) / 2 if confidence is None else np.array(confidence, np.float64)
        if shares.shape != (count,):
            raise ValueError(
                f"Confidence of shape {shares.shape} for {count} prompts: give one for each."
            )
        if names is not None and len(names) != count:
            raise ValueError(f"{len(names)} names for {count} prompts: give one for each.")
        if not np.array_equal(places, self._xy, equal_nan=True):
            self._selection = frozenset()
        self._xy, self._colours = places, paints
        shares = np.clip(np.nan_to_num(shares, posinf=0.0, neginf=0.0), 0, 1)
        self._radii = np.interp(shares, (0, 1), _RADII)
        self._names = tuple(names) if names is not None else ()
        self._show("" if self._drawn.any() else "No prompt has a region")

    def clear(self, message: str) -> None:
        """Show a hint instead of prompts."""
        self._xy, self._colours = np.zeros((0, 2)), np.zeros((0, 4))
        self._radii, self._names = np.zeros(0), ()
        self._selection = frozenset()
        self._show(message)

    def set_selected(self, indices: Iterable[int]) -> None:
        """Highlight these prompts and no others; emits nothing.

        Raises
        ------
        ValueError
            An index of no prompt.
        """
        chosen = frozenset(int(index) for index in indices)
        for index in sorted(chosen):
            if not 0 <= index < len(self._xy):
                raise ValueError(
                    f"Prompt {index} cannot be selected: the plot has {len(self._xy)} prompts."
                )
        self._selection = chosen
        self._describe()
        self.update()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Begin a click or a drag."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._pressed = event.position()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Draw the band, once the mouse has left the place where it was pressed."""
        if event is None or self._pressed is None:
            return
        way = (event.position() - self._pressed).manhattanLength()
        if self._band is not None or way >= QApplication.startDragDistance():
            self._band = QRectF(self._pressed, event.position()).normalized()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Select what was clicked, or what lies in the band."""
        if event is None or event.button() != Qt.MouseButton.LeftButton or self._pressed is None:
            return
        adds = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self._band is not None:
            inside = frozenset(self._inside(self._band))
            chosen = self._selection | inside if adds else inside
        else:
            nearest = self._nearest(event.position())
            hit = frozenset(() if nearest is None else (nearest,))
            chosen = self._selection ^ hit if adds else hit
        self._pressed = self._band = None
        self._select(chosen)
        self.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Escape gives up a drag, else the selection; arrows go to the next dot."""
        if event is None:
            return
        steps = {
            Qt.Key.Key_Left: (-1, 0),
            Qt.Key.Key_Right: (1, 0),
            Qt.Key.Key_Up: (0, -1),
            Qt.Key.Key_Down: (0, 1),
        }
        if event.key() == Qt.Key.Key_Escape and (self._pressed is not None or self._selection):
            if self._pressed is not None:
                self._pressed = self._band = None  # a drag is given up, the selection stays
                self.update()
            else:
                self._select(frozenset())
        elif event.key() in steps and self._drawn.any():
            self._select(frozenset((self._next(*steps[Qt.Key(event.key())]),)))
        else:
            super().keyPressEvent(event)

    @property
    def _drawn(self) -> npt.NDArray[np.bool_]:
        """(P,) bool: prompts that have a place."""
        return np.asarray(np.isfinite(self._xy).all(axis=1))

    def positions(self) -> npt.NDArray[np.float64]:
        """Where the dots are drawn: (P, 2) x and y in pixels of the widget, NaN where not drawn."""
        drawn = self._drawn
        if not drawn.any():
            return np.full_like(self._xy, np.nan)
        inset = MARGIN + _RADII[1]
        below = 0 if drawn.all() else self.fontMetrics().height()
        room = np.maximum([self.width() - 2 * inset, self.height() - 2 * inset - below], 1)
        low, high = self._xy[drawn].min(axis=0), self._xy[drawn].max(axis=0)
        with np.errstate(divide="ignore"):
            scale = (room / (high - low)).min()  # one for both: distances compare in all directions
        middle = np.array([self.width(), self.height() - below]) / 2
        offsets = self._xy - (low + high) / 2
        return middle + offsets * (scale if np.isfinite(scale) else 0.0) * (1, -1)

    def paint_plot(self, painter: QPainter) -> None:
        """Paint the dots, the selected on top, and the band."""
        drawn = self._drawn
        places = [QPointF(*place) for place in self.positions()]
        chosen = [index for index in sorted(self._selection) if drawn[index]]
        others = [index for index in np.flatnonzero(drawn).tolist() if index not in self._selection]
        # width 0, one pixel of the screen: three times as fast as a wider outline
        painter.setPen(QPen(self.ink(QUIET), 0))
        for index in others:
            self._paint_dot(painter, places[index], index)
        # all halos below all selected dots: in a crowd they would hide each other
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.ink())
        for index in chosen:
            radius = self._radii[index] + _HALO
            painter.drawEllipse(places[index], radius, radius)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 0))
        for index in chosen:
            self._paint_dot(painter, places[index], index)
        missing = int((~drawn).sum())
        if missing:
            painter.setPen(self.ink(QUIET))
            line = QRectF(self.rect()).adjusted(MARGIN, 0, -MARGIN, -4)
            flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom
            text = f"{_count(missing, 'prompt')} without region"
            elide = Qt.TextElideMode.ElideRight
            text = self.fontMetrics().elidedText(text, elide, int(line.width()))
            painter.drawText(line, int(flags), text)
        if self._band is not None:
            painter.setPen(QPen(self.ink(), 1.0, Qt.PenStyle.DashLine))
            veil = self.ink()
            veil.setAlphaF(_VEIL)
            painter.setBrush(veil)
            painter.drawRect(self._band)

    def _paint_dot(self, painter: QPainter, place: QPointF, index: int) -> None:
        painter.setBrush(QColor.fromRgbF(*self._colours[index]))
        painter.drawEllipse(place, self._radii[index], self._radii[index])

    def explain(self, position: QPointF) -> tuple[str, QRect]:
        """Name of the prompt under the mouse."""
        nearest = self._nearest(position)
        if nearest is None or not self._names:
            return "", QRect()
        reach = round(_REACH)
        around = QRect(position.toPoint(), QSize(1, 1)).adjusted(-reach, -reach, reach, reach)
        return self._names[nearest], around

    def _nearest(self, position: QPointF) -> int | None:
        """Prompt whose dot is hit; of dots on one place the one drawn on top."""
        distances = np.linalg.norm(self.positions() - (position.x(), position.y()), axis=1)
        distances[np.isnan(distances)] = np.inf
        if not len(distances) or distances.min() > _REACH:
            return None
        return int(np.flatnonzero(distances == distances.min())[-1])

    def _inside(self, band: QRectF) -> list[int]:
        positions = self.positions()
        low, high = (band.left(), band.top()), (band.right(), band.bottom())
        return np.flatnonzero(((positions >= low) & (positions <= high)).all(axis=1)).tolist()

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
        cost = np.where(ahead > 0, ahead + 2 * aside, np.inf)
        return int(np.argmin(cost)) if np.isfinite(cost).any() else start

    def _select(self, chosen: frozenset[int]) -> None:
        if chosen == self._selection:
            return
        self.set_selected(chosen)
        self.selected.emit(tuple(sorted(chosen)))

    def _show(self, message: str) -> None:
        self.hint = message
        self._pressed = self._band = None
        self._describe()
        self.update()

    def _describe(self) -> None:
        shown = f"{_count(len(self._xy), 'prompt')}, {len(self._selection)} selected"
        self.setAccessibleDescription(self.hint or shown)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
