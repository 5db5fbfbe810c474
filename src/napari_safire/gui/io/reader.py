"""Reader of what belongs together: pictures with their masks, and results with their picture.

`get_reader` takes list files, SafireMS-style folders, masks in SafireMS encoding, the records that
this package writes, and TIFF pictures, which are read as everywhere else in the package. Projects,
results of a corpus and tables of pictures open the dock SAFIRE Curate. Everything else stays with
napari's own readers.

napari asks its user for a reader, or refuses, wherever two plugins *declare* the same file pattern,
whatever their `get_reader` says. The manifest therefore declares no ``*.png``, ``*.jpg`` or
``*.csv``, but names that speak of masks and lists; and TIFF, of which napari reads some kinds wrong
or not at all, depending on what else is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from dask.delayed import delayed
from napari.utils.notifications import show_warning

from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.annotation.recorded import ANNOTATED, RECORD, recorded_planes, shown_labels
from napari_safire.corpus.inputs.tables import names_pictures
from napari_safire.corpus.triage.source import is_result_of_corpus
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.gui.io.layer_data import (
    about_picture,
    heatmap_layer,
    labels_layer,
    picture_layer,
    points_layer,
)
from napari_safire.gui.io.queue_reader import read_queue
from napari_safire.images.list_text import list_root, looks_like_list
from napari_safire.images.lists import ListEntry, read_list
from napari_safire.images.mask_pairs import (
    find_folder_pairs,
    is_source_mask_name,
    pair_pictures,
    picture_of_mask,
)
from napari_safire.images.masks import UNASSIGNED
from napari_safire.images.reading import (
    ImageHeader,
    image_header,
    inspect_image,
    read_image,
)
from napari_safire.images.records.completeness import record_of_mask
from napari_safire.images.records.head import (
    SOURCES_FORMAT,
    record_format,
    recorded_image,
    recorded_image_facts,
)
from napari_safire.images.records.paths import whole_path
from napari_safire.images.records.replacing import record_sha256
from napari_safire.images.records.results import RecordedResults, read_results
from napari_safire.images.truth import read_labels
from napari_safire.project.store import is_project
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari.types import LayerData

Reader = Callable[[str], list["LayerData"]]

MOST_PAIRS = 64
# Masks up to this are read at once, so that all of them are checked and can be painted on.
MOST_MASK_PIXELS = 128_000_000
_PATHS = ("mask", "record", "images", "masks")  # in records, from their own folders
_MOST_WARNINGS = 5  # told at once of a stack


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Tell napari whether this plugin opens a path.

    Parameters
    ----------
    path : str or sequence of str
        A list of paths (files to be stacked) is left to napari's own reader.

    Returns
    -------
    callable or None
        Called with the path, it returns layers. None for files that are not ours; nothing is
        raised for them.
    """
    if not isinstance(path, str):
        return None
    file = Path(path)
    if is_project(file) or is_result_of_corpus(file):
        return read_queue
    if file.is_dir():
        return read_folder if find_folder_pairs(file) else None
    suffix = file.suffix.lower()
    if names_pictures(file):
        return read_queue
    if suffix in (".txt", ".csv"):
        return read_list_file if looks_like_list(file) else None
    if suffix == ".json":
        return read_record_file if record_format(file) else None
    if suffix == ".png":
        if _is_source_mask(file):
            return read_mask_file
        # Some pixels may have no source yet: what that is, only its record can say.
        if record_of_mask(file) is not None:
            return read_mask_by_record
    if suffix in (".tif", ".tiff") and file.is_file():
        return read_picture_file
    return None


