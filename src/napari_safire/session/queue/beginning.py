"""What the work on a picture may begin from."""

from __future__ import annotations

from dataclasses import replace

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.corpus.queue_files import from_one
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry
from napari_safire.images.truth import read_label_truth
from napari_safire.session.queue.store import Beginning, PictureStore, PictureWork


def beginning_of(
    beginning: Beginning, work: PictureWork, store: PictureStore, shape: tuple[int, int]
) -> AnnotatedPlane:
    """Read what the work on a picture is to begin from; for the reading worker.

    Parameters
    ----------
    beginning : Beginning
    work : PictureWork
    store : PictureStore
    shape : (int, int)
        Rows and columns of the picture.

    Returns
    -------
    AnnotatedPlane
        Nothing for "nothing", and for "partition", which is the model's to make.

    Raises
    ------
    SafireError
        There is none, it cannot be read, is of another size, or may not be seen yet.
    """
    nothing = Annotation.empty(shape)
    if beginning.what == "work":
        return store.other_work(work.key, beginning.annotator)
    labels = store.given(work.key) if beginning.what == "given" else None
    if beginning.what == "mask":
        if beginning.mask is None:
            raise DatasetError("No mask is named to begin from: choose a file.")
        labels = from_one(read_label_truth(ListEntry(work.path, beginning.mask)).labels)
    if labels is None and beginning.what == "given":  # what was made is not wiped out for it
        raise DatasetError(f"No mask came with {work.name}: begin from something else.")
    if labels is None:
        return AnnotatedPlane(nothing)
    if labels.shape != shape:
        raise DatasetError(
            f"The mask has {labels.shape[0]} x {labels.shape[1]} pixels, {work.name} has "
            f"{shape[0]} x {shape[1]}: it belongs to another picture."
        )
    return AnnotatedPlane(replace(nothing, settled=PackedLabels.pack(labels)))
