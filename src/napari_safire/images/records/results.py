"""A record together with the pictures that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.files import file_sha256
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import UNASSIGNED
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.images.records.head import (
    EXAMINATION_FORMAT,
    FROM_ONE,
    mapping_in,
    read_record,
    recorded_image,
    text_in,
)
from napari_safire.images.records.prompts import RecordedPrompt, recorded_prompts
from napari_safire.images.truth import read_truth
from napari_safire.text import printable
from napari_safire.types import FloatImage

_MOST_LABEL = 65_535


@dataclass(frozen=True, slots=True, eq=False)
class RecordedResults:
    """A record with the pictures that belong to it.

    Parameters
    ----------
    name : str
        Of the picture.
    record : dict
        As `read_record` gives it.
    image : ReadImage or None
        None where the picture is not where the record says, or is another one.
    labels : (H, W) or (T, H, W) uint8 or uint16 array or None
        As the layer had them that was saved: sources from `first` on. None where there are none,
        or where those that lie there are not the record's (see `annotations`).
    first : {0, 1}
        1: 0 is "no source yet". 0: that is `UNASSIGNED`, where there is such a pixel.
    annotations : tuple
        For each plane what was made of it, as `napari_safire.annotation.codec` has it; empty in
        records that have none.
    heatmap : (H, W) float32 array or None
        Forgery map in [0, 1].
    prompts : tuple of RecordedPrompt
    warnings : tuple of str
        What could not be opened or checked, in plain sentences.
    n_label_warnings : int
        How many of these, the first ones, are about the labels.
    """

    name: str
    record: dict[str, Any]
    image: ReadImage | None
    labels: npt.NDArray[np.integer] | None
    heatmap: FloatImage | None
    prompts: tuple[RecordedPrompt, ...]
    warnings: tuple[str, ...]
    first: Literal[0, 1] = 0
    annotations: tuple[Any, ...] = ()
    n_label_warnings: int = 0


def read_results(path: str | os.PathLike[str]) -> RecordedResults:
    """Read a record and the pictures that it names.

    Parameters
    ----------
    path : path-like
        The JSON file.

    Returns
    -------
    RecordedResults

    Raises
    ------
    DatasetError
        If the record is damaged, a result beside it is missing or breaks its format, or they
        differ in size.
    ImageReadError
        If a result beside it cannot be read.
    """
    path = Path(path)
    record = read_record(path)
    try:
        return _results(path, record)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DatasetError(
            f"The record {printable(path)} is damaged ({printable(repr(error))[:200]}): export the "
            "results again."
        ) from error


def _results(path: Path, record: dict[str, Any]) -> RecordedResults:
    for name in ("files", "image"):
        if name not in record:
            raise DatasetError(f"The record {printable(path)} has no {name}: it is damaged.")
    files, about = mapping_in(record, "files"), mapping_in(record, "image")
    annotations = _annotations(record)
    found = _Labels(None)
    if record["format"] != EXAMINATION_FORMAT or files.get("sources"):
        found = _labels(path, record, files, bool(annotations))
    heatmap = _heatmap(path, record, files)
    shapes = {made.shape[-2:] for made in (found.labels, heatmap) if made is not None}
    if len(shapes) > 1:
        raise DatasetError(f"The results of {printable(path)} differ in size: {sorted(shapes)}.")
    image, notes = _read_recorded_image(about, path)
    if image is not None and shapes and image.pixels.shape[:2] not in shapes:
        notes = (f"{image.path} has another size than its results: it was left out.",)
        image = None
    return RecordedResults(
        name=text_in(about, "name") or Path(text_in(about, "path") or path).stem,
        record=record,
        image=image,
        labels=found.labels,
        heatmap=heatmap,
        prompts=tuple(recorded_prompts(record)),
        warnings=(*found.warnings, *notes),
        first=found.first,
        annotations=annotations,
        n_label_warnings=len(found.warnings),
    )


def _heatmap(path: Path, record: Mapping[str, Any], files: Mapping[str, Any]) -> FloatImage | None:
    if "heatmap" not in files:
        return None
    stored = read_image(_beside(path, files["heatmap"], record)).pixels
    if stored.ndim != 2 or stored.dtype.kind != "u":
        raise DatasetError(f"The forgery map of {printable(path)} is no grey picture.")
    return (stored / np.float32(np.iinfo(stored.dtype).max)).astype(np.float32)


def _beside(record: Path, name: Any, about: Mapping[str, Any]) -> Path:
    """A file that a record names, if it is the one that the record was written with."""
    if not isinstance(name, str) or Path(name).name != name:
        raise DatasetError(
            f"The record {printable(record)} names {printable(repr(name))[:80]}, which is not a "
            "file beside it: it was changed."
        )
    file = record.with_name(name)
    if not os.path.isfile(file):
        raise DatasetError(
            f"{printable(file)} is missing, which the record {printable(record)} names: export it "
            "again."
        )
    hashes = mapping_in(about, "files_sha256")
    if name not in hashes:
        raise DatasetError(f"{printable(record)} has no hash of {printable(name)}.")
    if file_sha256(file) != hashes[name]:
        raise DatasetError(
            f"{printable(file)} is not the file that the record {printable(record)} describes: it "
            "was changed since. Export it again, or open the file without its record."
        )
    return file


@dataclass(frozen=True, slots=True, eq=False)
class _Labels:
    labels: npt.NDArray[np.integer] | None
    first: Literal[0, 1] = 0
    warnings: tuple[str, ...] = ()


def _labels(
    path: Path, record: Mapping[str, Any], files: Mapping[str, Any], annotated: bool
) -> _Labels:
    """Labels of a record, if the files beside it are its own."""
    first: Literal[0, 1] = 1 if mapping_in(record, "layer").get("numbering") == FROM_ONE else 0
    named = files.get("sources", files.get("labels"))
    names = [named] if isinstance(named, str) else list(named or ())
    try:
        if not names:
            raise DatasetError(f"The record {printable(path)} names no mask.")
        planes = []
        for name in names:
            file = _beside(path, name, record)
            if "sources" not in files:
                planes.append(_read_plain_labels(file))
                continue
            sources = read_source_mask(file)
            if first:
                sources = np.where(sources == UNASSIGNED, 0, sources + 1).astype(np.uint8)
            planes.append(sources)
        labels = planes[0] if isinstance(named, str) else np.stack(planes)
    except (DatasetError, ImageReadError, OSError) as error:
        if not annotated:
            raise
        return _Labels(None, first, (f"{error} What the record itself holds is opened.",))
    return _Labels(labels, first)


def _annotations(record: Mapping[str, Any]) -> tuple[Any, ...]:
    found = record.get("annotation")
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list) else (found,)


def read_source_mask(mask: Path) -> npt.NDArray[np.uint8]:
    """Read a mask of sources some pixels of which may have none yet.

    Parameters
    ----------
    mask : Path

    Returns
    -------
    (H, W) uint8 array
        0 to 5, and `UNASSIGNED`.

    Raises
    ------
    DatasetError, ImageReadError
        It cannot be read, or breaks the encoding.
    """
    truth = read_truth(ListEntry(mask, mask), "sources", unassigned=UNASSIGNED)
    return truth.labels.astype(np.uint8)


def _read_plain_labels(file: Path) -> npt.NDArray[np.integer]:
    pixels = read_image(file).pixels
    if pixels.ndim != 2 or pixels.dtype.kind != "u" or pixels.max() > _MOST_LABEL:
        raise DatasetError(f"{printable(file)} holds no labels.")
    return pixels


def _read_recorded_image(
    about: Mapping[str, Any], record: Path
) -> tuple[ReadImage | None, tuple[str, ...]]:
    """The picture and what is to be said of it."""
    written = text_in(about, "path")
    if not written:  # labels that were saved without knowledge of a picture
        return None, ()
    found = recorded_image(record, {"image": about})
    if found is None:
        return None, (
            f"The picture {printable(written)} is not there any more: only its results are opened.",
        )
    try:
        image = read_image(found)
    except ImageReadError as error:
        return None, (f"{error} Only its results are opened.",)
    expected = text_in(about, "file_sha256")
    if expected is None:
        return image, (f"The record has no hash of {found}: whether it is the same is not known.",)
    if image.sha256 != expected:
        return None, (
            f"{found} is another file than the one that was examined (SHA-256 "
            f"{image.sha256[:12]}…, not {expected[:12]}…): only the results are opened.",
        )
    return image, image.warnings
