"""A dock on a viewer without a window: no canvas, which is what costs two seconds a test."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator

import pytest
from fakes import FakeEngine
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from window.conftest import Dock as Dock

from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.widget import SafireWidget

from .hand import ModelHand, pump


@pytest.fixture(scope="session", autouse=True)
def _imports_are_no_garbage(qapp: QApplication) -> None:
    PluginManager.instance().discover()  # as napari's window does
    importlib.import_module("torch")  # no worker is to be in the midst of it
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(qapp: QApplication) -> ViewerModel:
    """What a viewer is without its window: layers, axes, selection, keys and mouse callbacks."""
    return ViewerModel()


@pytest.fixture
def hand(viewer: ViewerModel) -> ModelHand:
    return ModelHand(viewer)


def open_dock(
    viewer: ViewerModel, hand: ModelHand, engine: FakeEngine | None = None
) -> Iterator[Dock]:
    """A dock with this engine, or with the shipped model, closed in the end."""
    load = {} if engine is None else {"load_engine": lambda name, device, notice: engine}
    widget = SafireWidget(viewer, **load)
    widget.resize(400, 800)
    widget.show()
    pump(0.02)
    yield Dock(viewer, hand, widget, engine)
    widget.close_work()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


@pytest.fixture
def dock(viewer: ViewerModel, hand: ModelHand) -> Iterator[Dock]:
    """A dock whose regions are discs and whose sources are stripes."""
    yield from open_dock(viewer, hand, FakeEngine())


@pytest.fixture
def lite_dock(viewer: ViewerModel, hand: ModelHand) -> Iterator[Dock]:
    """A dock with the model that ships with the package."""
    yield from open_dock(viewer, hand)


@pytest.fixture
def curate(viewer: ViewerModel) -> Iterator[CurateWidget]:
    """A Curate dock that is a viewer's first."""
    widget = CurateWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
    widget.resize(360, 900)
    widget.show()
    pump(0.02)
    yield widget
    widget.close_work()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
