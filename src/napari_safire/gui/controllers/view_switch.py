"""What of a picture is looked at: itself, its sources, the forgery map or the uncertainty."""

from __future__ import annotations

from weakref import WeakSet

from napari.layers import Layer
from psygnal import Signal

from napari_safire.annotation.annotation import Annotation
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.layer_group import View
from napari_safire.session.blind_look import HIDDEN, WHY_HIDDEN
from napari_safire.session.planes import PlaneKey, Snapshot

_PARTITION_FIRST = (
    "Partition first: that lays a preview over your sources, which no view does by itself."
)


class ViewSwitch:
    """Shows one view of the present picture at a time.

    It keeps no state of its own that napari's list of layers could contradict: what is shown is
    read off the layers.

    Parameters
    ----------
    controller : ViewerController

    Attributes
    ----------
    asked : Signal()
        A view is about to be shown alone.
    """

    asked = Signal()

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self._before: View = "sources"
        self._bare: tuple[PlaneKey, Annotation] | None = None  # seen as a picture alone
        self._outlined: WeakSet[Layer] = WeakSet()
        self.connections = Connections()
        self.connections.connect(controller.painted, self._painted)
        self.connections.connect(controller.shown, self._show_news)

    @property
    def view(self) -> View:
        """What is looked at."""
        group = self._controller.layer_group
        if group is None:
            return "picture"
        waits = self._controller.heatmap_visible and group.heatmap is None
        return "forgery map" if waits and self.is_there("forgery map") else group.view

    @property
    def layer(self) -> Layer | None:
        """The layer that is looked at over the picture."""
        group = self._controller.layer_group
        return None if group is None else group.layer_of(group.view)

    def is_there(self, view: View) -> bool:
        """Whether there is anything to show; an uncertainty that is still to be made counts."""
        plane, group = self._controller.plane, self._controller.layer_group
        if view == "picture":
            return group is not None
        if view == "sources":
            return group is not None and group.sources is not None
        if plane is None:
            return False
        if view == "uncertainty":
            return plane.shows_partition
        return plane.forgery is not None and not self.is_hidden

    def can_be_shown(self, view: View) -> bool:
        """Whether it is there, or the model makes it when it is asked for."""
        if view in ("forgery map", "uncertainty"):
            hidden = view == "forgery map" and self.is_hidden
            return self._controller.plane is not None and not hidden
        return self.is_there(view)

    @property
    def is_hidden(self) -> bool:
        """Whether the forgery map waits for a reviewer's own verdict."""
        return self._controller.session.blind.hides(self._controller.key)

    def show(self, view: View) -> None:
        """Look at a view; what it needs is made first."""
        self.asked.emit()
        controller, group = self._controller, self._controller.layer_group
        if view == "forgery map" and self.is_hidden:
            controller.notice.emit(f"{HIDDEN}. {WHY_HIDDEN}", False, None)
            return
        if view in ("forgery map", "uncertainty") and not self.is_there(view):
            if self._would_cover_work:
                controller.notice.emit(_PARTITION_FIRST, True, None)
                return
            controller.heatmap_visible = view == "forgery map"
            controller.partition()  # without a picture it says why not
            return
        if group is None or controller.key is None:
            return
        if self.view != view:
            self._before = self.view
        if view == "uncertainty" and not group.has_uncertainty(controller.key.index):
            controller.show_uncertainty()
            return
        controller.heatmap_visible = view == "forgery map"
        if view == "forgery map" and group.heatmap is None:
            controller.show_forgery_map()  # it was removed, or is that of earlier work
        group.show(view)
        plane = controller.plane
        snapshot = None if plane is None else plane.snapshot
        alone = view == "picture" and snapshot is not None
        self._bare = (snapshot.key, snapshot.annotation) if alone and snapshot else None
        controller.view_changed.emit()

    @property
    def _would_cover_work(self) -> bool:
        """Whether there are sources or prompts, over which a partition would lay a preview."""
        plane = self._controller.plane
        if plane is None:
            return False
        shown = None if plane.snapshot is None else plane.snapshot.annotation
        empty = Annotation.empty(plane.shape)
        return any(made is not None and made != empty for made in (shown, plane.saved))

    def toggle(self, view: View) -> None:
        """Look at a view, or, where it is looked at, at the one before."""
        self.asked.emit()
        if self.view != view:
            self.show(view)
        else:
            self.show(self._before if self._before != view else "sources")

    def _show_news(self, snapshot: Snapshot) -> None:
        """Show sources that came while the picture alone was looked at."""
        if self._bare is None:
            return
        key, annotation = self._bare
        self._bare = (snapshot.key, snapshot.annotation)
        group = self._controller.layer_group
        if key != snapshot.key or annotation is snapshot.annotation or group is None:
            return
        if group.view == "picture":
            self.show("sources")
        else:
            self._bare = None

    def _painted(self, snapshot: Snapshot) -> None:
        """Let one source alone have no colour: there is nothing to tell it from."""
        layer = self._controller.sources_layer
        if layer is None or snapshot.key != self._controller.key:
            return
        alone = list(snapshot.areas.values()) == [snapshot.labels.size]
        # An outline between labels is drawn instead of them; without another label there is none.
        if alone and layer.contour == 0:
            layer.contour = 1
            self._outlined.add(layer)
        elif not alone and layer in self._outlined:
            self._outlined.discard(layer)
            if layer.contour == 1:  # else the user has chosen another one
                layer.contour = 0
