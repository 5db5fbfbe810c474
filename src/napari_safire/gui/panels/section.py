"""What all sections share: a heading, forms that fit 360 pixels, buttons with help."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from qtpy.QtCore import QEvent, QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QVBoxLayout,
    QWidget,
)

from napari_safire.errors import sentence as sentence
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.session.session import Session

T = TypeVar("T")

_FOCUSED = (
    *("QPushButton", "QToolButton", "QComboBox", "QAbstractSpinBox", "QTableView", "QSlider"),
    *("QCheckBox", "QLabel", "QLineEdit", "QPlainTextEdit"),
)
_BAR_HEIGHT = 8
_HEADING = (
    "QPushButton, QPushButton:checked { background: transparent; padding: 0px; text-align: left; }"
)


class Section(QWidget):
    """A part of the dock widget, under a heading.

    Parameters
    ----------
    title : str
        Without one there is no heading.
    quiet : bool
        Whether the heading is plain, as that of a part of another section.
    """

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        super().__init__()
        self.connections = Connections()
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(4)
        if title:
            heading = self._make_heading(title)
            if not quiet:
                font = heading.font()
                font.setBold(True)
                heading.setFont(font)
            self.body.addWidget(heading)

    def _make_heading(self, title: str) -> QWidget:
        return QLabel(title)

    def close_section(self) -> None:
        """Disconnect from everything that outlives the widget."""
        self.connections.disconnect()


class ControllerSection(Section):
    """A section without a heading about the picture that is worked on.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("")
        self._controller = controller


class FoldedSection(Section):
    """A section that shows its heading alone until someone opens it.

    Parameters
    ----------
    title, help_text : str
    quiet : bool
        See `Section`.
    """

    unfolded = Signal()
    """Emitted when it was opened."""

    def __init__(self, title: str, help_text: str, *, quiet: bool = False) -> None:
        super().__init__(title, quiet=quiet)
        self._title, self._aside = title, ""
        self.heading.setToolTip(help_text)
        self._content = QWidget()
        inner = QVBoxLayout(self._content)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(self.body.spacing())
        self.body.addWidget(self._content)
        self.body = inner
        self.heading.toggled.connect(self._fold)
        self._content.hide()
        self.say_beside_title("")

    def unfold(self) -> None:
        """Show all of it."""
        self.heading.setChecked(True)

    def say_beside_title(self, text: str) -> None:
        """Show a few words in the heading, which can be seen while the rest is folded."""
        self._aside = text
        self._show_heading()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Show as much of the heading as there is room for."""
        super().resizeEvent(event)
        self._show_heading()

    def _show_heading(self) -> None:
        heading, text = self.heading, self._aside
        mark = "▾" if heading.isChecked() else "▸"
        whole = f"{mark} {self._title}{' · ' if text else ''}{text}"
        heading.setText(whole)
        lacking = heading.sizeHint().width() - self.width()
        if lacking > 0 and self.isVisible():
            room = heading.fontMetrics().horizontalAdvance(whole) - lacking
            heading.setText(
                heading.fontMetrics().elidedText(whole, Qt.TextElideMode.ElideRight, room)
            )

    def _make_heading(self, title: str) -> QWidget:
        self.heading = QPushButton()
        self.heading.setCheckable(True)
        self.heading.setAccessibleName(title)
        self.heading.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.heading.setMinimumWidth(40)  # no text makes the dock wider
        self.heading.setStyleSheet(_HEADING)
        return self.heading

    def _fold(self, shown: bool) -> None:
        self._content.setVisible(shown)
        self.say_beside_title(self._aside)
        if shown:
            self.unfolded.emit()


def focus_style(ink: str, field: str) -> str:
    """Style sheet by which whoever works with the keyboard sees where it is, and where to type.

    Parameters
    ----------
    ink, field : str
        Colours of the theme's text, and of its fields; Qt's own palette does not know them, and
        napari leaves boxes for longer texts out.
    """
    focused = ", ".join(f"{kind}:focus" for kind in _FOCUSED)
    boxes = f'QPlainTextEdit[readOnly="false"] {{ background: {field}; }}'
    return f"{boxes} {focused} {{ border: 1px solid {ink}; }}"


def form() -> QFormLayout:
    """A form whose labels stay beside their fields at 360 pixels."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def button(text: str, help_text: str, act: Callable[[], None]) -> QPushButton:
    """A button that calls without arguments."""
    made = QPushButton(text)
    made.setToolTip(help_text)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(40)
    made.clicked.connect(lambda checked=False: act())
    return made


def small_button(text: str, name: str, act: Callable[[], None]) -> QPushButton:
    """A button that takes no more room than its text, beside a field."""
    made = button(text, f"{name}.", act)
    made.setMinimumWidth(0)
    made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    made.setAccessibleName(name)
    return made


