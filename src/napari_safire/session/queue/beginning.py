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
        It cannot be read, is of another size, or may not be seen yet.
    """
    nothing = AnnotatedPlane(Annotation.empty(shape))
    if beginning.what == "given":
        return work.made
    if beginning.what == "work":
        return store.other_work(work.key, beginning.annotator)
    if beginning.what != "mask":
        return nothing
    if beginning.mask is None:
        raise DatasetError("No mask is named to begin from: choose a file.")
    truth = read_label_truth(ListEntry(work.path, beginning.mask), shape=shape)
    settled = PackedLabels.pack(from_one(truth.labels))
    return AnnotatedPlane(replace(nothing.annotation, settled=settled))
