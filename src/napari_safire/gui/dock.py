"""What the docks of the plugin have in common: sections under each other, drops, and their end."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from napari.plugins import menu_item_template
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QDockWidget,
    QFrame,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.panels.annotate.autosaved_work import AutosavedWorkBar
from napari_safire.gui.panels.drops import Dropped, dropped_paths, open_pictures, sort_dropped
from napari_safire.gui.panels.message_bar import MessageBar
from napari_safire.gui.panels.section import focus_style
from napari_safire.gui.workspace import end_all, open_workspace, workspace_of
from napari_safire.session.chosen_model import LoadEngine
from napari_safire.session.messages import ANYWHERE

_PLUGIN = "SAFIRE"  # as the manifest displays it
_NARROW = 330  # pixels: with the dock's frame and scroll bar it fits 360


D = TypeVar("D", bound="WorkspaceDock")


class Closable(Protocol):
    """A section, as its dock knows it."""

    def close_section(self) -> None:
        """Disconnect from everything that outlives the widget."""


class WorkspaceDock(QScrollArea):
    """A dock widget on the workspace of a viewer; the last of them that is closed ends it.

    Whoever derives from it makes sections and hands them to `_lay_out` in the end.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    load_engine : callable, optional
        How models are loaded, where this dock is the viewer's first; see `Workspace`.
    """

    name: str
    """As the manifest displays it."""

    def __init__(self, napari_viewer: Any, load_engine: LoadEngine | None = None) -> None:
        super().__init__()
        # `add_plugin_dock_widget` and commands give a wrapped one.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        # A script and a menu may each open one, under two names: two would show the same twice.
        self.workspace = workspace = open_workspace(viewer, load_engine)
        before = workspace.dock(type(self))
        self._ticket = workspace.enter(self)  # before the other leaves: all would end with it
        if before is not None:
            before.give_way()
        self.controller = self.workspace.controller
        self.message = MessageBar(self.workspace.messages)
        self.autosaved_work = AutosavedWorkBar(self.workspace.earlier)
        self._connections = Connections()
        self._has_place = False  # among the other docks

    def _lay_out(self, sections: Sequence[QWidget], closable: Sequence[Closable]) -> None:
        """Put sections under the messages; from here on, closing ends what each of them began."""
        inside = QWidget()
        self._body = body = QVBoxLayout(inside)
        body.setContentsMargins(8, 6, 8, 6)
        body.setSpacing(6)
        for widget in (self.message, self.autosaved_work, *sections):
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
        self._connections.connect(self.controller.notice, self._bring_failure_into_view)
        self._connections.connect(self.controller.viewer.events.theme, self._show_theme)
        self._connections.connect(self.workspace.review.is_wanted, self.show_review)
        self._end_with(closable)

    def _end_with(self, closable: Sequence[Closable]) -> None:
        # Docks die without a close event (napari issue 8071). What ends the work must not need this
        # widget, which is half gone by then. It is done once, and at Python's exit at the latest;
        # until then it keeps the workspace alive.
        workspace = self.workspace
        ticket = self._ticket
        self._close_all = weakref.finalize(
            self,
            end_all,
            lambda: workspace.finish_before(ticket),
            self._connections.disconnect,
            *[section.close_section for section in closable],
            self.autosaved_work.connections.disconnect,
            self.message.connections.disconnect,
            lambda: workspace.leave(ticket),
        )
        self.destroyed.connect(self._close_all)
        application = QApplication.instance()
        if application is not None:
            self._connections.connect(application.aboutToQuit, self._close_all)

    @property
    def is_closed(self) -> bool:
        """Whether this dock is done for good; it can be asked even when Qt's part is gone."""
        return not self._close_all.alive

    def close_work(self) -> None:
        """Let go of the workspace, as closing the dock does."""
        self._close_all()

    def show_review(self) -> None:
        """Bring the dock *SAFIRE Review* forward."""
        from napari_safire.gui.review import ReviewWidget  # which is one of these

        self._show(ReviewWidget)

    def show_curate(self) -> None:
        """Bring the dock with the queue forward."""
        from napari_safire.gui.curate import CurateWidget  # which is one of these

        self._show(CurateWidget)

    def _show(self, kind: type[WorkspaceDock]) -> None:
        viewer = self.controller.viewer
        if hasattr(viewer, "window"):  # a model of a viewer has no place for docks
            bring_forward(viewer, kind)

    def give_way(self) -> None:
        """Stop for good, because another dock of this kind is open from now on."""
        self.message.end_with(f"Another {self.name} dock works on this viewer now: close this one.")
        self.close_work()
        self.setEnabled(False)

    def come_forward(self) -> None:
        """Be seen: in front of other docks, and not hidden."""
        dock = dock_around(self)
        if dock is not None:
            dock.show()
            dock.raise_()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take a place in front of the plugin's other dock: below it neither had enough."""
        super().showEvent(event)
        if not self._has_place:
            self._has_place = True
            QTimer.singleShot(0, self._lie_over_others)

    def _lie_over_others(self) -> None:
        dock = None if self.is_closed else dock_around(self)
        window = None if dock is None else dock.parentWidget()
        if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
            return
        area = window.dockWidgetArea(dock)
        for other in self.workspace.docks:
            beside = None if other is self else dock_around(other)
            if beside is None or beside.isFloating() or window.dockWidgetArea(beside) != area:
                continue
            if dock not in window.tabifiedDockWidgets(beside):
                window.tabifyDockWidget(beside, dock)
            dock.raise_()
            return

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept files and folders."""
        if event is not None and any(path.exists() for path in dropped_paths(event)):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Go on accepting: a scroll area asks its content anew with each move."""
        if event is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped as this dock takes it, and pictures; tell what is left."""
        paths = [] if event is None else dropped_paths(event)
        if event is None or not paths:
            return
        event.acceptProposedAction()
        dropped = sort_dropped(paths)
        problems = [*dropped.problems, *self.take_dropped(dropped)]
        for problem in (*problems, *open_pictures(self.controller.viewer, dropped.pictures)):
            self._tell(problem)

    def take_dropped(self, dropped: Dropped) -> Iterable[str]:
        """Open the queue and the model that were dropped.

        Parameters
        ----------
        dropped : Dropped

        Returns
        -------
        iterable of str
            Why this dock takes one of them not.
        """
        raise NotImplementedError

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
        self.workspace.messages.tell(sentence, topic=ANYWHERE)

    def _bring_failure_into_view(self, sentence: str, failed: bool) -> None:
        """Scroll to the messages where a button further down did not do what was asked."""
        bar = self.verticalScrollBar()
        if failed and bar is not None:
            bar.setValue(bar.minimum())

    def _show_theme(self, event: object = None) -> None:
        theme = get_theme(self.controller.viewer.theme)
        self.setStyleSheet(focus_style(theme.text.as_hex(), theme.foreground.as_hex()))

    def _scroll_to_begin(self, panel: QWidget, heading: QWidget) -> None:
        """Show a panel from its beginning on, and its heading."""
        self.ensureWidgetVisible(panel, 0, 0)
        self.ensureWidgetVisible(heading, 0, 0)


def open_dock(viewer: Any, kind: type[D]) -> D:
    """Give the dock of a kind in a viewer, opened if it is not.

    Parameters
    ----------
    viewer : napari.Viewer
    kind : type of WorkspaceDock
    """
    workspace = workspace_of(viewer)
    widget = None if workspace is None else workspace.dock(kind)
    if widget is None:
        widget = kind(viewer)
        # The name that the menu gives it, which then finds this one. `add_plugin_dock_widget` has
        # another, and the menu would open a second one.
        viewer.window.add_dock_widget(widget, name=menu_item_template.format(_PLUGIN, kind.name))
    return widget


def bring_forward(viewer: Any, kind: type[D]) -> D:
    """Open the dock of a kind, and put it in front of the others."""
    widget = open_dock(viewer, kind)
    widget.come_forward()
    return widget


def dock_around(widget: QWidget) -> QDockWidget | None:
    """Give the dock that a widget is in."""
    around = widget.parentWidget()
    while around is not None and not isinstance(around, QDockWidget):
        around = around.parentWidget()
    return around
