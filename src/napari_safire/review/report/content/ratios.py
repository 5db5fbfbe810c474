"""Likelihood ratios in the words of a published scale."""

from __future__ import annotations

from itertools import pairwise

from napari_safire.review.report.blocks import Table, Words
from napari_safire.review.report.content.draft import Draft
from napari_safire.review.scale import LEAST_RATIOS, SUPPORTS, supported_by


def support_words(draft: Draft, ratio: float) -> Words:
    """Say what a likelihood ratio supports, and how strongly.

    Parameters
    ----------
    draft : Draft
    ratio : float
        Above 0, finite.

    Returns
    -------
    tuple of Run
    """
    supported = supported_by(ratio)
    support = draft.texts.term("support", supported.support)
    if supported.proposition is None:
        return draft.words("ratio.neither", support=support)
    return draft.words(f"ratio.{supported.proposition}", support=support)


def ratio_words(draft: Draft, ratio: float) -> Words:
    """Say what a likelihood ratio means, in a sentence."""
    inverse = ratio < 1
    times = draft.number(1 / ratio if inverse else ratio, 2)
    return draft.words(
        "ratio.inverse" if inverse else "ratio.sentence",
        times=times,
        ratio=draft.number(ratio, 2),
        support=support_words(draft, ratio),
    )


def scale_table(draft: Draft) -> Table:
    """Lay out the scale: each word, and the likelihood ratios that it stands for."""
    bounds = [*map(int, LEAST_RATIOS), None]
    rows = []
    for support, (least, end) in zip(SUPPORTS, pairwise(bounds), strict=True):
        key = "ratio.from" if end is None else "ratio.between"
        values = {"least": draft.texts.whole(least or 0)}
        if end is not None:
            values["end"] = draft.texts.whole(end)
        rows.append(((draft.texts.term("support", support),), draft.words(key, **values)))
    return draft.table("scale", (draft.column("support"), draft.column("ratio")), rows)
