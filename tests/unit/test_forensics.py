"""Forensic views against pictures in which the answer was planted, and against untouched ones."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from synthetic import made_once

from napari_safire import forensics
from napari_safire.errors import Cancelled
from napari_safire.forensics import tiles
from napari_safire.forensics.compression.coefficients import (
    ZIGZAG,
    block_coefficients,
    block_pixels,
    read_coefficients,
)
from napari_safire.forensics.compression.double import double_compression
from napari_safire.forensics.compression.grid import NO_VOTE, _is_alone, find_grids
from napari_safire.forensics.compression.tables import quality_of, standard_table

SHAPE = (384, 512)
REGION = np.s_[131:291, 203:363]  # begins on no multiple of eight


@made_once
def photograph(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Shapes of all sizes, as photographs have them, with the noise of a sensor."""
    rng = np.random.default_rng(seed)
    channels = []
    shared = sum(
        gaussian_filter(rng.normal(size=shape), sigma) * sigma**1.6
        for sigma in (1, 2, 4, 8, 16, 32)
    )
    for _ in range(3):
        own = gaussian_filter(rng.normal(size=shape), 12) * 20
        channel = shared + own
        channel = 128 + 42 * (channel - channel.mean()) / channel.std()
        channels.append(channel + rng.normal(scale=1.5, size=shape))
    return np.clip(np.rint(np.stack(channels, axis=-1)), 4, 251).astype(np.uint8)


def saved(pixels: np.ndarray, quality: int, path: Path | None = None) -> np.ndarray:
    """Save as JPEG (at a path, if one is given) and read back."""
    file = path or io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling=0)
    return np.array(Image.open(file).convert("RGB"))


