"""Pictures of a project given to annotators and adjudicators, hidden controls among them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from napari_safire.errors import DatasetError
from napari_safire.project.events import Draft
from napari_safire.project.people import checked_name
from napari_safire.project.projections import Role
from napari_safire.project.store import Project
from napari_safire.project.team.assignment import (
    Assignable,
    Assigned,
    AssignmentRule,
    Assignments,
    assign,
)
from napari_safire.project.team.controls import with_controls


@dataclass(frozen=True, slots=True)
class Given:
    """What was given away.

    Parameters
    ----------
    pictures : dict of str to tuple of str
        Ids by annotator, in the order in which they are to be worked on, with hidden controls.
    n_controls : dict of str to int
        How many of them are controls.
    short : dict of str to str
        Pictures that have fewer annotators than they need, and why.
    """

    pictures: dict[str, tuple[str, ...]]
    n_controls: dict[str, int]
    short: dict[str, str]


def assign_pictures(
    project: Project,
    annotators: Sequence[str],
    *,
    per_picture: int | None = None,
    quotas: Mapping[str, int] | None = None,
    tags: Mapping[str, Iterable[str]] | None = None,
) -> Given:
    """Give all pictures that lack annotators to some, with hidden controls among them.

    Parameters
    ----------
    project : Project
    annotators : sequence of str
    per_picture : int, optional
        How many annotators each picture needs; default: as the project's settings say.
    quotas : mapping of str to int, optional
        As in `AssignmentRule`; controls do not count.
    tags : mapping of str to iterable of str, optional
        As in `AssignmentRule`.

    Returns
    -------
    Given

    Raises
    ------
    DatasetError
        The rule cannot be kept, see `AssignmentRule`.
    SafireError
        Nothing can be written.
    """
    settings = project.settings
    rule = AssignmentRule(
        tuple(checked_name(name) for name in annotators),
        settings.annotators_per_picture if per_picture is None else per_picture,
        dict(quotas or {}),
        {name: frozenset(some) for name, some in (tags or {}).items()},
        settings.seed,
    )
    annotating, judging = _given(project, "annotator"), _given(project, "adjudicator")
    controls = set(known_controls(project))
    open_ = [one for one in _assignable(project) if one.picture not in controls]
    counted = [one for one in annotating if one.picture not in controls]
    found = assign(open_, rule, existing=counted, besides=judging)
    queues: dict[str, list[str]] = {}
    for one in found.made:
        queues.setdefault(one.annotator, []).append(one.picture)
    mixed = {
        name: with_controls(
            queue,
            sorted(controls),
            settings.control_share,
            annotator=name,
            seed=settings.seed,
            known=[one.picture for one in (*annotating, *judging) if one.annotator == name],
        )
        for name, queue in sorted(queues.items())
    }
    _write(project, mixed, "annotator")
    return Given(
        mixed,
        {name: len(mixed[name]) - len(queue) for name, queue in sorted(queues.items())},
        found.short,
    )


def assign_adjudicators(
    project: Project, adjudicators: Sequence[str], *, pictures: Iterable[str] | None = None
) -> Given:
    """Give pictures whose annotators are all done to adjudicators who are none of these.

    Parameters
    ----------
    project : Project
    adjudicators : sequence of str
    pictures : iterable of str, optional
        Ids; default: all that wait for adjudication.

    Returns
    -------
    Given

    Raises
    ------
    DatasetError, SafireError
        As of `assign_pictures`.
    """
    wanted = None if pictures is None else set(pictures)
    waiting = [
        one
        for one in _assignable(project, stage="adjudicate")
        if wanted is None or one.picture in wanted
    ]
    rule = AssignmentRule(
        tuple(checked_name(name) for name in adjudicators), seed=project.settings.seed
    )
    found: Assignments = assign(
        waiting,
        rule,
        existing=_given(project, "adjudicator"),
        besides=_given(project, "annotator"),
    )
    queues: dict[str, tuple[str, ...]] = {}
    for one in found.made:
        queues[one.annotator] = (*queues.get(one.annotator, ()), one.picture)
    _write(project, queues, "adjudicator")
    return Given(queues, dict.fromkeys(queues, 0), found.short)


def known_controls(project: Project) -> tuple[str, ...]:
    """Return the ids of the hidden control pictures."""
    rows = project.ask("SELECT id FROM picture WHERE NOT removed AND control IS NOT NULL")
    return tuple(sorted(row[0] for row in rows))


def _assignable(project: Project, stage: str | None = None) -> list[Assignable]:
    rows = project.ask(
        "SELECT id, tags FROM picture WHERE NOT removed AND problem = '' "
        "AND (:stage IS NULL OR stage = :stage) ORDER BY position",
        {"stage": stage},
    )
    return [Assignable(picture, frozenset(json.loads(tags))) for picture, tags in rows]


def _given(project: Project, role: Role) -> list[Assigned]:
    rows = project.ask(
        "SELECT w.picture, w.annotator FROM work w JOIN picture p ON p.id = w.picture "
        "WHERE w.role = ? AND NOT p.removed ORDER BY w.assigned",
        (role,),
    )
    return [Assigned(*row) for row in rows]


def _write(project: Project, queues: Mapping[str, Sequence[str]], role: Role) -> None:
    """Note who gets what, in the order in which it is to be worked on."""
    if project.read_only:
        raise DatasetError("The project may not be written to: nothing can be given away.")
    drafts = [
        Draft("work.assigned", picture, {"annotator": annotator, "role": role})
        for annotator, pictures in queues.items()
        for picture in pictures
    ]
    project.append_many(drafts)
