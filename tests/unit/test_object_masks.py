"""SAM's automatic masks, with a SAM of toy size and random weights."""

from __future__ import annotations

import pickle  # reviewed: what the test wrote
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import photo_bank, photograph

from napari_safire.errors import CheckpointError
from napari_safire.learning.object_masks import (
    ObjectSettings,
    SamObjectMasks,
    stability,
    suppressed,
)
from napari_safire.learning.sam import load_sam
from napari_safire.model.sam_modules import modeling
from napari_safire.synthesis.composites import CompositeSettings, compose

EVERYTHING = ObjectSettings(
    points_per_side=4, predicted_iou=-100, stability=0, overlap=0.9, smallest=1e-9, largest=1
)


def toy_sam() -> torch.nn.Module:
    torch.manual_seed(0)
    return modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            img_size=128,
            patch_size=16,
            embed_dim=16,
            depth=2,
            num_heads=2,
            out_chans=16,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=[1],
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=16,
            image_embedding_size=(8, 8),
            input_image_size=(128, 128),
            mask_in_chans=4,
        ),
        mask_decoder=modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer=modeling.TwoWayTransformer(
                depth=2, embedding_dim=16, mlp_dim=32, num_heads=8
            ),
            transformer_dim=16,
            iou_head_depth=3,
            iou_head_hidden_dim=16,
        ),
    ).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sam") / "toy.pth"
    torch.save(toy_sam().state_dict(), path)
    return path


def test_sizes_are_read_off_the_weights(checkpoint: Path) -> None:
    loaded, original = load_sam(checkpoint), toy_sam()
    pixels = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(loaded.image_encoder(pixels), original.image_encoder(pixels))
    windows = [block.window_size for block in loaded.image_encoder.blocks]
    assert windows == [3, 0]


@pytest.mark.parametrize("shape", [(60, 100), (100, 60), (64, 64)])
def test_masks_have_the_size_of_the_picture(checkpoint: Path, shape: tuple[int, int]) -> None:
    find = SamObjectMasks(checkpoint, EVERYTHING)
    masks = find(photograph(0, shape))
    assert masks
    assert all(mask.shape == shape and mask.dtype == bool and mask.any() for mask in masks)
    assert find(photograph(0, shape)) is masks  # the last picture's are kept
    again = pickle.loads(pickle.dumps(find))(photograph(0, shape))
    np.testing.assert_array_equal(again, masks)


def test_masks_agree_with_sams_own_steps(checkpoint: Path) -> None:
    """One prompt, all steps by SAM's own forward method."""
    pixels = photograph(3, (128, 128))
    settings = ObjectSettings(
        points_per_side=1, predicted_iou=-100, stability=0, overlap=1, smallest=0, largest=1
    )
    sam = load_sam(checkpoint)
    given = {
        "image": torch.from_numpy(pixels).permute(2, 0, 1).float(),
        "original_size": (128, 128),
        "point_coords": torch.tensor([[[64.0, 64.0]]]),
        "point_labels": torch.ones(1, 1),
    }
    (answer,) = sam([given], multimask_output=True)
    order = torch.argsort(answer["iou_predictions"][0], descending=True)
    found = SamObjectMasks(checkpoint, settings)(pixels)
    np.testing.assert_array_equal(np.stack(found), answer["masks"][0][order].numpy())


def test_ratings_and_areas_filter(checkpoint: Path) -> None:
    pixels = photograph(0, (60, 100))
    for strict in (
        ObjectSettings(predicted_iou=100, stability=0),
        ObjectSettings(predicted_iou=-100, stability=1.1),
        ObjectSettings(predicted_iou=-100, stability=0, largest=1e-6, smallest=0),
    ):
        assert SamObjectMasks(checkpoint, strict)(pixels) == []


def test_stability_compares_two_thresholds() -> None:
    sharp = torch.full((4, 4), -9.0)
    sharp[:2] = 9
    soft = torch.tensor([[2.0, 2, 0.5, -0.5]]).repeat(4, 1)
    empty = torch.full((4, 4), -9.0)
    values = stability(torch.stack([sharp, soft, empty]), 1.0)
    assert values.tolist() == [1, 0.5, 0]


def test_suppression_keeps_the_better_of_two() -> None:
    masks = torch.zeros(4, 10, 10, dtype=torch.bool)
    masks[0, :5] = masks[1, :6] = masks[2, 5:] = masks[3, 5:, :9] = True
    assert suppressed(masks, 0.8) == [0, 2]
    assert suppressed(masks, 0.85) == [0, 1, 2]
    assert suppressed(masks, 0.95) == [0, 1, 2, 3]
    assert suppressed(masks[:0], 0.5) == []


def test_composites_take_objects(checkpoint: Path, tmp_path: Path) -> None:
    find = SamObjectMasks(checkpoint, EVERYTHING)
    bank = photo_bank(tmp_path)
    kinds = {
        compose(bank, (64, 80), CompositeSettings(), np.random.default_rng(seed), 2, find).record[
            "sources"
        ][1]["shape"]
        for seed in range(30)
    }
    assert "object" in kinds


def test_other_files_are_refused(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="no model file"):
        load_sam(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match=r"There is no SAM checkpoint .*none\.pth"):
        _ = SamObjectMasks(tmp_path / "none.pth").name
    assert SamObjectMasks(checkpoint).name != SamObjectMasks(checkpoint, EVERYTHING).name
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    with pytest.raises(CheckpointError, match="does not hold a plain SAM"):
        load_sam(other)
    state = toy_sam().state_dict()
    state["image_encoder.neck.1.weight"] = torch.zeros(3)
    torch.save(state, other)
    with pytest.raises(CheckpointError, match=r"image_encoder\.neck\.1\.weight"):
        load_sam(other)
