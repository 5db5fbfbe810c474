"""What was made faster or once: the same numbers as by the plain definition."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter
from test_spectral import GROUPING, engine_of

from napari_safire import forensics
from napari_safire.engine import methods
from napari_safire.engine.rules import PatchRules
from napari_safire.forensics import Picture, tiles
from napari_safire.forensics.cache import RESULTS
from napari_safire.forensics.compression import kept
from napari_safire.forensics.compression.compatibility import _combs
from napari_safire.forensics.compression.grid import NO_VOTE, grid_votes
from napari_safire.forensics.compression.zeros import block_zeros
from napari_safire.forensics.processing.resampling import resampling_strengths, strongest_period
from napari_safire.review.regions import region_table

KINDS = ("noise", "black and white", "smooth", "saved", "flat")


def grey(kind: str, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Luminance of a kind of picture."""
    rng = np.random.default_rng(seed)
    noise = rng.random(shape) * 255
    if kind == "black and white":
        noise = np.where(noise < 128, 0, 255)
    elif kind == "smooth":
        noise = np.clip(gaussian_filter(noise, 3) * 2 - 128 + rng.normal(size=shape), 0, 255)
    elif kind == "flat":
        noise = np.full(shape, 77.25)
    elif kind == "saved":
        file = io.BytesIO()
        smooth = np.clip(gaussian_filter(noise, 2) * 3 - 256, 0, 255).astype(np.uint8)
        Image.fromarray(smooth).save(file, "JPEG", quality=70)
        noise = np.asarray(Image.open(file))
    return noise.astype(np.float32)


def zeros_by_definition(luminance: np.ndarray) -> np.ndarray:
    """Of the block that begins at each pixel, in double precision, one block after the other."""
    height, width = (n - 7 for n in luminance.shape)
    zeros = np.zeros((height, width), np.int64)
    centred = (luminance - np.float32(128)).astype(np.float64)
    for row, col in np.ndindex(height, width):
        found = np.abs(dctn(centred[row : row + 8, col : col + 8], norm="ortho")).ravel()[1:]
        count = int((found < float(np.float32(0.499))).sum())
        zeros[row, col] = 0 if count == 63 else count
    return zeros


def votes_by_definition(luminance: np.ndarray) -> np.ndarray:
    """One grid after the other; as many zeros on two grids are no vote."""
    zeros = zeros_by_definition(luminance) if min(luminance.shape) >= 8 else np.zeros((0, 0))
    best = np.zeros(luminance.shape, np.int64)
    votes = np.full(luminance.shape, NO_VOTE)
    for row, col in np.ndindex(zeros.shape):
        grid = 8 * (row % 8) + col % 8
        place = slice(row, row + 8), slice(col, col + 8)
        best_here, vote_here = best[place], votes[place]
        vote_here[zeros[row, col] == best_here] = NO_VOTE
        vote_here[zeros[row, col] > best_here] = grid
        np.maximum(best_here, zeros[row, col], out=best_here)
    return votes


@settings(max_examples=15)
@given(
    kind=st.sampled_from(KINDS),
    height=st.integers(8, 33),
    width=st.integers(8, 33),
    seed=st.integers(0, 2**16),
)
def test_zeros_are_those_of_each_block_in_double_precision(kind, height, width, seed):
    luminance = grey(kind, (height, width), seed)
    assert np.array_equal(block_zeros(luminance), zeros_by_definition(luminance))


@pytest.mark.parametrize("kind", KINDS)
def test_votes_are_those_of_one_grid_after_the_other(kind, monkeypatch):
    luminance = grey(kind, (45, 38))
    expected = votes_by_definition(luminance)
    assert np.array_equal(grid_votes(luminance), expected)
    monkeypatch.setattr(tiles, "STRIP_PIXELS", 400)
    assert np.array_equal(grid_votes(luminance), expected)  # strips make no difference
    assert (kind == "flat") == bool((expected == NO_VOTE).all())


@pytest.mark.parametrize("shape", [(1, 1), (7, 60), (60, 7), (8, 8), (9, 200)])
def test_pictures_without_a_block_have_no_votes(shape):
    luminance = grey("saved", shape)
    votes = grid_votes(luminance)
    assert votes.dtype == np.uint8
    assert np.array_equal(votes, votes_by_definition(luminance))


