"""What a model's file says beside its weights: read once, when the model is chosen.

The keys of the file are older than the names used here; this module alone knows both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, TypeVar

from napari_safire.engine.confidence import ConfidenceCurve
from napari_safire.errors import CheckpointError
from napari_safire.forgery import NETWORK, SCORED_VIEWS, Calibration
from napari_safire.partitioning.combination import CombinationRule, Term
from napari_safire.partitioning.grouping import GroupingRule
from napari_safire.partitioning.n_sources import ScoreWeights

_LARGEST = 1e9  # of any number that is stored with a model; squares and sums of it stay finite
_MOST = 1_000  # numbers in a row
_LEAST_SCORE = 4.0  # of patches, where it was never settled
_DISTANCE = 0.3  # of prompts, likewise
_INVERSE_TEMPERATURES = (1e-3, 1e3)  # beyond, all confidences are alike
_UNITS = {"cells": "patches", "most confident prompt": "prompts"}  # by what the file calls them

RULE_KEYS = (
    "calibration", "combination", "confidence_calibration", "cut_sharpness", "evidence", "kinship",
    "representative", "source_distance", "source_evidence",
)  # fmt: skip
"""Keys of a model's metadata that `read_rules` reads."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PatchRules:
    """How pictures are divided by their patches.

    Parameters
    ----------
    grouping : GroupingRule
    weights : ScoreWeights
        Of the multi-source score.
    inverse_temperature : float
        Of the softmax over sources, above 0: it scales the logits of a cut, so that their softmax
        says how often a patch's source is right.
    least_score : float
        There is one source where the multi-source score is below it.
    """

    grouping: GroupingRule
    weights: ScoreWeights = field(default_factory=ScoreWeights)
    inverse_temperature: float = 1.0
    least_score: float = _LEAST_SCORE


@dataclass(frozen=True, slots=True)
class ModelRules:
    """How a model divides pictures, and what its numbers are worth.

    Parameters
    ----------
    patches : PatchRules, optional
        None: by a grid of prompts, as published.
    source_distance : float
        Of prompts: the cosine distance at which groups of them are two sources.
    calibration : Calibration, optional
        Of verdicts.
    confidence : ConfidenceCurve, optional
        Of what the decoder says of its masks.
    combination : CombinationRule, optional
        Of the network's verdict with other evidence; None: the network alone.
    """

    patches: PatchRules | None = None
    source_distance: float = _DISTANCE
    calibration: Calibration | None = None
    confidence: ConfidenceCurve | None = None
    combination: CombinationRule | None = None

    @property
    def threshold(self) -> float:
        """With which method "auto" finds the number of sources."""
        return self.source_distance if self.patches is None else self.patches.least_score

    def with_threshold(self, threshold: float) -> ModelRules:
        """Return the same rules with another threshold."""
        if self.patches is None:
            return replace(self, source_distance=threshold)
        return replace(self, patches=replace(self.patches, least_score=threshold))

    def as_metadata(self) -> dict[str, Any]:
        """What a model's file says of these rules: `read_rules` makes them of it again."""
        patches = self.patches
        if patches is None:
            stored: dict[str, Any] = {
                "representative": "most confident prompt",
                "source_distance": self.source_distance,
            }
        else:
            stored = {
                "representative": "cells",
                "evidence": asdict(patches.weights),
                "kinship": asdict(patches.grouping),
                "source_evidence": patches.least_score,
                "cut_sharpness": patches.inverse_temperature,
            }
        fitted = {"calibration": self.calibration, "confidence_calibration": self.confidence}
        stored |= {key: _known(one) for key, one in fitted.items() if one is not None}
        if self.combination is not None:
            terms = {name: asdict(term) for name, term in self.combination.terms.items()}
            stored["combination"] = {
                "terms": terms, "calibration": _known(self.combination.calibration)
            }  # fmt: skip
        return stored


