"""What the program measured: the partition, each source against the rest, and the views."""

from __future__ import annotations

import re

from napari_safire.review.report.blocks import Block, Run, Words
from napari_safire.review.report.content import regions, robustness
from napari_safire.review.report.content.draft import Chapter, Draft, Part
from napari_safire.review.report.record import Record


def partition(draft: Draft) -> Chapter:
    """Say into which sources the picture was divided, and how much each differs and holds."""
    given = draft.document.record("partition")
    if not given:
        return Chapter((draft.paragraph("partition.none"),))
    blocks: list[Block] = [*draft.figure("partition")]
    facts = draft.facts(
        ("method", draft.data(given.text("method"))),
        ("n_sources", draft.data(given.text("n_sources"))),
        ("number_probabilities", _numbers_of_sources(draft, given)),
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
    return draft.joined(found) or draft.nothing


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
    parts = tuple(_view(draft, view) for view in found if view.flag("applicable"))
    return Chapter((draft.paragraph("views.meaning"), draft.table("views", columns, rows)), parts)


def _view(draft: Draft, view: Record) -> Part:
    name = view.text("name")
    anchor = "view-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    rows = [("finding", draft.recorded(view.text("finding")))]
    if view.text("shows"):
        rows.append(("shows", draft.recorded(view.text("shows"))))
    if view.number("score") is not None:
        score = draft.number(view.number("score"))
        means = draft.recorded(view.text("score_means"))
        rows.append(("score", draft.words("views.score", score=score, means=means)))
    rows.append(("misleads", draft.recorded(view.text("misleads"))))
    if view.text("caveat") not in ("", view.text("misleads")):
        rows.append(("caveat", draft.recorded(view.text("caveat"))))
    rows += [
        ("parameters", draft.parameters(view.record("parameters"))),
        ("method_source", draft.recorded(view.text("source"))),
    ]
    blocks = (*draft.figure(anchor), draft.facts(*rows), *_remarks(draft, view))
    return Part(anchor, (draft.view(name),), blocks)


def _remarks(draft: Draft, view: Record) -> tuple[Block, ...]:
    """Lines that an expert should notice; the others are in the document."""
    lines = view.records("rows")
    noticed = [line for line in lines if line.text("remark")]
    if not noticed:
        return (draft.note("views.rows", n=draft.texts.whole(len(lines))),) if lines else ()
    columns = (draft.column("name", 1.0), draft.column("value", 2.0), draft.column("remark", 1.4))
    rows = [
        (
            draft.data(line.text("name")),
            draft.data(line.text("value")),
            draft.recorded(line.text("remark")),
        )
        for line in noticed
    ]
    table = draft.table("remarks", columns, rows)
    left = len(lines) - len(noticed)
    return (table, draft.note("views.more_rows", n=draft.texts.whole(left))) if left else (table,)
