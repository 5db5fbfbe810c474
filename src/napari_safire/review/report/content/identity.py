"""What was examined: the case, the way of the picture, and the picture itself."""

from __future__ import annotations

from napari_safire.images.records.paths import is_near
from napari_safire.review.report.blocks import Block, Words
from napari_safire.review.report.content.draft import Chapter, Draft, Part
from napari_safire.review.report.record import RECEIVED, Record


def case(draft: Draft) -> Chapter:
    """Say whose case it is and what is asked."""
    given = draft.document.record("case")
    names = ("number", "title", "question", "organisation", "requested_by", "received")
    facts = draft.facts(*((name, draft.data(given.text(name))) for name in names))
    notes = draft.comment(given.text("notes"))
    return Chapter((facts, draft.note("case.notes"), *notes) if notes else (facts,))


def custody(draft: Draft) -> Chapter:
    """List through whose hands the picture went."""
    columns = (
        draft.column("sequence", 0.5, numbers=True),
        draft.column("at", 1.0),
        draft.column("by", 1.1),
        draft.column("machine", 0.8),
        draft.column("what", 2.0),
        draft.column("sha256", 1.7),
    )
    events = {event.text("sequence"): event for event in draft.document.records("events")}
    rows = [
        (
            draft.data(step.text("sequence")),
            draft.moment(step.text("at"), "short"),
            draft.data(step.text("by")),
            draft.data(step.text("machine")),
            _step(draft, step.text("what"), events.get(step.text("sequence"))),
            draft.code(step.text("sha256")),
        )
        for step in draft.document.records("custody")
    ]
    if not rows:
        return Chapter((draft.paragraph("custody.none"),))
    return Chapter((draft.note("custody.meaning"), draft.table("custody", columns, rows)))


def _step(draft: Draft, what: str, event: Record | None) -> Words:
    """As the event says it; how the picture came is what somebody wrote of it."""
    if what.startswith(RECEIVED):
        return draft.words("custody.received", what=draft.data(what.removeprefix(RECEIVED)))
    same = event is not None and event.text("what") == what
    return draft.event(event) if event is not None and same else draft.recorded(what)


def picture(draft: Draft) -> Chapter:
    """Say which file and which pixels were examined, and how they were decoded."""
    given = draft.document.record("picture")
    facts = draft.facts(
        ("name", draft.data(given.text("name"))),
        ("path", draft.data(_place(given.text("path")))),
        ("format", draft.data(given.text("format"))),
        ("bytes", _bytes(draft, given.whole("bytes"))),
        ("shape", _shape(draft, given.numbers("shape"))),
        ("file_sha256", draft.code(given.text("file_sha256"))),
        ("pixels_sha256", draft.code(given.text("pixels_sha256"))),
        ("id", draft.code(given.text("id"))),
    )
    blocks: list[Block] = [facts]
    if given.text("why_no_pixels"):
        blocks.append(
            draft.paragraph("picture.no_pixels", why=draft.recorded(given.text("why_no_pixels")))
        )
    blocks += draft.figure("picture")
    return Chapter(tuple(blocks), (_decoding(draft), _metadata(draft)))


def _place(path: str) -> str:
    """Where the picture lies, by folders that belong to the case: others may name their user."""
    return path if is_near(path) else f"…/{path.rpartition('/')[2]}"


def _bytes(draft: Draft, n_bytes: int | None) -> Words:
    if n_bytes is None:
        return draft.nothing
    exact, rounded = draft.texts.whole(n_bytes), draft.texts.size(n_bytes)
    return draft.words("picture.bytes", exact=exact, rounded=rounded)


def _shape(draft: Draft, shape: tuple[float, ...]) -> Words:
    if len(shape) != 2:
        return draft.nothing
    rows, cols = (int(side) for side in shape)
    megapixels = draft.texts.number(shape[0] * shape[1] / 1e6, 2)
    return draft.words(
        "picture.shape",
        rows=draft.texts.whole(rows),
        cols=draft.texts.whole(cols),
        megapixels=megapixels,
    )


def _decoding(draft: Draft) -> Part:
    given = draft.document.record("picture")
    facts = draft.facts(
        ("decoder", draft.data(given.text("decoder"))),
        ("orientation", draft.data(given.text("orientation"))),
        ("dtype", draft.data(given.text("dtype"))),
    )
    steps = draft.bullets(given.texts("decoding"))
    blocks = (
        draft.note("picture.decoding"),
        facts,
        *(steps or (draft.paragraph("picture.plain"),)),
    )
    return Part("decoding", draft.words("section.decoding"), blocks)


def _metadata(draft: Draft) -> Part:
    rows = [
        (
            draft.data(entry.text("name")),
            draft.data(entry.text("value")),
            (*draft.recorded(entry.text("remark")),) if entry.text("remark") else (),
        )
        for entry in draft.document.record("picture").records("metadata")
    ]
    title = draft.words("section.metadata")
    if not rows:
        return Part("metadata", title, (draft.paragraph("picture.no_metadata"),))
    columns = (draft.column("name", 1.0), draft.column("value", 2.0), draft.column("remark", 1.2))
    blocks = (draft.note("picture.metadata"), draft.table("metadata", columns, rows))
    return Part("metadata", title, blocks)
