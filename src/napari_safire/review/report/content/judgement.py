"""What people saw, and, apart from it, what they and the program make of it."""

from __future__ import annotations

from collections.abc import Iterable

from napari_safire.review.report.blocks import Block, Box, Bullets, Paragraph, Run, Words
from napari_safire.review.report.content.draft import Chapter, Draft, Part
from napari_safire.review.report.content.ratios import ratio_words
from napari_safire.review.report.content.summary import judgement_words
from napari_safire.review.report.record import Record


def findings(draft: Draft) -> Chapter:
    """Lay out the findings; what they mean is said elsewhere."""
    found = draft.document.records("findings")
    if not found:
        return Chapter((draft.paragraph("findings.none"),))
    boxes = (_finding(draft, finding, place) for place, finding in enumerate(found, 1))
    return Chapter((draft.paragraph("findings.meaning"), *boxes))


def _finding(draft: Draft, finding: Record, order: int) -> Block:
    title = draft.words(
        "findings.title",
        number=finding.text("number") or str(order),
        view=draft.view(finding.text("view")),
    )
    label = draft.words(
        "findings.label",
        kind=draft.texts.term("kind", finding.text("kind")),
        status=draft.texts.term("status", finding.text("status")),
    )
    rows = [("place", _viewport(draft, finding))]
    if finding.whole("source") is not None:
        rows.append(("source", draft.data(finding.text("source"))))
    if finding.items("plane"):
        rows.append(("plane", draft.value(finding.values["plane"])))
    rows += [
        ("parameters", draft.value(finding.values.get("parameters"))),
        ("by", draft.data(finding.text("by"))),
        ("at", draft.moment(finding.text("at"))),
    ]
    file = finding.text("file_sha256")
    if file not in ("", draft.document.record("picture").text("file_sha256")):
        rows.append(("other_file", draft.code(file)))
    if (finding.whole("revision") or 1) > 1:
        rows.append(("revision", draft.data(finding.text("revision"))))
    comment = draft.comment(finding.text("comment")) or (draft.paragraph("findings.no_comment"),)
    figure = draft.figure(finding.text("figure")) if finding.text("figure") else ()
    return Box(title, (Paragraph(label, "label"), *comment, *figure, draft.facts(*rows)))


def _viewport(draft: Draft, finding: Record) -> Words:
    """Name the part that was on screen, given as bounds or as corner and size."""
    bounds = finding.numbers("viewport")
    given = finding.record("viewport")
    row, col, height, width = (given.number(key) for key in ("row", "col", "height", "width"))
    if row is not None and col is not None and height is not None and width is not None:
        bounds = (row, col, row + height, col + width)
    return draft.place(bounds) if bounds else draft.words("findings.no_place")


def verdicts(draft: Draft) -> Chapter:
    """Say what the findings mean: to each reviewer, and to the program."""
    reviews = draft.document.records("reviews")
    blocks: list[Block] = [draft.paragraph("verdicts.meaning")]
    if not reviews:
        blocks.append(draft.paragraph("verdicts.no_review"))
    parts = [_review(draft, review, place) for place, review in enumerate(reviews, 1)]
    return Chapter(tuple(blocks), (*parts, _program(draft)))


def _review(draft: Draft, review: Record, order: int) -> Part:
    judgement = review.record("judgement")
    blocks: list[Block] = [*_order(draft, review)]
    if judgement:
        blind = "verdicts.blind" if judgement.flag("blind") else "verdicts.not_blind"
        blocks.insert(0, draft.paragraph(blind))
    blocks.append(_checklist(draft, review))
    rows = [("verdict", judgement_words(draft, judgement))]
    if judgement.text("at"):
        rows.append(("at", draft.moment(judgement.text("at"))))
    if judgement.text("sha256"):
        rows.append(("event_sha256", draft.code(judgement.text("sha256"))))
    blocks.append(draft.facts(*rows))
    if judgement.records("sources"):
        blocks.append(_source_verdicts(draft, judgement))
    text = review.text("interpretation") or judgement.text("interpretation")
    said = draft.comment(text) or (draft.paragraph("verdicts.no_interpretation"),)
    blocks += [Paragraph(draft.words("verdicts.interpretation"), "label"), *said]
    if judgement:
        blocks += _signatures(draft, review)
    title = draft.words("section.review", name=draft.data(review.text("reviewer")))
    return Part(f"review-{order}", title, tuple(blocks))


def _order(draft: Draft, review: Record) -> Iterable[Block]:
    """What was seen before what; documents of before have it in English alone."""
    items = []
    for step in review.items("order"):
        what, at = draft.sentence(step), Record(step).text("at")
        at_what = draft.words("order.line", at=draft.moment(at, "short"), what=what)
        items.append(at_what if at else what)
    return (Bullets(tuple(items)),) if items else ()


