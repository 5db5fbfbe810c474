"""Hidden control pictures: some of known truth among the others, and how annotators do on them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_safire.annotation.annotation import Labels
from napari_safire.errors import DatasetError
from napari_safire.metrics import ari_of_counts, boundary_f, confusion_matrix, miou_of_counts
from napari_safire.project.team.agreement import TOLERANCE, means_with_intervals
from napari_safire.project.team.alignment import checked_works
from napari_safire.project.team.assignment import lot

if TYPE_CHECKING:
    from napari_safire.evaluation.summary import Mean

MOST_SHARE = 0.5
PER_GROUP = 10


def with_controls(
    pictures: Sequence[str],
    controls: Sequence[str],
    share: float,
    *,
    annotator: str,
    seed: int,
    known: Iterable[str] = (),
) -> tuple[str, ...]:
    """Mix control pictures among those that an annotator is given.

    Nothing tells them apart: every place is equally likely, and which ones are drawn and in which
    order is another lot for each annotator. It is drawn when pictures are given away; pictures that
    come later bring controls of their own, and none moves.

    Parameters
    ----------
    pictures : sequence of str
        Ids, in the order in which they are to be worked on.
    controls : sequence of str
        Ids of pictures of known truth.
    share : float
        Of controls among all that comes out, from 0 to `MOST_SHARE`. Rounded up or down by lot, so
        that the share is met in the long run; fewer where the controls run out.
    annotator : str
    seed : int
        Of the project; who knows it can tell controls by drawing again.
    known : iterable of str
        What the annotator has had before, controls or not: nobody gets a picture twice.

    Returns
    -------
    tuple of str
        All pictures in their order, with controls between them.

    Raises
    ------
    DatasetError
        The share is out of range.
    """
    if not 0 <= share <= MOST_SHARE:
        raise DatasetError(
            f"A share of {share} control pictures is out of range: give 0 to {MOST_SHARE}."
        )
    had = {*known, *pictures}
    left = [control for control in dict.fromkeys(controls) if control not in had]
    drawn = sorted(left, key=lambda control: lot(seed, "control", annotator, control))
    if not drawn or not pictures:
        return tuple(pictures)
    # The lot goes by the first picture, so that two calls draw different places.
    generator = np.random.default_rng(
        list(lot(seed, "places", annotator, pictures[0], str(len(pictures))))
    )
    # Parts of a picture become a whole one by lot: else pictures given away one by one had none.
    drawn = drawn[: int(share * len(pictures) / (1 - share) + generator.random())]
    n_all = len(pictures) + len(drawn)
    places = set(generator.choice(n_all, len(drawn), replace=False).tolist())
    hidden, open_ = iter(drawn), iter(pictures)
    return tuple(next(hidden) if place in places else next(open_) for place in range(n_all))


@dataclass(frozen=True, slots=True)
class ControlScore:
    """How an annotator did on one control picture.

    Parameters
    ----------
    annotator, picture : str
    at : str
        When the work was done, as ISO 8601 in UTC.
    p_miou : float
        Mean IoU of the true sources under the best matching; pixels without a source are missed.
    p_ari : float
        Adjusted Rand index; pixels without a source are a group of their own.
    boundary_f : float
        At 2 px.
    floor : float
        ``p_miou`` of work that calls everything one source.
    """

    annotator: str
    picture: str
    at: str
    p_miou: float
    p_ari: float
    boundary_f: float
    floor: float

    def scores(self) -> dict[str, float]:
        """Return the scores by name."""
        return {
            "p_miou": self.p_miou,
            "p_ari": self.p_ari,
            "boundary_f": self.boundary_f,
            "floor": self.floor,
        }


def score_control(
    truth: Labels, labels: Labels, *, annotator: str, picture: str, at: str
) -> ControlScore:
    """Score work on a control picture.

    Parameters
    ----------
    truth : (H, W) uint8 array
        Known sources; 0 where the truth is not known, which counts nowhere.
    labels : (H, W) uint8 array
        The annotator's; 0 is no source.
    annotator, picture, at : str
        As in `ControlScore`.

    Returns
    -------
    ControlScore

    Raises
    ------
    DatasetError
        They are of different sizes, or the truth knows no pixel.
    """
    known, own = checked_works((truth, labels))
    counts = confusion_matrix(known, own)[1:]
    sizes = counts.sum(axis=1)
    if not sizes.sum():
        raise DatasetError(
            f"The known truth of control picture {picture} holds no source: take it from the "
            "controls, or annotate it."
        )
    return ControlScore(
        annotator,
        picture,
        at,
        p_miou=miou_of_counts(counts, unassigned=0),
        p_ari=ari_of_counts(counts),
        boundary_f=boundary_f(known, own, tolerance=TOLERANCE, where=known > 0),
        floor=float(sizes.max() / sizes.sum() / np.count_nonzero(sizes)),
    )


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Scores of one annotator on some control pictures, one after the other.

    Parameters
    ----------
    annotator : str
    begin, end : str
        When the first and the last of them were done.
    means : dict of str to Mean
        By the names of `ControlScore.scores`, with 95 % intervals over the pictures.
    """

    annotator: str
    begin: str
    end: str
    means: dict[str, Mean]

    @property
    def n(self) -> int:
        """Number of control pictures."""
        return self.means["p_miou"].n


def scores_over_time(
    scores: Iterable[ControlScore], *, per_group: int = PER_GROUP, seed: int = 0
) -> tuple[ScoreRow, ...]:
    """Make a table of how annotators did, from then to now.

    Parameters
    ----------
    scores : iterable of ControlScore
        In any order.
    per_group : int
        Control pictures a row; the last row of an annotator may have fewer.
    seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of ScoreRow
        By annotator, then by time.

    Raises
    ------
    DatasetError
        A time is no ISO 8601, or a row would hold no picture.
    """
    if per_group < 1:
        raise DatasetError(f"A row of {per_group} control pictures says nothing: give 1 or more.")
    by_annotator: dict[str, list[ControlScore]] = {}
    for score in scores:
        by_annotator.setdefault(score.annotator, []).append(score)
    rows: list[ScoreRow] = []
    for annotator, theirs in sorted(by_annotator.items()):
        theirs.sort(key=lambda score: (_moment(score.at), score.picture))
        for begin in range(0, len(theirs), per_group):
            group = theirs[begin : begin + per_group]
            means = means_with_intervals([score.scores() for score in group], seed=seed)
            rows.append(ScoreRow(annotator, group[0].at, group[-1].at, means))
    return tuple(rows)


def _moment(at: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(at)
    except ValueError as error:
        raise DatasetError(
            f"The time {at!r} is not written as 2026-11-29T15:00:00Z: correct it."
        ) from error
    # Times are in UTC, whether they say so or not.
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
