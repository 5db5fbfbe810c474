"""The desk: one viewer's layers on one side, the session on the other.

It decides which plane of which picture is worked on, turns points into prompts and prompts into
points, and puts results into layers. It has no widgets: the dock widget and the keys call it, and
it tells them by signals.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.layers import Labels as LabelsLayer
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.errors import SafireError
from napari_safire.gui.companions import Companions, is_overlay
from napari_safire.gui.connections import Connections
from napari_safire.gui.gui_thread import gui_thread
from napari_safire.gui.pictures import Channels, PictureLayer
from napari_safire.gui.prompt_layer import PromptLayer
from napari_safire.gui.source_layer import SourceLayer
from napari_safire.session.annotation import MOST_SOURCES, Labels, Mask, SourcePrompt
from napari_safire.session.planes import PartitionSettings, Plane, PlaneKey, Snapshot
from napari_safire.session.session import Session
from napari_safire.types import FloatImage, PointPrompt

Edit = Callable[[Labels, Mask], Labels]

_MOMENT_S = 0.045
_LATE_MS = 200
_REST_MS = 250  # how long a slider must rest before the slice under it is embedded


@dataclasses.dataclass(eq=False)
class _Place:
    """One image layer on the desk."""

    picture: PictureLayer
    companions: Companions
    prompts: PromptLayer | None = None
    sources: SourceLayer | None = None
    n_outside: int = 0  # points that lie outside the picture, as the user was told
    disarmed: bool = False  # the prompt tool was put away for a view that is not flat
    connections: Connections = dataclasses.field(default_factory=Connections)
    # The picture's own follow its layer's data at once, and these what was made for it.
    lengths: tuple[int, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.lengths = self.picture.lengths

    def close(self) -> None:
        self.connections.disconnect()
        self.companions.close()
        for part in (self.prompts, self.sources):
            if part is not None:
                part.close()


class Desk:
    """Work on the pictures of one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    session : Session
        The desk closes it with itself.
    embed_on_selection : bool
        Read a picture's traces as soon as it is selected.
    sources_opacity : float
        Of the Labels layers that it makes.

    Attributes
    ----------
    plane_changed : Signal()
        Another picture or slice is worked on, or none.
    mode_changed : Signal()
        Another source number, include or exclude, or settings of the partition.
    painted : Signal(Snapshot)
        The labels of a plane are in its Labels layer.
    shown : Signal(Snapshot)
        The labels and prompts of the present plane are shown.
    notice : Signal(str, bool)
        A sentence for the user; true where something failed.
    """

    plane_changed = Signal()
    mode_changed = Signal()
    painted = Signal(Snapshot)
    shown = Signal(Snapshot)
    notice = Signal(str, bool)

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
        self.settings = PartitionSettings()
        self.heatmap_visible = False
        self.sources_opacity = sources_opacity
        self._places: dict[Image, _Place] = {}
        self._image: Image | None = None
        self._key: PlaneKey | None = None
        self._source, self._exclude = 1, False
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._embed_here)
        self._latest: Snapshot | None = None
        self._late = QTimer()
        self._late.setSingleShot(True)
        self._late.setInterval(_LATE_MS)
        self._late.timeout.connect(self._show_latest)
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
            (session.notice, self.notice.emit),
        ):
            self._connections.connect(signal, slot)
        self._active_changed()
        if self._image is None:
            self._take_any_image()

    def close(self) -> None:
        """Let go of the viewer and stop all work; may be called twice."""
        for timer in (self._rest, self._late):
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
            self.notice,
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
    def companions(self) -> Companions | None:
        """The layers that go with the image."""
        place = self._place
        return None if place is None else place.companions

    @property
    def plane(self) -> Plane | None:
        """What is known of the plane that is worked on."""
        return None if self._key is None else self.session.planes[self._key]

    @property
    def sources_layer(self) -> LabelsLayer | None:
        """The Labels layer with the sources of the image."""
        companions = self.companions
        return None if companions is None else companions.sources

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
            picture = PictureLayer(image, channels)
            problem = picture.problem()
            if problem:
                self.notice.emit(problem, True)
                if place is None:
                    self._rest.stop()
                    self._image = self._key = None
                    self.plane_changed.emit()
                return
            if place is not None and place.lengths == picture.lengths:
                place.picture = place.companions.picture = picture
                if place.prompts is not None:
                    self._link_prompts(place, place.prompts.layer, anew=True)
                self._reread(place)
                self.plane_changed.emit()
                return
            if place is not None:
                self._clear(place)
            self._places[image] = self._place_for(picture)
        self._rest.stop()
        self._image, self._key = image, None
        self._view_changed()
        if self._image is not None and self.embed_on_selection:
            self._embed_here()

    # ---------------------------------------------------------------- prompts

    @property
    def source(self) -> int:
        """The source that new prompts, and the brush, belong to."""
        return self._source

    @source.setter
    def source(self, number: int) -> None:
        number = int(np.clip(number, 1, MOST_SOURCES))
        if number != self._source:
            self._source = number
            self._mode_changed()

    @property
    def exclude(self) -> bool:
        """Whether new prompts take their region away."""
        return self._exclude

    @exclude.setter
    def exclude(self, exclude: bool) -> None:
        if exclude != self._exclude:
            self._exclude = exclude
            self._mode_changed()

    def next_source(self) -> None:
        """Count the source up."""
        self.source += 1

    def previous_source(self) -> None:
        """Count the source down."""
        self.source -= 1

    def add_prompts(self) -> None:
        """Arm the prompt tool: a click on the picture then is a prompt."""
        place = self._place
        if place is None:
            self.notice.emit("There is no picture to place prompts on: open one first.", True)
            return
        problem = place.picture.view_problem(self.viewer.dims)
        if problem:
            self.notice.emit(problem, True)
            return
        layer = place.companions.need_prompts()
        self._link_prompts(place, layer)
        layer.visible = True
        self.viewer.layers.selection.active = layer
        layer.mode = "add"

    def use_prompts(self, layer: Points) -> None:
        """Take a Points layer of the user's own as prompts of the image.

        Points of a layer that has other axes than the picture are copied.
        """
        place = self._place
        if place is None:
            return
        if layer.ndim == place.picture.ndim:
            place.companions.prompts = layer
            self._link_prompts(place, layer)
            self._prompts_changed(place, "take points")
            return
        places = place.picture.to_picture(layer, layer.data, self.viewer.dims.point)
        own = place.companions.need_prompts()
        self._link_prompts(place, own)
        self.notice.emit(
            f"{layer.name} has {layer.ndim} axes, the picture {place.picture.ndim}: its points "
            f"were copied to {own.name}.",
            False,
        )
        if len(places):
            own.add(place.picture.from_picture(own, places))

    def segment(self) -> None:
        """Answer the prompts now: starts what was cancelled, or was never started."""
        if self._key is None:
            self.notice.emit("There is no picture to segment: open one first.", True)
            return
        self.session.embed(self._key)
        self.session.segment(self._key)

    # ---------------------------------------------------------------- partition

    def set_settings(self, settings: PartitionSettings) -> None:
        """Change how to partition; a plane that was partitioned is clustered anew at once."""
        if settings == self.settings:
            return
        self.settings = settings
        self.mode_changed.emit()
        plane = self.plane
        if (
            plane is not None
            and plane.partition is not None
            and plane.has_grid(settings)
            and _is_complete(settings)
        ):
            self.session.partition(plane.key, settings)

    def partition(self) -> None:
        """Divide the present plane into its sources."""
        if self._key is None:
            self.notice.emit("There is no picture to partition: open one first.", True)
            return
        self.session.partition(self._key, self.settings)

    def partition_all(self) -> None:
        """Divide every plane of the stack into its sources."""
        picture = self.picture
        if picture is None or self._key is None:
            return
        keys = []
        for index in np.ndindex(*picture.stack_shape):
            key = dataclasses.replace(self._key, index=tuple(index))
            self.session.open(key, picture.shape, picture.reader(key.index))
            keys.append(key)
        self.session.partition_all(keys, self.settings)

    def show_uncertainty(self) -> None:
        """Make the uncertainty layer of the present partition."""
        key, companions = self._key, self.companions
        if key is None or companions is None:
            return

        def done(values: FloatImage) -> None:
            companions.show_uncertainty(key.index, values)

        try:
            self.session.ask_uncertainty(key, done)
        except SafireError as error:
            self.notice.emit(str(error), True)

    def select_prompts(self, numbers: Sequence[int]) -> None:
        """Show where prompts of the grid lie: as selected points of a layer of their own."""
        plane, companions = self.plane, self.companions
        if plane is None or companions is None or plane.grid is None:
            return
        places = [
            (*plane.key.index, plane.grid.prompts[n].row, plane.grid.prompts[n].col)
            for n in numbers
        ]
        companions.show_grid_prompts(places)

    # ---------------------------------------------------------------- states

    def commit(self) -> None:
        """Settle the preview."""
        self._with_key(self.session.states.commit)

    def discard(self) -> None:
        """Drop the preview and its prompts."""
        self._with_key(self.session.states.discard)

    def undo(self) -> None:
        """Take back the last step."""
        self._with_key(self.session.states.undo)

    def redo(self) -> None:
        """Bring back the step that was taken back."""
        self._with_key(self.session.states.redo)

    def cancel(self) -> None:
        """Stop what the model does."""
        self.session.cancel()

    def toggle_preview(self) -> None:
        """Show or hide the preview."""
        plane = self.plane
        if plane is not None:
            self.session.states.show_preview(plane.key, not plane.with_preview)
            self.mode_changed.emit()

    def reopen(self, source: int) -> None:
        """Take a settled source back to its prompts."""
        self.source = source
        if self._place is not None:
            self._link_prompts(self._place, self._place.companions.need_prompts())
        self._with_key(lambda key: self.session.states.reopen(key, source))

    def merge(self, sources: Sequence[int]) -> None:
        """Make several sources one, the first of them."""
        first, others = sources[0], set(sources)
        self._edit(
            _named_edit("merge", sources, of_protected=True),
            f"merge sources {', '.join(map(str, sources))}",
            lambda number: first if number in others else number,
        )

    def split(self, source: int) -> None:
        """Number the connected parts of a source apart."""
        self._edit(
            _named_edit("split", source, of_protected=True),
            f"split source {source}",
        )

    def absorb(self, source: int) -> None:
        """Give the pixels of a source to their nearest neighbours."""
        self._edit(
            _named_edit("absorb", source, of_protected=True),
            f"absorb source {source}",
        )

    def fill_holes(self, source: int) -> None:
        """Fill what a source encloses."""
        self._edit(
            _named_edit("fill_holes", source),
            f"fill holes of source {source}",
        )

    def remove_islands(self, smaller_than: int) -> None:
        """Give connected parts below a number of pixels to their neighbours."""
        self._edit(
            _named_edit("remove_islands", smaller_than),
            f"remove islands below {smaller_than} pixels",
        )

    def protect(self, source: int) -> None:
        """Keep later predictions off the pixels of a source."""
        self._with_key(lambda key: self.session.states.protect(key, [source]))

    def unprotect(self) -> None:
        """Let predictions change painted and protected pixels again."""
        self._with_key(self.session.states.unprotect)

    def import_labels(self, layer: LabelsLayer) -> None:
        """Settle the labels of another layer, to refine them."""
        picture, key = self.picture, self._key
        if picture is None or key is None:
            return
        given = np.asarray(layer.data[0] if layer.multiscale else layer.data)
        plane = given[key.index] if given.ndim == picture.ndim else given
        if plane.shape != picture.shape:
            self.notice.emit(
                f"{layer.name} has labels of shape {given.shape}, the picture {picture.shape}: "
                "labels of the picture's own size are needed.",
                True,
            )
            return
        labels = plane.copy()
        self._edit(
            lambda settled, protected: np.where((labels > 0) & ~protected, labels, settled),
            f"import {layer.name}",
        )

    def read_strokes(self) -> None:
        """Take what was painted on the present plane, even where no event told of it."""
        if self._place is not None:
            self._painted(self._place)

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
            if layer in place.companions.layers():
                return image
        return layer if isinstance(layer, Image) and not is_overlay(layer) else None

    def _take_any_image(self) -> None:
        images = self.images
        self.work_on(images[-1] if images else None)

    def _layer_removed(self, event: Any) -> None:
        layer = event.value
        place = self._places.pop(layer, None) if isinstance(layer, Image) else None
        if place is not None:
            place.close()
            self.session.forget(layer.unique_id)
            if layer is self._image:
                self._image = self._key = None
                self._take_any_image()
                self.plane_changed.emit()
            return
        for other in self._places.values():
            if other.prompts is not None and other.prompts.layer is layer:
                other.prompts.close()
                other.prompts = None
            if other.sources is not None and other.sources.layer is layer:
                other.sources.close()
                other.sources = None
            if other.companions.drop(layer) and other.companions.prompts is None:
                self._prompts_changed(other, "remove prompts")

    def _view_changed(self, event: Any = None) -> None:
        picture, image = self.picture, self._image
        if picture is None or image is None:
            if self._key is not None or event is None:
                self._key = None
                self.plane_changed.emit()
            return
        if image not in self.viewer.layers:
            return  # napari takes the axes away before it tells that the layer is gone
        problem = picture.view_problem(self.viewer.dims)
        key = None
        if not problem:
            key = PlaneKey(image.unique_id, picture.index_at(self.viewer.dims.point))
        if key == self._key and key is not None:
            return
        self._key = key
        self._arm(key is not None)
        if key is None:
            self.notice.emit(problem, False)
        else:
            self.session.open(key, picture.shape, picture.reader(key.index))
            self.session.states.refresh(key)
            if event is not None and self.embed_on_selection:
                self._rest.start()
        self.plane_changed.emit()

    def _pixels_changed(self, event: Any = None) -> None:
        """The data of an image layer were replaced."""
        for image, place in list(self._places.items()):
            if event is not None and event.source is not image:
                continue
            if not place.picture.problem() and place.picture.lengths == place.lengths:
                self._reread(place)
                continue
            if place.companions.layers():
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

    def _place_for(self, picture: PictureLayer) -> _Place:
        place = _Place(picture, Companions(self.viewer, picture, self.sources_opacity))
        place.connections.connect(picture.layer.events.data, self._pixels_changed)
        place.connections.connect(picture.layer.events.name, self._renamed)
        return place

    def _renamed(self, event: Any = None) -> None:
        self.plane_changed.emit()  # the dock shows names

    def _clear(self, place: _Place) -> None:
        """Forget the work on a picture; its layers stay in the viewer."""
        image = place.picture.layer
        self.session.forget(image.unique_id)
        place.close()
        del self._places[image]

    def _reread(self, place: _Place) -> None:
        """The model has to look again; prompts and labels stay."""
        picture = place.picture
        self.session.reread(picture.layer.unique_id)
        for plane in self.session.planes.of(picture.layer.unique_id):
            self.session.open(plane.key, plane.shape, picture.reader(plane.key.index))
        if picture.layer is self._image:
            self._embed_here()

    def _answer_anew(self, key: PlaneKey) -> None:
        """Ask prompts again whose answer was given for other pixels, channels or model."""
        plane = self.session.planes[key]
        state = None if plane.snapshot is None else plane.snapshot.annotation
        if state is None or state.preview is None or state.preview.origin != "prompts":
            return
        live = state.live_prompts
        if plane.asked != live and any(p.point not in plane.regions for p in live):
            self.session.segment(key)

    def _arm(self, flat: bool) -> None:
        """Put the prompt tool away where a click is no place on a picture, and take it again."""
        place = self._place
        if place is None or place.prompts is None:
            return
        layer = place.prompts.layer
        if flat and place.disarmed:
            place.disarmed = False
            layer.mode = "add"
        elif not flat and layer.mode == "add":
            place.disarmed = True
            layer.mode = "pan_zoom"

    def _embed_here(self, event: Any = None) -> None:
        if self._key is not None and self.embed_on_selection:
            self.session.embed(self._key)

    def _prompts_changed(self, place: _Place, what: str) -> None:
        """Hand the prompts of every plane whose points changed to the session."""
        picture = place.picture
        found = {} if place.prompts is None else place.prompts.read(self.viewer.dims.point)
        outside = 0 if place.prompts is None else place.prompts.n_outside
        if outside > place.n_outside:
            self.notice.emit(
                f"{outside} point{'s lie' if outside > 1 else ' lies'} outside the picture and "
                f"{'are' if outside > 1 else 'is'} not asked.",
                False,
            )
        place.n_outside = outside
        known = {p.key.index: p for p in self.session.planes.of(picture.layer.unique_id)}
        for index in found.keys() | known.keys():
            prompts = found.get(index, ())
            plane = known.get(index)
            snapshot = None if plane is None else plane.snapshot
            if snapshot is None or snapshot.annotation.prompts != prompts or _is_behind(plane):
                if not prompts and (snapshot is None or not snapshot.annotation.prompts):
                    continue
                key = PlaneKey(picture.layer.unique_id, index)
                self.session.open(key, picture.shape, picture.reader(index))
                self.session.set_prompts(key, prompts, what)
                if key == self._key and self.session.answers_quickly(key):
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

    def _painted(self, place: _Place) -> None:
        """Hand what was painted on the present plane to the session."""
        key = self._key
        if place.sources is None or key is None or key.picture != place.picture.layer.unique_id:
            return
        painted = place.sources.painted_labels(key.index)
        if painted is not None:
            labels, with_preview = painted
            self.session.states.paint(key, labels, with_preview)

    # ---------------------------------------------------------------- results

    def _show(self, snapshot: Snapshot) -> None:
        place = self._place_of(snapshot.key)
        plane = self.session.planes[snapshot.key]
        if place is None or snapshot.serial < plane.serial:
            return  # a newer one is on its way
        index = snapshot.key.index
        if place.sources is None and snapshot.labels.any():
            self._link_sources(place)
        if place.sources is not None:
            painted = place.sources.painted_labels(index)
            if painted is not None:  # between two events: it must not be overwritten
                self.session.states.paint(snapshot.key, *painted)
                return
            place.sources.write(index, snapshot.labels, snapshot.with_preview)
        self.painted.emit(snapshot)
        # Labels first, the rest as a call of its own: two short ones instead of a long one. While
        # an answer is about to come the rest waits for it, or for the timer if none comes.
        self._latest = snapshot
        if snapshot.annotation.is_answered or not self.session.answers_quickly(snapshot.key):
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
        annotation = snapshot.annotation
        if annotation.prompts or place.prompts is not None:
            layer = place.companions.need_prompts()
            self._link_prompts(place, layer)
            assert place.prompts is not None
            place.prompts.write(
                snapshot.key.index,
                annotation.prompts,
                snapshot.confidences,
                self.viewer.dims.point,
            )
        if place.sources is not None:
            self._note(place, plane, snapshot)
        if snapshot.key == self._key:
            self.shown.emit(snapshot)

    def _show_heatmap(self, key: PlaneKey) -> None:
        place = self._place_of(key)
        forgery = self.session.planes[key].forgery
        if place is not None and forgery is not None:
            place.companions.show_heatmap(key.index, forgery.heatmap, self.heatmap_visible)

    def _note(self, place: _Place, plane: Plane, snapshot: Snapshot) -> None:
        """Write down beside the labels how they came about, for whoever saves them."""
        place.companions.note(
            **work_facts(plane, snapshot.annotation.prompts, snapshot.confidences)
        )

    # ---------------------------------------------------------------- helpers

    @property
    def _place(self) -> _Place | None:
        return None if self._image is None else self._places.get(self._image)

    def _place_of(self, key: PlaneKey) -> _Place | None:
        for image, place in self._places.items():
            if image.unique_id == key.picture:
                return place
        return None

    def _link_prompts(self, place: _Place, layer: Points, *, anew: bool = False) -> None:
        if place.prompts is not None and place.prompts.layer is layer and not anew:
            return
        if place.prompts is not None:
            place.prompts.close()
        prompts = PromptLayer(layer, place.picture)
        prompts.set_defaults(self._source, self._exclude)
        prompts.changed.connect(lambda what: self._prompts_changed(place, what))
        place.prompts = prompts

    def _link_sources(self, place: _Place) -> None:
        sources = SourceLayer(place.companions.need_sources())
        sources.layer.selected_label = self._source
        sources.painted.connect(lambda: self._painted(place))
        sources.selected.connect(self._label_selected)
        place.sources = sources
        # The layer may be made anew, after it was removed: with all planes of a stack in it.
        for plane in self.session.planes.of(place.picture.layer.unique_id):
            if plane.snapshot is not None:
                labels, with_preview = plane.snapshot.labels, plane.snapshot.with_preview
                sources.write(plane.key.index, labels, with_preview)

    def _label_selected(self, number: int) -> None:
        if number > 0:  # 0 is the eraser
            self.source = number

    def _mode_changed(self) -> None:
        for place in self._places.values():
            if place.prompts is not None:
                place.prompts.set_defaults(self._source, self._exclude)
            if place.sources is not None and place.sources.layer.selected_label != self._source:
                place.sources.layer.selected_label = self._source
        self.mode_changed.emit()

    def _edit(
        self,
        edit: Edit,
        title: str,
        renumber: Callable[[int], int] | None = None,
    ) -> None:
        self._with_key(lambda key: self.session.states.edit(key, edit, title, renumber))

    def _with_key(self, act: Callable[[PlaneKey], None]) -> None:
        if self._key is None:
            self.notice.emit("There is no picture to work on: open one first.", True)
            return
        self.read_strokes()
        act(self._key)


def work_facts(
    plane: Plane, prompts: Sequence[SourcePrompt], confidences: Mapping[PointPrompt, float]
) -> dict[str, Any]:
    """What a record of labels says of how they came about: prompts and hashes."""
    embedding = plane.embedding
    return {
        "prompts": [
            {
                "index": list(plane.key.index),
                "row": prompt.point.row,
                "col": prompt.point.col,
                "source": prompt.source,
                "exclude": prompt.exclude,
                "live": prompt.live,
                "confidence": confidences.get(prompt.point),
            }
            for prompt in prompts
        ],
        "image_sha256": None if embedding is None else embedding.image_sha256,
        "checkpoint_sha256": None if embedding is None else embedding.checkpoint_sha256,
    }


def _named_edit(name: str, what: object, *, of_protected: bool = False) -> Edit:
    """An edit of `napari_safire.session.edits`; its libraries load in the worker that does it.

    Edits of chosen sources take protected pixels along: the user asked for just that. Those that
    clean up must not undo what was painted.
    """

    def edit(labels: Labels, protected: Mask) -> Labels:
        from napari_safire.session import edits

        guard = None if of_protected else protected
        return getattr(edits, name)(labels, what, protected=guard)

    return edit


def _is_complete(settings: PartitionSettings) -> bool:
    return settings.method != "kmeans" or settings.n_sources is not None


def _is_behind(plane: Plane | None) -> bool:
    """Whether prompts are on their way that the last snapshot does not have yet."""
    return plane is not None and (plane.snapshot is None or plane.snapshot.serial < plane.serial)
