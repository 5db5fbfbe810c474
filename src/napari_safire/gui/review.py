"""The dock widget *SAFIRE Review*: views, findings, a verdict of one's own, and a report."""

from __future__ import annotations

from collections.abc import Iterator

import napari

from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.panels.annotate.verdict_panel import VerdictPanel
from napari_safire.gui.panels.curate.manifest_section import ManifestSection
from napari_safire.gui.panels.curate.queue_line import QueueLine
from napari_safire.gui.panels.drops import Dropped, is_result_or_list
from napari_safire.gui.panels.evidence.section import EvidenceSection
from napari_safire.gui.panels.review.case_section import CaseSection
from napari_safire.gui.panels.review.compare_section import CompareSection
from napari_safire.gui.panels.review.finding_section import FindingSection
from napari_safire.gui.panels.review.judgement_section import JudgementSection
from napari_safire.gui.panels.review.next_step import NextStep
from napari_safire.gui.panels.review.region_section import RegionSection
from napari_safire.gui.panels.review.report_section import ReportSection
from napari_safire.gui.panels.section import Rows, Section, button
from napari_safire.gui.preferences import Preferences
from napari_safire.project.store import is_project
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.text import isolated


class ReviewWidget(WorkspaceDock):
    """Look at a picture view by view, note what is seen, and give a verdict that stands.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari hands it in.
    load_engine : callable, optional
        How models are loaded, where this dock is the viewer's first; see `Workspace`.
    """

    name = "SAFIRE Review"

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load_engine: LoadEngine | None = None
    ) -> None:
        super().__init__(napari_viewer, load_engine)
        workspace = self.workspace
        workspace.need_model()
        review = workspace.review
        self.queue_line = QueueLine(workspace.queue, self.show_curate, steps=True)
        self.chosen = ManifestSection(self.controller, workspace.queue)
        self.case = CaseSection(self.controller, review)
        self.next = NextStep(self.controller, review)
        self.note = button(
            "Note finding", "Note what you see in the open view, and where (Shift+B).", review.note
        )
        self.verdict = VerdictPanel(self.controller)
        self.verdict.prior = workspace.preferences.prior_percent / 100
        self.evidence = EvidenceSection(self.controller, workspace.evidence)
        self.compare = CompareSection(workspace.comparison)
        self.reveal = button(
            "Show the model's verdict",
            "Look at it before you give your own; the report will say so.",
            review.work.reveal,
        )
        self.regions = RegionSection(self.controller, review)
        self.findings = FindingSection(self.controller, review)
        self.judgement = JudgementSection(self.controller, review)
        self.report = ReportSection(self.controller, review)
        sections: list[Section] = [
            self.queue_line, self.chosen, self.case, self.next, self.verdict, self.evidence,
            self.compare, self.regions, self.findings, self.judgement, self.report,
        ]  # fmt: skip
        shown = [
            self.queue_line, self.chosen, self.case, self.next, self.verdict,
            Rows([self.note, self.reveal], 2), self.evidence, self.compare, self.regions,
            self.findings, self.judgement, self.report,
        ]  # fmt: skip
        self._lay_out(shown, [*sections, _Begun(review)])
        for signal in (self.controller.session.blind.changed, review.work.changed):
            self._connections.connect(signal, self._show_reveal)
        self._connections.connect(workspace.watch.changed, self._preferences_changed)
        self._body.addStretch(1)
        review.begin()
        self._show_reveal()

    def _preferences_changed(self, preferences: Preferences) -> None:
        self.verdict.prior = preferences.prior_percent / 100

    def _show_reveal(self, _: object = None) -> None:
        is_open = self.workspace.review.work.opened is not None
        self.reveal.setVisible(is_open and self.verdict.is_hidden)

    def take_dropped(self, dropped: Dropped) -> Iterator[str]:
        """See `WorkspaceDock`: the folder of a case, or results to go through."""
        if dropped.queue is not None and is_project(dropped.queue):
            self.case.open_folder(dropped.queue)
        elif dropped.queue is not None and is_result_or_list(dropped.queue):
            self.workspace.queue.work.open_queue(dropped.queue)
        elif dropped.queue is not None:
            name = isolated(dropped.queue.name)
            yield f"{name} holds no case: drop it on the dock SAFIRE Curate."
        if dropped.model is not None:
            yield f"{isolated(dropped.model.name)} is a model: drop it on the dock SAFIRE."


class _Begun:
    """What ends with the dock: cases are let go with the last one."""

    def __init__(self, review: ReviewController) -> None:
        self._review = review

    def close_section(self) -> None:
        """See `Closable`."""
        self._review.end()
