"""Each source against the rest; why it is one, and whether it stays when the picture is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.review.job_line import JobLine
from napari_safire.gui.panels.review.region_table import RegionTableWidget, effect_words
from napari_safire.gui.panels.section import FoldedSection, Rows, button, plain
from napari_safire.session.planes import PlaneKey
from napari_safire.session.review.analyses import ANALYSING, OTHER_PIXELS, MadeAnalysis
from napari_safire.session.review.region_work import COMPARING
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.review.regions import RegionRow, RegionTable

_NOT_YET = "Select a row to see what it says."


class RegionSection(FoldedSection):
    """The region table, and on request what the model's votes and changed copies say.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("Regions", "Each source against the rest of the picture.")
        self._controller, self._review = controller, review
        self._regions, self._analyses = review.regions, review.analyses
        self._shown: object = self
        self.compare = button(
            "Compare sources", "Measure each source against the rest.", self._compare
        )
        self.comparing = JobLine("the comparison of the sources", self._stop_comparing)
        self.state = plain()
        self.state.setAccessibleName("State of the region table")
        self.table = RegionTableWidget()
        self.table.chosen.connect(self._chosen)
        self.detail = plain()
        self.detail.setAccessibleName("The selected row")
        self.others = FoldedSection("Not applicable", "Measures that say nothing here.", quiet=True)
        self.why_not = plain()
        self.others.body.addWidget(self.why_not)
        self.misleads = FoldedSection("When it misleads", "What limits the table.", quiet=True)
        self.notices = plain()
        self.misleads.body.addWidget(self.notices)
        self._add_why(review)
        for widget in (
            Rows([self.compare], 1), self.comparing, self.state, self.table, self.detail,
            self.misleads, self.others, self.why,
        ):  # fmt: skip
            self.body.addWidget(widget)
        session = controller.session
        for signal, slot in (
            (controller.plane_changed, self._show),
            (controller.shown, self._show),
            (session.evidence.changed, self._show_if_here),
            (session.evidence.progress, self._compared_so_far),
            (session.progress, self._analysed_so_far),
            (session.blind.changed, self._show),
            (review.regions.changed, self._show_if_here),
            (review.analyses.changed, self._show),
            (review.work.changed, self._show),
            (review.source_changed, self._show_why),
        ):
            self.connections.connect(signal, slot)
        self._show()

    def _add_why(self, review: ReviewController) -> None:
        self.why = FoldedSection(
            "Why, and how stable",
            "Which patches vote for a source, and what changed copies keep of it.",
            quiet=True,
        )
        self.analyse = button(
            "Analyse",
            "Ask the model about the picture's file again, and about changed copies of it.",
            review.analyse,
        )
        self.votes = button(
            "Votes as layer",
            "Lay over the picture how sure each patch is of its source.",
            review.show_votes,
        )
        self.analysing = JobLine("the analysis", self._analyses.cancel)
        self.told = plain()
        self.told.setAccessibleName("Why this region, and how stable it is")
        self.legend = plain()
        self.legend.setAccessibleName("What the colours of the votes mean")
        for widget in (
            Rows([self.analyse, self.votes], 2), self.analysing, self.told, self.legend,
        ):  # fmt: skip
            self.why.body.addWidget(widget)

    # ---------------------------------------------------------------- what users do

    def _compare(self) -> None:
        if self._controller.key is not None:
            self._regions.compare(self._controller.key)

    def _stop_comparing(self) -> None:
        if self._controller.key is not None:
            self._regions.cancel(self._controller.key)

    def _chosen(self, row: RegionRow) -> None:
        self._review.choose_source(row.source)
        compared = self._regions.of(self._controller.key)
        if compared is None:
            return
        self.detail.setText(effect_words(compared.table, row))
        if row.source in compared.bounds:
            self._review.sight.show_part(compared.bounds[row.source])

    # ---------------------------------------------------------------- what is shown

    def _show_if_here(self, key: PlaneKey) -> None:
        if key == self._controller.key:
            self._show()

    def _compared_so_far(self, key: PlaneKey, name: str, done: int, total: int, stage: str) -> None:
        if key == self._controller.key and name == COMPARING:
            self.comparing.show_progress(done, total)

    def _analysed_so_far(self, text: str, done: int, total: int) -> None:
        if text.startswith(ANALYSING):
            self.analysing.show_progress(done, total)
        self.analysing.show_asked(self._analyses.is_asked)

    def _show(self, _: object = None) -> None:
        key = self._controller.key
        compared = self._regions.of(key)
        asked = self._regions.is_asked(key)
        self.comparing.show_asked(asked)
        self.compare.setEnabled(key is not None and not asked)
        outdated = key is not None and self._regions.is_outdated(key)
        self.state.setText("The sources have changed since: compare again." if outdated else "")
        self.state.setVisible(outdated)
        if compared is not self._shown:
            self._shown = compared
            self._show_table(None if compared is None else compared.table)
        told = [_sources_words(self._controller)]
        if compared is not None:
            told.append(outlier_words(compared.table))
        self.say_beside_title(", ".join(filter(None, told)))
        self._show_why()

    def _show_table(self, table: RegionTable | None) -> None:
        self.table.show_table(table)
        self.detail.setText(_NOT_YET if self.table.rows else "")
        self.detail.setVisible(bool(self.table.rows))
        rows = () if table is None else table.rows
        lines = [
            f"source {row.source}, {row.measure}: {row.why_not}"
            for row in rows
            if not row.applicable
        ]
        self.why_not.setText("\n".join(map(printable, lines)))
        self.others.say_beside_title(str(len(lines)))
        self.others.setVisible(bool(lines))
        self.notices.setText("" if table is None else printable(" ".join(table.notices)))
        self.misleads.setVisible(bool(self.notices.text()))

    def _show_why(self) -> None:
        made = self._analyses.of(self._controller.key)
        asked = self._analyses.is_asked
        self.analysing.show_asked(asked)
        self.analyse.setEnabled(not asked and self._controller.key is not None)
        hidden = self._controller.session.blind.hides(self._controller.key)
        words = "" if made is None else why_words(made, self._review.source, hidden=hidden)
        self.told.setText(words)
        self.told.setVisible(bool(words))
        votes = None if made is None else made.analysis.votes
        several = votes is not None and len(votes.of) > 1  # one: nothing to be sure of
        self.votes.setVisible(several)
        self.legend.setVisible(several)
        self.legend.setText(f"Votes. {votes.legend}" if votes is not None else "")


