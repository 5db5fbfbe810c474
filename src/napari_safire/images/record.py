"""Records: JSON files that say how results came to be and which pictures belong to them."""

from __future__ import annotations

import errno
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
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire import __version__
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.lists import ListEntry, read_truth
from napari_safire.images.masks import UNASSIGNED
from napari_safire.images.reading import ReadImage, read_image
from napari_safire.text import printable
from napari_safire.types import FloatImage

EXAMINATION_FORMAT = "napari-safire examination 1"  # written by curation.export
SOURCES_FORMAT = "napari-safire sources 2"  # written by gui.writer
# In these the numbers in a mask depended on whether some pixel had no source; see `_old_labels`.
_SOURCES_1 = "napari-safire sources 1"
SOURCES_FORMATS = (SOURCES_FORMAT, _SOURCES_1)
_FORMATS = (EXAMINATION_FORMAT, *SOURCES_FORMATS)
# Numbering of labels layers that the plugin makes: 0 is "no source yet", sources count from 1.
FROM_ONE = "sources from 1"
_BEGIN = 4096  # bytes in which the format is named
_LARGEST = 256 << 20
_MOST_LABEL = 65_535
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
    index : tuple of int
        Position in a stack.
    """

    row: float
    col: float
    source: int = -1
    confidence: float = math.nan
    role: str = "point"
    index: tuple[int, ...] = ()


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
        For each plane what was made of it, as `napari_safire.session.codec` has it; empty in
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


def record_format(path: str | os.PathLike[str]) -> str | None:
    """Which of our formats a file has, by its first bytes; None for all other files.

    Parameters
    ----------
    path : path-like
        Need not exist.

    Returns
    -------
    str or None
        `EXAMINATION_FORMAT`, one of `SOURCES_FORMATS`, or None.
    """
    try:
        if not os.path.isfile(path):  # a pipe would never answer
            return None
        with open(path, "rb") as file:
            begin = file.read(_BEGIN)
    except (OSError, ValueError):  # ValueError: a null character in the name
        return None
    found = re.match(rb'\s*\{\s*"format"\s*:\s*"([^"]*)"', begin)
    name = found[1].decode("utf-8", "replace") if found else None
    return name if name in _FORMATS else None


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
        if not path.is_file():
            raise DatasetError(f"The record {printable(path)} is missing, or no file.")
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"The record {printable(path)} is larger than {_LARGEST >> 20} MiB.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise DatasetError(
            f"The record {printable(path)} cannot be read ({printable(error)}): export the results "
            "again."
        ) from error
    found = record.get("format") if isinstance(record, dict) else None
    if not isinstance(found, str) or found not in _FORMATS:
        raise DatasetError(
            f"{printable(path)} has the format {printable(repr(found))[:80]}, none of "
            f"{', '.join(map(repr, _FORMATS))}: open a record that napari-safire has written."
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
        if not os.path.isfile(path):  # a pipe would never answer
            return read_record(path)  # says so
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
        Also where a folder, a pipe or a device has the name: of those there is no end.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is not a regular file", os.fspath(path))
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


def whole_path(written: str, folder: str | os.PathLike[str]) -> Path:
    """Return the path for which `recorded_path` gave a text, whether anything lies there or not.

    Examples
    --------
    >>> whole_path("../photos/a.jpg", "/case/results").as_posix()
    '/case/photos/a.jpg'
    """
    return Path(os.path.abspath(Path(folder, os.path.expanduser(written))))


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
    files, about = _mapping(record, "files"), _mapping(record, "image")
    hashes = _mapping(record, "files_sha256")
    annotations = _annotations(record)
    found = _Labels(None)
    if record["format"] == SOURCES_FORMAT:
        found = _labels(path, record, files, bool(annotations))
    elif files.get("sources"):
        found = _old_labels(path, record, files["sources"])
    labels = found.labels
    heatmap: FloatImage | None = None
    if "heatmap" in files:
        stored = read_image(_beside(path, files["heatmap"], hashes)).pixels
        if stored.ndim != 2 or stored.dtype.kind != "u":
            raise DatasetError(f"The forgery map of {printable(path)} is no grey picture.")
        heatmap = (stored / np.float32(np.iinfo(stored.dtype).max)).astype(np.float32)
    shapes = {made.shape[-2:] for made in (labels, heatmap) if made is not None}
    if len(shapes) > 1:
        raise DatasetError(f"The results of {printable(path)} differ in size: {sorted(shapes)}.")
    image, notes = _read_recorded_image(about, path)
    if image is not None and shapes and image.pixels.shape[:2] not in shapes:
        notes = (f"{image.path} has another size than its results: it was left out.",)
        image = None
    name = _text(about, "name") or Path(_text(about, "path") or path).stem
    prompts = tuple(_prompts(record))
    return RecordedResults(
        name,
        record,
        image,
        labels,
        heatmap,
        prompts,
        (*found.warnings, *notes),
        found.first,
        annotations,
        len(found.warnings),
    )


def recorded_image_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a record says of its picture, under the names that layers have for it.

    Names without a value are left out.
    """
    about = _mapping(record, "image")
    facts = {fact: about.get(name) for name, fact in IMAGE_FACTS.items()}
    return {fact: value for fact, value in facts.items() if value is not None}


