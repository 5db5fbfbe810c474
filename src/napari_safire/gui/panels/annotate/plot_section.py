"""Why so many sources: a bar for each number, and what was grouped as dots."""

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
from napari_safire.session.planes import PlaneKey, Snapshot

if TYPE_CHECKING:
    from napari_safire.engine import PromptGrid
    from napari_safire.types import SourcePartition

_NO_SOURCE = (0.0, 0.0, 0.0, 0.0)


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
        self._drawn: PromptGrid | None = None
        self._numbers: tuple[int, ...] = ()  # labels of the sources in the plot
        self._places: Any = None
        self._quality: Any = ()
        self._chances: dict[int, float] = {}  # of each number of sources, where the model can tell
        self.found = wrapped()
        self.found.setAccessibleName("How probable each number of sources is")
        self.plot = FeaturePlot()
        self.curve = NumberPlot()
        self.plot.setFixedHeight(150)
        self.curve.setFixedHeight(96)
        for widget in (self.found, self.curve, self.plot):
            self.body.addWidget(widget)
        for signal, slot in (
            (controller.plane_changed, self._plane_changed),
            (controller.session.model_changed, self._model_changed),
            (controller.session.partitioned, self._partitioned),
            (controller.shown, self._show_snapshot),
        ):
            self.connections.connect(signal, slot)
        self.plot.selected.connect(controller.select_prompts)
        self.curve.chosen.connect(partition.count.setValue)
        self._plane_changed()

    def _model_changed(self) -> None:
        plane = self._controller.plane
        if plane is not None and plane.partition is None:
            self._plane_changed()  # what the last model said is gone

    def _plane_changed(self) -> None:
        plane = self._controller.plane
        self._drawn = None
        self._chances = {}
        if plane is not None and plane.partition is not None:
            self._partitioned(plane.key)
        else:
            self._clear()

    def _clear(self) -> None:
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
        if plane.grid is None or plane.partition is None:
            self._clear()  # it was another model's, or that of earlier work
            return
        self.show()
        grid, partition = plane.grid, plane.partition
        if partition.number_probabilities:
            self._chances = dict(partition.number_probabilities)
        self._numbers = numbers = plane.shown_numbers
        self.found.setText(_how_probable(partition, self._controller.session.most_sources))
        self.found.setVisible(bool(self.found.text()) and bool(numbers))
        if not numbers:
            self.plot.show_hint("The labels are not those of the last partition: partition again")
            self.curve.show_hint("")
            self.curve.hide()
            return
        if grid is self._drawn:
            self._draw(grid, partition, numbers)
            return
        seed = self._controller.settings.seed

        def work(progress: Progress, cancel: Cancel) -> tuple[Any, Any]:
            from napari_safire.engine.partitioning.quality import project_features, quality_curve

            return project_features(grid.features), quality_curve(grid.features, seed)

        def done(answer: tuple[Any, Any]) -> None:
            now = self._controller.plane
            if now is not None and now.grid is grid and now.partition is not None:
                self._drawn = grid
                self._places, self._quality = answer
                self._partitioned(now.key)

        self._controller.session.run_long("Comparing numbers of sources", work, done)

    def _draw(self, grid: PromptGrid, partition: SourcePartition, numbers: tuple[int, ...]) -> None:
        sources = partition.prompt_sources
        labels = [0 if k < 0 else numbers[k] for k in sources]
        colours = np.array([source_rgba(n - 1) if n else _NO_SOURCE for n in labels])

        def name(index: int) -> str:
            prompt, number = grid.prompts[index], labels[index]
            source = f"source {number}" if number else "no source"
            return f"row {prompt.row:.0f}, column {prompt.col:.0f}: {source}"

        self.plot.set_dots(self._places, colours, grid.confidence, name)
        self.curve.setVisible(True)
        separations = {point.n_sources: point.silhouette for point in self._quality}
        self.curve.set_values(
            self._chances or separations, partition.n_sources, percent=bool(self._chances)
        )


def _how_probable(partition: SourcePartition, most: int | None) -> str:
    """What is known of the number of sources, if it was estimated by a model that can tell."""
    shares = [(n, f"{p:.0%}") for n, p in partition.number_probabilities.items()]
    told = [f"{n} ({share})" for n, share in shares if share != "0%"]
    if not told:
        found = partition.n_sources
        return too_many(found, most) if partition.method == "dbscan" else ""
    either = " or ".join([", ".join(told[:-1]), told[-1]]) if len(told) > 1 else told[0]
    return f"{partition.n_sources} sources found. If there are several at all, there are {either}."
