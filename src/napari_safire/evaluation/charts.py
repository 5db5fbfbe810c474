"""Small charts as SVG, without a plotting library; readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.evaluation.study import SetScores
from napari_safire.evaluation.summary import Mean, floor_of, summarise
from napari_safire.evaluation.template import render
from napari_safire.metrics import Reliability
from napari_safire.palette import source_colour
from napari_safire.synthesis.degradations import KINDS, NONE, Degradation

_WIDTH, _HEIGHT = 320, 216  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 28, 50  # margins around its axes
_COLUMNS = 3
_ASIDE = 4  # pixels between the points of two models
_N_BINS = 20
Roc = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Points with intervals, in pixels of the panel.

    Parameters
    ----------
    colour : str
    points : tuple of (x, y, y of the lower, y of the upper end)
    dashed : bool
    marked : bool
        Whether each point has a dot and its interval.
    """

    colour: str
    points: tuple[tuple[float, float, float, float], ...]
    dashed: bool = False
    marked: bool = True


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram, in pixels of the panel."""

    colour: str
    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...] = ()
    bars: tuple[Bar, ...] = ()
    left: float = 0
    top: float = 0


def robustness_chart(scores: Sequence[SetScores], score: str) -> str:
    """One panel for each kind of degradation: mean score over strength, a curve a model.

    Parameters
    ----------
    scores : sequence of SetScores
        Of one set, one for each model.
    score : str
        In [0, 1].

    Returns
    -------
    str
        An SVG document.
    """
    degradations = list(dict.fromkeys(r.degradation for r in scores[0].results))
    means = {
        (of_model.model, degradation): summarise(
            (result.scores for result in of_model.good(degradation)),
            seed=of_model.set.settings.seed,
        )
        for of_model in scores
        for degradation in degradations
    }
    panels = []
    for name, kind in KINDS.items():
        shown = _with_none([d for d in degradations if d.kind == name])
        if len(shown) < 2:
            continue
        places = np.linspace(_LEFT + 14, _WIDTH - _RIGHT - 14, len(shown)).tolist()
        curves = [
            _curve(
                _colour(k),
                # beside each other, or equal models would hide each other
                [x + _ASIDE * (k - (len(scores) - 1) / 2) for x in places],
                [means[of_model.model, d].get(score) for d in shown],
            )
            for k, of_model in enumerate(scores)
        ]
        floors = [floor_of(score, means[scores[0].model, d]) for d in shown]
        curves.append(_floor_curve(places, floors))
        ticks = tuple(Tick(x, _strength(d)) for x, d in zip(places, shown, strict=True))
        panels.append(
            Panel(kind.title, kind.unit, f"mean {score}", ticks, _unit_ticks(), tuple(curves))
        )
    legend = [(_colour(k), of_model.model, False) for k, of_model in enumerate(scores)]
    return _chart(panels, [*legend, (_GREY, "an answer that says nothing", True)])


def histogram_chart(groups: Mapping[str, Sequence[float]], title: str, x_label: str) -> str:
    """Count values of [0, 1] in bins of 0.05, the groups side by side.

    Parameters
    ----------
    groups : mapping of str to sequence of float
        Values by name of the group; ``nan`` is left out.
    title, x_label : str

    Returns
    -------
    str
        An SVG document.
    """
    edges = np.linspace(0, 1, _N_BINS + 1)
    counts = {
        name: np.histogram([v for v in values if not math.isnan(v)], edges)[0]
        for name, values in groups.items()
    }
    highest = max((int(count.max()) for count in counts.values()), default=0)
    top = max(1, highest)
    across, up = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    width = across / _N_BINS / max(1, len(groups))
    bars = []
    for k, (name, count) in enumerate(counts.items()):
        for number, n in enumerate(count.tolist()):
            if n:
                x = _LEFT + across * number / _N_BINS + k * width
                height = up * n / top
                text = f"{name}: {n} from {edges[number]:.2f} to {edges[number + 1]:.2f}"
                y = _HEIGHT - _BOTTOM - height
                bars.append(Bar(_colour(k), x + 0.5, y, width - 1, height, text))
    step = max(1, round(top / 4))
    y_ticks = tuple(Tick(_y(n / top), str(n)) for n in range(0, top + 1, step))
    x_ticks = _shares_across()
    panel = Panel(title, x_label, "images", x_ticks, y_ticks, bars=tuple(bars))
    return _chart([panel], [(_colour(k), name, False) for k, name in enumerate(groups)])


def reliability_chart(panels: Mapping[str, tuple[str, str, Reliability]]) -> str:
    """One panel for each kind of prediction: outcomes over predictions, beside the diagonal.

    Parameters
    ----------
    panels : mapping of str to (str, str, Reliability)
        By title: what is predicted, what is observed (the labels of the axes), and both in bins.

    Returns
    -------
    str
        An SVG document.
    """
    across = _WIDTH - _LEFT - _RIGHT
    x_ticks = _shares_across()
    drawn = []
    for title, (x_label, y_label, found) in panels.items():
        points = tuple(
            (_LEFT + across * one.predicted, _y(one.observed), _y(one.observed), _y(one.observed))
            for one in found.bins
        )
        curves = (_diagonal(), Curve(_colour(0), points))
        drawn.append(Panel(title, x_label, y_label, x_ticks, _unit_ticks(), curves))
    legend = [(_colour(0), "measured, in bins of 0.1", False), (_GREY, "what it should be", True)]
    return _chart(drawn, legend)


def roc_chart(panels: Mapping[str, Mapping[str, Roc]]) -> str:
    """Found forgeries over false alarms, for every threshold of a score.

    Parameters
    ----------
    panels : mapping of str to mapping of str to ((N,) float array, (N,) float array)
        By title of the panel and name of the curve, which has one colour in all panels: shares of
        the authentic and of the forged pictures above each threshold.

    Returns
    -------
    str
        An SVG document.
    """
    across = _WIDTH - _LEFT - _RIGHT
    x_label, y_label = "authentic pictures above the threshold", "forgeries above it"
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    x_ticks = _shares_across()
    drawn = []
    for title, found in panels.items():
        curves = [_diagonal()]
        for name, shares in found.items():
            points = tuple(
                (_LEFT + across * alarms, _y(hits), _y(hits), _y(hits))
                for alarms, hits in zip(*(part.tolist() for part in shares), strict=True)
            )
            curves.append(Curve(_colour(names.index(name)), points, marked=False))
        drawn.append(Panel(title, x_label, y_label, x_ticks, _unit_ticks(), tuple(curves)))
    legend = [(_colour(number), name, False) for number, name in enumerate(names)]
    return _chart(drawn, [*legend, (_GREY, "chance", True)])


_GREY = "#888888"


def _shares_across() -> tuple[Tick, ...]:
    across = _WIDTH - _LEFT - _RIGHT
    return tuple(Tick(_LEFT + across * v / 5, f"{v / 5:.1f}") for v in range(6))


def _diagonal() -> Curve:
    across = _WIDTH - _LEFT - _RIGHT
    points = tuple((_LEFT + across * v, _y(v), _y(v), _y(v)) for v in (0.0, 1.0))
    return Curve(_GREY, points, dashed=True)


def _colour(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*source_colour(number))


def _y(value: float) -> float:
    """Height in the panel of a value in [0, 1]."""
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(max(value, 0.0), 1.0)


def _unit_ticks() -> tuple[Tick, ...]:
    return tuple(Tick(_y(v / 5), f"{v / 5:.1f}") for v in range(6))


def _with_none(degradations: list[Degradation]) -> list[Degradation]:
    """Put the undegraded pictures where they belong: first, or between weaker and stronger."""
    neutral = KINDS[degradations[0].kind].neutral if degradations else None
    if neutral is None:
        return [NONE, *degradations]
    return sorted([NONE, *degradations], key=lambda d: neutral if d == NONE else d.strength)


def _strength(degradation: Degradation) -> str:
    return "none" if degradation == NONE else f"{degradation.strength:g}"


def _curve(colour: str, places: Sequence[float], means: Sequence[Mean | None]) -> Curve:
    points = tuple(
        (x, _y(mean.mean), _y(mean.low), _y(mean.high))
        for x, mean in zip(places, means, strict=True)
        if mean is not None
    )
    return Curve(colour, points)


def _floor_curve(places: Sequence[float], floors: Sequence[float]) -> Curve:
    points = tuple(
        (x, _y(floor), _y(floor), _y(floor))
        for x, floor in zip(places, floors, strict=True)
        if not math.isnan(floor)
    )
    return Curve(_GREY, points, dashed=True)


def _chart(panels: Sequence[Panel], legend: Sequence[tuple[str, str, bool]]) -> str:
    columns = max(1, min(_COLUMNS, len(panels)))
    rows = -(-len(panels) // columns)
    placed = [
        Panel(
            p.title, p.x_label, p.y_label, p.x_ticks, p.y_ticks, p.curves, p.bars,
            left=_WIDTH * (number % columns), top=_HEIGHT * (number // columns),
        )
        for number, p in enumerate(panels)
    ]  # fmt: skip
    return render(
        "chart.svg",
        panels=placed,
        width=_WIDTH * columns,
        height=_HEIGHT * rows + 18 * len(legend) + 8,
        panel_width=_WIDTH,
        axes={
            "left": _LEFT,
            "right": _WIDTH - _RIGHT,
            "top": _TOP,
            "bottom": _HEIGHT - _BOTTOM,
        },
        legend=[
            (colour, text, dashed, _HEIGHT * rows + 18 * number + 12)
            for number, (colour, text, dashed) in enumerate(legend)
        ],
    )
