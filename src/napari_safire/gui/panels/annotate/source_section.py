"""Sources: which there are, and the edits that make ground truth of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.layers import Labels
from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_safire.annotation.annotation import Annotation
from napari_safire.gui.controllers.source_edits import SourceEdits
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import Rows, Section, button, elided_combo, wrapped
from napari_safire.gui.panels.swatch import swatch
from napari_safire.session.planes import Plane, Snapshot

_ROW_HEIGHT = 22
_MOST_ROWS = 6


class SourceSection(Section):
    """Table of the sources; the tools to edit those that are selected.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Sources")
        self._controller = controller
        self._make_table()
        self._make_tools()
        self.labels = elided_combo(
            "Import labels of another layer",
            "Settle the labels of another layer here, to refine them.",
        )
        self.told = wrapped()
        self.told.setAccessibleName("What the last edit did")
        self._told_of: Annotation | None = None  # what was made when it was told
        for widget in (self.table, self.tools, self.told, self.labels):
            self.body.addWidget(widget)
        layers = controller.viewer.layers.events
        for signal, slot in (
            (layers.inserted, self._show_layers),
            (layers.removed, self._show_layers),
            (controller.plane_changed, self._plane_changed),
            (controller.shown, self._show_snapshot),
            (controller.mode.changed, self._select_source),
            (controller.edits.told, self._tell),
        ):
            self.connections.connect(signal, slot)
        self.table.itemSelectionChanged.connect(self._rows_selected)
        self.labels.activated.connect(self._import)
        self._show_layers()
        self._plane_changed()

    def _make_table(self) -> None:
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Source", "Area", "Confidence"])
        self.table.setAccessibleName("Sources")
        self.table.setToolTip(
            "Select sources to edit them; several with Shift or Control. Confidence is the "
            "predicted pixel accuracy of the region that stands for a source."
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)  # Tab leaves it, as any other control
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        if header is not None and rows is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            rows.hide()
            rows.setDefaultSectionSize(max(_ROW_HEIGHT, self.fontMetrics().height() + 6))

    def _make_tools(self) -> None:
        edits = self._controller.edits
        self.reopen, self.split, self.absorb, self.fill, self.protect = (
            button(text, help_text, self._for_one(act)) for text, help_text, act in _of_one(edits)
        )
        self.merge = button(
            "Merge", "Make the selected sources one.", self._for_many(edits.merge, 2)
        )
        self.renumber = button(
            "Renumber",
            "Close the gaps between numbers; colours, prompts and the current source follow.",
            edits.renumber,
        )
        self.unprotect = button(
            "Lift all protection",
            "Let predictions change painted and protected pixels again.",
            edits.unprotect,
        )
        self.snap = button(
            "Snap to edges",
            "Move the edge of the last stroke to the edge of the picture that lies near it.",
            edits.snap,
        )
        self.islands = button(
            "Remove islands",
            "Give connected parts below this number of pixels to their neighbours.",
            self._remove_islands,
        )
        self.island_size = QSpinBox()
        self.island_size.setRange(2, 10_000_000)
        self.island_size.setValue(64)
        self.island_size.setPrefix("below ")
        self.island_size.setSuffix(" px")
        self.island_size.setAccessibleName("Islands are parts below so many pixels")
        self.tools = QWidget()
        rows = QVBoxLayout(self.tools)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        of_one = [self.merge, self.split, self.absorb, self.fill, self.protect, self.reopen]
        rows.addWidget(Rows([*of_one], 3))
        rows.addWidget(Rows([self.islands, self.island_size], 2))
        rows.addWidget(Rows([self.snap, self.renumber], 2))
        rows.addWidget(self.unprotect)

    # ---------------------------------------------------------------- what is shown

    def _tell(self, sentence: str) -> None:
        self._told_of = None
        self.told.setText(sentence)
        self.told.setVisible(bool(sentence))

    def _plane_changed(self) -> None:
        self._tell("")
        plane = self._controller.plane
        with QSignalBlocker(self.table):
            self.table.clearSelection()
        if plane is None or plane.snapshot is None:
            self._show_sources([], plane)
        else:
            self._show_snapshot(plane.snapshot)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        if self.told.text():
            if self._told_of is not None and self._told_of != snapshot.annotation:
                self._tell("")  # something else was done since
            else:
                self._told_of = snapshot.annotation
        total = max(1, snapshot.labels.size)
        shares = [(number, count / total) for number, count in sorted(snapshot.areas.items())]
        self._show_sources(shares, self._controller.plane, snapshot)

    def _show_sources(
        self,
        shares: Sequence[tuple[int, float]],
        plane: Plane | None,
        snapshot: Snapshot | None = None,
    ) -> None:
        chosen = self.selected_sources()
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(shares))
            for row, (number, share) in enumerate(shares):
                item = QTableWidgetItem(str(number))
                item.setData(Qt.ItemDataRole.DecorationRole, swatch(number))
                confidence = _confidence(number, plane, snapshot)
                texts = (f"{share:.1%}", "not known" if confidence is None else f"{confidence:.2f}")
                self.table.setItem(row, 0, item)
                for column, text in enumerate(texts, start=1):
                    self.table.setItem(row, column, QTableWidgetItem(text))
        header = self.table.horizontalHeader()
        top = header.sizeHint().height() if header is not None else 0
        height = self.table.rowHeight(0) if shares else 0
        self.table.setFixedHeight(top + 4 + height * min(len(shares), _MOST_ROWS))
        self.table.setVisible(bool(shares))
        self.setVisible(bool(shares) or self.labels.count() > 1)
        self._select(chosen)
        for widget in (self.islands, self.island_size, self.unprotect):
            widget.setEnabled(bool(shares))
        self._enable_edits()
        numbers = [number for number, _ in shares]
        self.renumber.setEnabled(bool(numbers) and max(numbers) > len(numbers))

    def _show_layers(self, event: object = None) -> None:
        own = self._controller.sources_layer
        with QSignalBlocker(self.labels):
            self.labels.clear()
            self.labels.addItem("Import labels of another layer …", None)
            for layer in self._controller.viewer.layers:
                if isinstance(layer, Labels) and layer is not own:
                    self.labels.addItem(layer.name, layer)
        self.labels.setVisible(self.labels.count() > 1)
        self.setVisible(self.table.rowCount() > 0 or self.labels.count() > 1)

    # ---------------------------------------------------------------- what is chosen

    def selected_sources(self) -> list[int]:
        """Numbers of the selected rows, from top to bottom."""
        model = self.table.selectionModel()
        rows = sorted(index.row() for index in model.selectedRows()) if model is not None else []
        items = [self.table.item(row, 0) for row in rows]
        return [int(item.text()) for item in items if item is not None]

    def _select(self, numbers: Sequence[int]) -> None:
        model = self.table.selectionModel()
        if model is None:
            return
        flag = QItemSelectionModel.SelectionFlag
        with QSignalBlocker(self.table), QSignalBlocker(model):
            self.table.clearSelection()
            for row in range(self.table.rowCount()):
                item = self.table.item(row, 0)
                if item is not None and int(item.text()) in numbers:
                    model.select(self.table.indexFromItem(item), flag.Select | flag.Rows)
        viewport = self.table.viewport()
        if viewport is not None:
            viewport.update()

    def _select_source(self) -> None:
        if len(self.selected_sources()) == 1:  # a selection follows; none is made
            self._select([self._controller.mode.source])
        self._enable_edits()

    def _rows_selected(self) -> None:
        chosen = self.selected_sources()
        if len(chosen) == 1:
            self._controller.mode.source = chosen[0]
        self._enable_edits()

    def _enable_edits(self) -> None:
        count = len(self.selected_sources())
        self.tools.setVisible(count > 0)
        for widget in (self.reopen, self.split, self.absorb, self.fill, self.protect):
            widget.setEnabled(count == 1)
        self.merge.setEnabled(count > 1)

    # ---------------------------------------------------------------- what is done

    def _for_one(self, act: Callable[[int], None]) -> Callable[[], None]:
        def on_selection() -> None:
            chosen = self.selected_sources()
            if len(chosen) == 1:
                act(chosen[0])

        return on_selection

    def _for_many(self, act: Callable[[list[int]], None], least: int) -> Callable[[], None]:
        def on_selection() -> None:
            chosen = self.selected_sources()
            if len(chosen) >= least:
                act(chosen)

        return on_selection

    def _remove_islands(self) -> None:
        self._controller.edits.remove_islands(self.island_size.value())

    def _import(self, _: object = None) -> None:
        layer = self.labels.currentData()
        if isinstance(layer, Labels):
            self._controller.edits.import_labels(layer)
        with QSignalBlocker(self.labels):
            self.labels.setCurrentIndex(0)


