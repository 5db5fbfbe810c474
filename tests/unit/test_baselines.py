"""Classical baselines: what they must find, what they must not, and their command."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path

import classical
import numpy as np
import pytest
from baselines import (
    BASELINES,
    blank_map,
    forgery_heatmap,
    jpeg_grid,
    noise_level,
    residual_cooccurrences,
    source_labels,
)
from baselines.engine import BaselineEngine
from baselines.noise import daubechies_high_pass
from fakes import KnowingEngine
from PIL import Image

from napari_safire.errors import SafireError
from napari_safire.metrics import auc, p_miou

SHAPE = (264, 328)
MIXTURES = {"noise level": noise_level, "residual co-occurrences": residual_cooccurrences}


def smooth(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """A gradient: something that is not flat and has no noise."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None]
    return np.repeat(90 + 0.2 * rows, shape[1], axis=1)


def noisy(deviations: np.ndarray, seed: int = 0) -> np.ndarray:
    """Luma whose noise has the deviation given for each pixel."""
    noise = np.random.default_rng(seed).normal(size=deviations.shape)
    return np.rint(smooth(deviations.shape) + deviations * noise).astype(np.float32)


def right_part() -> np.ndarray:
    """A quarter of the picture, at its right."""
    mask = np.zeros(SHAPE, bool)
    mask[:, 3 * SHAPE[1] // 4 :] = True
    return mask


def as_jpeg(luma: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(luma).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.float32)


def with_second_grid() -> tuple[np.ndarray, np.ndarray]:
    """A compressed picture with a square from another, whose grid lies 3 rows and 5 columns off."""
    whole = as_jpeg(noisy(np.full(SHAPE, 5.0)), 80)
    other = as_jpeg(noisy(np.full(SHAPE, 5.0), seed=1), 80)
    mask = np.zeros(SHAPE, bool)
    mask[80:208, 120:248] = True
    whole[mask] = other[83:211, 125:253].ravel()
    return whole, mask


# ------------------------------------------------------------------------ what they find


@pytest.mark.parametrize("name", MIXTURES)
def test_a_region_of_other_noise_stands_out(name: str) -> None:
    truth = right_part()
    heatmap = forgery_heatmap(MIXTURES[name](noisy(np.where(truth, 6.0, 1.5))))
    assert heatmap.shape == SHAPE
    assert heatmap.dtype == np.float32
    assert 0 <= heatmap.min() <= heatmap.max() <= 1
    assert auc(truth, heatmap) > 0.9


def test_three_sources_are_told_apart_by_their_noise() -> None:
    truth = np.tile(np.arange(SHAPE[1]) * 3 // SHAPE[1], (SHAPE[0], 1))
    luma = noisy(np.choose(truth, [1.0, 4.0, 16.0]))
    assert p_miou(truth, source_labels(noise_level(luma), 3), variant="hungarian") > 0.85


def test_a_shifted_jpeg_grid_stands_out() -> None:
    luma, truth = with_second_grid()
    description = jpeg_grid(luma)
    heatmap = forgery_heatmap(description)
    assert auc(truth, heatmap) > 0.9
    assert heatmap[144, 184] > 0.9
    labels = source_labels(description, 3)
    assert set(np.unique(labels)) == {0, 1}  # there is no third grid, whatever was asked
    assert p_miou(truth.astype(np.uint8), labels) > 0.8


def test_the_jpeg_grid_has_its_origin_where_the_picture_was_cut() -> None:
    luma = as_jpeg(noisy(np.full(SHAPE, 5.0)), 80)
    assert jpeg_grid(luma).main == 0
    assert jpeg_grid(luma[3:, 5:]).main == 8 * 5 + 3


# -------------------------------------------------------------------- what they do not find


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_gives_nothing(name: str, value: int) -> None:
    description = BASELINES[name](np.full(SHAPE, value, np.float32))
    assert not forgery_heatmap(description).any()
    assert not source_labels(description, 3).any()


def test_one_grid_or_none_gives_nothing() -> None:
    uncompressed = noisy(np.full(SHAPE, 5.0))
    for luma in (uncompressed, as_jpeg(uncompressed, 80)):
        assert not forgery_heatmap(jpeg_grid(luma)).any()


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "blank map"])
@pytest.mark.parametrize("shape", [(1, 1), (40, 600)])
def test_a_tiny_picture_is_refused_in_a_sentence(name: str, shape: tuple[int, int]) -> None:
    with pytest.raises(SafireError, match=rf"{shape[0]} x {shape[1]} pixels is too small .*{name}"):
        BASELINES[name](np.zeros(shape, np.float32))


