"""How a project is worked on: one value, kept by an event whenever it changes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from napari_safire.errors import DatasetError

_MOST_ANNOTATORS = 20
_MOST_CONTROLS = 0.5


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """How a project is worked on.

    Parameters
    ----------
    annotators_per_picture : int
        How many people annotate each picture, not knowing what the others do.
    control_share : float
        Share of an annotator's pictures that are hidden controls with known truth, 0 to .5.
    seed : int
        Of everything that is drawn: assignments, controls, splits.
    licence : str
        Of the pictures, for the data card.

    Raises
    ------
    DatasetError
        Something is out of range.
    """

    annotators_per_picture: int = 1
    control_share: float = 0.0
    seed: int = 0
    licence: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.annotators_per_picture <= _MOST_ANNOTATORS:
            raise DatasetError(
                f"{self.annotators_per_picture} annotators a picture: choose 1 to "
                f"{_MOST_ANNOTATORS}."
            )
        if not 0 <= self.control_share <= _MOST_CONTROLS:
            raise DatasetError(
                f"A share of controls of {self.control_share}: choose one between 0 and "
                f"{_MOST_CONTROLS}."
            )

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `read_settings` makes the same."""
        return asdict(self)


def read_settings(record: Mapping[str, Any]) -> ProjectSettings:
    """Make settings of JSON values; what is not among them, or of another type, is as by default.

    Parameters
    ----------
    record : mapping

    Returns
    -------
    ProjectSettings
    """
    default = ProjectSettings()
    known = {}
    for field in fields(default):
        kind, value = type(getattr(default, field.name)), record.get(field.name)
        if isinstance(value, kind) or (kind is float and isinstance(value, int)):
            with suppress(OverflowError):  # a number of 400 digits
                known[field.name] = kind(value)
    return replace(default, **known)
