"""The dock widget *SAFIRE Curate*: picture after picture, each with its state and its sources."""

from __future__ import annotations

from collections.abc import Iterator

import napari

from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.panels.curate.adjudication_section import AdjudicationSection
from napari_safire.gui.panels.curate.description_section import DescriptionSection
from napari_safire.gui.panels.curate.manifest_section import ManifestSection
from napari_safire.gui.panels.curate.notes_section import NotesSection
from napari_safire.gui.panels.curate.opening_section import OpeningSection
from napari_safire.gui.panels.curate.queue_list import QueueList
from napari_safire.gui.panels.curate.queue_section import QueueSection
from napari_safire.gui.panels.drops import Dropped
from napari_safire.gui.panels.section import Section
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.text import isolated


class CurateWidget(WorkspaceDock):
    """Go through the pictures of a folder, a list or a project, and say what each is made of.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari hands it in.
    load_engine : callable, optional
        How models are loaded, where this dock is the viewer's first; see `Workspace`.
    """

    name = "SAFIRE Curate"

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load_engine: LoadEngine | None = None
    ) -> None:
        super().__init__(napari_viewer, load_engine)
        self.workspace.need_model()
        queue = self.workspace.queue
        self.opening = OpeningSection(self.controller, queue)
        self.chosen = ManifestSection(self.controller, queue)
        self.list = QueueList(queue)
        self.queue = QueueSection(queue, self.show_prompts)
        self.adjudication = AdjudicationSection(self.workspace.adjudication)
        self.descriptions = DescriptionSection(self.controller, queue)
        self.notes = NotesSection(self.controller, queue)
        sections: list[Section] = [
            self.opening, self.chosen, self.list, self.queue, self.adjudication, self.descriptions,
            self.notes,
        ]  # fmt: skip
        self._lay_out(sections, sections)
        self._connections.connect(queue.is_wanted, self.come_forward)
        self._connections.connect(queue.find_wanted, self.list.focus_search)
        self._body.setStretchFactor(self.list, 1)

    def show_prompts(self) -> None:
        """Bring the dock with prompts, brush and partition forward."""
        from napari_safire.gui.widget import SafireWidget  # which opens this one

        self._show(SafireWidget)

    def take_dropped(self, dropped: Dropped) -> Iterator[str]:
        """See `WorkspaceDock`: a queue."""
        if dropped.queue is not None:
            self.workspace.queue.work.open_queue(dropped.queue)
        if dropped.model is not None:
            yield f"{isolated(dropped.model.name)} is a model: drop it on the dock SAFIRE."
