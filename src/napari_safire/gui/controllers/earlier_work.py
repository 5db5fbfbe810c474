"""Work of earlier sessions that was found in the autosave: offered, taken up or forgotten."""

from __future__ import annotations

from psygnal import Signal

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.autosave import AutosavedWork
from napari_safire.session.planes import PlaneKey


class EarlierWork:
    """What earlier sessions, for instance one that crashed, have left of the planes that are open.

    Parameters
    ----------
    controller : ViewerController
        Knows the plane, and takes the work up.

    Attributes
    ----------
    changed : Signal()
        `here` may be another.
    """

    changed = Signal()

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self._found: dict[PlaneKey, AutosavedWork] = {}
        self.connections = Connections()
        self.connections.connect(controller.session.autosaved_work, self._take)
        self.connections.connect(controller.plane_changed, self._plane_changed)

    @property
    def here(self) -> AutosavedWork | None:
        """That of the present plane, while it was neither taken up nor forgotten."""
        plane = self._controller.plane
        return None if plane is None else self._found.get(plane.key)

    def restore(self) -> None:
        """Take it up."""
        plane = self._controller.plane
        kept = None if plane is None else self._found.pop(plane.key, None)
        if plane is not None and kept is not None:
            self._controller.session.annotations.restore(plane.key, kept.made, kept.work)
        self.changed.emit()

    def forget(self) -> None:
        """Delete what was kept."""
        plane = self._controller.plane
        if plane is not None and self._found.pop(plane.key, None) is not None:
            self._controller.session.annotations.forget_autosaved_work(plane.key)
        self.changed.emit()

    def _take(self, key: PlaneKey, kept: AutosavedWork) -> None:
        self._found[key] = kept
        self.changed.emit()

    def _plane_changed(self) -> None:
        self.changed.emit()
