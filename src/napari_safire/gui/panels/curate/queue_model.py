"""The pictures of a queue as rows of a table: only those on screen are ever looked up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QFont, QImage, QPixmap

from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.project.queries import PictureRow, SortKey
from napari_safire.session.queue_thumbnails import Thumbnail
from napari_safire.text import isolated, printable

Index = QModelIndex | QPersistentModelIndex

THUMBNAIL, NAME, STATE, SCORE, DISAGREEMENT, ANNOTATOR = range(6)
HEADINGS = ("", "Name", "State", "Score", "Differ", "By")
HELP = (
    "The picture in small.",
    "Name of the file.",
    "How far your own work is.",
    "The model's score: how much speaks for more than one source.",
    "How much two annotators disagree: 0 not at all, 1 entirely.",
    "Who works on it; others only once they may be seen.",
)
SORTS: dict[int, SortKey] = {
    NAME: "name",
    STATE: "state",
    SCORE: "score",
    DISAGREEMENT: "disagreement",
}
"""What a click on a heading sorts by."""
ICON = 36  # pixels a side
_MOST_ICONS = 400


class QueueModel(QAbstractTableModel):
    """What is to be seen of a queue, one row a picture.

    Parameters
    ----------
    queue : QueueController
    """

    def __init__(self, queue: QueueController) -> None:
        super().__init__()
        self._queue, self._work = queue, queue.work
        self._shown: tuple[str, ...] = ()
        self._places: dict[str, int] | None = None
        self._icons: OrderedDict[str, QPixmap] = OrderedDict()
        self._bold = QFont()
        self._bold.setBold(True)
        self._here = ""
        self.connections = Connections()
        for signal, slot in (
            (self._work.listed, self._list),
            (self._work.changed, self._mark),
            (self._work.rows_changed, self._rows_changed),
            (queue.thumbnails.known, self._thumbnail_known),
        ):
            self.connections.connect(signal, slot)
        self._list()

    # ---------------------------------------------------------------- for the view

    def rowCount(self, parent: Index | None = None) -> int:
        """See Qt."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index | None = None) -> int:
        """See Qt."""
        return 0 if parent is not None and parent.isValid() else len(HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """See Qt."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADINGS[section]
            if role == Qt.ItemDataRole.ToolTipRole:
                return HELP[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """See Qt; a row that is not known yet is empty, and told of once it is."""
        column, key = index.column(), self.key(index.row())
        if not key:
            return None
        if column == THUMBNAIL:
            return self._icon(key) if role == Qt.ItemDataRole.DecorationRole else None
        if role == Qt.ItemDataRole.FontRole:
            return self._bold if column == NAME and key == self._here else None
        if role == Qt.ItemDataRole.DisplayRole:
            row = self._work.rows.get(key)
            return "…" if row is None and column == NAME else _text(row, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            row = self._work.rows.peek(key)
            return None if row is None else _tip(row)
        return None

    def key(self, row: int) -> str:
        """Return the key of the picture in a row; empty where there is none."""
        return self._shown[row] if 0 <= row < len(self._shown) else ""

    def place(self, key: str) -> int | None:
        """Return the row of a picture; None if it is not to be seen."""
        if self._places is None:
            self._places = {key: row for row, key in enumerate(self._shown)}
        return self._places.get(key)

    # ---------------------------------------------------------------- what happens

    def _list(self) -> None:
        shown = self._work.listing.shown
        if shown is self._shown:
            return
        self.beginResetModel()
        self._shown, self._places = shown, None
        self.endResetModel()

    def _mark(self) -> None:
        """Make the picture that is gone to bold, and the last one plain."""
        before, self._here = self._here, self._work.key
        if before != self._here:
            for key in (before, self._here):
                self._changed(key, NAME, ANNOTATOR)

    def _rows_changed(self, rows: tuple[PictureRow, ...]) -> None:
        for row in rows:
            self._changed(row.id, NAME, ANNOTATOR)

    def _thumbnail_known(self, key: str) -> None:
        self._icons.pop(key, None)
        self._changed(key, THUMBNAIL, THUMBNAIL)

    def _changed(self, key: str, first: int, last: int) -> None:
        row = self.place(key)
        if row is not None:
            self.dataChanged.emit(self.index(row, first), self.index(row, last))

    def _icon(self, key: str) -> QPixmap | None:
        icon = self._icons.get(key)
        if icon is not None:
            self._icons.move_to_end(key)
            return icon
        thumbnail = self._queue.thumbnails.get(key)
        if thumbnail is None:
            return None
        icon = self._icons[key] = _pixmap(thumbnail)
        while len(self._icons) > _MOST_ICONS:
            self._icons.popitem(last=False)
        return icon


def _pixmap(thumbnail: Thumbnail) -> QPixmap:
    height, width = thumbnail.shape[:2]
    data = thumbnail.tobytes()
    image = QImage(data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image).scaled(
        ICON,
        ICON,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


_TEXTS: dict[int, Callable[[PictureRow], str]] = {
    NAME: lambda row: isolated(f"⚠ {row.name}" if row.problem else row.name),
    STATE: lambda row: row.state,
    ANNOTATOR: lambda row: ", ".join(row.annotators),
    SCORE: lambda row: _number(row.score),
    DISAGREEMENT: lambda row: _number(row.disagreement),
}


def _text(row: PictureRow | None, column: int) -> str:
    return "" if row is None else _TEXTS[column](row)


def _tip(row: PictureRow) -> str:
    lines = [printable(row.path)]
    lines += [f"⚠ {row.problem}"] if row.problem else []
    lines += [f"Sent back: {row.note}"] if row.note else []
    lines += [f"Verdict: {row.verdict}"] if row.verdict else []
    lines += [f"Tags: {', '.join(row.tags)}"] if row.tags else []
    return "\n".join(lines)
