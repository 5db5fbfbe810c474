"""What runs here: versions, machine, model and cache, to be read and to be copied."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_safire.gui.controllers.gui_thread import gui_thread

Description = Mapping[str, str]
Answer = Description | Exception
Run = Callable[[Callable[[], Answer], Callable[[Answer], None]], object]

_SELECTABLE = (
    Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
)


class DiagnosticsPanel(QWidget):
    """Show names and values, fetched in a worker when the panel is first shown and on Refresh.

    Values can be selected; words too long for the panel, such as hashes, are shortened in the
    middle and stand whole in the tooltip. Copy puts everything, unshortened, on the clipboard.

    Parameters
    ----------
    source : callable
        ``source()`` gives the names and values in their order. It may be slow: it is called in a
        worker only. What it raises is shown as a sentence.
    run : callable
        ``run(work, done)`` calls ``work()`` in a worker and then ``done(result)``, in any thread.
    as_text : callable
        Makes the text for the clipboard of names and values (`engine.machine.as_text`).
    parent : QWidget, optional
    """

    def __init__(
        self,
        source: Callable[[], Description],
        run: Run,
        as_text: Callable[[Description], str],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._source = source
        self._run = run
        self._as_text = as_text
        self._description: dict[str, str] = {}
        self._values: dict[str, _Value] = {}
        self._asked = False
        self._waiting = False

        self.status = QLabel(self)
        self.status.setWordWrap(True)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setTextInteractionFlags(_SELECTABLE)
        self.status.setAccessibleName("State of the diagnostics")
        self.status.hide()

        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setAccessibleName("Diagnostics")

        self._area.setMinimumHeight(320)

        self.refresh_button = QPushButton("Refresh", self)
        self.refresh_button.setToolTip("Look again: memory, devices, model, cache.")
        self.refresh_button.clicked.connect(self.refresh)
        self.copy_button = QPushButton("Copy", self)
        self.copy_button.setToolTip("Copy all lines as plain text, for a report of a problem.")
        self.copy_button.clicked.connect(self.copy)
        self.copy_button.setEnabled(False)

        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(self.refresh_button)
        buttons.addWidget(self.copy_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._area, 1)
        layout.addWidget(self.status)
        layout.addLayout(buttons)

    @property
    def description(self) -> dict[str, str]:
        """The names and values that are shown."""
        return dict(self._description)

    def refresh(self) -> None:
        """Fetch names and values anew; nothing happens while that is under way already."""
        if self._waiting:
            return
        self._asked = self._waiting = True
        self.refresh_button.setEnabled(False)
        self._say("Looking …")
        # No strong reference to the panel goes to the worker: it is Qt's, and the last reference
        # must not be dropped there.
        hand_over = partial(_hand_over, weakref.ref(self))
        deliver = gui_thread().deliver
        self._run(partial(_ask, self._source), lambda answer: deliver(partial(hand_over, answer)))

    def copy(self) -> None:
        """Put all lines on the clipboard as plain text."""
        clipboard = QApplication.clipboard()
        assert clipboard is not None  # there is one as soon as there is an application
        clipboard.setText(self._as_text(self._description))
        self._say(f"Copied {len(self._description)} lines.")

    def showEvent(self, event: QShowEvent | None) -> None:
        """Fetch when shown for the first time."""
        super().showEvent(event)
        if not self._asked:
            self.refresh()

    def _take(self, answer: Answer) -> None:
        self._waiting = False
        self.refresh_button.setEnabled(True)
        if isinstance(answer, Exception):
            self._say(f"This cannot be told now: {answer or type(answer).__name__}")
            return
        self._say("")
        if [*answer] != [*self._description]:
            self._make_rows([*answer])
        self._description = dict(answer)
        for name, value in answer.items():
            self._values[name].show_value(value)
        self.copy_button.setEnabled(bool(answer))

    def _make_rows(self, names: list[str]) -> None:
        rows = QWidget()
        form = QFormLayout(rows)
        form.setContentsMargins(6, 4, 6, 4)
        form.setVerticalSpacing(0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self._values = {name: _Value(rows) for name in names}
        for name, value in self._values.items():
            title = QLabel(name, rows)
            title.setTextFormat(Qt.TextFormat.PlainText)
            title.setBuddy(value)
            form.addRow(title, value)
        self._area.setWidget(rows)  # deletes the rows before

    def _say(self, sentence: str) -> None:
        self.status.setText(sentence)
        self.status.setVisible(bool(sentence))


class _Value(QLabel):
    """Text that wraps, and whose words are shortened in the middle where they do not fit."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(_SELECTABLE)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        # As wide as the panel lets it be, whatever the length of its words.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)

    def show_value(self, whole: str) -> None:
        self._whole = whole
        self.setAccessibleDescription(whole)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room = max(self.contentsRect().width() - 8, 1)  # less, or the line still wraps at a dash
        metrics = self.fontMetrics()
        middle = Qt.TextElideMode.ElideMiddle
        shown = " ".join(metrics.elidedText(word, middle, room) for word in self._whole.split(" "))
        self.setToolTip("" if shown == self._whole else self._whole)
        if shown != self.text():
            self.setText(shown)


def _ask(source: Callable[[], Description]) -> Answer:
    try:
        return dict(source())
    except Exception as error:  # it is shown instead of the answer
        return error


def _hand_over(reference: weakref.ref[DiagnosticsPanel], answer: Answer) -> None:
    panel = reference()
    if panel is not None and isalive(panel):
        panel._take(answer)
