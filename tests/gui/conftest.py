"""Fixtures with a real napari window."""

from __future__ import annotations

from collections.abc import Callable

import napari
import pytest

from .hand import Hand, pump


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    """A viewer in a window of its own (Xvfb gives the screen); leaked widgets fail the test."""
    shown = make_napari_viewer(show=True, strict_qt="raise")
    shown.window.resize(1100, 800)
    pump(0.2)
    return shown


@pytest.fixture
def hand(viewer: napari.Viewer) -> Hand:
    return Hand(viewer)
