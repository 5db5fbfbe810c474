"""What comes next in a review, in a line, and the button for what no other section here has."""

from __future__ import annotations

from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.review.job_line import JobLine
from napari_safire.gui.panels.section import Rows, Section, button, plain


class NextStep(Section):
    """Says what to do next, until the report is written; offers the partition.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("")
        self._controller, self._work = controller, review.work
        self.words = plain()
        self.words.setAccessibleName("What comes next")
        self.partition = button(
            "Partition", "Divide the picture into its sources (Shift+G).", controller.partition
        )
        self.partitioning = JobLine("the partition", controller.session.cancel)
        for widget in (self.words, Rows([self.partition], 1), self.partitioning):
            self.body.addWidget(widget)
        for signal in (review.work.changed, controller.plane_changed, controller.shown):
            self.connections.connect(signal, self._show)
        self.connections.connect(controller.session.progress, self._so_far)
        self._show()

    def _so_far(self, text: str, done: int, total: int) -> None:
        is_running = bool(text) and self.partition.isVisibleTo(self)
        self.partitioning.show_asked(is_running)
        if is_running:
            self.partitioning.show_progress(done, total)

    def _show(self, _: object = None) -> None:
        words = self._next()
        self.words.setText(words)
        self.words.setVisible(bool(words))
        has_plane = self._controller.plane is not None
        # Before there is a case a partition would show its verdict: no look could be blind.
        is_offered = has_plane and self._work.opened is not None
        is_offered = is_offered and not _has_sources(self._controller)
        self.partition.setVisible(is_offered)
        if not is_offered:
            self.partitioning.show_asked(False)

    def _next(self) -> str:
        opened = self._work.opened
        if opened is None or self._work.problem:
            return ""  # the case itself says what it needs
        if not _has_sources(self._controller):
            return "Next: partition the picture, so that its sources can be compared."
        own = opened.case.reviewer
        given = [r.verdict for r in opened.review.reviews if r.verdict is not None]
        if any(signed.by == own for verdict in given for signed in verdict.signatures):
            written = bool(opened.review.reports)
            return "" if written else "Next: write the report, or let a second reviewer sign first."
        if not any(noted.reviewer == own for noted in opened.review.findings):
            return "Next: open views under Evidence, compare them, and note what you see."
        return "Next: answer the checklist and give your verdict."


def _has_sources(controller: ViewerController) -> bool:
    plane = controller.plane
    snapshot = None if plane is None else plane.snapshot
    return snapshot is not None and any(snapshot.areas)
