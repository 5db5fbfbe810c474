"""The networks: equal to the published implementation and to SAM's own modules; bad input."""

from __future__ import annotations

import json
import pickle  # reviewed: what the test wrote
import subprocess
import sys
from typing import Any

import numpy as np
import published
import pytest
import torch

from napari_safire.model import ModelConfig, SafireModel, attention, decoder, load_model
from napari_safire.model import linear as products
from napari_safire.model.safire import resolve_device
from napari_safire.model.vit import high_pass

TOLERANCE = {"rtol": 0, "atol": 1e-4}
HALF_PRECISION = {"rtol": 1e-3, "atol": 1e-4}  # the grid's golden logits are float16


@pytest.fixture(scope="module")
def golden(parity):
    config = ModelConfig.from_json(parity.config)
    return load_model(parity.checkpoint, config=config, device="cpu")


@pytest.fixture(scope="module")
def pixels(parity):
    return torch.from_numpy(parity.image.copy()).permute(2, 0, 1)[None].float()


def lite(**changes) -> SafireModel:
    """A small lite model with all weights random, the zero ones too."""
    model = SafireModel(ModelConfig.lite(**changes))
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model.eval()


# --- golden data --------------------------------------------------------------------------------


def test_high_pass_is_the_published_one(golden, pixels, parity):
    found = high_pass((pixels - golden.pixel_mean) / golden.pixel_std)
    np.testing.assert_allclose(found, parity.expected["high_pass"], **TOLERANCE)


def test_embedding_is_the_published_one(golden, pixels, parity):
    with torch.inference_mode():
        found = golden.encode(pixels)
    np.testing.assert_allclose(found, parity.expected["embedding"], **TOLERANCE)


def test_points_are_the_published_ones(golden, parity):
    feats = torch.from_numpy(parity.expected["embedding"])
    with torch.inference_mode():
        logits, confidence = golden.decode(feats, parity.expected["points_xy"])
    np.testing.assert_allclose(logits, parity.expected["point_low_res_logits"], **TOLERANCE)
    np.testing.assert_allclose(confidence, parity.expected["point_confidence"], **TOLERANCE)


def test_grid_is_the_published_one(golden, pixels, parity):
    """From pixels to the areas of all masks of the grid."""
    with torch.inference_mode():
        feats = golden.encode(pixels)
        logits, confidence = golden.decode(feats, parity.expected["grid_xy"])
        full = torch.nn.functional.interpolate(logits[None], (256, 256), mode="bilinear")[0]
    wanted = parity.expected["grid_low_res_logits"].astype(np.float32)
    np.testing.assert_allclose(logits, wanted, **HALF_PRECISION)
    np.testing.assert_allclose(confidence, parity.expected["grid_confidence"], **TOLERANCE)
    # a logit within rounding of zero may fall on the other side
    np.testing.assert_allclose((full > 0).sum((1, 2)), parity.expected["grid_area"], atol=3)


def test_vit_b_has_the_published_keys_and_shapes(parity):
    with torch.device("meta"):
        model = SafireModel(ModelConfig.vit_b())
    found = {
        key: (tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in model.state_dict().items()
    }
    assert found == parity.vit_b
    assert len(found) == 348
    assert sum(value.numel() for value in model.parameters()) == 97_020_784


# --- SAM's unmodified decoder as an oracle --------------------------------------------------------


def sam_decode(model: SafireModel, feats: torch.Tensor, points: torch.Tensor):
    """One image after the other through SAM's own forward methods."""
    answers = [
        published.decode(model, image[None], xy) for image, xy in zip(feats, points, strict=True)
    ]
    return tuple(torch.stack(parts) for parts in zip(*answers, strict=True))


@pytest.mark.parametrize("decoder_depth", [1, 2, 3])
@pytest.mark.parametrize(
    ("n_images", "n_prompts", "height", "width"),
    [(1, 1, 1, 1), (1, 5, 4, 7), (3, 4, 6, 5), (2, 1, 9, 2)],
)
def test_decoder_equals_sams_own(decoder_depth, n_images, n_prompts, height, width):
    model = lite(prompt_from_embedding=False, decoder_depth=decoder_depth)
    feats = torch.randn(n_images, 64, height, width)
    points = torch.rand(n_images, n_prompts, 2) * torch.tensor([16.0 * width, 16.0 * height])
    with torch.inference_mode():
        found = model.decode(feats, points)
        wanted = sam_decode(model, feats, points)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-4, atol=1e-5)


