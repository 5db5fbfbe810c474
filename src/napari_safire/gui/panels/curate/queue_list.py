"""The list of a queue: what to see of it, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QModelIndex,
    QSignalBlocker,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QTableView,
    QToolButton,
)

from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.panels.curate.queue_model import (
    ANNOTATOR,
    DISAGREEMENT,
    ICON,
    NAME,
    SCORE,
    SORTS,
    STATE,
    THUMBNAIL,
    QueueModel,
)
from napari_safire.gui.panels.section import Section, beside, elided_combo, sharing
from napari_safire.project.projections import STAGES
from napari_safire.project.queries import PictureQuery, RowState, SortKey
from napari_safire.text import isolated

_TYPING_MS = 200  # how long typing must rest before it is searched for
_ROWS = 5  # that are seen at least
_NAME_WIDTH = 110  # pixels at least; where the others leave less, one scrolls to them
_SORTED_BY: dict[str, str] = {
    "added": "in order",
    "name": "by name",
    "state": "by state",
    "stage": "by stage",
    "score": "by score",
    "uncertainty": "most uncertain first",
    "disagreement": "by disagreement",
}
_DOWNWARDS = ("score", "uncertainty", "disagreement")  # the largest first, unless asked otherwise
_WIDTHS = {STATE: "untouched", ANNOTATOR: "annotator", SCORE: "Score", DISAGREEMENT: "Differ"}


class QueueList(Section):
    """Search, filters and the table.

    Parameters
    ----------
    queue : QueueController
    """

    def __init__(self, queue: QueueController) -> None:
        super().__init__("")
        self._queue, self._work = queue, queue.work
        self._store: object = None  # whose filters are shown
        self._jumps = False
        self.model = QueueModel(queue)
        self._make_filters()
        self.table = _QueueTable(self.model)
        self.of_projects = sharing(self.stage, self.annotator, self.tag)
        for widget in (
            self.search,
            beside(sharing(self.state, self.sort), self.turn),
            self.of_projects,
            self.table,
        ):
            self.body.addWidget(widget)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_TYPING_MS)
        self._timer.timeout.connect(self._ask)
        self.table.chosen.connect(self._go_to)
        header = self.table.horizontalHeader()
        if header is not None:
            header.sectionClicked.connect(self._sort_by_column)
        for signal, slot in (
            (queue.work.changed, self._show),
            (queue.work.listed, self._show),
            (queue.work.listed, self._land),
            (queue.choices_known, self._show_choices),
        ):
            self.connections.connect(signal, slot)
        self._show_filters()
        self._show()

    def close_section(self) -> None:
        """Disconnect from everything that outlives the widget."""
        super().close_section()
        self.model.connections.disconnect()

    def _make_filters(self) -> None:
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search names and tags")
        self.search.setAccessibleName("Search the queue")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(lambda _: self._timer.start())
        self.search.returnPressed.connect(self._jump)
        self.sort = _filter("Order of the queue", "In which order the pictures come.", self._sorted)
        self.turn = QToolButton()
        self.turn.setCheckable(True)
        self.turn.setText("↓")
        self.turn.setAccessibleName("Turn the order round")
        self.turn.setToolTip("Turn the order round.")
        self.turn.clicked.connect(lambda checked=False: self._ask())
        self.state = _filter("State of the pictures to be seen", "Only these states.", self._ask)
        self.stage = _filter("Stage of the pictures to be seen", "Only this stage.", self._ask)
        self.annotator = _filter(
            "Annotator of the pictures to be seen", "Only pictures of this annotator.", self._ask
        )
        self.tag = _filter("Tag of the pictures to be seen", "Only pictures with it.", self._ask)

    # ---------------------------------------------------------------- what users do

    def focus_search(self) -> None:
        """Let the user type what to search for."""
        self.search.setFocus()
        self.search.selectAll()

    def _jump(self) -> None:
        """Go to the first picture that is found, once it is."""
        self._jumps = True
        self._ask()
        self._land()

    def _land(self) -> None:
        if self._jumps and self._work.listed_query == self._query():
            self._jumps = False
            self._go_to(0)

    def _go_to(self, row: int) -> None:
        key = self.model.key(row)
        if key and key != self._work.key:
            self._work.go_to(key)

    def _sorted(self) -> None:
        self.turn.setChecked(self.sort.currentData() in _DOWNWARDS)
        self._ask()

    def _sort_by_column(self, column: int) -> None:
        wanted: SortKey = SORTS.get(column, "added")
        place = self.sort.findData(wanted)
        if place < 0:
            return  # the store has no such order
        if self.sort.currentIndex() == place:
            self.turn.toggle()
            self._ask()
        else:
            self.sort.setCurrentIndex(place)
            self._sorted()

    def _ask(self) -> None:
        self._timer.stop()
        if self._work.store is not None:
            self._work.set_query(self._query())

    def _query(self) -> PictureQuery:
        chosen: _Chosen = self.state.currentData() or _Chosen()
        return PictureQuery(
            text=self.search.text().strip(),
            states=chosen.states,
            problems=chosen.problems,
            stages=self.stage.currentData() or (),
            others=self.annotator.currentData() or "",
            tag=self.tag.currentData() or "",
            sort=self.sort.currentData() or "added",
            descending=self.turn.isChecked(),
        )

    # ---------------------------------------------------------------- what is shown

    def _show(self) -> None:
        work = self._work
        if work.store is not self._store:
            self._store = work.store
            self._show_filters()
        for widget in (self.search, self.sort, self.turn, self.state, self.stage):
            widget.setEnabled(work.store is not None)
        self._show_query(work.query)
        place = self.model.place(work.key)
        self.table.show_place(place)

    def _show_filters(self) -> None:
        """Offer what this store has."""
        store = self._work.store
        in_project = store is not None and "accept" in store.actions
        states: list[tuple[str, object]] = []
        if store is not None:
            states.append(("to do", _Chosen(store.open_states)))
            states += [(name, _Chosen((name,))) for name in store.states]
        if in_project:
            states.append(("cannot be used", _Chosen(problems=True)))
        _fill(self.state, "all states", states)
        _fill(self.stage, "all stages", [(name, (name,)) for name in STAGES if in_project])
        sorts = ("added",) if store is None else store.sorts
        with QSignalBlocker(self.sort):
            self.sort.clear()
            for name in sorts:
                self.sort.addItem(_SORTED_BY.get(name, f"as {name}"), name)
        self.of_projects.setVisible(in_project)
        self._show_choices()
        self.table.setColumnHidden(SCORE, not in_project)
        self.table.fit_names()

    def _show_choices(self) -> None:
        """Offer the annotators and tags that there are; of one annotator nothing is to be told."""
        several = len(self._queue.people) > 1
        for column in (ANNOTATOR, DISAGREEMENT):
            self.table.setColumnHidden(column, not several)
        self.table.fit_names()
        for box, none, names in (
            (self.annotator, "all annotators", self._queue.people),
            (self.tag, "all tags", self._queue.tags),
        ):
            before = box.currentData()
            _fill(box, none, [(isolated(name), name) for name in names])
            box.setVisible(bool(names))
            with QSignalBlocker(box):
                box.setCurrentIndex(max(0, box.findData(before)))

    def _show_query(self, query: PictureQuery) -> None:
        """Show what was asked for, which another queue has not."""
        with QSignalBlocker(self.sort), QSignalBlocker(self.state):
            self.sort.setCurrentIndex(max(0, self.sort.findData(query.sort)))
            states = [self.state.itemData(n) or _Chosen() for n in range(self.state.count())]
            wanted = _Chosen(query.states, query.problems)
            self.state.setCurrentIndex(states.index(wanted) if wanted in states else 0)
        self.turn.setChecked(query.descending)
        if not self._timer.isActive() and self.search.text().strip() != query.text:
            with QSignalBlocker(self.search):
                self.search.setText(query.text)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What an entry of the box of states stands for."""

    states: tuple[RowState, ...] = ()
    problems: bool = False