def _checklist(draft: Draft, review: Record) -> Block:
    answered = review.records("checklist")
    if not answered:
        return draft.paragraph("verdicts.no_checklist")
    columns = (
        draft.column("question", 2.4),
        draft.column("answer", 0.7),
        draft.column("note", 1.6),
    )
    rows = [
        (
            (draft.texts.term("checklist", of.text("question")),),
            (draft.texts.term("answer", of.text("answer")),),
            draft.data(of.text("note")) if of.text("note") else (),
        )
        for of in answered
    ]
    return draft.table("checklist", columns, rows)


def _source_verdicts(draft: Draft, judgement: Record) -> Block:
    columns = (
        draft.column("source", 0.5, numbers=True),
        draft.column("verdict", 2.0),
        draft.column("note", 2.0),
    )
    rows = [
        (
            (Run(of.text("number") or of.text("source")),),
            judgement_words(draft, of),
            draft.data(of.text("note")) if of.text("note") else (),
        )
        for of in judgement.records("sources")
    ]
    return draft.table("source_verdicts", columns, rows)


def _signatures(draft: Draft, review: Record) -> Iterable[Block]:
    """A reviewer's own signature is no second opinion."""
    given = review.records("countersignatures")
    boxes = tuple(_signature(draft, of) for of in given)
    if any(of.text("by") != review.text("reviewer") for of in given):
        return boxes
    return (*boxes, draft.paragraph("verdicts.no_signature"))


def _signature(draft: Draft, signature: Record) -> Block:
    stance = draft.texts.term("stance", signature.text("stance"))
    name = draft.data(signature.text("by"))
    rows = [
        ("at", draft.moment(signature.text("at"))),
        ("head", draft.code(signature.text("head"))),
    ]
    if signature.text("key"):
        rows.append(("key", draft.code(signature.text("key"))))
    signed = "verdicts.ssh" if signature.text("signature") else "verdicts.name_alone"
    title = draft.words("verdicts.countersigned", name=name, stance=stance)
    reason = draft.comment(signature.text("reason"))
    return Box(title, (*reason, draft.facts(*rows), draft.note(signed)))


def _program(draft: Draft) -> Part:
    given = draft.document.record("model_verdict")
    title = draft.words("section.program")
    if not given:
        return Part(
            "program", title, (draft.paragraph("program.none_given"), *draft.figure("forgery-map"))
        )
    rows: list[tuple[str, Words]] = [
        ("verdict", (draft.texts.term("program_verdict", given.text("verdict")),))
    ]
    reason, obstacle = given.text("reason"), given.text("obstacle")
    rows += [("reason", draft.recorded(reason))] if reason else []
    rows += [("obstacle", draft.recorded(obstacle))] if obstacle not in ("", reason) else []
    rows.append(("probability", draft.share(given.number("score"))))
    rows.append(("likelihood_ratio", _ratio(draft, given)))
    accused = given.records("regions")
    if accused:
        rows.append(("accused", draft.joined(_accused(draft, of) for of in accused)))
    alone = given.record("network_alone")
    if alone:
        rows.append(("network_alone", _alone(draft, alone)))
    blocks: list[Block] = [draft.facts(*rows), draft.note("ratio.no_probability")]
    if given.text("verdict") != "forged":
        blocks.append(draft.note("program.not_relied_on"))
    if given.records("contributions"):
        blocks += [_contributions(draft, given), draft.note("program.weights")]
    figure = draft.figure("forgery-map")
    blocks += figure
    if given.text("caveat") and not figure:  # its caption has it
        blocks.append(Paragraph(draft.recorded(given.text("caveat")), "caveat"))
    return Part("program", title, tuple(blocks))


def _ratio(draft: Draft, given: Record) -> Words:
    """What the ratio means; of a score that is not trusted, that it means nothing."""
    ratio, means = given.number("likelihood_ratio"), given.text("means")
    if given.text("obstacle") and given.text("verdict") == "inconclusive" and means:
        return draft.recorded(means)
    if ratio is None or ratio <= 0:
        return draft.recorded(means)
    return ratio_words(draft, ratio)


def _accused(draft: Draft, region: Record) -> Words:
    share = draft.share(region.number("share"))
    return draft.words("program.accused", view=draft.view(region.text("name")), share=share)


def _alone(draft: Draft, alone: Record) -> Words:
    return draft.words(
        "program.alone",
        verdict=draft.texts.term("program_verdict", alone.text("verdict")),
        ratio=draft.number(alone.number("likelihood_ratio"), 2),
    )


def _contributions(draft: Draft, given: Record) -> Block:
    columns = (
        draft.column("evidence", 1.2),
        draft.column("weight", 0.8),
        draft.column("log_odds", 0.8, numbers=True),
        draft.column("words", 2.6),
    )
    rows = [
        (
            (draft.view(of.text("name")),),
            (draft.texts.term("weight", of.text("weight")),),
            draft.number(of.number("log_odds"), 2),
            draft.recorded(of.text("words")),
        )
        for of in given.records("contributions")
    ]
    return draft.table("contributions", columns, rows)
