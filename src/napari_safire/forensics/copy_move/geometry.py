"""Which matches move together: groups that one affine map explains.

Every match and its neighbours propose a similarity; the one that most matches agree with is refined
to an affine map, its matches go, and the next is looked for. Nothing is drawn by chance, so that
the same picture always gives the same groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_safire.forensics.copy_move.keypoints import Matches

_MOST_GROUPS = 8
_LEAST_MATCHES = 3
_LEAST_FOR_AFFINE = 8  # with fewer a similarity is fitted
_TOLERANCE = 3.0  # pixels
_NEIGHBOURS = 4
_MOST_PROPOSALS = 4000
_MOST_COMPARED = 5_000_000  # matches of all proposals: a page of text has thousands
_MOST_ZOOM = 2.5
_MOST_OFF = 0.5  # of a match's own turn and size against the map's
_LEAST_SPREAD = 4.0  # pixels, standard deviation of places: along a line they fix a similarity,
# across it also an affine map
_REFINEMENTS = 3

Affine = npt.NDArray[np.float64]
"""(2, 3): ``end = affine[:, :2] @ start + affine[:, 2]``, row and column."""


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """Matches that one affine map explains.

    Parameters
    ----------
    affine : (2, 3) float array
        From starts to ends.
    starts, ends : (N, 2) float array
        Row and column.
    """

    affine: Affine
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def zoom(self) -> float:
        """Length in the end of one pixel in the start."""
        return float(np.sqrt(abs(np.linalg.det(self.affine[:, :2]))))

    @property
    def turn(self) -> float:
        """Degrees, anticlockwise as seen on screen, -180 to 180."""
        linear = self.affine[:, :2]
        across, along = linear[0, 1] - linear[1, 0], linear[0, 0] + linear[1, 1]
        return float(-np.degrees(np.arctan2(across, along)))

    def inverse(self) -> Affine:
        """Affine map from ends to starts."""
        linear = np.linalg.inv(self.affine[:, :2])
        return np.column_stack([linear, -linear @ self.affine[:, 2]])


def moved(affine: Affine, places: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Apply an affine map to (N, 2) places."""
    return np.asarray(places @ affine[:, :2].T + affine[:, 2])


def find_moves(matches: Matches) -> list[Move]:
    """Group matches by the affine map that they follow.

    Parameters
    ----------
    matches : Matches

    Returns
    -------
    list of Move
        Those with most matches first, 8 at most, of 3 matches at least.
    """
    starts = np.concatenate([matches.starts, matches.ends])  # each pair goes both ways
    ends = np.concatenate([matches.ends, matches.starts])
    own = matches.ratios * np.exp(-1j * matches.turns)  # what each match says by itself
    own = np.concatenate([own, 1 / own])
    tolerance = _TOLERANCE
    moves: list[Move] = []
    while len(starts) >= _LEAST_MATCHES and len(moves) < _MOST_GROUPS:
        affine = _best(starts, ends, own, tolerance)
        if affine is None:
            break
        agree = _agreeing(affine, starts, ends, own, tolerance)
        distinct = _distinct(starts[agree])
        if len(distinct) < _LEAST_MATCHES:
            break
        back = Move(affine, starts[agree], ends[agree]).inverse()
        gone = agree | (np.linalg.norm(moved(back, starts) - ends, axis=1) < tolerance)
        if _spread(starts[agree])[0] >= _LEAST_SPREAD:
            moves.append(Move(affine, starts[agree][distinct], ends[agree][distinct]))
        starts, ends, own = starts[~gone], ends[~gone], own[~gone]
    return sorted(moves, key=lambda move: -len(move))


def _agreeing(
    affine: Affine,
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    own: npt.NDArray[np.complex128],
    tolerance: float,
) -> npt.NDArray[np.bool_]:
    """Matches that a map sends to their end, and whose own turn and size are the map's."""
    (a, b), (c, d) = affine[:, :2]
    turn = ((a + d) + 1j * (c - b)) / 2
    near = np.linalg.norm(moved(affine, starts) - ends, axis=1) < tolerance
    return near & (np.abs(own / turn - 1) < _MOST_OFF)


