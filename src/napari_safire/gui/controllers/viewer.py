"""The controller: one viewer's layers on one side, the session on the other.

It decides which plane of which picture is worked on, and when results are shown; what belongs to
one image layer is its `ImageController`'s business. It has no widgets: the dock widget and the
keys call it,
and it tells them by signals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.layers import Labels as LabelsLayer
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_safire.errors import SafireError
from napari_safire.gui.controllers.choices import PictureChoices
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.image import ImageController
from napari_safire.gui.controllers.mode import Mode
from napari_safire.gui.controllers.source_edits import Here, SourceEdits, no_picture_to
from napari_safire.gui.io.saving import labels_written
from napari_safire.gui.layers.image_planes import Channels, PictureLayer
from napari_safire.gui.layers.layer_group import (
    LayerGroup,
    channels_before,
    is_overlay,
    picture_of,
)
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import Plane, PlaneKey, Snapshot
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings
from napari_safire.types import FloatImage

_MOMENT_S = 0.045
_LATE_MS = 200
_CLOSING_S = 30.0  # how long closing waits for what was done to be kept
_LOOK_S = 0.01
_REST_MS = 250  # how long a slider must rest before the slice under it is embedded


class ViewerController:
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
    mode : Mode
        What the next prompt, and the brush, are for.
    edits : SourceEdits
        What is done to the sources of the present plane.
    plane_changed : Signal()
        Another picture or slice is worked on, or none.
    mode_changed : Signal()
        Another source number, include or exclude, or settings of the partition.
    painted : Signal(Snapshot)
        The labels of a plane are in its Labels layer.
    shown : Signal(Snapshot)
        The labels and prompts of the present plane are shown.
    view_changed : Signal()
        Sources, forgery map or uncertainty of a picture are shown or hidden.
    notice : Signal(str, bool, Topic)
        A sentence for the user; true where something failed; what it belongs to. Without a topic it
        belongs to what is worked on now.
    leaving : Signal(napari.layers.Image)
        An image layer is about to be let go: it was removed, or the controller closes. All strokes
        were
        read, its planes are still open in the session (`Planes.of`), and what is begun now with
        `Session.run` is waited for before the controller closes.
    """

    plane_changed = Signal()
    mode_changed = Signal()
    painted = Signal(Snapshot)
    shown = Signal(Snapshot)
    view_changed = Signal()
    notice = Signal(str, bool, object)
    leaving = Signal(Image)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        *,
        embed_on_selection: bool = True,
        sources_opacity: float = 0.5,
    ) -> None:
        self.viewer = viewer
        self.session = session
        self.embed_on_selection = embed_on_selection
        self.heatmap_visible = False
        self.sources_opacity = sources_opacity
        self.mode = Mode()
        self.choices = PictureChoices(self.mode)
        self.edits = SourceEdits(session.annotations, self.mode, self._here, self._why_not)
        self._places: dict[Image, ImageController] = {}
        self._image: Image | None = None
        self._key: PlaneKey | None = None
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._look_here)
        self._finished = False
        self._latest: Snapshot | None = None
        self._late = QTimer()
        self._late.setSingleShot(True)
        self._late.setInterval(_LATE_MS)
        self._late.timeout.connect(self._show_latest)
        # Planes whose forgery map waits for its layer, which takes napari a tenth of a second: the
        # sources are painted first.
        self._maps: set[PlaneKey] = set()
        self._late_maps = QTimer()
        self._late_maps.setSingleShot(True)
        self._late_maps.setInterval(_LATE_MS)
        self._late_maps.timeout.connect(self._show_late_maps)
        self._connections = Connections()
        for signal, slot in (
            (viewer.layers.selection.events.active, self._active_changed),
            (viewer.layers.events.removed, self._layer_removed),
            (viewer.dims.events.current_step, self._view_changed),
            (viewer.dims.events.order, self._view_changed),
            (viewer.dims.events.ndisplay, self._view_changed),
            (session.changed, self._show),
            (session.embedded, self._answer_anew),
            (session.partitioned, self._show_heatmap),
            (session.model_changed, self._embed_here),
            (session.model_changed, self._show_evidence),
            (self.plane_changed, self._show_evidence),
            (self.shown, self._show_evidence),
            (session.notice, self._tell_of_session),
            (labels_written, self._labels_written),
            (self.edits.notice, self._tell),
            (self.mode.changed, self._mode_changed),
        ):
            self._connections.connect(signal, slot)
        self._active_changed()
        if self._image is None:
            self._take_any_image()

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

    # ---------------------------------------------------------------- where we are

    @property
    def image(self) -> Image | None:
        """The image layer that is worked on."""
        return self._image

    @property
    def images(self) -> list[Image]:
        """Image layers that can be worked on: all but our own results."""
        return [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image) and not is_overlay(layer)
        ]

    @property
    def picture(self) -> PictureLayer | None:
        """The same as pictures."""
        place = self._place
        return None if place is None else place.picture

    @property
    def layer_group(self) -> LayerGroup | None:
        """The layers that go with the image."""
        place = self._place
        return None if place is None else place.layer_group

    @property
    def key(self) -> PlaneKey | None:
        """Name of the plane that is worked on."""
        return self._key

    @property
    def plane(self) -> Plane | None:
        """What is known of the plane that is worked on."""
        return None if self._key is None else self.session.planes[self._key]

    @property
    def sources_layer(self) -> LabelsLayer | None:
        """The Labels layer with the sources of the image."""
        layer_group = self.layer_group
        return None if layer_group is None else layer_group.sources

    def work_on(self, image: Image | None, channels: Channels | None = None) -> None:
        """Choose the image layer to work on.

        Parameters
        ----------
        image : napari.layers.Image or None
        channels : Channels, optional
            Where the first axis holds colours. Other than before: prompts and sources stay, what
            the model said is forgotten.
        """
        place = self._places.get(image) if image is not None else None
        if image is self._image and (place is None or place.picture.channels == channels):
            return
        if image is not None and (place is None or place.picture.channels != channels):
            if place is None and channels is None:
                channels = channels_before(self.viewer.layers, image)
            picture = PictureLayer(image, channels)
            problem = picture.problem()
            if problem:
                if place is None:
                    self._rest.stop()
                    self._image = self._key = None
                    self.choices.go_to(None)
                    self.plane_changed.emit()
                self.notice.emit(problem, True)
                return
            if place is not None and place.lengths == picture.lengths:
                place.take_picture(picture)
                if image is self._image:
                    self._look_here()
                self.plane_changed.emit()
                return
            if place is not None:
                self._clear(place)
            self._places[image] = self._place_for(picture)
        self._rest.stop()
        self._image, self._key = image, None
        self._view_changed()
        self._look_here()

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

    # ---------------------------------------------------------------- events

    def _active_changed(self, event: Any = None) -> None:
        layer = self.viewer.layers.selection.active
        image = self._owner_of(layer)
        if image is not None and image is not self._image:
            place = self._places.get(image)
            self.work_on(image, None if place is None else place.picture.channels)

    def _owner_of(self, layer: Layer | None) -> Image | None:
        """The image that a layer is, or goes with."""
        for image, place in self._places.items():
            if layer in place.layer_group.layers():
                return image
        if isinstance(layer, Image) and not is_overlay(layer):
            return layer
        made_for = "" if layer is None else picture_of(layer)  # by a dock that was closed
        return next((i for i in self.images if str(i.unique_id) == made_for), None)

    def _take_any_image(self) -> None:
        images = self.images
        self.work_on(images[-1] if images else None)

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        place = self._places.pop(layer, None) if isinstance(layer, Image) else None
        if place is not None:
            self._places[layer] = place  # until it was left
            try:
                self._leave(layer)
            finally:
                del self._places[layer]
                place.close()
                self.session.forget(layer.unique_id)
                self.choices.forget(layer.unique_id)
            if layer is self._image:
                self._image = self._key = None
                self.choices.go_to(None)
                self._take_any_image()
                self.plane_changed.emit()
            return
        for other in self._places.values():
            other.drop(layer)

    def _view_changed(self, event: Any = None) -> None:
        place, image = self._place, self._image
        if place is None or image is None:
            if self._key is not None or event is None:
                self._key = None
                self.choices.go_to(None)
                self.plane_changed.emit()
            return
        if image not in self.viewer.layers:
            return  # napari takes the axes away before it tells that the layer is gone
        problem = place.picture.view_problem(self.viewer.dims)
        key = None
        if not problem:
            key = PlaneKey(image.unique_id, place.picture.index_at(self.viewer.dims.point))
        if key == self._key and key is not None:
            return
        self._key = key
        place.arm(key is not None)
        if key is None:
            self.notice.emit(problem, False)
        else:
            place.open(key.index)
            self.session.annotations.refresh(key)
            if event is not None:
                self._rest.start()
        self.choices.go_to(key)
        self.plane_changed.emit()

    def _pixels_changed(self, event: Any = None) -> None:
        """The data of an image layer were replaced."""
        for image, place in list(self._places.items()):
            if event is not None and event.source is not image:
                continue
            if not place.picture.problem() and place.picture.lengths == place.lengths:
                place.reread()
                self._show_evidence()
                if image is self._image:
                    self._look_here()
                    self.plane_changed.emit()  # its verdict is gone
                continue
            if place.layer_group.layers():
                # As a failure: a mere notice goes with the next job, which starts right away.
                self.notice.emit(
                    f"{image.name} has another shape now: the prompts and sources of the old one "
                    "stay as layers, those of the new one begin anew.",
                    True,
                )
            self._clear(place)
            if image is self._image:
                self._image = None
                self.work_on(image)

    def _place_for(self, picture: PictureLayer) -> ImageController:
        place = ImageController(self.viewer, self.session, picture, self.mode, self.sources_opacity)
        for signal, slot in (
            (picture.layer.events.data, self._pixels_changed),
            (picture.layer.events.name, self._renamed),
            (place.asked, self._asked),
            (place.painted, lambda anywhere: self._painted(place, anywhere)),
            (place.notice, self._tell),
            (place.layer_group.map_shown, self._map_toggled),
            (place.layer_group.view_changed, lambda: self.view_changed.emit()),
        ):
            place.connections.connect(signal, slot)
        place.adopt()
        return place

    def _painted(self, place: ImageController, anywhere: bool) -> None:
        if anywhere:
            place.read_all_strokes()
        elif place is self._place and self._key is not None:
            place.read_strokes(self._key)

    def _leave(self, image: Image) -> None:
        self._places[image].read_all_strokes()
        self.leaving.emit(image)

    def _labels_written(self, data: Any) -> None:
        """Labels were saved, by whatever means of napari: what they are of need not be kept."""
        if threading.current_thread() is not threading.main_thread():
            return  # a script's: by the time it can be looked at, it may be something else
        for place in self._places.values():
            place.mark_saved(data)

    def _renamed(self, event: Any = None) -> None:
        self.plane_changed.emit()  # the dock shows names

    def _clear(self, place: ImageController) -> None:
        """Forget the work on a picture; its layers stay in the viewer."""
        image = place.picture.layer
        self._leave(image)
        if image is self._image:
            self._key = None  # or whoever looks meanwhile asks for a plane that is gone
        place.layer_group.disown()
        self.session.forget(image.unique_id)
        self.choices.forget(image.unique_id)
        place.close()
        del self._places[image]

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

    def _look_here(self) -> None:
        """Look at the picture once one rests on it: what was made of it, and its traces."""
        place, key = self._place, self._key
        # Lazy data may take long to read: once is enough, if the model is about to do so.
        reads_twice = self.embed_on_selection and not (
            place is None or isinstance(place.picture.array, np.ndarray)
        )
        if key is not None and not reads_twice:
            self.session.annotations.look_for_autosaved_work(self.session.planes[key])
        self._embed_here()

    def _embed_here(self, event: Any = None) -> None:
        if self._key is not None and self.embed_on_selection:
            self.session.embed(self._key)

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
        place = self._place_of(snapshot.key)
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
        place, plane = self._place_of(snapshot.key), self.session.planes.find(snapshot.key)
        if place is None or plane is None or snapshot.serial < plane.serial:
            return
        place.show_prompts(plane, snapshot)
        if snapshot.key == self._key:
            self.shown.emit(snapshot)

    def _show_heatmap(self, key: PlaneKey) -> None:
        place = self._place_of(key)
        if place is not None and place.layer_group.heatmap is None:
            self._maps.add(key)
            self._late_maps.start()
            self._show_evidence()
        else:
            self._put_heatmap(key)

    def _show_late_maps(self) -> None:
        for key in list(self._maps):
            self._put_heatmap(key)

    def _put_heatmap(self, key: PlaneKey) -> None:
        self._maps.discard(key)
        place, plane = self._place_of(key), self.session.planes.find(key)
        if place is not None and plane is not None:
            place.show_heatmap(plane, self.heatmap_visible)
        self._show_evidence()

    def _show_evidence(self, event: Any = None) -> None:
        """Let no map or uncertainty stay that is not of what is shown; style the present map."""
        for place in self._places.values():
            place.drop_outdated()
        plane, layer_group = self.plane, self.layer_group
        if layer_group is not None:
            layer_group.style_heatmap(None if plane is None else plane.forgery)

    def _map_toggled(self, shown: bool) -> None:
        self.heatmap_visible = shown

    # ---------------------------------------------------------------- helpers

    @property
    def _place(self) -> ImageController | None:
        return None if self._image is None else self._places.get(self._image)

    def _place_of(self, key: PlaneKey) -> ImageController | None:
        for image, place in self._places.items():
            if image.unique_id == key.picture:
                return place
        return None

    def _here(self) -> Here | None:
        place = self._place
        return None if place is None or self._key is None else (place, self._key)

    def _why_not(self, what: str) -> str:
        """Why nothing can be done here: "partition"."""
        place = self._place
        problem = "" if place is None else place.picture.view_problem(self.viewer.dims)
        return problem or no_picture_to(what)

    def _tell(self, sentence: str, failed: bool) -> None:
        # Not connected as `notice.emit`: psygnal makes a call to learn what an `emit` takes.
        self.notice.emit(sentence, failed, None)

    def _tell_of_session(self, sentence: str, failed: bool, topic: Topic = ANYWHERE) -> None:
        self.notice.emit(sentence, failed, topic)

    def _mode_changed(self) -> None:
        for place in self._places.values():
            place.show_mode()
        self.mode_changed.emit()


def _is_complete(settings: PartitionSettings) -> bool:
    return settings.method != "kmeans" or settings.n_sources is not None
