"""Who annotates which picture: evenly, within quotas, by tags, and the same whenever it is asked.

Pictures are given away in the order in which they came to the project, each to those who have
least. So pictures that come later change nothing that was given away before, and the same pictures,
people and seed give the same assignments.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from napari_safire.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Assignable:
    """A picture that can be given away.

    Parameters
    ----------
    picture : str
        Its id.
    tags : frozenset of str
    """

    picture: str
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assigned:
    """A picture that somebody has to work on.

    Parameters
    ----------
    picture, annotator : str
    """

    picture: str
    annotator: str


@dataclass(frozen=True, slots=True)
class AssignmentRule:
    """How pictures are given away.

    Parameters
    ----------
    annotators : tuple of str
    per_picture : int
        How many different annotators each picture needs.
    quotas : mapping of str to int
        Most pictures that somebody gets, those of before included; nobody else is limited. Where
        all have one, all get the same part of theirs, else the same number.
    tags : mapping of str to frozenset of str
        Who is named here gets only pictures with at least one of these tags.
    seed : int
        Settles who is first where several have equally little.

    Raises
    ------
    DatasetError
        There are fewer annotators than a picture needs, somebody is named twice, or quotas or tags
        are those of somebody else.
    """

    annotators: tuple[str, ...]
    per_picture: int = 1
    quotas: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(self.annotators).items() if n > 1]
        if twice:
            raise DatasetError(f"Annotator {twice[0]!r} is named twice: name everybody once.")
        if not 1 <= self.per_picture <= len(self.annotators):
            raise DatasetError(
                f"A picture cannot have {self.per_picture} annotators of {len(self.annotators)}: "
                "name more people, or ask for fewer."
            )
        strangers = (self.quotas.keys() | self.tags.keys()).difference(self.annotators)
        if strangers:
            raise DatasetError(
                f"{min(strangers)!r} has a quota or tags, but is none of the annotators: add the "
                "name to them."
            )
        low = next((name for name, quota in self.quotas.items() if quota < 0), None)
        if low is not None:
            raise DatasetError(f"The quota of {low!r} is {self.quotas[low]}: give 0 or more.")


@dataclass(frozen=True, slots=True)
class Assignments:
    """What was given away, and what could not be.

    Parameters
    ----------
    made : tuple of Assigned
        In the order of the pictures.
    short : dict of str to str
        Pictures that have fewer annotators than they need, and why.
    """

    made: tuple[Assigned, ...]
    short: dict[str, str]


def assign(
    pictures: Iterable[Assignable],
    rule: AssignmentRule,
    *,
    existing: Iterable[Assigned] = (),
    besides: Iterable[Assigned] = (),
) -> Assignments:
    """Give pictures to annotators.

    Parameters
    ----------
    pictures : iterable of Assignable
        In the order in which they came to the project.
    rule : AssignmentRule
    existing : iterable of Assigned
        What was given away before: it counts, and stays.
    besides : iterable of Assigned
        Who has another part in a picture and may not have this one too, such as its annotators
        where adjudicators are sought.

    Returns
    -------
    Assignments
        What is new. Nobody gets a picture twice.
    """
    busy: dict[str, list[str]] = defaultdict(list)
    for given in existing:
        busy[given.picture].append(given.annotator)
    barred: dict[str, set[str]] = defaultdict(set)
    for given in besides:
        barred[given.picture].add(given.annotator)
    loads = Counter(name for names in busy.values() for name in names)
    together: Counter[frozenset[str]] = Counter()
    for names in busy.values():
        together.update(_pairs(names))
    made: list[Assigned] = []
    short: dict[str, str] = {}
    for picture in pictures:
        names = busy[picture.picture]
        while len(names) < rule.per_picture:
            kept_out = barred[picture.picture].union(names)
            able = [name for name in rule.annotators if name not in kept_out]
            fitting = [name for name in able if _has_tag(rule, name, picture.tags)]
            free = [name for name in fitting if loads[name] < rule.quotas.get(name, float("inf"))]
            if not free:
                short[picture.picture] = _reason(able, fitting)
                break
            chosen = _chosen(free, names, picture.picture, rule, loads, together)
            together.update(frozenset((chosen, other)) for other in names)
            loads[chosen] += 1
            names.append(chosen)
            made.append(Assigned(picture.picture, chosen))
    return Assignments(tuple(made), short)


def _pairs(names: Sequence[str]) -> Iterable[frozenset[str]]:
    return (frozenset((one, other)) for k, one in enumerate(names) for other in names[:k])


def _has_tag(rule: AssignmentRule, name: str, tags: frozenset[str]) -> bool:
    wanted = rule.tags.get(name)
    return wanted is None or not wanted.isdisjoint(tags)


def _reason(able: list[str], fitting: list[str]) -> str:
    if not able:
        return "everybody has a part in it already"
    return "all quotas are full" if fitting else "nobody else takes its tags"


def _chosen(
    free: list[str],
    names: list[str],
    picture: str,
    rule: AssignmentRule,
    loads: Counter[str],
    together: Counter[frozenset[str]],
) -> str:
    """Who has least; of those, who shares fewest pictures with its annotators; of those, by lot."""
    parts = len(rule.quotas) == len(rule.annotators)
    had = [loads[name] / rule.quotas[name] if parts else float(loads[name]) for name in free]
    least = min(had)
    first = [name for name, load in zip(free, had, strict=True) if load == least]
    if len(first) > 1 and names:
        met = [sum(together[frozenset((name, other))] for other in names) for name in first]
        fewest = min(met)
        first = [name for name, n in zip(first, met, strict=True) if n == fewest]
    return (
        first[0] if len(first) == 1 else min(first, key=lambda name: lot(rule.seed, picture, name))
    )


def lot(seed: int, *words: str) -> bytes:
    """Draw a lot that everybody draws alike: a hash of the seed and some words.

    Parameters
    ----------
    seed : int
    *words : str

    Returns
    -------
    bytes
        16 of them, to be compared.
    """
    # Lengths go in, so that ("ab", "c") and ("a", "bc") differ.
    text = "".join(f"{len(word)}:{word}" for word in (str(seed), *words))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