def test_gradients_equal_those_of_sams_own_decoder():
    model = lite(prompt_from_embedding=False)
    feats = torch.randn(2, 64, 4, 3)
    points = torch.rand(2, 3, 2) * 48
    weights = [value for value in model.mask_decoder.parameters() if value.requires_grad]

    def gradients(decode):
        source = feats.clone().requires_grad_()
        logits, confidence = decode(source, points)
        loss = logits.square().mean() + confidence.sum()
        return torch.autograd.grad(loss, [source, *weights], allow_unused=True)

    found = gradients(model.decode)
    wanted = gradients(lambda *arguments: sam_decode(model, *arguments))
    for ours, theirs in zip(found, wanted, strict=True):
        if ours is None:
            # Hypernetworks of masks that are not used, and biases of keys: a constant in a softmax.
            assert theirs is None or theirs.abs().max() < 1e-6
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_few_prompts_at_a_time_are_as_good_as_all(monkeypatch):
    model = lite()
    feats, points = torch.randn(2, 64, 5, 4), torch.rand(2, 7, 2) * 64
    with torch.inference_mode():
        wanted = model.decode(feats, points)
        bytes_per_prompt = 4 * 5 * 4 * 64 * 2
        for at_once, chunks in ((1, 1), (1, 3), (3, 1), (2, 2)):
            monkeypatch.setattr(decoder, "_CHUNK_BYTES", at_once * bytes_per_prompt)
            monkeypatch.setattr(decoder, "_CHUNKS", chunks)
            found = model.decode(feats, points)
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gradient", [False, True])
def test_corners_are_those_of_all_logits(gradient):
    model = lite()
    feats, points = torch.randn(2, 64, 5, 4), torch.rand(2, 7, 2) * 64
    with torch.set_grad_enabled(gradient):
        logits, confidence = model.decode(feats, points)
        corners, same = model.decode(feats, points, corners=True)
    rows = [4 * cell + place for cell in range(5) for place in (0, 3)]
    cols = [4 * cell + place for cell in range(4) for place in (0, 3)]
    torch.testing.assert_close(corners, logits[:, :, rows][..., cols], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same, confidence, rtol=1e-4, atol=1e-5)


