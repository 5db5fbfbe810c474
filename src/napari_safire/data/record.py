"""Records: JSON files that say how results came to be and which pictures belong to them."""

from __future__ import annotations

import json
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire import __version__
from napari_safire.data.images import ReadImage, read_image
from napari_safire.data.lists import ListEntry, read_mask
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.types import FloatImage

EXAMINATION_FORMAT = "napari-safire examination 1"  # written by curation.export
SOURCES_FORMAT = "napari-safire sources 1"  # written by gui.writer
# Numbering of labels layers that the plugin makes: 0 is "no source yet", sources count from 1.
FROM_ONE = "sources from 1"
_BEGIN = 4096  # bytes in which the format is named
_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class RecordedPrompt:
    """A prompt of a record.

    Parameters
    ----------
    row, col : float
        Position in image pixels.
    source : int
        Its source, as the labels count them; -1 for none.
    confidence : float
        NaN where the record has none.
    role : str
        "representative" (stands for its source), "point" (chosen by the user), "exclude"
        (subtracted from its source) or "grid".
    """

    row: float
    col: float
    source: int = -1
    confidence: float = math.nan
    role: str = "point"


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
    labels : (H, W) or (T, H, W) uint8 array or None
        Sources, 0 to 5, as in the mask file.
    heatmap : (H, W) float32 array or None
        Forgery map in [0, 1].
    prompts : tuple of RecordedPrompt
    warnings : tuple of str
        What could not be opened or checked, in plain sentences.
    """

    name: str
    record: dict[str, Any]
    image: ReadImage | None
    labels: npt.NDArray[np.uint8] | None
    heatmap: FloatImage | None
    prompts: tuple[RecordedPrompt, ...]
    warnings: tuple[str, ...]


def record_format(path: str | os.PathLike[str]) -> str | None:
    """Which of our formats a file has, by its first bytes; None for all other files.

    Parameters
    ----------
    path : path-like
        Need not exist.

    Returns
    -------
    str or None
        `EXAMINATION_FORMAT`, `SOURCES_FORMAT` or None.
    """
    try:
        with open(path, "rb") as file:
            begin = file.read(_BEGIN)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    found = re.match(rb'\s*\{\s*"format"\s*:\s*"([^"]*)"', begin)
    name = found[1].decode("utf-8", "replace") if found else None
    return name if name in (EXAMINATION_FORMAT, SOURCES_FORMAT) else None


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a record.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        As written; its format is one of ours.

    Raises
    ------
    DatasetError
        If the file cannot be read, is no JSON or has another format.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"The record {path} is larger than {_LARGEST >> 20} MiB.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(
            f"The record {path} cannot be read ({error}): export the results again."
        ) from error
    found = record.get("format") if isinstance(record, dict) else None
    if found not in (EXAMINATION_FORMAT, SOURCES_FORMAT):
        raise DatasetError(
            f"{path} has the format {found!r}, not {EXAMINATION_FORMAT!r} or {SOURCES_FORMAT!r}: "
            "open a record that napari-safire has written."
        )
    return dict(record)


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
        files = record["files"]
        names = files.get("sources")
        planes = [
            _read_sources(_beside(path, name))
            for name in ([names] if isinstance(names, str) else names or [])
        ]
        labels = None
        if planes:
            labels = planes[0] if isinstance(names, str) else np.stack(planes)
        heatmap: FloatImage | None = None
        if "heatmap" in files:
            stored = read_image(_beside(path, files["heatmap"])).pixels
            heatmap = (stored / np.float32(np.iinfo(stored.dtype).max)).astype(np.float32)
        shapes = {made.shape[-2:] for made in (labels, heatmap) if made is not None}
        if len(shapes) > 1:
            raise DatasetError(f"The results of {path} differ in size: {sorted(shapes)}.")
        image, notes = _read_recorded_image(record["image"], path)
        if image is not None and shapes and image.pixels.shape[:2] not in shapes:
            notes = (f"{image.path} has another size than its results: it was left out.",)
            image = None
        about = record["image"]
        name = about.get("name") or Path(about.get("path") or path).stem
        prompts = tuple(_prompts(record))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DatasetError(
            f"The record {path} is damaged ({error!r}): export the results again."
        ) from error
    return RecordedResults(name, record, image, labels, heatmap, prompts, notes)


def record_text(record: Mapping[str, Any]) -> str:
    """JSON text of a record, for a file in UTF-8; `record` holds what `plain` gives."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    # Hundreds of prompts: a list of numbers takes one line. (No string holds a line break.)
    return re.sub(r'\[\n\s*(-?\d[^\[\]{}"]*?)\n\s*\]', _one_line, text) + "\n"


def plain(value: Any) -> Any:
    """Python values only; what is not finite becomes null, for which JSON has no number."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def versions() -> dict[str, str]:
    """Versions of this package and of those that decide its results, and the platform."""
    found = {"napari-safire": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "pillow", "tifffile", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # installed without metadata, as conda-like builds may be
            found[package] = "unknown"
    return found | {"platform": platform.platform()}


def _one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def _beside(record: Path, name: str) -> Path:
    if Path(name).name != name:
        raise DatasetError(
            f"The record {record} names {name!r}, which is not a file beside it: it was changed."
        )
    file = record.with_name(name)
    if not file.is_file():
        raise DatasetError(f"{file} is missing, which the record {record} names: export it again.")
    return file


def _read_sources(mask: Path) -> npt.NDArray[np.uint8]:
    return read_mask(ListEntry(mask, mask), "sources").astype(np.uint8)


def _read_recorded_image(
    about: Mapping[str, Any], record: Path
) -> tuple[ReadImage | None, tuple[str, ...]]:
    """The picture and what is to be said of it."""
    if not about.get("path"):  # labels that were saved without knowledge of a picture
        return None, ()
    written = Path(about["path"])
    # The record may have been moved along with its picture, or written with a relative path.
    places = [record.parent / written, record.with_name(written.name), written]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return None, (f"The picture {written} is not there any more: only its results are opened.",)
    try:
        image = read_image(found)
    except ImageReadError as error:
        return None, (f"{error} Only its results are opened.",)
    expected = about.get("file_sha256")
    if expected is None:
        return image, (f"The record has no hash of {found}: whether it is the same is not known.",)
    if image.sha256 != expected:
        return None, (
            f"{found} is another file than the one that was examined (SHA-256 "
            f"{image.sha256[:12]}…, not {expected[:12]}…): only the results are opened.",
        )
    return image, image.warnings


def _prompts(record: Mapping[str, Any]) -> Iterator[RecordedPrompt]:
    if record["format"] == SOURCES_FORMAT:
        for prompt in record.get("layer", {}).get("prompts", ()):
            role = "exclude" if prompt.get("exclude") else "point"
            source = int(prompt.get("source", -1))
            yield RecordedPrompt(float(prompt["row"]), float(prompt["col"]), source, role=role)
        return
    partition = record.get("partition") or {}
    for source in partition.get("sources", ()):
        row, col = source["prompt"]
        confidence = _known(source["confidence"])
        yield RecordedPrompt(row, col, int(source["source"]), confidence, "representative")
    for region in record.get("regions", ()):
        row, col = region["prompt"]
        yield RecordedPrompt(row, col, confidence=_known(region["confidence"]))
    grid = zip(partition.get("prompts", ()), partition.get("prompt_sources", ()), strict=True)
    for (row, col), source in grid:
        yield RecordedPrompt(row, col, int(source), role="grid")


def _known(number: float | None) -> float:
    return math.nan if number is None else float(number)
