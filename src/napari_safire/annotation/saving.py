"""Labels as files: masks in SafireMS encoding, alone or with a JSON record.

Labels that the plugin made count their sources from 1, because napari shows label 0 as nothing.
They say so in ``metadata["napari_safire"]["numbering"]``: source k is then written as k - 1, and
pixels without a source get a value of their own (`napari_safire.images.masks.UNASSIGNED`). Other
labels are written as they are. What a number means never depends on which others there are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Stroke
from napari_safire.annotation.codec import encode_annotation
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.annotation.recorded import (
    ANNOTATED,
    AUTOSAVED_AS,
    PART,
    PIXELS,
    RECORD,
    prompt_facts,
)
from napari_safire.atomic import rename, staging_folder
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.images.files import file_sha256
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import MAX_SOURCE, STEP, UNASSIGNED, encode_sources
from napari_safire.images.reading import write_image_atomic
from napari_safire.images.records.head import FROM_ONE, IMAGE_FACTS, SOURCES_FORMAT
from napari_safire.images.records.paths import recorded_path
from napari_safire.images.records.replacing import ANYTHING, Expected, rename_together
from napari_safire.images.records.results import read_source_mask
from napari_safire.images.records.writing import plain, record_text, versions
from napari_safire.images.truth import read_labels
from napari_safire.text import printable

_MOST_PLANES = 10_000
_MOST_LABEL = 65_535
_PATHS = ("image_path", "mask", "record", "images", "masks")  # in the metadata of layers


@dataclass(frozen=True, slots=True)
class Saved:
    """What was written.

    Parameters
    ----------
    files : tuple of str
        The record first, if there is one.
    record_sha256 : str or None
    in_mask : bool
        False: there are more sources than a mask holds, and the labels are in TIFFs.
    """

    files: tuple[str, ...]
    record_sha256: str | None
    in_mask: bool


def save_labels(
    target: Path, data: Any, attributes: Mapping[str, Any], expected: Expected = ANYTHING
) -> Saved:
    """Write labels, over a record that is known.

    Parameters
    ----------
    target : Path
        ``<name>.png`` for the mask alone; ``<name>.json`` for the record, with the mask beside it
        as ``<name>_sources.png``. Of a stack every plane has its own mask: ``<name>_0000.png``,
        ``<name>_0001.png`` and so on. Beside a record, more sources than a mask holds are written
        as they are to ``<name>_labels.tif``.
    data : (H, W) or (T, H, W) int or bool array
        Labels, also lazy ones. Of a multiscale layer the list of its levels, of which the first
        is written.
    attributes : mapping
        The layer's attributes; "metadata", "name" and "multiscale" are used. What was made of each
        plane lies in the metadata, see `napari_safire.annotation.recorded`.
    expected : str, None or ANYTHING
        SHA-256 of the record that lies at the target; None: none does.

    Returns
    -------
    Saved

    Raises
    ------
    SafireError
        For labels that the files cannot hold (negative ones, no integers; more than six sources
        for a mask alone), arrays of other dimensions, and other suffixes. If a file that nobody
        named would be lost: a mask beside the record, or of a plane, only ever replaces a mask. If
        the folder cannot be written. A `RecordChanged` where something else lies at the target.
        (Never a ValueError, which napari takes for "no such writer".)
    """
    suffix = target.suffix.lower()
    if suffix not in (".png", ".json"):
        raise SafireError(
            f"{printable(target)} does not end in .png or .json: only these are written."
        )
    planes = data[0] if attributes.get("multiscale") else data
    about = dict(attributes.get("metadata", {}).get("napari_safire", {}))
    n_planes = _count_planes(planes.shape, planes.dtype)
    code = _code(planes, about, alone=suffix == ".png")
    names, files = _plane_names(target, code, planes, n_planes)
    digest = _write_all(target, planes, attributes, code, names, expected)
    if suffix == ".json":
        _remove_other_kind(target, names, planes.shape)
    return Saved(
        tuple(str(file) for file in ([target] if suffix == ".json" else []) + files),
        digest,
        code.ending == "sources",
    )


@dataclass(frozen=True, slots=True)
class _Code:
    """How labels are written.

    Parameters
    ----------
    first : {0, 1}
        Label of the first source.
    unassigned : int or None
        Label of pixels without a source; None where none says that there are such.
    ending : {"sources", "labels"}
        Masks in SafireMS encoding, or labels as they are.
    """

    first: Literal[0, 1]
    unassigned: int | None
    ending: Literal["sources", "labels"]

    @property
    def suffix(self) -> str:
        return ".png" if self.ending == "sources" else ".tif"

    def encode(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.ending == "labels":
            kind = np.uint8 if labels.max(initial=0) <= np.iinfo(np.uint8).max else np.uint16
            return labels.astype(kind)
        if self.unassigned is None:
            return encode_sources(labels)
        without = labels == self.unassigned
        sources = np.where(without, 0, labels.astype(np.int64) - self.first)
        grey = encode_sources(sources)
        grey[without] = UNASSIGNED
        return grey

    def grey(self, label: int) -> int:
        return UNASSIGNED if label == self.unassigned else STEP * (label - self.first)


def _write_all(
    target: Path,
    planes: Any,
    attributes: Mapping[str, Any],
    code: _Code,
    names: Sequence[str],
    expected: Expected,
) -> str | None:
    """Write masks, and the record where one is asked for; gives its hash."""
    about = dict(attributes.get("metadata", {}).get("napari_safire", {}))
    recorded = target.suffix.lower() == ".json"
    try:
        with staging_folder(target.parent) as staging:
            made = about.get(ANNOTATED, {}) if recorded else None
            counts, annotated = _write_planes(staging, names, planes, code, made)
            if not recorded:
                for name in names:
                    rename(staging / name, target.with_name(name))
                return None
            record = _record(target, attributes, about, code, counts, annotated, planes.shape)
            record["files"] = {code.ending: names[0] if planes.ndim == 2 else names}
            record["files_sha256"] = {name: file_sha256(staging / name) for name in names}
            (staging / target.name).write_text(record_text(record), encoding="utf-8", newline="\n")
            return rename_together(staging, target, names, expected)
    except OSError as error:
        raise SafireError(
            f"{printable(target)} cannot be written: {error.strerror or error}."
        ) from error


def _write_planes(
    folder: Path,
    names: Sequence[str],
    planes: Any,
    code: _Code,
    made: Mapping[tuple[int, ...], AnnotatedPlane] | None,
) -> tuple[npt.NDArray[np.int64], list[AnnotatedPlane | None]]:
    """Write the mask of each plane, which is read once.

    Returns
    -------
    counts : (N,) int array
        Pixels of all planes with each label.
    annotated : list of AnnotatedPlane or None
        What was made of each plane; empty if `made` is None.
    """
    counts: npt.NDArray[np.int64] = np.zeros(1, np.int64)
    annotated: list[AnnotatedPlane | None] = []
    for plane, name in enumerate(names):
        index = () if planes.ndim == 2 else (plane,)
        labels = np.asarray(planes if planes.ndim == 2 else planes[plane])
        counts = _added(counts, np.bincount(labels.ravel().astype(np.int64)))
        write_image_atomic(folder / name, code.encode(labels))
        if made is not None:
            annotated.append(_annotated(made.get(index), labels, code))
    return counts, annotated


def _plane_names(
    target: Path, code: _Code, planes: Any, n_planes: int
) -> tuple[list[str], list[Path]]:
    """Names of the masks and their paths; raise where others' files lie there."""
    stem = target.stem if target.suffix.lower() == ".png" else f"{target.stem}_{code.ending}"
    if planes.ndim == 2:
        names = [f"{stem}{code.suffix}"]
    else:
        names = [f"{stem}_{plane:04d}{code.suffix}" for plane in range(n_planes)]
    files = [target.with_name(name) for name in names]
    for file in files:
        if file != target:
            _refuse_other_than_mask(file)
    if not target.parent.is_dir():
        raise SafireError(f"The folder {printable(target.parent)} does not exist: create it first.")
    if target.is_dir():
        raise SafireError(f"{printable(target)} is a folder: give the name of a file.")
    return names, files


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


