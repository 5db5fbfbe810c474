"""Result: the verdict, the sources, and the edits that make ground truth of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari.layers import Image, Labels
from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, Qt
from qtpy.QtGui import QColor, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
)

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.colours import source_rgba
from napari_safire.gui.panels.folded_text import FoldedLabel
from napari_safire.gui.panels.forgery_scale import ForgeryScale
from napari_safire.gui.panels.section import (
    Section,
    button,
    elided_combo,
    form,
    in_rows,
)
from napari_safire.gui.preferences import EVEN_ODDS
from napari_safire.session.planes import Plane, PlaneKey, Snapshot
from napari_safire.types import ForgeryMap

_SWATCH = 14
_ROW_HEIGHT = 22
_MOST_ROWS = 6


class ResultSection(Section):
    """Verdict, table of sources, edits, overlays.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Result")
        self._controller = controller
        self._prior = EVEN_ODDS
        self.verdict = FoldedLabel()
        self.odds = FoldedLabel()
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Source", "Area", "Confidence"])
        self.table.setToolTip(
            "Select sources to edit them; several with Shift or Control. Confidence is the "
            "predicted pixel accuracy of the region that stands for a source."
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        if header is not None and rows is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            rows.hide()
            rows.setDefaultSectionSize(_ROW_HEIGHT)
        self.table.hide()

        self.heatmap = button(
            "Forgery map",
            "Show or hide the forgery map: where a paste would be, if there were one. It lies over "
            "the sources, which are hidden meanwhile. Whether there is one, the verdict says.",
            self._toggle_heatmap,
        )
        self.heatmap.setCheckable(True)
        self.uncertainty = button(
            "Uncertainty",
            "Make a layer that is bright where a pixel's source is unsure: its two strongest "
            "sources are close, or the partition made again puts it into another one.",
            controller.show_uncertainty,
        )
        self.reopen = button(
            "Reopen",
            "Take the selected source back to its prompts, to move or add some.",
            self._for_one(controller.edits.reopen),
        )
        self.merge = button(
            "Merge", "Make the selected sources one.", self._for_many(controller.edits.merge, 2)
        )
        self.split = button(
            "Split",
            "Number the connected parts of the selected source apart.",
            self._for_one(controller.edits.split),
        )
        self.renumber = button(
            "Renumber",
            "Close the gaps between numbers; colours, prompts and the current source follow.",
            controller.edits.renumber,
        )
        self.absorb = button(
            "Absorb",
            "Give the pixels of the selected source to their nearest neighbours.",
            self._for_one(controller.edits.absorb),
        )
        self.fill = button(
            "Fill holes",
            "Fill what the selected source encloses.",
            self._for_one(controller.edits.fill_holes),
        )
        self.protect = button(
            "Protect",
            "Keep later predictions off the selected source. Painted pixels are protected already.",
            self._for_one(controller.edits.protect),
        )
        self.unprotect = button(
            "Lift all protection",
            "Let predictions change painted and protected pixels again.",
            controller.edits.unprotect,
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
        self.labels = QComboBox()
        self.labels.setToolTip("Settle the labels of another layer here, to refine them.")
        elided_combo(self.labels)
        fields = form()
        fields.addRow("Import", self.labels)

        self.scale = ForgeryScale()
        self.body.addWidget(self.verdict)
        self.body.addWidget(self.odds)
        self.body.addLayout(in_rows([self.heatmap, self.uncertainty], 2))
        self.body.addWidget(self.scale)
        self.body.addWidget(self.table)
        edits = [self.reopen, self.merge, self.split, self.absorb, self.fill, self.protect]
        self.body.addLayout(in_rows([*edits], 3))
        self.body.addLayout(in_rows([self.islands, self.island_size], 2))
        self.body.addLayout(in_rows([self.unprotect, self.renumber], 2))
        self.body.addLayout(fields)

        layers = controller.viewer.layers.events
        for signal, slot in (
            (layers.inserted, self._show_layers),
            (layers.removed, self._show_layers),
            (controller.plane_changed, self._plane_changed),
            (controller.shown, self._show_snapshot),
            (controller.mode_changed, self._select_source),
            (controller.map_toggled, self._show_map),
            (controller.session.model_changed, self._plane_changed),
            (controller.session.partitioned, self._partitioned),
        ):
            self.connections.connect(signal, slot)
        self.table.itemSelectionChanged.connect(self._rows_selected)
        self.labels.activated.connect(self._import)
        self._show_layers()
        self._plane_changed()

    # ---------------------------------------------------------------- what is shown

    @property
    def prior(self) -> float:
        """Probability of forgery before the picture was seen; see Preferences."""
        return self._prior

    @prior.setter
    def prior(self, prior: float) -> None:
        self._prior = prior
        self._show_verdict()

    def _plane_changed(self) -> None:
        plane = self._controller.plane
        self._show_verdict()
        if plane is None or plane.snapshot is None:
            self._show_sources([], plane)
        else:
            self._show_snapshot(plane.snapshot)

    def _partitioned(self, key: PlaneKey) -> None:
        plane = self._controller.plane
        if plane is not None and plane.key == key:
            self._show_verdict()

    def _show_verdict(self) -> None:
        plane = self._controller.plane
        forgery = None if plane is None else plane.forgery
        self.odds.setVisible(forgery is not None and forgery.calibration is not None)
        if forgery is None:
            why = "no picture is worked on" if plane is None else "partition the picture"
            self.verdict.say(f"No verdict yet: {why}.")
            self.verdict.setToolTip("")
        else:
            lead = f"{forgery.verdict.capitalize()}."
            # Why nothing can be said, and what could settle it, is what there is to read then.
            self.verdict.say(forgery.reason, lead, folded=forgery.verdict != "inconclusive")
            limits = forgery.calibration
            self.verdict.setToolTip("" if limits is None else f"The model is {limits.basis}")
            self.odds.say("" if limits is None else _odds(forgery, self._prior))
        self._show_map()

    def _show_map(self) -> None:
        """Button and scale as the layer is: napari's list of layers shows and hides it, too."""
        layer_group, plane = self._controller.layer_group, self._controller.plane
        layer = None if layer_group is None else layer_group.heatmap
        forgery = None if plane is None else plane.forgery
        shown = self._controller.heatmap_visible if layer is None else layer.visible
        with QSignalBlocker(self.heatmap):
            self.heatmap.setChecked(shown)
        self.heatmap.setEnabled(forgery is not None)
        self.scale.show_map(forgery if shown and layer is not None else None)

    def _show_snapshot(self, snapshot: Snapshot) -> None:
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
                item.setData(Qt.ItemDataRole.DecorationRole, _swatch(number))
                confidence = _confidence(number, plane, snapshot)
                texts = (f"{share:.1%}", "not known" if confidence is None else f"{confidence:.2f}")
                self.table.setItem(row, 0, item)
                for column, text in enumerate(texts, start=1):
                    self.table.setItem(row, column, QTableWidgetItem(text))
        header = self.table.horizontalHeader()
        top = header.sizeHint().height() if header is not None else 0
        self.table.setFixedHeight(top + 4 + _ROW_HEIGHT * min(len(shares), _MOST_ROWS))
        self.table.setVisible(bool(shares))
        self._select(chosen or [self._controller.mode.source])
        for widget in (self.islands, self.island_size, self.unprotect):
            widget.setEnabled(bool(shares))
        self._enable_edits()
        self.uncertainty.setEnabled(plane is not None and plane.shows_partition)
        numbers = [number for number, _ in shares]
        self.renumber.setEnabled(bool(numbers) and max(numbers) > len(numbers))

    def _show_layers(self, event: object = None) -> None:
        own = self._controller.sources_layer
        with QSignalBlocker(self.labels):
            self.labels.clear()
            self.labels.addItem("labels of another layer …", None)
            for layer in self._controller.viewer.layers:
                if isinstance(layer, Labels) and layer is not own:
                    self.labels.addItem(layer.name, layer)
        self.labels.setEnabled(self.labels.count() > 1)

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
        if len(self.selected_sources()) <= 1:
            self._select([self._controller.mode.source])
        self._enable_edits()

    def _rows_selected(self) -> None:
        chosen = self.selected_sources()
        if len(chosen) == 1:
            self._controller.mode.source = chosen[0]
        self._enable_edits()

    def _enable_edits(self) -> None:
        count = len(self.selected_sources())
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

    def _toggle_heatmap(self) -> None:
        shown = self.heatmap.isChecked()
        self._controller.heatmap_visible = shown
        layer_group = self._controller.layer_group
        layer: Image | None = None if layer_group is None else layer_group.heatmap
        if layer is not None:
            layer.visible = shown
        elif layer_group is not None:
            self._controller.show_forgery_map()  # it was removed, or is that of earlier work
        self._show_map()

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


def _odds(forgery: ForgeryMap, prior: float) -> str:
    """What the score says whatever the odds, and at the user's own."""
    ratio, posterior = forgery.likelihood_ratio, forgery.with_prior(prior)
    if ratio is None or posterior is None:
        return ""
    told = f"Likelihood ratio {ratio:.2g} (forgery against authentic)."
    if prior != EVEN_ODDS:
        told += f" With a prior of {prior:.1%}, from Preferences: probability {posterior:.2g}."
    return told


def _swatch(number: int) -> QPixmap:
    pixmap = QPixmap(_SWATCH, _SWATCH)
    pixmap.fill(QColor.fromRgbF(*source_rgba(number - 1)))
    return pixmap
