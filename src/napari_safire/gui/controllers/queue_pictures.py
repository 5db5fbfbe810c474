"""The pictures of a queue as layers of the viewer, one at a time."""

from __future__ import annotations

import gc
import os
from collections.abc import Hashable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.gui.controllers.picture_facts import picture_facts
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.io.layer_data import about_picture, picture_layer
from napari_safire.gui.layers.image_planes import picture_id
from napari_safire.gui.layers.parts import evidence_layers, picture_of
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.session.queue.store import PictureWork

_NOTED = "napari_safire_queue"  # among the metadata of an image layer


class QueuePictures:
    """Shows the pictures of a queue; the `QueueView` of the session.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self._image: Image | None = None
        self._others: list[Layer] = []  # what somebody else made of the picture
        self._is_frozen = False
        self._as_made: dict[str, Any] = {}  # how `_image` is shown where nobody has changed that

    @property
    def image(self) -> Image | None:
        """The layer of the picture that is open, if it is in the viewer."""
        return self._image if self._image in self._controller.viewer.layers else None

    def read_strokes(self, picture: Hashable) -> None:
        """See `QueueView`; the picture is worked on from here on."""
        self._controller.work_on(self.image)
        self._controller.edits.read_strokes()

    def facts(self, picture: Hashable, plane: Plane) -> dict[str, Any]:
        """See `QueueView`."""
        image = self._image
        assert image is not None
        return dict(image.metadata.get("napari_safire", {})) | picture_facts(image, plane)

    @property
    def embeds_at_once(self) -> bool:
        """See `QueueView`."""
        return self._controller.embed_on_selection

    def partition(self, picture: Hashable) -> None:
        """See `QueueView`."""
        self._controller.work_on(self.image)
        self._controller.partition()

    def show_other(self, picture: Hashable, made: AnnotatedPlane, title: str) -> None:
        """See `QueueView`: as a Labels layer of its own, which is no part of the work."""
        image = self.image
        if image is not None:
            layer = Labels(made.annotation.shown(), name=title, opacity=0.5)
            layer.affine = image.affine
            layer.editable = False
            self._controller.viewer.add_layer(layer)
            self._others.append(layer)
            self._controller.work_on(image)

    def show(self, work: PictureWork) -> Hashable:
        """See `QueueView`; layers of the last picture go, and an armed prompt tool stays armed."""
        controller, viewer, last = self._controller, self._controller.viewer, self.image
        extent = None if last is None else last.extent.world.tolist()
        leaving, armed = self._leaving()
        before = self._open_before(work)
        if before is None and last is not None and self._fits(last, work, leaving):
            leaving.remove(last)
            self._remove(leaving)
            image = last
            pixels, options, _ = _layer_data(work)
            controller.show_in(image, pixels, options["name"], options["metadata"])
        elif before is None:
            image = _image_layer(work)
            viewer.add_layer(image)  # before others go: the controller would take another image
            self._as_made = _looks(image)
        else:
            image, self._as_made = before, {}
        self._image = image
        controller.work_on(image)
        controller.mode.source, controller.mode.exclude = 1, False
        self._restore(image, work.made, under_present=before is not None)
        self._remove(leaving)
        if extent != image.extent.world.tolist():
            viewer.reset_view()
        if armed:
            controller.add_prompts()
        self._spare_the_old()
        if before is not None and self._has_work(before) and _NOTED not in before.metadata:
            controller.notice.emit(
                f"{work.name} was open before: its work goes on. Undo brings back what was saved.",
                False,
                None,
            )
        return picture_id(image)

    def note(self, noted: dict[str, str]) -> None:
        """Note with the open picture which queue it is of: a dock opened later goes on with it."""
        for image in self._controller.images:
            image.metadata.pop(_NOTED, None)
        if self.image is not None:
            self.image.metadata[_NOTED] = noted

    def noted(self) -> dict[str, str]:
        """What a dock that was closed had noted with a picture; empty if there is none."""
        found = (image.metadata.get(_NOTED) for image in self._controller.images)
        return next((noted for noted in found if noted), {})

    def _fits(self, last: Image, work: PictureWork, leaving: list[Layer]) -> bool:
        """Whether a picture can be shown in the last one's layer as if that had been made anew.

        A layer that somebody shows otherwise than it was made, or has put others over, is not
        used again: the next picture would be shown otherwise, or hidden.
        """
        shown, pixels, layers = last.data, work.image.pixels, self._controller.viewer.layers
        return (
            isinstance(shown, np.ndarray)
            and pixels.ndim == 3
            and pixels.dtype == shown.dtype == np.uint8
            and pixels.shape[2:] == shown.shape[2:]
            and all(layer in leaving for layer in layers[layers.index(last) :])
            and _same(_looks(last), self._as_made)
        )

    def _spare_the_old(self) -> None:
        """Leave what is there already out of garbage collections, for as long as there is a queue.

        napari collects garbage whenever a layer is removed: over half a second in which nothing
        answers, nearly all of it for its own objects, which stay.
        """
        if not self._is_frozen and not gc.get_freeze_count():
            gc.collect()
            gc.freeze()
            self._is_frozen = True

    def close(self) -> None:
        """Let Python's garbage collector look at everything again."""
        if self._is_frozen:
            self._is_frozen = False
            gc.unfreeze()

    def _open_before(self, work: PictureWork) -> Image | None:
        """The layer in which a picture is open already, with the very pixels of its file."""
        pixels = work.image.pixels
        for layer in self._controller.images:
            if layer is self.image or not _is_of(layer, work.path):
                continue
            data = layer.data
            if isinstance(data, np.ndarray) and np.array_equal(data, pixels):
                return layer
        return None

    def clear(self) -> None:
        """See `QueueView`."""
        leaving, _ = self._leaving()
        self._image = None
        self._remove(leaving)

    def _leaving(self) -> tuple[list[Layer], bool]:
        """Layers of the last picture, and whether its prompt tool is armed."""
        controller, image = self._controller, self.image
        if image is None:
            return [], False
        controller.work_on(image)
        layer_group = controller.layer_group
        if layer_group is None:
            return [image], False
        prompts = layer_group.prompts
        active = controller.viewer.layers.selection.active
        armed = prompts is not None and active is prompts and prompts.mode == "add"
        # The image comes last: without it the others are no group.
        evidence = evidence_layers(controller.viewer.layers, image)
        others, self._others = self._others, []
        return [*layer_group.layers(), *evidence, *others, image], armed

    def _has_work(self, image: Image) -> bool:
        """Whether layers were made for an image, by this dock or one that was closed."""
        return any(
            picture_of(layer) == str(picture_id(image)) for layer in self._controller.viewer.layers
        )

    def _remove(self, layers: list[Layer]) -> None:
        there = self._controller.viewer.layers
        # So napari collects garbage once, .2 s, and not for each; before 0.9 it cannot.
        batched = getattr(there, "batched_update", nullcontext)
        with batched():
            for layer in layers:
                if layer in there:
                    there.remove(layer)

    def _restore(self, image: Image, made: AnnotatedPlane, *, under_present: bool) -> None:
        empty = Annotation.empty(made.annotation.settled.shape)
        if made.annotation == empty and made.predictions == Predictions():
            return
        picture, session = self._controller.picture, self._controller.session
        if picture is not None and picture.layer is image:
            key = PlaneKey(picture_id(image))
            session.open(key, picture.shape, picture.reader(()), file=picture.file)
            session.annotations.open_saved(key, made, under_present=under_present)


def _layer_data(work: PictureWork) -> Any:
    pixels = work.image.pixels
    return picture_layer(pixels, work.name, about_picture(work.image), rgb=pixels.ndim == 3)


def _image_layer(work: PictureWork) -> Image:
    made = Layer.create(*_layer_data(work))
    assert isinstance(made, Image)
    return made


def _looks(image: Image) -> dict[str, Any]:
    """How an image layer is shown, whatever it shows."""
    _, state, _ = image.as_layer_data_tuple()
    return {k: v for k, v in state.items() if k not in ("name", "metadata")} | {"mode": image.mode}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))


def _is_of(image: Image, picture: Path) -> bool:
    """Whether an image layer was read from a file."""
    path = image.metadata.get("napari_safire", {}).get("image_path", image.source.path)
    return isinstance(path, str | os.PathLike) and os.path.abspath(path) == str(picture)
