"""What others need to repeat and to check it: limits, settings, versions, events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_safire.review.report.blocks import Block, Bullets, Facts, Run, Words
from napari_safire.review.report.content.draft import Chapter, Draft, Part

_VERIFY = "napari-safire report verify report.json"


def limitations(draft: Draft) -> Chapter:
    """Say what limits every report, and this one."""
    of_all = tuple(draft.paragraph(f"limitations.{key}") for key in ("always", "unfound"))
    items = tuple(draft.sentence(one) for one in draft.document.items("limitations") if one)
    of_this = (Bullets(items),) if items else ()
    return Chapter((*of_all, *(of_this or (draft.paragraph("limitations.none"),))))


def settings(draft: Draft) -> Chapter:
    """List all parameters and seeds, and the versions of what computed."""
    rows = tuple(_settings(draft, draft.document.values.get("settings"), ""))
    blocks: tuple[Block, ...] = (Facts(rows),) if rows else (draft.paragraph("settings.none"),)
    made = draft.document.record("made")
    versions = made.record("versions").values
    named = tuple((draft.data(str(name)), draft.value(value)) for name, value in versions.items())
    computed = draft.facts(
        ("machine", draft.data(made.text("machine"))),
        ("made_by", draft.data(made.text("by"))),
        ("made_at", draft.moment(made.text("at"))),
    )
    part = Part("versions", draft.words("section.versions"), (computed, Facts(named)))
    return Chapter((draft.note("settings.meaning"), *blocks, *draft.remaining_figures()), (part,))


def _settings(draft: Draft, values: Any, before: str) -> Iterator[tuple[Words, Words]]:
    if not isinstance(values, Mapping):
        return
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(draft, value, f"{before}{name}.")
        else:
            yield (Run(f"{before}{name}", "code"),), draft.value(value)


def events(draft: Draft) -> Chapter:
    """List the events of the case, each of which holds the hash of the one before."""
    given = draft.document.records("events")
    head = draft.facts(("head", draft.code(draft.document.text("head"))))
    if not given:
        return Chapter((draft.paragraph("events.none"), head))
    columns = (
        draft.column("sequence", 0.5, numbers=True),
        draft.column("at", 1.0),
        draft.column("by", 1.1),
        draft.column("machine", 0.8),
        draft.column("event", 1.4),
        draft.column("what", 2.0),
        draft.column("sha256", 1.2),
    )
    rows = [
        (
            draft.data(event.text("sequence")),
            draft.moment(event.text("at"), "short"),
            draft.data(event.text("author")),
            draft.data(event.text("machine")),
            draft.code(event.text("kind")),
            draft.event(event),
            draft.short_hash(event.text("sha256")),
        )
        for event in given
    ]
    return Chapter((draft.note("events.meaning"), head, draft.table("events", columns, rows)))


def verification(draft: Draft) -> Chapter:
    """Say how somebody else finds out whether all of this is so."""
    digest = draft.document.text("digest")
    blocks = (
        draft.paragraph("verification.how"),
        draft.facts(
            ("command", draft.code(_VERIFY)),
            ("digest", draft.code(digest)),
        ),
        draft.paragraph("verification.what"),
        draft.paragraph("verification.means"),
    )
    return Chapter(blocks)
