"""The files of one examined picture, all there or none.

===========================  ====================================================================
``<stem>_sources.png``       source of each pixel in SafireMS encoding, grey value 50 x source
``<stem>_probabilities.tif`` one 16-bit page for each source, 65535 = 1
``<stem>_heatmap.tif``       forgery map, 16 bit, 65535 = 1
``<stem>_overlay.png``       the sources in colour, for the eye
``<stem>_region_NN.png``     region of the NNth point, 0 and 255
``<stem>.json``              the record: parameters, hashes, versions, results, timings
===========================  ====================================================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_path
from napari_safire.curation.examination import Examination
from napari_safire.curation.overlay import render_sources
from napari_safire.data.images import write_image_atomic
from napari_safire.data.masks import MAX_SOURCE, STEP, encode_sources
from napari_safire.data.record import EXAMINATION_FORMAT, plain, record_text, versions
from napari_safire.errors import SafireError
from napari_safire.types import ForgeryMap, PointPrompt, SourcePartition

MOST_SOURCES = MAX_SOURCE + 1
_WHOLE = 65535
_FIXED_ENDINGS = (
    "_sources.png",
    "_probabilities.tif",
    "_heatmap.tif",
    "_overlay.png",
    ".json",
)


def existing_outputs(folder: str | os.PathLike[str], stem: str) -> list[Path]:
    """Files in the folder that an export under this stem would replace or leave behind.

    Parameters
    ----------
    folder : path-like
        Need not exist.
    stem : str

    Returns
    -------
    list of Path
        Sorted.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    region = re.compile(re.escape(stem) + r"_region_\d{2,}\.png")
    names = {stem + ending for ending in _FIXED_ENDINGS}
    return sorted(
        path for path in folder.iterdir() if path.name in names or region.fullmatch(path.name)
    )