def test_a_picture_saved_as_png_is_asked_for_its_grid_once(tmp_path, monkeypatch):
    """Its pixels are those of the JPEG, so its votes, and the regions found in them, are known."""
    pixels = np.repeat(grey("smooth", (120, 136))[..., None], 3, axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=80)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    asked = []
    for name in ("grid_votes", "find_grids"):
        made = getattr(kept, name)
        monkeypatch.setattr(
            kept, name, lambda *a, made=made, name=name, **k: asked.append(name) or made(*a, **k)
        )
    RESULTS.clear()
    found = [
        forensics.views(tmp_path / f"a.{kind}")["compression grid"].result
        for kind in ("jpg", "png")
    ]
    assert asked == ["grid_votes", "find_grids"]
    assert found[0] is not found[1]
    assert np.array_equal(found[0].map.values, found[1].map.values)
    RESULTS.clear()
    alone = forensics.views(tmp_path / "a.png")["compression grid"].result
    assert (alone.score, alone.finding, alone.table) == (
        found[1].score, found[1].finding, found[1].table,
    )  # fmt: skip


def test_large_maps_do_not_push_out_what_views_rest_on(monkeypatch):
    monkeypatch.setattr(RESULTS, "limit", 1)  # one result, whatever its size
    pixels = np.repeat(grey("saved", (130, 140))[..., None], 3, axis=2).astype(np.uint8)
    picture = Picture.of_pixels(pixels)
    RESULTS.clear()
    for name in ("compression grid", "error level", "high-pass"):
        forensics.views(picture)[name].compute()
    assert kept.known_votes(picture) is not None
    RESULTS.clear()
    assert kept.known_votes(picture) is None


def test_a_region_table_is_the_same_where_views_are_known_already():
    pixels = np.repeat(grey("saved", (330, 300), 3)[..., None], 3, axis=2).astype(np.uint8)
    picture, labels = Picture.of_pixels(pixels), np.ones((330, 300), np.uint8)
    labels[90:, 140:] = 2
    RESULTS.clear()
    alone = region_table(picture, labels).as_record()
    for name in ("compression grid", "ghosts"):
        forensics.views(picture)[name].compute()
    assert kept.known_votes(picture) is not None
    assert region_table(picture, labels).as_record() == alone


@settings(max_examples=20)
@given(count=st.integers(0, 300), spread=st.floats(0.1, 90), seed=st.integers(0, 99))
def test_combs_are_means_of_cosines(count, spread, seed):
    values = np.random.default_rng(seed).normal(scale=spread, size=count).astype(np.float32)
    steps = np.arange(2, 40)
    peaks, means = _combs(values, steps)
    sizes, told = np.sort(np.abs(values)), True
    for step, peak, mean in zip(steps, peaks, means, strict=True):
        some = sizes[sizes >= 0.6 * step]
        told = told and len(some) >= 40
        expected = float(np.cos(np.float32(2 * np.pi / step) * some).mean()) if told else 0.0
        assert (mean, peak) == (expected, expected * np.sqrt(2 * len(some)) if told else 0.0)


@pytest.mark.parametrize("shape", [(300, 420), (64, 500), (130, 70), (40, 40)])
def test_periods_of_windows_are_those_of_each_window_alone(shape):
    luminance, cell = grey("smooth", shape), 32
    found = resampling_strengths(luminance, cell)
    for row, col in np.ndindex(found.shape):
        top, left = (
            min(max(0, at * cell + cell // 2 - 2 * cell), max(0, length - 4 * cell))
            for at, length in ((row, shape[0]), (col, shape[1]))
        )
        window = luminance[top : top + 4 * cell, left : left + 4 * cell]
        strengths = [strongest_period(window, axis).strength for axis in (0, 1)]
        assert found[row, col] == np.float32(min(strengths))


def test_partition_and_map_cut_a_picture_once(monkeypatch):
    cuts, made = [], methods.pieces_of
    monkeypatch.setattr(methods, "pieces_of", lambda *a: cuts.append(a[1]) or made(*a))
    engine = engine_of(PatchRules(GROUPING))
    embedding = engine.embed(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8))
    engine.partition(embedding, method="auto")
    engine.localize(embedding)
    assert cuts == [0]
    engine.localize(embedding, seed=1)
    assert cuts == [0, 1]
