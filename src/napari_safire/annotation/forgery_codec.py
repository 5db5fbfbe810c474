"""Forgery maps as JSON values, a part of `napari_safire.annotation.codec`'s."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import numpy as np

from napari_safire.annotation import checked_values as checked
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.forgery import Calibration, Contribution, ForgeryMap, Verdict
from napari_safire.types import FloatImage

T = TypeVar("T")

_LEVELS = 255  # of a map: finer ones cannot be seen, and take twenty times the room
_LEVEL = 1  # of zlib: see packed_labels
_MOST_KINDS = 64  # of evidence


def encode_forgery(forgery: ForgeryMap | None) -> dict[str, Any] | None:
    """Make JSON values of a forgery map; None where its numbers are not finite.

    `decode_forgery` makes the same of it, but for the heatmap, which is kept in 256 levels.
    """
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
        "obstacle": forgery.obstacle,
        "contributions": {
            name: [float(one.log_odds), one.words]
            for name, one in forgery.contributions.items()
            if math.isfinite(one.log_odds)
        },
        "regions": {
            name: checked.packed(PackedLabels.pack(region))
            for name, region in forgery.regions.items()
        },
        "map": _map_text(forgery.heatmap),
    }


def decode_forgery(record: Any, shape: checked.Shape) -> ForgeryMap | None:
    """Read what `encode_forgery` made.

    Raises
    ------
    Damaged
        It does not fit the picture, or is no forgery map.
    """
    if record is None:
        return None
    given = checked.mapping(record, "forgery")
    calibration = given.get("calibration")
    verdict: Verdict = checked.one_of(given.get("verdict"), "verdict", get_args(Verdict))
    return ForgeryMap(
        heatmap=_map(given.get("map"), shape),
        score=checked.share(given.get("score"), "score"),
        verdict=verdict,
        reason=checked.words(given.get("reason"), "reason"),
        calibration=None if calibration is None else _calibration(calibration),
        obstacle=checked.words(given.get("obstacle", ""), "obstacle"),
        contributions=_named(given, "contributions", _contribution),
        regions=_named(
            given, "regions", lambda text: checked.mask(text, "a region", shape).unpack()
        ),
    )


def _named(given: Mapping[str, Any], name: str, read: Callable[[Any], T]) -> Mapping[str, T]:
    """By kind of evidence; nothing where the network alone was asked, or nothing else was kept."""
    values = checked.mapping(given.get(name, {}), name)
    if len(values) > _MOST_KINDS:
        raise checked.Damaged(f"{name} has {len(values)} entries, more than {_MOST_KINDS}")
    return MappingProxyType(
        {checked.words(kind, name): read(value) for kind, value in values.items()}
    )


def _contribution(value: Any) -> Contribution:
    log_odds, words = checked.row(value, "contributions", 2)
    return Contribution(
        checked.number(log_odds, "contributions"), checked.words(words, "contributions")
    )


def _calibration(record: Any) -> Calibration:
    given = checked.mapping(record, "calibration")

    def rate(name: str) -> float | None:
        return None if given.get(name) is None else checked.share(given[name], name)

    def count(name: str) -> int | None:
        return None if given.get(name) is None else checked.whole(given[name], name, 1, 2**31)

    try:
        return Calibration(
            slope=checked.number(given.get("slope"), "slope"),
            intercept=checked.number(given.get("intercept"), "intercept"),
            forged_above=checked.number(given.get("forged_above"), "forged_above"),
            clean_below=checked.number(given.get("clean_below"), "clean_below"),
            false_alarm_rate=checked.share(given.get("false_alarm_rate"), "false_alarm_rate"),
            basis=checked.words(given.get("basis"), "basis"),
            miss_rate=rate("miss_rate"),
            highest_false_alarm_rate=rate("highest_false_alarm_rate"),
            n_authentic=count("n_authentic"),
            n_forged=count("n_forged"),
        )
    except ValueError as error:
        raise checked.Damaged(str(error).rstrip(".")) from error


def _map_text(values: FloatImage) -> str:
    """Differences along the rows: a smooth map of 24 megapixels takes one megabyte, not ten."""
    levels = np.rint(np.clip(values, 0, 1) * _LEVELS).astype(np.uint8)
    levels[:, 1:] -= levels[:, :-1].copy()
    return base64.b64encode(zlib.compress(levels.data, _LEVEL)).decode()


def _map(text: Any, shape: checked.Shape) -> FloatImage:
    size = shape[0] * shape[1]
    raw = checked.unpacked(text, "the forgery map", size)
    if len(raw) != size:
        raise checked.Damaged(f"the forgery map holds {len(raw)} pixels of {size}")
    levels = np.add.accumulate(raw.reshape(shape), axis=1, dtype=np.uint8)
    return levels.astype(np.float32) / np.float32(_LEVELS)
