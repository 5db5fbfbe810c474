"""Text of which at most twenty words are shown; the rest unfolds."""

from __future__ import annotations

import html
import re

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette, QShowEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

MOST_WORDS = 20
# Not after an abbreviation or a decimal point: a sentence ends before a capital or a quotation.
_END = re.compile(r"(?<=[.!?])\s+(?=[\"'(A-Z0-9])")
_CLAUSE = re.compile(r"(?<=[,;:])\s+")


def fold(text: str, most: int = MOST_WORDS) -> tuple[str, str]:
    """Divide a text into what is shown at first and what unfolds.

    Parameters
    ----------
    text : str
    most : int
        Words that are shown at first.

    Returns
    -------
    (head, rest)
        As many whole sentences as fit; if not even one does, its first clauses, or words, and an
        ellipsis. The rest is empty where all is shown.

    Examples
    --------
    >>> fold("One is short. Another one is not.", 5)
    ('One is short.', 'Another one is not.')
    >>> fold("A sentence, which goes on and on.", 4)
    ('A sentence, …', 'which goes on and on.')
    """
    for pattern, mark in ((_END, ""), (_CLAUSE, " …"), (re.compile(r"\s+"), " …")):
        parts = pattern.split(text)
        head = parts[0]
        taken = 1
        for part in parts[1:]:
            if len(f"{head} {part}".split()) > most:
                break
            head, taken = f"{head} {part}", taken + 1
        if len(head.split()) <= most:
            rest = " ".join(parts[taken:])
            return (head + mark if rest else head), rest
    return text, ""


def sentences(text: str) -> list[str]:
    """Divide a text into its sentences.

    Examples
    --------
    >>> sentences("One is at 0.5. Another one is not.")
    ['One is at 0.5.', 'Another one is not.']
    """
    return _END.split(text)


class FoldedLabel(QLabel):
    """A label that breaks its lines, can be copied from, and unfolds.

    Attributes
    ----------
    whole : str
        All of its text.
    """

    def __init__(self) -> None:
        super().__init__()
        self.whole = ""
        self._unfolded = False
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByMouse
            | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.linkActivated.connect(self._toggle)

    def say(self, text: str) -> None:
        """Show the beginning of a plain text."""
        if text != self.whole:
            self.whole, self._unfolded = text, False
            self._show()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow napari's theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.StyleChange and self.whole:
            self._show()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the colour of the theme, which is known from here on."""
        super().showEvent(event)
        if self.whole:
            self._show()

    def _toggle(self, link: str = "") -> None:
        self._unfolded = not self._unfolded
        self._show()

    def _show(self) -> None:
        head, rest = fold(self.whole)
        shown = html.escape(self.whole if self._unfolded else head)
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()  # links are dark blue
        more = "less" if self._unfolded else "more"
        link = f' <a href="#" style="color: {ink}">{more}</a>' if rest else ""
        self.setText(f"{shown}{link}")