def read_list_file(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open the pictures of a list file with their masks as labels.

    Pictures of one size become one stack; others a pair of layers each, `MOST_PAIRS` at most.
    Pictures in stacks are read when they are shown.

    Parameters
    ----------
    path : path-like
        A text file with lines `image,mask`.

    Returns
    -------
    list of (data, metadata, layer type)

    Raises
    ------
    DatasetError, ImageReadError
        If the list or a mask breaks its format, or a file cannot be read.
    """
    entries = read_list(path, list_root(path))
    if not entries:
        raise DatasetError(f"The list {path} has no entries: add lines `image,mask`.")
    return _pair_layers(entries, Path(path).stem)


def read_folder(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open a SafireMS-style folder: its pictures with their masks as labels.

    Parameters
    ----------
    path : path-like
        See `napari_safire.images.mask_pairs.find_folder_pairs`.

    Returns
    -------
    list of (data, metadata, layer type)
        As `read_list_file` makes them, for each folder of pictures.

    Raises
    ------
    DatasetError, ImageReadError
        If a mask breaks the encoding, or a file cannot be read.
    """
    layers: list[LayerData] = []
    without = 0
    for pair in find_folder_pairs(path):
        paired = pair_pictures(pair)
        without += len(paired.without_mask)
        layers += _pair_layers(list(paired.entries), pair.name)
    if not layers:
        raise DatasetError(f"{path} holds no folders of pictures beside folders of masks.")
    if without:
        show_warning(
            f"{without} pictures in {path} were left out, because no mask could be told for them: "
            "open a list file that names it."
        )
    return layers


def read_mask_file(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open a mask in SafireMS encoding as labels 0 to 5, with its picture if that can be found.

    One of a record whose picture lies elsewhere is opened as `read_record_file` opens that record.

    Parameters
    ----------
    path : path-like
        A PNG file.

    Returns
    -------
    list of (data, metadata, layer type)
        The picture first.

    Raises
    ------
    DatasetError, ImageReadError
        If the mask or its picture cannot be read, or they differ in size.
    """
    mask = Path(path)
    picture = picture_of_mask(mask)
    if picture is None:
        if record_of_mask(mask) is not None:  # which knows its picture
            return read_mask_by_record(mask)
        labels = read_labels(ListEntry(mask, mask), "sources")
        return [labels_layer(labels, mask.stem, {"mask": str(mask)})]
    return _one_pair(ListEntry(picture, mask))


def read_mask_by_record(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open the record that a mask belongs to, see `read_record_file`."""
    record = record_of_mask(Path(path))
    if record is None:
        raise DatasetError(f"There is no record of the mask {path} beside it any more.")
    return read_record_file(record)


def read_picture_file(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open a picture as every part of the package reads it.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of (data, metadata, layer type)
        One image layer; how the file was decoded, and what is to be said of it, stands in its
        metadata under "napari_safire".

    Raises
    ------
    ImageReadError
        If it cannot be read.
    """
    picture = read_image(path)
    _tell(picture.warnings)
    rgb = picture.pixels.ndim == 3
    return [picture_layer(picture.pixels, picture.path.stem, about_picture(picture), rgb=rgb)]


def read_record_file(path: str | os.PathLike[str]) -> list[LayerData]:
    """Open exported results: picture, sources, heatmap, and the prompts as points.

    Parameters
    ----------
    path : path-like
        The JSON record.

    Returns
    -------
    list of (data, metadata, layer type)
        Without the picture, and with a warning, where it is missing or is another file now.

    Raises
    ------
    DatasetError, ImageReadError
        If the record is damaged, or a result beside it is missing or wrong.
    """
    digest = record_sha256(Path(path))
    results = read_results(path)
    planes, told = recorded_planes(results)
    name, saved = results.name, results.record.get("layer", {})
    numbering = {"numbering": saved["numbering"]} if "numbering" in saved else {}
    # What is saved again says the same of its picture, whether that is here or not.
    about = recorded_image_facts(results.record)
    place = recorded_image(Path(path), results.record)
    if place is not None:
        about["image_path"] = str(place)
    elif "image_path" in about:  # where it was: what is saved elsewhere still says so
        about["image_path"] = _whole_path(Path(path), about["image_path"])
    saved = {
        key: _whole_path(Path(path), value) if key in _PATHS else value
        for key, value in saved.items()
    }
    opened = {RECORD: (os.path.abspath(path), digest)}
    layers: list[LayerData] = []
    if results.image is not None:
        pixels = results.image.pixels
        about |= about_picture(results.image)
        layers.append(picture_layer(pixels, name, about | opened, rgb=pixels.ndim == 3))
    labels = shown_labels(results, planes)
    if labels is not None:
        # A layer of the plugin gets back the numbers and the knowledge that it was saved with.
        known = saved | about | opened | ({ANNOTATED: planes} if planes else {})
        if results.first == 0 and results.record["format"] == SOURCES_FORMAT:
            known["unassigned"] = UNASSIGNED
        layers.append(labels_layer(labels, f"{name}: sources", known))
    layers += _map_layers(results, planes, about)
    layers += _prompt_layers(results, about | numbering)
    _tell((*results.warnings, *told))
    return layers


def _map_layers(
    results: RecordedResults, planes: dict[tuple[int, ...], AnnotatedPlane], about: dict[str, Any]
) -> list[LayerData]:
    """The forgery map of a record, or that of the annotation in it; empty if there is none."""
    if results.heatmap is not None:
        heatmap, verdict = results.heatmap, (results.record.get("forgery") or {}).get("verdict")
    elif () in planes and (forgery := planes[()].predictions.forgery) is not None:
        heatmap, verdict = forgery.heatmap, forgery.verdict
    else:
        return []
    return [heatmap_layer(heatmap, results.name, about, forged=verdict == "forged")]


def _prompt_layers(results: RecordedResults, about: dict[str, Any]) -> list[LayerData]:
    """The prompts of a record: those of its grid, hidden, and those that were chosen."""
    grid = [prompt for prompt in results.prompts if prompt.role == "grid"]
    chosen = [prompt for prompt in results.prompts if prompt.role != "grid"]
    layers = []
    if grid:
        title = f"{results.name}: grid of prompts"
        layers.append(points_layer(grid, title, about, visible=False))
    if chosen:
        layers.append(points_layer(chosen, f"{results.name}: prompts", about, visible=True))
    return layers


def _whole_path(record: Path, written: Any) -> Any:
    """The whole path of what a record names from its own folder, or of several."""
    if isinstance(written, list):
        return [_whole_path(record, one) for one in written]
    if not isinstance(written, str):
        return written
    return str(whole_path(written, record.parent))


def _is_source_mask(path: Path) -> bool:
    if not is_source_mask_name(path):
        return False
    try:
        if len(image_header(path).shape) != 2:
            return False
        read_labels(ListEntry(path, path), "sources")
    except (DatasetError, ImageReadError):
        return False  # a file that is missing, damaged or not ours
    return True


def _pair_layers(entries: Sequence[ListEntry], title: str) -> list[LayerData]:
    if len(entries) == 1:
        return _one_pair(entries[0])
    header = _common_header(entries)
    if header is not None:
        return _stack(entries, header, title)
    layers = [layer for entry in entries[:MOST_PAIRS] for layer in _one_pair(entry)]
    if len(entries) > MOST_PAIRS:
        show_warning(
            f"{len(entries) - MOST_PAIRS} of the {len(entries)} pictures of {title} were left out: "
            f"they differ in size, and {MOST_PAIRS} pairs of layers are opened at most. Open a "
            "shorter list for the others."
        )
    return layers


def _one_pair(entry: ListEntry) -> list[LayerData]:
    picture = read_image(entry.image)
    shape = picture.pixels.shape[:2]
    labels = read_labels(entry, shape=shape)
    _tell(picture.warnings)
    name, about = entry.image.stem, about_picture(picture)
    mask = None if entry.mask is None else str(entry.mask)
    return [
        picture_layer(picture.pixels, name, about, rgb=picture.pixels.ndim == 3),
        labels_layer(labels, f"{name}: sources", {**about, "mask": mask}),
    ]


def _stack(entries: Sequence[ListEntry], header: ImageHeader, title: str) -> list[LayerData]:
    shape = header.shape[0], header.shape[1]
    pictures = da.stack(
        [_later(partial(_read_as, entry.image, header), header) for entry in entries]
    )
    decodings = [inspect_image(entry.image) for entry in entries]
    warnings = [
        f"{printable(entry.image)} {sentence}"
        for entry, decoding in zip(entries, decodings, strict=True)
        for sentence in decoding.sentences()
    ]
    _tell(warnings)
    about = {
        "decodings": [decoding.as_record() for decoding in decodings],
        "reading_warnings": warnings,
        "images": [str(entry.image) for entry in entries],
        "masks": [None if entry.mask is None else str(entry.mask) for entry in entries],
    }
    read = partial(read_labels, shape=shape)
    labels: Any
    if len(entries) * shape[0] * shape[1] <= MOST_MASK_PIXELS:
        labels = np.stack([read(entry) for entry in entries])
    else:
        mask_header = ImageHeader(shape, np.dtype(np.uint8))
        labels = da.stack([_later(partial(read, entry), mask_header) for entry in entries])
    return [
        picture_layer(pictures, title, about, rgb=len(header.shape) == 3),
        labels_layer(labels, f"{title}: sources", about),
    ]


def _tell(warnings: Sequence[str]) -> None:
    """Show what is to be said of pictures; of many sentences the first few."""
    if warnings:
        more = len(warnings) - _MOST_WARNINGS
        rest = [f"There are {more} more of these."] if more > 0 else []
        show_warning(" ".join([*warnings[:_MOST_WARNINGS], *rest]))


def _later(read: Callable[[], npt.NDArray[Any]], header: ImageHeader) -> da.Array:
    return da.from_delayed(delayed(read, pure=False)(), header.shape, header.dtype)


def _read_as(path: Path, header: ImageHeader) -> npt.NDArray[Any]:
    pixels = read_image(path).pixels
    if (pixels.shape, pixels.dtype) != (header.shape, header.dtype):
        raise ImageReadError(
            f"{path} has {pixels.dtype} pixels of shape {pixels.shape}, but {header.dtype} of "
            f"{header.shape} when its folder was opened: open the folder again."
        )
    return pixels


def _common_header(entries: Sequence[ListEntry]) -> ImageHeader | None:
    """Header of all pictures; None if they differ. Stops at the first that does."""
    first = image_header(entries[0].image)
    return first if all(image_header(entry.image) == first for entry in entries[1:]) else None
