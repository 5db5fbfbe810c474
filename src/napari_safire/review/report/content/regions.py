"""Each source against the rest of the picture, as a table."""

from __future__ import annotations

from dataclasses import replace

from napari_safire.review.report.blocks import Block, Run, Words
from napari_safire.review.report.content.draft import Draft, Part
from napari_safire.review.report.record import Record

_MOST_ROWS = 120  # more are read by nobody; then outliers alone are shown, the document has all


def part(draft: Draft) -> Part | None:
    """Say by which traces each source differs; None where that was not looked at."""
    given = draft.document.record("regions")
    if not given:
        return None
    rows = [row for row in given.records("rows") if not row.text("why_not")]
    outliers = [row for row in rows if row.flag("outlier")]
    shown = rows if len(rows) <= _MOST_ROWS else _clearest(outliers)
    if not rows:
        return Part("regions", draft.words("section.regions"), _left_out(draft, given))
    blocks: list[Block] = [draft.paragraph("regions.meaning")]
    if len(shown) < len(rows):
        n, m = draft.texts.whole(len(rows)), draft.texts.whole(len(shown))
        blocks.append(draft.note("regions.outliers_alone", n=n, shown=m))
    if not outliers:
        blocks.append(draft.paragraph("regions.no_outlier"))
    if shown:
        level = draft.share(given.number("level"))
        blocks += [_table(draft, shown), draft.note("regions.interval", level=level)]
    blocks += draft.bullets(given.texts("notices"))
    blocks += _measures(draft, given)
    blocks += _left_out(draft, given)
    return Part("regions", draft.words("section.regions"), tuple(blocks))


def _clearest(outliers: list[Record]) -> list[Record]:
    """Of more outliers than anybody reads, those with the largest effects, in order."""
    order = sorted(range(len(outliers)), key=lambda n: -abs(outliers[n].number("effect") or 0))
    return [outliers[n] for n in sorted(order[:_MOST_ROWS])]


def _table(draft: Draft, rows: list[Record]) -> Block:
    columns = (
        draft.column("source", 0.5, numbers=True),
        draft.column("measure", 1.0),
        draft.column("effect", 1.3),
        draft.column("words", 3.2),
    )
    cells = []
    for row in rows:
        name = row.text("measure")
        said = draft.recorded(row.text("words"))
        if row.text("detail"):
            said = (*said, Run("; "), *draft.recorded(row.text("detail")))
        cells.append(
            (
                (Run(row.text("source")),),
                (draft.texts.term("measure", name),),
                _effect(draft, row),
                tuple(replace(run, strong=row.flag("outlier")) for run in said),
            )
        )
    return draft.table("regions", columns, cells)


def _effect(draft: Draft, row: Record) -> Words:
    effect = draft.number(row.number("effect"), 2)
    interval = row.numbers("interval")
    if len(interval) != 2:
        return effect
    low, high = (draft.number(value, 2) for value in interval)
    key = "regions.outlier" if row.flag("outlier") else "regions.effect"
    return draft.words(key, effect=effect, low=low, high=high)


def _measures(draft: Draft, given: Record) -> tuple[Block, ...]:
    rows = [
        (
            (draft.texts.term("measure", measure.text("name")),),
            draft.recorded(measure.text("what")),
            draft.recorded(measure.text("caveat")),
            draft.recorded(measure.text("source")),
            draft.number(measure.number("limit"), 2),
        )
        for measure in given.records("measures")
    ]
    columns = (
        draft.column("measure", 0.8),
        draft.column("what", 1.4),
        draft.column("misleads", 1.8),
        draft.column("method_source", 1.0),
        draft.column("limit", 0.6, numbers=True),
    )
    return (draft.table("measures", columns, rows),) if rows else ()


def _left_out(draft: Draft, given: Record) -> tuple[Block, ...]:
    """Say why something was not measured, each reason once."""
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for row in given.records("rows"):
        if row.text("why_not"):
            measures, sources = reasons.setdefault(row.text("why_not"), ({}, {}))
            measures[row.text("measure")] = sources[row.text("source")] = None
    if not reasons:
        return ()
    columns = (
        draft.column("measure", 1.6),
        draft.column("sources", 1.0),
        draft.column("why_not", 2.4),
    )
    rows = [
        (
            draft.joined((draft.texts.term("measure", name),) for name in measures),
            draft.joined((Run(number),) for number in sources),
            draft.recorded(why),
        )
        for why, (measures, sources) in reasons.items()
    ]
    return (draft.table("left_out", columns, rows),)
