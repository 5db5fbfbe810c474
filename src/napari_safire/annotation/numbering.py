"""Which numbers sources have: of a new partition, after edits, and in plots beside the labels.

A partition into K sources is numbered 1 .. K, whatever was shown before: numbers say how many
sources there are, choose their colours, and a mask holds only six. Which source gets which of
these numbers goes by overlap with what is shown, so that colours stay where they can. Only
protected pixels keep numbers beyond: no prediction may rename what a user has settled by hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_safire.annotation.annotation import MOST_SOURCES, Annotation, Labels, Mask
from napari_safire.partitioning.matching import match_sources
from napari_safire.types import SourcePartition

_SAME = 0.5  # share of their union from which a source and a protected one are the same


def numbers_like(
    labels: Labels, n_sources: int, shown: Labels, protected: Mask | None = None
) -> tuple[int, ...]:
    """Number the sources of a partition.

    Without protected pixels the numbers are 1 .. K, matched one to one with what is shown so that
    as many pixels as possible keep theirs. A number that protected pixels hold goes to the source
    that shares more than half of their union with all that is shown in that number, and to no
    other; sources without such a partner take the smallest numbers that are free.

    Parameters
    ----------
    labels : (H, W) uint8 array
        Sources 0 .. K-1, largest first.
    n_sources : int
        K.
    shown : (H, W) uint8 array
        Labels from 1; 0 is no source.
    protected : (H, W) bool array, optional

    Returns
    -------
    tuple of int
        For each source its number, from 1; all differ.

    Raises
    ------
    ValueError
        There are more than labels can hold.
    """
    held: list[int] = [] if protected is None else np.unique(shown[protected]).tolist()
    numbers = _same_as_held(labels, n_sources, shown, [number for number in held if number])
    left = [source for source in range(n_sources) if source not in numbers]
    taken = {*held, *numbers.values()}
    free = [n for n in range(1, n_sources + len(taken) + 1) if n not in taken][: len(left)]
    if free and free[-1] > MOST_SOURCES:
        raise ValueError(
            f"There are {n_sources} sources beside {len(held)} protected numbers, more than the "
            f"{MOST_SOURCES} that labels can hold: lift the protection, or ask for fewer."
        )
    # Places of the free numbers among what is shown, and of the sources that are left, from 1.
    place = np.zeros(MOST_SOURCES + n_sources + 1, np.int64)
    place[free] = np.arange(1, len(free) + 1)
    order = np.full(n_sources, len(left))  # those that have a number count as one more, below
    order[left] = np.arange(len(left))
    among = order[labels]
    known = place[shown] * (among < len(left))  # which shares no pixel with any free number
    matched = match_sources(known, among, len(left) + 1)[: len(left)].tolist()
    others = iter(n for k, n in enumerate(free, start=1) if k not in matched)
    for source, k in zip(left, matched, strict=True):
        numbers[source] = free[k - 1] if k else next(others)
    return tuple(numbers[source] for source in range(n_sources))


def _same_as_held(labels: Labels, n_sources: int, shown: Labels, held: list[int]) -> dict[int, int]:
    """Sources that are what is shown in a held number, and that number."""
    found: dict[int, int] = {}
    sizes = np.bincount(labels.ravel(), minlength=n_sources)
    for number in held:
        region = shown == number
        overlap = np.bincount(labels[region], minlength=n_sources)
        together = sizes + region.sum() - overlap
        source = int(overlap.argmax())
        if overlap[source] > _SAME * together[source]:
            found[source] = number
    return found


def numbers_of(partition: SourcePartition, annotation: Annotation) -> tuple[int, ...]:
    """Labels that the sources of a partition have now, after edits, renumbering or undo.

    Parameters
    ----------
    partition : SourcePartition
    annotation : Annotation

    Returns
    -------
    tuple of int
        One for each source, 0 for one that is not there any more; empty if the annotation shows
        another partition, or none.
    """
    preview = annotation.preview
    seeds = dict((point, source) for source, point in annotation.seeds)
    if preview is not None:
        seeds |= {point: source for source, point in preview.seeds}
    numbers = tuple(seeds.get(region.prompt, 0) for region in partition.representatives)
    return numbers if any(numbers) else ()


def gap_closing(annotation: Annotation) -> dict[int, int]:
    """New numbers that leave none out, in the order of the old ones.

    Parameters
    ----------
    annotation : Annotation

    Returns
    -------
    dict of int to int
        Old number to new one, of all that anything has: first those of pixels, then those that
        only prompts have.
    """
    labels: npt.NDArray[np.uint8] = annotation.shown()
    of_pixels = [n for n in np.unique(labels).tolist() if n]
    others = {prompt.source for prompt in annotation.prompts} | {n for n, _ in annotation.seeds}
    order = of_pixels + sorted(others.difference(of_pixels))
    return {old: new for new, old in enumerate(order, start=1)}


def renumbered(annotation: Annotation) -> Annotation:
    """Close the gaps between numbers; pixels, protection, prompts and seeds go along.

    Parameters
    ----------
    annotation : Annotation

    Returns
    -------
    Annotation
        Its preview is committed, as by every edit. Itself if there is no gap.
    """
    settled = annotation.commit()
    numbers = gap_closing(settled)
    if all(old == new for old, new in numbers.items()):
        return annotation
    table = np.arange(MOST_SOURCES + 1, dtype=np.uint8)
    table[list(numbers)] = list(numbers.values())
    return settled.edited(lambda labels, protected: table[labels], lambda n: int(table[n]))


def renumbering(before: Labels, after: Labels) -> dict[int, int] | None:
    """Tell whether two label images differ in the numbers of their sources alone.

    Parameters
    ----------
    before, after : (H, W) uint8 array

    Returns
    -------
    dict of int to int or None
        New numbers by old ones, those that are the same left out; None where regions differ.

    Examples
    --------
    >>> labels = np.array([[0, 1], [4, 4]], np.uint8)
    >>> renumbering(labels, np.array([[0, 1], [2, 2]], np.uint8))
    {4: 2}
    >>> renumbering(labels, np.array([[0, 2], [2, 2]], np.uint8)) is None
    True
    """
    if before.shape != after.shape:
        return None
    pairs = np.bincount((before.astype(np.uint16) << 8 | after).ravel(), minlength=1)
    both = [divmod(int(pair), 256) for pair in np.flatnonzero(pairs)]
    olds, news = {old for old, _ in both}, {new for _, new in both}
    if not len(olds) == len(news) == len(both) or any(
        (old == 0) != (new == 0) for old, new in both
    ):
        return None
    return {old: new for old, new in both if old != new}
