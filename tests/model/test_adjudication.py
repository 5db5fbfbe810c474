"""Adjudicating in the Curate dock: regions outlined, jumped to, chosen, seen side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEngine
from napari.components import ViewerModel
from napari.layers import Image, Labels
from PIL import Image as Picture
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from window.hand import pump, wait_idle, wait_until

from napari_safire.gui.controllers.adjudication import RESULT, SIDE_BY_SIDE
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.layers.adjudication_layers import DECIDED, LOOKED_AT, OPEN
from napari_safire.gui.layers.parts import is_overlay
from napari_safire.project.adding import add_pictures
from napari_safire.project.assigning import give_away
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.team.adjudicating import proved
from napari_safire.project.team.adjudication import FIRST_WORK, PAINTED
from napari_safire.project.team.assignment import AssignmentRule
from napari_safire.project.truth import PictureDescription, SourceDescription
from napari_safire.project.work import Step, find_work, finish, save_step

SHAPE = (40, 60)
ANN = np.ones(SHAPE, np.uint8)
ANN[:, 30:] = 2
BO = np.full(SHAPE, 3, np.uint8)
BO[:, 36:] = 8  # the border lies 6 columns further right
BO[2:7, 2:8] = 5  # and there is something that ann has not seen


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two pictures; the first one waits for cy to adjudicate it."""
    monkeypatch.setenv("NAPARI_SAFIRE_ANNOTATOR", "cy")
    (tmp_path / "photos").mkdir()
    for n, shape in enumerate((SHAPE, (20, 30))):
        pixels = np.random.default_rng(n).integers(0, 255, (*shape, 3), dtype=np.uint8)
        Picture.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
    settings = ProjectSettings(annotators_per_picture=2)
    with Project.create(tmp_path / "project", settings=settings) as project:
        name = add_pictures(project, collect_pictures(tmp_path / "photos")).ids[0]
        for who, labels, kind in (("ann", ANN, "splice"), ("bo", BO, "generated")):
            description = PictureDescription((SourceDescription(int(labels[-1, -1]), type=kind),))
            save_step(project, name, who, Step(labels, description=description), 0)
            finish(project, name, who, 1)
        give_away(project, AssignmentRule(("cy",)), "adjudicator")
    return tmp_path / "project"


@pytest.fixture
def curate(viewer: ViewerModel, folder: Path) -> Iterator[CurateWidget]:
    widget = CurateWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
    widget.resize(360, 900)
    widget.show()
    widget.opening.open_queue(folder)
    settle(widget)
    yield widget
    widget.close_work()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


def settle(curate: CurateWidget) -> None:
    work, adjudication = curate.workspace.queue.work, curate.workspace.adjudication.work
    wait_until(lambda: not work.doing and work.listed_query == work.query)
    wait_idle(curate.controller)
    wait_until(lambda: adjudication.opened is None or adjudication.standing is not None)
    wait_idle(curate.controller)
    pump(0.02)


def named(curate: CurateWidget, name: str) -> Labels:
    layer = curate.controller.viewer.layers[name]
    assert isinstance(layer, Labels)
    return layer


def sources(curate: CurateWidget) -> np.ndarray:
    layer = curate.controller.sources_layer
    assert layer is not None
    return np.asarray(layer.data)


def press(curate: CurateWidget, act: Callable[[], None]) -> None:
    act()
    settle(curate)


def test_the_next_picture_is_fitted_without_the_layers_of_the_last(curate: CurateWidget) -> None:
    press(curate, curate.queue.forward.click)
    viewer = curate.controller.viewer
    assert [layer for layer in viewer.layers if isinstance(layer, Labels)] == []
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], (9.5, 14.5))


