"""The table in which the user changes keys."""

from __future__ import annotations

from collections.abc import Sequence

from app_model.backends.qt import QKeyBindingSequence, QModelKeyBindingEdit
from napari.utils.key_bindings import coerce_keybinding
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_safire.gui.keys.binder import KeyConflict
from napari_safire.gui.keys.keymap import KeyAction, Keymap
from napari_safire.gui.keys.spelling import key_text


class KeyField(QModelKeyBindingEdit):
    """Records one key; its cross takes the key away.

    Qt empties its field when the first key, even a mere modifier, goes down: only an empty field
    that nobody is typing in means "no key".
    """

    chosen = Signal()
    """Emitted after the user has pressed a whole key, or the cross."""

    given_up = Signal()
    """Emitted after nothing but modifiers was pressed; the field is empty then."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._typing = False
        self.setMaximumSequenceLength(1)
        self.setClearButtonEnabled(True)
        self.keySequenceChanged.connect(self._on_changed)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Record the key."""
        self._typing = True
        try:
            super().keyPressEvent(event)
        finally:
            self._typing = False

    def keyReleaseEvent(self, event: QKeyEvent | None) -> None:
        """Notice that no key followed the modifiers."""
        super().keyReleaseEvent(event)
        self._give_up()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that the line that has the focus loses it; Qt filters its events here."""
        handled = super().eventFilter(watched, event)
        if event is not None and event.type() == QEvent.Type.FocusOut:
            self._give_up()
        return handled

    def _give_up(self) -> None:
        if self.keySequence().isEmpty():
            self.given_up.emit()

    def _on_changed(self, sequence: QKeySequence) -> None:
        if not (self._typing and sequence.isEmpty()):
            self.chosen.emit()


class KeyEditor(QWidget):
    """Show which key does what, and let the user change it.

    Click into a key and press the new one; its cross takes the key away. What does not go is said
    below the table.

    Parameters
    ----------
    keymap : Keymap
    parent : QWidget, optional
    """

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.keymap = keymap
        self._conflicts: tuple[KeyConflict, ...] = ()
        self._edits: dict[str, KeyField] = {}
        self._resets: dict[str, QToolButton] = {}

        self.table = QTableWidget(len(keymap.actions), 3, self)
        self.table.setAccessibleName("Keys")
        self.table.setHorizontalHeaderLabels(["Action", "Key", ""])
        self.table.setShowGrid(False)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the fields in it take the focus
        self.table.setTextElideMode(Qt.TextElideMode.ElideRight)
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        assert header is not None  # Qt's own stubs allow for a table without headers
        assert rows is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(round(2 * self.fontMetrics().height()))
        header.setSectionsClickable(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(24)
        for row, action in enumerate(keymap.actions):
            self._add_row(row, action)
        first = self._edits[keymap.actions[0].name]
        self.table.setColumnWidth(1, first.fontMetrics().horizontalAdvance("Ctrl+Shift+W") + 40)
        self.table.setColumnWidth(2, self._resets[keymap.actions[0].name].sizeHint().width() + 8)
        height = len(keymap.actions) * rows.defaultSectionSize() + 2 * header.sizeHint().height()
        self.table.setFixedHeight(height)  # the dock scrolls, not a table inside it

        self.message = QLabel(self)
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.message.setAccessibleName("What is wrong with the keys")

        self.defaults_button = QPushButton("All defaults", self)
        self.defaults_button.setToolTip("Give every action its default key.")
        self.defaults_button.clicked.connect(self._reset_all)

        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(self.defaults_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.message)
        layout.addLayout(foot)
        layout.addStretch()

        keymap.changed.connect(self._show_keys)  # held weakly
        self._show_keys()

    def set_conflicts(self, conflicts: Sequence[KeyConflict]) -> None:
        """Tell which keys do not act, because they are somebody else's (`KeyBinder.conflicts`)."""
        self._conflicts = tuple(conflicts)
        self._show_keys()

    def edit_of(self, name: str) -> KeyField:
        """The field that holds the key of an action."""
        return self._edits[name]

    def reset_button_of(self, name: str) -> QToolButton:
        """The button that brings the default key of an action back."""
        return self._resets[name]

    def _add_row(self, row: int, action: KeyAction) -> None:
        title = QTableWidgetItem(action.title)
        title.setFlags(Qt.ItemFlag.ItemIsEnabled)
        title.setToolTip(action.help)
        self.table.setItem(row, 0, title)

        edit = KeyField(self.table)
        edit.setAccessibleName(f"Key of: {action.title}")
        edit.setToolTip(f"{action.help}\nClick here, then press the new key.")
        edit.chosen.connect(lambda name=action.name: self._take_key(name))
        edit.given_up.connect(lambda name=action.name: self._show_key(name))
        self.table.setCellWidget(row, 1, edit)
        self._edits[action.name] = edit

        reset = QToolButton(self.table)
        reset.setText("Reset")
        reset.setAccessibleName(f"Default key of: {action.title}")
        reset.setToolTip(f"Back to the default key, {key_text(action.default)}.")
        reset.clicked.connect(lambda _=False, name=action.name: self._reset(name))
        self.table.setCellWidget(row, 2, reset)
        self._resets[action.name] = reset

    def _take_key(self, name: str) -> None:
        edit = self._edits[name]
        binding = edit.keyBinding()
        try:
            # A key that app-model does not know has no name there; Qt has one for the message.
            key = None if binding is None else str(binding) or edit.keySequence().toString()
            self.keymap.assign(name, key)
        except ValueError as error:
            self._show_keys(str(error))
        else:
            self._show_keys()

    def _reset(self, name: str) -> None:
        try:
            self.keymap.reset(name)
        except ValueError as error:
            self._show_keys(str(error))

    def _reset_all(self) -> None:
        self.keymap.reset()
        self._show_keys()

    def _show_keys(self, error: str = "") -> None:
        if not isalive(self):  # the window is gone, this object not yet
            return
        for action in self.keymap.actions:
            self._show_key(action.name)
            self._resets[action.name].setEnabled(not self.keymap.is_default(action.name))
        lines = [error, self.keymap.problem, *map(str, self._conflicts)]
        self.message.setText("\n".join(line for line in lines if line))
        self.message.setVisible(bool(self.message.text()))

    def _show_key(self, name: str) -> None:
        """Show the key that holds, also after a modifier was pressed and nothing followed."""
        key, edit = self.keymap[name], self._edits[name]
        with QSignalBlocker(edit):
            edit.setKeySequence(
                QKeySequence() if key is None else QKeyBindingSequence(coerce_keybinding(key))
            )
