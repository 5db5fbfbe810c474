"""An adjudication as JSON values, from which labels and origins are rebuilt exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.annotation import MOST_SOURCES, Stroke
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.errors import DatasetError
from napari_safire.project.team.adjudication import Choice, PaintStep, RegionStep, RestStep, Step
from napari_safire.text import printable

ADJUDICATION_FORMAT = "napari-safire adjudication 1"
_MOST_WORKS = 64
_LONGEST_SIDE = 2**31


@dataclass(frozen=True, slots=True)
class WorkReference:
    """One of the works that an adjudication decides between.

    Parameters
    ----------
    annotator : str
    revision : int
        From 1.
    mask : str
        SHA-256 by which the project knows the labels of that revision.
    """

    annotator: str
    revision: int
    mask: str


@dataclass(frozen=True, slots=True)
class Adjudication:
    """All that an adjudication rests on.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    works : tuple of WorkReference
    steps : tuple of Step
    numbers : tuple of (int, int)
        Numbers that sources have in the labels, where others than the steps say: first those of the
        steps. Empty unless somebody renumbered the sources.
    """

    shape: tuple[int, int]
    works: tuple[WorkReference, ...]
    steps: tuple[Step, ...] = ()
    numbers: tuple[tuple[int, int], ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `decode_adjudication` makes the same."""
        return {
            "format": ADJUDICATION_FORMAT,
            "shape": list(self.shape),
            "works": [
                {"annotator": work.annotator, "revision": work.revision, "mask": work.mask}
                for work in self.works
            ],
            "steps": [_step_record(step) for step in self.steps],
            "numbers": [list(pair) for pair in self.numbers],
        }


def decode_adjudication(record: Any) -> Adjudication:
    """Make an adjudication of JSON values, from anywhere.

    Parameters
    ----------
    record : dict
        As `Adjudication.as_record` gives it.

    Returns
    -------
    Adjudication

    Raises
    ------
    DatasetError
        It has another format, or something is damaged: a sentence that says what.
    """
    try:
        return _adjudication(checked.mapping(record, "the whole"))
    except checked.Damaged as damage:
        raise DatasetError(f"The adjudication is damaged: {damage}.") from damage


def _adjudication(given: Mapping[str, Any]) -> Adjudication:
    found = given.get("format")
    if found != ADJUDICATION_FORMAT:
        raise DatasetError(
            f"The adjudication has the format {printable(repr(found))[:80]}, not "
            f"{ADJUDICATION_FORMAT!r}: another version of napari-safire may read it."
        )
    height, width = (
        checked.whole(n, "shape", 1, _LONGEST_SIDE)
        for n in checked.row(given.get("shape"), "shape", 2)
    )
    works = checked.each(given, "works", _work)
    if not 2 <= len(works) <= _MOST_WORKS:
        raise checked.Damaged(f"it decides between {len(works)} works, not 2 to {_MOST_WORKS}")
    return Adjudication(
        (height, width),
        works,
        checked.each(given, "steps", lambda step: _step(step, (height, width), len(works))),
        checked.each(given, "numbers", _pair),
    )


def _work(record: Any) -> WorkReference:
    given = checked.mapping(record, "a work")
    mask = checked.words(given.get("mask"), "the mask of a work")
    if not re.fullmatch(r"[0-9a-f]{64}", mask):
        raise checked.Damaged("the mask of a work is no SHA-256")
    return WorkReference(
        checked.words(given.get("annotator"), "an annotator"),
        checked.whole(given.get("revision"), "a revision", 1, 2**53),
        mask,
    )


def _step_record(step: Step) -> dict[str, Any]:
    who = {"adjudicator": step.adjudicator, "at": step.at}
    if isinstance(step, RegionStep):
        return {**who, "kind": "region", "region": step.region, "choice": step.choice}
    if isinstance(step, RestStep):
        return {**who, "kind": "rest", "choice": step.choice}
    stroke = step.stroke
    labels = np.where(stroke.mask, stroke.labels, 0).astype(np.uint8)
    return {
        **who,
        "kind": "paint",
        "top": stroke.top,
        "left": stroke.left,
        "shape": list(stroke.mask.shape),
        "mask": checked.packed(PackedLabels.pack(stroke.mask)),
        "labels": checked.packed(PackedLabels.pack(labels)),
    }


def _step(record: Any, shape: tuple[int, int], n_works: int) -> Step:
    given = checked.mapping(record, "a step")
    adjudicator = checked.words(given.get("adjudicator"), "an adjudicator")
    at = checked.words(given.get("at"), "the time of a step")
    kind = checked.one_of(given.get("kind"), "the kind of a step", ("region", "rest", "paint"))
    if kind == "region":
        region = checked.words(given.get("region"), "a region")
        return RegionStep(adjudicator, at, region, _choice(given.get("choice"), n_works))
    if kind == "rest":
        choice = checked.whole(given.get("choice"), "a choice", 0, n_works - 1)
        return RestStep(adjudicator, at, choice)
    return PaintStep(adjudicator, at, _stroke(given, shape))


def _stroke(given: Mapping[str, Any], shape: tuple[int, int]) -> Stroke:
    height, width = shape
    top = checked.whole(given.get("top"), "the top of a stroke", 0, height - 1)
    left = checked.whole(given.get("left"), "the left of a stroke", 0, width - 1)
    rows, cols = checked.row(given.get("shape"), "the shape of a stroke", 2)
    box = (
        checked.whole(rows, "the rows of a stroke", 1, height - top),
        checked.whole(cols, "the columns of a stroke", 1, width - left),
    )
    return Stroke(
        top,
        left,
        checked.mask(given.get("mask"), "the mask of a stroke", box).unpack(),
        checked.labels(given.get("labels"), "the labels of a stroke", box).unpack(),
    )


def _choice(value: Any, n_works: int) -> Choice:
    return "neither" if value == "neither" else checked.whole(value, "a choice", 0, n_works - 1)


def _pair(record: Any) -> tuple[int, int]:
    before, after = (
        checked.whole(n, "a number of a source", 1, MOST_SOURCES)
        for n in checked.row(record, "numbers", 2)
    )
    return before, after
