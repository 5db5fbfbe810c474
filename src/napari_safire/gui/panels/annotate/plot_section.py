"""Why so many sources: a bar for each number, and what was compared as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.colours import source_rgba
from napari_safire.gui.panels.annotate.partition_section import PartitionSection, too_many
from napari_safire.gui.panels.feature_plot import FeaturePlot
from napari_safire.gui.panels.number_plot import NumberPlot
from napari_safire.gui.panels.section import Section, wrapped
from napari_safire.progress import Cancel, Progress
from napari_safire.session.planes import Plane, PlaneKey, Snapshot

if TYPE_CHECKING:
    from napari_safire.partitioning.patches import Patches
    from napari_safire.partitioning.prompt_grid import PromptGrid
    from napari_safire.types import SourcePartition

_NO_SOURCE = (0.0, 0.0, 0.0, 0.0)
_HEIGHTS = (84, 150)  # of bars and dots, pixels


class PlotSection(Section):
    """What a partition rests on; hidden while there is none.

    Parameters
    ----------
    controller : ViewerController
    partition : PartitionSection
        A click on a bar chooses its number of sources.
    """

    def __init__(self, controller: ViewerController, partition: PartitionSection) -> None:
        super().__init__("Why this number")
        self._controller = controller
        self._drawn: Patches | PromptGrid | None = None
        self._numbers: tuple[int, ...] = ()  # labels of the sources in the plot
        self._places: Any = None
        self._bars: dict[int, float] = {}
        self.found = wrapped()
        self.found.setAccessibleName("How probable each number of sources is")
        self.dots = FeaturePlot()
        self.bars = NumberPlot()
        self.lost = wrapped()
        self.lost.setAccessibleName("Prompts that are not in the plot")
        for plot, height in zip((self.bars, self.dots), _HEIGHTS, strict=True):
            plot.setFixedHeight(height)
        for widget in (self.found, self.bars, self.dots, self.lost):
            self.body.addWidget(widget)
        for signal, slot in (
            (controller.plane_changed, self._plane_changed),
            (controller.session.model_changed, self._model_changed),
            (controller.session.partitioned, self._partitioned),
            (controller.session.blind.changed, self._partitioned),
            (controller.shown, self._show_snapshot),
        ):
            self.connections.connect(signal, slot)
        self.dots.selected.connect(controller.select_prompts)
        self.bars.chosen.connect(partition.count.setValue)
        self._plane_changed()

    @property
    def _most(self) -> int | None:
        return self._controller.session.most_sources

    def _model_changed(self) -> None:
        plane = self._controller.plane
        if plane is not None and plane.partition is None:
            self._plane_changed()  # what the last model said is gone

    def _plane_changed(self) -> None:
        plane = self._controller.plane
        self._drawn = None
        if plane is not None and plane.partition is not None:
            self._partitioned(plane.key)
        else:
            self._clear()

    def _clear(self) -> None:
        self.dots.show_hint("Partition the picture to see its features here")
        self.bars.show_hint("Partition the picture to compare numbers of sources here")
        self.hide()

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
        if self._controller.session.blind.hides(key):
            self._clear()  # how probable one source is comes close to a verdict
            return
        if basis is None or partition is None:
            self._clear()  # it was another model's, or that of earlier work
            return
        self.show()
        self._numbers = numbers = plane.shown_numbers
        self.found.setText(_what_bars_say(partition, plane.patches is not None, self._most))
        self.lost.hide()
        if not numbers:
            self.hide()  # the labels are not those of the last partition
        elif basis is self._drawn:
            self._draw(plane, partition, numbers)
        else:
            self._prepare(plane, basis)

    def _prepare(self, plane: Plane, basis: Patches | PromptGrid) -> None:
        """Find where the dots lie, and how high the bars are; then draw them."""
        seed = self._controller.settings.seed
        patches, probabilities = plane.patches, dict(plane.number_probabilities)

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, dict[int, float]]:
            from napari_safire.partitioning.quality import project_features, quality_curve

            if patches is not None:
                return project_features(patches.features[patches.compared]), probabilities
            features = basis.features
            curve = {p.n_sources: p.silhouette for p in quality_curve(features, seed)}
            return project_features(features), curve

        def done(answer: tuple[Any, dict[int, float]]) -> None:
            now = self._controller.plane
            if now is not None and (now.patches or now.grid) is basis and now.partition is not None:
                self._drawn = basis
                self._places, self._bars = answer
                self._partitioned(now.key)

        self._controller.session.run_long(
            "Comparing numbers of sources", work, self.connections.while_connected(done)
        )

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
        self.dots.set_dots(self._places, colours, weights, name, noun)
        self.bars.setVisible(bool(self._bars))
        self.bars.set_values(self._bars, partition.n_sources, percent=patches is not None)
        lost = partition.n_dropped if patches is None else 0
        self.lost.setText(f"{lost} of {len(compared)} prompts found no region: they have no dot.")
        self.lost.setVisible(lost > 0)


def _what_bars_say(partition: SourcePartition, probable: bool, most: int | None) -> str:
    """Whether the number was found or asked for, and what a bar's height means."""
    count, how = partition.n_sources, "asked for" if partition.method == "kmeans" else "found"
    told = f"{count} source{'s' if count > 1 else ''} {how}. "
    if probable:
        return told + "A bar: how probable that number is."
    warning = too_many(count, most) if partition.method == "dbscan" else ""
    return f"{told}A bar: how well that many fall apart; no probability. {warning}".strip()
