"""Annotations as JSON values: the one form in which they are kept, whoever keeps them.

The autosave, queues and the records of the writer all hold what `encode_annotation` makes, so
that work comes back the same from wherever it was kept. What is read may come from anybody: nothing
is believed that does not fit the picture, and no text unpacks to more than the picture's pixels.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import (
    MOST_SOURCES,
    Annotation,
    Origin,
    Preview,
    SourcePrompt,
)
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError
from napari_safire.forgery import Calibration, ForgeryMap, Verdict
from napari_safire.images.records.prompts import prompt_record, prompt_values
from napari_safire.text import printable
from napari_safire.types import FloatImage, PointPrompt

T = TypeVar("T")

ANNOTATION_FORMAT = "napari-safire annotation 1"
_MOST_PROMPTS = 100_000
_LEVELS = 255  # of a forgery map: finer ones cannot be seen, and take twenty times the room
_LEVEL = 1  # of zlib: see packed_labels

_Shape = tuple[int, int]
_Seeds = tuple[tuple[int, PointPrompt], ...]


class _Damaged(Exception):
    """What is wrong with a record, as a part of a sentence."""


def encode_annotation(
    annotation: Annotation, predictions: Predictions | None = None
) -> dict[str, Any]:
    """Make JSON values of an annotation and what a model said beside it.

    Parameters
    ----------
    annotation : Annotation
    predictions : Predictions, optional

    Returns
    -------
    dict
        `decode_annotation` makes the same of it, but for the forgery map, which is kept in 256
        levels. Numbers that are not finite are left out: JSON has none, and they say nothing.
    """
    predictions = predictions or Predictions()
    preview, basis, partition = annotation.preview, predictions.basis, predictions.partition
    return {
        "format": ANNOTATION_FORMAT,
        "shape": list(annotation.settled.shape),
        "settled": _packed(annotation.settled),
        "protected": _packed(annotation.protected),
        "prompts": _prompt_records(annotation.prompts),
        "seeds": _seeds_record(annotation.seeds),
        "preview": None
        if preview is None
        else {
            "labels": _packed(preview.labels),
            "origin": preview.origin,
            "answers": _prompt_records(preview.answers),
            "exact": preview.exact,
            "seeds": _seeds_record(preview.seeds),
        },
        "basis": None if basis is None else basis.as_record(),
        "confidences": [
            [float(point.row), float(point.col), float(confidence)]
            for point, confidence in predictions.confidences.items()
            if math.isfinite(confidence)
        ],
        "partition": None if partition is None else _partition_record(partition),
        "forgery": encode_forgery(predictions.forgery),
    }


def decode_annotation(record: Any, shape: tuple[int, int]) -> AnnotatedPlane:
    """Make an annotation of what `encode_annotation` gave.

    Parameters
    ----------
    record : dict
        JSON values, from anywhere.
    shape : (int, int)
        Rows and columns of the picture that it is to belong to.

    Returns
    -------
    AnnotatedPlane

    Raises
    ------
    DatasetError
        Another format or shape, or anything that is damaged: a sentence that says what.
    """
    try:
        return _annotated(record, shape)
    except _Damaged as damage:
        raise DatasetError(f"The annotation is damaged: {damage}.") from damage


def _annotated(record: Any, shape: _Shape) -> AnnotatedPlane:
    given = _mapping(record, "the whole")
    found = given.get("format")
    if found != ANNOTATION_FORMAT:
        raise DatasetError(
            f"The annotation has the format {printable(repr(found))[:80]}, not "
            f"{ANNOTATION_FORMAT!r}: another version of napari-safire may read it."
        )
    its_shape = _each(given, "shape", lambda n: _whole(n, "shape", 1, 2**31))
    if its_shape != tuple(shape):
        size = " x ".join(map(str, its_shape))
        raise DatasetError(
            f"The annotation is of {size} pixels, the picture has {shape[0]} x {shape[1]}: it "
            "belongs to another picture."
        )
    preview, partition = given.get("preview"), given.get("partition")
    annotation = Annotation(
        settled=_labels(given.get("settled"), "settled", shape),
        protected=_mask(given.get("protected"), "protected", shape),
        prompts=_prompts(given, "prompts", shape),
        preview=None if preview is None else _preview(_mapping(preview, "preview"), shape),
        seeds=_seeds(given, "seeds", shape),
    )
    basis = given.get("basis")
    predictions = Predictions(
        basis=None if basis is None else _basis(basis),
        confidences=MappingProxyType(dict(_confidences(given, shape))),
        partition=None if partition is None else _partition(_mapping(partition, "partition")),
        forgery=_forgery(given.get("forgery"), shape),
    )
    return AnnotatedPlane(annotation, predictions)


# -------------------------------------------------------------------- labels


def _packed(labels: PackedLabels) -> str:
    """As they are packed already: bytes for labels, bits for masks, one for all; compressed."""
    if labels.stored_dtype not in (np.dtype(np.uint8).str, np.dtype(np.bool_).str):
        labels = PackedLabels.pack(labels.unpack().astype(np.uint8))
    return base64.b64encode(labels.data).decode()


def _unpacked(text: Any, name: str, most: int) -> npt.NDArray[np.uint8]:
    """Decompress a text to at most some bytes, whatever it holds."""
    if not isinstance(text, str):
        raise _Damaged(f"{name} is no text")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(base64.b64decode(text, validate=True), most + 1)
    except (ValueError, zlib.error) as error:
        raise _Damaged(f"{name} cannot be unpacked ({error})") from error
    if len(raw) > most:
        raise _Damaged(f"{name} holds more than the picture's pixels")
    if not unpacker.eof:
        raise _Damaged(f"{name} is cut off")
    return np.frombuffer(raw, np.uint8)


def _labels(text: Any, name: str, shape: _Shape) -> PackedLabels:
    size = shape[0] * shape[1]
    raw = _unpacked(text, name, size)
    if len(raw) == 1:
        return PackedLabels.uniform(shape, raw[0])
    if len(raw) != size:
        raise _Damaged(f"{name} holds {len(raw)} pixels of {size}")
    return PackedLabels.pack(raw.reshape(shape))


def _mask(text: Any, name: str, shape: _Shape) -> PackedLabels:
    size = shape[0] * shape[1]
    length = (size + 7) // 8
    raw = _unpacked(text, name, length)
    if len(raw) == 1 and raw[0] in (0, 255):
        return PackedLabels.uniform(shape, np.bool_(raw[0]))
    if len(raw) != length:
        raise _Damaged(f"{name} holds {len(raw)} bytes of {length}")
    return PackedLabels.pack(np.unpackbits(raw, count=size).view(np.bool_).reshape(shape))


def _map_text(values: FloatImage) -> str:
    """Differences along the rows: a smooth map of 24 megapixels takes one megabyte, not ten."""
    levels = np.rint(np.clip(values, 0, 1) * _LEVELS).astype(np.uint8)
    levels[:, 1:] -= levels[:, :-1].copy()
    return base64.b64encode(zlib.compress(levels.data, _LEVEL)).decode()


def _map(text: Any, shape: _Shape) -> FloatImage:
    size = shape[0] * shape[1]
    raw = _unpacked(text, "the forgery map", size)
    if len(raw) != size:
        raise _Damaged(f"the forgery map holds {len(raw)} pixels of {size}")
    levels = np.add.accumulate(raw.reshape(shape), axis=1, dtype=np.uint8)
    return levels.astype(np.float32) / np.float32(_LEVELS)


# -------------------------------------------------------------------- prompts


def _prompt_records(prompts: Iterable[SourcePrompt]) -> list[dict[str, Any]]:
    return [prompt_record(p.point, p.source, p.exclude, p.live) for p in prompts]


def _prompts(given: Mapping[str, Any], name: str, shape: _Shape) -> tuple[SourcePrompt, ...]:
    def prompt(record: Any) -> SourcePrompt:
        try:
            row, col, source, exclude, live = prompt_values(record)
        except (KeyError, TypeError, ValueError) as error:
            raise _Damaged(f"an entry of {name} is no prompt") from error
        return SourcePrompt(
            _point(row, col, name, shape),
            _whole(source, f"a source in {name}", 1, MOST_SOURCES),
            _flag(exclude, name),
            _flag(live, name),
        )

    return _each(given, name, prompt)


def _seeds_record(seeds: _Seeds) -> list[list[Any]]:
    return [[int(number), float(point.row), float(point.col)] for number, point in seeds]


def _seeds(given: Mapping[str, Any], name: str, shape: _Shape) -> _Seeds:
    def seed(record: Any) -> tuple[int, PointPrompt]:
        number, row, col = _row(record, name, 3)
        source = _whole(number, f"a source in {name}", 1, MOST_SOURCES)
        return source, _point(row, col, name, shape)

    return _each(given, name, seed)


def _confidences(given: Mapping[str, Any], shape: _Shape) -> tuple[tuple[PointPrompt, float], ...]:
    def pair(record: Any) -> tuple[PointPrompt, float]:
        row, col, confidence = _row(record, "confidences", 3)
        return _point(row, col, "confidences", shape), _number(confidence, "confidences")

    return _each(given, "confidences", pair)


def _preview(given: Mapping[str, Any], shape: _Shape) -> Preview:
    origin: Origin = _one_of(given.get("origin"), "origin", get_args(Origin))
    return Preview(
        labels=_labels(given.get("labels"), "labels", shape),
        origin=origin,
        answers=_prompts(given, "answers", shape),
        exact=_flag(given.get("exact"), "exact"),
        seeds=_seeds(given, "seeds", shape),
    )


# -------------------------------------------------------------------- what the model said


def _partition_record(partition: PartitionPredictions) -> dict[str, Any]:
    return {
        "method": partition.method,
        "numbers": [int(number) for number in partition.numbers],
        "number_probabilities": [
            [int(number), float(share)]
            for number, share in partition.number_probabilities.items()
            if math.isfinite(share)
        ],
        "n_dropped": int(partition.n_dropped),
    }


def _partition(given: Mapping[str, Any]) -> PartitionPredictions:
    def probability(record: Any) -> tuple[int, float]:
        number, share = _row(record, "number_probabilities", 2)
        whole = _whole(number, "number_probabilities", 1, MOST_SOURCES)
        return whole, _share(share, "number_probabilities")

    numbers = _each(given, "numbers", lambda n: _whole(n, "numbers", 1, MOST_SOURCES))
    if len(set(numbers)) != len(numbers):
        raise _Damaged("two sources of the partition have one number")
    return PartitionPredictions(
        method=_words(given.get("method"), "method"),
        numbers=numbers,
        number_probabilities=MappingProxyType(
            dict(_each(given, "number_probabilities", probability))
        ),
        n_dropped=_whole(given.get("n_dropped"), "n_dropped", 0, 2**31),
    )


def encode_forgery(forgery: ForgeryMap | None) -> dict[str, Any] | None:
    """Make the value of "forgery" in what `encode_annotation` gives."""
    if forgery is None or not math.isfinite(forgery.score):
        return None
    if not np.isfinite(forgery.heatmap).all():
        return None
    calibration = forgery.calibration
    return {
        "score": float(forgery.score),
        "verdict": forgery.verdict,
        "reason": forgery.reason,
        "calibration": None if calibration is None else asdict(calibration),
        "map": _map_text(forgery.heatmap),
    }


def _forgery(record: Any, shape: _Shape) -> ForgeryMap | None:
    if record is None:
        return None
    given = _mapping(record, "forgery")
    calibration = given.get("calibration")
    verdict: Verdict = _one_of(given.get("verdict"), "verdict", get_args(Verdict))
    return ForgeryMap(
        heatmap=_map(given.get("map"), shape),
        score=_share(given.get("score"), "score"),
        verdict=verdict,
        reason=_words(given.get("reason"), "reason"),
        calibration=None if calibration is None else _calibration(calibration),
    )


def _calibration(record: Any) -> Calibration:
    given = _mapping(record, "calibration")

    def rate(name: str) -> float | None:
        return None if given.get(name) is None else _share(given[name], name)

    try:
        return Calibration(
            slope=_number(given.get("slope"), "slope"),
            intercept=_number(given.get("intercept"), "intercept"),
            forged_above=_number(given.get("forged_above"), "forged_above"),
            clean_below=_number(given.get("clean_below"), "clean_below"),
            false_alarm_rate=_share(given.get("false_alarm_rate"), "false_alarm_rate"),
            basis=_words(given.get("basis"), "basis"),
            miss_rate=rate("miss_rate"),
            highest_false_alarm_rate=rate("highest_false_alarm_rate"),
        )
    except ValueError as error:
        raise _Damaged(str(error).rstrip(".")) from error


def _basis(record: Any) -> RunBasis:
    given = _mapping(record, "basis")
    _words(given.get("checkpoint_sha256"), "checkpoint_sha256")
    _whole(given.get("algorithm"), "algorithm", 0, 2**31)
    _mapping(given.get("settings"), "settings")
    basis = RunBasis.from_record(record)
    if basis is None:
        raise _Damaged("basis is none")
    return basis


# -------------------------------------------------------------------- values


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Damaged(f"{name} is no table of values")
    return value


def _each(given: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    values = given.get(name)
    if not isinstance(values, (list, tuple)):
        raise _Damaged(f"{name} is no list")
    if len(values) > _MOST_PROMPTS:
        raise _Damaged(f"{name} has {len(values)} entries, more than {_MOST_PROMPTS}")
    return tuple(read(value) for value in values)


def _row(value: Any, name: str, length: int) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) != length:
        raise _Damaged(f"an entry of {name} has not {length} values")
    return list(value)


def _number(value: Any, name: str) -> float:
    # True is a number for Python.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Damaged(f"{name} is no number")
    try:
        number = float(value)
    except OverflowError as error:
        raise _Damaged(f"{name} is too large") from error
    if not math.isfinite(number):
        raise _Damaged(f"{name} is not finite")
    return number


def _share(value: Any, name: str) -> float:
    number = _number(value, name)
    if not 0 <= number <= 1:
        raise _Damaged(f"{name} is {number}, not between 0 and 1")
    return number


def _whole(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _Damaged(f"{name} is no whole number from {low} to {high}")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise _Damaged(f"{name} is neither true nor false")
    return value


def _words(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _Damaged(f"{name} is no text")
    return value


def _one_of(value: Any, name: str, known: tuple[Any, ...]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise _Damaged(f"{name} is {printable(repr(value))[:80]}, none of {', '.join(known)}")
    return value


def _point(row: Any, col: Any, name: str, shape: _Shape) -> PointPrompt:
    point = PointPrompt(_number(row, name), _number(col, name))
    if not point.lies_in(shape):
        raise _Damaged(f"a place in {name} lies outside the picture")
    return point
