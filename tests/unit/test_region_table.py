"""Each source against the rest: known differences are found, and none where there is none."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from synthetic import made_once

from napari_safire.errors import Cancelled, DatasetError, SafireError
from napari_safire.forensics import Picture
from napari_safire.review.regions import MEASURES, RegionTable, region_table
from napari_safire.review.regions.cells import CELL, Places, tiles
from napari_safire.review.regions.effects import block_draws, effect_of, pairs_of, simultaneous

SIDE = 512
PLACE = slice(128, 320), slice(160, 352)


@made_once
def scene(seed=0, noise=2.0):
    """Smooth light and soft shapes, with a camera's even noise."""
    generator = np.random.default_rng(seed)
    shapes = gaussian_filter(generator.normal(size=(SIDE, SIDE, 3)), (6, 6, 0)) * 250
    light = 110 + 50 * np.sin(np.linspace(0, 3, SIDE))[:, None, None]
    return np.clip(light + shapes, 20, 235) + noise * generator.normal(size=(SIDE, SIDE, 3))


def eight_bits(pixels):
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def planted_labels():
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[PLACE] = 1
    return labels


def with_patch(change, seed=0):
    pixels = scene(seed).copy()
    pixels[PLACE] = change(pixels[PLACE])
    return Picture.of_pixels(eight_bits(pixels))


def noisier(patch):
    return patch + 5 * np.random.default_rng(5).normal(size=patch.shape)


def as_jpeg(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(eight_bits(pixels)).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file)).astype(float)


@pytest.fixture(scope="module")
def noisy():
    return region_table(with_patch(noisier), planted_labels())


def test_more_noise_stands_out(noisy):
    row = noisy.row(1, "noise")
    assert row.outlier
    assert row.inside > 2 * row.rest
    assert row.effect > 0.95
    assert row.interval[0] > 0.9
    assert row.words.startswith("noisier than the rest (")
    assert noisy.row(0, "noise").effect < -0.95


def test_the_table_of_a_record_is_the_same_table(noisy):
    assert RegionTable.from_record(json.loads(json.dumps(noisy.as_record()))) == noisy
    assert [row.measure for row in noisy.of(1)] == [measure.name for measure in MEASURES]
    with pytest.raises(KeyError):
        noisy.row(7, "noise")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("rows"), "rows is no list"),
        (lambda r: r["rows"][0].update(source=9), "source 9"),
        (lambda r: r["rows"][0].update(effect="much"), "'effect' of a row is no number"),
        (lambda r: r["rows"][0].update(interval=[1, 0]), "ends at 0.0 before"),
        (lambda r: r["rows"][0].update(measure="luck"), "measure of a row is 'luck'"),
        (lambda r: r.update(seed=-1), "seed is no whole number"),
        (lambda r: r["measures"][0].update(limit=None), "limit of a measure"),
    ],
)
def test_a_damaged_record_is_refused_in_a_sentence(noisy, change, message):
    record = json.loads(json.dumps(noisy.as_record()))
    change(record)
    with pytest.raises(DatasetError, match=message):
        RegionTable.from_record(record)


def test_labels_of_another_size_are_refused():
    picture = Picture.of_pixels(np.zeros((64, 64), np.uint8))
    with pytest.raises(SafireError, match="64 x 64 pixels"):
        region_table(picture, np.zeros((64, 63), np.uint8))
    with pytest.raises(SafireError, match="whole number"):
        region_table(picture, np.zeros((64, 64)))
    with pytest.raises(Cancelled):
        region_table(picture, np.zeros((64, 64), np.uint8), cancel=lambda: True)


def test_a_blurred_patch_is_less_sharp_and_has_less_noise():
    table = region_table(with_patch(lambda p: gaussian_filter(p, (1.2, 1.2, 0))), planted_labels())
    assert table.row(1, "sharpness").outlier
    assert table.row(1, "sharpness").words.startswith("less sharp than the rest")
    assert table.row(1, "noise").outlier
    assert table.row(1, "noise").effect < -0.9
    assert table.row(1, "residual").outlier


