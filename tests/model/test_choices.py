"""What is chosen for one picture stays with it: number of sources, current source, preferences."""

from __future__ import annotations

import numpy as np
import pytest

from napari_safire.gui.controllers.choices import PictureChoices
from napari_safire.gui.controllers.mode import Mode
from napari_safire.session.planes import PlaneKey
from napari_safire.settings import PartitionSettings

from .conftest import Dock
from .hand import pump

ONE, TWO = PlaneKey("one"), PlaneKey("two")
SHAPE = (120, 160)


@pytest.fixture
def choices() -> PictureChoices:
    made = PictureChoices(Mode())
    made.go_to(ONE)
    return made


def test_the_number_of_sources_is_not_carried_over(choices: PictureChoices) -> None:
    three = PartitionSettings("kmeans", 3, seed=7, points_per_side=8)
    choices.choose(three)
    choices.go_to(TWO)
    assert choices.settings == PartitionSettings(seed=7, points_per_side=8)
    choices.go_to(ONE)
    assert choices.settings == three


def test_nor_is_the_distance_of_dbscan(choices: PictureChoices) -> None:
    choices.choose(PartitionSettings("dbscan", eps=0.35))
    choices.go_to(TWO)
    assert choices.settings == PartitionSettings("dbscan")


def test_a_number_of_the_preferences_is_said(choices: PictureChoices) -> None:
    choices.start_with(PartitionSettings("kmeans", 2))
    assert choices.settings.n_sources == 2
    assert choices.number_is_given
    choices.keep(choices.settings, [ONE])  # as a partition does: still nobody's choice
    assert choices.number_is_given
    choices.choose(PartitionSettings("kmeans", 3))
    assert not choices.number_is_given
    choices.go_to(TWO)
    assert (choices.settings.n_sources, choices.number_is_given) == (2, True)


def test_a_preference_changes_what_it_names_and_only_where_nobody_chose(
    choices: PictureChoices,
) -> None:
    choices.choose(PartitionSettings("kmeans", 3))
    choices.go_to(TWO)
    choices.choose(PartitionSettings("dbscan"))
    assert not choices.start_with(PartitionSettings())  # another preference altogether
    assert choices.settings.method == "dbscan"
    assert choices.start_with(PartitionSettings(points_per_side=24))
    choices.go_to(ONE)
    assert choices.settings == PartitionSettings("kmeans", 3)
    choices.go_to(PlaneKey("three"))
    assert choices.settings == PartitionSettings("dbscan", points_per_side=24)


def test_the_current_source_is_that_of_the_picture() -> None:
    mode = Mode()
    choices = PictureChoices(mode)
    choices.go_to(ONE)
    mode.source, mode.exclude = 3, True
    choices.go_to(TWO)
    assert (mode.source, mode.exclude) == (1, False)
    mode.source = 2
    choices.go_to(ONE)
    assert (mode.source, mode.exclude) == (3, True)
    choices.forget("one")
    choices.go_to(TWO)
    choices.go_to(ONE)
    assert (mode.source, mode.exclude) == (1, False)


# ---------------------------------------------------------------- in the dock


def open_picture(dock: Dock, name: str, value: int = 0) -> None:
    dock.viewer.add_image(np.full((*SHAPE, 3), value, np.uint8), name=name)
    dock.settle()


def test_the_next_picture_is_partitioned_without_the_number_of_the_last(dock: Dock) -> None:
    section = dock.widget.partition
    open_picture(dock, "first")
    section.count.setValue(3)
    dock.press(section.run)
    dock.settle()
    dock.controller.mode.source = 3
    open_picture(dock, "second", 9)
    assert section.count.text() == "Sources: auto"
    assert dock.widget.prompts.source.value() == 1
    dock.press(section.run)
    dock.settle()
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 2
    dock.viewer.layers.selection.active = dock.viewer.layers["first"]
    dock.settle()
    assert section.count.value() == 3
    assert dock.widget.prompts.source.value() == 3


def test_no_preference_repartitions_or_resets_the_number(dock: Dock) -> None:
    from napari_safire.gui.preferences import Preferences

    section = dock.widget.partition
    open_picture(dock, "picture")
    section.count.setValue(3)
    dock.press(section.run)
    dock.settle()
    assert dock.engine is not None
    asked = list(dock.engine.calls)
    for changed in (
        Preferences(sources_opacity=0.9),
        Preferences(sources_opacity=0.9, prior_percent=5),
        Preferences(points_per_side=8),
        Preferences(partition_method="dbscan"),
        Preferences(cache_gib=1, embed_on_selection=False),
    ):
        dock.widget._preferences_changed(changed)
        dock.settle()
    assert dock.engine.calls == asked
    assert (section.count.value(), section.form.values["method"]) == (3, "kmeans")
    assert dock.controller.sources_layer is not None
    assert dock.controller.sources_layer.data.max() == 3


def test_a_number_from_the_preferences_is_one_click_from_auto(dock: Dock) -> None:
    section = dock.widget.partition
    open_picture(dock, "picture")
    dock.controller.start_with(PartitionSettings("kmeans", 2))
    pump()
    assert section.number.text() == "2 sources, from Preferences."
    dock.press(section.auto)
    assert dock.controller.settings.method == "auto"
    assert not section.auto.isVisible()
    assert not section.number.isVisible()


def test_more_sources_than_the_model_tells_apart_are_warned_of(dock: Dock) -> None:
    section = dock.widget.partition
    open_picture(dock, "picture")
    assert section.count.text() == "Sources: auto"
    assert "up to 6 sources apart" in section.count.toolTip()
    section.count.setValue(6)
    assert not section.number.isVisible()
    section.count.setValue(9)
    assert "up to 6 sources apart" in section.number.text()
    assert "A mask holds 6" in section.number.text()


@pytest.mark.parametrize(
    "settings",
    [
        PartitionSettings(points_per_side=1),
        PartitionSettings(points_per_side=128),
        PartitionSettings(seed=2**32 - 1),
        PartitionSettings("dbscan", eps=50.0),
        PartitionSettings("kmeans", 100),
    ],
)
def test_the_form_shows_whatever_can_be_asked(dock: Dock, settings: PartitionSettings) -> None:
    settings.check()
    dock.viewer.add_image(np.zeros((60, 80, 3), np.uint8))
    dock.settle()
    dock.controller.set_settings(settings)
    section = dock.widget.partition
    shown = section.form.values
    assert shown["points_per_side"] == settings.points_per_side
    assert shown["seed"] == settings.seed
    assert shown["eps"] == (settings.eps or 0)
    assert section.count.value() == (settings.n_sources or 0)
    assert dock.controller.settings == settings
    section.form.changed.emit()  # a choice of the user's changes nothing else
    assert dock.controller.settings == settings
