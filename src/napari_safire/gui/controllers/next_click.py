"""The next best click: shown as a ghost over the picture, and taken as a prompt."""

from __future__ import annotations

from napari_safire.annotation.annotation import Annotation
from napari_safire.annotation.next_click import NextClick
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.image import ImageController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.planes import PlaneKey, Snapshot

_NOTHING = "Nothing is uncertain. Press Next source and click where you see another one."


class NextClickController:
    """Proposes where to click, as long as somebody follows.

    The first `take` shows a proposal, each one after that accepts it and shows the next. It follows
    what is done otherwise, and ends with the picture, when its layer is removed, or when nothing is
    uncertain any more.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self._key: PlaneKey | None = None  # of the plane that is proposed for
        self._place: ImageController | None = None
        self._asked: Annotation | None = None
        self._shown: NextClick | None = None
        self._told = False
        self.connections = Connections()
        self.connections.connect(controller.plane_changed, self._plane_changed)
        self.connections.connect(controller.shown, self._follow)
        self.connections.connect(controller.session.embedded, self._embedded)
        self.connections.connect(controller.session.model_changed, self._forget)
        self.connections.connect(controller.viewer.layers.events.removed, self._removed)

    @property
    def shown(self) -> NextClick | None:
        """What is proposed on screen."""
        return self._shown

    def take(self) -> None:
        """Accept what is proposed as a prompt of the current source; else propose something."""
        here = self._controller.here("place prompts on")
        if here is None:
            return
        place, key = here
        proposed = self._shown
        if proposed is not None and key == self._key:
            self._hide()
            self._asked = None
            place.add_prompt(key.index, proposed.point)
            return
        self._place, self._key, self._told = place, key, False
        self._ask()

    def stop(self) -> None:
        """Propose no more."""
        self._hide()
        self._key = self._place = self._asked = None

    def _forget(self) -> None:
        """Another model proposes something else, once it has read the picture."""
        self._hide()
        self._asked = None

    def _ask(self) -> None:
        plane, key = self._controller.plane, self._key
        if plane is None or key is None or plane.key != key or plane.snapshot is None:
            return
        self._asked = plane.snapshot.annotation
        if not self._controller.session.prompts.propose(key, self._found):
            self._asked = None  # once the traces of the picture have been read

    def _found(self, state: Annotation, proposal: NextClick | None) -> None:
        place, key = self._place, self._key
        if place is None or key is None or state is not self._asked:
            return
        if proposal is None:
            self.stop()
            self._controller.notice.emit(_NOTHING, False, None)
            return
        self._shown = proposal
        place.layer_group.show_next_click((*key.index, proposal.point.row, proposal.point.col))
        if not self._told:  # each time would be a nuisance
            self._told = True
            said = f"A ring marks the next best click, for about {proposal.settles:,} pixels. "
            said += "Next best click again takes it."
            self._controller.notice.emit(said, False, None)

    def _hide(self) -> None:
        self._shown = None
        if self._place is not None:
            self._place.layer_group.show_next_click()

    def _follow(self, snapshot: Snapshot) -> None:
        """Look again once an answer is there."""
        if snapshot.key != self._key or not snapshot.annotation.is_answered:
            return
        if self._asked is None or snapshot.annotation != self._asked:
            self._hide()
            self._ask()

    def _embedded(self, key: PlaneKey) -> None:
        if key == self._key and self._asked is None:
            self._ask()

    def _plane_changed(self) -> None:
        if self._key is not None and self._controller.key != self._key:
            self.stop()

    def _removed(self, event: object) -> None:
        place = self._place
        if self._shown is not None and place is not None and place.layer_group.next_click is None:
            self.stop()
