"""One line in the other docks: which picture of which queue is open."""

from __future__ import annotations

from collections.abc import Callable

from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.panels.section import Rows, Section, beside, button, plain
from napari_safire.text import isolated


class QueueLine(Section):
    """Place and state of the open picture, and the way to the dock with the queue.

    Hidden while no queue is open.

    Parameters
    ----------
    queue : QueueController
    show_curate : callable
        Brings that dock forward.
    steps : bool
        Whether there are buttons for the next picture and the one before.
    """

    def __init__(
        self, queue: QueueController, show_curate: Callable[[], None], *, steps: bool = False
    ) -> None:
        super().__init__("")
        self._queue = queue
        self.label = plain()
        self.label.setAccessibleName("Place in the queue")
        self.curate = button("Curate …", "Show the queue.", show_curate)
        self.body.addWidget(beside(self.label, self.curate))
        self.back = button(
            "Previous picture", "Save what was changed and go to the previous one.", queue.go_back
        )
        self.forward = button(
            "Next picture", "Save what was changed and go to the next one.", queue.go_on
        )
        ways = Rows([self.back, self.forward], 2)
        ways.setVisible(steps)
        self.body.addWidget(ways)
        self.connections.connect(queue.work.changed, self._show)
        self.connections.connect(queue.work.rows_changed, self._show)
        self._show()

    def _show(self, _: object = None) -> None:
        work = self._queue.work
        self.setVisible(work.store is not None)
        if work.store is None:
            return
        place = f"{work.place + 1:,} of {len(work.listing.keys):,} in {isolated(work.store.title)}"
        state = "" if work.row is None else f" · {work.row.state}"
        self.label.setText(work.doing or f"{place}{state}")
        self.back.setEnabled(not work.doing and work.can_go_back)
        self.forward.setEnabled(not work.doing and work.can_go_on)
