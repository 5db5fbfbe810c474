"""The controller: one viewer's layers on one side, the session on the other.

It asks the session for what is wanted of the present plane, and decides when results are shown. It
has no widgets: the dock widget and the keys call it, and it tells them by signals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_safire.errors import SafireError
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.image import ImageController
from napari_safire.gui.controllers.source_edits import Here, SourceEdits
from napari_safire.gui.controllers.viewed_pictures import ViewedPictures
from napari_safire.gui.io.saving import labels_written
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import PlaneKey, Snapshot
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings
from napari_safire.types import FloatImage

_MOMENT_S = 0.045
_LATE_MS = 200
_CLOSING_S = 30.0  # how long closing waits for what was done to be kept
_LOOK_S = 0.01


class ViewerController(ViewedPictures):
    """Work on the pictures of one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    session : Session
        The controller closes it with itself.
    embed_on_selection : bool
        Read a picture's traces as soon as it is selected.
    sources_opacity : float
        Of the Labels layers that it makes.

    Attributes
    ----------
    edits : SourceEdits
        What is done to the sources of the present plane.
    mode_changed : Signal()
        Another source number, include or exclude, or settings of the partition.
    painted : Signal(Snapshot)
        The labels of a plane are in its Labels layer.
    shown : Signal(Snapshot)
        The labels and prompts of the present plane are shown.
    """

    mode_changed = Signal()
    painted = Signal(Snapshot)
    shown = Signal(Snapshot)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        embed_on_selection: bool = True,
        sources_opacity: float = 0.5,
    ) -> None:
        super().__init__(viewer, session, embed_on_selection, sources_opacity)
        self.edits = SourceEdits(session.annotations, self.mode, self._here, self._why_not)
        self._finished = False
        self._latest: Snapshot | None = None
        self._late = self._timer(self._show_latest)
        # Planes whose forgery map waits for its layer, which takes napari a tenth of a second: the
        # sources are painted first.
        self._maps: set[PlaneKey] = set()
        self._late_maps = self._timer(self._show_late_maps)
        for signal, slot in (
            (session.changed, self._show),
            (session.embedded, self._answer_anew),
            (session.partitioned, self._show_heatmap),
            (session.model_changed, self._embed_here),
            (session.model_changed, self._style_maps),
            (session.blind.changed, self._show_heatmap),
            (self.plane_changed, self._style_maps),
            (self.shown, self._style_maps),
            (session.notice, self._tell_of_session),
            (labels_written, self._labels_written),
            (self.edits.notice, self._tell),
            (self.mode.changed, self._mode_changed),
        ):
            self._connections.connect(signal, slot)
        self._follow_viewer()

    def _timer(self, act: Callable[[], None]) -> QTimer:
        timer = QTimer()
        timer.setSingleShot(True)
        timer.setInterval(_LATE_MS)
        timer.timeout.connect(act)
        return timer

    def _listen_to(self, place: ImageController) -> None:
        super()._listen_to(place)
        place.connections.connect(place.asked, self._asked)

    @property
    def idle(self) -> bool:
        """Whether nothing is asked or running, and all that was answered is shown.

        What begins once a slider rests is not asked before.
        """
        return self.session.idle and gui_thread().idle

    def finish(self) -> None:
        """Take in what is on screen, and wait until it is kept; the first part of closing."""
        if self._finished:
            return
        self._finished = True
        with ExitStack() as stack:  # whatever fails, the rest is done
            stack.callback(self._wait)
            stack.callback(self.session.fall_silent)  # widgets may be half gone
            for image in list(self._places):
                stack.callback(self._leave, image)

    def _wait(self) -> None:
        """Until all that was begun is done, with what follows from it."""
        states = self.session.annotations
        if QApplication.instance() is None:  # Python's exit: nothing can be delivered any more
            states.finish(_CLOSING_S)
        else:
            end = time.monotonic() + _CLOSING_S
            while not states.settled and time.monotonic() < end:
                # A worker comes to rest a moment after its last call: looked at, not waited for.
                gui_thread().work_off(lambda: states.settled, _LOOK_S)

    def close(self) -> None:
        """Let go of the viewer and stop all work; may be called twice."""
        self.finish()
        for timer in (self._rest, self._late, self._late_maps):
            with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
                timer.stop()
        self._connections.disconnect()
        for place in self._places.values():
            place.close()
        self._places.clear()
        self._image = self._key = None
        self.session.close()
        for signal in (
            self.plane_changed,
            self.mode_changed,
            self.painted,
            self.shown,
            self.view_changed,
            self.notice,
            self.leaving,
        ):
            signal.disconnect()

    def here(self, what: str) -> Here | None:
        """Where something is to be done ("place prompts on"); None, with a sentence, if nowhere."""
        here = self._here()
        if here is None:
            self.notice.emit(self._why_not(what), True)
        return here

    # ---------------------------------------------------------------- prompts

    def add_prompts(self) -> None:
        """Arm the prompt tool: a click on the picture then is a prompt."""
        place = self._place
        if place is None:
            self.notice.emit(self._why_not("place prompts on"), True)
            return
        problem = place.picture.view_problem(self.viewer.dims)
        if problem:
            self.notice.emit(problem, True)
            return
        layer = place.need_prompts().layer
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = "add"

    @property
    def is_armed(self) -> bool:
        """Whether a click on the picture is a prompt."""
        prompts = None if self.layer_group is None else self.layer_group.prompts
        active = self.viewer.layers.selection.active
        return (
            prompts is not None and prompts is active and prompts.visible and prompts.mode == "add"
        )

    def toggle_prompts(self) -> None:
        """Arm the prompt tool, or put it away."""
        prompts = None if self.layer_group is None else self.layer_group.prompts
        if self.is_armed and prompts is not None:
            prompts.mode = "pan_zoom"
        else:
            self.add_prompts()

    def use_prompts(self, layer: Points) -> None:
        """Take a Points layer of the user's own as prompts of the image.

        Points of a layer that has other axes than the picture are copied.
        """
        if self._place is not None:
            self._place.use_prompts(layer)

    def segment(self) -> None:
        """Answer the prompts now: starts what was cancelled, or was never started."""
        if self._key is None:
            self.notice.emit(self._why_not("segment"), True)
            return
        self.session.embed(self._key)
        self.session.prompts.ask(self._key)

    # ---------------------------------------------------------------- partition

    @property
    def settings(self) -> PartitionSettings:
        """How to partition the present plane."""
        return self.choices.settings

    def start_with(self, settings: PartitionSettings) -> None:
        """Take other settings for planes that nobody has chosen any for; none is clustered."""
        if self.choices.start_with(settings):
            self.mode_changed.emit()

    def set_settings(self, settings: PartitionSettings) -> None:
        """Change how to partition; a plane that was partitioned is clustered anew at once."""
        if settings == self.settings:
            return
        self.choices.choose(settings)
        self.mode_changed.emit()
        plane = self.plane
        if (
            plane is not None
            and plane.partition is not None
            and plane.is_read_for(settings)
            and _is_complete(settings)
        ):
            self.session.partitions.run(plane.key, settings)

    def partition(self) -> None:
        """Divide the present plane into its sources."""
        if self._key is None:
            self.notice.emit(self._why_not("partition"), True)
            return
        self.choices.keep(self.settings, [self._key])
        self.session.partitions.run(self._key, self.settings)

    def partition_all(self) -> None:
        """Divide every plane of the stack into its sources."""
        here = self._here()
        if here is None:
            self.notice.emit(self._why_not("partition"), True)
            return
        place, _ = here
        keys = [place.open(index) for index in np.ndindex(*place.picture.stack_shape)]
        self.choices.keep(self.settings, keys)
        self.session.partitions.run_all(keys, self.settings)

    def show_uncertainty(self) -> None:
        """Make the uncertainty layer of the present partition."""
        key, layer_group = self._key, self.layer_group
        if key is None or layer_group is None:
            return

        partition = self.session.planes[key].partition

        def done(values: FloatImage) -> None:  # of this very partition, or it is not called
            if partition is not None and self.session.planes[key].shows_partition:
                layer_group.show_uncertainty(key.index, values, partition)

        try:
            self.session.partitions.ask_uncertainty(key, done)
        except SafireError as error:
            self.notice.emit(str(error), True)

    def show_forgery_map(self) -> None:
        """Put the forgery map of the present plane into its layer, made anew if it is gone."""
        if self._key is not None:
            self._put_heatmap(self._key)

    def select_prompts(self, numbers: Sequence[int]) -> None:
        """Show where dots of the plot lie: as selected points of a layer of their own."""
        plane, layer_group = self.plane, self.layer_group
        if plane is None or layer_group is None:
            return
        compared = plane.compared
        places = [(*plane.key.index, *map(float, compared[n])) for n in numbers]
        layer_group.show_grid_prompts(places)

    def toggle_preview(self) -> None:
        """Show or hide the preview."""
        plane = self.plane
        if plane is not None:
            self.session.annotations.show_preview(plane.key, not plane.with_preview)
            self.mode_changed.emit()

    # ---------------------------------------------------------------- answers

    def _labels_written(self, data: Any) -> None:
        """Labels were saved, by whatever means of napari: what they are of need not be kept."""
        if threading.current_thread() is not threading.main_thread():
            return  # a script's: by the time it can be looked at, it may be something else
        for place in self._places.values():
            place.mark_saved(data)

    def _answer_anew(self, key: PlaneKey) -> None:
        """Ask prompts again whose answer was given for other pixels, channels or model."""
        plane = self.session.planes[key]
        snapshot = plane.snapshot
        if (
            snapshot is not None
            and plane.is_outdated
            and plane.asked != snapshot.annotation.live_prompts
        ):
            self.session.prompts.ask(key)

    def _asked(self, key: PlaneKey) -> None:
        if key == self._key and self.session.prompts.answers_quickly(key):
            # Not here: napari is in the middle of adding the point. But before it draws.
            gui_thread().deliver(self._await_answer)

    def _await_answer(self) -> None:
        """Hold the next drawing back for a moment: a small picture is answered within it.

        A point that is drawn first costs 50 to 100 ms where the processor draws, during which the
        model has half of it; and the answer is then drawn after that.
        """
        gui_thread().work_off(self._is_answered, _MOMENT_S)

    def _is_answered(self) -> bool:
        plane = self.plane
        if plane is None:
            return True
        snapshot = plane.snapshot
        return (
            snapshot is not None
            and snapshot.serial >= plane.serial
            and snapshot.annotation.is_answered
        )

    # ---------------------------------------------------------------- results

    def _show(self, snapshot: Snapshot) -> None:
        place = self.place_of(snapshot.key)
        plane = self.session.planes[snapshot.key]
        if place is None or snapshot.serial < plane.serial:
            return  # a newer one is on its way
        if not place.show_labels(snapshot):
            return
        self.painted.emit(snapshot)
        # Labels first, the rest as a call of its own: two short ones instead of a long one. While
        # an answer is about to come the rest waits for it, or for the timer if none comes.
        self._latest = snapshot
        if snapshot.key in self._maps:
            gui_thread().deliver(self._show_late_maps)
        if snapshot.annotation.is_answered or not self.session.prompts.answers_quickly(
            snapshot.key
        ):
            self._late.stop()
            gui_thread().deliver(lambda: self._show_around(snapshot))
        else:
            self._late.start()

    def _show_latest(self) -> None:
        if self._latest is not None:
            self._show_around(self._latest)

    def _show_around(self, snapshot: Snapshot) -> None:
        """Show what goes with labels: the prompts and their confidence, the dock, the metadata."""
        place, plane = self.place_of(snapshot.key), self.session.planes.find(snapshot.key)
        if place is None or plane is None or snapshot.serial < plane.serial:
            return
        place.show_prompts(plane, snapshot)
        if snapshot.key == self._key:
            self.shown.emit(snapshot)

    def _show_heatmap(self, key: PlaneKey) -> None:
        place = self.place_of(key)
        if place is not None and place.layer_group.heatmap is None:
            self._maps.add(key)
            self._late_maps.start()
            self._style_maps()
        else:
            self._put_heatmap(key)

    def _show_late_maps(self) -> None:
        for key in list(self._maps):
            self._put_heatmap(key)

    def _put_heatmap(self, key: PlaneKey) -> None:
        self._maps.discard(key)
        place, plane = self.place_of(key), self.session.planes.find(key)
        hidden = self.session.blind.hides(key)
        if place is not None and plane is not None and not hidden:
            place.show_heatmap(plane, self.heatmap_visible)
        self._style_maps()

    # ---------------------------------------------------------------- what is told

    def _tell_of_session(self, sentence: str, failed: bool, topic: Topic = ANYWHERE) -> None:
        self.notice.emit(sentence, failed, topic)

    def _mode_changed(self) -> None:
        for place in self._places.values():
            place.show_mode()
        self.mode_changed.emit()


def _is_complete(settings: PartitionSettings) -> bool:
    return settings.method != "kmeans" or settings.n_sources is not None
