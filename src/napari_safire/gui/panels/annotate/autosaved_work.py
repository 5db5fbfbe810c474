"""The offer to take up the work of an earlier session, for instance one that crashed."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QVBoxLayout

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import Rows, button, wrapped
from napari_safire.session.autosave import AutosavedWork
from napari_safire.session.planes import PlaneKey


class AutosavedWorkBar(QFrame):
    """Shown while the present plane has earlier work that was neither taken up nor forgotten.

    Parameters
    ----------
    controller : ViewerController
        Knows the plane, and takes the work up.
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__()
        self._controller = controller
        self._found: dict[PlaneKey, AutosavedWork] = {}
        self.connections = Connections()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = wrapped()
        self.restore = button(
            "Restore", "Take up that work; Undo comes back to the present state.", self._restore
        )
        self.forget = button("Forget", "Delete the kept work on this picture.", self._forget)
        body = QVBoxLayout(self)
        body.setContentsMargins(4, 4, 4, 4)
        body.addWidget(self.text)
        body.addWidget(Rows([self.restore, self.forget], 2))
        self.connections.connect(controller.session.autosaved_work, self._take)
        self.connections.connect(controller.plane_changed, self._show)
        self.hide()

    def _take(self, key: PlaneKey, kept: AutosavedWork) -> None:
        self._found[key] = kept
        self._show()

    def _show(self) -> None:
        plane = self._controller.plane
        kept = None if plane is None else self._found.get(plane.key)
        self.setVisible(kept is not None)
        if kept is not None:
            count = len(kept.made.annotation.prompts)
            when = kept.changed.astimezone().strftime("%Y-%m-%d %H:%M")
            prompts = f"{count} prompt{'' if count == 1 else 's'} and " if count else ""
            self.text.setText(
                f"Your work on this picture of {when} was kept ({prompts}the labels)."
            )

    def _restore(self) -> None:
        plane = self._controller.plane
        kept = None if plane is None else self._found.pop(plane.key, None)
        if plane is not None and kept is not None:
            self._controller.session.annotations.restore(plane.key, kept.made, kept.work)
        self._show()

    def _forget(self) -> None:
        plane = self._controller.plane
        if plane is not None and self._found.pop(plane.key, None) is not None:
            self._controller.session.annotations.forget_autosaved_work(plane.key)
        self._show()
