"""The dock widget *SAFIRE*: session, controllers, keys and panels together, and their end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import napari
from napari.utils.theme import get_theme
from platformdirs import user_config_path
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget
from rich.filesize import decimal

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.gui_thread import gui_thread
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.keys.binder import KeyBinder
from napari_safire.gui.keys.key_editor import KeyEditor
from napari_safire.gui.keys.keymap import ACTIONS, Keymap
from napari_safire.gui.layers.canvas_guard import guard_canvas
from napari_safire.gui.layers.view_fit import ViewFit
from napari_safire.gui.panels.annotate.autosaved_work import AutosavedWorkBar
from napari_safire.gui.panels.annotate.model_section import ModelSection
from napari_safire.gui.panels.annotate.partition_section import PartitionSection
from napari_safire.gui.panels.annotate.picture_section import PictureSection
from napari_safire.gui.panels.annotate.plot_section import PlotSection
from napari_safire.gui.panels.annotate.prompt_section import PromptSection
from napari_safire.gui.panels.annotate.source_section import SourceSection
from napari_safire.gui.panels.annotate.status_section import StatusSection
from napari_safire.gui.panels.annotate.verdict_panel import VerdictPanel
from napari_safire.gui.panels.annotate.view_panel import ViewPanel
from napari_safire.gui.panels.curate.queue_section import QueueSection
from napari_safire.gui.panels.diagnostics_panel import DiagnosticsPanel
from napari_safire.gui.panels.drops import dropped_paths, open_pictures, sort_dropped
from napari_safire.gui.panels.evidence.section import EvidenceSection
from napari_safire.gui.panels.fine_tune.section import FineTuneSection
from napari_safire.gui.panels.message_bar import MessageBar
from napari_safire.gui.panels.section import Rows, Section, button, focus_style
from napari_safire.gui.preferences import Preferences, PreferencesWatch
from napari_safire.model.catalogue.registry import registry_problems
from napari_safire.session.autosave import Autosave
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.session.messages import ANYWHERE
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings

if TYPE_CHECKING:
    from napari_safire.engine import Engine
    from napari_safire.engine.cache import EmbeddingCache

_NARROW = 330  # pixels: with the dock's frame and scroll bar it fits 360
_WIDGETS: weakref.WeakKeyDictionary[Any, weakref.ref[SafireWidget]] = weakref.WeakKeyDictionary()


class SafireWidget(QScrollArea):
    """Click a point, see the source region that contains it; partition a picture into its sources.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari hands it in.
    load_engine : callable, optional
        How models are loaded; see `napari_safire.session.chosen_model.LoadEngine`. Default: from
        the registry or a file, with the embedding cache on disk.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load_engine: LoadEngine | None = None
    ) -> None:
        super().__init__()
        # `add_plugin_dock_widget` and commands give a wrapped one, whose layers are wrapped anew at
        # every look: none of them would be the same as itself.
        napari_viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        # A script and a menu may each open one, under two names: two would undo each other's work.
        if (before := widget_of(napari_viewer)) is not None:
            before.give_way()
        preferences = Preferences.load()
        self._watch = PreferencesWatch()
        self._cache = _make_cache(preferences)
        session = Session(
            gui_thread().deliver, load_engine or partial(_load_engine, self._cache), Autosave()
        )
        self.controller = ViewerController(
            napari_viewer,
            session,
            embed_on_selection=preferences.embed_on_selection,
            sources_opacity=preferences.sources_opacity,
        )
        self.controller.start_with(_settings(preferences))

        self._make_sections(preferences)
        self._lay_out()
        keys = Keymap(ACTIONS, user_config_path("napari-safire") / "keys.json")
        binder = KeyBinder(napari_viewer, keys, _callbacks(self.controller, weakref.ref(self)))
        self._add_panels(keys, binder)
        connections = Connections()
        guard_canvas(napari_viewer)
        fit = ViewFit(napari_viewer)
        connections.connect(self.controller.notice, self._bring_failure_into_view)
        connections.connect(self._watch.changed, self._preferences_changed)
        connections.connect(napari_viewer.events.theme, self._show_theme)
        connections.connect(binder.conflicts_changed, lambda: self._show_conflicts(binder))
        for problem in filter(None, (*preferences.problems, keys.problem, *registry_problems())):
            self._tell(problem)
        # Docks die without a close event (napari issue 8071). What ends the work must not need this
        # widget, which is half gone by then. It is done once, and at Python's exit at the latest;
        # until then it keeps the widget alive.
        self._close_all = weakref.finalize(
            self,
            _end_all,
            self.controller.finish,
            connections.disconnect,
            binder.unbind,
            *[section.close_section for section in self._sections],
            self.autosaved_work.connections.disconnect,
            self.message.connections.disconnect,
            self.switch.connections.disconnect,
            self._watch.close,
            fit.close,
            self.controller.close,
        )
        self.destroyed.connect(self._close_all)
        application = QApplication.instance()
        if application is not None:
            connections.connect(application.aboutToQuit, self._close_all)
        _WIDGETS[napari_viewer] = weakref.ref(self)

    def _show_conflicts(self, binder: KeyBinder) -> None:
        self.keys.set_conflicts(binder.conflicts)

    def _make_sections(self, preferences: Preferences) -> None:
        controller = self.controller
        controller.session.weighing.count(preferences.count_evidence)
        self.message = MessageBar(controller)
        if controller.image is None and controller.images:
            # once more: why not, nobody has heard yet
            controller.work_on(controller.images[-1])
        self.autosaved_work = AutosavedWorkBar(controller)
        self.switch = ViewSwitch(controller)
        self.verdict = VerdictPanel(controller)
        self.verdict.prior = preferences.prior_percent / 100
        self.view = ViewPanel(controller, self.switch)
        self.picture = PictureSection(controller)
        self.status = StatusSection(controller)
        self.prompts = PromptSection(controller)
        self.partition = PartitionSection(controller)
        self.sources = SourceSection(controller)
        self.plots = PlotSection(controller, self.partition)
        self.evidence = EvidenceSection(controller)
        self.model = ModelSection(controller, preferences.model, preferences.device)
        self.queue = QueueSection(controller)
        self.fine_tune = FineTuneSection(controller, self.queue, self.model)
        self._sections: tuple[Section, ...] = (
            self.verdict, self.view, self.picture, self.status, self.prompts, self.partition,
            self.sources, self.plots, self.evidence, self.model, self.queue, self.fine_tune,
        )  # fmt: skip
        self.fine_tune.unfolded.connect(self._show_fine_tune)

    def _lay_out(self) -> None:
        inside = QWidget()
        self._body = body = QVBoxLayout(inside)
        body.setContentsMargins(8, 6, 8, 6)
        body.setSpacing(6)
        for widget in (self.message, self.autosaved_work, *self._sections):
            body.addWidget(widget)
        inside.setMinimumWidth(_NARROW)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_NARROW + 24)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes to what is in it
        self._show_theme()
        self.setAcceptDrops(True)

    def _add_panels(self, keys: Keymap, binder: KeyBinder) -> None:
        """Put keys and diagnostics at the foot, each behind a button."""
        self.keys = KeyEditor(keys)
        self.keys.set_conflicts(binder.conflicts)
        session = self.controller.session
        self.diagnostics = DiagnosticsPanel(
            partial(_describe, session, self._cache), _runner(session), _as_text
        )
        self.show_keys = button("Keys …", "Show and change the keys.", self._toggle_keys)
        self.show_diagnostics = button(
            "Diagnostics …", "Versions, devices, memory, model and cache.", self._toggle_diagnostics
        )
        self._body.addWidget(Rows([self.show_keys, self.show_diagnostics], 2))
        for panel in (self.keys, self.diagnostics):
            panel.hide()
            self._body.addWidget(panel)
        self._body.addStretch(1)

    @property
    def is_closed(self) -> bool:
        """Whether all work was stopped for good; it can be asked even when Qt's part is gone."""
        return not self._close_all.alive

    def close_work(self) -> None:
        """Stop all work and let go of the viewer, as closing the dock does."""
        self._close_all()

    def copy_diagnostics(self) -> None:
        """Put versions, devices, memory, model and cache on the clipboard as plain text."""
        session, cache = self.controller.session, self._cache

        def done(description: dict[str, str]) -> None:
            clipboard = QApplication.clipboard()
            assert clipboard is not None  # there is one as soon as there is an application
            clipboard.setText(_as_text(description))
            self._tell(f"Copied {len(description)} lines of diagnostics.")

        session.run_long(
            "Looking at this machine", lambda progress, cancel: _describe(session, cache), done
        )

    def clear_cache(self) -> None:
        """Remove all prepared pictures from the disk; those that are open stay prepared."""
        cache = self._cache
        if cache is None:
            self._tell("No prepared pictures are kept on the disk: see Preferences.")
            return

        def done(freed: int) -> None:
            self._tell(f"The cache of prepared pictures is empty: {decimal(freed)} freed.")

        self.controller.session.run(cache.clear, done)

    def go_through_queue(
        self, how: Literal["go_on", "go_back", "finish", "finish_as_authentic"]
    ) -> None:
        """Leave the open picture of the queue for another one; without a queue, say so."""
        if self.queue.queue is None:
            self._tell("No queue of pictures is open: choose a folder or a list first.")
            self.queue.unfold()
        else:
            getattr(self.queue, how)()

    def give_way(self) -> None:
        """Stop for good, because another widget works on the viewer from now on."""
        self.close_work()
        self._tell("Another SAFIRE widget works on this viewer now: close this one.")
        self.setEnabled(False)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept pictures, folders, lists and models."""
        if event is not None and any(path.exists() for path in dropped_paths(event)):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Go on accepting: a scroll area asks its content anew with each move."""
        if event is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped: as the model, as the queue, and as pictures."""
        paths = [] if event is None else dropped_paths(event)
        if event is None or not paths:
            return
        event.acceptProposedAction()
        dropped = sort_dropped(paths)
        if dropped.model is not None:
            self.model.choose_file(str(dropped.model), dropped=True)
        if dropped.queue is not None:
            self.queue.open_queue(dropped.queue)
        problems = open_pictures(self.controller.viewer, dropped.pictures)
        for problem in (*dropped.problems, *problems):
            self._tell(problem)

    def changeEvent(self, event: QEvent | None) -> None:
        """Notice that napari's "close this panel" took the widget out of its dock."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            # Whoever takes it out may put it into another dock at once.
            QTimer.singleShot(0, self._end_without_dock)

    def _end_without_dock(self) -> None:
        if self.parent() is None:
            self.close_work()
            # Not left to Python: its garbage collector may run in a worker's thread.
            self.deleteLater()

    def _tell(self, sentence: str) -> None:
        self.message.tell(sentence, topic=ANYWHERE)

    def _preferences_changed(self, preferences: Preferences) -> None:
        self.controller.embed_on_selection = preferences.embed_on_selection
        self.controller.sources_opacity = preferences.sources_opacity
        self.verdict.prior = preferences.prior_percent / 100
        self.controller.start_with(_settings(preferences))
        self.controller.session.weighing.count(preferences.count_evidence)
        if self._cache is not None and preferences.cache_gib > 0:
            self._cache.max_bytes = int(preferences.cache_gib * 2**30)

    def _bring_failure_into_view(self, sentence: str, failed: bool) -> None:
        """Scroll to the messages where a button further down did not do what was asked."""
        bar = self.verticalScrollBar()
        if failed and bar is not None:
            bar.setValue(bar.minimum())

    def _show_theme(self, event: object = None) -> None:
        self.setStyleSheet(focus_style(get_theme(self.controller.viewer.theme).text.as_hex()))

    def _show_fine_tune(self) -> None:
        # It is at the foot of the dock, and has no place there before it was laid out.
        QTimer.singleShot(0, self._scroll_to_fine_tune)

    def _scroll_to_fine_tune(self) -> None:
        self.ensureWidgetVisible(self.fine_tune, 0, 0)

    def _toggle_keys(self) -> None:
        self._toggle(self.keys, self.show_keys)

    def _toggle_diagnostics(self) -> None:
        self._toggle(self.diagnostics, self.show_diagnostics)

    def _toggle(self, panel: QWidget, heading: QWidget) -> None:
        panel.setVisible(panel.isHidden())
        if not panel.isHidden():
            # At the foot of the dock, too. What does not fit is shown from its beginning on.
            QTimer.singleShot(0, lambda: self._scroll_to(panel, heading))

    def _scroll_to(self, panel: QWidget, heading: QWidget) -> None:
        self.ensureWidgetVisible(panel, 0, 0)
        self.ensureWidgetVisible(heading, 0, 0)


