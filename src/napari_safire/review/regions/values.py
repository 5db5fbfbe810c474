"""The region table as frozen values, and as the JSON of reports and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from napari_safire.annotation import checked_values as checked
from napari_safire.errors import DatasetError

ALGORITHM = 1
"""Number of what makes the table; raised when its figures differ from those before."""
_MOST = 2**31


@dataclass(frozen=True, slots=True)
class RegionMeasure:
    """One way in which a source may differ from the rest.

    Parameters
    ----------
    name : str
        Short: "noise".
    what : str
        What is measured, a sentence.
    unit : str
        Of the values; empty for plain numbers.
    low_word, high_word : str
        What a source is whose values lie below, above those of the rest: "noisier".
    limit : float
        An outlier's effect lies beyond it, whatever its sign: 19 of 20 authentic photographs have
        no source whose effect surely does (``benchmarks/region_table.py``).
    caveat : str
        When it misleads, a sentence.
    source : str
        The paper it follows.
    """

    name: str
    what: str
    unit: str
    low_word: str
    high_word: str
    limit: float
    caveat: str
    source: str


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One source by one measure.

    Parameters
    ----------
    source : int
        Its value in the labels.
    measure : str
    inside, rest : float or None
        Typical value of the source's cells, and of those of the rest that they are compared with;
        None where the measure does not apply.
    effect : float or None
        Cliff's delta of matched cells, -1 to 1: how much more often a cell of the source has a
        larger value than a cell of the rest of like brightness and texture, than a smaller one.
    interval : (float, float) or None
        Of the effect: percentile interval of the block bootstrap, for this row alone.
    at_least : float or None
        How large the effect is at least, whatever its sign, by an interval that holds for all rows
        of the picture together; below 0 where its sign is open.
    outlier : bool
        ``at_least`` is above the measure's limit.
    why_not : str
        Why the measure does not apply; empty if it does.
    n_cells : int
        Cells of the source that were compared.
    words : str
        The row in plain words: "noisier than the rest (4.1 against 2.3 grey levels)".
    detail : str
        Half a sentence more, for few measures; empty for most.
    """

    source: int
    measure: str
    inside: float | None = None
    rest: float | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    at_least: float | None = None
    outlier: bool = False
    why_not: str = ""
    n_cells: int = 0
    words: str = ""
    detail: str = ""

    @property
    def applicable(self) -> bool:
        """Whether the measure says anything of this source."""
        return not self.why_not


@dataclass(frozen=True, slots=True)
class RegionTable:
    """Each source of a picture against the rest, by each measure.

    Parameters
    ----------
    rows : tuple of RegionRow
        All measures of the first source, then of the next.
    sources : tuple of int
        Values in the labels, in rising order.
    measures : tuple of RegionMeasure
    cell, block : int
        Pixels a side of a cell, and of the blocks that the bootstrap draws.
    seed, resamples : int
        Of the bootstrap.
    level : float
        Of its intervals.
    n_cells, n_looked_at : int
        Cells of the picture, and those that were looked at: a large picture is sampled by squares.
    notices : tuple of str
        What limits the whole table, sentences.
    algorithm : int
    """

    rows: tuple[RegionRow, ...]
    sources: tuple[int, ...]
    measures: tuple[RegionMeasure, ...]
    cell: int
    block: int
    seed: int
    resamples: int
    level: float
    n_cells: int
    n_looked_at: int
    notices: tuple[str, ...] = ()
    algorithm: int = ALGORITHM

    @property
    def outliers(self) -> tuple[RegionRow, ...]:
        """Rows that stand out."""
        return tuple(row for row in self.rows if row.outlier)

    def of(self, source: int) -> tuple[RegionRow, ...]:
        """Rows of one source, in the order of the measures."""
        return tuple(row for row in self.rows if row.source == source)

    def row(self, source: int, measure: str) -> RegionRow:
        """Return one row.

        Raises
        ------
        KeyError
            There is no such source or measure.
        """
        for row in self.rows:
            if (row.source, row.measure) == (source, measure):
                return row
        raise KeyError(f"The table has no row of source {source} and measure {measure!r}.")

    def measure(self, name: str) -> RegionMeasure:
        """Return one measure by its name; ``KeyError`` if there is none."""
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f"The table has no measure {name!r}.")

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `from_record` makes the same table."""
        record = asdict(self)
        for row in record["rows"]:
            row["interval"] = None if row["interval"] is None else list(row["interval"])
        return {name: list(v) if isinstance(v, tuple) else v for name, v in record.items()}

    @classmethod
    def from_record(cls, record: Any) -> RegionTable:
        """Read a table back.

        Parameters
        ----------
        record : mapping
            From `as_record`, or from anybody.

        Raises
        ------
        DatasetError
            Something is missing or damaged.
        """
        try:
            return _table(checked.mapping(record, "it"))
        except checked.Damaged as damage:
            raise DatasetError(f"The region table is damaged: {damage}.") from damage


def _table(given: Mapping[str, Any]) -> RegionTable:
    sources = checked.each(given, "sources", lambda n: _count(n, "a source"))
    measures = checked.each(given, "measures", _measure)
    known = tuple(measure.name for measure in measures)
    return RegionTable(
        checked.each(given, "rows", lambda row: _row(row, sources, known)),
        sources,
        measures,
        **{
            name: _count(given.get(name), name)
            for name in ("cell", "block", "seed", "resamples", "n_cells", "n_looked_at")
        },
        level=checked.share(given.get("level"), "level"),
        notices=checked.each(given, "notices", lambda text: checked.words(text, "a notice")),
        algorithm=_count(given.get("algorithm"), "algorithm"),
    )


def _measure(record: Any) -> RegionMeasure:
    given = checked.mapping(record, "a measure")
    texts = ("name", "what", "unit", "low_word", "high_word", "caveat", "source")
    return RegionMeasure(
        **{name: checked.words(given.get(name), f"{name!r} of a measure") for name in texts},
        limit=checked.number(given.get("limit"), "the limit of a measure"),
    )


def _row(record: Any, sources: tuple[int, ...], known: tuple[str, ...]) -> RegionRow:
    given = checked.mapping(record, "a row")
    why_not = checked.words(given.get("why_not"), "why a measure does not apply")
    source = _count(given.get("source"), "the source of a row")
    if source not in sources:
        raise checked.Damaged(f"a row is of source {source}, which is not among the sources")
    numbers: dict[str, Any] = {}
    if not why_not:
        ends = checked.row(given.get("interval"), "intervals", 2)
        numbers = {
            name: checked.number(given.get(name), f"{name!r} of a row")
            for name in ("inside", "rest", "effect", "at_least")
        }
        low, high = (checked.number(end, "the end of an interval") for end in ends)
        if low > high:
            raise checked.Damaged(f"an interval ends at {high} before it begins at {low}")
        numbers["interval"] = low, high
    return RegionRow(
        source,
        checked.one_of(given.get("measure"), "the measure of a row", known),
        **numbers,
        outlier=checked.flag(given.get("outlier"), "whether a row is an outlier"),
        why_not=why_not,
        n_cells=_count(given.get("n_cells"), "the number of cells"),
        words=checked.words(given.get("words"), "the words of a row"),
        detail=checked.words(given.get("detail"), "the detail of a row"),
    )


def _count(value: Any, name: str) -> int:
    return checked.whole(value, name, 0, _MOST)
