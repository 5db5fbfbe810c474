"""What the sources of the open picture are: type, donor, order of edits, certainty, tags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qtpy.QtCore import QSignalBlocker
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QComboBox, QLineEdit, QSpinBox

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.gui.controllers.queue import QueueController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import FoldedSection, elided_combo, form, split_tags
from napari_safire.gui.panels.swatch import swatch
from napari_safire.project.queries import PictureQuery
from napari_safire.project.truth import (
    CERTAINTIES,
    DONOR_KINDS,
    SOURCE_TYPES,
    Donor,
    PictureDescription,
    SourceDescription,
)
from napari_safire.text import printable

_DONORS = {
    "unknown": "unknown",
    "picture": "picture of the project",
    "file": "other file",
    "region": "this picture",
}

_NAMED = {
    "picture": "name of the picture",
    "file": "path of the file",
    "region": "number of the source it was copied from",
}


class DescriptionSection(FoldedSection):
    """A form for the current source; whatever is entered is kept at once.

    Shown where the store of the queue holds descriptions.

    Parameters
    ----------
    controller : ViewerController
    queue : QueueController
    """

    def __init__(self, controller: ViewerController, queue: QueueController) -> None:
        super().__init__("Sources", "What each source is, and where it comes from.")
        self._controller, self._queue, self._work = controller, queue, queue.work
        self._listed: tuple[tuple[int, str], ...] = ()
        self._make_fields()
        fields = form()
        fields.addRow("Source", self.source)
        fields.addRow("Type", self.type)
        fields.addRow("Donor", self.donor)
        fields.addRow("", self.donor_name)
        fields.addRow("Order", self.order)
        fields.addRow("Certainty", self.certainty)
        fields.addRow("Name", self.name)
        fields.addRow("Tags", self.tags)
        self._form = fields
        self.body.addLayout(fields)
        for signal, slot in (
            (controller.shown, self._show),
            (controller.plane_changed, self._show),
            (controller.mode.changed, self._show),
            (queue.work.changed, self._show),
            (queue.described, self._show),
            (queue.work.rows_changed, self._show_donor),
        ):
            self.connections.connect(signal, slot)
        self._show()

    def _make_fields(self) -> None:
        self.source = elided_combo("Source that is described", "The current source.")
        self.source.activated.connect(self._source_chosen)
        self.type = _choice("Type of the source", SOURCE_TYPES, self._type_chosen)
        self.donor = _choice(
            "Kind of donor", DONOR_KINDS, self._donor_chosen, [_DONORS[k] for k in DONOR_KINDS]
        )
        self.donor.setToolTip("Where the pixels of this source were taken from.")
        self.donor_name = QLineEdit()
        self.donor_name.setAccessibleName("Donor")
        self.donor_name.editingFinished.connect(self._donor_named)
        self.order = QSpinBox()
        self.order.setRange(0, MOST_SOURCES)
        self.order.setSpecialValueText("unknown")
        self.order.setAccessibleName("Place in the order of edits")
        self.order.setToolTip("Which edit it was, counted from 1, where that is known.")
        self.order.valueChanged.connect(
            lambda number: self._say(lambda source: replace(source, order=number or None))
        )
        self.certainty = _choice("Certainty", CERTAINTIES, self._certainty_chosen)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the source")
        self.name.editingFinished.connect(
            lambda: self._say(lambda source: replace(source, name=self.name.text().strip()))
        )
        self.tags = QLineEdit()
        self.tags.setAccessibleName("Tags of the source")
        self.tags.setPlaceholderText("separated by commas")
        self.tags.editingFinished.connect(
            lambda: self._say(lambda source: replace(source, tags=split_tags(self.tags.text())))
        )

    # ---------------------------------------------------------------- what users do

    def _source_chosen(self, row: int) -> None:
        self._controller.mode.source = self.source.itemData(row)

    def _type_chosen(self, row: int) -> None:
        self._say(lambda source: replace(source, type=SOURCE_TYPES[row]))

    def _certainty_chosen(self, row: int) -> None:
        self._say(lambda source: replace(source, certainty=CERTAINTIES[row]))

    def _donor_chosen(self, row: int) -> None:
        """Take a donor that needs no name at once; the others once they are named."""
        kind = DONOR_KINDS[row]
        self._show_donor_name(kind, "")
        if kind in _NAMED:
            self.donor_name.setFocus()
        if kind not in ("picture", "file"):
            self._say(lambda source: replace(source, donor=Donor(kind)))

    def _donor_named(self) -> None:
        kind, text = DONOR_KINDS[self.donor.currentIndex()], self.donor_name.text().strip()
        if not text or text == self._donor_text():
            return
        if kind == "file":
            self._say(lambda source: replace(source, donor=Donor("file", text)))
        elif kind == "picture":
            self._find_donor(text)
        elif text.isdecimal() and 0 < int(text) <= MOST_SOURCES and int(text) != self._number:
            end = int(text)
            self._say(lambda source: replace(source, donor=Donor("region", source=end)))
        else:
            self._controller.notice.emit(
                "Name the source it was copied from by its number, another one of this picture.",
                True,
            )
            self._show()

    def _find_donor(self, text: str) -> None:
        """Take the one picture of the project that is called so."""
        store, number, opened = self._work.store, self._number, self._work.opened
        if store is None:
            return

        def look() -> tuple[str, ...]:
            rows = store.look_up(store.listing(PictureQuery(text=text)).keys[:50])
            same = tuple(row.id for row in rows if row.name == text)
            return same if len(same) == 1 else tuple(row.id for row in rows)

        def found(keys: tuple[str, ...]) -> None:
            if opened != self._work.opened:
                return
            if len(keys) == 1:
                self._say(lambda source: replace(source, donor=Donor("picture", keys[0])), number)
                return
            what = f"{len(keys)} pictures are" if keys else "No picture is"
            self._controller.notice.emit(
                f'{what} called "{printable(text)}": type the whole name.', True
            )
            self._show()

        self._controller.session.run(look, self.connections.while_connected(found))

    def _say(
        self,
        change: Callable[[SourceDescription], SourceDescription],
        number: int | None = None,
    ) -> None:
        """Say something else of a source; default: the current one."""
        work = self._work.work
        if work is None:
            return
        before = work.description
        after = before.with_source(change(before.of(number or self._number)))
        if after != before:
            self._queue.describe(after)

    # ---------------------------------------------------------------- what is shown

    @property
    def _number(self) -> int:
        return self._controller.mode.source

    @property
    def _description(self) -> PictureDescription:
        work = self._work.work
        return PictureDescription() if work is None else work.description

    def _show(self, _: object = None) -> None:
        store, work = self._work.store, self._work.work
        described = store is not None and "describe" in store.actions
        self.setVisible(described)
        self._content.setEnabled(work is not None)
        if not described:
            return
        source = self._description.of(self._number)
        self._show_sources()
        with (
            QSignalBlocker(self.type),
            QSignalBlocker(self.donor),
            QSignalBlocker(self.order),
            QSignalBlocker(self.certainty),
        ):
            self.type.setCurrentIndex(SOURCE_TYPES.index(source.type))
            self.donor.setCurrentIndex(DONOR_KINDS.index(source.donor.kind))
            self.order.setValue(source.order or 0)
            self.certainty.setCurrentIndex(CERTAINTIES.index(source.certainty))
        for line, text in ((self.name, source.name), (self.tags, ", ".join(source.tags))):
            if not line.hasFocus() and line.text() != text:
                line.setText(text)
        self._show_donor()

    def _show_sources(self) -> None:
        """List the sources that are marked, and the current one."""
        plane, description = self._controller.plane, self._description
        snapshot = None if plane is None else plane.snapshot
        marked = set() if snapshot is None else {n for n, area in snapshot.areas.items() if area}
        listed = tuple(
            (number, description.of(number).type) for number in sorted(marked | {self._number})
        )
        with QSignalBlocker(self.source):
            if listed != self._listed:
                self.source.clear()
                for number, kind in listed:
                    self.source.addItem(QIcon(swatch(number)), f"{number} · {kind}", number)
                self._listed = listed
            self.source.setCurrentIndex([number for number, _ in listed].index(self._number))
        known = sum(kind != "unknown" for number, kind in listed if number in marked)
        self.say_beside_title(f"{known} of {len(marked)} described" if marked else "")

    def _show_donor(self, _: object = None) -> None:
        donor = self._description.of(self._number).donor
        if not self.donor_name.hasFocus():
            self._show_donor_name(donor.kind, self._donor_text())

    def _show_donor_name(self, kind: str, text: str) -> None:
        self.donor_name.setPlaceholderText(_NAMED.get(kind, ""))
        self.donor_name.setText(text)
        self._form.setRowVisible(self.donor_name, kind in _NAMED)

    def _donor_text(self) -> str:
        donor = self._description.of(self._number).donor
        if donor.kind == "region":
            return "" if donor.source is None else str(donor.source)
        if donor.kind != "picture":
            return donor.name
        row = self._work.rows.get(donor.name)  # it is told of once it is known
        return donor.name if row is None else row.name


def _choice(
    name: str, words: tuple[str, ...], act: Callable[[int], None], shown: list[str] | None = None
) -> QComboBox:
    box = elided_combo(name, f"{name}.")
    box.addItems(shown or list(words))
    box.activated.connect(act)
    return box
