"""How far the partition holds: who votes for it, and what stays of it in changed copies."""

from __future__ import annotations

from napari_safire.review.report.blocks import Block, Run
from napari_safire.review.report.content.draft import Draft, Part
from napari_safire.review.report.record import Record, as_number


def voting(draft: Draft) -> Part | None:
    """Say how many votes each source has, and how sure; None where nobody counted."""
    given = draft.document.record("voting")
    if not given:
        return None
    columns = (
        draft.column("source", 0.5, numbers=True),
        draft.column("votes", 0.6, numbers=True),
        draft.column("sure", 0.6, numbers=True),
        draft.column("between", 0.8, numbers=True),
        draft.column("nearest", 0.8, numbers=True),
        draft.column("median", 0.8, numbers=True),
        draft.column("words", 3.0),
    )
    rows = [
        (
            (Run(of.text("number")),),
            draft.number(of.number("votes")),
            draft.number(of.number("sure")),
            draft.number(of.number("between")),
            (Run(of.text("nearest")),) if of.text("nearest") else (),
            draft.number(of.number("median"), 2),
            draft.recorded(of.text("words")),
        )
        for of in given.records("sources")
    ]
    units = draft.texts.term("units", given.text("units"))
    blocks = (
        draft.paragraph("voting.meaning", units=units),
        *_said(draft, given),
        draft.table("voting", columns, rows),
        draft.note(
            "voting.bounds",
            sure=draft.number(given.number("sure_from")),
            between=draft.number(given.number("between_from")),
            none=draft.number(given.number("no_vote")),
        ),
    )
    return Part("voting", draft.words("section.voting"), blocks)


def stability(draft: Draft) -> Part | None:
    """Say which sources stay when the picture is cropped, compressed or resized."""
    given = draft.document.record("stability")
    if not given:
        return None
    blocks: list[Block] = [
        draft.paragraph("stability.meaning", bound=draft.number(given.number("kept_from"))),
        *_said(draft, given),
    ]
    columns = (
        draft.column("source", 0.5, numbers=True),
        draft.column("kept", 0.8, numbers=True),
        draft.column("median_iou", 0.8, numbers=True),
        draft.column("least_iou", 0.8, numbers=True),
        draft.column("worst", 2.0),
    )
    rows = [
        (
            (Run(of.text("number")),),
            draft.words("stability.of", kept=of.text("kept"), runs=of.text("runs")),
            draft.number(of.number("median_iou"), 2),
            draft.number(of.number("least_iou"), 2),
            draft.recorded(of.text("worst")),
        )
        for of in given.records("sources")
    ]
    blocks += [draft.table("stability", columns, rows), _runs(draft, given, "runs")]
    return Part("stability", draft.words("section.stability"), tuple(blocks))


def saved_again(draft: Draft) -> Part | None:
    """Say what becomes of partition and verdict when the same picture is saved once more."""
    given = draft.document.record("saved_again")
    if not given:
        return None
    blocks = (
        draft.paragraph("saved_again.meaning"),
        *draft.bullets(copy.text("words") for copy in given.records("copies")),
        *draft.bullets((given.text("notice"),)),
        _runs(draft, given, "copies"),
    )
    return Part("saved-again", draft.words("section.saved_again"), blocks)


def _said(draft: Draft, given: Record) -> tuple[Block, ...]:
    return draft.bullets((given.text("words"),))


def _runs(draft: Draft, given: Record, key: str) -> Block:
    columns = (
        draft.column("change", 1.0),
        draft.column("n_sources", 0.6, numbers=True),
        draft.column("ious", 2.0),
        draft.column("program_verdict", 1.4),
        draft.column("score_after", 0.8, numbers=True),
    )
    rows = []
    for run in given.records(key):
        verdict = run.text("verdict")
        ious = (draft.number(as_number(value), 2) for value in run.items("ious"))
        rows.append(
            (
                draft.recorded(run.text("name")),
                draft.data(run.text("n_sources")),
                draft.joined(ious),
                (draft.texts.term("program_verdict", verdict),) if verdict else draft.nothing,
                draft.number(run.number("score"), 2),
            )
        )
    return draft.table(key, columns, rows)