def _confidence(number: int, plane: Plane | None, snapshot: Snapshot | None) -> float | None:
    """Of a source: of the region that stood for it in the partition, else its prompts' best.

    None where it is not known, or says nothing.
    """
    if snapshot is None:
        return None
    annotation = snapshot.annotation
    seeds = annotation.seeds if annotation.preview is None else annotation.preview.seeds
    points = [point for source, point in seeds if source == number]
    known = {} if plane is None else plane.predictions.confidences
    of_partition = [known[point] for point in points if point in known]
    if of_partition:
        # Where there is nothing that pixels could belong to instead, safire-lite's is 1 by itself.
        alone = len(seeds) == 1 and of_partition[0] >= 1
        return None if alone else of_partition[0]
    of_prompts = [
        snapshot.confidences[prompt.point]
        for prompt in annotation.prompts
        if prompt.source == number and not prompt.exclude and prompt.point in snapshot.confidences
    ]
    return max(of_prompts, default=None)


def _of_one(edits: SourceEdits) -> tuple[tuple[str, str, Callable[[int], None]], ...]:
    """Name, help and action of what is done to one source."""
    return (
        (
            "Reopen",
            "Take the selected source back to its prompts, to move or add some.",
            edits.reopen,
        ),
        ("Split", "Number the connected parts of the selected source apart.", edits.split),
        (
            "Absorb",
            "Give the pixels of the selected source to their nearest neighbours.",
            edits.absorb,
        ),
        ("Fill holes", "Fill what the selected source encloses.", edits.fill_holes),
        (
            "Protect",
            "Keep later predictions off the selected source. Painted pixels are protected already.",
            edits.protect,
        ),
    )