def test_images_and_prompts_do_not_influence_each_other():
    model = lite()
    feats = torch.randn(3, 64, 5, 4)
    points = torch.rand(3, 4, 2) * 64
    with torch.inference_mode():
        together = model.decode(feats, points)
        for image in range(3):
            alone = model.decode(feats[image : image + 1], points[image])
            torch.testing.assert_close(alone[0], together[0][image], rtol=1e-4, atol=1e-5)
            one = model.decode(feats[image : image + 1], points[image, 2:3])
            torch.testing.assert_close(one[0][0], together[0][image, 2], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(one[1][0], together[1][image, 2], rtol=1e-4, atol=1e-5)


def test_no_prompts_give_no_regions():
    logits, confidence = lite().decode(torch.randn(1, 64, 3, 5), np.zeros((0, 2)))
    assert logits.shape == (0, 12, 20)
    assert confidence.shape == (0,)


def test_decoding_under_autocast_returns_float32_close_to_full_precision():
    model = lite()
    feats, points = torch.randn(2, 64, 4, 4), torch.rand(2, 3, 2) * 64
    wanted, _ = model.decode(feats, points)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, confidence = model.decode(feats.bfloat16(), points)
    assert logits.dtype == confidence.dtype == torch.float32
    assert torch.corrcoef(torch.stack([logits.flatten(), wanted.flatten()]))[0, 1] > 0.99


# --- SAM's unmodified encoder as an oracle --------------------------------------------------------


def small_vit(side: int = 7, window: int = 3) -> SafireModel:
    """A ViT with a window that does not divide its frame, all weights random."""
    config = ModelConfig(
        architecture="vit",
        image_size=16 * side,
        embed_dim=48,
        depth=3,
        num_heads=3,
        global_attention=(1,),
        window_size=window,
        prompt_dim=32,
    )
    model = SafireModel(config)
    with torch.no_grad():
        for value in model.image_encoder.parameters():
            value.add_(0.1 * torch.randn_like(value))
    return model.eval()


@pytest.mark.parametrize("n_bytes", [1, 2000, 2**23])
@pytest.mark.parametrize(("side", "window"), [(8, 3), (8, 4), (8, 9), (4, 14)])
def test_encoder_equals_sams_own_blocks(monkeypatch, side, window, n_bytes):
    monkeypatch.setitem(attention._BIAS_BYTES, "cpu", n_bytes)
    monkeypatch.setattr(attention, "_PATCHES_AT_ONCE", 50)
    model = small_vit(side, window)
    pixels = torch.rand(2, 3, 16 * side, 16 * side) * 255
    with torch.inference_mode():
        torch.testing.assert_close(
            model.encode(pixels), published.encode(model, pixels), rtol=1e-4, atol=1e-5
        )


def test_gradients_equal_those_of_sams_own_blocks():
    model = small_vit(8)
    pixels = torch.rand(1, 3, 128, 128) * 255
    weights = dict(model.image_encoder.named_parameters())

    def gradients(encode):
        return torch.autograd.grad(encode(pixels).square().mean(), list(weights.values()))

    found = gradients(model.encode)
    wanted = gradients(lambda pixels: published.encode(model, pixels))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_activations_made_again_give_the_same_gradients():
    model = small_vit(8)
    pixels = torch.rand(1, 3, 128, 128) * 255
    weights = list(model.image_encoder.parameters())

    def gradients(checkpointing):
        model.image_encoder.checkpointing = checkpointing
        return torch.autograd.grad(model.encode(pixels).square().mean(), weights)

    torch.testing.assert_close(gradients(True), gradients(False), rtol=1e-4, atol=1e-7)


def test_relative_positions_of_another_frame_are_refused():
    block = small_vit(8).image_encoder.blocks[1]
    with pytest.raises(ValueError, match="8 patches a side, but the picture has 6"):
        block(torch.zeros(1, 6, 6, 48))


# --- matrix products ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["none", "gelu", "relu"])
@pytest.mark.parametrize("shape", [(0, 6), (1, 6), (4, 3, 6)])
@pytest.mark.parametrize("works", [True, False])
def test_linear_is_torchs_own(monkeypatch, activation, shape, works):
    if not works:
        monkeypatch.setattr(products, "_onednn_works", lambda: False)
    x, weight, bias = torch.randn(shape), torch.randn(6, 5).T, torch.randn(5)
    apply = {"none": lambda y: y, "gelu": torch.nn.functional.gelu, "relu": torch.relu}[activation]
    for given in (bias, None):
        wanted = apply(torch.nn.functional.linear(x, weight, given))
        with torch.inference_mode():
            found = products.linear(x, weight, given, activation)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        assert products.linear(x, weight, given, activation).shape == wanted.shape


def test_linear_has_gradients_and_follows_autocast():
    x, weight = torch.randn(3, 6), torch.randn(5, 6, requires_grad=True)
    products.linear(x, weight, activation="gelu").sum().backward()
    assert weight.grad is not None
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert products.linear(x, weight.detach()).dtype == torch.bfloat16
    assert products.linear(x.double(), weight.detach().double()).dtype == torch.float64


@pytest.mark.parametrize("problem", ["absent", "wrong"])
def test_an_operator_that_is_absent_or_wrong_is_not_used(monkeypatch, problem):
    def other(x, weight, bias, activation):
        if problem == "absent":
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no such attribute")
        return torch.zeros(*x.shape[:-1], len(weight))

    monkeypatch.setattr(products, "_onednn", other)
    products._onednn_works.cache_clear()
    try:
        x, weight = torch.randn(3, 6), torch.randn(5, 6)
        with torch.inference_mode():
            torch.testing.assert_close(products.linear(x, weight), x @ weight.T)
    finally:
        products._onednn_works.cache_clear()


# --- the prompt that carries the embedding at its point -------------------------------------------


def test_prompt_projection_starts_without_effect():
    torch.manual_seed(1)
    with_projection = SafireModel(ModelConfig.lite()).eval()
    plain = SafireModel(ModelConfig.lite(prompt_from_embedding=False)).eval()
    assert plain.prompt_projection is None
    plain.load_state_dict(
        {k: v for k, v in with_projection.state_dict().items() if "projection." not in k[:18]}
    )
    feats, points = torch.randn(1, 64, 4, 6), [[3.0, 5.0], [90.0, 60.0]]
    torch.testing.assert_close(
        with_projection.decode(feats, points)[0], plain.decode(feats, points)[0]
    )


@pytest.mark.parametrize("row", [0, 2, 3])
@pytest.mark.parametrize("col", [0, 1, 4])
def test_prompt_samples_the_embedding_at_cell_centres(row, col):
    """At the centre of a cell, (16 i + 7.5), the sample is that cell's feature."""
    from napari_safire.model.decoder import _sample

    feats = torch.randn(1, 8, 4, 5)
    centre = torch.tensor([[[16.0 * col + 8, 16.0 * row + 8]]])
    torch.testing.assert_close(_sample(feats, centre)[0, 0], feats[0, :, row, col])


def test_training_reaches_every_weight_that_decides():
    model = SafireModel(ModelConfig.lite())
    logits, confidence = model.decode(
        model.encode(torch.rand(2, 3, 32, 48) * 255), torch.ones(2, 3, 2)
    )
    (logits.mean() + confidence.mean()).backward()
    assert all(value.grad is not None for value in model.image_encoder.parameters())
    assert model.prompt_projection.weight.grad.abs().sum() > 0


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixels", "error", "names"),
    [
        (torch.zeros(1, 3, 256, 240), ValueError, "256 x 256"),
        (torch.zeros(1, 3, 512, 512), ValueError, "256 x 256"),
        (torch.zeros(3, 256, 256), ValueError, r"\(B, 3, H, W\)"),
        (torch.zeros(1, 4, 256, 256), ValueError, r"\(B, 3, H, W\)"),
        (torch.zeros(0, 3, 256, 256), ValueError, r"\(B, 3, H, W\)"),
        (torch.zeros(1, 3, 256, 256, dtype=torch.uint8), TypeError, "uint8"),
        (np.zeros((1, 3, 256, 256)), TypeError, "ndarray"),
    ],
)
def test_encode_refuses(golden, pixels, error, names):
    with pytest.raises(error, match=names):
        golden.encode(pixels)