def why_words(made: MadeAnalysis, source: int | None, *, hidden: bool) -> str:
    """Say what votes and changed copies say, a line each.

    Parameters
    ----------
    made : MadeAnalysis
    source : int or None
        As numbered on screen; None: of all.
    hidden : bool
        Whether the model's verdict is not to be told.
    """
    analysis = made.analysis
    if not made.is_shown:
        source = None
    if analysis.labels is None:
        return "The picture's pixels cannot be read: the model was not asked."
    number = None if source is None else made.numbers.get(source)
    if source is not None and number is None:
        return f"The model does not find source {source}: it was drawn, or its settings differ."
    lines = [] if made.is_shown else [OTHER_PIXELS]
    if number is not None and number != source:
        lines.append(f"In the report this source is number {number}.")
    if analysis.votes is not None:
        votes = analysis.votes
        lines.append(votes.words if number is None else votes.of[number - 1].words)
    if analysis.stability is not None:
        stability = analysis.stability
        of = stability.of if number is None else [stability.of[number - 1]]
        lines += [one.words for one in of]
    if hidden:
        lines.append("What changed copies say of the verdict is hidden until you have given yours.")
    else:
        if analysis.stability is not None and number is None:
            lines = [*lines[: 1 + (not made.is_shown)], *analysis.stability.sentences]
        if analysis.saved_again is not None:
            lines += [one.words for one in analysis.saved_again.copies]
    return "\n".join(lines)


def _sources_words(controller: ViewerController) -> str:
    plane = controller.plane
    snapshot = None if plane is None else plane.snapshot
    number = 0 if snapshot is None else sum(label > 0 for label in snapshot.areas)
    return "" if not number else "1 source" if number == 1 else f"{number} sources"


def outlier_words(table: RegionTable) -> str:
    """Say in a few words how many rows stand out."""
    if not any(row.applicable for row in table.rows):
        return "nothing to compare"
    number = len(table.outliers)
    if not number:
        return "nothing stands out"
    return "1 outlier" if number == 1 else f"{number} outliers"