def _code(planes: Any, about: Mapping[str, Any], *, alone: bool) -> _Code:
    """Find the code of all planes; what it makes of a label depends on none of them."""
    first: Literal[0, 1] = 1 if about.get("numbering") == FROM_ONE else 0
    unassigned = 0 if first else about.get("unassigned")
    low = int(np.asarray(planes.min()))
    high = int(np.asarray(planes.max()))
    if low < 0:
        raise SafireError(f"There are negative labels (down to {low}): sources count from 0 or 1.")
    if unassigned is not None and unassigned == high:  # known by its value, not by its place
        high = int(np.asarray(np.where(planes == unassigned, 0, planes).max()))
    if high - first <= MAX_SOURCE:
        return _Code(first, unassigned, "sources")
    holds = (
        f"The labels reach up to {high}, but a SafireMS mask holds {MAX_SOURCE + 1} sources "
        f"(labels up to {MAX_SOURCE + first})"
    )
    if alone:
        raise SafireError(
            f"{holds}: merge sources or number them anew; or save as .json, with the labels as "
            "they are in a TIFF beside it."
        )
    if high > _MOST_LABEL:
        raise SafireError(f"{holds}, and a TIFF labels up to {_MOST_LABEL}: number them anew.")
    return _Code(first, unassigned, "labels")


def _refuse_other_than_mask(path: Path) -> None:
    if not path.exists():
        return
    try:
        if path.suffix == ".png":
            read_source_mask(path)
        else:
            read_labels(ListEntry(path, path), "binary")
    except (DatasetError, ImageReadError) as error:
        raise SafireError(
            f"{printable(path)} would be overwritten, and it is no mask: choose another name."
        ) from error


