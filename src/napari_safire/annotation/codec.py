"""Annotations as JSON values: the one form in which they are kept, whoever keeps them.

The autosave, queues and the records of the writer all hold what `encode_annotation` makes, so
that work comes back the same from wherever it was kept. What is read may come from anybody: nothing
is believed that does not fit the picture, and no text unpacks to more than the picture's pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import (
    MOST_SOURCES,
    Annotation,
    Origin,
    Preview,
    SourcePrompt,
)
from napari_safire.annotation.forgery_codec import decode_forgery, encode_forgery
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions, Predictions
from napari_safire.basis import RunBasis
from napari_safire.errors import DatasetError
from napari_safire.images.records.prompts import prompt_record, prompt_values
from napari_safire.text import printable
from napari_safire.types import PointPrompt

T = TypeVar("T")

ANNOTATION_FORMAT = "napari-safire annotation 1"

_Seeds = tuple[tuple[int, PointPrompt], ...]


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
        "settled": checked.packed(annotation.settled),
        "protected": checked.packed(annotation.protected),
        "prompts": _prompt_records(annotation.prompts),
        "seeds": _seeds_record(annotation.seeds),
        "preview": None
        if preview is None
        else {
            "labels": checked.packed(preview.labels),
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
    except checked.Damaged as damage:
        raise DatasetError(f"The annotation is damaged: {damage}.") from damage


def _annotated(record: Any, shape: checked.Shape) -> AnnotatedPlane:
    given = checked.mapping(record, "the whole")
    found = given.get("format")
    if found != ANNOTATION_FORMAT:
        raise DatasetError(
            f"The annotation has the format {printable(repr(found))[:80]}, not "
            f"{ANNOTATION_FORMAT!r}: another version of napari-safire may read it."
        )
    its_shape = checked.each(given, "shape", lambda n: checked.whole(n, "shape", 1, 2**31))
    if its_shape != tuple(shape):
        size = " x ".join(map(str, its_shape))
        raise DatasetError(
            f"The annotation is of {size} pixels, the picture has {shape[0]} x {shape[1]}: it "
            "belongs to another picture."
        )
    preview, partition = given.get("preview"), given.get("partition")
    annotation = Annotation(
        settled=checked.labels(given.get("settled"), "settled", shape),
        protected=checked.mask(given.get("protected"), "protected", shape),
        prompts=_prompts(given, "prompts", shape),
        preview=None if preview is None else _preview(checked.mapping(preview, "preview"), shape),
        seeds=_seeds(given, "seeds", shape),
    )
    basis = given.get("basis")
    predictions = Predictions(
        basis=None if basis is None else _basis(basis),
        confidences=MappingProxyType(dict(_confidences(given, shape))),
        partition=None
        if partition is None
        else _partition(checked.mapping(partition, "partition")),
        forgery=decode_forgery(given.get("forgery"), shape),
    )
    return AnnotatedPlane(annotation, predictions)


# -------------------------------------------------------------------- labels


# -------------------------------------------------------------------- prompts


def _prompt_records(prompts: Iterable[SourcePrompt]) -> list[dict[str, Any]]:
    return [prompt_record(p.point, p.source, p.exclude, p.live) for p in prompts]


def _prompts(given: Mapping[str, Any], name: str, shape: checked.Shape) -> tuple[SourcePrompt, ...]:
    def prompt(record: Any) -> SourcePrompt:
        try:
            row, col, source, exclude, live = prompt_values(record)
        except (KeyError, TypeError, ValueError) as error:
            raise checked.Damaged(f"an entry of {name} is no prompt") from error
        return SourcePrompt(
            checked.point(row, col, name, shape),
            checked.whole(source, f"a source in {name}", 1, MOST_SOURCES),
            checked.flag(exclude, name),
            checked.flag(live, name),
        )

    return checked.each(given, name, prompt)


def _seeds_record(seeds: _Seeds) -> list[list[Any]]:
    return [[int(number), float(point.row), float(point.col)] for number, point in seeds]


def _seeds(given: Mapping[str, Any], name: str, shape: checked.Shape) -> _Seeds:
    def seed(record: Any) -> tuple[int, PointPrompt]:
        number, row, col = checked.row(record, name, 3)
        source = checked.whole(number, f"a source in {name}", 1, MOST_SOURCES)
        return source, checked.point(row, col, name, shape)

    return checked.each(given, name, seed)


def _confidences(
    given: Mapping[str, Any], shape: checked.Shape
) -> tuple[tuple[PointPrompt, float], ...]:
    name = "confidences"

    def pair(record: Any) -> tuple[PointPrompt, float]:
        row, col, confidence = checked.row(record, "confidences", 3)
        return checked.point(row, col, "confidences", shape), checked.number(
            confidence, "confidences"
        )

    return checked.each(given, name, pair)


def _preview(given: Mapping[str, Any], shape: checked.Shape) -> Preview:
    origin: Origin = checked.one_of(given.get("origin"), "origin", get_args(Origin))
    return Preview(
        labels=checked.labels(given.get("labels"), "labels", shape),
        origin=origin,
        answers=_prompts(given, "answers", shape),
        exact=checked.flag(given.get("exact"), "exact"),
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


def _partition(record: Any) -> PartitionPredictions:
    given = checked.mapping(record, "partition")

    def probability(record: Any) -> tuple[int, float]:
        number, share = checked.row(record, "number_probabilities", 2)
        whole = checked.whole(number, "number_probabilities", 1, MOST_SOURCES)
        return whole, checked.share(share, "number_probabilities")

    numbers = checked.each(given, "numbers", lambda n: checked.whole(n, "numbers", 1, MOST_SOURCES))
    if len(set(numbers)) != len(numbers):
        raise checked.Damaged("two sources of the partition have one number")
    return PartitionPredictions(
        method=checked.words(given.get("method"), "method"),
        numbers=numbers,
        number_probabilities=MappingProxyType(
            dict(checked.each(given, "number_probabilities", probability))
        ),
        n_dropped=checked.whole(given.get("n_dropped"), "n_dropped", 0, 2**31),
    )


def _basis(record: Any) -> RunBasis:
    given = checked.mapping(record, "basis")
    checked.words(given.get("checkpoint_sha256"), "checkpoint_sha256")
    checked.whole(given.get("algorithm"), "algorithm", 0, 2**31)
    checked.mapping(given.get("settings"), "settings")
    basis = RunBasis.from_record(record)
    if basis is None:
        raise checked.Damaged("basis is none")
    return basis