def _best(
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    own: npt.NDArray[np.complex128],
    tolerance: float,
) -> Affine | None:
    """Affine map that most matches agree with."""
    turns, shifts = _proposals(starts, ends, own)
    if not len(turns):
        return None
    at, to = starts[:, 0] + 1j * starts[:, 1], ends[:, 0] + 1j * ends[:, 1]
    counts = np.zeros(len(turns), int)
    for begin in range(0, len(turns), 256):
        part = slice(begin, begin + 256)
        off = turns[part, None] * at + shifts[part, None] - to
        same = np.abs(own - turns[part, None]) < _MOST_OFF * np.abs(turns[part, None])
        counts[part] = ((np.abs(off) < 1.5 * tolerance) & same).sum(axis=1)
    turn, shift = turns[counts.argmax()], shifts[counts.argmax()]
    return _refined(_similarity(turn, shift), starts, ends, own, tolerance)


def _similarity(turn: complex, shift: complex) -> Affine:
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def _proposals(
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    own: npt.NDArray[np.complex128],
) -> tuple[npt.NDArray[np.complex128], npt.NDArray[np.complex128]]:
    """Similarities ``turn * start + shift`` of matches and their neighbours, as complex numbers."""
    at, to = starts[:, 0] + 1j * starts[:, 1], ends[:, 0] + 1j * ends[:, 1]
    most = min(_MOST_PROPOSALS, _MOST_COMPARED // len(at))
    stride = max(1, len(at) * _NEIGHBOURS // most)
    chosen = np.arange(0, len(at), stride)
    distances = np.abs(at[chosen, None] - at)
    distances[distances < 4.0] = np.inf  # too near to tell a turn
    near = np.argsort(distances, axis=1, kind="stable")[:, :_NEIGHBOURS]
    first = np.repeat(chosen, near.shape[1])
    second = near.ravel()
    usable = np.isfinite(np.take_along_axis(distances, near, axis=1)).ravel()
    first, second = first[usable], second[usable]
    turns = (to[second] - to[first]) / (at[second] - at[first])
    first, turns = np.concatenate([first, chosen]), np.concatenate([turns, own[chosen]])
    zoom = np.abs(turns)
    plausible = (zoom < _MOST_ZOOM) & (zoom > 1 / _MOST_ZOOM)
    plausible &= np.abs(own[first] - turns) < _MOST_OFF * zoom
    turns, first = turns[plausible], first[plausible]
    return turns, to[first] - turns * at[first]


def _refined(
    affine: Affine,
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
    own: npt.NDArray[np.complex128],
    tolerance: float,
) -> Affine:
    """Fit a map to the matches that agree, a few times: affine if there are enough of them."""
    for _ in range(_REFINEMENTS):
        agree = _agreeing(affine, starts, ends, own, tolerance)
        along, across = _spread(starts[agree])
        if agree.sum() < _LEAST_MATCHES or along < _LEAST_SPREAD:
            return affine
        if agree.sum() < _LEAST_FOR_AFFINE or across < _LEAST_SPREAD:
            at, to = (places[agree] @ np.array([1, 1j]) for places in (starts, ends))
            away, reached = at - at.mean(), to - to.mean()
            turn = complex((np.conj(away) @ reached) / (np.abs(away) ** 2).sum())
            fitted = _similarity(turn, complex(to.mean() - turn * at.mean()))
        else:
            design = np.column_stack([starts[agree], np.ones(agree.sum())])
            fitted = np.linalg.lstsq(design, ends[agree], rcond=None)[0].T
        zoom = np.sqrt(abs(np.linalg.det(fitted[:, :2])))
        if not 1 / _MOST_ZOOM < zoom < _MOST_ZOOM:
            return affine
        affine = fitted
    return affine


def _spread(places: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Standard deviations along the line that fits places best, and across it."""
    if len(places) < 2:
        return 0.0, 0.0
    sizes = np.linalg.svd(places - places.mean(axis=0), compute_uv=False) / np.sqrt(len(places))
    return float(sizes[0]), float(sizes[-1])


def _distinct(places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Index of one of the keypoints that share a place (two orientations, two scales)."""
    _, first = np.unique(np.rint(places), axis=0, return_index=True)
    return np.sort(first)
