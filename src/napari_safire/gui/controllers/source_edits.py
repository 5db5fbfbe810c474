"""What is done to the sources of the present plane: edits, protection, commit, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from napari.layers import Labels as LabelsLayer
from psygnal import Signal

from napari_safire.annotation.annotation import Labels, Mask
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.image import ImageController
from napari_safire.gui.controllers.mode import Mode
from napari_safire.session.annotation_store import AnnotationStore
from napari_safire.session.planes import PlaneKey

Edit = Callable[[Labels, Mask], Labels]
Here = tuple[ImageController, PlaneKey]


class SourceEdits:
    """Acts on the plane that is worked on; strokes that were painted there come first.

    Parameters
    ----------
    annotations : AnnotationStore
    mode : Mode
    here : callable
        Gives the place that is worked on and the key of its plane, None if there is none.
    why_not : callable
        Says why there is none; it is told what was to be done: "work on".

    Attributes
    ----------
    notice : Signal(str, bool)
        A sentence for the user; true where something failed.
    told : Signal(str)
        What an edit has done; empty as soon as something else is done.
    """

    notice = Signal(str, bool)
    told = Signal(str)

    def __init__(
        self,
        annotations: AnnotationStore,
        mode: Mode,
        here: Callable[[], Here | None],
        why_not: Callable[[str], str],
    ) -> None:
        self._why_not = why_not
        self._annotations = annotations
        self._mode = mode
        self._here = here

    def commit(self) -> None:
        """Settle the preview."""
        self._act(lambda place, key: self._annotations.commit(key))

    def discard(self) -> None:
        """Drop the preview and its prompts."""
        self._act(lambda place, key: self._annotations.discard(key))

    def undo(self) -> None:
        """Take back the last step."""
        self._act(lambda place, key: self._annotations.undo(key))

    def redo(self) -> None:
        """Bring back the step that was taken back."""
        self._act(lambda place, key: self._annotations.redo(key))

    def reopen(self, source: int) -> None:
        """Take a settled source back to its prompts."""
        self._mode.source = source

        def act(place: ImageController, key: PlaneKey) -> None:
            place.need_prompts()
            self._annotations.reopen(key, source)

        self._act(act)

    def merge(self, sources: Sequence[int]) -> None:
        """Make several sources one, the first of them."""
        first, others = sources[0], set(sources)
        named = ", ".join(map(str, sources))
        self._edit(
            _named_edit("merge", sources, of_protected=True),
            f"merge sources {named}",
            lambda before, after: f"Sources {named} are source {first} now.",
            lambda number: first if number in others else number,
        )

    def split(self, source: int) -> None:
        """Number the connected parts of a source apart."""

        def told(before: Labels, after: Labels) -> str:
            more = len(np.unique(after)) - len(np.unique(before))
            if not more:
                return f"Nothing to split: source {source} is one part."
            return f"Source {source} was split into {more + 1} parts."

        edit = _named_edit("split", source, of_protected=True)
        self._edit(edit, f"split source {source}", told)

    def absorb(self, source: int) -> None:
        """Give the pixels of a source to their nearest neighbours."""

        def told(before: Labels, after: Labels) -> str:
            count = _changed(before, after)
            heir = "their nearest neighbours" if after.any() else "no source: there is no other"
            return f"Source {source} is gone: {count} went to {heir}."

        edit = _named_edit("absorb", source, of_protected=True)
        self._edit(edit, f"absorb source {source}", told)

    def fill_holes(self, source: int) -> None:
        """Fill what a source encloses."""

        def told(before: Labels, after: Labels) -> str:
            if np.array_equal(before, after):
                return f"Nothing to fill: source {source} encloses nothing that may change."
            return f"Holes filled: {_changed(before, after)} went to source {source}."

        self._edit(_named_edit("fill_holes", source), f"fill holes of source {source}", told)

    def remove_islands(self, smaller_than: int) -> None:
        """Give connected parts below a number of pixels to their neighbours."""

        def told(before: Labels, after: Labels) -> str:
            if np.array_equal(before, after):
                return f"Nothing to remove: no part below {smaller_than} pixels may change."
            return f"Islands removed: {_changed(before, after)} went to their neighbours."

        self._edit(
            _named_edit("remove_islands", smaller_than, module="islands"),
            f"remove islands below {smaller_than} pixels",
            told,
        )

    def renumber(self) -> None:
        """Close the gaps between the numbers of the sources; the current source goes along."""

        def act(place: ImageController, key: PlaneKey) -> None:
            plane = next((plane for plane in place.planes if plane.key == key), None)
            present = sorted(plane.snapshot.areas) if plane and plane.snapshot else []
            self._annotations.renumber(key)
            if self._mode.source in present:
                self._mode.source = present.index(self._mode.source) + 1
            else:
                self._mode.source = min(self._mode.source, len(present) + 1)

        self._act(act)

    def protect(self, source: int) -> None:
        """Keep later predictions off the pixels of a source."""
        said = f"Source {source} is protected: later predictions leave it as it is."
        if self._act(lambda place, key: self._annotations.protect(key, [source])):
            self.told.emit(said)

    def unprotect(self) -> None:
        """Let predictions change painted and protected pixels again."""
        if self._act(lambda place, key: self._annotations.unprotect(key)):
            self.told.emit("Nothing is protected any more.")

    def import_labels(self, layer: LabelsLayer) -> None:
        """Settle the labels of another layer, to refine them; a worker reads them."""
        data: Any = layer.data[0] if layer.multiscale else layer.data
        name, shape = layer.name, tuple(data.shape)

        def act(place: ImageController, key: PlaneKey) -> None:
            index = key.index if len(shape) == place.picture.ndim else ()
            if shape[len(index) :] != place.picture.shape:
                self.notice.emit(
                    f"{name} has labels of shape {shape}, the picture {place.picture.shape}: "
                    "labels of the picture's own size are needed.",
                    True,
                )
                return

            def take(settled: Labels, protected: Mask) -> Labels:
                # Not before: they may lie on a disk, or still have to be computed.
                given = np.asarray(data[index] if index else data)
                return np.where((given > 0) & ~protected, given, settled)

            self._annotations.edit(key, take, f"import {name}")

        self._act(act)

    def paint(self) -> None:
        """Take the brush of the current source; where there are no sources yet, begin with none."""
        self._act(lambda place, key: place.paint(key))

    def snap(self) -> None:
        """Move the edge of the last stroke to the edge of the picture that lies near it."""

        def told(sentence: str) -> None:  # in a worker
            gui_thread().deliver(lambda: self.told.emit(sentence))

        self._act(lambda place, key: place.snap_last_stroke(key, told))

    def read_strokes(self) -> None:
        """Take what was painted on the present plane, even where no event told of it."""
        here = self._here()
        if here is not None:
            place, key = here
            place.read_strokes(key)

    def _edit(
        self,
        edit: Edit,
        title: str,
        told: Callable[[Labels, Labels], str],
        renumber: Callable[[int], int] | None = None,
    ) -> None:
        def watched(labels: Labels, protected: Mask) -> Labels:
            edited = edit(labels, protected)
            said = told(labels, edited)
            gui_thread().deliver(lambda: self.told.emit(said))
            return edited

        self._act(lambda place, key: self._annotations.edit(key, watched, title, renumber))

    def _act(self, act: Callable[[ImageController, PlaneKey], None]) -> bool:
        """Do something on the present plane; false, with a sentence, where there is none."""
        here = self._here()
        if here is None:
            self.notice.emit(self._why_not("work on"), True)
            return False
        place, key = here
        self.told.emit("")
        place.read_strokes(key)
        act(place, key)
        return True


def _changed(before: Labels, after: Labels) -> str:
    count = int(np.count_nonzero(before != after))
    return f"{count:,} pixel{'' if count == 1 else 's'}"


def no_picture_to(what: str) -> str:
    """Tell the user that something needs a picture: "partition"."""
    return f"There is no picture to {what}: open one first."


def _named_edit(
    name: str, what: object, *, module: str = "edits", of_protected: bool = False
) -> Edit:
    """An edit of `napari_safire.annotation`; its libraries load in the worker that does it.

    Edits of chosen sources take protected pixels along: the user asked for just that. Those that
    clean up must not undo what was painted.
    """

    def edit(labels: Labels, protected: Mask) -> Labels:
        guard = None if of_protected else protected
        # reviewed: modules of ours
        edits = import_module(f"napari_safire.annotation.{module}")
        edited: Labels = getattr(edits, name)(labels, what, protected=guard)
        return edited

    return edit
