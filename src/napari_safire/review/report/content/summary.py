"""What a reader who reads one page reads: question, answers, and how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from napari_safire.review.report.blocks import Block, Box, Facts, Paragraph, Words
from napari_safire.review.report.catalogue import ENGLISH
from napari_safire.review.report.content.draft import Draft
from napari_safire.review.report.content.ratios import support_words
from napari_safire.review.report.record import Record

_LONGEST_NUMBER = 40  # characters of a case's number that the head of a page has room for


def page_head(draft: Draft) -> tuple[Words, ...]:
    """Say on each page what it belongs to: case, report, chain of events."""
    document = draft.document
    number = document.record("case").text("number")
    if len(number) > _LONGEST_NUMBER:
        number = number[:_LONGEST_NUMBER] + "…"
    return (
        draft.words("page.case", number=draft.data(number)),
        draft.words("page.report", digest=draft.short_hash(document.text("digest"))),
        draft.words("page.head", head=draft.short_hash(document.text("head"))),
    )


def summary(draft: Draft) -> Box:
    """Write the summary."""
    document = draft.document
    made, picture = document.record("made"), document.record("picture")
    name = draft.words(
        "summary.picture",
        name=draft.data(picture.text("name")),
        sha256=draft.short_hash(picture.text("file_sha256")),
    )
    rows = [
        (draft.words("label.question"), draft.data(document.record("case").text("question"))),
        (draft.words("label.picture"), name),
        *_answers(draft),
        (draft.words("label.program"), program_answer(draft)),
    ]
    limits = len(document.items("limitations"))
    if limits:
        told = draft.words("summary.limitations", n=draft.texts.whole(limits))
        rows.append((draft.words("section.limitations"), told))
    blocks: list[Block] = [Facts(tuple(rows)), Paragraph(draft.words("summary.caveat"), "caveat")]
    blocks.append(
        draft.note(
            "summary.made",
            by=draft.data(made.text("by")),
            at=draft.moment(made.text("at")),
            version=_program(draft, made),
        )
    )
    if draft.texts.language != ENGLISH:
        blocks.append(draft.note("summary.recorded"))
    return Box(draft.words("summary.title"), tuple(blocks))


def _strong(words: Words) -> Words:
    return tuple(replace(run, strong=True) for run in words)


def _program(draft: Draft, made: Record) -> Words:
    program = made.record("program")
    return draft.data(f"{program.text('name')} {program.text('version')}".strip())


def _answers(draft: Draft) -> Iterator[tuple[Words, Words]]:
    reviews = draft.document.records("reviews")
    if not reviews:
        yield draft.words("label.examiner"), draft.words("summary.no_review")
    for review in reviews:
        label = draft.words("summary.by", name=draft.data(review.text("reviewer")))
        answer = judgement_words(draft, review.record("judgement"))
        yield label, (*_strong(answer), *_countersigned(draft, review))


def _countersigned(draft: Draft, review: Record) -> Words:
    found: Words = ()
    for signature in review.records("countersignatures"):
        stance = draft.texts.term("countersigned", signature.text("stance"))
        name = draft.data(signature.text("by"))
        found += draft.words("summary.countersigned", stance=stance, name=name)
    return found


def judgement_words(draft: Draft, judgement: Record) -> Words:
    """Say what was judged, of what type, and how strongly the findings support it."""
    if not judgement.text("verdict"):
        return draft.words("judgement.none")
    verdict: Words = (draft.texts.term("verdict", judgement.text("verdict")),)
    types = tuple((draft.texts.term("type", kind),) for kind in judgement.texts("types"))
    if types:
        verdict = draft.words("judgement.of_type", verdict=verdict, types=draft.joined(types))
    confidence = judgement.text("confidence")
    if not confidence:
        return verdict
    support = draft.texts.term("support", confidence)
    return draft.words("judgement.supported", verdict=verdict, support=support)


def program_answer(draft: Draft) -> Words:
    """Say what the program's verdict is; with its likelihood ratio where it accuses."""
    verdict = draft.document.record("model_verdict")
    if not verdict.text("verdict"):
        return draft.words("program.none")
    word = replace(draft.texts.term("program_verdict", verdict.text("verdict")), strong=True)
    ratio = verdict.number("likelihood_ratio")
    if verdict.text("verdict") == "forged" and ratio is not None and ratio > 0:
        return draft.words(
            "program.with_ratio",
            verdict=word,
            ratio=draft.number(ratio, 2),
            support=support_words(draft, ratio),
        )
    reason = verdict.text("reason")
    return (
        draft.words("program.because", verdict=word, reason=draft.recorded(reason))
        if reason
        else (word,)
    )
