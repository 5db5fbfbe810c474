"""The grid of a network's upsampling: planted, and not taken for what else repeats."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from synthetic import made_once

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics.processing.upsampling import STEP, upsampling_grid

SHAPE = (320, 416)
REGION = np.s_[80:240, 112:304]


@made_once
def photograph(seed: int, noise: float = 1.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared = sum(gaussian_filter(rng.normal(size=SHAPE), s) * s**1.6 for s in (1, 2, 4, 8, 16))
    pixels = 128 + 35 * (shared - shared.mean()) / shared.std()
    pixels = pixels[..., None] + rng.normal(scale=noise, size=(*SHAPE, 3))
    return np.clip(np.rint(pixels), 4, 251).astype(np.uint8)


@made_once
def generated(seed: int) -> np.ndarray:
    """Shapes enlarged eightfold by a transposed convolution whose weights are not all alike."""
    rng = np.random.default_rng(seed)
    weights = 1 + 0.05 * rng.normal(size=(8, 8))
    small = rng.normal(size=(SHAPE[0] // 8 + 1, SHAPE[1] // 8 + 1))
    large = np.kron(gaussian_filter(small, 1), np.ones((8, 8)))[: SHAPE[0], : SHAPE[1]]
    pixels = 120 + 30 * gaussian_filter(large, 4) + rng.normal(scale=0.8, size=SHAPE)
    tiled = np.tile(weights, (SHAPE[0] // 8 + 1, SHAPE[1] // 8 + 1))[: SHAPE[0], : SHAPE[1]]
    pixels = pixels + 20 * (tiled - 1)
    return np.repeat(np.clip(np.rint(pixels), 4, 251).astype(np.uint8)[..., None], 3, axis=2)


def decoded(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality)
    return np.array(Image.open(file).convert("RGB"))


def view(pixels: np.ndarray) -> forensics.EvidenceView:
    return forensics.views(pixels)["network-made content"]


@pytest.mark.parametrize("quality", [None, 85])
def test_what_a_network_filled_is_found(quality):
    """In a picture that was a JPEG, only what does not fit is looked at."""
    picture = photograph(0).copy() if quality is None else decoded(photograph(0), quality)
    picture[REGION] = generated(1)[REGION]
    found = view(picture).result
    assert found.score > 0.7
    truth = np.zeros(SHAPE, bool)
    truth[REGION] = True
    both = (found.regions & truth).sum() / (found.regions | truth).sum()
    assert both > 0.5
    assert found.map.cell == STEP
    assert found.map.origin == (STEP // 2, STEP // 2)


@pytest.mark.parametrize("kind", ["noisy", "clean", "resized", "pasted", "decoded"])
def test_what_no_network_made_has_no_grid(kind):
    picture = photograph(2, 0.3 if kind == "clean" else 3).copy()
    if kind == "resized":
        large = Image.fromarray(decoded(picture, 80))
        picture = np.asarray(large.resize((354, 272), Image.Resampling.BICUBIC))
    elif kind == "pasted":
        picture = decoded(picture, 85)
        picture[REGION] = photograph(3)[REGION]
    elif kind == "decoded":
        picture = decoded(picture, 80)
    found = view(picture).result
    assert not found.score or found.score < 0.3
    assert found.regions is None


def test_a_brighter_pixel_in_each_block_is_a_jpegs_dimple():
    picture = photograph(4).astype(int)
    picture[3::8, 5::8] += 4
    found = view(np.clip(picture, 0, 255).astype(np.uint8)).result
    assert found.score == 0
    assert found.finding == "the pattern is a JPEG's"


def test_letters_on_paper_are_not_looked_at():
    paper = np.full((*SHAPE, 3), 250, np.uint8)
    paper[8::16, 4::8] = 20
    found = view(paper).result
    assert found.score is None
    assert found.finding == "no texture to look at"


def test_a_jpeg_is_not_told(tmp_path):
    Image.fromarray(generated(5)).save(tmp_path / "a.jpg", quality=95)
    found = forensics.views(tmp_path / "a.jpg")["network-made content"].result
    assert found.score is None
    assert found.map is None


@pytest.mark.parametrize("shape", [(64, 64), (64, 333), (111, 96)])
def test_cells_lie_in_the_picture(shape):
    rng = np.random.default_rng(0)
    found = upsampling_grid(rng.normal(128, 5, shape).astype(np.float32))
    assert found.surprises.shape == tuple((n - 2 * STEP) // STEP + 1 for n in shape)
    assert found.strongest < 1
    assert found.whole < 3


def test_a_grid_is_found_wherever_the_picture_was_cut():
    whole = generated(6)[..., 0].astype(np.float32)
    for row, col in ((0, 0), (3, 5), (7, 1)):
        assert upsampling_grid(whole[row:, col:]).strongest > 10


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        view(photograph(7)).compute(cancel=lambda: True)
