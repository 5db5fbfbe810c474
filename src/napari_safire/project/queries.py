"""The list of a project's pictures, filtered, searched and sorted, for one annotator at a time.

Only ids are listed; what is shown of a picture is asked for the few rows that are on screen. So a
hundred thousand pictures are as quick as a hundred.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from napari_safire.project.projections import Stage, WorkState
from napari_safire.project.store import Project
from napari_safire.project.visibility import PictureWorks, visible_works

SortKey = Literal["added", "name", "state", "stage", "score", "uncertainty", "disagreement"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)
RowState = Literal["untouched", "assigned", "begun", "done", "rejected", "accepted"]

_ORDER = {
    "added": "p.position",
    "name": "p.name COLLATE NOCASE",
    "stage": "p.stage",
    "score": "p.score",
    "uncertainty": "p.uncertainty",
    "disagreement": "p.disagreement",
}
_MAY_BE_UNKNOWN = ("score", "uncertainty", "disagreement")
_STATES: tuple[RowState, ...] = ("rejected", "begun", "assigned", "untouched", "done", "accepted")
"""What is to be done first."""


@dataclass(frozen=True, slots=True)
class PictureQuery:
    """Which pictures are listed, and in which order.

    Parameters
    ----------
    text : str
        Part of the path or of a tag, whatever the case; empty: all.
    states : tuple of RowState
        Of the annotator's own work; empty: all. "untouched": neither assigned nor begun.
    stages : tuple of Stage
        Empty: all.
    tag : str
        Empty: all.
    others : str
        Only pictures that this annotator works on; empty: all.
    assigned_only : bool
        Only those that the annotator is to work on or has worked on.
    problems : bool
        Only those that cannot be used.
    sort : SortKey
        "added": first what was given to the annotator, in that order, then the rest as it was
        added. Hidden controls are mixed among the others by this order alone.
    descending : bool
        What is not known comes last either way.
    """

    text: str = ""
    states: tuple[RowState, ...] = ()
    stages: tuple[Stage, ...] = ()
    tag: str = ""
    others: str = ""
    assigned_only: bool = False
    problems: bool = False
    sort: SortKey = "added"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class PictureRow:
    """What a list shows of a picture.

    Parameters
    ----------
    id, name, path : str
    state : RowState
        Of the annotator's own work.
    stage : Stage
    annotators : tuple of str
        Who is known to work on it; others' names only where they may be seen.
    score, uncertainty, disagreement : float or None
    verdict : str
    tags : tuple of str
    problem : str
        Why it cannot be used; empty where it can.
    note : str
        Why the annotator's work was sent back.
    """

    id: str
    name: str
    path: str
    state: RowState
    stage: Stage
    annotators: tuple[str, ...]
    score: float | None
    uncertainty: float | None
    disagreement: float | None
    verdict: str
    tags: tuple[str, ...]
    problem: str
    note: str


def list_pictures(project: Project, annotator: str, query: PictureQuery) -> tuple[str, ...]:
    """Return the ids of the pictures that a query lists, in its order.

    Parameters
    ----------
    project : Project
    annotator : str
    query : PictureQuery

    Returns
    -------
    tuple of str
    """
    where, values = _conditions(query)
    order = _ORDER.get(query.sort, "p.position")
    down = " DESC" if query.descending and query.sort != "state" else ""
    last = f"{order} IS NULL, " if query.sort in _MAY_BE_UNKNOWN else ""
    then = "" if order == "p.position" else ", p.position"  # twice, SQLite would sort, not look up
    rows = project.ask(
        f"SELECT p.id FROM picture p WHERE {where} ORDER BY {last}{order}{down}{then}",  # noqa: S608 (columns and marks are ours, values are bound)
        values | {"annotator": annotator},
    )
    listed = tuple(row[0] for row in rows)
    if query.states or query.sort == "state":
        return _by_state(project, annotator, listed, query)
    return _as_given(project, annotator, listed, query) if query.sort == "added" else listed


def _by_state(
    project: Project, annotator: str, listed: tuple[str, ...], query: PictureQuery
) -> tuple[str, ...]:
    """Filter and sort by the state of an annotator's work; a fifth of the time of a join."""
    states = _states_of(project, annotator)
    if query.states:
        wanted = frozenset(query.states)
        listed = tuple(p for p in listed if states.get(p, "untouched") in wanted)
    if query.sort == "state":
        ranked: dict[RowState, list[str]] = {state: [] for state in _STATES}
        for picture in listed:
            ranked[states.get(picture, "untouched")].append(picture)
        order = reversed(_STATES) if query.descending else _STATES
        return tuple(picture for state in order for picture in ranked[state])
    return _as_given(project, annotator, listed, query) if query.sort == "added" else listed


def _as_given(
    project: Project, annotator: str, listed: tuple[str, ...], query: PictureQuery
) -> tuple[str, ...]:
    """Put first what was given to an annotator; a sixth of the time of a join."""
    down = " DESC" if query.descending else ""
    given = project.ask(
        "SELECT picture FROM work WHERE annotator = ? AND assigned IS NOT NULL "  # noqa: S608 (columns and marks are ours, values are bound)
        f"ORDER BY assigned{down}",
        (annotator,),
    )
    if not given:
        return listed
    first = [picture for (picture,) in given]
    others = set(first)
    rest = [picture for picture in listed if picture not in others]
    if len(first) + len(rest) > len(listed):  # some that were given are not listed
        there = set(listed)
        first = [picture for picture in first if picture in there]
    return (*first, *rest)


