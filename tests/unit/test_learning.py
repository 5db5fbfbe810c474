"""Losses against golden values and slow formulas, sampling and streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from synthetic import photo_bank

from napari_safire.learning.losses import (
    IGNORE,
    area_adaptive_loss,
    compactness,
    confidence_loss,
    pixel_accuracy,
    region_contrast,
)
from napari_safire.learning.prompts import PromptedCrops, PromptSettings, sample_prompts
from napari_safire.learning.streams import CompositeDataset, CropPlan, patch_labels, stream
from napari_safire.synthesis.composite_settings import CompositeSettings

if TYPE_CHECKING:
    from conftest import Parity

PLAN = CropPlan(sides=(64,), pixels_per_batch=2 * 64 * 64)


def labels_of(*counts: int) -> torch.Tensor:
    """(1, N): so many cells of each region."""
    return torch.cat([torch.full((n,), k) for k, n in enumerate(counts)])[None]


def slow_contrast(features: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """The paper's formula for one image, cell by cell."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    total = 0.0
    for region in np.unique(labels):
        members = np.flatnonzero(labels == region)
        losses = []
        for q in members:
            positive = np.mean([unit[q] @ unit[p] / temperature for p in members if p != q])
            negatives = [unit[q] @ unit[n] / temperature for n in np.flatnonzero(labels != region)]
            losses.append(-np.log(np.exp(positive) / (np.exp(positive) + np.exp(negatives).sum())))
        total += np.mean(losses)
    return total


# --- contrast -------------------------------------------------------------------------------------


def test_contrast_of_two_regions_is_the_published_one(parity: Parity) -> None:
    first, second = parity.expected["r2r_a"], parity.expected["r2r_b"]
    features = torch.from_numpy(np.concatenate([first, second]))[None]
    loss = region_contrast(features, labels_of(len(first), len(second)))
    assert float(loss) == pytest.approx(float(parity.expected["r2r_loss"]), abs=1e-4)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrast_of_three_regions(temperature: float) -> None:
    features = torch.randn(1, 18, 5)
    labels = labels_of(7, 3, 8)
    expected = slow_contrast(features[0].numpy(), labels[0].numpy(), temperature)
    assert float(region_contrast(features, labels, temperature)) == pytest.approx(
        expected, rel=1e-5
    )


def test_contrast_leaves_out_ignored_cells_and_lone_cells() -> None:
    features = torch.randn(1, 12, 4)
    labels = labels_of(5, 4)
    expected = region_contrast(features[:, :9], labels)
    extra = torch.tensor([[IGNORE, IGNORE, 2]])  # two ignored cells, one region of a single cell
    loss = region_contrast(features, torch.cat([labels, extra], 1))
    assert float(loss) == pytest.approx(float(expected), rel=1e-6)


def test_contrast_is_a_mean_over_images_with_two_regions() -> None:
    features = torch.randn(3, 10, 4)
    labels = torch.cat([labels_of(5, 5), labels_of(10), labels_of(3, 7)])
    both = [region_contrast(features[i : i + 1], labels[i : i + 1]) for i in (0, 2)]
    assert float(region_contrast(features, labels)) == pytest.approx(float(sum(both)) / 2, rel=1e-6)


@pytest.mark.parametrize(
    "labels",
    [
        labels_of(8),
        labels_of(7, 1),
        labels_of(1, 1, 1, 1, 1, 1, 1, 1),
        torch.full((1, 8), IGNORE),
        torch.tensor([[0, 0, 0, 0, IGNORE, IGNORE, IGNORE, 1]]),
        labels_of(4, 4),
    ],
    ids=["one region", "lone cell", "lone cells", "all ignored", "mixed", "two regions"],
)
def test_gradients_are_finite(labels: torch.Tensor) -> None:
    features = torch.randn(2, 8, 4)
    features[0, 0] = 0  # a cell without direction
    features.requires_grad_()
    labels = labels.expand(2, -1)
    contrast = region_contrast(features, labels)
    two_regions = torch.equal(labels[:1], labels_of(4, 4))
    assert (float(contrast.detach()) > 0) == two_regions
    loss = contrast + compactness(features, labels)
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert bool(torch.isfinite(features.grad).all())


def test_compactness_is_for_one_source() -> None:
    line = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    features = torch.stack([line, line * 3, line])
    labels = torch.tensor([[0, 0], [0, 1], [IGNORE, IGNORE]])
    # 45 degrees to the mean direction on either side.
    assert float(compactness(features, labels)) == pytest.approx(1 - 0.5**0.5, abs=1e-6)
    assert float(compactness(features, torch.tensor([[0, 1]] * 3))) == 0
    assert float(compactness(features[:1] * 0 + 1, labels[:1])) == pytest.approx(0, abs=1e-6)


