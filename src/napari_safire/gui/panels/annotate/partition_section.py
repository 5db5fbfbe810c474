"""Partition: all sources of the picture at once, and how sure their number is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QSpinBox

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.colours import source_rgba
from napari_safire.gui.panels.feature_plot import FeaturePlot
from napari_safire.gui.panels.number_plot import NumberPlot
from napari_safire.gui.panels.section import Section, button, form, wrapped
from napari_safire.images.masks import MAX_SOURCE
from napari_safire.progress import Cancel, Progress
from napari_safire.session.planes import Plane, PlaneKey, Snapshot
from napari_safire.settings import PartitionSettings

if TYPE_CHECKING:
    from napari_safire.partitioning.patches import Patches
    from napari_safire.partitioning.prompt_grid import PromptGrid
    from napari_safire.types import SourcePartition

_METHODS = {"k-means": "kmeans", "DBSCAN": "dbscan"}
_MOST_ASKED = 20
_FIND = 0  # what the box of the number shows as "auto"
_NO_SOURCE = (0.0, 0.0, 0.0, 0.0)


class PartitionSection(Section):
    """Divide the picture into its sources, and look at what that rests on.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Partition")
        self._controller = controller
        self._drawn: Patches | PromptGrid | None = None
        self._numbers: tuple[int, ...] = ()  # labels of the sources in the plot
        self._places: Any = None
        self._bars: dict[int, float] = {}

        self.method = QComboBox()
        self.method.addItems(list(_METHODS))
        self.method.setToolTip(
            "How prompts that found the same source are grouped: k-means into a given number (or "
            "the number found by the model's own threshold), DBSCAN by a distance, as published."
        )
        self.count = QSpinBox()
        self.count.setRange(_FIND, _MOST_ASKED)
        self.number = wrapped()
        self.auto = button("Find it: auto", "Let the number be found for this picture.", self._find)
        self.eps = QDoubleSpinBox()
        self.eps.setRange(0, 10)
        self.eps.setSpecialValueText("auto")  # at 0: found for each picture
        self.eps.setDecimals(3)
        self.eps.setSingleStep(0.02)
        self.eps.setToolTip(
            "DBSCAN: how far apart the features of one source may lie. Auto: found for each "
            "picture."
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Where k-means begins; the same seed gives the same partition.")
        self.points = QSpinBox()
        self.points.setRange(2, 64)
        self.points.setSuffix(" a side")
        self.points.setToolTip("Prompts in the grid along each side. More find smaller sources.")
        fields = form()
        fields.addRow("Method", self.method)
        fields.addRow("Sources", self.count)
        fields.addRow("eps", self.eps)
        fields.addRow("Seed", self.seed)
        fields.addRow("Grid", self.points)
        self._form = fields

        self.run = button(
            "Partition",
            "Divide the picture into its sources. Afterwards other settings need no run of the "
            "model.",
            controller.partition,
        )
        self.run_all = button(
            "All slices",
            "Partition every slice of the stack; Cancel stops.",
            controller.partition_all,
        )
        self.found = wrapped()
        self.found.hide()
        self.plot = FeaturePlot()
        self.curve = NumberPlot()
        self.plot.setFixedHeight(150)
        self.curve.setFixedHeight(96)
        self.body.addLayout(fields)
        self.body.addWidget(self.number)
        self.body.addWidget(self.auto)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.run, 1)
        buttons.addWidget(self.run_all, 1)
        self.body.addLayout(buttons)
        self.body.addWidget(self.found)
        self.body.addWidget(self.plot)
        self.body.addWidget(self.curve)

        for signal, slot in (
            (controller.plane_changed, self._plane_changed),
            (controller.plane_changed, self._show_settings),
            (controller.mode_changed, self._show_settings),
            (controller.session.model_changed, self._model_changed),
            (controller.session.partitioned, self._partitioned),
            (controller.shown, self._show_snapshot),
        ):
            self.connections.connect(signal, slot)
        self.method.currentTextChanged.connect(self._settings_chosen)
        for box in (self.count, self.seed, self.points):
            box.valueChanged.connect(self._settings_chosen)
        self.eps.valueChanged.connect(self._settings_chosen)
        self.plot.selected.connect(self._dots_selected)
        self.curve.chosen.connect(self.count.setValue)
        self._model_changed()
        self._plane_changed()

    def _model_changed(self) -> None:
        most = self._controller.session.most_sources
        self.count.setSpecialValueText("auto" if most is None else f"auto, up to {most}")
        self.count.setToolTip(
            "Number of sources of this picture. auto finds it, one included: a picture need not be "
            "forged." + ("" if most is None else f" This model tells up to {most} sources apart.")
        )
        self._show_settings()
        plane = self._controller.plane
        if plane is not None and plane.partition is None:
            self._plane_changed()  # what the last model said is gone

    def _find(self) -> None:
        self.count.setValue(_FIND)

    def _settings_chosen(self, _: object = None) -> None:
        method = _METHODS[self.method.currentText()]
        count: int | None = None
        if method == "kmeans":
            count = self.count.value() or None
            method = "kmeans" if count else "auto"
        self._controller.set_settings(
            PartitionSettings(
                method=method,
                n_sources=count,
                eps=self.eps.value() or None,
                seed=self.seed.value(),
                points_per_side=self.points.value(),
            )
        )

    def _show_settings(self) -> None:
        settings = self._controller.settings
        boxes = (self.method, self.count, self.eps, self.seed, self.points)
        blockers = [QSignalBlocker(box) for box in boxes]
        dbscan = settings.method == "dbscan"
        self.method.setCurrentText("DBSCAN" if dbscan else "k-means")
        if not dbscan:
            self.count.setValue(settings.n_sources or _FIND)
        self.eps.setValue(settings.eps or 0)
        self.seed.setValue(settings.seed)
        self.points.setValue(settings.points_per_side)
        self._form.setRowVisible(self.count, not dbscan)
        self._form.setRowVisible(self.seed, settings.method == "kmeans")
        self._form.setRowVisible(self.eps, dbscan)
        by_prompts = dbscan or not self._controller.session.answers_by_patches
        self._form.setRowVisible(self.points, by_prompts)
        del blockers
        given = self._controller.choices.number_is_given
        self.auto.setVisible(given)
        told = _too_many(settings.n_sources or 0, self._controller.session.most_sources)
        if given:
            told = f"{settings.n_sources} sources, from Preferences. {told}".strip()
        self.number.setText(told)
        self.number.setVisible(bool(told))

    def _plane_changed(self) -> None:
        picture, plane = self._controller.picture, self._controller.plane
        self.run.setEnabled(plane is not None)
        self.run_all.setVisible(picture is not None and bool(picture.stack_shape))
        self._drawn = None
        if plane is not None and plane.partition is not None:
            self._partitioned(plane.key)
        else:
            self._clear()

    def _clear(self) -> None:
        self.plot.show_hint("Partition the picture to see its features here")
        self.curve.show_hint("")
        self.curve.hide()
        self.found.hide()

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        """Follow merges, renumbering and undo: colours and numbers are those of the labels."""
        plane = self._controller.plane
        if plane is None or plane.partition is None:
            return
        if plane.shown_numbers != self._numbers:
            self._partitioned(plane.key)

    def _partitioned(self, key: PlaneKey) -> None:
        plane = self._controller.plane
        if plane is None or plane.key != key:
            return
        basis, partition = plane.patches or plane.grid, plane.partition
        if basis is None or partition is None:
            self._clear()  # it was another model's, or that of earlier work
            return
        self._numbers = numbers = plane.shown_numbers
        self.found.setText(_how_probable(partition, self._controller.session.most_sources))
        self.found.setVisible(bool(self.found.text()) and bool(numbers))
        if not numbers:
            self.plot.show_hint("The labels are not those of the last partition: partition again")
            self.curve.show_hint("")
            self.curve.hide()
            return
        if basis is self._drawn:
            self._draw(plane, partition, numbers)
            return
        seed = self._controller.settings.seed

        patches, numbers_of_sources = plane.patches, plane.number_probabilities

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, dict[int, float]]:
            from napari_safire.partitioning.quality import project_features, quality_curve

            if patches is not None:
                return project_features(patches.features[patches.compared]), dict(
                    numbers_of_sources
                )
            features = basis.features
            curve = {p.n_sources: p.silhouette for p in quality_curve(features, seed)}
            return project_features(features), curve

        def done(answer: tuple[Any, dict[int, float]]) -> None:
            now = self._controller.plane
            if now is not None and (now.patches or now.grid) is basis and now.partition is not None:
                self._drawn = basis
                self._places, self._bars = answer
                self._partitioned(now.key)

        self._controller.session.run_long("Comparing numbers of sources", work, done)

    def _draw(self, plane: Plane, partition: SourcePartition, numbers: tuple[int, ...]) -> None:
        patches, grid, compared = plane.patches, plane.grid, plane.compared
        sources = partition.prompt_sources
        if patches is not None:
            sources = patches.values_at(partition.labels)[patches.compared].astype(np.int64)
        labels = [0 if k < 0 else numbers[k] for k in sources]
        colours = np.array([source_rgba(n - 1) if n else _NO_SOURCE for n in labels])

        def name(index: int) -> str:
            (row, col), number = compared[index], labels[index]
            source = f"source {number}" if number else "no source"
            return f"row {row:.0f}, column {col:.0f}: {source}"

        noun = ("prompt", "prompts") if patches is None else ("patch", "patches")
        weights = None if grid is None else grid.confidence
        self.plot.set_dots(self._places, colours, weights, name, noun)
        self.curve.setVisible(bool(self._bars))
        self.curve.set_values(self._bars, partition.n_sources, percent=patches is not None)

    def _dots_selected(self, numbers: tuple[int, ...]) -> None:
        self._controller.select_prompts(numbers)


def _how_probable(partition: SourcePartition, most: int | None) -> str:
    """What is known of the number of sources, if it was estimated by a model that can tell."""
    shares = [(n, f"{p:.0%}") for n, p in partition.number_probabilities.items()]
    told = [f"{n} ({share})" for n, share in shares if share != "0%"]
    if not told:
        found = partition.n_sources
        return _too_many(found, most) if partition.method == "dbscan" else ""
    either = " or ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]
    return f"{partition.n_sources} sources found. If there are several at all, there are {either}."


def _too_many(count: int, most: int | None) -> str:
    """Warn of a number of sources that means little; empty if it does not."""
    told = ""
    if most is not None and count > most:
        told = f"This model tells up to {most} sources apart; {count} cut some of them in parts. "
    if count > MAX_SOURCE + 1:
        told += f"A mask holds {MAX_SOURCE + 1}: merge the others before you save."
    return told.strip()
