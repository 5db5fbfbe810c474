"""What the docks of one viewer share, and its end: when the last of them is gone."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from napari.components import ViewerModel
from platformdirs import user_config_path
from qtpy.QtWidgets import QWidget

from napari_safire.gui.controllers.adjudication import AdjudicationController
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.earlier_work import EarlierWork
from napari_safire.gui.controllers.evidence import EvidenceController
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.messages import Messages
from napari_safire.gui.controllers.next_click import NextClickController
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.view_comparison import ViewComparison
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.keys.binder import KeyBinder
from napari_safire.gui.keys.keymap import ACTIONS, Keymap
from napari_safire.gui.layers.canvas_guard import guard_canvas
from napari_safire.gui.layers.view_fit import ViewFit
from napari_safire.gui.preferences import Preferences, PreferencesWatch
from napari_safire.model.catalogue.registry import (
    ALWAYS_THERE,
    available_models,
    model_state,
    registry_problems,
)
from napari_safire.session.autosave import Autosave
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.session.messages import ANYWHERE
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.engine.cache import EmbeddingCache

D = TypeVar("D", bound=QWidget)
_WORKSPACES: weakref.WeakKeyDictionary[Any, weakref.ref[Workspace]] = weakref.WeakKeyDictionary()


class Workspace:
    """Session, controllers and keys of one viewer; `open_workspace` gives it.

    Each dock enters it and leaves it again, by whatever way it is closed. With the last one, the
    session ends and the viewer is as it was.

    Parameters
    ----------
    viewer : ViewerModel
    load_engine : callable, optional
        How models are loaded; see `napari_safire.session.chosen_model.LoadEngine`. Default: from
        the registry or a file, with the embedding cache on disk.

    Attributes
    ----------
    preferences : Preferences
        As they are now.
    watch : PreferencesWatch
    cache : EmbeddingCache or None
    session : Session
    controller : ViewerController
    messages : Messages
    earlier : EarlierWork
    switch : ViewSwitch
    comparison : ViewComparison
    evidence : EvidenceController
    next_click : NextClickController
    queue : QueueController
    adjudication : AdjudicationController
    review : ReviewController
    keymap : Keymap
    binder : KeyBinder
    """

    def __init__(self, viewer: ViewerModel, load_engine: LoadEngine | None = None) -> None:
        self.preferences = preferences = Preferences.load()
        self.watch = PreferencesWatch()
        self.cache = _make_cache(preferences)
        self.session = Session(
            gui_thread().deliver, load_engine or partial(_load_engine, self.cache), Autosave()
        )
        self.session.weighing.count(preferences.count_evidence)
        self.controller = controller = ViewerController(
            viewer,
            self.session,
            embed_on_selection=preferences.embed_on_selection,
            sources_opacity=preferences.sources_opacity,
        )
        controller.start_with(_settings(preferences))
        self.messages = Messages(controller)
        if controller.image is None and controller.images:
            # once more: why not, nobody has heard yet
            controller.work_on(controller.images[-1])
        self.earlier = EarlierWork(controller)
        self.switch = ViewSwitch(controller)
        self._fit = ViewFit(viewer)
        self.comparison = ViewComparison(controller, self.switch, self._fit)
        self.evidence = EvidenceController(controller)
        self.next_click = NextClickController(controller)
        self.queue = QueueController(controller)
        self.adjudication = AdjudicationController(controller, self.queue)
        self.review = ReviewController(
            controller, self.evidence, self.switch, self.queue, self.comparison
        )
        self.keymap = Keymap(ACTIONS, user_config_path("napari-safire") / "keys.json")
        self.binder = KeyBinder(viewer, self.keymap, _callbacks(self))
        guard_canvas(viewer)
        self._connections = Connections()
        self._connections.connect(self.watch.changed, self._preferences_changed)
        self._docks: dict[object, weakref.ref[QWidget]] = {}
        self._is_closed = False
        for problem in (*preferences.problems, self.keymap.problem, *registry_problems()):
            if problem:
                self.messages.tell(problem, topic=ANYWHERE)

    # ---------------------------------------------------------------- docks

    @property
    def is_closed(self) -> bool:
        """Whether the last dock is gone, and all work with it."""
        return self._is_closed

    def dock(self, kind: type[D]) -> D | None:
        """Return the open dock of a kind."""
        return next((dock for dock in self.docks if isinstance(dock, kind)), None)

    @property
    def docks(self) -> list[QWidget]:
        """Those that are open."""
        found = (reference() for reference in self._docks.values())
        return [dock for dock in found if dock is not None]

    def enter(self, dock: QWidget) -> object:
        """Count a dock in, which is not kept alive; gives what it leaves with."""
        ticket = object()
        self._docks[ticket] = weakref.ref(dock)
        return ticket

    def finish_before(self, ticket: object) -> None:
        """Wait until all work is kept, if the dock that is about to leave is the last."""
        if self._docks.keys() <= {ticket}:
            self.queue.fall_silent()
            self.review.fall_silent()
            self.controller.finish()

    def leave(self, ticket: object) -> None:
        """Count a dock out; with the last one all ends. May be called twice."""
        self._docks.pop(ticket, None)
        if not self._docks and not self._is_closed:
            self._close()

    def _close(self) -> None:
        self._is_closed = True
        end_all(
            self.controller.finish,
            self._connections.disconnect,
            self.binder.unbind,
            self.comparison.close,
            self.adjudication.close,
            self.review.close,
            self.queue.close,
            self.next_click.connections.disconnect,
            self.evidence.connections.disconnect,
            self.earlier.connections.disconnect,
            self.messages.connections.disconnect,
            self.switch.connections.disconnect,
            self.watch.close,
            self._fit.close,
            self.controller.close,
        )

    def blink(self) -> None:
        """Look at the next view that is compared, or at the next annotator's sources."""
        if self.comparison.mode is None and self.adjudication.work.opened is not None:
            self.adjudication.blink()
        else:
            self.comparison.blink()

    # ---------------------------------------------------------------- model and preferences

    def need_model(self) -> None:
        """Have a model to begin with, for docks in which none is chosen."""
        if self.session.model_choice is not None:
            return
        name, device = self.preferences.model, self.preferences.device
        registered = name in {entry.name for entry in available_models()}
        if registered and model_state(name) == "not downloaded":
            name = ALWAYS_THERE
        self.session.choose_model(name, device)

    def _preferences_changed(self, preferences: Preferences) -> None:
        self.preferences = preferences
        self.controller.embed_on_selection = preferences.embed_on_selection
        self.controller.sources_opacity = preferences.sources_opacity
        self.controller.start_with(_settings(preferences))
        self.session.weighing.count(preferences.count_evidence)
        if self.cache is not None and preferences.cache_gib > 0:
            self.cache.max_bytes = int(preferences.cache_gib * 2**30)


