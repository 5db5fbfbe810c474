"""How it was examined: what the program does, with which model, and what its numbers mean."""

from __future__ import annotations

from napari_safire.review.report.blocks import Block, Facts
from napari_safire.review.report.content.draft import Chapter, Draft, Part
from napari_safire.review.report.content.ratios import scale_table
from napari_safire.review.values import FINDING_KINDS


def method(draft: Draft) -> Chapter:
    """Say what was done, by which model, and on which scale."""
    blocks = tuple(
        draft.paragraph(f"method.{key}") for key in ("order", "partition", "views", "verdict")
    )
    return Chapter(blocks, (_model(draft), _scale(draft), _kinds(draft)))


def _model(draft: Draft) -> Part:
    given, made = draft.document.record("model"), draft.document.record("made")
    device = given.text("device") or made.text("device")
    facts = draft.facts(
        ("model", draft.data(given.text("name"))),
        ("checkpoint", draft.code(given.text("sha256"))),
        ("architecture", draft.data(given.text("architecture"))),
        ("precision", draft.data(given.text("precision"))),
        ("algorithm", draft.data(given.text("algorithm"))),
        ("device", draft.data(device)),
    )
    blocks: list[Block] = [facts]
    card = given.records("card")
    if card:
        rows = [(draft.recorded(of.text("name")), draft.recorded(of.text("value"))) for of in card]
        columns = (draft.column("figure", 1.2), draft.column("value", 1.0))
        blocks.append(draft.table("card", columns, rows))
    calibration = given.record("calibration")
    if calibration:
        blocks += [draft.note("method.calibration"), _calibration(draft)]
    else:
        blocks.append(draft.paragraph("method.uncalibrated"))
    return Part("model", draft.words("section.model"), tuple(blocks))


def _calibration(draft: Draft) -> Facts:
    of = draft.document.record("model").record("calibration")
    shares = ("false_alarm_rate", "highest_false_alarm_rate", "miss_rate")
    numbers = ("n_authentic", "n_forged", "forged_above", "clean_below", "slope", "intercept")
    return draft.facts(
        ("basis", draft.recorded(of.text("basis"))),
        *((name, draft.share(of.number(name))) for name in shares),
        *((name, draft.number(of.number(name))) for name in numbers),
    )


def _scale(draft: Draft) -> Part:
    blocks = (
        draft.paragraph("ratio.meaning"),
        scale_table(draft),
        draft.note("ratio.no_probability"),
    )
    return Part("scale", draft.words("section.scale"), blocks)


def _kinds(draft: Draft) -> Part:
    rows = tuple(
        ((draft.texts.term("kind", kind),), (draft.texts.term("kind_meaning", kind),))
        for kind in FINDING_KINDS
    )
    return Part("kinds", draft.words("section.kinds"), (Facts(rows),))
