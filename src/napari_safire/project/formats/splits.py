"""Training, validation and test: no donor in two parts, alike numbers of sources in each.

What hangs together (by a common donor, the same group, or looks) goes into one part as a whole,
because a model that saw one of them knows the others. The largest groups are placed first, each
where most is wanting, counted by number of sources; equals are ordered by a hash of seed and group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_safire.datasets.groups import connected, seeded_hash
from napari_safire.datasets.near_duplicates import ALIKE_BITS, Hash, near_duplicates
from napari_safire.errors import DatasetError
from napari_safire.project.formats.labelled import SPLITS, LabelledPicture, Split

SHARES: Mapping[Split, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True, slots=True, eq=False)
class SplitPicture:
    """What a division has to know of a picture.

    Parameters
    ----------
    key : str
    n_sources : int
    marks : tuple of str
        What it shares with its relatives: donors, a camera, a group of a list, a hash of pixels.
    looks : (64,) bool array or None
        `napari_safire.datasets.near_duplicates.perceptual_hash`; None: not compared.
    """

    key: str
    n_sources: int
    marks: tuple[str, ...] = ()
    looks: Hash | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """Which picture is in which part, and all that it was made of, to be written down.

    Parameters
    ----------
    splits : dict of str to {"train", "validation", "test"}
        By key.
    groups : dict of str to str
        What each picture hangs together with, by key.
    shares : dict of str to float
        As they were asked for.
    seed : int
    counts : dict of str to dict of int to int
        Pictures of each part by number of sources.
    near : int
        Pairs of pictures that were connected because they look alike.
    sentences : tuple of str
        Where the shares could not be kept.
    """

    splits: Mapping[str, Split]
    groups: Mapping[str, str]
    shares: Mapping[Split, float]
    seed: int
    counts: Mapping[Split, Mapping[int, int]]
    near: int = 0
    sentences: tuple[str, ...] = field(default=())

    def as_record(self) -> dict[str, Any]:
        """Return the division as JSON values."""
        return {
            "seed": self.seed,
            "shares": dict(self.shares),
            "n_groups": len(set(self.groups.values())),
            "near_duplicates": self.near,
            "counts": {
                split: {str(n): count for n, count in sorted(of_split.items())}
                for split, of_split in self.counts.items()
            },
            "sentences": list(self.sentences),
            "pictures": {
                key: {"split": split, "group": self.groups[key]}
                for key, split in self.splits.items()
            },
        }


def split_picture(picture: LabelledPicture, looks: Hash | None = None) -> SplitPicture:
    """Return what a division has to know of a labelled picture.

    A donor that is a picture of the project connects with that picture and with all others that
    took from it; a file, with all that took from that file.
    """
    donors = (source.donor for source in picture.description.only(picture.sources).sources)
    marks = [
        f"picture {donor.name}" if donor.kind == "picture" else _file_mark(donor.name)
        for donor in donors
        if donor.name
    ]
    # A file that others took from may itself be a picture of the project.
    marks += [_file_mark(picture.name), _file_mark(picture.path.as_posix())]
    if picture.facts.file_sha256:
        marks.append(f"content {picture.facts.file_sha256}")
    return SplitPicture(picture.key, len(picture.sources), tuple(marks), looks)


def _file_mark(name: str) -> str:
    return f"file {name.replace(chr(92), '/')}"  # from Windows as from elsewhere


def divide(
    pictures: Sequence[SplitPicture],
    shares: Mapping[Split, float] = SHARES,
    *,
    seed: int = 0,
    alike_bits: int = ALIKE_BITS,
) -> Division:
    """Divide pictures so that no two parts share an origin.

    Parameters
    ----------
    pictures : sequence of SplitPicture
        Their order plays no part.
    shares : mapping of str to float
        Of "train", "validation" and "test"; those that are left out are empty. They sum to 1.
    seed : int
    alike_bits : int
        Pictures whose looks differ in at most so many of 64 bits belong together; -1: none do.

    Returns
    -------
    Division

    Raises
    ------
    DatasetError
        The shares are none, a key comes twice, or there are fewer groups than parts.
    """
    asked = _checked(shares)
    pictures = sorted(pictures, key=lambda one: one.key)
    _require_different(pictures)
    groups, near = _groups(pictures, alike_bits)
    members: dict[str, list[SplitPicture]] = defaultdict(list)
    for picture, group in zip(pictures, groups, strict=True):
        members[group].append(picture)
    if len(members) < len(asked):
        raise DatasetError(
            f"The {len(pictures)} pictures are of {len(members)} groups without a common origin, "
            f"which cannot be divided into {len(asked)} parts: add pictures of other origins, or "
            "ask for fewer parts."
        )
    splits = _place(members, asked, seed)
    counts: dict[Split, Counter[int]] = {split: Counter() for split in asked}
    for picture in pictures:
        counts[splits[picture.key]][picture.n_sources] += 1
    return Division(
        splits,
        {picture.key: group for picture, group in zip(pictures, groups, strict=True)},
        asked,
        seed,
        counts,
        near,
        tuple(_missed(members, asked, counts, len(pictures))),
    )


def _checked(shares: Mapping[Split, float]) -> dict[Split, float]:
    asked = {split: float(shares[split]) for split in SPLITS if shares.get(split)}
    stray = set(shares) - set(SPLITS[1:])
    if stray:
        raise DatasetError(
            f"There is no part {min(stray)!r} of a data set: choose {', '.join(SPLITS[1:])}."
        )
    if not asked or min(asked.values()) < 0 or abs(sum(asked.values()) - 1) > 1e-6:
        raise DatasetError(
            f"The shares {', '.join(f'{k} {v:g}' for k, v in asked.items()) or 'of nothing'} do "
            "not sum to 1: give shares that do."
        )
    return asked


def _require_different(pictures: Sequence[SplitPicture]) -> None:
    keys = Counter(one.key for one in pictures)
    if len(keys) < len(pictures):
        raise DatasetError(f"The picture {keys.most_common(1)[0][0]} is to be divided twice.")


def _groups(pictures: Sequence[SplitPicture], alike_bits: int) -> tuple[tuple[str, ...], int]:
    """Group of each picture, and how many pairs look alike."""
    marks = [[f"picture {one.key}", *one.marks] for one in pictures]
    seen = [number for number, one in enumerate(pictures) if one.looks is not None]
    looks = [pictures[number].looks for number in seen]
    near = 0
    for i, j, _ in near_duplicates(looks, looks, alike_bits):  # type: ignore[arg-type]
        if i < j:
            marks[seen[i]].append(f"picture {pictures[seen[j]].key}")
            near += 1
    return connected(marks), near


def _place(
    members: Mapping[str, Sequence[SplitPicture]], shares: Mapping[Split, float], seed: int
) -> dict[str, Split]:
    """Put each group where most is wanting of its numbers of sources."""
    names = list(shares)
    kinds = sorted({one.n_sources for group in members.values() for one in group})
    column = {kind: place for place, kind in enumerate(kinds)}
    tables = {name: np.zeros(len(kinds)) for name in members}
    for name, group in members.items():
        for one in group:
            tables[name][column[one.n_sources]] += 1
    total = np.sum(list(tables.values()), axis=0)  # (kinds,)
    wanted = np.outer([shares[name] for name in names], total)  # (parts, kinds)
    have = np.zeros_like(wanted)
    order = sorted(members, key=lambda name: (-len(members[name]), seeded_hash(seed, name)))
    splits: dict[str, Split] = {}
    for done, name in enumerate(order):
        table = tables[name]
        # What squared errors, as shares of what is wanted, each part would lose by the group.
        after = ((have + table - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum(axis=1)
        before = ((have - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum(axis=1)
        cost = after - before
        empty = [place for place in range(len(names)) if not have[place].any()]
        if len(empty) >= len(order) - done:  # the last groups go to parts that have none
            best = min(empty, key=lambda place: cost[place])
        else:
            best = int(np.argmin(cost))
        have[best] += table
        splits |= {one.key: names[best] for one in members[name]}
    return splits


def _missed(
    members: Mapping[str, Sequence[SplitPicture]],
    shares: Mapping[Split, float],
    counts: Mapping[Split, Counter[int]],
    total: int,
) -> Iterable[str]:
    largest = max(members, key=lambda name: len(members[name]))
    for split, share in shares.items():
        got = sum(counts[split].values()) / total
        if abs(got - share) > 0.05 and abs(got - share) * total >= 1:
            yield (
                f"{got:.0%} of the pictures are in {split}, not {share:.0%}: the largest of "
                f"{len(members)} groups of a common origin has {len(members[largest])} pictures."
            )