def workspace_of(viewer: Any) -> Workspace | None:
    """The workspace of a viewer, while any dock is open there."""
    reference = _WORKSPACES.get(viewer)
    workspace = None if reference is None else reference()
    return None if workspace is None or workspace.is_closed else workspace


def open_workspace(viewer: Any, load_engine: LoadEngine | None = None) -> Workspace:
    """The workspace of a viewer, made if there is none; whoever asks then enters it.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer itself: napari wraps those that it hands to plugins, whose layers are wrapped
        anew at every look, so that none of them would be the same as itself.
    load_engine : callable, optional
        For one that is made; see `Workspace`.
    """
    workspace = workspace_of(viewer)
    if workspace is None:
        workspace = Workspace(viewer, load_engine)
        _WORKSPACES[viewer] = weakref.ref(workspace)
    return workspace


def end_all(*ends: Callable[[], None]) -> None:
    """Call all of them, even if one raises."""
    with ExitStack() as stack:
        for end in reversed(ends):
            stack.callback(end)


def _load_engine(
    cache: EmbeddingCache | None, name: str, device: str, notice: Callable[[str], None]
) -> Engine:
    # napari needs pandas for the first point: better loaded here than then.
    import pandas  # noqa: F401

    from napari_safire import Engine, load_model

    return Engine(load_model(name, device=device), cache=cache, on_notice=notice)


def _make_cache(preferences: Preferences) -> EmbeddingCache | None:
    if preferences.cache_gib <= 0:
        return None
    from napari_safire.engine.cache import EmbeddingCache

    return EmbeddingCache(max_bytes=int(preferences.cache_gib * 2**30))


def _settings(preferences: Preferences) -> PartitionSettings:
    method = preferences.partition_method
    return PartitionSettings(
        method=method,
        n_sources=2 if method == "kmeans" else None,
        points_per_side=preferences.points_per_side,
    )


def _callbacks(workspace: Workspace) -> dict[str, Callable[[], None]]:
    controller, switch, queue = workspace.controller, workspace.switch, workspace.queue
    return {
        "show_picture": partial(switch.toggle, "picture"),
        "show_sources": partial(switch.toggle, "sources"),
        "show_forgery_map": partial(switch.toggle, "forgery map"),
        "show_uncertainty": partial(switch.toggle, "uncertainty"),
        "next_picture": queue.go_on,
        "previous_picture": queue.go_back,
        "finish_picture": queue.finish,
        "finish_as_authentic": queue.finish_as_authentic,
        "skip_picture": queue.skip,
        "find_picture": queue.find,
        "waive_picture": queue.waive,
        "reject_picture": queue.reject,
        "accept_picture": queue.accept,
        "add_note": queue.note,
        "take_first": workspace.adjudication.take_first,
        "take_second": workspace.adjudication.take_second,
        "take_neither": workspace.adjudication.take_neither,
        "next_region": workspace.adjudication.go_on,
        "previous_region": workspace.adjudication.go_back,
        "blink": workspace.blink,
        "side_by_side": partial(workspace.comparison.toggle, "grid"),
        "swipe": partial(workspace.comparison.toggle, "swipe"),
        "fade": partial(workspace.comparison.toggle, "opacity"),
        "less_of_b": workspace.comparison.less,
        "more_of_b": workspace.comparison.more,
        "note_finding": workspace.review.note,
        "add_prompts": controller.add_prompts,
        "segment": controller.segment,
        "exclude": controller.mode.toggle_exclude,
        "paint": controller.edits.paint,
        "next_click": workspace.next_click.take,
        "snap": controller.edits.snap,
        "commit": controller.edits.commit,
        "discard": controller.edits.discard,
        "next_source": controller.mode.next_source,
        "previous_source": controller.mode.previous_source,
        "undo": controller.edits.undo,
        "redo": controller.edits.redo,
        "toggle_preview": controller.toggle_preview,
        "partition": controller.partition,
        "cancel": controller.session.cancel,
    }