def test_regions_are_outlined_jumped_to_and_chosen(curate: CurateWidget, folder: Path) -> None:
    section, viewer = curate.adjudication, curate.controller.viewer
    assert section.isVisibleTo(curate)
    assert section.progress.text() == "2 of 2 regions open, 270 pixels undecided"
    assert "type of source 2 is open: A says splice, B says generated." in (
        section.open_questions.text()
    )
    drawn = named(curate, "disagreement")
    assert set(np.unique(drawn.data)) == {0, OPEN}
    assert not section.choices.isEnabled()
    press(curate, section.forward.click)
    assert section.region.text() == ("Region 1 of 2, 240 pixels: A says source 2, B says source 1.")
    assert (np.asarray(drawn.data)[:, [30, 35]] == LOOKED_AT).all()
    assert not np.asarray(drawn.data)[:, [20, 33, 40]].any()  # outlines only
    camera = getattr(viewer, "scene", viewer).camera
    assert camera.center[-2:] == pytest.approx((19.5, 32.5))
    press(curate, section.second.click)
    assert (sources(curate)[:, 30:36] == 1).all()
    assert (np.asarray(drawn.data)[:, [30, 35]] == DECIDED).all()
    assert section.region.text().startswith("Region 2 of 2, 30 pixels")
    press(curate, section.neither.click)
    assert section.progress.text() == "0 of 2 regions open, 30 to paint"
    layer = curate.controller.sources_layer
    assert layer is not None
    layer.data_setitem(np.nonzero(BO == 5), 4)
    press(curate, curate.controller.edits.read_strokes)
    assert section.progress.text() == "0 of 2 regions open"
    press(curate, section.first.click)  # after all; and back
    press(curate, curate.controller.edits.undo)
    key = curate.workspace.queue.work.key
    press(curate, curate.queue.done.click)
    with Project.open(folder) as project:
        work = find_work(project, key, "cy")
        assert work is not None
        assert (work.role, work.state) == ("adjudicator", "done")
        origins = proved(project, key, "cy").resolution.origins
    assert (origins[:, 30:36] == FIRST_WORK + 1).all()
    assert (origins[2:7, 2:8] == PAINTED).all()
    # The next picture does not wait for anybody to decide.
    assert not section.isVisibleTo(curate)
    assert "disagreement" not in viewer.layers


def test_all_at_once_and_back(curate: CurateWidget) -> None:
    section = curate.adjudication
    section.rest.activated.emit(2)
    settle(curate)
    assert section.progress.text() == "0 of 2 regions open"
    assert set(np.unique(sources(curate))) == {1, 2, 3}
    press(curate, section.begin_again.click)
    assert section.progress.text() == "2 of 2 regions open, 270 pixels undecided"
    assert (sources(curate) == 0).sum() == 270


def test_blinking_and_side_by_side(curate: CurateWidget) -> None:
    section, viewer = curate.adjudication, curate.controller.viewer
    layer = curate.controller.sources_layer
    assert layer is not None
    chosen = viewer.layers.selection.active
    for seen, hidden in (("A: sources", "B: sources"), ("B: sources", "A: sources")):
        press(curate, section.blink.click)
        assert named(curate, seen).visible
        assert not named(curate, hidden).visible
        assert not layer.visible
    assert (np.asarray(named(curate, "B: sources").data)[:, 40:] == 2).all()  # in A's numbers
    assert viewer.layers.selection.active is chosen
    press(curate, section.forward.click)
    section.view.activated.emit(section.view.findData(SIDE_BY_SIDE))
    settle(curate)
    pictures = [viewer.layers[f"{name}: picture"] for name in "AB"]
    left, right = (picture.extent.world for picture in pictures)
    assert left[1, 1] < right[0, 1]  # beside each other
    assert all(isinstance(one, Image) and is_overlay(one) for one in pictures)
    cut = named(curate, "A: cut-out")
    assert (np.asarray(cut.data)[:, -1] == 2).all()
    assert curate.controller.image is curate.workspace.queue.pictures.image
    section.view.activated.emit(section.view.findData(RESULT))
    settle(curate)
    assert "A: picture" not in viewer.layers
    assert not named(curate, "B: sources").visible
    assert layer.visible


def test_layers_that_were_removed_do_not_matter(curate: CurateWidget) -> None:
    section, viewer = curate.adjudication, curate.controller.viewer
    press(curate, section.blink.click)
    for name in ("disagreement", "A: sources"):
        viewer.layers.remove(name)
    press(curate, section.forward.click)
    press(curate, section.blink.click)
    press(curate, section.first.click)
    assert "disagreement" in viewer.layers
    assert section.progress.text().startswith("1 of 2")


def test_keys_say_where_there_is_nothing_to_decide(curate: CurateWidget) -> None:
    press(curate, curate.queue.forward.click)
    adjudication = curate.workspace.adjudication
    for act in (adjudication.take_first, adjudication.go_on, adjudication.blink):
        press(curate, act)
    told = [message.text for message in curate.workspace.messages.shown]
    assert "No picture that waits for adjudication is open." in told


def test_closing_leaves_nothing(curate: CurateWidget) -> None:
    viewer = curate.controller.viewer
    press(curate, curate.adjudication.blink.click)
    curate.close_work()
    names = [layer.name for layer in viewer.layers]
    assert not [name for name in names if name.startswith(("disagreement", "A:", "B:"))]