def test_compactness_leaves_out_ignored_cells() -> None:
    features = torch.randn(1, 6, 4)
    labels = torch.tensor([[0, 0, 0, 0, IGNORE, IGNORE]])
    assert float(compactness(features, labels)) == pytest.approx(
        float(compactness(features[:, :4], labels[:, :4])), rel=1e-6
    )


# --- masks ----------------------------------------------------------------------------------------


def test_pixel_accuracy_is_the_published_one(parity: Parity) -> None:
    logits, targets = (
        torch.from_numpy(parity.expected[f"loss_{n}"]) for n in ("logits", "targets")
    )
    expected = torch.from_numpy(parity.expected["loss_pixel_accuracy"])
    torch.testing.assert_close(pixel_accuracy(logits, targets), expected)
    confidence = expected + torch.tensor([0.1, -0.2, 0.0])
    loss = confidence_loss(confidence, logits, targets)
    assert float(loss) == pytest.approx(0.05 / 3, rel=1e-5)


def test_area_adaptive_loss(parity: Parity) -> None:
    logits, targets = (
        torch.from_numpy(parity.expected[f"loss_{n}"]) for n in ("logits", "targets")
    )
    golden = float(parity.expected["loss_area_adaptive_bce"])
    assert float(area_adaptive_loss(logits, targets)) == pytest.approx(golden, abs=1e-6)


def test_area_adaptive_loss_counts_small_regions_fully() -> None:
    targets = torch.zeros(1, 16, 16)
    targets[0, 0, 0] = 1
    wrong = torch.full((1, 16, 16), -20.0)
    assert float(area_adaptive_loss(wrong, targets)) == pytest.approx(10, rel=1e-4)


def test_masks_without_a_pixel_that_counts() -> None:
    logits = torch.randn(2, 8, 8, requires_grad=True)
    targets = torch.full((2, 8, 8), float(IGNORE))
    loss = area_adaptive_loss(logits, targets)
    loss.backward()
    assert float(loss.detach()) == 0
    assert float(logits.grad.abs().max()) == 0
    assert pixel_accuracy(logits, targets).tolist() == [0, 0]


# --- sampling -------------------------------------------------------------------------------------


def test_cell_labels_need_a_clear_majority() -> None:
    labels = torch.zeros(1, 32, 48, dtype=torch.uint8)
    labels[0, :16, 16:32] = 1  # a whole cell
    labels[0, :16, 32:46] = 2  # 14 of 16 columns: 87.5 %
    labels[0, 16:, :13] = 1  # 81 %
    assert patch_labels(labels).tolist() == [[0, 1, 2, IGNORE, 0, 0]]
    assert patch_labels(labels, purity=0.8).tolist() == [[0, 1, 2, 1, 0, 0]]


def test_prompts_lie_in_their_regions() -> None:
    labels = np.zeros((2, 64, 64), np.uint8)
    labels[0, 10:30, 5:41] = 1
    labels[0, 40:, 40:] = 2
    labels[1] = 1  # a single region, whatever its number
    for regions in labels:
        points, targets = sample_prompts(
            regions, PromptSettings(per_image=7, connected=False), np.random.default_rng(0)
        )
        assert points.shape == (7, 2)
        assert points.dtype == np.float32
        assert targets.shape == (7, 16, 16)
        present = np.unique(regions)
        for i, ((x, y), target) in enumerate(zip(points.astype(int), targets, strict=True)):
            region = regions[y, x]
            assert region == present[i % len(present)]
            shares = (regions == region).reshape(16, 4, 16, 4).mean(axis=(1, 3))
            pure = (shares == 0) | (shares == 1)
            np.testing.assert_array_equal(target[pure], shares[pure])


def test_where_prompts_are_fewer_than_regions_each_gets_one_sometimes() -> None:
    labels = np.repeat(np.arange(4, dtype=np.uint8), 16)[:, None].repeat(64, axis=1)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        points, _ = sample_prompts(labels, PromptSettings(per_image=2), rng)
        regions = labels[points[:, 1].astype(int), points[:, 0].astype(int)]
        assert len(set(regions)) == 2
        seen |= set(regions)
    assert seen == {0, 1, 2, 3}


def test_prompts_of_a_region_too_thin_for_the_small_mask() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[5] = 1
    points, targets = sample_prompts(labels, PromptSettings(per_image=2), np.random.default_rng(0))
    assert points[1, 1] == 5
    assert targets[1].max() == 0


def test_the_offset_says_which_pixel_stands_for_a_cell() -> None:
    labels = np.zeros((16, 16), np.uint8)
    labels[:, 5:] = 1
    for offset, expected in ((0, 2), (2, 1)):
        _, targets = sample_prompts(
            labels, PromptSettings(per_image=2, offset=offset), np.random.default_rng(0)
        )
        assert targets[1][0].argmax() == expected