def _remove_other_kind(target: Path, names: Sequence[str], shape: tuple[int, ...]) -> None:
    """Remove the mask of a time when there were fewer sources: the record names it no more."""
    endings = ("sources.png", "labels.tif")
    others = {f"{target.stem}_{ending}" for ending in endings} - set(names)
    if len(shape) == 2 and len(others) == 1:
        (other,) = (target.with_name(name) for name in others)
        try:
            _refuse_other_than_mask(other)
            other.unlink(missing_ok=True)
        except (SafireError, OSError):
            return  # nobody believes it; see images/records


def _added(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def _annotated(
    known: AnnotatedPlane | None, labels: npt.NDArray[Any], code: _Code
) -> AnnotatedPlane | None:
    """What was made of a plane whose layer shows these labels; None where numbers are too large."""
    from_one = labels.astype(np.int64)
    if not code.first:
        without = labels == code.unassigned
        from_one = np.where(without, 0, from_one + 1)
    if int(from_one.max()) > MOST_SOURCES:
        return None
    shown = from_one.astype(np.uint8)
    if known is None or known.annotation.settled.shape != shown.shape:
        settled = PackedLabels.pack(shown)
        return AnnotatedPlane(replace(Annotation.empty(settled.shape), settled=settled))
    for with_preview in (True, False):
        if np.array_equal(known.annotation.shown(with_preview=with_preview), shown):
            return known
    stroke = Stroke.between(known.annotation.shown(), shown)
    assert stroke is not None  # something differs
    return replace(known, annotation=known.annotation.painted(stroke))


def _record(
    target: Path,
    attributes: Mapping[str, Any],
    about: Mapping[str, Any],
    code: _Code,
    counts: npt.NDArray[np.int64],
    annotated: Sequence[AnnotatedPlane | None],
    shape: tuple[int, ...],
) -> dict[str, Any]:
    # These have places of their own, or are said again when the picture is read.
    hidden = {
        ANNOTATED, AUTOSAVED_AS, PART, PIXELS, RECORD, "reading_warnings", *IMAGE_FACTS.values(),
    }  # fmt: skip
    facts = {
        key: _named_from(target.parent, value) if key in _PATHS else value
        for key, value in about.items()
    }
    known = {key: plain(value) for key, value in facts.items() if _fits_json(value)}
    layer = {key: value for key, value in known.items() if key not in hidden}
    if about.get(ANNOTATED):
        layer["prompts"] = [
            fact
            for plane, made in enumerate(annotated)
            if made is not None
            for fact in prompt_facts(made, () if len(shape) == 2 else (plane,))
        ]
    encoded = [
        None if made is None else encode_annotation(made.annotation, made.predictions)
        for made in annotated
    ]
    unassigned = code.unassigned
    n_unassigned = 0 if unassigned is None or unassigned >= len(counts) else counts[unassigned]
    values: dict[str, Any] = plain(
        {
            "format": SOURCES_FORMAT,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "image": {
                **{name: known.get(fact) for name, fact in IMAGE_FACTS.items()},
                "shape": list(shape),
            },
            "layer_name": attributes.get("name"),
            "first_label": code.first,
            "sources": _sources(counts, code),
            "unassigned": {
                "value": UNASSIGNED if code.ending == "sources" else code.unassigned,
                "pixels": n_unassigned,
            },
            "verdict": _verdict(annotated),
            "layer": layer,
            "left_out": sorted(str(key) for key in about if key not in known and key not in hidden),
            "annotation": None if None in encoded else (encoded[0] if len(shape) == 2 else encoded),
            "versions": versions(),
        }
    )
    return values


def _sources(counts: npt.NDArray[np.int64], code: _Code) -> list[dict[str, Any]]:
    """What a record says of each source: its label, its grey value in a mask, its size."""
    total = int(counts.sum())
    return [
        {
            "source": label - code.first,
            "label": label,
            **({"grey_value": code.grey(label)} if code.ending == "sources" else {}),
            "pixels": counts[label],
            "area_share": counts[label] / total,
        }
        for label in np.flatnonzero(counts).tolist()
        if label != code.unassigned
    ]


def _named_from(folder: Path, paths: Any) -> Any:
    """One path or several, as they stand in a record."""
    if isinstance(paths, (list, tuple)):
        return [_named_from(folder, path) for path in paths]
    return recorded_path(paths, folder) if isinstance(paths, (str, os.PathLike)) else paths


def _verdict(annotated: Sequence[AnnotatedPlane | None]) -> dict[str, Any] | None:
    """The verdict of a single plane, for people; the annotation holds it as well."""
    forgery = annotated[0].predictions.forgery if len(annotated) == 1 and annotated[0] else None
    if forgery is None:
        return None
    return {"verdict": forgery.verdict, "score": forgery.score, "reason": forgery.reason}


def _fits_json(value: Any) -> bool:
    try:
        json.dumps(plain(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
