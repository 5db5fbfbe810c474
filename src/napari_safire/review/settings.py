"""What is asked of a picture for a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

from napari_safire.errors import DatasetError
from napari_safire.examination import Evidence, ExaminationSettings
from napari_safire.settings import PartitionSettings

Copies = Literal["all", "quick", "none"]
"""Which changed copies are tried (`napari_safire.review.stability`)."""


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What to ask of a picture; the same settings give the same record.

    Parameters
    ----------
    partition : PartitionSettings
        How it is divided; the seed of everything that draws.
    evidence : {"all", "none"}
        What the verdict counts beside the network.
    stability : {"all", "quick", "none"}
        Changed copies to try: all as a whole; few, and of a large picture in a window; none.
    views : tuple of str, optional
        Names of forensic views; None: all there are.
    view_parameters : mapping of str to mapping
        By view, parameters that differ from its defaults: numbers, texts, truth values.

    Raises
    ------
    DatasetError
        Unknown names, or values that no record can hold; the sentence says which.
    """

    partition: PartitionSettings = field(default_factory=PartitionSettings)
    evidence: Evidence = "all"
    stability: Copies = "quick"
    views: tuple[str, ...] | None = None
    view_parameters: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __post_init__(self) -> None:
        try:
            self.partition.check()
        except (TypeError, ValueError) as error:
            raise DatasetError(f"The partition's settings cannot be used: {error}") from error
        for name, value, known in (
            ("evidence", self.evidence, get_args(Evidence)),
            ("stability", self.stability, get_args(Copies)),
        ):
            if value not in known:
                raise DatasetError(f"{name} is {value!r:.60}: give one of {', '.join(known)}.")
        self._check_views()

    def _check_views(self) -> None:
        from napari_safire.forensics.catalogue import VIEWS

        known = {view.name: view for view in VIEWS}
        for name in (*(self.views or ()), *self.view_parameters):
            if name not in known:
                raise DatasetError(
                    f"There is no view {name!r:.60}: give one of {', '.join(known)}."
                )
        for name, given in self.view_parameters.items():
            for parameter, value in given.items():
                if parameter in known[name].needs and value is not None:
                    # A record from anybody shall not make this program open other files.
                    raise DatasetError(
                        f"{parameter} of the view {name!r} is no setting: give that picture itself."
                    )
                if parameter not in known[name].parameters:
                    raise DatasetError(f"The view {name!r} has no parameter {parameter!r:.60}.")
                if not _is_plain(value):
                    raise DatasetError(
                        f"{parameter} of the view {name!r} is {value!r:.60}: give a number, a text "
                        "or a truth value."
                    )

    @property
    def examination(self) -> ExaminationSettings:
        """The same, as examinations take it."""
        return ExaminationSettings(self.partition, evidence=self.evidence)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values, of which `from_record` makes the same settings."""
        return {
            "partition": asdict(self.partition),
            "evidence": self.evidence,
            "stability": self.stability,
            "views": None if self.views is None else list(self.views),
            "view_parameters": {name: dict(one) for name, one in self.view_parameters.items()},
        }

    @classmethod
    def from_record(cls, record: object) -> AnalysisSettings:
        """Read what `as_record` gave.

        Parameters
        ----------
        record : object
            JSON values; anybody may have written them.

        Raises
        ------
        DatasetError
            It is something else.
        """
        if not isinstance(record, dict) or not isinstance(record.get("partition"), dict):
            raise DatasetError("The settings of an analysis must be names with values.")
        partition = record["partition"]
        unknown = [
            *(str(key) for key in record.keys() - {one.name for one in fields(cls)}),
            *(
                str(key)
                for key in partition.keys() - {one.name for one in fields(PartitionSettings)}
            ),
        ]
        if unknown:
            raise DatasetError(f"The settings name {min(unknown)!r:.60}, which is not known here.")
        views, parameters = record.get("views"), record.get("view_parameters", {})
        if not isinstance(parameters, dict) or not all(
            isinstance(one, dict) for one in parameters.values()
        ):
            raise DatasetError("view_parameters must be names of views with names and values.")
        if views is not None and not isinstance(views, list | tuple):
            raise DatasetError(f"views is {views!r:.60}: give a list of names, or none for all.")
        return cls(
            PartitionSettings(**partition),
            record.get("evidence", "all"),
            record.get("stability", "quick"),
            None if views is None else tuple(map(str, views)),
            MappingProxyType({name: MappingProxyType(one) for name, one in parameters.items()}),
        )


def _is_plain(value: object) -> bool:
    """Whether a record can hold a value and give it back."""
    return isinstance(value, str | bool | int | None) or (
        isinstance(value, float) and math.isfinite(value)
    )
