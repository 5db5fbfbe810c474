"""Adjudicating in the viewer: regions outlined and jumped to, annotators' sources looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.adjudication_layers import (
    DECIDED,
    LOOKED_AT,
    OPEN,
    AdjudicationLayers,
    Box,
    outlines,
)
from napari_safire.project.team.adjudicating import OpenAdjudication
from napari_safire.project.team.disagreement import Region
from napari_safire.session.adjudication import AdjudicationWork

RESULT, SIDE_BY_SIDE = -1, -2
"""Views besides those of the annotators, which are their places."""
_SHARE = 0.35  # of the canvas that a region takes when it is jumped to
_CLOSEST = 16.0  # screen pixels a picture's pixel, at most
_MARGIN = 24  # pixels of the picture around a region in a cut-out, at least


class AdjudicationController:
    """Between the layers of a viewer and the adjudication of the open picture.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController

    Attributes
    ----------
    work : AdjudicationWork
        Does it.
    changed : Signal()
        Something of it, or the view, is another one.
    """

    changed = Signal()

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        self._controller, self._queue = controller, queue
        self.work = AdjudicationWork(controller.session, queue.work)
        self.view = RESULT
        """What is looked at: the place of an annotator, `RESULT` or `SIDE_BY_SIDE`."""
        self._layers: AdjudicationLayers | None = None
        self._of: OpenAdjudication | None = None  # whose layers these are
        self._outlines: npt.NDArray[np.int32] | None = None
        self._drawn: tuple[object, ...] = ()
        self._blinked = 0
        self.connections = Connections()
        for signal, slot in (
            (queue.work.changed, self.work.look),
            (controller.session.changed, self.work.follow),
            (self.work.changed, self._show),
            (self.work.region_changed, self._look_at),
            (self.work.notice, self._tell),
        ):
            self.connections.connect(signal, slot)

    def close(self) -> None:
        """Let go of viewer and session."""
        self.connections.disconnect()
        self._drop_layers()

    # ---------------------------------------------------------------- what users do

    def take_first(self) -> None:
        """Give the region that is looked at to A."""
        self.take(0)

    def take_second(self) -> None:
        """Give the region that is looked at to B."""
        self.take(1)

    def take(self, place: int) -> None:
        """Give the region that is looked at to any annotator.

        Parameters
        ----------
        place : int
            From 0.
        """
        self._decide(lambda: self.work.choose(place))

    def take_neither(self) -> None:
        """Say of the region that is looked at that nobody has it right."""
        self._decide(lambda: self.work.choose("neither"))

    def go_on(self) -> None:
        """Look at the next region in which something is open."""
        self._decide(self.work.go_on)

    def go_back(self) -> None:
        """Look at the region before in which something is open."""
        self._decide(self.work.go_back)

    def blink(self) -> None:
        """Look at the sources of A, then at those of B, and so on."""

        def turn() -> None:
            assert self.work.opened is not None
            n_works = len(self.work.opened.works)
            self._blinked = (self._blinked + 1) % n_works if self.view >= 0 else 0
            self.show(self._blinked)

        self._decide(turn)

    def _decide(self, act: Any) -> None:
        if self.work.opened is None:
            self._tell(self.work.problem or "No picture that waits for adjudication is open.", True)
        else:
            self._controller.edits.read_strokes()  # what was painted so far comes before it
            act()

    # ---------------------------------------------------------------- what is looked at

    def show(self, view: int) -> None:
        """Look at the result, at one annotator's sources, or at all of them side by side.

        Parameters
        ----------
        view : int
            See `view`.
        """
        layers, opened = self._layers, self.work.opened
        if layers is None or opened is None:
            return
        self.view = view
        self._lay_out(layers, opened)
        sources = self._controller.sources_layer
        if sources is not None:
            sources.visible = view == RESULT
        self.changed.emit()

    def _lay_out(self, layers: AdjudicationLayers, opened: OpenAdjudication) -> None:
        works = [self.work.numbered(labels) for labels in opened.comparison.works]
        layers.show_work(self.view if self.view >= 0 else None, works)
        region = self.work.region
        if self.view == SIDE_BY_SIDE and region is not None:
            outlined = np.zeros(opened.comparison.shape, np.bool_)
            outlined.ravel()[opened.comparison.disagreements.pixels(self.work.place)] = True
            layers.show_cut_outs(_around(region, opened.comparison.shape), works, outlined)
        else:
            layers.drop_cut_outs()

    def _look_at(self, region: Region) -> None:
        """Bring a region into view."""
        layers, opened = self._layers, self.work.opened
        if layers is None or opened is None:
            return
        box, n_beside = (region.top, region.left, region.bottom, region.right), 1
        if self.view == SIDE_BY_SIDE:
            self._lay_out(layers, opened)
            box, n_beside = _around(region, opened.comparison.shape), len(opened.works)
        top, left, bottom, right = box
        width = (right - left) * n_beside
        world = layers.image.data_to_world(((top + bottom - 1) / 2, left + (width - 1) / 2))
        viewer = self._controller.viewer
        camera: Any = getattr(viewer, "scene", viewer).camera  # before napari 0.9 the viewer's own
        camera.center = (*camera.center[:-2], *world[-2:])
        # Before napari 0.9 a viewer does not tell of its canvas: the zoom is left to the user.
        size = getattr(getattr(viewer, "canvas", None), "size", None)
        if size is not None:
            share = 0.95 if n_beside > 1 else _SHARE
            corners = (layers.image.data_to_world(corner) for corner in ((1, 1), (0, 0)))
            scale = np.abs(np.subtract(*corners))[-2:]  # world units a pixel
            fitting = min(size[0] / ((bottom - top) * scale[0]), size[1] / (width * scale[1]))
            camera.zoom = min(share * fitting, _CLOSEST / float(scale.min()))

    def _show(self) -> None:
        """Show what is there now: layers come and go with the adjudication."""
        opened, image = self.work.opened, self._queue.pictures.image
        if opened is not self._of:
            left = None if self._of is None else self._of.comparison.shape
            self._drop_layers()
            if image is not None and left not in (None, image.data.shape[:2]):
                self._controller.viewer.reset_view()  # it was fitted with the layers of the last
            self._of = opened
            if opened is not None and image is not None:
                self._layers = AdjudicationLayers(
                    self._controller.viewer, image, self._controller.sources_opacity
                )
                self._find_outlines(opened)
        self._outline()
        self.changed.emit()

    def _find_outlines(self, opened: OpenAdjudication) -> None:
        def found(drawn: npt.NDArray[np.int32]) -> None:
            if opened is self._of:
                self._outlines = drawn
                self._outline()

        listed = opened.comparison.disagreements
        self._controller.session.run(
            lambda: outlines(listed.map()), self.connections.while_connected(found)
        )

    def _outline(self) -> None:
        standing, layers, drawn_at = self.work.standing, self._layers, self._outlines
        if layers is None or standing is None or drawn_at is None:
            return
        drawn = (standing.is_open, self.work.place)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        # Regions that are too small to be listed have the numbers after the last.
        listed = np.array(standing.is_open, np.bool_)
        states = np.full(len(listed) + 1 + self._n_small, OPEN, np.uint8)
        states[0] = 0
        states[1 : len(listed) + 1] = np.where(listed, OPEN, DECIDED)
        if not standing.n_undecided:
            states[len(listed) + 1 :] = DECIDED
        if self.work.place >= 0:
            states[self.work.place + 1] = LOOKED_AT
        layers.show_disagreement(states[drawn_at])

    @property
    def _n_small(self) -> int:
        return 0 if self._of is None else self._of.comparison.disagreements.n_small

    def _drop_layers(self) -> None:
        if self._layers is not None:
            self._layers.close()
            sources = self._controller.sources_layer
            if sources is not None and self.view != RESULT:
                sources.visible = True
        self._layers = self._of = self._outlines = None
        self._drawn, self.view = (), RESULT

    def _tell(self, sentence: str, failed: bool) -> None:
        self._controller.notice.emit(sentence, failed, None)


def _around(region: Region, shape: tuple[int, int]) -> Box:
    """The box of a region with something around it, on the picture."""
    margin = max(_MARGIN, (region.bottom - region.top) // 4, (region.right - region.left) // 4)
    return (
        max(region.top - margin, 0),
        max(region.left - margin, 0),
        min(region.bottom + margin, shape[0]),
        min(region.right + margin, shape[1]),
    )