def spliced(pixels: np.ndarray, other: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[REGION] = other[REGION]
    return pixels


def iou(found: np.ndarray, box: tuple[slice, slice] = REGION) -> float:
    truth = np.zeros(found.shape, bool)
    truth[box] = True
    return float((found & truth).sum() / (found | truth).sum())


# ---------------------------------------------------------------- coefficients and tables


def test_zigzag_is_the_order_of_the_file():
    assert ZIGZAG[:6] == ((0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2))
    assert ZIGZAG[-1] == (7, 7)
    assert len(set(ZIGZAG)) == 64


def test_coefficients_are_those_of_the_pixels(tmp_path):
    path = tmp_path / "a.jpg"
    grey = np.asarray(Image.fromarray(photograph(0)).convert("L"))
    Image.fromarray(grey).save(path, quality=90)
    jpeg = read_coefficients(path)
    decoded = np.asarray(Image.open(path), np.float32)
    assert jpeg.shape == SHAPE
    assert np.abs(jpeg.luminance[: SHAPE[0], : SHAPE[1]] - decoded).max() <= 1.0
    assert np.array_equal(jpeg.table, standard_table(90))
    again = block_coefficients(jpeg.luminance - 128)
    assert np.abs(again - jpeg.blocks * jpeg.table).max() < 1e-2
    assert np.allclose(block_pixels(again) + 128, jpeg.luminance, atol=1e-2)


@pytest.mark.parametrize("quality", [1, 30, 49, 50, 75, 92, 100])
@pytest.mark.parametrize("chrominance", [False, True])
def test_a_standard_table_tells_its_quality(quality, chrominance):
    found = quality_of(standard_table(quality, chrominance=chrominance), chrominance=chrominance)
    assert found.exact
    assert np.array_equal(
        standard_table(found.quality, chrominance=chrominance),
        standard_table(quality, chrominance=chrominance),
    )


def test_a_table_of_an_editor_is_said_to_be_one(tmp_path):
    path = tmp_path / "a.jpg"
    table = (standard_table(80) + np.arange(64).reshape(8, 8) % 3).ravel().tolist()
    Image.fromarray(photograph(0)).save(path, qtables=[table, table])
    rows = {row.name: row for row in forensics.views(path)["quantisation tables"].result.table}
    assert "not a table of libjpeg" in rows["Luminance: quality"].remark
    assert rows["Luminance: quality"].value.startswith("about ")


# ---------------------------------------------------------------- double compression


@pytest.mark.parametrize(("first", "second"), [(60, 90), (75, 95), (85, 95)])
def test_what_was_pasted_before_the_second_compression_stands_out(tmp_path, first, second):
    picture = spliced(saved(photograph(1), first), photograph(2))
    saved(picture, second, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["double compression"]
    assert view.score > 2
    assert iou(view.result.map.at_size(SHAPE) > 0.5) > 0.7
    assert iou(view.result.regions) > 0.7
    first_steps = double_compression(read_coefficients(tmp_path / "a.jpg")).first_steps
    right = sum(first_steps[at] == standard_table(first)[at] for at in first_steps)
    assert right >= 0.8 * len(first_steps)
    assert len(first_steps) >= 10


@pytest.mark.parametrize("qualities", [(75,), (90,), (98,), (70, 92), (85, 85)])
def test_a_picture_saved_as_a_whole_has_no_region_that_was_compressed_once(tmp_path, qualities):
    pixels = photograph(3)
    for quality in qualities:
        pixels = saved(pixels, quality, tmp_path / "a.jpg")
    assert forensics.views(tmp_path / "a.jpg")["double compression"].score < 0.5


def test_a_lower_second_quality_gives_no_false_region(tmp_path):
    """What this method cannot see, it must not invent."""
    saved(spliced(saved(photograph(1), 92), photograph(2)), 60, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["double compression"]
    assert view.score < 1
    assert "last quality is not clearly above the first" in view.caveat


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("quality", [70, 85, 95])
def test_a_pasted_grid_is_found_in_pixels_that_are_no_jpeg_any_more(tmp_path, quality):
    background = saved(photograph(4), quality)
    other = np.roll(saved(photograph(5), quality), (3, 5), axis=(0, 1))
    view = forensics.views(spliced(background, other))["compression grid"]
    assert view.score > 3
    remarks = [row.remark for row in view.result.remarks()]
    assert remarks == ["its blocks begin at row 3, column 5"]


def test_a_pasted_jpeg_in_a_picture_that_was_none(tmp_path):
    view = forensics.views(spliced(photograph(4), saved(photograph(5), 80)))["compression grid"]
    assert view.score > 3
    assert next(iter(view.result.table)).value == "none found"


def test_beside_a_region_that_fills_the_picture_nothing_votes() -> None:
    votes = np.zeros((16, 16), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not _is_alone(votes, 0, np.s_[0:16, 0:16])


@pytest.mark.parametrize(("silent", "n_foreign"), [(0.9, 0), (0.5, 1)])
def test_a_grid_is_foreign_only_to_places_that_vote(silent, n_foreign):
    """Smooth places hardly vote: that they show no grid makes the one that is seen no paste."""
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 64, (384, 512)).astype(np.uint8)
    votes[rng.random(votes.shape) < silent] = NO_VOTE
    votes[128:224, 352:448] = 0
    found = find_grids(votes)
    assert found.main is None
    assert len(found.foreign) == n_foreign


@pytest.mark.parametrize("quality", [None, 60, 80, 95])
def test_an_untouched_picture_has_one_grid_or_none(quality):
    pixels = photograph(6) if quality is None else saved(photograph(6), quality)
    view = forensics.views(pixels)["compression grid"]
    assert view.score == 0
    row = view.result.table[0]
    assert row.value == ("none found" if quality is None else "row 0, column 0")


def test_a_picture_that_was_cut_says_where_its_grid_begins():
    view = forensics.views(saved(photograph(6), 80)[3:, 5:])["compression grid"]
    assert view.result.table[0].value == "row 5, column 3"
    assert view.result.table[0].remark.startswith("cut out")


# ---------------------------------------------------------------- sensor and processing


def test_planted_noise_stands_out_at_any_brightness():
    pixels = photograph(12).astype(float)
    pixels *= np.linspace(0.5, 1.2, SHAPE[1])[None, :, None]
    rng = np.random.default_rng(1)
    pixels[REGION] += rng.normal(scale=6, size=pixels[REGION].shape)
    view = forensics.views(np.clip(pixels, 0, 255).astype(np.uint8))["noise level"]
    levels = view.result.map.at_size(SHAPE)
    inside = levels[140:280, 210:350]
    assert np.nanmedian(inside) > 0.8
    assert abs(np.nanmedian(levels[:120])) < 0.2


def test_an_enlarged_region_shows_its_period():
    pixels = photograph(13, (768, 768))
    large = np.asarray(Image.fromarray(pixels).resize((998, 998), Image.Resampling.BICUBIC))
    whole = forensics.views(large[:768, :768])["resampling"].result
    assert whole.finding == "resized"
    mixed = pixels.copy()
    mixed[256:576, 256:576] = large[256:576, 256:576]
    strengths = forensics.views(mixed)["resampling"].result.map.at_size((768, 768))
    assert strengths[340:490, 340:490].mean() > 1.5 * np.median(strengths)
    assert forensics.views(pixels)["resampling"].result.finding == "no period all over"


def test_a_colour_filter_on_another_grid_changes_sign():
    sensor = photograph(14)[..., 1].astype(float)
    rows, cols = np.ogrid[: SHAPE[0], : SHAPE[1]]

    def interpolated(parity: int) -> np.ndarray:
        around = (
            np.roll(sensor, 1, 0)
            + np.roll(sensor, -1, 0)
            + np.roll(sensor, 1, 1)
            + np.roll(sensor, -1, 1)
        ) / 4
        return np.where((rows + cols) % 2 == parity, sensor, around)

    green = interpolated(0)
    green[130:290, 202:362] = interpolated(1)[130:290, 202:362]
    pixels = np.repeat(np.rint(green).astype(np.uint8)[..., None], 3, axis=2)
    result = forensics.views(pixels)["colour filter"].result
    phase = result.map.at_size(SHAPE)
    assert result.finding == "traces of a colour filter"
    assert np.median(phase[150:270, 220:340]) * np.median(phase[:100]) < 0
    assert forensics.views(photograph(14))["colour filter"].result.caveats


def test_clipping_is_counted():
    pixels = np.full((64, 64, 3), 100, np.uint8)
    pixels[:32, :, 0] = 255
    pixels[48:, :, 1] = 0
    result = forensics.views(pixels)["clipping"].result
    assert result.finding == "75.0 % clipped or black"
    assert result.map.values[0, 0] == 1
    assert result.map.values[40, 0] == 0
    assert result.map.values[-1, 0] == -1


# ---------------------------------------------------------------- all views


def test_every_view_lies_over_the_picture(tmp_path):
    path = tmp_path / "a.jpg"
    saved(photograph(15, (237, 311)), 85, path)
    for name, view in forensics.views(path).items():
        if "reference" in view.view.needs:
            view = view.with_parameters(reference=path)
        assert view.applicable, name
        found = view.result
        assert found.finding, name
        if found.map is not None:
            drawn = found.map
            assert 2 <= len(found.legend.split()) <= 20, name
            assert not drawn.values.flags.writeable
            height, width = drawn.values.shape[:2]
            assert abs(height * drawn.cell - 237) < 1.5 * drawn.cell, name
            assert abs(width * drawn.cell - 311) < 1.5 * drawn.cell, name
            assert drawn.at_size((237, 311)).shape[:2] == (237, 311)
            assert drawn.translation == ((drawn.cell - 1) / 2, (drawn.cell - 1) / 2)
        assert view.score is None or view.view.score_means, name


def test_a_picture_without_a_file_says_what_it_lacks(tmp_path):
    views = forensics.views(photograph(16))
    assert views["double compression"].why_not == "not applicable: the pixels come from no file"
    assert views["double compression"].score is None
    with pytest.raises(forensics.NotApplicable, match="come from no file"):
        _ = views["double compression"].result
    Image.fromarray(photograph(16)).save(tmp_path / "a.png")
    png = forensics.views(tmp_path / "a.png")
    assert png["quantisation tables"].why_not == "not applicable: a PNG file, not a JPEG"
    assert png["compression grid"].applicable


def test_pixels_that_were_edited_are_not_taken_for_their_file(tmp_path):
    path = tmp_path / "a.jpg"
    pixels = saved(photograph(17), 90, path)
    kept = forensics.Picture.of_pixels(pixels, path)
    assert forensics.views(kept)["double compression"].applicable
    pixels[0, 0] ^= 255
    edited = forensics.Picture.of_pixels(pixels, path)
    assert "a.jpg holds other pixels" in forensics.views(edited)["double compression"].why_not


@pytest.mark.parametrize("shape", [(1, 1), (20, 3000), (9, 8), (63, 64)])
def test_pictures_too_small_for_a_view_are_no_error(shape):
    rng = np.random.default_rng(0)
    for name, view in forensics.views(rng.integers(0, 256, shape, np.uint8)).items():
        if view.applicable:
            assert view.result.finding, name
        else:
            assert view.why_not.startswith("not applicable: "), name


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_colour_has_nothing_to_show(value):
    for name, view in forensics.views(np.full((128, 128, 3), value, np.uint8)).items():
        assert not view.score, name


@pytest.mark.parametrize(
    ("pixels", "value"),
    [
        (np.full((8, 8), 0.5), 128),
        (np.full((8, 8), 200.0), 200),
        (np.full((8, 8), 65535, np.uint16), 255),
        (np.ones((8, 8), bool), 255),
        (np.full((8, 8, 4), 7, np.uint8), 7),
    ],
)
def test_pixels_of_any_type_are_brought_to_eight_bits(pixels, value):
    assert (forensics.Picture.of_pixels(pixels).rgb == value).all()


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 5), (2, 4, 4, 3)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(ValueError, match=r"A picture has shape|The picture is empty"):
        forensics.views(np.zeros(shape, np.uint8))


def test_parameters_are_checked_by_name():
    views = forensics.views(photograph(18))
    finer = views["noise level"].with_parameters(cell=16)
    assert finer.result.map.cell == 16
    with pytest.raises(ValueError, match=r"no parameter 'cells': it has cell\."):
        views["noise level"].with_parameters(cells=16)


@pytest.mark.parametrize("name", ["double compression", "compression grid", "ghosts", "copy-move"])
def test_long_views_can_be_followed_and_stopped(tmp_path, monkeypatch, name):
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 60_000)
    saved(photograph(19), 90, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")[name]
    with pytest.raises(Cancelled):
        view.compute(cancel=lambda: True)
    seen: list[int] = []
    view.compute(progress=lambda done, total, stage: seen.append(done))
    assert len(seen) > 1
    assert seen == sorted(seen)


def test_a_jpeg_that_libjpeg_cannot_read_is_one_sentence(tmp_path):
    path = tmp_path / "cut.jpg"
    saved(photograph(20), 90, path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="no coefficients that libjpeg can read"):
        read_coefficients(path)
