"""The composite that ships with the package, and the script that made it."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

from napari_safire.images.demo import credits, demo_composite, demo_path

SCRIPT = Path(__file__).parents[2] / "training" / "make_demo.py"


def test_composite_and_labels_belong_together() -> None:
    image, labels = demo_composite()
    assert image.shape == (768, 1024, 3)
    assert image.dtype == np.uint8
    assert labels.shape == (768, 1024)
    assert labels.dtype == np.uint8


def test_every_source_covers_a_fair_share() -> None:
    _, labels = demo_composite()
    shares = np.bincount(labels.ravel()) / labels.size
    assert len(shares) == 3
    assert shares.argmax() == 0
    assert shares.min() > 0.05


def test_file_is_small() -> None:
    assert demo_path().stat().st_size < 2_000_000


def test_credits_name_every_photograph_and_its_licence() -> None:
    text = credits()
    for name in ("data/lund/images/01.jpg", "data/berlin/images/01.jpg", "Sony Cybershot (1).jpg"):
        assert name in text
    assert "Copyright (c) 2014, mapillary" in text
    assert "free to use these media files however you wish" in text


def test_script_makes_the_shipped_files(shared: Path) -> None:
    # reviewed: a script of ours
    made, labels = runpy.run_path(str(SCRIPT))["make"](shared / "photos")
    shipped, shipped_labels = demo_composite()
    np.testing.assert_array_equal(labels, shipped_labels)
    # JPEG decoders and resamplers differ a little from one version of Pillow to the next
    assert np.abs(made.astype(int) - shipped).mean() < 0.5
