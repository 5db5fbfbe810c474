"""Which pictures of the open manifest are gone through."""

from __future__ import annotations

from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.curate.choice_form import ChoiceForm
from napari_safire.gui.panels.section import FoldedSection, Rows, button
from napari_safire.session.queue.folder import FolderPictures


class ManifestSection(FoldedSection):
    """Condition, order and number, and a button that goes through these; for a manifest alone.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
    """

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        super().__init__("Chosen", "Which pictures of this manifest to go through.", quiet=True)
        self._work = queue.work
        self._opened: FolderPictures | None = None
        self.form = ChoiceForm(controller.session, self.connections)
        self.form.changed.connect(self._show)
        self.go = button(
            "Go through these", "Open the pictures that are chosen as the queue.", self._go
        )
        self.body.addWidget(self.form)
        self.body.addWidget(Rows([self.go], 1))
        self.connections.connect(queue.work.changed, self._show)
        self._show()

    def _go(self) -> None:
        if self._opened is not None:
            self._work.open_queue(self._opened.place, self.form.choice)

    def _show(self) -> None:
        store = self._work.store
        chosen = store if isinstance(store, FolderPictures) and store.choice is not None else None
        if chosen is not self._opened:
            self._opened = chosen
            if chosen is not None and chosen.choice is not None:
                self.form.show_choice(chosen.choice)
            self.form.ask("" if chosen is None else chosen.place)
        self.setVisible(chosen is not None)
        counted = self.form.counted
        self.say_beside_title(counted.words or "to be mended" * (not counted.can_be_opened))
        other = chosen is not None and self.form.choice != chosen.choice
        can_be_opened = counted.is_manifest and counted.can_be_opened
        self.go.setEnabled(other and can_be_opened and not self._work.doing)