def test_lite_encodes_any_multiple_of_16_and_nothing_else():
    model = lite()
    with torch.inference_mode():
        assert model.encode(torch.rand(2, 3, 48, 80) * 255).shape == (2, 64, 3, 5)
    with pytest.raises(ValueError, match="multiples of 16"):
        model.encode(torch.zeros(1, 3, 48, 81))


@pytest.mark.parametrize(
    ("feats", "points", "error", "names"),
    [
        (torch.zeros(1, 16, 4, 4), [[0, 0]], ValueError, "32"),
        (torch.zeros(32, 4, 4), [[0, 0]], ValueError, "32"),
        (np.zeros((1, 32, 4, 4)), [[0, 0]], TypeError, "feats"),
        (torch.zeros(1, 32, 4, 4), [0, 0], ValueError, "points_xy"),
        (torch.zeros(1, 32, 4, 4), [[0, 0, 0]], ValueError, "points_xy"),
        (torch.zeros(2, 32, 4, 4), [[0, 0]], ValueError, "2 images"),
        (torch.zeros(2, 32, 4, 4), [[[0, 0]]], ValueError, "points_xy"),
        (torch.zeros(1, 32, 4, 4), [[0, float("nan")]], ValueError, "finite"),
    ],
)
def test_decode_refuses(golden, feats, points, error, names):
    with pytest.raises(error, match=names):
        golden.decode(feats, points)


@pytest.mark.parametrize("device", ["gpu", "cuda:999", "meta", "", 3.5])
def test_unknown_or_absent_devices_are_refused(device):
    with pytest.raises(ValueError, match="device"):
        resolve_device(device)


def test_auto_is_a_device_of_this_machine():
    assert resolve_device("auto").type in {"cpu", "cuda", "mps"}


# --- how SAM is loaded ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_process() -> dict[str, Any]:
    """What a new process, which takes two seconds to load torch, makes of a model sent to it."""
    code = """
import json, pickle, sys
model = pickle.load(sys.stdin.buffer)
from napari_safire import load_model
load_model("safire-lite")
print(json.dumps({"sent": model.config.architecture, "loaded": sorted(sys.modules)}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(lite()), check=True, capture_output=True
    )
    return json.loads(done.stdout)


def test_a_model_is_loaded_without_torchvision_sams_package_file_and_the_compiler(other_process):
    loaded = set(other_process["loaded"])
    assert "torch" in loaded
    assert loaded.isdisjoint({"torch._dynamo", "sympy"})
    assert {name.split(".")[0] for name in loaded}.isdisjoint({"torchvision", "segment_anything"})


def test_missing_sam_is_one_sentence():
    code = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "segment_anything" else found(name)
import napari_safire.model.sam_modules
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install segment-anything" in done.stderr.splitlines()[-1]


def test_models_can_be_sent_to_another_process(other_process):
    """A new process finds the private classes again."""
    assert other_process["sent"] == "lite"
