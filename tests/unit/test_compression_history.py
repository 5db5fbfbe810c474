"""Compression history against pictures whose history was planted, and against untouched ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from test_forensics import SHAPE, iou, photograph, saved, spliced

from napari_safire import forensics
from napari_safire.forensics.compression.blocks import (
    judge_blocks,
    mixture_share,
    pixels_of,
)
from napari_safire.forensics.compression.coefficients import block_coefficients
from napari_safire.forensics.compression.nonaligned import every_block


def ellipse(height: int, width: int) -> np.ndarray:
    down, across = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return down**2 + across**2 < 1


def row(view: forensics.EvidenceView, name: str) -> str:
    return next(row.value for row in view.result.table if row.name == name)


# --------------------------------------------------------------------- non-aligned compression


@pytest.mark.parametrize(("first", "second"), [(50, 90), (65, 95)])
def test_a_cropped_jpeg_that_was_saved_again_shows_its_former_grid(tmp_path, first, second):
    """The pasted region lacks it."""
    picture = saved(photograph(40, (392, 520)), first)[5:389, 2:514]
    saved(spliced(picture, photograph(41)), second, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["non-aligned compression"]
    assert row(view, "Grid of a former compression") == "row 3, column 6"
    assert view.result.finding == "compressed before on another grid: cropped or moved"
    shown = view.result.map.at_size(SHAPE)
    assert np.nanmedian(shown[150:270, 220:345]) > np.nanmedian(shown) + 0.3
    assert view.score is None  # cropping is no forgery


@pytest.mark.parametrize("history", [(90,), (75,), (60, 90), (90, 60)])
def test_pictures_saved_on_one_grid_show_no_other(tmp_path, history):
    pixels = photograph(42)
    for quality in history:
        pixels = saved(pixels, quality, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["non-aligned compression"]
    assert view.result.finding == "no former compression found"


def test_a_lower_last_quality_hides_a_former_grid_and_invents_none(tmp_path):
    picture = saved(photograph(43, (392, 520)), 92)[5:389, 2:514]
    saved(spliced(picture, photograph(44)), 60, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["non-aligned compression"]
    assert view.result.finding == "no former compression found"


# --------------------------------------------------------------------------------------- grids


def test_the_grid_of_a_file_is_foreign_nowhere(tmp_path):
    """Also where only part of the picture votes for it."""
    pixels = np.full((*SHAPE, 3), 128, np.uint8)
    pixels[100:300, 100:400] = photograph(48)[100:300, 100:400]
    saved(pixels, 70, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["compression grid"]
    assert view.score == 0
    assert row(view, "Grid of the picture") == "row 0, column 0"


def test_a_jpeg_that_was_enlarged_a_little_accuses_nobody():
    picture = Image.fromarray(saved(photograph(49, (512, 512)), 60))
    view = forensics.views(np.asarray(picture.resize((520, 520), Image.Resampling.BICUBIC)))
    assert view["compression grid"].score == 0
    assert view["compression grid"].result.regions is None


def test_the_pasted_grid_is_the_region():
    other = np.roll(saved(photograph(51), 80), (3, 5), axis=(0, 1))
    view = forensics.views(spliced(saved(photograph(50), 80), other))["compression grid"]
    assert iou(view.result.regions) > 0.75


@pytest.mark.parametrize("cut", [(0, 0), (3, 5)])
def test_edges_of_blocks_fade_where_something_was_pasted(cut):
    picture = spliced(saved(photograph(52), 40), photograph(53))[cut[0] :, cut[1] :]
    view = forensics.views(picture)["blockiness"]
    assert row(view, "Blocks begin at") == f"row {-cut[0] % 8}, column {-cut[1] % 8}"
    shown = view.result.map.at_size(picture.shape[:2])
    assert np.median(shown[160:260, 230:330]) < np.median(shown[:100]) - 0.1
    assert view.score is None


# --------------------------------------------------------------------------------- posteriors


def test_the_log_ratio_is_what_the_posterior_rests_on(tmp_path):
    picture = spliced(saved(photograph(45), 60), photograph(46))
    saved(picture, 92, tmp_path / "a.jpg")
    view = forensics.views(tmp_path / "a.jpg")["double compression"]
    ratios = view.with_parameters(values="log likelihood ratio").result.map
    posterior = view.result.map
    assert ratios.unit == "log likelihood ratio"
    assert posterior.limits == (0.0, 1.0)
    both = np.isfinite(ratios.values)
    assert np.array_equal(both, np.isfinite(posterior.values))
    assert np.array_equal(ratios.values[both] > 0, posterior.values[both] > 0.5)


def test_clipped_blocks_tell_nothing(tmp_path):
    pixels = saved(photograph(47), 60)
    pixels[:, :200] = 255
    saved(pixels, 92, tmp_path / "a.jpg")
    found = forensics.views(tmp_path / "a.jpg")["double compression"].result.map.values
    assert np.isnan(found[:, :20]).all()
    assert np.isfinite(found[:, 30:]).mean() > 0.9


def test_nothing_follows_from_blocks_that_tell_nothing():
    judged = judge_blocks(np.full((40, 40), np.nan, np.float32), 5)
    assert judged.score == 0
    assert not judged.lacking.any()
    assert np.isnan(judged.posterior).all()


def test_specks_are_no_regions_and_scores_grow_with_evidence():
    rng = np.random.default_rng(0)
    ratios = rng.normal(-10, 3, (60, 80)).astype(np.float32)
    ratios[5, 5] = 40
    assert judge_blocks(ratios, 1).score == 0
    scores = []
    for side in (4, 8, 16):
        ratios[20 : 20 + side, 30 : 30 + side] = 25
        judged = judge_blocks(ratios, 3)
        assert judged.mostly_carrying
        scores.append(judged.score)
    assert 0 < scores[0] < scores[1] < scores[2]


@pytest.mark.parametrize("origin", [(0, 0), (3, 5)])
def test_blocks_lie_on_their_grid(origin):
    blocks = np.zeros((4, 5), bool)
    blocks[1, 2] = blocks[3, 4] = True
    mask = pixels_of(blocks, (30, 41), origin)
    top, left = origin
    assert mask[top + 8 : top + 16, left + 16 : left + 24].all()
    assert mask.sum() == 64 + (30 - top - 24 if top + 32 > 30 else 8) * min(8, 41 - left - 32)


def test_the_share_of_a_mixture_is_found():
    rng = np.random.default_rng(0)
    other, mixed = rng.dirichlet(np.ones(20), 2)
    observed = rng.multinomial(20_000, 0.7 * mixed + 0.3 * other)
    share, gain = mixture_share(observed, other, mixed)
    assert share == pytest.approx(0.7, abs=0.03)
    assert gain > 100


def test_blocks_at_every_pixel_are_those_of_each_grid():
    pixels = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    found = every_block(pixels, ((0, 0), (1, 2)))
    for top, left in ((0, 0), (3, 5)):
        blocks = block_coefficients(pixels, (top, left))
        part = found[1, top::8, left::8][: blocks.shape[0], : blocks.shape[1]]
        assert np.allclose(part, blocks[..., 1, 2], atol=1e-4)
    assert found.shape == (2, 33, 43)
