"""Writer of labels layers: masks in SafireMS encoding, alone or with a JSON record.

Labels that the plugin made count their sources from 1, because napari shows label 0 as nothing.
They say so in ``metadata["napari_safire"]["numbering"]``. As long as some pixel has no source, they
are written as they are, and 0 is one more source, the rest; once every pixel has one, source k is
written as k - 1, so that a mask begins with 0 as SafireMS masks do. Other labels are written as
they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_path
from napari_safire.data.folders import read_labels
from napari_safire.data.images import write_image_atomic
from napari_safire.data.lists import ListEntry
from napari_safire.data.masks import MAX_SOURCE, STEP, encode_sources
from napari_safire.data.record import FROM_ONE, SOURCES_FORMAT, plain, record_text, versions
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.gui.saving import labels_written

_MOST_PLANES = 10_000


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer as napari asks for it.

    Parameters
    ----------
    path : str
        ``<name>.png`` for the mask alone; ``<name>.json`` for the record, with the mask beside it
        as ``<name>_sources.png``. Of a stack every plane has its own mask: ``<name>_0000.png``,
        ``<name>_0001.png`` and so on.
    data : (H, W) or (T, H, W) int or bool array
        Labels, also lazy ones. Of a multiscale layer the list of its levels, of which the first
        is written.
    attributes : mapping
        The layer's attributes; "metadata", "name" and "multiscale" are used.

    Returns
    -------
    list of str
        The files, all written or none.

    Raises
    ------
    SafireError
        For labels that the encoding cannot hold (negative ones, more than six sources, no
        integers), arrays of other dimensions, and other suffixes. If a file that nobody named would
        be lost: a mask beside the record, or of a plane, only ever replaces a mask. If the folder
        cannot be written. (Never a ValueError, which napari takes for "no such writer".)
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in (".png", ".json"):
        raise SafireError(f"{target} does not end in .png or .json: only these are written.")
    planes = data[0] if attributes.get("multiscale") else data
    about = dict(attributes.get("metadata", {}).get("napari_safire", {}))
    n_planes = _count_planes(planes.shape, planes.dtype)
    first = _first_label(planes, about)
    stem = target.stem if suffix == ".png" else f"{target.stem}_sources"
    if planes.ndim == 2:
        masks = [target.with_name(f"{stem}.png")]
    else:
        masks = [target.with_name(f"{stem}_{plane:04d}.png") for plane in range(n_planes)]
    for mask in masks:
        if mask != target:
            _refuse_other_than_mask(mask)
    counts = np.zeros(MAX_SOURCE + 1, dtype=np.int64)
    try:
        with ExitStack() as stack:
            record_file = None
            # Entered first, renamed last: a record always finds its masks.
            if suffix == ".json":
                record_file = stack.enter_context(atomic_path(target))
            for plane, mask in enumerate(masks):
                labels = np.asarray(planes if planes.ndim == 2 else planes[plane])
                sources = labels.astype(np.int64) - first if first else labels
                grey = encode_sources(sources)
                counts += np.bincount(grey.ravel() // STEP, minlength=len(counts))
                write_image_atomic(stack.enter_context(atomic_path(mask)), grey)
            if record_file is not None:
                record = _record(attributes, about, masks, counts, first, planes.shape)
                record_file.write_text(record_text(record), encoding="utf-8")
    except OSError as error:
        raise SafireError(f"{target} cannot be written: {error.strerror or error}.") from error
    labels_written.emit(data)
    return [str(file) for file in ([target] if suffix == ".json" else []) + masks]


def _count_planes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    if len(shape) not in (2, 3) or 0 in shape:
        raise SafireError(
            f"The labels have shape {shape}: masks are written of (H, W) labels, or of (T, H, W) "
            "stacks as one mask a plane."
        )
    if np.dtype(dtype).kind not in "iub":
        raise SafireError(f"The labels have dtype {dtype}: convert them to integers.")
    n_planes = 1 if len(shape) == 2 else shape[0]
    if n_planes > _MOST_PLANES:
        raise SafireError(
            f"The stack has {n_planes} planes, more than the {_MOST_PLANES} that are written as "
            "files: save a part of it."
        )
    return n_planes


def _first_label(planes: Any, about: Mapping[str, Any]) -> Literal[0, 1]:
    """Label that is written as source 0."""
    low = int(np.asarray(planes.min()))
    high = int(np.asarray(planes.max()))
    first: Literal[0, 1] = 1 if about.get("numbering") == FROM_ONE and low > 0 else 0
    if low < 0:
        raise SafireError(f"There are negative labels (down to {low}): sources count from 0 or 1.")
    if high - first > MAX_SOURCE:
        rest = ", the pixels without one among them" if first == 0 and low == 0 else ""
        raise SafireError(
            f"The labels reach up to {high}, but a SafireMS mask holds {MAX_SOURCE + 1} sources"
            f"{rest} (labels up to {MAX_SOURCE + first}): merge sources or number them anew."
        )
    return first


def _refuse_other_than_mask(path: Path) -> None:
    if not path.exists():
        return
    try:
        read_labels(ListEntry(path, path), "sources")
    except (DatasetError, ImageReadError) as error:
        raise SafireError(
            f"{path} would be overwritten, and it is no mask: choose another name."
        ) from error


def _record(
    attributes: Mapping[str, Any],
    about: Mapping[str, Any],
    masks: list[Path],
    counts: npt.NDArray[np.int64],
    first: int,
    shape: tuple[int, ...],
) -> dict[str, Any]:
    names = [mask.name for mask in masks]
    known = {key: plain(value) for key, value in about.items() if _fits_json(value)}
    values: dict[str, Any] = plain(
        {
            "format": SOURCES_FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "image": {
                "name": known.get("image"),
                "path": known.get("image_path"),
                "shape": list(shape),
                "file_sha256": known.get("image_file_sha256"),
                "pixels_sha256": known.get("image_sha256"),
                "decoding": known.get("decoding"),
            },
            "layer_name": attributes.get("name"),
            "first_label": first,
            "sources": [
                {
                    "source": source,
                    "label": source + first,
                    "grey_value": STEP * source,
                    "pixels": pixels,
                    "area_share": pixels / counts.sum(),
                }
                for source, pixels in enumerate(counts)
                if pixels
            ],
            "layer": known,
            "left_out": sorted(str(key) for key in about if key not in known),
            "versions": versions(),
            "files": {"sources": names[0] if len(shape) == 2 else names},
        }
    )
    return values


def _fits_json(value: Any) -> bool:
    try:
        json.dumps(plain(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
