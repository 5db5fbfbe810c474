"""What is going on: a line, a bar that moves while anything takes long, and Cancel."""

from __future__ import annotations

import time

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import (
    ControllerSection,
    button,
    progress_bar,
    show_progress,
    wrapped,
)
from napari_safire.session.planes import Plane

_LOOK_MS = 100
_LONG_S = 0.3  # of what has no name and no steps: from here on the bar moves


class StatusSection(ControllerSection):
    """A line about the present picture, or about what is being done."""

    def __init__(self, controller: ViewerController) -> None:
        super().__init__(controller)
        self._named = False  # a job with a name is running
        self._busy_since: float | None = None
        self.label = wrapped()
        self.label.setAccessibleName("What is going on")
        self.progress = progress_bar("How far it is")
        self.cancel = button(
            "Cancel", "Stop what is running; nothing is lost.", controller.session.cancel
        )
        self.cancel.setFixedWidth(64)
        for part in (self.progress, self.cancel):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(True)  # nothing below moves with each job
            part.setSizePolicy(policy)
            part.hide()
        line = QHBoxLayout()
        line.addWidget(self.label, 1)
        line.addWidget(self.cancel)
        self.body.addLayout(line)
        self.body.addWidget(self.progress)
        for signal in (
            controller.plane_changed,
            controller.shown,
            controller.session.embedded,
            controller.session.partitioned,
            controller.session.model_changed,
        ):
            self.connections.connect(signal, self._show)
        self.connections.connect(controller.session.progress, self._show_progress)
        self._look = QTimer(self)
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self._look_for_work)
        self._look.start()
        self._show()

    def close_section(self) -> None:
        """Look for nothing any more."""
        super().close_section()
        self._look.stop()

    def _show_progress(self, text: str, done: int, total: int) -> None:
        self._named = bool(text)
        self._move(self._named)
        if not text:
            self._busy_since = None
            self._show()
            return
        self.label.setText(f"{text} …")
        show_progress(self.progress, done, total)

    def _look_for_work(self) -> None:
        """Let the bar move while work without a name of its own takes long."""
        if self._named:
            return
        if self._controller.session.idle:
            self._busy_since = None
            self._move(False)
        elif self._busy_since is None:
            self._busy_since = time.monotonic()
        elif time.monotonic() - self._busy_since > _LONG_S and self.progress.isHidden():
            self.progress.setRange(0, 0)
            self._move(True)

    def _move(self, moves: bool) -> None:
        if self.progress.isHidden() == moves:
            self.progress.setVisible(moves)
            self.cancel.setVisible(moves)

    def _show(self, _: object = None) -> None:
        if self._named:
            return
        plane, session = self._controller.plane, self._controller.session
        if plane is None:
            self.label.setText("")
        elif session.engine is None:
            self.label.setText("The model is not loaded yet.")
        elif plane.embedding is None:
            self.label.setText("The picture has not been read yet: press Run prompts.")
        else:
            rows, cols = plane.shape
            self.label.setText(f"{cols} x {rows}, {_what_next(plane)}")


def _what_next(plane: Plane) -> str:
    """What is there, or what can be done."""
    found = set(plane.shown_numbers) - {0}
    shown = set(plane.snapshot.areas if plane.snapshot is not None else ()) or found
    if not shown:
        return "click or partition"
    partition = plane.partition
    is_partition = partition is not None and len(found) == partition.n_sources and shown == found
    how = "found" if is_partition else "marked"
    return f"{len(shown)} source{'s' if len(shown) > 1 else ''} {how}"
