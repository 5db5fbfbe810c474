"""One image layer on the controller: its planes in the session, and the layers that go with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.annotation.annotation import SourcePrompt, same_prompts
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.annotation.recorded import ANNOTATED, AUTOSAVED_AS, PIXELS
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.mode import Mode
from napari_safire.gui.controllers.picture_facts import picture_facts
from napari_safire.gui.layers.evidence_layers import EvidenceLayers
from napari_safire.gui.layers.image_planes import PictureLayer, picture_id
from napari_safire.gui.layers.layer_group import LayerGroup
from napari_safire.gui.layers.prompt_layer import PromptLayer
from napari_safire.gui.layers.source_layer import SourceLayer
from napari_safire.images.pixels import PictureReader
from napari_safire.session.planes import Plane, PlaneKey, Snapshot
from napari_safire.session.results import points_outside
from napari_safire.session.session import Session
from napari_safire.session.stroke_snapping import snap_last_stroke
from napari_safire.types import PointPrompt


class ImageController:
    """Hands points and strokes of one image layer to the session, and puts results into layers.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    session : Session
    picture : PictureLayer
    mode : Mode
        Of the next prompt and the brush.
    sources_opacity : float
        Of the Labels layer, 0 to 1.

    Attributes
    ----------
    asked : Signal(PlaneKey)
        The session was given other prompts of a plane.
    painted : Signal(bool)
        Something may have been painted, on the plane that is shown or (true) on any; `read_strokes`
        and `read_all_strokes` find it.
    notice : Signal(str, bool)
        A sentence for the user; true where something failed.
    """

    asked = Signal(PlaneKey)
    painted = Signal(bool)
    notice = Signal(str, bool)

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        picture: PictureLayer,
        mode: Mode,
        sources_opacity: float,
    ) -> None:
        self._viewer = viewer
        self._session = session
        self._mode = mode
        self.picture = picture
        # The picture's own follow its layer's data at once, and these what was made for it.
        self.lengths = picture.lengths
        self.layer_group = LayerGroup(viewer, picture, sources_opacity)
        self.evidence_layers = EvidenceLayers(viewer, picture)
        self.connections = Connections()
        self._prompts: PromptLayer | None = None
        self._sources: SourceLayer | None = None
        # Prompts that are on screen, as they were last written to the layer or read from it.
        self._seen: dict[tuple[int, ...], tuple[SourcePrompt, ...]] = {}
        self._n_outside = 0  # points that lie outside the picture, as the user was told
        self._held_back: set[PlaneKey] = set()  # planes with results that wait for a stroke
        self._disarmed = False  # the prompt tool was put away for a view that is not flat
        # Whoever removes all layers removes the prompts first: these go if the picture stays.
        self._prompts_removed = QTimer()
        self._prompts_removed.setSingleShot(True)
        self._prompts_removed.timeout.connect(self._remove_prompts)

    def close(self) -> None:
        """Let go of all layers; they stay in the viewer."""
        self.connections.disconnect()
        self._note_pixels()
        with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
            self._prompts_removed.stop()
            self._prompts_removed.timeout.disconnect(self._remove_prompts)
        self.layer_group.close()
        self.evidence_layers.close()
        for part in (self._prompts, self._sources):
            if part is not None:
                part.close()
        for signal in (self.asked, self.painted, self.notice):
            signal.disconnect()

    # ---------------------------------------------------------------- planes

    @property
    def planes(self) -> list[Plane]:
        """Planes of the picture that are open in the session."""
        return self._session.planes.of(picture_id(self.picture.layer))

    def open(self, index: tuple[int, ...]) -> PlaneKey:
        """Open the plane at a position of the stack in the session."""
        key = PlaneKey(picture_id(self.picture.layer), index)
        picture = self.picture
        self._session.open(key, picture.shape, picture.reader(index), file=picture.file)
        return key

    def adopt(self) -> None:
        """Go on with the layers that a closed dock has left, and the work in them.

        What was painted and placed meanwhile counts as done now. What a model said of other pixels
        than the picture has by now is dropped.
        """
        group, picture = self.layer_group, self.picture
        group.adopt()
        if group.sources is not None:
            self._link_sources()
        known: dict[tuple[int, ...], AnnotatedPlane] = group.noted(ANNOTATED, {})
        works, pixels = group.noted(AUTOSAVED_AS, {}), group.noted(PIXELS, {})
        for index, made in known.items():
            if made.annotation.settled.shape != picture.shape or self._sources is None:
                continue
            key = PlaneKey(picture_id(picture.layer), index)
            reader = picture.reader(index)
            begin = made
            if made.predictions != Predictions() and _are_others(reader, pixels.get(index, "")):
                begin = replace(made, predictions=Predictions())
                # Later: whoever shows sentences does not listen yet.
                gui_thread().deliver(self._tell_of_other_pixels)
            work = works.get(index, "")
            self._session.open(key, picture.shape, reader, begin, work, picture.file)
            self._seen[index] = made.annotation.prompts
            self._sources.expect(
                index, made.annotation.shown(), made.annotation.shown(with_preview=False)
            )
            if made.predictions.forgery is not None:
                group.recall(index, made.predictions.forgery)
        self.read_all_strokes()
        if group.prompts is not None:
            self._link_prompts(group.prompts)
            self.hand_over_prompts("change prompts")

    def _note_pixels(self) -> None:
        """Note what pixels the noted predictions are of, where that was known only afterwards."""
        noted: dict[tuple[int, ...], AnnotatedPlane] = self.layer_group.noted(ANNOTATED, {})
        pixels = {
            plane.key.index: plane.pixels.sha256
            for plane in self.planes
            if plane.key.index in noted
            and noted[plane.key.index].predictions.forgery is plane.forgery
        }
        if pixels:
            self.layer_group.note(**{PIXELS: self.layer_group.noted(PIXELS, {}) | pixels})

    def _tell_of_other_pixels(self) -> None:
        self.notice.emit(
            f"{self.picture.layer.name} has other pixels now: its verdict and forgery map were "
            "dropped. Partition again.",
            True,
        )

    def take_picture(self, picture: PictureLayer) -> None:
        """See other channels of the layer as the picture; prompts and labels stay."""
        self.picture = self.evidence_layers.picture = picture
        self.layer_group.see_as(picture)
        if self._prompts is not None:
            self._link_prompts(self._prompts.layer)
        self.reread()

    def reread(self) -> None:
        """Let the model look again; prompts and labels stay, what views found goes."""
        self.evidence_layers.drop()
        self._session.reread(picture_id(self.picture.layer))
        for plane in self.planes:
            self.open(plane.key.index)

    # ---------------------------------------------------------------- from layers

    def need_prompts(self) -> PromptLayer:
        """Return the Points layer as prompts, made if there is none."""
        layer = self.layer_group.need_prompts()
        if self._prompts is not None and self._prompts.layer is layer:
            return self._prompts
        return self._link_prompts(layer)

    def use_prompts(self, layer: Points) -> None:
        """Take a Points layer of the user's own as prompts; see `ViewerController.use_prompts`."""
        if layer.ndim == self.picture.ndim:
            self.layer_group.prompts = layer
            self.need_prompts()
            self.hand_over_prompts("take points")
            return
        places = self.picture.to_picture(layer, layer.data, self._viewer.dims.point)
        own = self.need_prompts().layer
        self.notice.emit(
            f"{layer.name} has {layer.ndim} axes, the picture {self.picture.ndim}: its points "
            f"were copied to {own.name}.",
            False,
        )
        if len(places):
            own.add(self.picture.from_picture(own, places))

    def add_prompt(self, index: tuple[int, ...], point: PointPrompt) -> None:
        """Place a prompt, as a click there would."""
        layer = self.need_prompts().layer
        layer.add(self.picture.from_picture(layer, [(*index, point.row, point.col)]))

    def hand_over_prompts(self, what: str) -> None:
        """Hand the prompts of every plane whose points changed to the session.

        Along with those that were on screen when they changed: what arrived since, an undo for
        instance, stays as it is.

        Parameters
        ----------
        what : str
            What the user did, for the history.
        """
        prompt_layer = self._prompts
        found = {} if prompt_layer is None else prompt_layer.read(self._viewer.dims.point)
        outside = 0 if prompt_layer is None else prompt_layer.n_outside
        if outside > self._n_outside:
            self.notice.emit(points_outside(outside), False)
        self._n_outside = outside
        for index in found.keys() | self._seen.keys():
            prompts, seen = found.get(index, ()), self._seen.get(index, ())
            if not same_prompts(prompts, seen):
                self._seen[index] = prompts
                key = self.open(index)
                self._session.prompts.set(key, prompts, what, seen)
                self.asked.emit(key)

    def read_strokes(self, key: PlaneKey) -> bool:
        """Hand what was painted on a plane of the picture to the session; false if nothing was."""
        self._check_sources()
        sources = self._sources
        stroke = None if sources is None else sources.read_stroke(key.index)
        if sources is None or stroke is None:
            return False
        if self._session.planes.find(key) is None:
            if self.picture.lengths != self.lengths:
                return False  # the picture that it was painted on is gone
            self.open(key.index)
        self._session.annotations.paint(key, stroke, sources.stroke)
        return True

    def paint(self, key: PlaneKey) -> None:
        """Let the user paint the current source, on a layer that is made if need be."""
        self.open(key.index)
        if self._sources is None:
            self._link_sources()
        assert self._sources is not None
        layer = self._sources.layer
        layer.mode = "paint"
        self._viewer.layers.selection.active = layer

    def snap_last_stroke(self, key: PlaneKey, told: Callable[[str], None]) -> None:
        """Snap what was painted last; see `napari_safire.session.stroke_snapping`."""
        snap_last_stroke(self._session, key, told)

    def _check_sources(self) -> None:
        """Let go of the Labels layer where it cannot hold the sources any more."""
        layer = None if self._sources is None else self._sources.layer
        if layer is None or (self._sources is not None and self._sources.fits):
            return
        self.notice.emit(
            f"{layer.name} has other labels than the picture now: it is yours, and the sources go "
            "into a new layer.",
            True,
        )
        self._let_go_of_sources()
        self.layer_group.drop(layer)

    def _let_go_of_sources(self) -> None:
        if self._sources is not None:
            self._sources.close()
            self._sources = None

    def read_all_strokes(self) -> None:
        """Hand what was painted on any plane to the session."""
        if self._sources is not None:
            for index in np.ndindex(*self.lengths[:-2]):
                self.read_strokes(PlaneKey(picture_id(self.picture.layer), index))

    def mark_saved(self, data: Any) -> None:
        """Note that the sources were saved, if this is their array."""
        if self._sources is None or self._sources.layer.data is not data:
            return
        self.read_all_strokes()
        for plane in self.planes:
            labels = self._sources.plane(plane.key.index)
            self._session.annotations.mark_shown_as_saved(plane.key, labels)

    def drop(self, layer: Layer) -> None:
        """Let go of a layer that was removed from the viewer, if it is one of these."""
        if self._sources is not None and self._sources.layer is layer:
            self.read_all_strokes()
        if self._prompts is not None and self._prompts.layer is layer:
            self._prompts.close()
            self._prompts = None
        if self._sources is not None and self._sources.layer is layer:
            self._let_go_of_sources()
        had_prompts = self.layer_group.prompts is not None
        if self.layer_group.drop(layer) and had_prompts and self.layer_group.prompts is None:
            self._prompts_removed.start(0)

    # ---------------------------------------------------------------- into layers

    def show_labels(self, snapshot: Snapshot) -> bool:
        """Show labels; false where something was painted meanwhile, which must not be lost."""
        self._check_sources()
        if self._sources is None and snapshot.labels.any():
            self._link_sources()
        if self._sources is not None:
            if self._sources.stroke is not None:
                self._held_back.add(snapshot.key)  # until it has ended: it must not stutter
                return False
            if self.read_strokes(snapshot.key):
                return False
            self._sources.write(snapshot.key.index, snapshot.labels)
        return True

    def show_prompts(self, plane: Plane, snapshot: Snapshot) -> None:
        """Show the prompts and their confidence; note beside the labels how they came about."""
        prompts = snapshot.annotation.prompts
        self._seen[snapshot.key.index] = prompts
        if self._prompts_removed.isActive():
            pass  # they go at once: no layer is made for them again
        elif prompts or self._prompts is not None:
            self.need_prompts().write(
                snapshot.key.index, prompts, snapshot.confidences, self._viewer.dims.point
            )
        if self._sources is not None:
            made = AnnotatedPlane(
                snapshot.annotation,
                self._session.annotations.predictions_of(plane).of(snapshot.annotation),
            )
            self.layer_group.note(
                **picture_facts(self.picture.layer, plane),
                **{
                    fact: self.layer_group.noted(fact, {}) | {snapshot.key.index: value}
                    for fact, value in (
                        (ANNOTATED, made),
                        (AUTOSAVED_AS, plane.work),
                        (PIXELS, plane.pixels.sha256),
                    )
                },
            )

    def show_heatmap(self, plane: Plane, visible: bool) -> None:
        """Show the forgery map of a plane, or that there is none any more."""
        if plane.forgery is not None:
            self.layer_group.show_heatmap(plane.key.index, plane.forgery, visible)

    def drop_outdated(self) -> None:
        """Take results out of their layers that no longer are those of their planes."""
        for plane in self.planes:
            shown = plane.partition if plane.shows_partition else None
            forgery = None if self._session.blind.hides(plane.key) else plane.forgery
            self.layer_group.drop_outdated(plane.key.index, forgery, shown)

    def show_mode(self) -> None:
        """Show what the next prompt, and the brush, are for."""
        source = self._mode.source
        if self._prompts is not None:
            self._prompts.set_defaults(source, self._mode.exclude)
        if self._sources is not None and self._sources.layer.selected_label != source:
            self._sources.layer.selected_label = source

    def arm(self, flat: bool) -> None:
        """Put the prompt tool away where a click is no place on a picture, and take it again."""
        if self._prompts is None:
            return
        layer = self._prompts.layer
        if flat and self._disarmed:
            self._disarmed = False
            layer.mode = "add"
        elif not flat and layer.mode == "add":
            self._disarmed = True
            layer.mode = "pan_zoom"

    # ---------------------------------------------------------------- helpers

    def _remove_prompts(self) -> None:
        if self.layer_group.prompts is None:
            self.hand_over_prompts("remove prompts")

    def _link_prompts(self, layer: Points) -> PromptLayer:
        if self._prompts is not None:
            self._prompts.close()
        self._prompts = PromptLayer(layer, self.picture)
        self._prompts.set_defaults(self._mode.source, self._mode.exclude)
        self._prompts.changed.connect(self.hand_over_prompts)
        return self._prompts

    def _link_sources(self) -> None:
        sources = SourceLayer(self.layer_group.need_sources())
        sources.layer.selected_label = self._mode.source
        sources.painted.connect(lambda anywhere: self.painted.emit(anywhere))
        sources.stroke_ended.connect(self._show_held_back)
        sources.selected.connect(self._label_selected)
        self._sources = sources
        # The layer may be made anew, after it was removed: with all planes of a stack in it.
        for plane in self.planes:
            if plane.snapshot is not None:
                sources.write(plane.key.index, plane.snapshot.labels)

    def _show_held_back(self) -> None:
        keys, self._held_back = self._held_back, set()
        for key in keys:
            if self._session.planes.find(key) is not None:
                self._session.annotations.refresh(key)

    def _label_selected(self, number: int) -> None:
        if number > 0:  # 0 is the eraser
            self._mode.source = number


def _are_others(read: Callable[[], Any], sha256: str) -> bool:
    """Whether pixels are known not to be those with this hash; empty: nobody knows."""
    try:
        return bool(sha256) and PictureReader(read()).sha256 != sha256
    except (OSError, TypeError, ValueError):
        return True  # no picture any more
