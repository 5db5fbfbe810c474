"""The table of sources, each against the rest: what stands out first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_safire.gui.panels.section import leave_letters
from napari_safire.gui.panels.swatch import swatch

if TYPE_CHECKING:
    from napari_safire.review.regions import RegionRow, RegionTable

_MOST_ROWS = 7  # that are seen at once
_ROW_HEIGHT = 22
_SOURCE, _MEASURE, _WORDS = range(3)


class RegionTableWidget(QTableWidget):
    """Rows of a `RegionTable`, outliers first, then by the size of the effect.

    Attributes
    ----------
    chosen : Signal(object)
        The user has selected a `RegionRow`.
    """

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.rows: tuple[RegionRow, ...] = ()
        self.setHorizontalHeaderLabels(["Source", "Measure", "Compared with the rest"])
        self.setAccessibleName("Each source against the rest")
        self.setToolTip("Select a row to see its region.")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        leave_letters(self)
        self.setTabKeyNavigation(False)  # Tab leaves it, as any other control
        self.setWordWrap(False)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        if header is not None and rows is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(True)
            rows.hide()
            rows.setDefaultSectionSize(max(_ROW_HEIGHT, self.fontMetrics().height() + 6))
        self.itemSelectionChanged.connect(self._selected)
        self.hide()

    def show_table(self, table: RegionTable | None) -> None:
        """Show a table; None: nothing."""
        self.rows = () if table is None else ordered(table)
        with QSignalBlocker(self):
            self.clearSelection()
            self.setRowCount(len(self.rows))
            for number, row in enumerate(self.rows):
                self._show_row(number, row)
        header = self.horizontalHeader()
        top = header.sizeHint().height() if header is not None else 0
        height = self.rowHeight(0) if self.rows else 0
        self.setFixedHeight(top + 4 + height * min(len(self.rows), _MOST_ROWS))
        self.setVisible(bool(self.rows))

    def _show_row(self, number: int, row: RegionRow) -> None:
        source = QTableWidgetItem(str(row.source))
        source.setData(Qt.ItemDataRole.DecorationRole, swatch(row.source))
        words = f"outlier: {row.words}" if row.outlier else row.words
        for column, item in (
            (_SOURCE, source),
            (_MEASURE, QTableWidgetItem(row.measure)),
            (_WORDS, QTableWidgetItem(words)),
        ):
            item.setToolTip(words)
            font = item.font()
            font.setBold(row.outlier)
            item.setFont(font)
            self.setItem(number, column, item)

    def _selected(self) -> None:
        model = self.selectionModel()
        found = [] if model is None else model.selectedRows()
        if found and found[0].row() < len(self.rows):
            self.chosen.emit(self.rows[found[0].row()])


def ordered(table: RegionTable) -> tuple[RegionRow, ...]:
    """Return the rows that apply, what stands out first, then the largest effect."""
    applicable = [row for row in table.rows if row.applicable]
    return tuple(sorted(applicable, key=lambda row: (not row.outlier, -abs(row.effect or 0.0))))


def effect_words(table: RegionTable, row: RegionRow) -> str:
    """Say all of a row: what was measured, how large the effect is, when it misleads.

    Parameters
    ----------
    table : RegionTable
    row : RegionRow
        One of its rows that apply.
    """
    measure = table.measure(row.measure)
    effect, interval = row.effect, row.interval
    parts = [f"Source {row.source}, {row.measure}: {row.words}."]
    if row.detail:
        parts.append(f"{row.detail[:1].upper()}{row.detail[1:]}.")
    if effect is not None and interval is not None:
        parts.append(
            f"Effect {effect:+.2f} (Cliff's delta, {table.level:.0%} interval "
            f"{interval[0]:+.2f} to {interval[1]:+.2f}), {row.n_cells} cells."
        )
    parts.append(
        "It stands out: most regions of authentic photographs show less."
        if row.outlier
        else "It does not stand out."
    )
    return "\n".join([*parts, measure.what, measure.caveat, f"Source: {measure.source}."])
