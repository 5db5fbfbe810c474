"""What tests of keys share, in a window or without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Tracks, Vectors
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest
from window.hand import pump

from napari_safire.gui.keys.key_editor import KeyEditor
from napari_safire.gui.keys.keymap import ACTIONS, Keymap

PICTURE = np.zeros((60, 80), np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "settings" / "keys.json"


@pytest.fixture
def keymap(store: Path) -> Keymap:
    return Keymap(ACTIONS, store)


def callbacks_into(counts: Counter[str]) -> dict[str, Callable[[], None]]:
    def counter(name: str) -> Callable[[], None]:
        return lambda: counts.update([name])

    return {action.name: counter(action.name) for action in ACTIONS}


def one_layer_of_each_type(viewer: ViewerModel) -> list[Layer]:
    triangle = (np.array([[0, 0], [0, 9], [9, 0]]), np.array([[0, 1, 2]]))
    layers = [
        Image(PICTURE),
        Labels(PICTURE),
        Points(ndim=2),
        Shapes(ndim=2),
        Vectors(np.zeros((1, 2, 2))),
        Tracks(np.array([[1, 0, 0, 0], [1, 1, 5, 5]])),
        Surface(triangle),
    ]
    return [viewer.add_layer(layer) for layer in layers]


def type_key(editor: KeyEditor, action: str, keys: str) -> None:
    """Click into the field of an action and press the key."""
    field = editor.edit_of(action)
    field.setFocus()
    combination = QKeySequence(keys)[0]
    QTest.keyClick(field, combination.key(), combination.keyboardModifiers())
    pump()