def test_far_parts_of_a_region_are_not_judged() -> None:
    """Published rule: the component of the prompt and those that touch it, over corners too."""
    labels = np.zeros((32, 64), np.uint8)
    labels[4:12, 4:12] = 1  # an island in the background
    labels[4:12, 40:48] = 1  # another one
    labels[12:16, 48:52] = 1  # touches that one at a corner only
    labels[6:8, 42:44] = 0  # a hole in it
    rng = np.random.default_rng(0)
    points, targets = sample_prompts(labels, PromptSettings(per_image=40), rng)
    seen = set()
    for (x, y), target in zip(points.astype(int), targets, strict=True):
        left, right, hole, corner, around = (
            int(target[r // 4, c // 4]) for r, c in ((6, 6), (10, 46), (6, 42), (14, 50), (26, 30))
        )
        seen.add((int(labels[y, x]), left, right, hole, corner, around))
    assert seen == {
        (1, 1, -1, -1, -1, 0),  # from the left island: itself and what is around
        (1, -1, 1, 0, 1, 0),  # from the right one: its hole and the part at its corner too
        (1, -1, 1, -1, 1, 0),  # from the part at its corner: the hole does not touch it
        (0, 0, 0, -1, 0, 1),  # from the background: all islands, not the hole inside one
    } | ({(0, -1, 0, 1, -1, -1)} & seen)  # from the small hole, if a prompt fell into it


@given(
    arrays(np.uint8, st.tuples(st.integers(4, 9), st.integers(4, 9)), elements=st.integers(0, 2)),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_what_is_judged_is_what_the_published_rule_says(tiles: np.ndarray, seed: int) -> None:
    """The rule, plainly: label region and surroundings, take what the grown part meets."""
    labels = tiles.repeat(4, 0).repeat(4, 1)
    labels[::3, ::5] = 2  # parts of one pixel
    points, targets = sample_prompts(
        labels, PromptSettings(per_image=3), np.random.default_rng(seed)
    )
    for (col, row), target in zip(points.astype(int), targets, strict=True):
        inside = labels == labels[row, col]
        parts, count = ndimage.label(inside)
        around, _ = ndimage.label(~inside)
        numbers = np.where(inside, parts, around + count)
        grown = ndimage.binary_dilation(numbers == numbers[row, col], np.ones((3, 3), bool))
        judged = np.isin(numbers, np.unique(numbers[grown]))
        expected = np.where(judged, inside, IGNORE)[2::4, 2::4]
        np.testing.assert_array_equal(target, expected)


def test_stream_depends_on_seed_and_index_only(tmp_path: Path) -> None:
    bank = photo_bank(tmp_path)
    plan = CropPlan(sides=(64, 80), pixels_per_batch=2 * 64 * 64)

    def take(count: int, seed: int, **options: int) -> list[tuple[torch.Tensor, ...]]:
        composites = CompositeDataset(bank, CompositeSettings(), seed)
        batches = stream(composites, plan, **{"workers": 0, **options})
        return [next(batches) for _ in range(count)]

    first = take(3, seed=1)
    assert [tuple(pixels.shape) for pixels, _ in first] == [
        (2, 3, 64, 64),
        (2, 3, 80, 80),
        (2, 3, 64, 64),
    ]
    assert all(pixels.dtype == labels.dtype == torch.uint8 for pixels, labels in first)
    for a, b in zip(first, take(3, seed=1), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert not torch.equal(first[0][0], take(1, seed=2)[0][0])
    continued = take(1, seed=1, first_index=4)[0]
    assert torch.equal(continued[0], first[2][0])
    shared = [take(2, seed=1, start=0, rank=rank, world=2) for rank in (0, 1)]
    assert torch.equal(shared[1][0][0], first[1][0])
    assert torch.equal(shared[0][1][0], first[2][0])
    later = take(1, seed=1, start=1, rank=0, world=2)[0]
    assert torch.equal(later[0], first[2][0])
    in_process = take(1, seed=1, workers=1)[0]
    assert torch.equal(in_process[0], first[0][0])


def test_prompts_depend_on_seed_and_index_only(tmp_path: Path) -> None:
    bank = photo_bank(tmp_path)
    plan = CropPlan(sides=(64,), pixels_per_batch=2 * 64 * 64)
    composites = CompositeDataset(bank, CompositeSettings(), 1)

    def take(count: int, seed: int = 3, **options: int) -> list[tuple[torch.Tensor, ...]]:
        crops = PromptedCrops(composites, PromptSettings(per_image=4), seed)
        batches = stream(crops, plan, **{"workers": 0, **options})
        return [next(batches) for _ in range(count)]

    first, second = take(2)
    pixels, labels, points, targets = second
    assert points.shape == (2, 4, 2)
    assert targets.shape == (2, 4, 16, 16)
    alone = next(stream(composites, plan, workers=0, start=1))
    assert torch.equal(pixels, alone[0])
    assert torch.equal(labels, alone[1])
    for again in (take(1, first_index=2)[0], take(1, start=1, workers=1)[0]):
        assert all(torch.equal(a, b) for a, b in zip(second, again, strict=True))
    assert not torch.equal(take(1, seed=4)[0][2], first[2])
