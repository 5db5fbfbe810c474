"""The shipped model on the shipped picture, from the menu to the file and back."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari._app_model import get_app_model
from napari.layers import Labels

from napari_safire.engine import Engine
from napari_safire.engine import cache as cache_module
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.gui.io import samples
from napari_safire.gui.widget import SafireWidget, widget_of
from napari_safire.images.demo import demo_composite
from napari_safire.model import SafireModel

from .conftest import Dock, choose_method
from .hand import Hand, pump

SHAPE = (320, 384)
SKY = (60, 270)
STREET = (290, 40)


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corner of the composite where the sky of another photograph meets the houses."""

    def corner() -> tuple[np.ndarray, np.ndarray]:
        image, labels = demo_composite()
        rows, cols = (slice(length) for length in SHAPE)
        return image[rows, cols].copy(), labels[rows, cols].copy()

    monkeypatch.setattr(samples, "load_demo_composite", corner)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all that any model was asked to encode."""
    calls: list[tuple[int, ...]] = []
    encode = SafireModel.encode

    def counting(self: SafireModel, pixels: Any, *further: Any) -> Any:
        if further:  # the self-test at load asks without steps
            calls.append(tuple(pixels.shape))
        return encode(self, pixels, *further)

    monkeypatch.setattr(SafireModel, "encode", counting)
    return calls


@contextmanager
def opened(viewer: napari.Viewer, hand: Hand) -> Iterator[Dock]:
    """The dock, opened by the command that the menu runs, and closed again."""
    get_app_model().commands.execute_command("napari-safire.widget")
    pump(0.1)
    widget = widget_of(viewer)
    assert widget is not None
    dock = Dock(viewer, hand, widget)
    try:
        yield dock
    finally:
        widget.close_work()
        viewer.window.remove_dock_widget(widget.parent())
        pump(0.1)


@pytest.fixture
def sample(viewer: napari.Viewer, hand: Hand) -> Iterator[Dock]:
    """The sample, opened through napari, and read by the shipped model."""
    viewer.open_sample("napari-safire", "demo_composite")
    with opened(viewer, hand) as dock:
        viewer.layers.selection.active = viewer.layers["demo composite"]
        dock.settle()
        yield dock


def engine_of(dock: Dock) -> Engine:
    engine = dock.controller.session.engine
    assert isinstance(engine, Engine)
    return engine


def sources(dock: Dock) -> np.ndarray:
    layer = dock.controller.sources_layer
    assert isinstance(layer, Labels)
    return np.asarray(layer.data)


def click(dock: Dock, row: float, col: float) -> None:
    dock.controller.add_prompts()
    dock.settle()
    dock.hand.click(dock.viewer.layers["demo composite"], row, col)
    dock.settle()


def share(mask: np.ndarray, of: np.ndarray) -> float:
    return float((mask & of).sum() / of.sum())


def test_a_click_on_the_sky_finds_the_sky(sample: Dock) -> None:
    truth = sample.viewer.layers["demo composite: true sources"].data
    click(sample, *SKY)
    found = sources(sample) == 1
    assert share(found, truth == 1) > 0.7
    assert share(found, truth == 0) < 0.3
    layer = sample.viewer.layers["demo composite: prompts"]
    assert 0.5 < layer.features["confidence"][0] <= 1.05
    click(sample, *STREET)  # the same source: united
    assert share(sources(sample) == 1, truth == 0) > 0.3


def test_the_key_partitions_and_the_verdict_says_what_it_rests_on(sample: Dock) -> None:
    truth = sample.viewer.layers["demo composite: true sources"].data
    sample.hand.press("Shift+G")
    sample.settle()
    labels = sources(sample)
    assert labels.shape == SHAPE
    assert labels.min() == 1
    assert labels.max() >= 2
    of_sky = np.bincount(labels[truth == 1]).argmax()
    of_street = np.bincount(labels[truth == 0]).argmax()
    assert of_sky != of_street
    plane, layer_group = sample.controller.plane, sample.controller.layer_group
    assert plane is not None
    assert plane.forgery is not None
    verdict = sample.widget.verdict
    assert plane.forgery.verdict.capitalize() in verdict.line.text()
    score = f"{plane.forgery.score:.2f}"
    shown = {"0.00": "below 0.01", "1.00": "above 0.99"}.get(score, score)
    assert f"the probability of forgery is {shown}." in verdict.whole.text()
    assert "at even odds" in verdict.line.text()
    assert "calibrated, with all evidence, on" in verdict.whole.text()
    assert "Likelihood ratio" in verdict.whole.text()
    assert layer_group is not None
    heatmap = layer_group.heatmap
    assert heatmap is not None
    glows = plane.forgery.verdict == "forged"
    assert (heatmap.colormap.name == "magma", heatmap.opacity) == (glows, 0.5)
    np.testing.assert_array_equal(heatmap.data, plane.forgery.heatmap)
    assert not heatmap.visible
    sample.press(sample.widget.view.buttons["forgery map"])
    assert heatmap.visible
    assert sample.widget.sources.table.rowCount() == labels.max()


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_sources_are_saved_and_read_back(sample: Dock, tmp_path: Path, suffix: str) -> None:
    sample.press(sample.widget.partition.run)
    sample.settle()
    labels, layer = sources(sample).copy(), sample.controller.sources_layer
    assert layer is not None
    sample.controller.edits.commit()
    sample.settle()
    path = tmp_path / f"result_sources{suffix}"
    assert layer.save(str(path), plugin="napari-safire")
    sample.viewer.open(str(path), plugin="napari-safire")
    pump()
    back = [x for x in sample.viewer.layers if isinstance(x, Labels) and x.source.path is not None]
    assert len(back) == 1
    # The mask counts from 0, as SafireMS does; the record knows that the layer counts from 1.
    first = 1 if suffix == ".json" else 0
    np.testing.assert_array_equal(back[0].data, labels - 1 + first)


def test_a_picture_that_is_opened_again_is_read_from_the_disk(
    viewer: napari.Viewer, hand: Hand, encoded: list[tuple[int, ...]]
) -> None:
    embeddings = []
    for _ in range(2):
        viewer.open_sample("napari-safire", "demo_composite")
        with opened(viewer, hand) as dock:
            viewer.layers.selection.active = viewer.layers["demo composite"]
            dock.settle()
            assert dock.controller.plane is not None
            embeddings.append(dock.controller.plane.embedding)
            click(dock, *SKY)
            assert sources(dock)[SKY] == 1
            assert len(encoded) == 1
        viewer.layers.clear()
    first, second = embeddings
    assert first is not None
    assert second is not None
    assert first is not second
    np.testing.assert_array_equal(first.features, second.features)


def test_a_damaged_entry_of_the_cache_is_made_anew(
    viewer: napari.Viewer, hand: Hand, encoded: list[tuple[int, ...]]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    viewer.add_image(pixels, name="demo composite")
    with opened(viewer, hand) as dock:
        dock.settle()
    (entry,) = EmbeddingCache().folder.glob("*.safetensors")
    content = entry.read_bytes()
    entry.write_bytes(content[:-8] + bytes(byte ^ 1 for byte in content[-8:]))
    with opened(viewer, hand) as dock:
        dock.settle()
        assert len(encoded) == 2
        assert dock.controller.plane is not None
        made = dock.controller.plane.embedding
        assert made is not None
        kept = EmbeddingCache().get(made.image_sha256, made.checkpoint_sha256)
        assert kept is not None
        np.testing.assert_array_equal(kept.features, made.features)
        click(dock, 40, 60)
        assert not dock.widget.message.isVisible()


def test_without_space_on_the_disk_work_goes_on_with_a_notice(
    viewer: napari.Viewer, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module.Path, "write_bytes", full)
    viewer.add_image(np.zeros((96, 128, 3), np.uint8), name="demo composite")
    with opened(viewer, hand) as dock:
        dock.settle()
        text = dock.widget.message.text()
        assert "No space left on device" in text
        assert "will be made again when it is needed" in text
        assert dock.controller.plane is not None
        assert dock.controller.plane.embedding is not None
        click(dock, 40, 60)
        snapshot = dock.controller.plane.snapshot
        assert snapshot is not None
        assert snapshot.annotation.is_answered


def out_of_memory(*arguments: object, **more: object) -> None:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 TB.")


def test_less_memory_means_fewer_prompts_at_once_and_a_notice(
    sample: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine_of(sample).model
    decode: Callable[..., Any] = model.decode
    sizes: list[int] = []

    def narrow(features: Any, points: Any, *more: Any) -> Any:
        sizes.append(len(points))
        return out_of_memory() if len(points) > 4 else decode(features, points, *more)

    monkeypatch.setattr(model, "decode", narrow)
    choose_method(sample, "DBSCAN")  # which asks prompts
    sample.press(sample.widget.partition.run)
    sample.settle()
    assert max(sizes) > 4 >= sizes[-1]
    assert "memory" in sample.widget.message.text().lower()
    assert "fewer" in sample.widget.message.text() or "at once" in sample.widget.message.text()
    assert sources(sample).max() >= 2


def test_no_memory_at_all_is_a_sentence_and_the_dock_lives_on(
    sample: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = engine_of(sample).model
    with monkeypatch.context() as patch:
        patch.setattr(model, "decode", out_of_memory)
        choose_method(sample, "DBSCAN")  # which asks prompts
        sample.press(sample.widget.partition.run)
        sample.settle()
        text = sample.widget.message.text()
        assert text.startswith("⚠")
        assert "The memory of this machine ran out" in text
        assert "close other programs" in text
        plane = sample.controller.plane
        assert plane is not None
        assert plane.partition is None
    sample.press(sample.widget.partition.run)
    sample.settle()
    assert sources(sample).max() >= 2
    assert isinstance(sample.widget, SafireWidget)
