"""Views of large and odd pictures: strip by strip, coarse at first, kept in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics import tiles
from napari_safire.forensics.picture import LUMINANCE, Picture, as_rgb
from napari_safire.forensics.tiles import by_strips, sampled, strips

PIXEL_VIEWS = (
    "residual", "high-pass", "gradient", "colour components", "sharpness", "clipping",
    "error level", "ghosts",
)  # fmt: skip


def textured(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Shapes and noise in colours: (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    shapes = gaussian_filter(rng.normal(size=(*shape, 3)), (3, 3, 0)) * 300
    return np.clip(128 + shapes + rng.normal(scale=3, size=(*shape, 3)), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- strips


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    overlap=st.integers(0, 40),
    multiple=st.integers(1, 24),
    pixels=st.integers(1, 20_000),
)
def test_strips_hold_each_row_once_and_see_beyond(height, width, overlap, multiple, pixels):
    parts = strips((height, width), overlap=overlap, multiple=multiple, pixels=pixels)
    rows = np.concatenate([np.arange(height)[part.rows] for part in parts])
    assert np.array_equal(rows, np.arange(height))
    for part in parts:
        assert part.rows.start % multiple == part.seen.start % multiple == 0
        assert part.seen.start <= max(0, part.rows.start - overlap)
        assert part.seen.stop >= min(height, part.rows.stop + overlap)
        own = part.rows.stop - part.rows.start
        assert own * width <= max(pixels, multiple * width)


@given(
    height=st.integers(1, 90), cell=st.integers(1, 7), pixels=st.integers(1, 900),
    window=st.sampled_from([1, 3, 5, 9]),
)  # fmt: skip
def test_a_map_by_strips_is_the_map_of_the_whole(height, cell, pixels, window):
    values = np.random.default_rng(height).random((height, 11)).astype(np.float32)

    def of_rows(rows: slice) -> np.ndarray:
        return uniform_filter(values[rows], window)[cell // 2 :: cell]

    whole = of_rows(slice(0, height))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "STRIP_PIXELS", pixels)
        found = by_strips(of_rows, values.shape, cell=cell, overlap=window // 2)
    assert found.shape == whole.shape
    assert np.allclose(found, whole, atol=1e-5)


@pytest.mark.parametrize("name", PIXEL_VIEWS)
def test_a_view_by_strips_is_the_view_of_the_whole(monkeypatch, name):
    pixels = textured((203, 150))
    whole = forensics.views(pixels)[name].view.function(Picture.of_pixels(pixels)).map
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 3000)
    parts = forensics.views(pixels)[name].view.function(Picture.of_pixels(pixels)).map
    assert parts.values.shape == whole.values.shape
    assert np.allclose(parts.values, whole.values, atol=2e-3, equal_nan=True)
    assert parts.limits == pytest.approx(whole.limits, rel=1e-3)


@pytest.mark.parametrize("name", PIXEL_VIEWS)
def test_a_view_stops_within_a_strip(monkeypatch, name):
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 3000)
    pixels, told = textured((203, 150)), []
    with pytest.raises(Cancelled):
        forensics.views(pixels)[name].compute(
            progress=lambda done, total, stage: told.append(done), cancel=lambda: len(told) >= 2
        )
    assert len(told) == 2


def test_the_high_pass_is_that_of_the_spectrum():
    pixels = textured((101, 91))
    luminance = pixels @ LUMINANCE
    spectrum = np.fft.fftshift(np.fft.fft2(luminance))
    spectrum[25:-25, 23:-23] = 0
    expected = np.abs(np.fft.ifft2(np.fft.ifftshift(spectrum)))
    found = forensics.views(pixels)["high-pass"].result.map.values
    assert np.allclose(found, expected, atol=1e-3)


# ---------------------------------------------------------------- odd pictures


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (20, 3000), (3000, 20), (64, 2000)])
def test_every_view_answers_for_odd_shapes(shape):
    for name, view in forensics.views(textured(shape)).items():
        if not view.applicable:
            assert view.why_not.startswith("not applicable: "), name
            continue
        found = view.result
        if found.map is not None:
            assert found.map.at_size(shape).shape[:2] == shape, name


def test_a_picture_is_not_changed_with_the_array_it_was_made_of():
    pixels = textured((70, 70))
    picture = Picture.of_pixels(pixels)
    before = picture.pixels_sha256
    pixels[:] = 0
    assert Picture(picture.rgb).pixels_sha256 == before
    assert not picture.rgb.flags.writeable


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pixels_become_eight_bits_in_three_channels(monkeypatch, channels, dtype):
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 50)
    pixels = np.random.default_rng(0).integers(0, 256, (17, 13, *channels)).astype(dtype)
    if dtype is np.uint16:
        pixels *= 257
    rgb = as_rgb(pixels)
    expected = pixels[..., None] if not channels else pixels[..., :3]
    factor = 257 if dtype is np.uint16 else 1
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, np.broadcast_to(expected // factor, (17, 13, 3)))


def test_luminance_of_some_rows_is_that_of_the_whole():
    picture = Picture.of_pixels(textured((70, 30)))
    part = picture.grey(slice(10, 20))
    assert np.array_equal(part, picture.luminance[10:20])
    assert np.shares_memory(picture.grey(slice(10, 20)), picture.luminance)


def test_a_sample_of_a_map_is_small_and_known():
    values = np.full((3000, 2000), 2, np.float32)
    values[::2] = np.nan
    few = sampled(values)
    assert few.size <= 1_000_000
    assert (few == 2).all()
