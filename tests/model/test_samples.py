"""Sample data, opened by napari itself."""

from __future__ import annotations

import npe2
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_safire.gui.io.samples import QUALITIES
from napari_safire.gui.layers.colours import source_colormap
from napari_safire.images.demo import credits, demo_composite
from napari_safire.palette import PALETTE, source_colour

from .hand import pump

PLUGIN = "napari-safire"


def open_sample(viewer: ViewerModel, key: str):
    image, labels = viewer.open_sample(PLUGIN, key)
    pump()
    return image, labels


def test_manifest_is_valid_and_all_its_commands_import() -> None:
    manifest = npe2.PluginManifest.from_distribution(PLUGIN)
    manifest.validate_imports()
    contributions = manifest.contributions
    commands = {command.id for command in contributions.commands or ()}
    parts = [*contributions.readers, *contributions.writers, *contributions.sample_data]
    assert {part.command for part in parts} <= commands


@pytest.mark.parametrize(
    ("key", "shape", "sources"),
    [
        ("demo_composite", (768, 1024), {0, 1, 2}),
        ("demo_recompressed", (3, 768, 1024), {0, 1, 2}),
        ("demo_authentic", (368, 560), {0}),
    ],
)
def test_sample_opens(viewer, key, shape, sources):
    image, labels = open_sample(viewer, key)
    assert image.rgb
    assert image.data.shape == (*shape, 3)
    assert image.data.dtype == np.uint8
    assert labels.data.shape == shape
    assert set(np.unique(labels.data)) == sources
    assert not labels.visible
    assert labels.name == f"{image.name}: true sources"
    assert image.axis_labels[-2:] == ("row", "col")


@pytest.mark.parametrize("key", ["demo_composite", "demo_recompressed", "demo_authentic"])
def test_every_layer_carries_the_credits(viewer, key):
    for layer in open_sample(viewer, key):
        assert layer.metadata["credits"] == credits()


def test_recompressed_slices_are_the_composite_getting_worse(viewer):
    image, labels = open_sample(viewer, "demo_recompressed")
    original, sources = demo_composite()
    errors = [np.abs(plane.astype(int) - original).mean() for plane in image.data]
    assert len(errors) == len(QUALITIES)
    assert 0 < errors[0] < errors[1] < errors[2] < 10
    for plane in labels.data:
        np.testing.assert_array_equal(plane, sources)


def test_authentic_part_is_cut_along_the_jpeg_blocks_of_the_composite(viewer):
    image, _ = open_sample(viewer, "demo_authentic")
    original, _ = demo_composite()
    np.testing.assert_array_equal(image.data, original[400:768, 464:1024])
    assert image.data.base is None  # the whole composite is not kept in memory for it


def test_sources_have_the_colours_of_exported_overlays(viewer):
    _, labels = open_sample(viewer, "demo_composite")
    for source in range(3):
        shown = labels.colormap.map(source)
        np.testing.assert_allclose(shown[:3] * 255, source_colour(source), atol=0.5)


def test_labels_from_one_leave_zero_transparent():
    colours = source_colormap(3, first=1).map(np.arange(6, dtype=np.uint8))
    assert colours[0, 3] == 0
    np.testing.assert_allclose(colours[1:4, :3] * 255, PALETTE[:3], atol=0.5)
    np.testing.assert_allclose(colours[4:], 1)  # beyond: white, so that it is seen


def test_labels_from_zero_colour_zero_too():
    colours = source_colormap(9).map(np.arange(10, dtype=np.uint8))
    np.testing.assert_allclose(colours[:9, :3] * 255, PALETTE[:9], atol=0.5)
    np.testing.assert_allclose(colours[9], 1)


def test_no_two_labels_have_the_same_colour():
    colours = source_colormap(255, first=1).map(np.arange(1, 256, dtype=np.uint8))
    assert len({tuple(c) for c in (colours * 255).round().tolist()}) == 255


@pytest.mark.parametrize(("n", "first", "match"), [(0, 0, "at least 1"), (3, 2, "label 0 or 1")])
def test_impossible_colormaps(n, first, match):
    with pytest.raises(ValueError, match=match):
        source_colormap(n, first=first)