class Rows(QWidget):
    """Controls side by side, in as many columns as show all of their texts.

    Parameters
    ----------
    widgets : list of QWidget
    columns : int
        At most.
    """

    def __init__(self, widgets: list[QWidget], columns: int) -> None:
        super().__init__()
        self._widgets, self._most = widgets, columns
        self._shown: tuple[list[int], list[QWidget]] = [], []
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        for number, widget in enumerate(widgets):
            self._grid.addWidget(widget, 0, number)
        self._arrange()

    def event(self, event: QEvent | None) -> bool:
        """Arrange them anew for another width, other texts and other fonts."""
        handled = super().event(event)
        if event is not None and event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._arrange()
        return handled

    def _fit(self, widgets: list[QWidget], columns: int) -> list[int]:
        """Stretches of that many columns: equal ones if they can be; none if they do not fit."""
        hints = [widget.sizeHint().width() for widget in widgets]
        widest = [max(hints[column::columns]) for column in range(columns)]
        room = self.width() - (columns - 1) * self._grid.spacing()
        if columns * max(widest) <= room:
            return [1] * columns
        return widest if sum(widest) <= room else []

    def _arrange(self) -> None:
        widgets = [widget for widget in self._widgets if not widget.isHidden()]
        most = min(self._most, len(widgets))
        fitting = (self._fit(widgets, number) for number in range(most, 0, -1))
        shown = next((found for found in fitting if found), [1]), widgets
        if shown == self._shown:
            return
        self._shown = shown
        for column in range(self._most):
            self._grid.setColumnStretch(column, 0)
        for number, widget in enumerate(widgets):
            self._grid.addWidget(widget, *divmod(number, len(shown[0])))
        for column, stretch in enumerate(shown[0]):
            self._grid.setColumnStretch(column, stretch)


def wrapped(text: str = "") -> QLabel:
    """A label that breaks its lines and can be copied from."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    # A long word (a path, a hash) must not make the dock wider.
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def plain(text: str = "") -> QLabel:
    """The same, which interprets nothing: text of files may hold anything."""
    label = wrapped(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def elided_combo(name: str, help_text: str) -> QComboBox:
    """A combo box that may be narrower than its longest entry."""
    combo = _MiddleElided()
    leave_wheel(combo)
    combo.setAccessibleName(name)
    combo.setToolTip(help_text)
    may_be_narrow(combo)
    view = combo.view()
    if view is not None:
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return combo


def progress_bar(name: str) -> QProgressBar:
    """A bar without a text, of the height that all docks have."""
    made = QProgressBar()
    made.setTextVisible(False)
    made.setFixedHeight(_BAR_HEIGHT)
    made.setAccessibleName(name)
    return made


def show_progress(bar: QProgressBar, done: int, total: int) -> None:
    """Show how far it is; of an unknown whole that it goes on."""
    # The bar paints at once else, and with it napari's canvas: 10 to 30 ms each time.
    bar.setUpdatesEnabled(False)
    bar.setRange(0, total)  # 0 of 0: it moves without an end
    bar.setValue(done)
    bar.setUpdatesEnabled(True)


def leave_wheel(field: QWidget) -> None:
    """Let the wheel scroll the dock over a field, and never change what the user chose."""
    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    field.installEventFilter(_NoWheel(field))


class _NoWheel(QObject):
    """A focus policy alone does not do: Qt's fields turn with the wheel without any focus."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave the wheel to what lies around the field."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def leave_letters(table: QWidget) -> None:
    """Let the keys of the docks work in a table: Qt would look for a row that begins so."""
    table.installEventFilter(_NoLetters(table))


class _NoLetters(QObject):
    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Leave keys that type something to what lies around the table."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        if not event.text().strip() or not event.text().isprintable():
            return False
        event.ignore()
        return True


class _MiddleElided(QComboBox):
    """Leaves out the middle of what is too long: a number begins a name, a suffix ends it."""

    def initStyleOption(self, option: QStyleOptionComboBox | None) -> None:
        """Shorten the text that is drawn."""
        super().initStyleOption(option)
        style = self.style()
        if option is None or style is None:
            return
        part = QStyle.SubControl.SC_ComboBoxEditField
        field = style.subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, self)
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, field.width() - 2
        )


def tab_through(*widgets: QWidget) -> None:
    """Let Tab go from each to the next: what is made late would come last of all."""
    for before, after in pairwise(widgets):
        QWidget.setTabOrder(before, after)


def may_be_narrow(combo: QWidget) -> None:
    """Let a combo box be narrower than its longest entry."""
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    combo.setMinimumWidth(80)


def beside(*widgets: QWidget) -> QWidget:
    """Widgets in one row; the first takes what is left."""
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    for number, widget in enumerate(widgets):
        line.addWidget(widget, int(number == 0))
    return row


def sharing(*widgets: QWidget) -> QWidget:
    """Widgets in one row that share it equally, whatever their texts; hidden ones take nothing."""
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.setSpacing(4)
    for widget in widgets:
        line.addWidget(widget, 1)
    return row


def run_guarded(
    session: Session,
    work: Callable[[], T],
    then: Callable[[T], None],
    failed: Callable[[Exception], None],
) -> None:
    """Do something off the GUI thread; whatever it raises, the user can go on."""
    session.run(work, then, failed)


def split_tags(text: str) -> tuple[str, ...]:
    """Read tags that are separated by commas; sorted, each once."""
    return tuple(sorted({tag.strip() for tag in text.split(",") if tag.strip()}))