IMAGE_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "name": "image",
        "path": "image_path",
        "file_sha256": "image_file_sha256",
        "pixels_sha256": "image_sha256",
        "decoding": "decoding",
    }
)
"""What records say of a picture, and what the metadata of layers call it."""


def recorded_image(path: Path, record: Mapping[str, Any]) -> Path | None:
    """Find the picture of a record: where it says, or beside it; None if it is nowhere."""
    written = _text(_mapping(record, "image"), "path")
    if not written:
        return None
    found = found_path(written, path)
    return None if found is None else Path(os.path.abspath(found))


def record_of_mask(mask: Path) -> Path | None:
    """Find the record that a mask was saved with, ``<name>.json`` of ``<name>_sources.png``.

    Returns
    -------
    Path or None
        None as well where the mask was changed since.
    """
    stem = mask.stem.removesuffix("_sources")
    record = mask.with_name(f"{stem}.json")
    if stem == mask.stem or record_format(record) != SOURCES_FORMAT:
        return None
    try:
        return None if why_no_mask(record, read_record(record), mask) else record
    except DatasetError:
        return None


def why_incomplete(record: Mapping[str, Any]) -> str:
    """Why a record of sources does not say of every pixel which source it has, on purpose.

    Parameters
    ----------
    record : mapping
        As `read_record` gives it.

    Returns
    -------
    str
        As the end of a sentence about it; empty where it is complete.

    Raises
    ------
    DatasetError
        The record is damaged.
    """
    if record["format"] not in SOURCES_FORMATS:
        return "it is no record of labels"
    layer = _mapping(record, "layer")
    if layer.get("state") != "done":
        return "it is not marked as done"
    try:
        if record["format"] == SOURCES_FORMAT:
            unassigned = int(_mapping(record, "unassigned")["pixels"])
        else:
            rest = layer.get("numbering") == FROM_ONE and record.get("first_label") == 0
            unassigned = next((s["pixels"] for s in record["sources"] if s["source"] == 0), 0)
            unassigned = int(unassigned) if rest else 0
        n_sources = len([s for s in record["sources"] if int(s["pixels"]) > 0])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DatasetError(f"The record is damaged ({printable(repr(error))[:200]}).") from error
    if unassigned:
        return f"{unassigned} of its pixels have no source yet"
    if n_sources < 2 and layer.get("authentic") is not True:
        return "all of it is one source, and nobody said that it is authentic"
    return ""


def why_no_mask(path: Path, record: Mapping[str, Any], mask: Path) -> str:
    """Why a mask is not the one that a record was written with.

    Parameters
    ----------
    path : Path
        Of the record.
    record : mapping
    mask : Path

    Returns
    -------
    str
        As the end of a sentence; empty where it is.
    """
    named = _mapping(record, "files").get("sources")
    if named is None:
        return "it has more sources than a mask holds"
    if named != mask.name:
        return f"it names another mask ({printable(named)[:80]})"
    if not os.path.isfile(mask):  # not Path.is_file, which raises for names no file can have
        return f"its mask {printable(mask.name)} is missing"
    if record["format"] == SOURCES_FORMAT:
        try:
            if file_sha256(mask) != _mapping(record, "files_sha256").get(mask.name):
                return f"{printable(mask.name)} is not the mask that it was saved with"
        except OSError as error:
            return f"its mask {printable(mask.name)} cannot be read ({error.strerror})"
    return ""


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


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name, {})
    if not isinstance(found, Mapping):
        raise DatasetError(f"{name} of the record is no table of values: it is damaged.")
    return found


