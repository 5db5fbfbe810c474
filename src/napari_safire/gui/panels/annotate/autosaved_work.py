"""The offer to take up the work of an earlier session, for instance one that crashed."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.earlier_work import EarlierWork
from napari_safire.gui.panels.section import Rows, button, wrapped


class AutosavedWorkBar(QFrame):
    """Shown while the present plane has earlier work that was neither taken up nor forgotten.

    Parameters
    ----------
    earlier : EarlierWork
    """

    def __init__(self, earlier: EarlierWork) -> None:
        super().__init__()
        self._earlier = earlier
        self.connections = Connections()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = wrapped()
        self.restore = button(
            "Restore", "Take up that work; Undo comes back to the present state.", earlier.restore
        )
        self.forget = button("Forget", "Delete the kept work on this picture.", earlier.forget)
        body = QVBoxLayout(self)
        body.setContentsMargins(4, 4, 4, 4)
        body.addWidget(self.text)
        body.addWidget(Rows([self.restore, self.forget], 2))
        self.connections.connect(earlier.changed, self._show)
        self.hide()
        self._show()

    def _show(self) -> None:
        kept = self._earlier.here
        self.setVisible(kept is not None)
        if kept is not None:
            count = len(kept.made.annotation.prompts)
            when = kept.changed.astimezone().strftime("%Y-%m-%d %H:%M")
            prompts = f"{count} prompt{'' if count == 1 else 's'} and " if count else ""
            self.text.setText(
                f"Your work on this picture of {when} was kept ({prompts}the labels)."
            )
