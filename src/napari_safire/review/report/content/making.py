"""The whole report, part after part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_safire.review.report.blocks import Content, Section
from napari_safire.review.report.catalogue import Texts
from napari_safire.review.report.content import analysis, identity, judgement, log, methods, summary
from napari_safire.review.report.content.draft import Chapter, Draft

# Findings before what they mean: standards ask for that order (ISO/IEC 27042, ENFSI 2015).
_CHAPTERS: tuple[tuple[str, Callable[[Draft], Chapter]], ...] = (
    ("case", identity.case),
    ("custody", identity.custody),
    ("picture", identity.picture),
    ("method", methods.method),
    ("partition", analysis.partition),
    ("views", analysis.views),
    ("findings", judgement.findings),
    ("verdicts", judgement.verdicts),
    ("limitations", log.limitations),
    ("settings", log.settings),
    ("events", log.events),
    ("verification", log.verification),
)


def make_content(
    document: Mapping[str, Any], texts: Texts, sizes: Mapping[str, tuple[int, int]]
) -> Content:
    """Say what a report says, in one language.

    Parameters
    ----------
    document : mapping
        Of `napari_safire.review.report.document`; what is missing in it is said to be missing.
    texts : Texts
    sizes : mapping of str to (int, int)
        Rows and columns of the figures that can be drawn, by their ids.

    Returns
    -------
    Content
    """
    draft = Draft(document, texts, sizes)
    made = draft.document.record("made")
    box = summary.summary(draft)
    sections: list[Section] = []
    for place, (anchor, write) in enumerate(_CHAPTERS, 1):
        chapter = write(draft)
        sections.append(
            Section(anchor, str(place), draft.words(f"section.{anchor}"), chapter.blocks)
        )
        sections += [
            Section(part.anchor, f"{place}.{n}", part.title, part.blocks)
            for n, part in enumerate(chapter.parts, 1)
        ]
    return Content(
        title=draft.words("title"),
        author=made.text("by"),
        made_at=made.text("at"),
        head=summary.page_head(draft),
        summary=box,
        sections=tuple(sections),
    )