def test_a_patch_from_another_grid_of_blocks_is_told_with_both_grids():
    pixels = as_jpeg(scene(), 75)
    pixels[PLACE] = as_jpeg(scene(3), 75)[PLACE[0].start - 3 :, PLACE[1].start - 5 :][:192, :192]
    table = region_table(Picture.of_pixels(eight_bits(pixels)), planted_labels())
    row = table.row(1, "JPEG grid")
    assert row.outlier
    assert row.inside > 50 > 5 > row.rest
    assert row.detail == (
        "its blocks begin at row 3, column 5; those of the rest at row 0, column 0"
    )
    assert table.row(1, "JPEG history").outlier  # it was no block of that JPEG


def test_an_enlarged_patch_shows_its_period():
    def enlarged(patch):
        pixels = scene(4, noise=4.0).copy()
        return zoom(pixels[:160, :160], (1.2, 1.2, 1), order=1)[:192, :192]

    table = region_table(with_patch(enlarged), planted_labels())
    row = table.row(1, "resampling")
    assert not row.applicable  # 192 pixels hold no six windows of 128
    pixels = scene(noise=4.0).copy()
    pixels[:320, :320] = zoom(scene(4, noise=4.0)[:270, :270], (1.2, 1.2, 1), order=1)[:320, :320]
    labels = np.zeros((SIDE, SIDE), np.uint8)
    labels[:320, :320] = 1
    row = region_table(Picture.of_pixels(eight_bits(pixels)), labels).row(1, "resampling")
    assert row.outlier
    assert row.inside > 1.5 * row.rest


def test_stronger_colours_and_clipping_are_told_but_never_marked():
    def louder(patch):
        mean = patch.mean(axis=2, keepdims=True)
        return np.where(patch.mean() > 0, mean + 4 * (patch - mean), patch)

    table = region_table(with_patch(louder), planted_labels())
    row = table.row(1, "saturation")
    assert row.words.startswith("more colourful than the rest")
    assert row.effect > 0.5
    assert not row.outlier
    white = with_patch(lambda patch: np.full_like(patch, 255.0))
    row = region_table(white, planted_labels()).row(1, "clipping")
    assert (row.inside, row.outlier) == (100.0, False)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_marked_where_nothing_was_planted(seed):
    table = region_table(Picture.of_pixels(eight_bits(scene(seed))), planted_labels(), seed=seed)
    assert table.outliers == ()


def test_what_does_not_apply_says_why():
    labels = planted_labels()
    labels[:48, :48] = 2  # nine cells
    flat = np.full((SIDE, SIDE, 3), 128, np.uint8)
    table = region_table(Picture.of_pixels(flat), labels)
    assert table.row(2, "noise").why_not == "9 whole cells lie in this source, 12 are needed"
    assert table.row(1, "noise").words == "not applicable: flat, black or clipped"
    assert table.row(1, "JPEG grid").why_not == "no grid of 8 x 8 blocks shows"
    assert table.row(1, "JPEG history").why_not == "no JPEG file, and no traces of a former one"
    many = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // (SIDE * 8)
    rows = region_table(Picture.of_pixels(flat), many).rows
    few = [row for row in rows if row.why_not == "only the 32 largest sources are compared"]
    assert len(few) == 32 * len(MEASURES)
    alone = region_table(Picture.of_pixels(flat), np.zeros((SIDE, SIDE), np.uint8))
    assert {row.why_not for row in alone.rows} == {"there is no rest to compare with"}
    nothing = region_table(Picture.of_pixels(flat[:9, :9]), np.zeros((9, 9), int))
    assert (nothing.n_cells, nothing.outliers) == (0, ())


def test_places_of_negative_labels_are_looked_at_nowhere(noisy):
    labels = planted_labels().astype(np.int16)
    labels[labels == 0] = -1
    labels[400:] = 0
    table = region_table(with_patch(noisier), labels)
    assert table.sources == (0, 1)
    assert table.row(0, "noise").n_cells < noisy.row(0, "noise").n_cells


SQUARE = 32  # cells a side


def cells_in_a_square():
    rows, cols = (CELL * at.ravel() for at in np.mgrid[:SQUARE, :SQUARE])
    nothing = np.zeros(SQUARE**2)
    return Places(rows, cols, nothing, nothing)


