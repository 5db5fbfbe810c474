"""The lite encoder: native resolution, deaf to content that is smooth, aware of the JPEG grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_safire.model import ModelConfig, SafireModel
from napari_safire.model import lite as lite_encoder
from napari_safire.synthesis.camera import jpeg


@pytest.fixture(scope="module")
def model() -> SafireModel:
    torch.manual_seed(0)
    return SafireModel(ModelConfig.lite()).eval()


@pytest.mark.parametrize("shape", [(16, 16), (64, 160), (272, 48)])
def test_any_multiple_of_sixteen(model: SafireModel, shape: tuple[int, int]):
    features = model.encode(torch.rand(2, 3, *shape) * 255)
    assert features.shape == (2, 64, shape[0] // 16, shape[1] // 16)
    assert torch.isfinite(features).all()


def test_the_residual_front_end_does_not_see_brightness_or_ramps(model: SafireModel):
    encoder = model.image_encoder
    rows, cols = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    ramp = (40 + 2 * rows + cols).expand(1, 3, -1, -1)
    inside = (..., slice(2, -2), slice(2, -2))
    fixed, learned = slice(4 * 12), slice(4 * 12, 4 * 20)  # four places of each residual
    assert encoder._traces(ramp)[0][:, fixed][inside].abs().max() < 1e-3
    flat = torch.full((1, 3, 48, 64), 200.0)
    assert encoder._traces(flat)[0][:, fixed].abs().max() < 1e-3
    assert encoder._traces(flat)[0][:, learned].abs().max() < 1e-3


@pytest.mark.parametrize("strip_pixels", [1, 16 * 64, 2 * 16 * 64])
def test_strips_see_what_the_whole_picture_shows(
    model: SafireModel, strip_pixels: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lite_encoder, "_STRIP_PIXELS", strip_pixels)
    pixels = torch.rand(2, 3, 80, 64) * 255
    whole = model.image_encoder(pixels)  # with gradients: in one piece
    with torch.inference_mode():
        torch.testing.assert_close(model.image_encoder(pixels), whole, rtol=1e-4, atol=1e-5)


def test_autocast_leaves_the_front_end_in_float32(model: SafireModel):
    pixels = torch.rand(1, 3, 64, 64) * 255
    exact = model.encode(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model.encode(pixels)
    assert torch.nn.functional.cosine_similarity(exact, rough.float(), dim=1).min() > 0.99


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (7, 1)])
def test_block_statistics_show_where_the_jpeg_grid_lies(offset: tuple[int, int]):
    noise = np.random.default_rng(0).normal(128, 25, (136, 136, 3))
    coded = jpeg(np.clip(noise, 0, 255).astype(np.uint8), quality=30)
    cut = coded[8 - offset[0] or None :, 8 - offset[1] or None :][:128, :128]
    pixels = torch.from_numpy(cut.copy()).permute(2, 0, 1)[None].float()
    pixels = pixels[..., : pixels.shape[2] // 16 * 16, : pixels.shape[3] // 16 * 16]
    energies = SafireModel(ModelConfig.lite()).image_encoder._traces(pixels)[1]
    phases = energies[0, 12:28].mean(dim=(1, 2))
    # A second difference is large on both sides of a block edge: at the phases `offset` and
    # `offset - 1`.
    for measured, start in ((phases[:8], offset[1]), (phases[8:], offset[0])):
        strongest = set(measured.topk(2).indices.tolist())
        assert strongest == {start % 8, (start - 1) % 8}


def test_attention_has_no_preferred_place(model: SafireModel):
    # What a cell says does not depend on where the picture begins, up to the border's padding.
    torch.manual_seed(1)
    pixels = torch.rand(1, 3, 160, 160) * 255
    whole = model.encode(pixels.roll((32, 32), (2, 3)))[..., 4:-2, 4:-2]
    moved = model.encode(pixels).roll((2, 2), (2, 3))[..., 4:-2, 4:-2]
    assert torch.nn.functional.cosine_similarity(whole, moved, dim=1).min() > 0.98
