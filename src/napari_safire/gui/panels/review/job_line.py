"""How far something is that was asked for, and a button that stops it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_safire.gui.panels.section import button, progress_bar, show_progress


class JobLine(QWidget):
    """A bar and *Cancel*; hidden while nothing is made.

    Parameters
    ----------
    what : str
        For screen readers: "the comparison of the sources".
    cancel : callable
    """

    def __init__(self, what: str, cancel: Callable[[], None]) -> None:
        super().__init__()
        self.bar = progress_bar(f"How far {what} is")
        self.cancel = button("Cancel", f"Stop {what}.", cancel)
        self.cancel.setFixedWidth(64)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        line.addWidget(self.bar, 1)
        line.addWidget(self.cancel)
        self.hide()

    def show_progress(self, done: int, total: int) -> None:
        """Show how far it is; of an unknown whole that it goes on."""
        show_progress(self.bar, done, total)

    def show_asked(self, asked: bool) -> None:
        """Show that something is made, or not."""
        if asked and self.isHidden():
            self.show_progress(0, 0)
        self.setVisible(asked)