def test_the_blank_map_takes_any_picture() -> None:
    description = blank_map(np.zeros((1, 2), np.float32))
    assert source_labels(description, 4).tolist() == [[0, 0]]


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("shape", [(159, 175), (163, 170), (151, 166)])
def test_sizes_need_not_fit_the_blocks(name: str, shape: tuple[int, int]) -> None:
    heatmap = forgery_heatmap(BASELINES[name](noisy(np.full(shape, 3.0))))
    assert heatmap.shape == shape
    assert np.isfinite(heatmap).all()


@pytest.mark.parametrize("name", MIXTURES)
def test_answers_depend_on_picture_and_seed_alone(name: str) -> None:
    luma = noisy(np.where(right_part(), 3.0, 2.0))
    description = MIXTURES[name](luma)
    first = forgery_heatmap(description, seed=5)
    np.testing.assert_array_equal(first, forgery_heatmap(MIXTURES[name](luma.copy()), seed=5))
    np.testing.assert_array_equal(
        source_labels(description, 3, 5), source_labels(description, 3, 5)
    )


def test_saturated_blocks_go_with_the_largest_source() -> None:
    luma = noisy(np.where(right_part(), 6.0, 1.5))
    luma[:, :40] = 255
    assert forgery_heatmap(noise_level(luma))[:, :24].max() == 0


def test_the_wavelet_is_orthonormal_and_blind_to_polynomials() -> None:
    high = daubechies_high_pass(8)
    assert len(high) == 16
    for shift in range(0, 16, 2):
        assert high[shift:] @ high[: 16 - shift] == pytest.approx(float(shift == 0), abs=1e-6)
    assert high @ (np.arange(16) / 16) ** 3 == pytest.approx(0, abs=1e-6)
    # the shortest of them has a closed form
    root = np.sqrt(3)
    known = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * np.sqrt(2))
    assert np.sort(np.abs(daubechies_high_pass(2))) == pytest.approx(np.sort(np.abs(known)))


# -------------------------------------------------------------------------- as an engine


def test_the_engine_takes_any_kind_of_picture() -> None:
    luma = noisy(np.where(right_part(), 6.0, 1.5)).clip(0, 255).astype(np.uint8)
    engine = BaselineEngine("noise level")
    grey = engine.localize(engine.embed(luma)).heatmap
    colour = engine.localize(engine.embed(np.dstack([luma] * 4))).heatmap
    np.testing.assert_allclose(grey, colour, atol=1e-3)
    forgery = engine.localize(engine.embed(luma))
    assert forgery.verdict == "inconclusive"
    assert np.isnan(forgery.score)
    partition = engine.partition(engine.embed(luma), n_sources=2)
    assert partition.n_sources == len(np.unique(partition.labels)) == 2


# ------------------------------------------------------------------------------ the command


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command in this process, with a model that needs no weights."""
    monkeypatch.setattr(classical, "open_engine", lambda *_: KnowingEngine())

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["classical.py", *map(str, arguments)])
        return classical.main()

    return run


def test_the_command_scores_model_and_baselines_alike(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = right_part()
    luma = noisy(np.where(truth, 6.0, 1.5)).clip(0, 255).astype(np.uint8)
    Image.fromarray(luma).save(tmp_path / "a.png")
    Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "m.png")
    Image.fromarray(luma[:50, :50]).save(tmp_path / "small.png")
    (tmp_path / "list.txt").write_text("a.png,m.png\nsmall.png,None\n")
    out = tmp_path / "out"
    arguments = (tmp_path / "list.txt", "--kind", "binary", "-o", out)
    assert command(*arguments) == 0
    shown = capsys.readouterr()
    for name in ("safire-lite", *BASELINES):
        assert name in shown.out
    assert "too small" in shown.err
    with (out / "summary.csv").open(newline="") as file:
        means = {(row["model"], row["score"]): row for row in csv.DictReader(file)}
    assert float(means["noise level", "auc"]["mean"]) > 0.95
    assert float(means["blank map", "f1_fixed_above_floor"]["mean"]) == pytest.approx(0)
    assert means["blank map", "auc"]["difference"] != ""
    # the same command finds everything there
    parts = sorted(out.glob("*/*/parts/*.parquet"))
    before = [path.read_bytes() for path in parts]
    assert len(parts) == 1 + len(BASELINES)
    assert command(*arguments) == 0
    assert [path.read_bytes() for path in sorted(out.glob("*/*/parts/*"))] == before


def test_the_command_says_what_is_wrong(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = (tmp_path / "none.txt", "--kind", "binary", "-o", tmp_path / "out")
    assert command(*wanted) == 1
    assert "none.txt" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        command(*wanted, "--limit", 0)
    assert stopped.value.code == 2
