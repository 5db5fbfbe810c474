"""What the program measured: the partition, each source against the rest, and the views."""

from __future__ import annotations

import re

from napari_safire.review.report.blocks import Block, Run, Words
from napari_safire.review.report.content import regions, robustness
from napari_safire.review.report.content.draft import Chapter, Draft, Part
from napari_safire.review.report.record import Record

_QUOTING = ("file", "metadata", "content credentials", "thumbnail")
"""Views whose lines hold what somebody wrote into the file."""


def partition(draft: Draft) -> Chapter:
    """Say into which sources the picture was divided, and how much each differs and holds."""
    given = draft.document.record("partition")
    if not given:
        return Chapter((draft.paragraph("partition.none"),))
    blocks: list[Block] = [*draft.figure("partition")]
    numbers = _numbers_of_sources(draft, given)
    facts = draft.facts(
        ("method", draft.data(given.text("method"))),
        ("n_sources", draft.data(given.text("n_sources"))),
        *((("number_probabilities", numbers),) if numbers else ()),
        ("seed", draft.data(given.text("seed"))),
        ("parameters", draft.value(given.values.get("parameters"))),
        ("labels_sha256", draft.code(given.text("labels_sha256"))),
    )
    blocks += [facts, _sources(draft, given), draft.note("partition.certainty")]
    blocks += draft.bullets(given.texts("notices"))
    parts = (
        regions.part(draft),
        robustness.voting(draft),
        robustness.stability(draft),
        robustness.saved_again(draft),
    )
    return Chapter(tuple(blocks), tuple(part for part in parts if part is not None))


def _numbers_of_sources(draft: Draft, given: Record) -> Words:
    found = (
        draft.words(
            "partition.probable",
            n=of.text("n_sources"),
            probability=draft.share(of.number("probability")),
        )
        for of in given.records("number_probabilities")
        if (of.number("probability") or 0) >= 0.005
    )
    return draft.joined(found)


def _sources(draft: Draft, given: Record) -> Block:
    columns = (
        draft.column("source", 0.8),
        draft.column("pixels", 1.0, numbers=True),
        draft.column("share", 0.7, numbers=True),
        draft.column("bounds", 1.8),
        draft.column("confidence", 0.9, numbers=True),
        draft.column("certainty", 0.9, numbers=True),
    )
    rows = [
        (
            (*_swatch(source), Run(source.text("number"), strong=True)),
            draft.number(source.number("n_pixels")),
            draft.share(source.number("share")),
            draft.place(source.numbers("bounds")),
            draft.share(source.number("confidence")),
            draft.share(source.number("certainty")),
        )
        for source in given.records("sources")
    ]
    return draft.table("sources", columns, rows)


def _swatch(source: Record) -> Words:
    colour = source.numbers("colour")
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        return ()
    return (Run("#" + "".join(f"{int(value):02x}" for value in colour), "swatch"),)


def views(draft: Draft) -> Chapter:
    """Say what each forensic view found, or why it does not apply."""
    found = draft.document.records("evidence")
    if not found:
        return Chapter((draft.paragraph("views.none"),))
    columns = (
        draft.column("view", 1.2),
        draft.column("finding", 3.0),
        draft.column("score", 0.6, numbers=True),
    )
    rows = [
        (
            (draft.view(view.text("name")),),
            draft.recorded(view.text("finding") or view.text("why_not")),
            draft.number(view.number("score")) if view.number("score") is not None else (),
        )
        for view in found
    ]
    table = draft.table("views", columns, rows)
    applicable = [view for view in found if view.flag("applicable")]
    parts = [part for view in applicable if (part := _view(draft, view)) is not None]
    if applicable:
        parts.append(_how_views_work(draft, applicable))
    return Chapter((draft.paragraph("views.meaning"), table), tuple(parts))


def _anchor(name: str) -> str:
    return "view-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _view(draft: Draft, view: Record) -> Part | None:
    """What a view has beside its finding; None if that is all."""
    name = view.text("name")
    anchor = _anchor(name)
    rows: list[tuple[str, Words]] = []
    if view.number("score"):
        score = draft.number(view.number("score"))
        means = draft.recorded(view.text("score_means"))
        rows.append(("score", draft.words("views.score", score=score, means=means)))
    if view.text("caveat") not in ("", view.text("misleads")):
        rows.append(("caveat", draft.recorded(view.text("caveat"))))
    figure, remarks = draft.figure(anchor), _remarks(draft, view)
    if not (rows or figure or remarks):
        return None
    finding = ("finding", draft.recorded(view.text("finding")))
    facts = (draft.facts(finding, *rows),) if rows else ()
    return Part(anchor, (draft.view(name),), (*figure, *facts, *remarks))


def _how_views_work(draft: Draft, views: list[Record]) -> Part:
    """What no caption of a figure says already."""
    plain = [view for view in views if _anchor(view.text("name")) not in draft.records]
    blocks = [_shown(draft, plain)] if plain else []
    columns = (
        draft.column("view", 1.0),
        draft.column("parameters", 1.6),
        draft.column("method_source", 2.4),
    )
    rows = [
        (
            (draft.view(view.text("name")),),
            draft.value(view.values.get("parameters")),
            draft.recorded(view.text("source")),
        )
        for view in views
    ]
    blocks += [draft.table("methods", columns, rows)]
    title = draft.words("section.how_views_work")
    return Part("how-views-work", title, (*blocks, draft.note("views.rows")))


def _shown(draft: Draft, views: list[Record]) -> Block:
    columns = (
        draft.column("view", 1.0), draft.column("shows", 2.0), draft.column("misleads", 2.0),
    )  # fmt: skip
    rows = [
        (
            (draft.view(view.text("name")),),
            draft.recorded(view.text("shows")),
            draft.recorded(view.text("misleads")),
        )
        for view in views
    ]
    return draft.table("how_views_work", columns, rows)


def _remarks(draft: Draft, view: Record) -> tuple[Block, ...]:
    """Lines that an expert should notice; the others are in the document."""
    columns = (draft.column("name", 1.0), draft.column("value", 2.0), draft.column("remark", 1.4))
    say = draft.data if view.text("name") in _QUOTING else draft.recorded
    rows = [
        (
            say(line.text("name")),
            say(line.text("value")),
            draft.recorded(line.text("remark")),
        )
        for line in view.records("rows")
        if line.text("remark")
    ]
    return (draft.table("remarks", columns, rows),) if rows else ()