def _states_of(project: Project, annotator: str) -> dict[str, RowState]:
    """Return the states of all work of an annotator, that on removed pictures as well."""
    return dict(project.ask("SELECT picture, state FROM work WHERE annotator = ?", (annotator,)))


def own_states(project: Project, annotator: str) -> dict[str, RowState]:
    """Return the state of all work of an annotator, by picture; of the rest nothing was made."""
    states = _states_of(project, annotator)
    for (picture,) in project.ask("SELECT id FROM picture WHERE removed = 1"):
        states.pop(picture, None)
    return states


def count_pictures(project: Project) -> int:
    """Count the pictures of a project, without those that were removed."""
    return int(project.ask("SELECT count(*) FROM picture WHERE NOT removed")[0][0])


def picture_rows(
    project: Project, annotator: str, pictures: Sequence[str]
) -> tuple[PictureRow, ...]:
    """Return what a list shows of some pictures, in their order; unknown ids are left out.

    Parameters
    ----------
    project : Project
    annotator : str
    pictures : sequence of str
    """
    needed = project.settings.annotators_per_picture
    found: dict[str, PictureRow] = {}
    for start in range(0, len(pictures), 500):  # SQLite takes so many values at once
        some = pictures[start : start + 500]
        marks = ", ".join("?" * len(some))
        rows = project.ask(
            "SELECT p.id, p.name, p.path, w.state, p.stage, p.score, p.uncertainty, "  # noqa: S608 (columns and marks are ours, values are bound)
            "p.disagreement, p.verdict, p.tags, p.problem, w.note, "
            "(SELECT json_group_object(annotator, state) FROM work WHERE picture = p.id "
            "AND role = 'annotator') "
            "FROM picture p LEFT JOIN work w ON w.picture = p.id AND w.annotator = ? "
            f"WHERE p.id IN ({marks})",
            (annotator, *some),
        )
        found |= {row[0]: _row(row, annotator, needed) for row in rows}
    return tuple(found[picture] for picture in pictures if picture in found)


def count_states(project: Project, annotator: str) -> dict[RowState, int]:
    """Count the pictures by the state of an annotator's own work; states that none is in are 0."""
    counts: dict[RowState, int] = dict.fromkeys(get_args(RowState), 0)
    counts |= Counter(own_states(project, annotator).values())
    return counts | {"untouched": count_pictures(project) - sum(counts.values())}


def annotators(project: Project) -> tuple[str, ...]:
    """Return the names of all who work, or are to work, on any picture."""
    rows = project.ask("SELECT DISTINCT annotator FROM work ORDER BY annotator")
    return tuple(row[0] for row in rows)


def tags(project: Project) -> tuple[str, ...]:
    """Return all tags of the pictures."""
    rows = project.ask(
        "SELECT DISTINCT value FROM picture, json_each(picture.tags) WHERE NOT removed ORDER BY 1"
    )
    return tuple(row[0] for row in rows)


def _conditions(query: PictureQuery) -> tuple[str, dict[str, Any]]:
    found, values = ["p.removed = 0"], {}
    if query.text.strip():
        found.append("(p.path LIKE :text ESCAPE '!' OR p.tags LIKE :text ESCAPE '!')")
        escaped = json.dumps(query.text.strip())[1:-1]  # as paths and tags are written
        for special in "!%_":
            escaped = escaped.replace(special, "!" + special)
        values["text"] = f"%{escaped}%"
    if query.stages:
        found.append("p.stage IN (SELECT value FROM json_each(:stages))")
        values["stages"] = json.dumps(query.stages)
    if query.tag:
        found.append("EXISTS (SELECT 1 FROM json_each(p.tags) WHERE value = :tag)")
        values["tag"] = query.tag
    if query.others:
        found.append("EXISTS (SELECT 1 FROM work WHERE picture = p.id AND annotator = :others)")
        values["others"] = query.others
    if query.assigned_only:
        found.append("p.id IN (SELECT picture FROM work WHERE annotator = :annotator)")
    if query.problems:
        found.append("p.problem != ''")
    return " AND ".join(found), values


def _row(row: tuple[Any, ...], annotator: str, needed: int) -> PictureRow:
    (
        picture, name, path, state, stage, score, uncertainty, disagreement, verdict, tags_,
        problem, note, states,
    ) = row  # fmt: skip
    seen = PictureWorks(needed, json.loads(states))
    return PictureRow(
        picture,
        name,
        json.loads(path),
        _row_state(state),
        stage,
        visible_works(annotator, seen),
        score,
        uncertainty,
        disagreement if seen.all_done else None,
        verdict,
        tuple(json.loads(tags_)),
        problem,
        note or "",
    )


def _row_state(state: WorkState | None) -> RowState:
    return "untouched" if state is None else state
