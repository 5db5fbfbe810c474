"""What a click says of a picture whose patches were cut in pieces: the source that holds it.

A partition takes one grouping of the pieces. A click leaves open which: every grouping keeps its
probability, and a patch belongs to the clicked one's source as often as the two lie in one group.
On held-out composites that answers better than the decoder, and than any single grouping
(docs/lab-notes.md, "Clicks from patches").

Pieces that cross the edge of a source cannot be mended by grouping them. So clicks of other sources
count against a region, and where a click contradicts what the groupings say, the patches around it
that look like it follow the click: regression by a Gaussian process whose mean is what the
groupings say (Rasmussen and Williams 2006, section 2.7). A click that only confirms changes
nothing. Without that, corrections lead nowhere (docs/lab-notes.md, "Clicks that correct").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import logit, softmax

from napari_safire.partitioning.grouping import Groupings
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.types import FloatImage

Places = Sequence[tuple[int, int]]
"""Rows and columns of clicked patches."""

_CERTAIN = 1e-6  # probabilities nearer to 0 or 1 have the same logit
_STRAY = 0.01  # how often a click of another source lies in a group that holds none of it
# Settled on development pictures, all flat around what was taken (docs/lab-notes.md).
_REACH = 12.0  # patches: standard deviation of a click's weight over its distance
_ALIKE = 0.3  # temperature of the cosine of two patches' features
_SURE = 4.0  # logit that a click has at its own patch
_MODEST = 4.0  # largest logit of the groupings, so that a few clicks can turn it
_NOISE = 0.1  # of clicks, against a variance of 1: two in one patch may contradict each other


def answered(
    pieces: Pieces,
    groupings: Groupings,
    features: FloatImage,
    patches: Places,
    others: Places = (),
) -> FloatImage:
    """How probable it is that each patch is of the source that was clicked.

    Parameters
    ----------
    pieces : Pieces
    groupings : Groupings
        Of these pieces. That there are several sources is taken for granted: somebody clicks.
    features : (N, C) float32 array
        Directions of the patches' features, of length 1, row by row.
    patches : sequence of (int, int)
        Row and column of the clicked patches, at least one, all of one source.
    others : sequence of (int, int)
        Of patches that were clicked for other sources.

    Returns
    -------
    (h, w) float32 array
        Logits.
    """
    said = together(pieces, groupings, patches, others)
    return _following(said, features, patches, others) if others or len(patches) > 1 else said


def together(
    pieces: Pieces, groupings: Groupings, patches: Places, others: Places = ()
) -> FloatImage:
    """The same by the groupings alone, which know whole pieces only.

    Parameters
    ----------
    pieces, groupings, patches, others
        As in `answered`. Groupings that put clicks of one source apart, or join them with those of
        another, lose their weight.

    Returns
    -------
    (h, w) float32 array
        Logits.
    """
    shares = softmax(pieces.logits, axis=0)  # (P, h, w)
    # (P, k); no piece is quite impossible, so that some grouping always holds all clicks
    clicked = np.maximum(_at(shares, patches), np.finfo(np.float64).tiny)
    strange = _at(shares, others)
    memberships = [(groupings.labels == g).astype(np.float64) for g in range(len(shares))]  # (M, P)
    # How probable each grouping is, and that all clicks lie in one group of it; as logarithms,
    # because the product over hundreds of clicks is below the least number there is.
    with np.errstate(divide="ignore"):  # an empty group holds no click: minus infinity
        holds = np.log(groupings.probabilities) + np.stack(
            [
                np.log(members @ clicked).sum(axis=1)
                + np.log(np.maximum(1 - members @ strange, _STRAY)).sum(axis=1)
                for members in memberships
            ]
        )
    held = softmax(holds)  # (G, M)
    weights = np.einsum("gm,gmp->p", held, np.stack(memberships))  # of a patch in each piece
    probable = np.tensordot(weights, shares, axes=1)
    return np.asarray(logit(np.clip(probable, _CERTAIN, 1 - _CERTAIN)), dtype=np.float32)


def _at(shares: FloatImage, places: Places) -> npt.NDArray[np.float64]:
    """(P, k): what the pieces have of some patches."""
    found = [shares[:, row, col] for row, col in places]
    return np.array(found, dtype=np.float64).reshape(-1, len(shares)).T


def _following(
    said: FloatImage, features: FloatImage, patches: Places, others: Places
) -> FloatImage:
    """Let what the groupings say follow the clicks that contradict it."""
    mean = said.clip(-_MODEST, _MODEST)
    wanted = np.array([_SURE] * len(patches) + [-_SURE] * len(others))
    rows, cols = np.array([*patches, *others]).T
    lacking = (np.abs(wanted) - np.sign(wanted) * mean[rows, cols]).clip(0) * np.sign(wanted)
    if not lacking.any():
        return said
    at = rows * said.shape[1] + cols
    near = [
        np.exp(-((np.arange(side)[:, None] - where) ** 2) / (2 * _REACH**2))
        for side, where in zip(said.shape, (rows, cols), strict=True)
    ]
    alike = np.exp((features @ features[at].T - 1) / _ALIKE)
    weights = (near[0][:, None] * near[1]).reshape(len(features), -1) * alike  # (N, k)
    among = weights[at] + _NOISE * np.eye(len(at))
    moved = weights @ np.linalg.solve(among, lacking)
    return np.asarray(mean + moved.reshape(mean.shape), dtype=np.float32)


def expected_accuracy(logits: FloatImage) -> float:
    """Share of the patches that lie on the right side of the region's edge, by its own logits."""
    return float((1 / (1 + np.exp(-np.abs(logits)))).mean())
