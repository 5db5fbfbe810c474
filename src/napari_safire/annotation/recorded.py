"""What was made of planes, as it goes with a Labels layer from a record to the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.decoding.limits import MAX_PIXELS
from napari_safire.errors import DatasetError
from napari_safire.images.records.prompts import prompt_record
from napari_safire.images.records.results import RecordedResults
from napari_safire.text import printable

ANNOTATED = "annotated"
"""In the metadata of a Labels layer: a dictionary of plane index to `AnnotatedPlane`."""
AUTOSAVED_AS = "autosaved_as"
"""In the metadata of a Labels layer: plane index to the name of the work in the autosave."""
PIXELS = "pixels_annotated"
"""In the metadata of a Labels layer: plane index to the SHA-256 of the pixels that it is of."""
PART = "part of"
"""In the metadata of a layer that was made for a picture: which picture, and what it is of it."""
RECORD = "opened_record"
"""In the metadata of a layer: path and SHA-256 of the record that it was opened from."""


def prompt_facts(made: AnnotatedPlane, index: tuple[int, ...]) -> list[dict[str, Any]]:
    """What a record of labels says of the prompts of a plane, for people and for Points layers."""
    return [
        {
            "index": list(index),
            **prompt_record(prompt.point, prompt.source, prompt.exclude, prompt.live),
            "confidence": made.predictions.confidences.get(prompt.point),
        }
        for prompt in made.annotation.prompts
    ]


def recorded_planes(
    results: RecordedResults,
) -> tuple[dict[tuple[int, ...], AnnotatedPlane], tuple[str, ...]]:
    """Read the annotations of a record.

    Parameters
    ----------
    results : RecordedResults

    Returns
    -------
    planes : dict of tuple of int to AnnotatedPlane
        By their index in a stack; the only one of a picture has the index ().
    warnings : tuple of str
        That they cannot be read, and the mask is all there is.

    Raises
    ------
    DatasetError
        They cannot be read, and there is no mask that could be believed.
    """
    stack = isinstance(results.record.get("annotation"), list)
    try:
        shape = _shape(results)
        planes: dict[tuple[int, ...], AnnotatedPlane] = {}
        for n, record in enumerate(results.annotations):
            planes[(n,) if stack else ()] = decode_annotation(record, shape)
    except DatasetError as error:
        if results.labels is None:
            raise
        return {}, (f"{error} Only the labels are opened.",)
    return planes, ()


def shown_labels(
    results: RecordedResults, planes: dict[tuple[int, ...], AnnotatedPlane]
) -> npt.NDArray[Any] | None:
    """Labels of a record as its layer showed them: those of its files, else its annotations'."""
    if results.labels is not None or not planes:
        return results.labels
    found = [made.annotation.shown() for made in planes.values()]
    labels: npt.NDArray[Any] = found[0] if () in planes else np.stack(found)
    return labels if results.first else labels - np.uint8(1)  # 0 to 255, which is "unassigned"


def _shape(results: RecordedResults) -> tuple[int, int]:
    if results.labels is not None:
        rows, cols = results.labels.shape[-2:]
        return rows, cols
    about = results.record.get("image")
    found = about.get("shape") if isinstance(about, dict) else None
    if not isinstance(found, list) or len(found) < 2:
        raise DatasetError("The record does not say how large its picture is: it is damaged.")
    rows, cols = found[-2:]
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in (rows, cols))
    if not whole or rows * cols > MAX_PIXELS:
        raise DatasetError(
            f"The record says that its picture has {printable(rows)} x {printable(cols)} pixels: "
            "it is damaged."
        )
    return rows, cols
