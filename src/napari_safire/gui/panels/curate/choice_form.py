"""Fields by which pictures of a manifest are chosen, with how many that are."""

from __future__ import annotations

import os
import threading

from qtpy.QtCore import QSignalBlocker, QTimer, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLineEdit, QSpinBox, QVBoxLayout, QWidget

from napari_safire.corpus.manifest_queue import QUEUE_CHOICE
from napari_safire.corpus.triage.choice import Choice
from napari_safire.corpus.triage.selection import DEFAULT_SORT
from napari_safire.errors import Cancelled
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.panels.section import form, leave_wheel, plain, sentence
from napari_safire.session.queue.choosing import Counted, count_chosen
from napari_safire.session.session import Session

_TYPING_MS = 250  # how long typing must rest before pictures are counted
_MOST = 100_000


class ChoiceForm(QWidget):
    """Condition, order and how many at most; hidden where there is no manifest.

    Parameters
    ----------
    session : Session
        Counts, in its reading worker.
    connections : Connections
        Of the section that it is in: with them it falls silent.

    Attributes
    ----------
    counted : Counted
        What is known of the choice as it stands; before the answer, nothing.
    changed : Signal()
        `counted` is another one.
    """

    changed = Signal()

    def __init__(self, session: Session, connections: Connections) -> None:
        super().__init__()
        self._session, self._connections = session, connections
        self._path = ""
        self._stop = threading.Event()
        self.counted = Counted()
        self.where = self._line(
            "Condition",
            "verdict == 'forged' and score > 0.9",
            "Columns of the manifest compared with values: == != < <= > >=, in, and, or, not, "
            "is None. Texts stand in quotes.",
        )
        self.sort = self._line(
            "Order", DEFAULT_SORT, "Columns, - before those whose largest value comes first."
        )
        self.top = QSpinBox()
        self.top.setRange(1, _MOST)
        self.top.setAccessibleName("How many at most")
        self.top.setToolTip("The first so many are taken.")
        leave_wheel(self.top)
        self.top.valueChanged.connect(self._edited)
        self.where_problem, self.sort_problem = plain(), plain()
        self.number = plain()
        self.number.setAccessibleName("How many pictures are chosen")
        fields = form()
        fields.addRow("Where", self.where)
        fields.addRow(self.where_problem)
        fields.addRow("Sort by", self.sort)
        fields.addRow(self.sort_problem)
        fields.addRow("At most", self.top)
        fields.addRow(self.number)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.addLayout(fields)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_TYPING_MS)
        connections.connect(self._rest.timeout, self._count)  # the session may end before it does
        self.show_choice(QUEUE_CHOICE)
        self._show()

    def _line(self, name: str, sample: str, help_text: str) -> QLineEdit:
        line = QLineEdit()
        line.setAccessibleName(name)
        line.setPlaceholderText(sample)
        line.setToolTip(help_text)
        line.textChanged.connect(self._edited)
        return line

    @property
    def choice(self) -> Choice:
        """As the fields say."""
        sort = self.sort.text().strip() or None
        return Choice(self.where.text().strip(), sort, self.top.value())

    def show_choice(self, choice: Choice) -> None:
        """Show what is chosen, as if somebody had typed it."""
        with QSignalBlocker(self.where), QSignalBlocker(self.sort), QSignalBlocker(self.top):
            self.where.setText(choice.where)
            self.sort.setText(choice.sort or "")
            self.top.setValue(choice.top or _MOST)
        self._edited()

    def ask(self, path: str | os.PathLike[str]) -> None:
        """Choose of what lies at a path from now on; anything but a manifest hides the form."""
        path = os.fspath(path)
        if path != self._path:
            self._path = path
            self._edited()

    def _edited(self, _: object = None) -> None:
        self._stop.set()
        self._rest.start()

    def _count(self) -> None:
        path, choice = self._path, self.choice
        stop = self._stop = threading.Event()

        def work() -> Counted | None:
            try:
                return count_chosen(path, choice, stop.is_set) if path else Counted()
            except Cancelled:
                return None

        def take(counted: Counted | None) -> None:
            if counted is not None and stop is self._stop and not stop.is_set():
                self.counted = counted
                self._show()
                self.changed.emit()

        self._session.run(
            work,
            self._connections.while_connected(take),
            self._connections.while_connected(lambda error: take(_unreadable(error))),
        )

    def _show(self) -> None:
        counted = self.counted
        self.setVisible(counted.is_manifest)
        for label, problem in (
            (self.where_problem, counted.where_problem),
            (self.sort_problem, counted.sort_problem),
        ):
            label.setText(f"⚠ {problem}" if problem else "")
            label.setVisible(bool(problem))
        self.number.setText(f"⚠ {counted.problem}" if counted.problem else counted.words)
        self.number.setVisible(bool(self.number.text()))


def _unreadable(error: Exception) -> Counted:
    return Counted(is_manifest=True, problem=sentence(error))
