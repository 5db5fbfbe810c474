"""The review of one viewer's pictures: between layers, keys and docks, and the work on cases."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_safire.forensics import Evidence
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.evidence import EvidenceController
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.review.sight import ReviewSight
from napari_safire.gui.controllers.view_comparison import ViewComparison
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.image_planes import picture_id
from napari_safire.review.voting import VOTES
from napari_safire.session.review.analyses import OTHER_PIXELS, Analyses, MadeAnalysis
from napari_safire.session.review.cases import Selected
from napari_safire.session.review.region_work import RegionWork
from napari_safire.session.review.report_work import ReportWork
from napari_safire.session.review.work import ReviewWork

_TYPED_MS = 1_000  # until what was typed is written down


class ReviewController:
    """What the dock *SAFIRE Review* stands on; it works while such a dock is open.

    Parameters
    ----------
    controller : ViewerController
    evidence : EvidenceController
    switch : ViewSwitch
    queue : QueueController
    comparison : ViewComparison

    Attributes
    ----------
    work : ReviewWork
        Keeps what is said.
    sight : ReviewSight
        What is looked at.
    regions : RegionWork
        Tables of sources.
    analyses : Analyses
    reports : ReportWork
    source : int or None
        The source that is selected in the table of sources.
    source_changed : Signal()
        `source` is another one.
    note_wanted : Signal()
        A finding is to be noted of what is looked at.
    is_wanted : Signal()
        The dock is needed.
    """

    source_changed = Signal()
    note_wanted = Signal()
    is_wanted = Signal()

    def __init__(
        self,
        controller: ViewerController,
        evidence: EvidenceController,
        switch: ViewSwitch,
        queue: QueueController,
        comparison: ViewComparison,
    ) -> None:
        self._controller, self._queue, self._evidence = controller, queue, evidence
        self.work = ReviewWork(controller.session)
        self.sight = ReviewSight(controller, evidence, switch, comparison)
        self.regions = RegionWork(controller.session)
        self.analyses = Analyses(controller.session)
        self.reports = ReportWork(controller.session, self.work, self.analyses)
        self.source: int | None = None
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.setInterval(_TYPED_MS)
        self._later.timeout.connect(self.work.flush)
        self._n_docks = 0
        self.connections = Connections()
        for signal, slot in (
            (controller.plane_changed, self._select),
            (queue.work.changed, self._select),
            (controller.viewer.layers.events.removed, self._layer_removed),
            (controller.session.partitioned, self.work.verdict_came),
        ):
            self.connections.connect(signal, slot)

    # ---------------------------------------------------------------- docks

    def begin(self) -> None:
        """A dock for reviews is open: cases of the pictures that are selected are opened."""
        self._n_docks += 1
        self._select()

    def end(self) -> None:
        """A dock for reviews was closed; with the last one, cases are let go."""
        self._n_docks -= 1
        if not self._n_docks:
            self.work.select(None)
            self.work.close()

    def fall_silent(self) -> None:
        """Tell no widget anything from now on; what was typed is kept."""
        self.work.fall_silent()
        for signal in (
            self.source_changed,
            self.note_wanted,
            self.is_wanted,
            self.regions.changed,
            self.analyses.changed,
            self.reports.changed,
        ):
            signal.block()

    def close(self) -> None:
        """Let go of viewer and session."""
        self.connections.disconnect()
        self.sight.connections.disconnect()
        self.work.close()
        with suppress(RuntimeError):  # at Python's exit Qt may have deleted it before
            self._later.stop()

    # ---------------------------------------------------------------- what users do

    def note(self) -> None:
        """Note a finding of what is looked at."""
        self.is_wanted.emit()
        if self.work.problem:
            self._controller.notice.emit(self.work.problem, True, None)
        else:
            self.note_wanted.emit()

    def choose_source(self, number: int | None) -> None:
        """Take a source as the one that findings are about; its layer and brush follow."""
        if number == self.source:
            return
        self.source = number
        if number is not None:
            self._controller.mode.source = number
        self.source_changed.emit()

    def analyse(self) -> None:
        """Analyse the selected picture's file; its case keeps what comes of it."""
        key, selected = self._controller.key, self.work.selected
        if key is None or selected is None or selected.file is None:
            self._controller.notice.emit(
                "An analysis reads the picture's file: save this picture first.", True, None
            )
        else:
            self.analyses.ask(key, selected.file, self._controller.settings, self._keep_analysis)

    def _keep_analysis(self, made: MadeAnalysis) -> None:
        opened, key = self.work.opened, self._controller.key
        if opened is None or self.work.problem or self.analyses.of(key) is not made:
            return  # another picture, or none, is selected by now: the report keeps it
        if made.file_sha256 == opened.picture.file_sha256:
            self.work.keep_analysis(made.analysis)

    def show_votes(self) -> None:
        """Lay the votes of the analysis over the picture."""
        key, made = self._controller.key, self.analyses.of(self._controller.key)
        picture = self._controller.picture
        if key is None or picture is None or made is None or made.analysis.votes is None:
            return
        if not made.is_shown:
            self._controller.notice.emit(OTHER_PIXELS, True, None)
            return
        votes, shape = made.analysis.votes, picture.shape
        self._controller.session.run(
            lambda: votes.as_map(shape),
            lambda drawn: self._evidence.lay_over(key, VOTES, Evidence(map=drawn)),
        )

    def type_in(self, form: str, values: dict[str, Any] | None) -> None:
        """Note what is typed into a form; it is written down a moment later."""
        self.work.type_in(form, values)
        self._later.start()

    # ---------------------------------------------------------------- which picture

    def _select(self, event: object = None) -> None:
        if not self._n_docks:
            return
        key, picture = self._controller.key, self._controller.picture
        project = self._queue.project
        self.work.let_go(project)
        if key is None or picture is None:
            self.work.select(None)
            return
        before = self.work.selected
        file = None if picture.file is None else Path(picture.file)
        opened, queued = self._queue.work.opened, self._queue.pictures.image is picture.layer
        in_project = project is not None and queued and opened == key.picture
        selected = (
            Selected(key, file, project, self._queue.work.key or "")
            if in_project
            else Selected(key, file)
        )
        if before is not None and before.key.picture != key.picture:
            self.choose_source(None)
        if selected != before:
            self.work.select(selected)

    def _layer_removed(self, event: Any) -> None:
        picture = picture_id(event.value)
        for work in (self.regions, self.analyses, self.work):
            work.forget(picture)
