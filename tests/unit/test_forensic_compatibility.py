"""Blocks that cannot come from a picture's former JPEG: planted, and none in untouched pictures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter
from synthetic import made_once

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics.compression.coefficients import ZIGZAG
from napari_safire.forensics.compression.compatibility import foreign_regions, former_grid
from napari_safire.forensics.compression.tables import standard_table

SHAPE = (320, 400)
REGION = np.s_[99:219, 151:301]


@made_once
def photograph(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Shapes of all sizes with the noise of a sensor."""
    rng = np.random.default_rng(seed)
    shared = sum(gaussian_filter(rng.normal(size=shape), s) * s**1.6 for s in (1, 2, 4, 8, 16))
    own = [gaussian_filter(rng.normal(size=shape), 9) * 15 for _ in range(3)]
    pixels = np.stack([shared + channel for channel in own], axis=-1)
    pixels = 128 + 40 * (pixels - pixels.mean()) / pixels.std()
    return np.clip(pixels + rng.normal(scale=1.5, size=pixels.shape), 4, 251).astype(np.uint8)


def decoded(pixels: np.ndarray, quality: int, subsampling: int = 2) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling=subsampling)
    return np.array(Image.open(file).convert("RGB"))


def view(pixels: np.ndarray) -> forensics.EvidenceView:
    return forensics.views(pixels)["JPEG compatibility"]


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("made", ["pasted", "smooth", "other JPEG", "copied"])
def test_what_came_after_the_jpeg_is_found(quality, made):
    picture = decoded(photograph(0), quality)
    kept = picture.copy()
    if made == "pasted":
        picture[REGION] = photograph(1)[REGION]
    elif made == "smooth":  # as a network fills a hole: shapes without the sensor's noise
        filled = gaussian_filter(photograph(2).astype(float), (1.5, 1.5, 0))
        picture[REGION] = np.rint(filled[REGION])
    elif made == "other JPEG":
        picture[REGION] = np.roll(decoded(photograph(3), 85), (2, 3), (0, 1))[REGION]
    else:
        picture[REGION] = np.roll(kept, (37, 61), (0, 1))[REGION]
    found = view(picture).result
    assert found.score > 1
    truth = np.zeros(SHAPE, bool)
    truth[REGION] = True
    assert found.regions.shape == SHAPE
    both = (found.regions & truth).sum() / (found.regions | truth).sum()
    assert both > (0.6 if made == "smooth" else 0.75)


@pytest.mark.parametrize("quality", [50, 90, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_picture_that_was_a_jpeg_as_a_whole_fits(quality, subsampling):
    found = view(decoded(photograph(4), quality, subsampling)[3:, 5:]).result
    assert found.score < 0.5
    assert found.regions is None
    assert found.table[0].value == "row 5, column 3"
    assert found.map.origin == (5, 3)


def test_the_steps_are_those_of_the_file():
    found = view(decoded(photograph(5), 80)).result
    steps = [int(step) for step in found.table[1].value.replace("?", "0").split(", ")]
    table = standard_table(80)
    told = [(step, table[at]) for step, at in zip(steps, ZIGZAG[1:16], strict=True) if step]
    assert len(told) >= 10
    assert sum(step == true for step, true in told) >= 0.9 * len(told)


def test_bokeh_dark_and_bright_places_are_not_accused():
    pixels = photograph(6).astype(float)
    blurred = gaussian_filter(pixels, (6, 6, 0))
    ramp = np.linspace(0, 1, SHAPE[1])[None, :, None]
    pixels = ramp * pixels + (1 - ramp) * blurred
    pixels[:80] *= 0.05
    pixels[250:] = pixels[250:] * 1.5 + 90
    found = view(decoded(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), 85)).result
    assert found.score < 0.5
    assert found.regions is None


def test_a_photograph_on_a_page_is_no_forgery():
    page = np.full((480, 640, 3), 250, np.uint8)
    rng = np.random.default_rng(0)
    for row in range(20, 460, 12):  # lines of letters
        page[row : row + 7, 20:620] = rng.choice([30, 250], (7, 600, 1))
    page[61:381, 107:507] = decoded(photograph(7), 85)
    found = view(page).result
    assert found.score == 0
    assert found.regions is None
    assert found.finding == "a photograph that was a JPEG lies in a larger page"


def test_pictures_that_were_no_jpeg_say_so():
    pixels = photograph(8)
    enlarged = Image.fromarray(decoded(pixels, 80)).resize((520, 416), Image.Resampling.BICUBIC)
    for picture in (pixels, np.asarray(enlarged), np.full((*SHAPE, 3), 90, np.uint8)):
        found = view(picture).result
        assert found.score is None
        assert found.finding == "no traces of a former JPEG"


@pytest.mark.parametrize("gamma", [0.7, 0.85, 1.2])
def test_changed_brightness_is_no_forgery(gamma):
    decoded_pixels = decoded(photograph(10), 85) / 255
    found = view(np.rint(255 * decoded_pixels**gamma).astype(np.uint8)).result
    assert found.score is None
    assert found.regions is None


@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_a_filter_over_the_whole_picture_is_no_forgery(factor):
    picture = Image.fromarray(decoded(photograph(11), 85))
    filtered = ImageEnhance.Sharpness(picture).enhance(factor)
    assert view(np.asarray(filtered)).result.regions is None


def test_a_jpeg_file_is_left_to_its_own_view(tmp_path):
    Image.fromarray(photograph(9)).save(tmp_path / "a.jpg", quality=85)
    found = forensics.views(tmp_path / "a.jpg")["JPEG compatibility"].result
    assert found.score is None
    Image.fromarray(decoded(photograph(9), 80)[4:, 4:]).save(
        tmp_path / "b.jpg", quality=100, subsampling=0
    )
    fine = forensics.views(tmp_path / "b.jpg")["JPEG compatibility"].result
    assert fine.table[0].value == "row 4, column 4"
    assert fine.score < 0.5


def test_nothing_told_is_nothing_found():
    regions, strongest = foreign_regions(np.full((9, 9), np.nan, np.float32))
    assert not regions.any()
    assert strongest == 0
    assert former_grid(np.zeros((64, 64), np.float32), np.ones((64, 64), bool)) is None


def test_it_can_be_stopped():
    with pytest.raises(Cancelled):
        view(decoded(photograph(9), 80)).compute(cancel=lambda: True)