def read_rules(metadata: Mapping[str, Any]) -> ModelRules:
    """Read the rules of a model.

    Parameters
    ----------
    metadata : mapping
        Of its file, which anybody may have written; other keys are passed over.

    Returns
    -------
    ModelRules
        As published, and without calibration, where the file says nothing.

    Raises
    ------
    CheckpointError
        Something cannot be used: one sentence, with the key and its value.
    """

    def read(key: str, take: Callable[[object], T], default: T) -> T:
        if key not in metadata:
            return default
        stored = metadata[key]
        try:
            return take(stored)
        except (TypeError, ValueError) as error:
            raise CheckpointError(
                f"This model's {key} is {_shown(stored)}, which cannot be used "
                f"({str(error).rstrip('.')}): get the file again, calibrate the model again, or "
                "update napari-safire."
            ) from error

    grouping = read("kinship", lambda stored: _made(GroupingRule, stored), None)
    weights = read("evidence", lambda stored: _made(ScoreWeights, stored), ScoreWeights())
    least_score = read("source_evidence", _number, _LEAST_SCORE)
    inverse = read("cut_sharpness", _within(*_INVERSE_TEMPERATURES), 1.0)
    patches = None
    if read("representative", _units, "prompts") == "patches":
        if grouping is None:
            raise CheckpointError(
                "This model divides pictures by cells, but has no kinship, which says which of "
                "them belong together: get the file again, or calibrate the model again."
            )
        patches = PatchRules(grouping, weights, inverse, least_score)
    return ModelRules(
        patches,
        read("source_distance", _within(0, 2), _DISTANCE),  # of cosines
        read("calibration", _calibration, None),
        read("confidence_calibration", lambda stored: _made(ConfidenceCurve, stored), None),
        read("combination", _combination, None),
    )


def with_rules(metadata: Mapping[str, Any], rules: ModelRules) -> dict[str, Any]:
    """Return a model's metadata with these rules instead of its own."""
    others = {key: value for key, value in metadata.items() if key not in RULE_KEYS}
    return others | rules.as_metadata()


def _calibration(stored: object) -> Calibration:
    calibration = _made(Calibration, stored)
    if calibration.slope < 0:
        raise ValueError("with this slope a higher score would mean a lower probability of forgery")
    return calibration


def _combination(stored: object) -> CombinationRule:
    if not isinstance(stored, dict) or not isinstance(stored.get("terms"), dict):
        raise ValueError("it must be terms and their calibration")
    terms = {_text(name, "a name"): _made(Term, term) for name, term in stored["terms"].items()}
    unknown = [name for name in terms if name not in (NETWORK, *SCORED_VIEWS)]
    if unknown:
        raise ValueError(
            f"it counts the view {_shown(unknown[0])}, which this version does not know or gives "
            "no score"
        )
    return CombinationRule(MappingProxyType(terms), _calibration(stored.get("calibration")))


def _known(fitted: Calibration | ConfidenceCurve) -> dict[str, Any]:
    return {name: value for name, value in asdict(fitted).items() if value is not None}


def _units(stored: object) -> str:
    if not isinstance(stored, str) or stored not in _UNITS:
        raise ValueError(f"known are {' and '.join(_UNITS)}")
    return _UNITS[stored]


def _made(kind: type[T], stored: object) -> T:
    """Make a frozen value of the names and values of its fields."""
    if not isinstance(stored, dict):
        raise ValueError("it must be names with values")
    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    others = sorted(str(name) for name in stored.keys() - known.keys())
    if others:
        raise ValueError(f"{others[0]!r:.40} is unknown: known are {', '.join(known)}")
    values = {}
    for name, one in known.items():
        if name in stored:
            values[name] = _TAKE[str(one.type)](stored[name], name)
        elif one.default is MISSING:
            raise ValueError(f"{name} is missing")
    return kind(**values)


def _number(stored: object, name: str = "it") -> float:
    plain = isinstance(stored, (int, float)) and not isinstance(stored, bool)
    if not plain or not -_LARGEST <= stored <= _LARGEST:  # type: ignore[operator]
        raise ValueError(f"{name} is {_shown(stored)}, but must be a number up to {_LARGEST:g}")
    return float(stored)  # type: ignore[arg-type]


def _within(least: float, most: float) -> Callable[[object], float]:
    def take(stored: object) -> float:
        number = _number(stored)
        if not least <= number <= most:
            raise ValueError(f"it must lie between {least:g} and {most:g}")
        return number

    return take


def _numbers(stored: object, name: str) -> tuple[float, ...]:
    if not isinstance(stored, (list, tuple)) or len(stored) > _MOST:
        raise ValueError(f"{name} is {_shown(stored)}, but must be a list of numbers")
    return tuple(_number(value, name) for value in stored)


def _count(stored: object, name: str) -> int:
    number = _number(stored, name)
    if not number.is_integer():
        raise ValueError(f"{name} is {_shown(stored)}, but must be a whole number")
    return int(number)


def _text(stored: object, name: str) -> str:
    if not isinstance(stored, str):
        raise ValueError(f"{name} is {_shown(stored)}, but must be text")
    return stored


def _shown(stored: object) -> str:
    if isinstance(stored, float) and not math.isfinite(stored):
        return str(stored)
    return f"{stored!r:.60}"


_TAKE: dict[str, Callable[[object, str], Any]] = {  # by the annotation of a field
    "float": _number,
    "float | None": lambda stored, name: None if stored is None else _number(stored, name),
    "int | None": lambda stored, name: None if stored is None else _count(stored, name),
    "str": _text,
    "tuple[float, ...]": _numbers,
}
