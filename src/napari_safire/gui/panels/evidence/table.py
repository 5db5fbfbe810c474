"""A table of what a view found, as plain text: files may hold anything."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QResizeEvent, QShowEvent, QTextOption
from qtpy.QtWidgets import QApplication, QPlainTextEdit, QVBoxLayout, QWidget

from napari_safire.forensics import Row
from napari_safire.gui.panels.section import button
from napari_safire.text import printable

_MOST_LINES = 12  # that are seen at once


class EvidenceTable(QWidget):
    """Names and values to read, select and copy.

    Parameters
    ----------
    view : str
        Whose table it is.

    Attributes
    ----------
    copy : QPushButton
        To be put beside other buttons.
    """

    def __init__(self, view: str) -> None:
        super().__init__()
        self._rows: tuple[Row, ...] = ()
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.text.setAccessibleName(f"Table of {view}")
        self.copy = button("Copy table", "Copy all lines as plain text.", self._copy)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        body.addWidget(self.text)
        self.hide()
        self.copy.hide()

    def show_rows(self, rows: Iterable[Row]) -> None:
        """Show a table; nothing where there is none."""
        self._rows = tuple(rows)
        self.text.setPlainText(as_text(self._rows))
        self.setVisible(bool(self._rows))
        self.copy.setVisible(bool(self._rows))
        self._fit()

    def changeEvent(self, event: QEvent | None) -> None:
        """Take the size of the theme's letters, which napari leaves out where text is edited."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._take_letters()

    def showEvent(self, event: QShowEvent | None) -> None:
        """The same; the theme is known from here on."""
        super().showEvent(event)
        self._take_letters()

    def _take_letters(self) -> None:
        style = f"font-size: {self.copy.font().pointSizeF():g}pt;"
        if self.text.styleSheet() != style:
            self.text.setStyleSheet(style)
            self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Take the height of the lines, which break anew."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        document = self.text.document()
        assert document is not None
        needed = round(document.size().height())  # of plain text it is in lines
        lines = min(_MOST_LINES, needed)
        margins = 2 * round(document.documentMargin()) + 2 * self.text.frameWidth()
        self.text.setFixedHeight(lines * self.text.fontMetrics().lineSpacing() + margins)
        policy = Qt.ScrollBarPolicy
        self.text.setVerticalScrollBarPolicy(
            policy.ScrollBarAlwaysOff if needed <= _MOST_LINES else policy.ScrollBarAsNeeded
        )

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        assert clipboard is not None  # there is one as soon as there is an application
        clipboard.setText(as_text(self._rows))


def as_text(rows: Iterable[Row]) -> str:
    """Lines of a table, with what an expert should notice under its line; of long ones first, too.

    Parameters
    ----------
    rows : iterable of Row

    Returns
    -------
    str
    """
    rows = tuple(rows)
    lines = [line for row in rows for line in _lines(row)]
    noticed = [line for row in rows if row.remark for line in _lines(row)]
    if not noticed or len(lines) <= _MOST_LINES:
        return "\n".join(lines)
    return "\n".join(["To notice:", *noticed, "", "All:", *lines])


def _lines(row: Row) -> list[str]:
    line = f"{printable(row.name)}: {printable(row.value)}"
    return [line, f"  ⚠ {printable(row.remark)}"] if row.remark else [line]
