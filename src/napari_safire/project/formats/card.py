"""The data card: what a data set holds, how it was made, and what it must not be taken for.

Everything is counted from the pictures that were exported, or given by the project (agreement).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from napari_safire import __version__
from napari_safire.project.formats.about import CARD
from napari_safire.project.formats.format import Format
from napari_safire.project.formats.labelled import SPLITS, LabelledPicture
from napari_safire.project.truth import DONOR_KINDS, SOURCE_TYPES
from napari_safire.text import printable

_FOLDER = Path(__file__).parent / "templates"
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far annotators agree, with the interval of 95 %.

    Parameters
    ----------
    name : str
        Of the measure.
    value, low, high : float
    pictures : int
        That two or more annotated blindly.
    """

    name: str
    value: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True, slots=True)
class CardValues:
    """What a card says that the pictures do not.

    Parameters
    ----------
    title : str
    description : str
    licence : str
        Of the annotations; those of the pictures are counted.
    creators : tuple of str
    url : str
    version : str
    agreement : tuple of Agreement
    adjudicated : int or None
        Pictures whose final mask was adjudicated; None: not told.
    division : mapping, optional
        What `napari_safire.project.formats.splits.Division.as_record` gives.
    """

    title: str
    description: str = ""
    licence: str = ""
    creators: tuple[str, ...] = ()
    url: str = ""
    version: str = "1.0.0"
    agreement: tuple[Agreement, ...] = ()
    adjudicated: int | None = None
    division: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over the pictures of a data set.

    Parameters
    ----------
    pictures : int
    splits : dict of str to dict of int to int
        Pictures by number of sources, of each part.
    types : dict of str to (int, int, float)
        Sources, pictures and share of all pixels of each type.
    donors : dict of str to int
        Sources by kind of donor, authentic ones aside.
    shapes : tuple of (int, int)
        Smallest, middle and largest picture, rows and columns.
    annotators, licences, models : dict of str to int
        Pictures of each.
    model_share : float or None
        Share of pixels taken over unchanged from a model, of pictures begun from one.
    assisted : int
        Pictures begun from a model.
    unassigned : int
        Pixels without a source.
    waived : int
        Pictures that were done although pixels have none.
    pixels : int
    changed : int
        Pixels that the format changed.
    """

    pictures: int
    splits: Mapping[str, Mapping[int, int]]
    types: Mapping[str, tuple[int, int, float]]
    donors: Mapping[str, int]
    shapes: tuple[tuple[int, int], ...]
    annotators: Mapping[str, int]
    licences: Mapping[str, int]
    models: Mapping[str, int]
    model_share: float | None
    assisted: int
    unassigned: int
    waived: int
    pixels: int
    changed: int = 0

    @property
    def numbers_of_sources(self) -> list[int]:
        """Those that occur, rising."""
        return sorted({number for counts in self.splits.values() for number in counts})


def summarise(pictures: Iterable[LabelledPicture], changed: int = 0) -> Summary:
    """Count what a card tells, of one picture after the other."""
    splits: dict[str, Counter[int]] = {}
    sources: Counter[str] = Counter()
    of_type: Counter[str] = Counter()
    area: Counter[str] = Counter()
    donors, annotators, licences, models = (Counter[str]() for _ in range(4))
    totals: Counter[str] = Counter()
    shapes: list[tuple[int, int]] = []
    for one in pictures:
        counts, numbers = one.counts(), one.sources
        splits.setdefault(one.split, Counter())[len(numbers)] += 1
        said = [one.description.of(number) for number in numbers]
        for about in said:
            sources[about.type] += 1
            area[about.type] += int(counts[about.number])
            if about.type != "authentic background":
                donors[about.donor.kind] += 1
        of_type.update({about.type for about in said})
        annotators.update(set(one.facts.annotators))
        models.update(set(one.facts.models))
        licences[one.facts.licence or "not stated"] += 1
        shapes.append(one.shape)
        totals["pixels"] += one.labels.size
        totals["unassigned"] += int(counts[0])
        totals["waived"] += bool(one.description.waiver)
        if one.facts.model_share is not None:
            totals["assisted"] += 1
            totals["assisted pixels"] += one.labels.size
            totals["taken over"] += round(one.facts.model_share * one.labels.size)
    shapes.sort(key=lambda shape: (shape[0] * shape[1], shape))
    assisted = totals["assisted pixels"]
    return Summary(
        len(shapes),
        {name: splits[name] for name in SPLITS if name in splits},
        {
            name: (sources[name], of_type[name], area[name] / totals["pixels"])
            for name in SOURCE_TYPES
            if sources[name]
        },
        {kind: donors[kind] for kind in DONOR_KINDS if donors[kind]},
        _ends_and_middle(shapes),
        dict(sorted(annotators.items())),
        dict(sorted(licences.items())),
        dict(sorted(models.items())),
        totals["taken over"] / assisted if assisted else None,
        totals["assisted"],
        totals["unassigned"],
        totals["waived"],
        totals["pixels"],
        changed,
    )


def _ends_and_middle(shapes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    if not shapes:
        return ()
    middle = int(median(range(len(shapes))))
    return shapes[0], shapes[middle], shapes[-1]


def write_card(folder: Path, form: Format, summary: Summary, values: CardValues) -> Path:
    """Write the card of an export as Markdown.

    Parameters
    ----------
    folder : Path
    form : Format
    summary : Summary
    values : CardValues

    Returns
    -------
    Path
        ``README.md``.
    """
    page = (
        _environment()
        .get_template("card.md")
        .render(
            form=form,
            summary=summary,
            values=values,
            configs=form.hub_files(list(summary.splits)),
            created=datetime.now(UTC).strftime("%Y-%m-%d"),
            software=__version__,
        )
    )
    path = folder / CARD
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        # reviewed: it is no HTML; `_shown` takes away what Markdown would obey
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _shown(value: Any) -> Any:
    """Text from anywhere without what Markdown or a terminal would take for more than text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _MARKS.sub(r"\\\1", printable(value))
    return value