def of_noise(generator, draws, blocks, pairs):
    """Effect where there is none: values that are alike within squares of 4 x 4 cells."""
    shared = np.kron(generator.normal(size=(SQUARE // 4,) * 2), np.ones((4, 4)))
    values = (shared + 0.5 * generator.normal(size=shared.shape)).ravel()
    return effect_of(values[pairs.inside], values[pairs.rest], pairs, blocks, draws)


def test_intervals_of_blocks_hold_where_those_of_single_cells_would_not():
    places = cells_in_a_square()
    sources = ((places.rows < 20 * CELL) & (places.cols < 20 * CELL)).astype(np.int64)
    pairs = pairs_of(places, sources, 1, alike=False, seed=0)
    held = {}
    for side in (4, 1):
        generator = np.random.default_rng(1)
        across = SQUARE // side
        blocks = places.rows // (side * CELL) * across + places.cols // (side * CELL)
        draws = block_draws(across**2, 199, 0)
        effects = [of_noise(generator, draws, blocks, pairs) for _ in range(60)]
        held[side] = np.mean(
            [low <= 0 <= high for low, high in (e.interval(0.95) for e in effects)]
        )
        rows = [effects[first : first + 6] for first in range(0, 60, 6)]
        together = np.mean(
            [
                all(abs(e.delta) < w for e, w in zip(r, simultaneous(r, 0.95), strict=True))
                for r in rows
            ]
        )
        held[f"six rows, {side}"] = together
    assert held[4] >= 0.88
    assert held["six rows, 4"] >= 0.9
    assert held[1] < 0.7


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_effects_depend_on_ranks_and_turn_with_their_sides(seed):
    generator = np.random.default_rng(seed)
    places = cells_in_a_square()
    pairs = pairs_of(places, generator.integers(2, size=len(places)), 1, alike=True, seed=0)
    blocks = places.rows // 64 * 8 + places.cols // 64
    inside, rest = generator.normal(size=(2, len(pairs.inside)))
    draws = block_draws(64, 49, seed)
    one = effect_of(inside, rest, pairs, blocks, draws)
    stretched = effect_of(np.exp(inside), np.exp(rest), pairs, blocks, draws)
    turned = effect_of(rest, inside, pairs, blocks, draws)
    assert -1 <= one.delta <= 1
    assert stretched.delta == one.delta
    assert np.array_equal(stretched.drawn, one.drawn, equal_nan=True)
    assert turned.delta == pytest.approx(-one.delta)
    assert one.interval(0.95)[0] <= one.delta <= one.interval(0.95)[1]


def test_cells_are_compared_with_cells_as_bright_and_as_textured():
    places = cells_in_a_square()
    sources = (places.cols >= 16 * CELL).astype(np.int64)
    bright = Places(places.rows, places.cols, np.where(sources, 200.0, 40.0), places.texture)
    assert len(pairs_of(bright, sources, 1, alike=True, seed=0).inside) == 0
    some = np.where((sources == 1) | (places.rows < 4 * CELL), 200.0, 40.0)
    matched = pairs_of(
        Places(places.rows, places.cols, some, places.texture), sources, 1, alike=True, seed=0
    )
    assert (places.rows[matched.rest] < 4 * CELL).all()
    assert set(matched.inside) == set(np.flatnonzero(sources == 1))


def test_a_large_picture_is_sampled_where_its_sources_lie():
    labels = np.zeros((3000, 4000), np.uint8)
    labels[2600:2800, 3500:3800] = 1
    chosen = tiles(labels, (0, 1), 0)
    assert len(chosen) == 36
    assert chosen == tiles(labels, (0, 1), 0) != tiles(labels, (0, 1), 1)
    of_source = sum((labels[tile.rows, tile.cols] == 1).sum() for tile in chosen)
    assert of_source == 200 * 300  # all of the small one


def test_the_same_picture_gives_the_same_table(noisy):
    again = region_table(with_patch(noisier), planted_labels())
    assert again == noisy
    named = region_table(with_patch(noisier), np.where(planted_labels() == 1, 9, 4))
    assert named.sources == (4, 9)
    assert named.row(9, "noise").effect == noisy.row(1, "noise").effect
