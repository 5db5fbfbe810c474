"""The dock widget *SAFIRE*: one picture, its prompts, sources, verdict, evidence and model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QWidget
from rich.filesize import decimal

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.dock import WorkspaceDock
from napari_safire.gui.keys.key_editor import KeyEditor
from napari_safire.gui.panels.annotate.model_section import ModelSection
from napari_safire.gui.panels.annotate.partition_section import PartitionSection
from napari_safire.gui.panels.annotate.picture_section import PictureSection
from napari_safire.gui.panels.annotate.plot_section import PlotSection
from napari_safire.gui.panels.annotate.prompt_section import PromptSection
from napari_safire.gui.panels.annotate.source_section import SourceSection
from napari_safire.gui.panels.annotate.status_section import StatusSection
from napari_safire.gui.panels.annotate.verdict_panel import VerdictPanel
from napari_safire.gui.panels.annotate.view_panel import ViewPanel
from napari_safire.gui.panels.curate.queue_line import QueueLine
from napari_safire.gui.panels.diagnostics_panel import DiagnosticsPanel
from napari_safire.gui.panels.drops import Dropped
from napari_safire.gui.panels.evidence.section import EvidenceSection
from napari_safire.gui.panels.fine_tune.section import FineTuneSection
from napari_safire.gui.panels.section import Rows, Section, button
from napari_safire.gui.preferences import Preferences
from napari_safire.gui.workspace import workspace_of
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.session.session import Session

if TYPE_CHECKING:
    from napari_safire.engine.cache import EmbeddingCache


class SafireWidget(WorkspaceDock):
    """Click a point, see the source region that contains it; partition a picture into its sources.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        napari hands it in.
    load_engine : callable, optional
        How models are loaded; see `Workspace`.
    """

    name = "SAFIRE"

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, load_engine: LoadEngine | None = None
    ) -> None:
        super().__init__(napari_viewer, load_engine)
        self._make_sections(self.workspace.preferences)
        self._lay_out(self._sections, self._sections)
        self._add_panels()
        self._connections.connect(self.workspace.queue.is_wanted, self.show_curate)
        self._connections.connect(self.workspace.watch.changed, self._preferences_changed)
        self._connections.connect(self.workspace.binder.conflicts_changed, self._show_conflicts)

    def _make_sections(self, preferences: Preferences) -> None:
        controller = self.controller
        self.verdict = VerdictPanel(controller)
        self.verdict.prior = preferences.prior_percent / 100
        self.view = ViewPanel(controller, self.workspace.switch)
        self.picture = PictureSection(controller)
        self.status = StatusSection(controller)
        self.prompts = PromptSection(controller, self.workspace.next_click)
        self.partition = PartitionSection(controller)
        self.sources = SourceSection(controller)
        self.plots = PlotSection(controller, self.partition)
        self.evidence = EvidenceSection(controller, self.workspace.evidence)
        chosen = controller.session.model_choice  # by a dock that was opened before
        self.model = ModelSection(controller, *(chosen or (preferences.model, preferences.device)))
        self.queue_line = QueueLine(self.workspace.queue, self.show_curate)
        self.fine_tune = FineTuneSection(controller, self.workspace.queue, self.model)
        self._sections: tuple[Section, ...] = (
            self.verdict, self.view, self.picture, self.queue_line, self.status, self.prompts,
            self.partition, self.sources, self.plots, self.evidence, self.model, self.fine_tune,
        )  # fmt: skip
        self.fine_tune.unfolded.connect(self._show_fine_tune)

    def _add_panels(self) -> None:
        """Put keys and diagnostics at the foot, each behind a button."""
        self.keys = KeyEditor(self.workspace.keymap)
        self._show_conflicts()
        session = self.controller.session
        self.diagnostics = DiagnosticsPanel(
            partial(_describe, session, self.workspace.cache),
            _runner(session, self._connections),
            _as_text,
        )
        self.show_keys = button("Keys …", "Show and change the keys.", self._toggle_keys)
        self.show_diagnostics = button(
            "Diagnostics …", "Versions, devices, memory, model and cache.", self._toggle_diagnostics
        )
        self.curate = button(
            "Curate …",
            "Go through the pictures of a folder, a list or a project, in a dock of its own.",
            self.show_curate,
        )
        self.review = button(
            "Review …",
            "Note what you see, give a verdict of your own, and write a report, in its own dock.",
            self.show_review,
        )
        panels: list[QWidget] = [
            self.curate, self.review, self.show_keys, self.show_diagnostics,
        ]  # fmt: skip
        self._body.addWidget(Rows(panels, 4))
        for panel in (self.keys, self.diagnostics):
            panel.hide()
            self._body.addWidget(panel)
        self._body.addStretch(1)

    def _show_conflicts(self) -> None:
        self.keys.set_conflicts(self.workspace.binder.conflicts)

    def copy_diagnostics(self) -> None:
        """Put versions, devices, memory, model and cache on the clipboard as plain text."""
        session, cache = self.controller.session, self.workspace.cache

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
        cache = self.workspace.cache
        if cache is None:
            self._tell("No prepared pictures are kept on the disk: see Preferences.")
            return

        def done(freed: int) -> None:
            self._tell(f"The cache of prepared pictures is empty: {decimal(freed)} freed.")

        self.controller.session.run(cache.clear, done)

    def take_dropped(self, dropped: Dropped) -> tuple[str, ...]:
        """See `WorkspaceDock`: a model, or a queue."""
        if dropped.model is not None:
            self.model.choose_file(str(dropped.model), dropped=True)
        if dropped.queue is not None:
            self.workspace.queue.work.open_queue(dropped.queue)
            self.show_curate()
        return ()

    def _preferences_changed(self, preferences: Preferences) -> None:
        self.verdict.prior = preferences.prior_percent / 100

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
            QTimer.singleShot(0, lambda: self._scroll_to_begin(panel, heading))


def widget_of(viewer: Any) -> SafireWidget | None:
    """The open SAFIRE widget of a viewer, for commands."""
    workspace = workspace_of(viewer)
    return None if workspace is None else workspace.dock(SafireWidget)


def _describe(session: Session, cache: EmbeddingCache | None) -> dict[str, str]:
    from napari_safire.engine.machine import describe_machine

    return describe_machine(session.engine, cache)


def _as_text(description: Mapping[str, str]) -> str:
    from napari_safire.engine.machine import as_text

    return as_text(description)


def _runner(
    session: Session, connections: Connections
) -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
    """Long enough to be kept off the state lane: it asks devices and may load torch."""

    def run(work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        then = connections.while_connected(done)
        session.run_long("Looking at this machine", lambda progress, cancel: work(), then)

    return run