def _end_all(*ends: Callable[[], None]) -> None:
    """Call all of them, even if one raises."""
    with ExitStack() as stack:
        for end in reversed(ends):
            stack.callback(end)


def widget_of(viewer: Any) -> SafireWidget | None:
    """The open SAFIRE widget of a viewer, for commands."""
    reference = _WIDGETS.get(viewer)
    widget = None if reference is None else reference()
    return None if widget is None or widget.is_closed else widget


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


def _describe(session: Session, cache: EmbeddingCache | None) -> dict[str, str]:
    from napari_safire.engine.machine import describe_machine

    return describe_machine(session.engine, cache)


def _as_text(description: Mapping[str, str]) -> str:
    from napari_safire.engine.machine import as_text

    return as_text(description)


def _runner(session: Session) -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
    """Long enough to be kept off the state lane: it asks devices and may load torch."""

    def run(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        session.run_long("Looking at this machine", lambda progress, cancel: work(), done)

    return run


def _settings(preferences: Preferences) -> PartitionSettings:
    method = preferences.partition_method
    return PartitionSettings(
        method=method,
        n_sources=2 if method == "kmeans" else None,
        points_per_side=preferences.points_per_side,
    )


def _callbacks(
    controller: ViewerController, widget: weakref.ref[SafireWidget]
) -> dict[str, Callable[[], None]]:
    def on_widget(act: Callable[[SafireWidget], None]) -> Callable[[], None]:
        # Keys lie in the viewer, which would keep the widget alive.
        def call() -> None:
            if (there := widget()) is not None:
                act(there)

        return call

    return {
        "show_picture": on_widget(lambda widget: widget.switch.toggle("picture")),
        "show_sources": on_widget(lambda widget: widget.switch.toggle("sources")),
        "show_forgery_map": on_widget(lambda widget: widget.switch.toggle("forgery map")),
        "show_uncertainty": on_widget(lambda widget: widget.switch.toggle("uncertainty")),
        "next_picture": on_widget(lambda widget: widget.go_through_queue("go_on")),
        "previous_picture": on_widget(lambda widget: widget.go_through_queue("go_back")),
        "finish_picture": on_widget(lambda widget: widget.go_through_queue("finish")),
        "add_prompts": controller.add_prompts,
        "segment": controller.segment,
        "exclude": controller.mode.toggle_exclude,
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
