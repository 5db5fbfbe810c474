"""The files of one examined picture, all there or none: the record holds the hashes of the others.

===========================  ====================================================================
``<base>_sources.png``       source of each pixel in SafireMS encoding, grey value 50 x source
``<base>_probabilities.tif`` one 16-bit page for each source, 65535 = 1
``<base>_heatmap.tif``       forgery map, 16 bit, 65535 = 1
``<base>_overlay.png``       the sources in colour, for the eye
``<base>_region_NN.png``     region of the NNth point, 0 and 255
``<base>.json``              the record: parameters, hashes, versions, results, timings
===========================  ====================================================================
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_files
from napari_safire.errors import SafireError
from napari_safire.examination.examination import Examination
from napari_safire.examination.overlay import render_sources
from napari_safire.images.files import file_sha256
from napari_safire.images.masks import MAX_SOURCE, STEP, encode_sources
from napari_safire.images.reading import write_image_atomic
from napari_safire.images.records.head import EXAMINATION_FORMAT, result_names
from napari_safire.images.records.paths import recorded_path
from napari_safire.images.records.writing import plain, record_text, versions
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
_RESULT = re.compile(
    rf"(.+)(?:{'|'.join(map(re.escape, _FIXED_ENDINGS))}|_region_\d{{2,}}\.png)", re.DOTALL
)


def results_by_base(names: Iterable[str]) -> dict[str, list[str]]:
    """Sort the names in a folder by the results that an export would replace or leave behind.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str to list of str
        For each begin of names (``base`` of `export_examination`) the names, sorted. Names that no
        export gives are left out.

    Examples
    --------
    >>> results_by_base(["a.json", "a_sources.png", "a.jpg", "b_region_02.png"])
    {'a': ['a.json', 'a_sources.png'], 'b': ['b_region_02.png']}
    """
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        result = _RESULT.fullmatch(name)
        if result is not None:
            found.setdefault(result[1], []).append(name)
    return found


def existing_outputs(folder: str | os.PathLike[str], base: str) -> list[Path]:
    """Files in the folder that an export under this base would replace or leave behind.

    Parameters
    ----------
    folder : path-like
        Need not exist.
    base : str

    Returns
    -------
    list of Path
        Sorted.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return [folder / name for name in results_by_base(os.listdir(folder)).get(base, ())]


def export_examination(
    examination: Examination,
    folder: str | os.PathLike[str],
    base: str,
    *,
    model: Mapping[str, Any],
    device: str,
    overwrite: bool = False,
    earlier: Collection[str] | None = None,
    absolute_paths: bool = False,
) -> list[Path]:
    """Write all files of one examined picture.

    They are written aside first and renamed when all are complete, the record last. With
    `overwrite`, the former record goes first, and so do files of an earlier export under the same
    base that this one does not write (more regions, for instance), so that all that lies there
    belongs together.

    Parameters
    ----------
    examination : Examination
    folder : path-like
        Made if it is missing.
    base : str
        Begin of the file names; `napari_safire.corpus.naming.result_base` makes one of a
        picture's name.
    model : mapping
        What the record shall say of the model: name, architecture, precision.
    device : str
        Where the model ran.
    overwrite : bool
    earlier : collection of str, optional
        Names in the folder under this base, where they are known: else the folder is looked
        through, which takes long if it holds the results of many pictures.
    absolute_paths : bool
        The record says where the picture lies from the root on, not from the record.

    Returns
    -------
    list of Path
        The files; the record comes last.

    Raises
    ------
    FileExistsError
        There are outputs under this base already, and `overwrite` is false.
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
    record = f"{base}.json"
    if earlier is None:
        earlier = [path.name for path in existing_outputs(folder, base)]
    there = [*earlier, record] if (folder / record).exists() else list(earlier)
    if there and not overwrite:
        raise FileExistsError(
            f"{folder / there[0]} exists already: choose another folder or overwrite."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_files(folder, record, stale=there) as place:
            files = _write_results(examination, place, base)
            about = make_record(
                examination,
                model=model,
                device=device,
                files=files,
                folder=folder,
                written=place,
                absolute_paths=absolute_paths,
            )
            (place / record).write_text(record_text(about), encoding="utf-8", newline="\n")
    except OSError as error:
        raise SafireError(
            f"The results of {examination.image.path} cannot be written to {folder}: "
            f"{error.strerror or error}."
        ) from error
    return [folder / name for name in (*result_names(about), record)]


def make_record(
    examination: Examination,
    *,
    model: Mapping[str, Any],
    device: str,
    files: Mapping[str, Any],
    folder: Path,
    written: Path,
    absolute_paths: bool = False,
) -> dict[str, Any]:
    """Everything that is known of an examination but its pictures, as values JSON can hold.

    Parameters
    ----------
    examination : Examination
    model, device, absolute_paths
        As in `export_examination`.
    files : mapping
        Names of the files beside the record.
    folder : Path
        Where the record will lie.
    written : Path
        Where the files lie now.

    Returns
    -------
    dict
    """
    image, embedding = examination.image, examination.embedding
    settings = examination.settings
    path = recorded_path(image.path, folder, absolute=absolute_paths)
    precision = str(model.get("precision", "float32"))
    basis = settings.basis(embedding.checkpoint_sha256, precision, image.sha256)
    # `read_head` reads up to "device": what a batch has to know before it goes on.
    record = {
        "format": EXAMINATION_FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "basis": basis.as_record(),
        "files": dict(files),
        "files_sha256": {
            name: file_sha256(written / name) for name in result_names({"files": files})
        },
        "image": {
            "path": path,
            "format": image.format,
            "shape": list(image.pixels.shape),
            "dtype": str(image.pixels.dtype),
            "file_sha256": image.sha256,
            "pixels_sha256": embedding.image_sha256,
            "decoding": image.decoding.as_record(),
        },
        "model": {**model, "checkpoint_sha256": embedding.checkpoint_sha256},
        "device": device,
        "parameters": settings.as_record(),
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
        "warnings": [_with_path(text, str(image.path), path) for text in examination.warnings],
        "versions": versions(),
    }
    values: dict[str, Any] = plain(record)
    return values


def _with_path(text: str, given: str, recorded: str) -> str:
    """Name the picture in a warning as the record does; a bare name may be any word."""
    return text.replace(given, recorded) if os.path.basename(given) != given else text


def _write_results(examination: Examination, place: Path, base: str) -> dict[str, Any]:
    """Write all but the record; the names by what they hold."""
    partition, forgery = examination.partition, examination.forgery
    files: dict[str, Any] = {}
    if partition is not None:
        files |= {
            "sources": f"{base}_sources.png",
            "probabilities": f"{base}_probabilities.tif",
            "overlay": f"{base}_overlay.png",
        }
        write_image_atomic(place / files["sources"], encode_sources(partition.labels))
        write_image_atomic(
            place / files["probabilities"], probabilities_16_bit(partition), stack=True
        )
        overlay = render_sources(examination.image.pixels, partition.labels, _captions(partition))
        write_image_atomic(place / files["overlay"], overlay)
    if forgery is not None:
        files["heatmap"] = f"{base}_heatmap.tif"
        write_image_atomic(
            place / files["heatmap"], np.rint(forgery.heatmap * _WHOLE).astype(np.uint16)
        )
    if examination.regions:
        files["regions"] = [
            f"{base}_region_{number:02d}.png" for number in range(1, len(examination.regions) + 1)
        ]
        for name, region in zip(files["regions"], examination.regions, strict=True):
            write_image_atomic(place / name, region.mask)
    return files


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
