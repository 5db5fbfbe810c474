"""Any picture becomes RGB in 0..255 by the stated rules."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import torch

from napari_safire.engine.tiling import tile_axis
from napari_safire.images.pixels import PictureReader

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8)
ALL = (slice(None), slice(None))


def read(image: object) -> np.ndarray:
    return PictureReader(image).crop(*ALL)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RGB, RGB),
        (np.dstack([RGB, RGB[..., 0]]), RGB),  # alpha dropped
        (RGB[..., 0], np.repeat(RGB[..., :1], 3, 2)),
        (RGB[..., :1], np.repeat(RGB[..., :1], 3, 2)),
        (RGB.astype(np.uint16) * 257, RGB),
        (RGB / 255, RGB),
        (RGB.astype(np.float32), RGB),
        (RGB.astype(np.int64), RGB),
        (RGB > 127, np.where(RGB > 127, 255, 0)),
        (np.asfortranarray(RGB), RGB),
        (da.from_array(RGB, chunks=(20, 30, 3)), RGB),
        (RGB.tolist(), RGB),
    ],
    ids=[
        "uint8",
        "rgba",
        "grey",
        "grey1",
        "uint16",
        "float1",
        "float255",
        "int64",
        "bool",
        "fortran",
        "dask",
        "list",
    ],
)
def test_rules(image: object, expected: np.ndarray):
    np.testing.assert_allclose(read(image), expected, atol=1e-3)


def test_views_and_read_only_arrays():
    frozen = RGB.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(read(frozen), RGB)
    np.testing.assert_array_equal(read(RGB[::-1, ::2]), RGB[::-1, ::2])


def test_twelve_bits_in_sixteen_are_recognised_and_said():
    reader = PictureReader((RGB.astype(np.uint16) * 16) + 15)
    assert reader.crop(*ALL).max() == pytest.approx(255, abs=0.1)
    assert "12-bit" in reader.warnings[0]


def test_out_of_range_floats_are_stretched_and_said():
    reader = PictureReader(np.linspace(-5, 300, 600, dtype=np.float32).reshape(20, 30))
    values = reader.crop(*ALL)
    assert (values.min(), values.max()) == pytest.approx((0, 255), abs=1e-3)
    assert "stretched" in reader.warnings[0]


# 983,040 values, as in the demo picture: a few hot ones are no bulk.
GREY = np.random.default_rng(5).integers(0, 256, (640, 512), dtype=np.uint8)
GREY[:2, :2] = [[0, 255], [254, 1]]


def with_some(image: np.ndarray, value: float, n: int = 1) -> np.ndarray:
    image = image.copy()
    image.reshape(-1)[100 : 100 + n] = value
    return image


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (with_some(GREY / 255, 1.0001), "read from 0 to 1"),
        (with_some(GREY / 255, 7.0), "read from 0 to 1"),
        (with_some(GREY / 255, 40_000.0, 300), "300 of 327680"),
        (with_some(GREY / 255, -0.0001), "1 of 327680"),
        (with_some((GREY / 255).astype(np.float16), 1.5), "read from 0 to 1"),
        (with_some(GREY.astype(np.float32), 255.5), "grey levels from 0 to 255"),
        (with_some(GREY.astype(np.float32), -900.0), "grey levels from 0 to 255"),
        (with_some(GREY.astype(np.uint16) * 257 // 16, 65535), "12-bit"),
        (with_some(GREY.astype(np.uint16) * 257 // 16, 5000, 300), "300 of 327680"),
        (with_some(GREY.astype(np.uint16), 60_000), "8-bit"),
        (with_some(GREY.astype(np.int32) * 257 // 16, 70_000), "12-bit"),
        (with_some(GREY.astype(np.int32) * 257, -3), "1 of 327680"),
        (with_some(GREY / 255 * 3 - 1.3, 1e7), "clipped"),
    ],
)
def test_scale_is_told_by_the_bulk(image: np.ndarray, words: str):
    reader = PictureReader(image)
    seen = reader.crop(*ALL)[..., 0]
    others = np.ones(GREY.size, bool)
    others[100:400] = False
    assert np.abs(seen - GREY).reshape(-1)[others].max() < 1.6
    assert words in " ".join(reader.warnings)


@pytest.mark.parametrize("scale", [1.02, 1.09, 1.3, 3.0, 12.0])
def test_floats_just_above_one_are_not_black(scale: float):
    reader = PictureReader((GREY / 255 * scale).astype(np.float32))
    assert np.abs(reader.crop(*ALL)[..., 0] - GREY).max() <= 0.1 * 255
    assert reader.warnings


def test_faint_whole_numbers_are_grey_levels_as_in_eight_bits():
    faint = GREY // 16
    np.testing.assert_array_equal(read(faint.astype(np.float32)), read(faint))


def test_dark_pictures_of_sixteen_bits_keep_their_lamps():
    """Few pixels pass 12 bits, but the values go on there: nothing is hot."""
    dark = np.random.default_rng(1).exponential(700, (640, 512)).clip(0, 65535).astype(np.uint16)
    assert 0 < (dark > 4095).mean() < 0.01
    reader = PictureReader(dark)
    assert "largest value" in reader.warnings[0]


@pytest.mark.parametrize("value", [1e300, -1e300, 1e38, 3e38])
def test_numbers_that_no_brightness_has_are_not_finite(value: float):
    reader = PictureReader(with_some(GREY / 255, value, 5))
    assert reader.warnings[0].startswith("5 values are not finite")
    assert np.isfinite(reader.crop(*ALL)).all()
    with pytest.raises(ValueError, match="no finite pixel"):
        PictureReader(np.full((9, 8), value))


def test_large_floats_keep_their_differences():
    seen = PictureReader(1e12 + GREY.astype(np.float64)).crop(*ALL)[..., 0]
    np.testing.assert_allclose(seen, GREY, atol=0.1)


def test_not_finite_pixels_become_the_mean_and_are_counted():
    image = np.full((10, 10), 0.5)
    image[2, 3], image[4, 5] = np.nan, np.inf
    reader = PictureReader(image)
    np.testing.assert_allclose(reader.crop(*ALL), 127.5)
    assert reader.warnings[0].startswith("2 values")


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((0, 5)), ValueError, "empty"),
        (np.zeros(5), ValueError, "shape"),
        (np.zeros((2, 3, 4, 5)), ValueError, "2-D slice"),
        (np.zeros((5, 5, 2)), ValueError, "shape"),
        (np.zeros((5, 5), dtype=complex), TypeError, "numbers"),
        (np.array([["a"]]), TypeError, "numbers"),
        (np.full((4, 4), np.nan), ValueError, "finite"),
        (da.zeros((20_000, 20_000), dtype=np.uint8), ValueError, "megapixels"),
    ],
    ids=["empty", "1d", "4d", "two-channels", "complex", "text", "all-nan", "huge"],
)
def test_what_is_not_a_picture(image: object, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        PictureReader(image)


def test_hash_depends_on_values_shape_and_type_only():
    first = PictureReader(RGB).sha256
    assert PictureReader(np.asfortranarray(RGB)).sha256 == first
    assert PictureReader(da.from_array(RGB, chunks=7)).sha256 == first
    changed = RGB.copy()
    changed[0, 0, 0] ^= 1
    assert PictureReader(changed).sha256 != first
    assert PictureReader(RGB.reshape(70, 50, 3)).sha256 != first


@pytest.mark.parametrize("shape", [(64, 64), (50, 70), (200, 30), (1, 1), (1, 90)])
def test_squashing_is_bilinear_without_antialias(shape: tuple[int, int]):
    image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image).permute(2, 0, 1)[None].float(),
        size=(64, 64),
        mode="bilinear",
        align_corners=False,
    )[0].permute(1, 2, 0)
    got = PictureReader(image).squashed(64)
    assert np.abs(got - expected.numpy()).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(got, np.rint(got))
    np.testing.assert_array_equal(PictureReader(da.from_array(image, chunks=16)).squashed(64), got)


@pytest.mark.parametrize("cells", [1, 63, 64, 65, 100, 121, 640])
def test_tiles_cover_everything_and_blend_to_one(cells: int):
    tiles = tile_axis(cells, largest=64, overlap=8)
    assert tiles.size <= 64
    total = np.zeros(cells)
    for index, start in enumerate(tiles.starts):
        assert start >= 0
        assert start + tiles.size <= cells
        total[start : start + tiles.size] += tiles.weights(index)
    assert (total > 0.4).all()


def test_sixteen_bits_that_are_almost_black_are_told() -> None:
    dark = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    dark.flat[::200] = 60_000  # too many to be hot pixels
    (warning,) = PictureReader(dark).warnings
    assert "Nearly all values lie below 4096" in warning
    dark.flat[::20] = 60_000
    assert PictureReader(dark).warnings == ()