def _text(record: Mapping[str, Any], name: str) -> str | None:
    found = record.get(name)
    if found is not None and not isinstance(found, str):
        raise DatasetError(f"{name} of the record is no text: it is damaged.")
    return found


def _beside(record: Path, name: Any, hashes: Mapping[str, Any]) -> Path:
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
    if name in hashes and file_sha256(file) != hashes[name]:  # older records have no hashes
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
    first: Literal[0, 1] = 1 if _mapping(record, "layer").get("numbering") == FROM_ONE else 0
    named = files.get("sources", files.get("labels"))
    names = [named] if isinstance(named, str) else list(named or ())
    hashes = _mapping(record, "files_sha256")
    try:
        if not names:
            raise DatasetError(f"The record {printable(path)} names no mask.")
        planes = []
        for name in names:
            file = _beside(path, name, hashes)
            if name not in hashes:
                raise DatasetError(f"{printable(path)} has no hash of {printable(name)}.")
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


def _old_labels(path: Path, record: Mapping[str, Any], names: Any) -> _Labels:
    """Labels of an examination, or of a record of sources in the first format.

    In that a layer's source k was k - 1 in the mask where every pixel had a source
    (``first_label`` 1), and else k, with 0 for the rest.
    """
    low, hashes = record.get("first_label", 0), _mapping(record, "files_sha256")
    if isinstance(low, bool) or low not in (0, 1):
        raise DatasetError(
            f"The record {printable(path)} counts labels from {printable(repr(low))[:40]}, not "
            "from 0 or 1: it is damaged, export the results again."
        )
    planes = [
        _read_sources(_beside(path, name, hashes)) + np.uint8(low)
        for name in ([names] if isinstance(names, str) else names)
    ]
    labels = planes[0] if isinstance(names, str) else np.stack(planes)
    numbering = _mapping(record, "layer").get("numbering")
    return _Labels(labels, 1 if numbering == FROM_ONE else 0)


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


def _read_sources(mask: Path) -> npt.NDArray[np.uint8]:
    return read_truth(ListEntry(mask, mask), "sources").labels.astype(np.uint8)


def _read_recorded_image(
    about: Mapping[str, Any], record: Path
) -> tuple[ReadImage | None, tuple[str, ...]]:
    """The picture and what is to be said of it."""
    written = _text(about, "path")
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
    expected = _text(about, "file_sha256")
    if expected is None:
        return image, (f"The record has no hash of {found}: whether it is the same is not known.",)
    if image.sha256 != expected:
        return None, (
            f"{found} is another file than the one that was examined (SHA-256 "
            f"{image.sha256[:12]}…, not {expected[:12]}…): only the results are opened.",
        )
    return image, image.warnings


def _prompts(record: Mapping[str, Any]) -> Iterator[RecordedPrompt]:
    if record["format"] in SOURCES_FORMATS:
        for prompt in _mapping(record, "layer").get("prompts") or ():
            role = "exclude" if prompt.get("exclude") else "point"
            yield RecordedPrompt(
                *_place(prompt["row"], prompt["col"]),
                int(prompt.get("source", -1)),
                _known(prompt.get("confidence")),
                role,
                tuple(int(n) for n in prompt.get("index", ())),
            )
        return
    partition = record.get("partition") or {}
    for source in partition.get("sources", ()):
        confidence = _known(source["confidence"])
        yield RecordedPrompt(
            *_place(*source["prompt"]), int(source["source"]), confidence, "representative"
        )
    for region in record.get("regions", ()):
        yield RecordedPrompt(*_place(*region["prompt"]), confidence=_known(region["confidence"]))
    grid = zip(partition.get("prompts", ()), partition.get("prompt_sources", ()), strict=True)
    for place, source in grid:
        yield RecordedPrompt(*_place(*place), int(source), role="grid")


def _place(row: Any, col: Any) -> tuple[float, float]:
    place = float(row), float(col)
    if not all(map(math.isfinite, place)):
        raise ValueError(f"a prompt lies at {place}")
    return place


def _known(number: float | None) -> float:
    return math.nan if number is None else float(number)
