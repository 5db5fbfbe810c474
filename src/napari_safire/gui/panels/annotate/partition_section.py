"""Partition: all sources of the picture at once, in a number that is given or found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QSpinBox

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.parameter_form import ParameterForm
from napari_safire.gui.panels.section import FoldedSection, Rows, Section, button, wrapped
from napari_safire.images.masks import MAX_SOURCE
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.settings import PartitionSettings

_MOST_ASKED = 20
_FIND = 0  # what the box of the number shows as "auto"


class PartitionSection(Section):
    """Ask for all sources at once, in a number that is given or found.

    Parameters
    ----------
    controller : ViewerController
    """

    def __init__(self, controller: ViewerController) -> None:
        super().__init__("Partition")
        self._controller = controller
        self.run = button(
            "Partition",
            "Divide the picture into its sources, and judge it. What prompts found is committed "
            "first. Afterwards other settings regroup the answers at once, without the model.",
            controller.partition,
        )
        self.run_all = button(
            "Partition all slices",
            "Partition every slice of the stack; Cancel stops.",
            controller.partition_all,
        )
        self.count = QSpinBox()
        self.count.setRange(_FIND, _MOST_ASKED)
        self.count.setSpecialValueText("Sources: auto")
        self.count.setPrefix("Sources: ")
        self.count.setAccessibleName("Number of sources")
        self.number = wrapped()
        self.number.setAccessibleName("About the number of sources")
        self.auto = button("Find it: auto", "Let the number be found for this picture.", self._find)
        self.form = ParameterForm(advanced_settings, {"eps": "auto"})
        self.advanced = FoldedSection("Advanced", "Method, distance, seed, grid.", quiet=True)
        self.advanced.body.addWidget(self.form)
        self.body.addWidget(Rows([self.run, self.count], 2))
        for below in (self.run_all, self.number, self.auto, self.advanced):
            self.body.addWidget(below)
        for signal, slot in (
            (controller.plane_changed, self._plane_changed),
            (controller.plane_changed, self._show_settings),
            (controller.mode_changed, self._show_settings),
            (controller.session.model_changed, self._model_changed),
            (controller.session.partitioned, self._partitioned),
        ):
            self.connections.connect(signal, slot)
        self.count.valueChanged.connect(self._settings_chosen)
        self.form.changed.connect(self._settings_chosen)
        self._model_changed()
        self._plane_changed()

    def _model_changed(self) -> None:
        most = self._controller.session.most_sources
        self.count.setToolTip(
            "Number of sources of this picture. auto finds it, one included: a picture need not be "
            "forged." + ("" if most is None else f" This model tells up to {most} sources apart.")
        )
        self._show_settings()

    def _plane_changed(self) -> None:
        picture = self._controller.picture
        self.run.setEnabled(self._controller.plane is not None)
        self.run_all.setVisible(picture is not None and bool(picture.stack_shape))

    def _partitioned(self, key: PlaneKey) -> None:
        if key == self._controller.key:
            self._show_settings()

    def _find(self) -> None:
        self.count.setValue(_FIND)

    def _settings_chosen(self, _: object = None) -> None:
        chosen = self.form.values
        chosen["eps"] = chosen["eps"] or None
        count: int | None = None
        if chosen["method"] == "kmeans":
            count = self.count.value() or None
            chosen["method"] = "kmeans" if count else "auto"
        self._controller.set_settings(PartitionSettings(n_sources=count, **chosen))

    def _show_settings(self) -> None:
        settings = self._controller.settings
        dbscan = settings.method == "dbscan"
        self.form.show_values(
            method="dbscan" if dbscan else "kmeans",
            eps=settings.eps or 0,
            seed=settings.seed,
            points_per_side=settings.points_per_side,
        )
        with QSignalBlocker(self.count):
            if not dbscan:
                count = settings.n_sources or _FIND
                self.count.setMaximum(max(count, _MOST_ASKED))  # a script may ask for more
                self.count.setValue(count)
        self.count.setVisible(not dbscan)
        self.form.show_field("seed", settings.method == "kmeans")
        self.form.show_field("eps", dbscan)
        by_prompts = dbscan or not self._controller.session.answers_by_patches
        self.form.show_field("points_per_side", by_prompts)
        given = self._controller.choices.number_is_given
        self.auto.setVisible(given)
        told = too_many(settings.n_sources or 0, self._controller.session.most_sources)
        if given:
            told = f"{settings.n_sources} sources, from Preferences. {told}".strip()
        if _waits(self._controller.plane, settings):
            told = f"Press Partition to apply this. {told}".strip()
        self.number.setText(told)
        self.number.setVisible(bool(told))


def _waits(plane: Plane | None, settings: PartitionSettings) -> bool:
    """Whether what is shown was made with other settings, and does not follow by itself."""
    if plane is None or plane.predictions.partition is None or plane.predictions.basis is None:
        return False
    follows = plane.partition is not None and plane.is_read_for(settings)
    return not follows and dict(plane.predictions.basis.settings) != asdict(settings)


def advanced_settings(
    method: Annotated[
        str, {"label": "Method", "choices": [("k-means", "kmeans"), ("DBSCAN", "dbscan")]}
    ] = "kmeans",
    eps: Annotated[float, {"label": "eps", "min": 0.0, "max": 10.0, "step": 0.005}] = 0.0,
    seed: Annotated[int, {"label": "Seed", "min": 0, "max": 2**32 - 1}] = 0,
    points_per_side: Annotated[int, {"label": "Grid", "min": 1, "max": 128}] = 16,
) -> None:
    """What can be chosen of a partition beside the number of sources.

    The ranges are those of `PartitionSettings.check`: magicgui wants them written out here.

    Parameters
    ----------
    method : str
        How what belongs to one source is grouped: k-means into a number of sources (given, or
        found by the model's own threshold), DBSCAN by a distance, as published.
    eps : float
        DBSCAN: how far apart the features of one source may lie. Auto: found for each picture.
    seed : int
        Where k-means begins; the same seed gives the same partition.
    points_per_side : int
        Prompts in the grid along each side. More find smaller sources.
    """


def too_many(count: int, most: int | None) -> str:
    """Warn of a number of sources that means little; empty if it does not."""
    told = ""
    if most is not None and count > most:
        told = f"This model tells up to {most} sources apart; {count} cut some of them in parts. "
    if count > MAX_SOURCE + 1:
        told += f"A mask holds {MAX_SOURCE + 1}: merge the others before you save."
    return told.strip()