def export_examination(
    examination: Examination,
    folder: str | os.PathLike[str],
    stem: str,
    *,
    model: Mapping[str, Any],
    device: str,
    overwrite: bool = False,
) -> list[Path]:
    """Write all files of one examined picture.

    They are written under temporary names first and renamed when all are complete. With
    `overwrite`, files of an earlier export under the same stem that this one does not write (more
    regions, for instance) are removed, so that all that lies there belongs together.

    Parameters
    ----------
    examination : Examination
    folder : path-like
        Made if it is missing.
    stem : str
        Begin of the file names.
    model : mapping
        What the record shall say of the model: name, architecture.
    device : str
        Where the model ran.
    overwrite : bool

    Returns
    -------
    list of Path
        The files; the record comes last.

    Raises
    ------
    FileExistsError
        There are outputs under this stem already, and `overwrite` is false.
    SafireError
        More than 6 sources, which the encoding of masks cannot hold; or the folder cannot be
        written.
    """
    folder = Path(folder)
    partition = examination.partition
    if partition is not None and partition.n_sources > MOST_SOURCES:
        raise SafireError(
            f"{examination.image.path} was divided into {partition.n_sources} sources, but a mask "
            f"holds {MOST_SOURCES}: ask for a fixed number up to that, or raise eps."
        )
    earlier = existing_outputs(folder, stem)
    if earlier and not overwrite:
        raise FileExistsError(f"{earlier[0]} exists already: choose another folder or overwrite.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _write_all(examination, folder, stem, model, device)
        for path in set(earlier) - set(written):
            path.unlink()
    except OSError as error:
        raise SafireError(
            f"The results cannot be written to {folder}: {error.strerror or error}."
        ) from error
    return written


def make_record(
    examination: Examination,
    *,
    model: Mapping[str, Any],
    device: str,
    files: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that is known of an examination but its pictures, as values JSON can hold.

    Parameters
    ----------
    examination : Examination
    model, device
        As in `export_examination`.
    files : mapping, optional
        Names of the files beside the record.

    Returns
    -------
    dict
    """
    image, embedding = examination.image, examination.embedding
    settings = asdict(examination.settings)
    settings["points"] = [[point["row"], point["col"]] for point in settings["points"]]
    record = {
        "format": EXAMINATION_FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "image": {
            "path": str(image.path),
            "format": image.format,
            "shape": list(image.pixels.shape),
            "dtype": str(image.pixels.dtype),
            "file_sha256": image.sha256,
            "pixels_sha256": embedding.image_sha256,
            "decoding": image.decoding.as_record(),
        },
        "model": {**model, "checkpoint_sha256": embedding.checkpoint_sha256},
        "device": device,
        "parameters": settings,
        "partition": _partition_record(examination.partition),
        "forgery": _forgery_record(examination.forgery),
        "regions": [
            {
                "prompt": _place(region.prompt),
                "confidence": region.confidence,
                "area_share": float(region.mask.mean()),
            }
            for region in examination.regions
        ],
        "seconds": {stage: round(value, 4) for stage, value in examination.seconds.items()},
        "warnings": list(examination.warnings),
        "versions": versions(),
        "files": dict(files or {}),
    }
    values: dict[str, Any] = plain(record)
    return values


def _write_all(
    examination: Examination, folder: Path, stem: str, model: Mapping[str, Any], device: str
) -> list[Path]:
    partition, forgery = examination.partition, examination.forgery
    files: dict[str, Any] = {}
    targets: list[Path] = []
    with ExitStack() as stack:
        # The last block to be entered is the first to rename: the record, entered first, comes
        # last, so that a record always finds its files.
        target = folder / f"{stem}.json"
        record_file = stack.enter_context(atomic_path(target))

        def place(ending: str) -> Path:
            path = folder / f"{stem}{ending}"
            targets.append(path)
            return stack.enter_context(atomic_path(path))

        if partition is not None:
            write_image_atomic(place("_sources.png"), encode_sources(partition.labels))
            write_image_atomic(
                place("_probabilities.tif"), probabilities_16_bit(partition), stack=True
            )
            overlay = render_sources(
                examination.image.pixels, partition.labels, _captions(partition)
            )
            write_image_atomic(place("_overlay.png"), overlay)
            files |= {
                "sources": f"{stem}_sources.png",
                "probabilities": f"{stem}_probabilities.tif",
                "overlay": f"{stem}_overlay.png",
            }
        if forgery is not None:
            write_image_atomic(
                place("_heatmap.tif"), np.rint(forgery.heatmap * _WHOLE).astype(np.uint16)
            )
            files["heatmap"] = f"{stem}_heatmap.tif"
        if examination.regions:
            files["regions"] = []
        for number, region in enumerate(examination.regions, start=1):
            write_image_atomic(place(f"_region_{number:02d}.png"), region.mask)
            files["regions"].append(targets[-1].name)
        record = make_record(examination, model=model, device=device, files=files)
        record_file.write_text(record_text(record), encoding="utf-8")
    return [*targets, target]


def probabilities_16_bit(partition: SourcePartition) -> npt.NDArray[np.uint16]:
    """Probabilities of all sources in 16 bits, without ever holding them as floats.

    Parameters
    ----------
    partition : SourcePartition

    Returns
    -------
    (K, H, W) uint16 array
        65535 = 1.
    """
    shape = partition.representatives[0].geometry.image_shape
    whole = np.empty((partition.n_sources, *shape), dtype=np.uint16)
    for rows, values in partition.probability_strips():
        whole[:, rows] = np.rint(values * _WHOLE)
    return whole


def area_shares(partition: SourcePartition) -> list[float]:
    """Share of the picture that each source covers."""
    counts = np.bincount(partition.labels.ravel(), minlength=partition.n_sources)
    return [float(share) for share in counts / partition.labels.size]


def _captions(partition: SourcePartition) -> list[str]:
    return [f"source {k}: {share:.1%}" for k, share in enumerate(area_shares(partition))]


def _partition_record(partition: SourcePartition | None) -> dict[str, Any] | None:
    if partition is None:
        return None
    shares = area_shares(partition)
    return {
        "n_sources": partition.n_sources,
        "number_probabilities": dict(partition.number_probabilities),
        "method": partition.method,
        "parameters": dict(partition.parameters),
        "seed": partition.seed,
        "sources": [
            {
                "source": k,
                "grey_value": STEP * k,
                "area_share": shares[k],
                "confidence": region.confidence,
                "prompt": _place(region.prompt),
            }
            for k, region in enumerate(partition.representatives)
        ],
        "prompts": [_place(prompt) for prompt in partition.prompts],
        "prompt_sources": partition.prompt_sources,
        "n_dropped_prompts": partition.n_dropped,
    }


def _forgery_record(forgery: ForgeryMap | None) -> dict[str, Any] | None:
    if forgery is None:
        return None
    return {
        "score": forgery.score,
        "verdict": forgery.verdict,
        "reason": forgery.reason,
        "calibration": None if forgery.calibration is None else asdict(forgery.calibration),
    }


def _place(prompt: PointPrompt) -> list[float]:
    return [round(float(prompt.row), 3), round(float(prompt.col), 3)]
