"""What was seen: noted with view, parameters and place; a click brings all of it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, QTimer
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem

from napari_safire.errors import DatasetError
from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.review.finding_form import FindingForm, about_words, viewport_record
from napari_safire.gui.panels.section import FoldedSection, Rows, button, leave_letters, plain
from napari_safire.gui.panels.swatch import swatch
from napari_safire.review.case import new_finding_id
from napari_safire.review.codec import as_record
from napari_safire.review.reading import Noted
from napari_safire.session.review.work import FINDING
from napari_safire.text import isolated

_ROWS_SEEN = 8
_LINE = 120  # characters of a comment in the list
_DETAIL = 1_000


class FindingSection(FoldedSection):
    """The list of findings, and the form in which one is noted.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("Findings", "What was seen; what it means stands in the verdict.")
        self._controller, self._review, self._work = controller, review, review.work
        self._listed: tuple[Noted, ...] = ()
        self._begun_with = ""  # what stands in the comment before anybody writes
        self.form = FindingForm()
        self._make_list()
        self.detail = plain()
        self.detail.setAccessibleName("The selected finding")
        self.edit = button(
            "Revise", "Change this finding; what it was stays on record.", self._edit
        )
        self.withdraw = button(
            "Withdraw", "Withdraw this finding; it stays on record.", self._withdraw
        )
        self.tools = Rows([self.edit, self.withdraw], 2)
        for widget in (self.form, self.list, self.detail, self.tools):
            self.body.addWidget(widget)
        self.form.edited.connect(self._typed)
        self.form.wanted.connect(self._keep)
        self.form.retaken.connect(self._retake)
        self.form.dropped.connect(self._discard)
        for signal, slot in (
            (review.work.changed, self._show),
            (review.work.opened_now, self._opened),
            (review.note_wanted, self.begin),
            (controller.shown, self._show_sources),
        ):
            self.connections.connect(signal, slot)
        self._show()

    def _make_list(self) -> None:
        self.list = QListWidget()
        leave_letters(self.list)
        self.list.setAccessibleName("Findings")
        self.list.setToolTip("Select a finding to see what it is of.")
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(
            self.list.horizontalScrollBarPolicy().ScrollBarAlwaysOff
        )
        self.list.currentRowChanged.connect(self._selected)
        self.list.itemClicked.connect(lambda _: self._look())

    # ---------------------------------------------------------------- what users do

    def begin(self) -> None:
        """Begin a finding of what is looked at; one that is being written goes on."""
        self.unfold()
        if self._is_written:
            self._controller.notice.emit(
                "Note or discard the finding that you are writing first.", False, None
            )
        else:
            sight = self._review.sight.now()
            if sight is None:
                return
            viewport = sight.viewport
            values = {
                "id": new_finding_id(),
                "comment": f"{sight.words}\n" if sight.words else "",
                "view": sight.view,
                "parameters": dict(sight.parameters),
                "viewport": None if viewport is None else viewport_record(viewport),
                "source": self._review.source,
            }
            self._begun_with = str(values["comment"])
            self.form.show_values(values, self._sources)
        self.form.comment.setFocus()
        QTimer.singleShot(0, self._bring_into_view)

    @property
    def _is_written(self) -> bool:
        """Whether somebody has written something that would be lost."""
        text = self.form.comment.text.strip()
        return bool(self.form.values and text) and text != self._begun_with.strip()

    def _bring_into_view(self) -> None:
        around: Any = self.parentWidget()
        while around is not None and not hasattr(around, "ensureWidgetVisible"):
            around = around.parentWidget()
        if around is not None:
            around.ensureWidgetVisible(self.form, 0, 20)

    def _typed(self) -> None:
        self._review.type_in(FINDING, self.form.values or None)

    def _retake(self) -> None:
        sight = self._review.sight.now()
        if sight is not None:
            self.form.take_sight(sight)

    def _keep(self) -> None:
        if not self._is_written:
            self._controller.notice.emit("Write what you see first.", True, None)
            self.form.comment.setFocus()
            return
        try:
            finding = self.form.finding()
        except DatasetError as error:
            self._controller.notice.emit(str(error), True, None)
            return
        self.form.setEnabled(False)
        self._work.note(
            finding,
            self.form.revision,
            self.connections.while_connected_call(lambda: self._kept(finding.id)),
            self.connections.while_connected_call(self._not_kept),
        )

    def _kept(self, name: str) -> None:
        self.form.setEnabled(True)
        if self.form.id == name:  # else another picture is selected by now
            self.form.show_values({}, ())
            self._select(name)

    def _not_kept(self) -> None:
        self.form.setEnabled(True)
        opened = self._work.opened
        theirs = None if opened is None else opened.review.finding(self.form.id)
        if theirs is not None:
            self.form.go_on_from(theirs.revision)
            self._typed()

    def _discard(self) -> None:
        self.form.show_values({}, ())
        self._review.type_in(FINDING, None)

    def _edit(self) -> None:
        noted = self._chosen
        if noted is None:
            return
        if self._is_written:
            self.begin()
            return
        self.form.show_values(
            as_record(noted.finding) | {"revision": noted.revision}, self._sources
        )
        self.form.comment.setFocus()

    def _withdraw(self) -> None:
        noted = self._chosen
        if noted is None:
            return
        withdrawn = noted.finding.status == "withdrawn"
        finding = replace(noted.finding, status="open" if withdrawn else "withdrawn")
        self._work.note(finding, noted.revision, _nothing, _nothing)

    # ---------------------------------------------------------------- what is selected

    @property
    def _chosen(self) -> Noted | None:
        row = self.list.currentRow()
        return self._listed[row] if 0 <= row < len(self._listed) else None

    def _selected(self, _: int) -> None:
        self._show_chosen()
        if self.list.hasFocus():
            self._look()

    def _look(self) -> None:
        noted = self._chosen
        if noted is not None:
            self._review.sight.look_at(noted.finding)

    def _select(self, name: str) -> None:
        names = [noted.finding.id for noted in self._listed]
        if name in names:
            with QSignalBlocker(self.list):
                self.list.setCurrentRow(names.index(name))
            self._show_chosen()

    # ---------------------------------------------------------------- what is shown

    def _opened(self) -> None:
        self.form.setEnabled(True)
        typed = self._work.typed(FINDING)
        self.form.show_values(typed, self._sources)
        if typed:
            self.unfold()

    def _show(self) -> None:
        opened = self._work.opened
        findings = () if opened is None else opened.review.findings
        if opened is None and self.form.values:
            self.form.show_values({}, ())
        if findings != self._listed:
            self._show_list(findings)
        n_there = sum(noted.finding.status != "withdrawn" for noted in findings)
        self.say_beside_title(str(n_there) if findings else "")
        for control in (self.edit, self.withdraw, self.form.keep):
            control.setEnabled(not self._work.problem and not self._work.doing)
        self._show_chosen()

    def _show_list(self, findings: tuple[Noted, ...]) -> None:
        chosen = self._chosen
        self._listed = findings
        with QSignalBlocker(self.list):
            self.list.clear()
            for number, noted in enumerate(findings, start=1):
                item = QListWidgetItem(line_of(number, noted))
                if noted.finding.source is not None:
                    item.setIcon(QIcon(swatch(noted.finding.source)))
                font = item.font()
                font.setStrikeOut(noted.finding.status == "withdrawn")
                item.setFont(font)
                self.list.addItem(item)
        height = self.list.sizeHintForRow(0) if findings else 0
        self.list.setFixedHeight(height * min(len(findings), _ROWS_SEEN) + 6)
        if chosen is not None:
            self._select(chosen.finding.id)

    def _show_chosen(self) -> None:
        noted = self._chosen
        self.list.setVisible(bool(self._listed))
        self.detail.setVisible(noted is not None)
        self.tools.setVisible(noted is not None)
        if noted is None:
            return
        finding = noted.finding
        viewport = None if finding.viewport is None else viewport_record(finding.viewport)
        about = about_words(finding.view, viewport, {})
        revised = f", revision {noted.revision}" if noted.revision > 1 else ""
        by = f"{isolated(noted.reviewer)}, {noted.at[:16].replace('T', ' ')} UTC{revised}"
        comment = finding.comment
        shown = comment if len(comment) <= _DETAIL else f"{comment[:_DETAIL]} … (Revise shows all)"
        self.detail.setText(f"{about}\n{by}\n{lines_of(shown)}")
        withdrawn = finding.status == "withdrawn"
        self.withdraw.setText("Take up again" if withdrawn else "Withdraw")

    @property
    def _sources(self) -> list[int]:
        plane = self._controller.plane
        snapshot = None if plane is None else plane.snapshot
        return [] if snapshot is None else sorted(n for n, area in snapshot.areas.items() if n)

    def _show_sources(self, _: object = None) -> None:
        if self.form.values:
            self.form.show_sources(self._sources, self.form.values["source"])


def line_of(number: int, noted: Noted) -> str:
    """Say what a finding is, in a line of the list."""
    finding = noted.finding
    first = isolated(finding.comment[:_LINE])
    return f"{number} · {isolated(finding.view) or 'picture'} · {finding.kind}: {first}"


def lines_of(text: str) -> str:
    """Return a text line by line, each as it may be shown."""
    return "\n".join(isolated(line) for line in text.splitlines())


def _nothing() -> None:
    """Do nothing more: what is shown follows from the case."""
