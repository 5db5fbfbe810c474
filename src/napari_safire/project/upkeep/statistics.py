"""A project in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from napari_safire.project.projections import STAGES, WORK_STATES
from napari_safire.project.store import Project

_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class AnnotatorStatistics:
    """What an annotator has done.

    Parameters
    ----------
    annotator : str
    states : mapping of str to int
        Pictures by the state of the work on them.
    hours : float
        Time worked, without idle time.
    """

    annotator: str
    states: Mapping[str, int]
    hours: float


@dataclass(frozen=True, slots=True)
class ProjectStatistics:
    """A project in numbers.

    Parameters
    ----------
    name : str
    n_pictures, n_problems, n_events : int
        Pictures in the list, and those of them that cannot be used.
    stages : mapping of str to int
        Pictures by stage.
    annotators : tuple of AnnotatorStatistics
        By name.
    """

    name: str
    n_pictures: int
    n_problems: int
    n_events: int
    stages: Mapping[str, int]
    annotators: tuple[AnnotatorStatistics, ...]

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def statistics(project: Project) -> ProjectStatistics:
    """Count pictures, work, time and events.

    Parameters
    ----------
    project : Project

    Returns
    -------
    ProjectStatistics
    """
    stages: dict[str, int] = dict.fromkeys([str(stage) for stage in STAGES], 0) | dict(
        project.ask("SELECT stage, count(*) FROM picture WHERE NOT removed GROUP BY stage")
    )
    ((n_problems,),) = project.ask(
        "SELECT count(*) FROM picture WHERE NOT removed AND problem != ''"
    )
    states: dict[str, dict[str, int]] = {}
    hours: dict[str, float] = {}
    for annotator, state, count, seconds in project.ask(
        "SELECT annotator, state, count(*), sum(seconds) FROM work GROUP BY annotator, state"
    ):
        states.setdefault(annotator, dict.fromkeys(WORK_STATES, 0))[state] = count
        hours[annotator] = hours.get(annotator, 0.0) + seconds / _SECONDS_PER_HOUR
    head = project.head
    return ProjectStatistics(
        project.name,
        sum(stages.values()),
        n_problems,
        0 if head is None else head.sequence,
        stages,
        tuple(AnnotatorStatistics(name, states[name], hours[name]) for name in sorted(states)),
    )
