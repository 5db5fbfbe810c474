"""Which pictures of a manifest are gone through, and how many that are; for the reading worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from napari_safire.corpus.triage.choice import Choice
from napari_safire.corpus.triage.conditions import parse_condition
from napari_safire.corpus.triage.selection import parse_sort, select
from napari_safire.corpus.triage.source import is_manifest, open_manifest
from napari_safire.errors import DatasetError, sentence
from napari_safire.progress import Cancel


@dataclass(frozen=True, slots=True)
class Counted:
    """How many pictures are chosen of what somebody has named.

    Parameters
    ----------
    is_manifest : bool
        Nothing can be chosen of anything else.
    words : str
        How many: "412 of 20,000 pictures".
    where_problem, sort_problem : str
        Why condition or order cannot be understood; empty where they can.
    problem : str
        Why the manifest cannot be read.
    """

    is_manifest: bool = False
    words: str = ""
    where_problem: str = ""
    sort_problem: str = ""
    problem: str = ""

    @property
    def can_be_opened(self) -> bool:
        """Whether there is nothing to be mended."""
        return not (self.where_problem or self.sort_problem or self.problem)


def count_chosen(
    path: str | os.PathLike[str], choice: Choice, cancel: Cancel | None = None
) -> Counted:
    """Count what is chosen of a manifest.

    Parameters
    ----------
    path : path-like
        Anything that somebody may have typed.
    choice : Choice
    cancel : callable, optional

    Returns
    -------
    Counted

    Raises
    ------
    Cancelled
    """
    if not is_manifest(path):
        return Counted()
    try:
        source = open_manifest(path)
    except DatasetError as error:
        return Counted(is_manifest=True, problem=sentence(error))
    where_problem = sort_problem = ""
    try:
        if choice.where.strip():
            parse_condition(choice.where, source.schema)
    except DatasetError as error:
        where_problem = sentence(error)
    try:
        parse_sort(choice.sort or "", source.schema)
    except DatasetError as error:
        sort_problem = sentence(error)
    if where_problem or sort_problem:
        return Counted(True, where_problem=where_problem, sort_problem=sort_problem)
    try:
        found = select(source, choice.where, choice.sort, cancel=cancel)
    except DatasetError as error:
        return Counted(is_manifest=True, problem=sentence(error))
    return Counted(True, chosen_words(len(found), found.n_pictures, choice.top))


def chosen_words(n_fulfil: int, n_pictures: int, top: int | None) -> str:
    """Say how many pictures are chosen.

    Examples
    --------
    >>> chosen_words(412, 20_000, 500)
    '412 of 20,000 pictures'
    >>> chosen_words(812, 20_000, 500)
    'the first 500 of 812, of 20,000 pictures'
    """
    of = f"of {n_pictures:,} picture{'' if n_pictures == 1 else 's'}"
    if top is None or n_fulfil <= top:
        return f"{n_fulfil:,} {of}"
    return f"the first {top:,} of {n_fulfil:,}, {of}"


def choice_as_texts(choice: Choice) -> dict[str, str]:
    """Write a choice down as `choice_of_texts` reads it."""
    top = "" if choice.top is None else str(choice.top)
    return {"where": choice.where, "sort": choice.sort or "", "top": top}


def choice_of_texts(noted: Mapping[str, str]) -> Choice | None:
    """Read a choice that was written down; None where none was."""
    if "where" not in noted:
        return None
    top = noted.get("top", "")
    most = max(1, int(top)) if top.isdecimal() else None
    return Choice(noted["where"], noted.get("sort") or None, most)