class _QueueTable(QTableView):
    """Rows of pictures; a click, or Enter, goes there."""

    chosen = Signal(int)
    """Emitted with the row of a picture to go to."""

    def __init__(self, model: QueueModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setAccessibleName("Pictures of the queue")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setIconSize(QSize(ICON, ICON))
        self.setTabKeyNavigation(False)  # Tab leaves it, as any other control
        self.setWordWrap(False)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # or all are measured
        rows.setDefaultSectionSize(ICON + 4)
        header.setSectionsClickable(True)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setColumnWidth(THUMBNAIL, ICON + 8)
        for column, text in _WIDTHS.items():
            self.setColumnWidth(column, self.fontMetrics().horizontalAdvance(text) + 10)
        self.setMinimumHeight(_ROWS * (ICON + 4) + 28)
        self.clicked.connect(self._clicked)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Give the names what the other columns leave."""
        super().resizeEvent(event)
        self.fit_names()

    def fit_names(self) -> None:
        """Give the names what the other columns leave."""
        viewport = self.viewport()
        others = sum(self.columnWidth(column) for column in (THUMBNAIL, *_WIDTHS))
        if viewport is not None:
            self.setColumnWidth(NAME, max(_NAME_WIDTH, viewport.width() - others))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go to the picture of the row on Enter."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.chosen.emit(self.currentIndex().row())
            return
        super().keyPressEvent(event)

    def show_place(self, row: int | None) -> None:
        """Select a row, and bring it into view where it was not selected before."""
        model, selection = self.model(), self.selectionModel()
        assert model is not None
        assert selection is not None
        if row is None:
            self.clearSelection()
        elif self.currentIndex().row() != row or not selection.hasSelection():
            self.selectRow(row)
            self.scrollTo(model.index(row, NAME), QAbstractItemView.ScrollHint.EnsureVisible)

    def _clicked(self, index: QModelIndex) -> None:
        self.chosen.emit(index.row())


def _filter(name: str, help_text: str, act: Callable[[], None]) -> QComboBox:
    box = elided_combo(name, help_text)
    box.activated.connect(lambda _: act())
    return box


def _fill(box: QComboBox, none: str, entries: list[tuple[str, object]]) -> None:
    """Put entries into a box, after that for all."""
    with QSignalBlocker(box):
        box.clear()
        box.addItem(none, None)
        for text, data in entries:
            box.addItem(text, data)
