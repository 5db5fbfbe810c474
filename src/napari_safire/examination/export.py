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
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.atomic import atomic_files
from napari_safire.errors import SafireError
from napari_safire.examination import Examination
from napari_safire.examination.overlay import render_sources
from napari_safire.forgery import ForgeryMap
from napari_safire.images.files import file_sha256
from napari_safire.images.masks import MAX_SOURCE, STEP, encode_sources
from napari_safire.images.reading import write_image_atomic
from napari_safire.images.records.head import EXAMINATION_FORMAT, result_names
from napari_safire.images.records.paths import recorded_path
from napari_safire.images.records.writing import plain, record_text, versions
from napari_safire.types import PointPrompt, SourcePartition, SourceRegion

if TYPE_CHECKING:
    from napari_safire.engine import Engine

MOST_SOURCES = MAX_SOURCE + 1
_WHOLE = 65535
ResultKind = Literal["sources", "probabilities", "overlay", "heatmap"]
RESULT_ENDINGS: Mapping[ResultKind, str] = MappingProxyType(
    {
        "sources": "_sources.png",
        "probabilities": "_probabilities.tif",
        "overlay": "_overlay.png",
        "heatmap": "_heatmap.tif",
    }
)
"""How the names of the files end, by what they hold."""
_FIXED_ENDINGS = "|".join(re.escape(ending) for ending in (*RESULT_ENDINGS.values(), ".json"))
_RESULT = re.compile(rf"(.+)(?:{_FIXED_ENDINGS}|_region_\d{{2,}}\.png)", re.DOTALL)


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

    They are written aside and renamed when all are complete, the record last. With `overwrite`,
    all files of an earlier export under the same base go, the record first.

    Parameters
    ----------
    examination : Examination
    folder : path-like
        Made if it is missing.
    base : str
        Begin of the file names, such as `napari_safire.corpus.naming.result_base` makes.
    model, device : mapping, str
        What answered, from `describe_model`, and where it ran.
    overwrite : bool
    earlier : collection of str, optional
        Names in the folder under this base; else it is looked through, which may take long.
    absolute_paths : bool
        The record says where the picture lies from the root on, not from the record.

    Returns
    -------
    list of Path
        The record comes last.

    Raises
    ------
    FileExistsError
        Unless `overwrite`: there are files under this base already.
    SafireError
        More than 6 sources, which masks cannot hold; or the folder cannot be written.
    """
    folder, record = Path(folder), f"{base}.json"
    require_few_sources(examination)
    there = _what_is_there(folder, base, earlier, overwrite)
    path = recorded_path(examination.image.path, folder, absolute=absolute_paths)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_files(folder, record, stale=there) as place:
            files = _write_results(examination, place, base)
            hashes = {name: file_sha256(place / name) for name in result_names({"files": files})}
            about = make_record(examination, model, device, files, hashes, path)
            (place / record).write_text(record_text(about), encoding="utf-8", newline="\n")
    except OSError as error:
        raise SafireError(
            f"The results of {examination.image.path} cannot be written to {folder}: "
            f"{error.strerror or error}."
        ) from error
    return [folder / name for name in (*hashes, record)]


def describe_model(engine: Engine, name: str, *, absolute_path: bool = False) -> dict[str, str]:
    """What a record says of the model, beside the hash of its file.

    Parameters
    ----------
    engine : Engine
    name : str
        Of a registered model, or a file. Of a file its name alone is told, which the hash makes
        certain: folders may name the user.
    absolute_path : bool
        Tell where a file lies all the same.

    Returns
    -------
    dict of str to str
        "name", "architecture" and "precision".
    """
    if os.path.isfile(name):
        name = os.path.abspath(name) if absolute_path else os.path.basename(name)
    return {
        "name": name,
        "architecture": engine.model.config.architecture,
        "precision": engine.precision,
    }


def make_record(
    examination: Examination,
    model: Mapping[str, Any],
    device: str,
    files: Mapping[str, Any],
    hashes: Mapping[str, str],
    path: str,
) -> dict[str, Any]:
    """Everything that is known of an examination but its pictures, as values JSON can hold.

    Parameters
    ----------
    examination : Examination
    model, device
        As in `export_examination`.
    files : mapping
        Names of the files beside the record, by what they hold.
    hashes : mapping of str to str
        SHA-256 of each.
    path : str
        Of the picture, as the record shall say it.

    Returns
    -------
    dict
    """
    image, embedding = examination.image, examination.embedding
    settings = examination.settings
    precision = str(model.get("precision", "float32"))
    basis = settings.basis(embedding.checkpoint_sha256, precision, image.sha256)
    # `read_head` reads up to "device": what a batch has to know before it goes on.
    record = {
        "format": EXAMINATION_FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "basis": basis.as_record(),
        "files": dict(files),
        "files_sha256": dict(hashes),
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
        "regions": [_region_record(region) for region in examination.regions],
        "seconds": {stage: round(value, 4) for stage, value in examination.seconds.items()},
        "warnings": [_with_path(text, str(image.path), path) for text in examination.warnings],
        "versions": versions(),
    }
    values: dict[str, Any] = plain(record)
    return values


def _what_is_there(
    folder: Path, base: str, earlier: Collection[str] | None, overwrite: bool
) -> set[str]:
    """Names in the folder that an export under this base would replace or leave behind."""
    if earlier is None:
        listed = os.listdir(folder) if folder.is_dir() else ()
        earlier = results_by_base(listed).get(base, [])
    record = f"{base}.json"
    there = {*earlier, record} if (folder / record).exists() else set(earlier)
    if there and not overwrite:
        raise FileExistsError(
            f"{folder / min(there)} exists already: choose another folder or overwrite."
        )
    return there


def require_few_sources(examination: Examination) -> None:
    """Raise a `SafireError` for more sources than masks can hold."""
    partition = examination.partition
    if partition is not None and partition.n_sources > MOST_SOURCES:
        raise SafireError(
            f"{examination.image.path} was divided into {partition.n_sources} sources, but a mask "
            f"holds {MOST_SOURCES}: ask for a fixed number up to that, or raise eps."
        )


def _with_path(text: str, given: str, recorded: str) -> str:
    """Name the picture in a warning as the record does; a bare name may be any word."""
    return text.replace(given, recorded) if os.path.basename(given) != given else text


def _write_results(examination: Examination, place: Path, base: str) -> dict[str, Any]:
    """Write all but the record; the names by what they hold."""
    files: dict[str, Any] = {}
    for kind, ending in RESULT_ENDINGS.items():
        if write_result(examination, kind, place / f"{base}{ending}"):
            files[kind] = f"{base}{ending}"
    if examination.regions:
        files["regions"] = [
            f"{base}_region_{number:02d}.png" for number in range(1, len(examination.regions) + 1)
        ]
        for name, region in zip(files["regions"], examination.regions, strict=True):
            write_image_atomic(place / name, region.mask)
    return files


def write_result(examination: Examination, kind: ResultKind, path: Path) -> bool:
    """Write one of the pictures that an examination gives.

    Parameters
    ----------
    examination : Examination
    kind : {"sources", "probabilities", "overlay", "heatmap"}
    path : Path

    Returns
    -------
    bool
        False where it was not asked, so that there is none.

    Raises
    ------
    OSError
    """
    partition, forgery = examination.partition, examination.forgery
    if kind == "heatmap":
        if forgery is None:
            return False
        write_image_atomic(path, np.rint(forgery.heatmap * _WHOLE).astype(np.uint16))
        return True
    if partition is None:
        return False
    if kind == "sources":
        write_image_atomic(path, encode_sources(partition.labels))
    elif kind == "probabilities":
        write_image_atomic(path, probabilities_16_bit(partition), stack=True)
    else:
        captions = _captions(partition)
        overlay = render_sources(examination.image.pixels, partition.labels, captions)
        write_image_atomic(path, overlay)
    return True


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
                "confidence": confidence_of(partition, region),
                "prompt": _place(region.prompt),
            }
            for k, region in enumerate(partition.representatives)
        ],
        "prompts": [_place(prompt) for prompt in partition.prompts],
        "prompt_sources": partition.prompt_sources,
        "n_dropped_prompts": partition.n_dropped,
    }


def confidence_of(partition: SourcePartition, region: SourceRegion) -> float | None:
    """Return how sure a source's region is, as records tell it.

    Parameters
    ----------
    partition : SourcePartition
    region : SourceRegion
        One of its representatives.

    Returns
    -------
    float or None
        None, not known, where pixels could belong to nothing else: 1 by itself says nothing.
    """
    return None if partition.n_sources == 1 and region.confidence >= 1 else region.confidence


def _region_record(region: SourceRegion) -> dict[str, Any]:
    return {
        "prompt": _place(region.prompt),
        "confidence": region.confidence,
        "area_share": float(region.mask.mean()),
    }


def _forgery_record(forgery: ForgeryMap | None) -> dict[str, Any] | None:
    if forgery is None:
        return None
    return {
        "score": forgery.score,
        "verdict": forgery.verdict,
        "reason": forgery.reason,
        "calibration": None if forgery.calibration is None else asdict(forgery.calibration),
        "contributions": {
            name: {"log_odds": round(one.log_odds, 4), "weight": one.weight, "words": one.words}
            for name, one in forgery.contributions.items()
        },
        "regions": {
            name: {"area_share": float(region.mean())} for name, region in forgery.regions.items()
        },
    }


def _place(prompt: PointPrompt) -> list[float]:
    return [round(float(prompt.row), 3), round(float(prompt.col), 3)]
