"""Which plane of which picture is worked on, as the viewer's layers and sliders say.

What belongs to one image layer is its `ImageController`'s business.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.layers import Labels as LabelsLayer
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.gui.controllers.choices import PictureChoices
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.image import ImageController
from napari_safire.gui.controllers.mode import Mode
from napari_safire.gui.controllers.source_edits import Here, no_picture_to
from napari_safire.gui.layers.image_planes import (
    Channels,
    PictureLayer,
    give_to_another,
    picture_id,
)
from napari_safire.gui.layers.layer_group import LayerGroup
from napari_safire.gui.layers.parts import channels_before, is_overlay, picture_of
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.session.session import Session

_REST_MS = 250  # how long a slider must rest before the slice under it is embedded


class ViewedPictures:
    """Follow the pictures of one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    session : Session
    embed_on_selection, sources_opacity
        See `ViewerController`.

    Attributes
    ----------
    mode : Mode
        What the next prompt, and the brush, are for.
    plane_changed : Signal()
        Another picture or slice is worked on, or none.
    view_changed : Signal()
        Sources, forgery map or uncertainty of a picture are shown or hidden.
    notice : Signal(str, bool, Topic)
        A sentence for the user; true where something failed; what it belongs to. Without a topic it
        belongs to what is worked on now.
    leaving : Signal(napari.layers.Image)
        An image layer is about to be let go: it was removed, or the controller closes. All strokes
        were read, its planes are still open in the session (`Planes.of`), and what is begun now
        with `AnnotationStore.write` is waited for before the controller closes.
    """

    plane_changed = Signal()
    view_changed = Signal()
    notice = Signal(str, bool, object)
    leaving = Signal(Image)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        embed_on_selection: bool,
        sources_opacity: float,
    ) -> None:
        self.viewer = viewer
        self.session = session
        self.embed_on_selection = embed_on_selection
        self.sources_opacity = sources_opacity
        self.heatmap_visible = False
        self.mode = Mode()
        self.choices = PictureChoices(self.mode)
        self._places: dict[Image, ImageController] = {}
        self._image: Image | None = None
        self._key: PlaneKey | None = None
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._look_here)
        self._connections = Connections()

    def _follow_viewer(self) -> None:
        """Begin with what is selected; last, once everybody listens."""
        layers, dims = self.viewer.layers, self.viewer.dims
        for signal, slot in (
            (layers.selection.events.active, self._active_changed),
            (layers.events.removed, self._layer_removed),
            (dims.events.current_step, self._view_changed),
            (dims.events.order, self._view_changed),
            (dims.events.ndisplay, self._view_changed),
        ):
            self._connections.connect(signal, slot)
        self._active_changed()
        if self._image is None:
            self._take_any_image()

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

    def place_of(self, key: PlaneKey) -> ImageController | None:
        """Return the image layer of a plane on the controller; None if it is gone."""
        for image, place in self._places.items():
            if picture_id(image) == key.picture:
                return place
        return None

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

    def show_in(self, image: Image, pixels: Any, name: str, about: dict[str, Any]) -> None:
        """Show another picture in an image layer and work on it; what was made before is forgotten.

        napari needs a tenth of the time that a layer made anew takes.

        Parameters
        ----------
        image : napari.layers.Image
            One of the viewer's. Layers that go with it become the user's own.
        pixels : array
            With as many axes, and of the same type, as those that it shows.
        name : str
        about : dict
            Its new metadata.
        """
        if image in self._places:
            self._clear(self._places[image])
        if image is self._image:
            self._image = None
        give_to_another(image)
        image.metadata = about
        image.name = name
        image.data = pixels
        self.viewer.layers.selection.active = image
        self.work_on(image)

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
        # By a dock that was closed, or to show what a view found.
        made_for = "" if layer is None else picture_of(layer, evidence=True)
        return next((i for i in self.images if str(picture_id(i)) == made_for), None)

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
                self.session.forget(picture_id(layer))
                self.choices.forget(picture_id(layer))
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
            key = PlaneKey(picture_id(image), place.picture.index_at(self.viewer.dims.point))
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
                self._style_maps()
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
        self._listen_to(place)
        place.adopt()
        return place

    def _listen_to(self, place: ImageController) -> None:
        layer = place.picture.layer
        for signal, slot in (
            (layer.events.data, self._pixels_changed),
            (layer.events.name, self._renamed),
            (place.painted, lambda anywhere: self._painted(place, anywhere)),
            (place.notice, self._tell),
            (place.layer_group.map_shown, self._map_toggled),
            (place.layer_group.view_changed, lambda: self.view_changed.emit()),
        ):
            place.connections.connect(signal, slot)

    def _painted(self, place: ImageController, anywhere: bool) -> None:
        if anywhere:
            place.read_all_strokes()
        elif place is self._place and self._key is not None:
            place.read_strokes(self._key)

    def _leave(self, image: Image) -> None:
        self._places[image].read_all_strokes()
        self.leaving.emit(image)

    def _renamed(self, event: Any = None) -> None:
        self.plane_changed.emit()  # the dock shows names

    def _clear(self, place: ImageController) -> None:
        """Forget the work on a picture; its layers stay in the viewer."""
        image = place.picture.layer
        self._leave(image)
        if image is self._image:
            self._key = None  # or whoever looks meanwhile asks for a plane that is gone
        place.layer_group.disown()
        self.session.forget(picture_id(image))
        self.choices.forget(picture_id(image))
        place.close()
        del self._places[image]

    # ---------------------------------------------------------------- what is asked of it

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

    def _style_maps(self, event: Any = None) -> None:
        """Let no map or uncertainty stay that is not of what is shown; style the present map."""
        for place in self._places.values():
            place.drop_outdated()
        plane, layer_group = self.plane, self.layer_group
        if layer_group is not None:
            hidden = plane is None or self.session.blind.hides(plane.key)
            layer_group.style_heatmap(None if hidden or plane is None else plane.forgery)

    def _map_toggled(self, shown: bool) -> None:
        self.heatmap_visible = shown

    # ---------------------------------------------------------------- helpers

    @property
    def _place(self) -> ImageController | None:
        return None if self._image is None else self._places.get(self._image)

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
