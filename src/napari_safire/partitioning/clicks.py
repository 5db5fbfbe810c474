"""What a click says of a picture whose patches were cut in pieces: the source that holds it.

A partition takes one grouping of the pieces. A click leaves open which: every grouping keeps its
probability, and a patch belongs to the clicked one's source as often as the two lie in one group.
On held-out composites that answers better than the decoder, and than any single grouping
(docs/lab-notes.md, "Clicks from patches").
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logit, softmax

from napari_safire.partitioning.grouping import Groupings
from napari_safire.partitioning.n_sources import Pieces
from napari_safire.types import FloatImage

_CERTAIN = 1e-6  # probabilities nearer to 0 or 1 have the same logit


def together(
    pieces: Pieces, groupings: Groupings, patches: Sequence[tuple[int, int]]
) -> FloatImage:
    """How probable it is that each patch is of one source with the clicked ones.

    Parameters
    ----------
    pieces : Pieces
    groupings : Groupings
        Of these pieces. That there are several sources is taken for granted: somebody clicks.
    patches : sequence of (int, int)
        Row and column of the clicked patches, at least one. They are of one source: groupings that
        put them apart lose their weight.

    Returns
    -------
    (h, w) float32 array
        Logits.
    """
    shares = softmax(pieces.logits, axis=0)  # (P, h, w)
    # (P, k); no piece is quite impossible, so that some grouping always holds all clicks
    clicked = np.stack([shares[:, row, col] for row, col in patches], axis=1).astype(np.float64)
    clicked = np.maximum(clicked, np.finfo(np.float64).tiny)
    memberships = [(groupings.labels == g).astype(np.float64) for g in range(len(shares))]  # (M, P)
    # How probable each grouping is, and that all clicks lie in one group of it; as logarithms,
    # because the product over hundreds of clicks is below the least number there is.
    with np.errstate(divide="ignore"):  # an empty group holds no click: minus infinity
        holds = np.log(groupings.probabilities) + np.stack(
            [np.log(members @ clicked).sum(axis=1) for members in memberships]
        )
    held = softmax(holds)  # (G, M)
    weights = np.einsum("gm,gmp->p", held, np.stack(memberships))  # of a patch in each piece
    probable = np.tensordot(weights, shares, axes=1)
    return np.asarray(logit(np.clip(probable, _CERTAIN, 1 - _CERTAIN)), dtype=np.float32)


def expected_accuracy(logits: FloatImage) -> float:
    """Share of the patches that lie on the right side of the region's edge, by its own logits."""
    return float((1 / (1 + np.exp(-np.abs(logits)))).mean())
