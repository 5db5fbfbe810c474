"""The dock widget *SAFIRE*: it puts session, desk, keys and sections together, and closes them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import napari
from platformdirs import user_config_path
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_safire.gui.connections import Connections
from napari_safire.gui.desk import Desk
from napari_safire.gui.diagnostics_panel import DiagnosticsPanel
from napari_safire.gui.gui_thread import GuiThread
from napari_safire.gui.key_editor import KeyEditor
from napari_safire.gui.keymap import ACTIONS, KeyBinder, Keymap
from napari_safire.gui.preferences import Preferences, PreferencesWatch
from napari_safire.gui.sections.image_section import ImageSection
from napari_safire.gui.sections.partition_section import PartitionSection
from napari_safire.gui.sections.prompt_section import PromptSection
from napari_safire.gui.sections.result_section import ResultSection
from napari_safire.gui.sections.section import Section, button, in_rows, wrapped
from napari_safire.session.planes import PartitionSettings
from napari_safire.session.session import LoadEngine, Session

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
        How models are loaded; see `napari_safire.session.session.LoadEngine`. Default: from the
        registry or a file, with the embedding cache on disk.
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load_engine: LoadEngine | None = None
    ) -> None:
        super().__init__()
        preferences = Preferences.load()
        self._watch = PreferencesWatch()
        self._cache = _make_cache(preferences)
        self._thread = GuiThread()
        session = Session(self._thread.deliver, load_engine or partial(_load_engine, self._cache))
        self.desk = Desk(napari_viewer, session, embed_on_selection=preferences.embed_on_selection)
        self.desk.set_settings(_settings(preferences))

        keys = Keymap(ACTIONS, user_config_path("napari-safire") / "keys.json")
        binder = KeyBinder(napari_viewer, keys, _callbacks(self.desk))

        self.message = wrapped()
        self.message.setFrameShape(QFrame.Shape.StyledPanel)
        self.message.setMargin(4)
        self.message.hide()
        self.image = ImageSection(self.desk, preferences.model, preferences.device)
        self.prompts = PromptSection(self.desk)
        self.partition = PartitionSection(self.desk)
        self.result = ResultSection(self.desk)
        self.keys = KeyEditor(keys)
        self.keys.set_conflicts(binder.conflicts)
        self.diagnostics = DiagnosticsPanel(
            partial(_describe, session, self._cache), _runner(session), _as_text
        )
        self.show_keys = button("Keys …", "Show and change the keys.", self._toggle_keys)
        self.show_diagnostics = button(
            "Diagnostics …", "Versions, devices, memory, model and cache.", self._toggle_diagnostics
        )

        inside = QWidget()
        body = QVBoxLayout(inside)
        body.setContentsMargins(8, 8, 8, 8)
        body.setSpacing(6)
        body.addWidget(self.message)
        for section in self._sections():
            body.addWidget(section)
        body.addLayout(in_rows([self.show_keys, self.show_diagnostics], 2))
        for panel in (self.keys, self.diagnostics):
            panel.hide()
            body.addWidget(panel)
        body.addStretch(1)
        inside.setMinimumWidth(_NARROW)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_NARROW + 24)

        connections = Connections()
        connections.connect(self.desk.notice, self._show_notice)
        connections.connect(session.progress, self._clear_old_message)
        connections.connect(self._watch.changed, self._preferences_changed)
        connections.connect(
            binder.conflicts_changed, lambda: self.keys.set_conflicts(binder.conflicts)
        )
        for problem in (*preferences.problems, keys.problem):
            if problem:
                self._show_notice(problem, False)

        # Docks die without a close event (napari issue 8071). What ends the work must not refer
        # to this widget, which is half gone by then.
        self._close_all = _Closing(
            connections, binder, self.desk, self._watch, *[s.connections for s in self._sections()]
        )
        self.destroyed.connect(self._close_all)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._close_all)
        _WIDGETS[napari_viewer] = weakref.ref(self)

    def close_work(self) -> None:
        """Stop all work and let go of the viewer, as closing the dock does."""
        self._close_all()

    def _sections(self) -> tuple[Section, ...]:
        return (self.image, self.prompts, self.partition, self.result)

    def _show_notice(self, sentence: str, failed: bool) -> None:
        mark = "⚠" if failed else "ⓘ"
        self.message.setText(f"{mark} {sentence}")
        self.message.setProperty("failed", failed)
        self.message.show()

    def _clear_old_message(self, text: str, done: int, total: int) -> None:
        if text and done == 0 and not self.message.property("failed"):
            self.message.hide()

    def _preferences_changed(self, preferences: Preferences) -> None:
        self.desk.embed_on_selection = preferences.embed_on_selection
        self.desk.set_settings(_settings(preferences))
        if self._cache is not None and preferences.cache_gib > 0:
            self._cache.max_bytes = int(preferences.cache_gib * 2**30)

    def _toggle_keys(self) -> None:
        self.keys.setVisible(self.keys.isHidden())

    def _toggle_diagnostics(self) -> None:
        self.diagnostics.setVisible(self.diagnostics.isHidden())


class _Closing:
    """Closes everything once, however the end comes."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def __call__(self, *_: object) -> None:
        parts, self._parts = self._parts, ()
        for part in parts:
            for name in ("disconnect", "unbind", "close"):
                end = getattr(part, name, None)
                if end is not None:
                    end()
                    break


def widget_of(viewer: Any) -> SafireWidget | None:
    """The open SAFIRE widget of a viewer, for commands."""
    reference = _WIDGETS.get(viewer)
    return None if reference is None else reference()


def _load_engine(
    cache: EmbeddingCache | None, name: str, device: str, notice: Callable[[str], None]
) -> Engine:
    # napari needs pandas for the first point: better loaded here than then.
    import pandas  # type: ignore[import-untyped]  # noqa: F401

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


def _callbacks(desk: Desk) -> dict[str, Callable[[], None]]:
    def toggle_exclude() -> None:
        desk.exclude = not desk.exclude

    return {
        "add_prompts": desk.add_prompts,
        "segment": desk.segment,
        "exclude": toggle_exclude,
        "commit": desk.commit,
        "discard": desk.discard,
        "next_source": desk.next_source,
        "previous_source": desk.previous_source,
        "undo": desk.undo,
        "redo": desk.redo,
        "toggle_preview": desk.toggle_preview,
        "partition": desk.partition,
        "cancel": desk.cancel,
    }
