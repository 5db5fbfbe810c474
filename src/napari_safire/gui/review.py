"""The dock widget *SAFIRE Review*: views, findings, a verdict of one's own, and a report."""

from __future__ import annotations

import napari
from qtpy.QtGui import QDropEvent

from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.panels.annotate.verdict_panel import VerdictPanel
from napari_safire.gui.panels.drops import dropped_paths, open_pictures, sort_dropped
from napari_safire.gui.panels.evidence.section import EvidenceSection
from napari_safire.gui.panels.section import Section
from napari_safire.session.chosen_model import LoadEngine


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
        self.verdict = VerdictPanel(self.controller)
        self.verdict.prior = workspace.preferences.prior_percent / 100
        self.evidence = EvidenceSection(self.controller, workspace.evidence)
        sections: list[Section] = [self.verdict, self.evidence]
        self._lay_out(sections, sections)
        self._body.addStretch(1)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped: pictures."""
        paths = [] if event is None else dropped_paths(event)
        if event is None or not paths:
            return
        event.acceptProposedAction()
        dropped = sort_dropped(paths)
        problems = list(dropped.problems)
        for problem in (*problems, *open_pictures(self.controller.viewer, dropped.pictures)):
            self._tell(problem)
