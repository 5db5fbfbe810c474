"""Records: JSON files that say how results came to be and which pictures belong to them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
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
_HEAD = 1 << 14  # bytes in which `read_head` looks for the end of the head
_AFTER_HEAD = "device"
_SURROGATES = re.compile("[\ud800-\udfff]")


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


def read_head(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a record of an examination says before its results: files, hashes, basis, picture.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        All of a record that is not laid out as `record_text` does it.

    Raises
    ------
    DatasetError
        As `read_record`.
    """
    try:
        with open(path, "rb") as file:
            begin, end, _ = file.read(_HEAD).partition(f',\n "{_AFTER_HEAD}"'.encode())
        head = json.loads(begin + b"}") if end else None
    except (OSError, ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != EXAMINATION_FORMAT:
        return read_record(path)  # says what is wrong
    return head


def result_names(record: Mapping[str, Any]) -> list[str]:
    """Names of the files that a record says lie beside it.

    Raises
    ------
    DatasetError
        If it names none, or something else than files beside it.
    """
    files = record.get("files")
    found = []
    for names in files.values() if isinstance(files, dict) else ():
        found += names if isinstance(names, list) else [names]
    if not found or not all(isinstance(n, str) and PurePath(n).name == n for n in found):
        raise DatasetError(f"The record names no files beside it, but {files!r}: it was changed.")
    return found


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits.

    Raises
    ------
    OSError
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded_path(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, absolute: bool = False
) -> str:
    """Write a path as it shall stand in a record or report.

    Relative to its folder, so that both can move together; never with the name of the user, whose
    home folder is ``~``.

    Parameters
    ----------
    path : path-like
    folder : path-like
        Where the record lies.
    absolute : bool
        The whole path instead.

    Returns
    -------
    str
        With ``/`` between folders. `found_path` finds the file again.

    Examples
    --------
    >>> recorded_path("/case/photos/a.jpg", "/case/results")
    '../photos/a.jpg'
    """
    whole, folder = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    if absolute:
        return whole.as_posix()
    home = Path(os.path.expanduser("~"))
    if home != Path(home.anchor) and whole.is_relative_to(home) and not folder.is_relative_to(home):
        return f"~/{whole.relative_to(home).as_posix()}"
    try:
        return Path(os.path.relpath(whole, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return whole.name


def found_path(written: str, record: str | os.PathLike[str]) -> Path | None:
    """Find a file by its path in a record: from there, beside the record, or as it is written.

    Parameters
    ----------
    written : str
    record : path-like
        The record's own path.

    Returns
    -------
    Path or None
        None where there is no such file.
    """
    path, beside = Path(os.path.expanduser(written)), Path(record)
    # The record may have been moved along with its picture.
    there = beside.parent / path
    places = [Path(os.path.normpath(there)), there, beside.with_name(path.name), path]
    # Not Path.is_file, which raises for names that no file can have.
    return next((place for place in places if os.path.isfile(place)), None)


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
        files, hashes = record["files"], record.get("files_sha256", {})
        names = files.get("sources")
        planes = [
            _read_sources(_beside(path, name, hashes))
            for name in ([names] if isinstance(names, str) else names or [])
        ]
        labels = None
        if planes:
            labels = planes[0] if isinstance(names, str) else np.stack(planes)
        heatmap: FloatImage | None = None
        if "heatmap" in files:
            stored = read_image(_beside(path, files["heatmap"], hashes)).pixels
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
    r"""JSON text of a record, for a file in UTF-8; `record` holds what `plain` gives.

    Bytes of names that are no UTF-8 are written as JSON writes them, ``\udce9``, and are read back.
    """
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    text = _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
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


def _beside(record: Path, name: str, hashes: Mapping[str, str]) -> Path:
    if Path(name).name != name:
        raise DatasetError(
            f"The record {record} names {name!r}, which is not a file beside it: it was changed."
        )
    file = record.with_name(name)
    if not file.is_file():
        raise DatasetError(f"{file} is missing, which the record {record} names: export it again.")
    if name in hashes and file_sha256(file) != hashes[name]:  # older records have no hashes
        raise DatasetError(
            f"{file} is not the file that the record {record} describes: it was changed since. "
            "Export it again, or open the file without its record."
        )
    return file


def _read_sources(mask: Path) -> npt.NDArray[np.uint8]:
    return read_mask(ListEntry(mask, mask), "sources").astype(np.uint8)


def _read_recorded_image(
    about: Mapping[str, Any], record: Path
) -> tuple[ReadImage | None, tuple[str, ...]]:
    """The picture and what is to be said of it."""
    if not about.get("path"):  # labels that were saved without knowledge of a picture
        return None, ()
    written = about["path"]
    found = found_path(written, record)
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
