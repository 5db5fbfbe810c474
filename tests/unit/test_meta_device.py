"""All tensors on PyTorch's meta device: one that is made elsewhere, or is looked at, fails.

So does on a GPU what no machine without one can show: a tensor on the wrong device, and a question
that waits for the device in the middle of its work.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from toys import tiny_lite

from napari_safire.engine.asked_grid import RegionMeans
from napari_safire.engine.response import Spread, extremes
from napari_safire.geometry import Geometry
from napari_safire.learning.stages import ContrastStage, PromptStage, StageSettings
from napari_safire.model import ModelConfig, SafireModel
from napari_safire.types import Embedding

SIDE, CHANNELS, POINTS = 128, 16, 5
LITE = tiny_lite(prompt_from_embedding=True)
VIT = ModelConfig(
    image_size=SIDE, embed_dim=32, depth=2, num_heads=2, window_size=3, global_attention=(1,),
    prompt_dim=CHANNELS, decoder_mlp_dim=16, decoder_heads=2, confidence_dim=8,
)  # fmt: skip
CONFIGS = pytest.mark.parametrize("config", [LITE, VIT], ids=["lite", "vit"])


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has no autocast."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


def meta_model(config: ModelConfig) -> SafireModel:
    return SafireModel(config).to("meta")


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


@CONFIGS
@pytest.mark.parametrize("corners", [False, True])
def test_encoder_decoder_and_what_a_grid_asks(config: ModelConfig, corners: bool) -> None:
    model, cells = meta_model(config).eval(), SIDE // 16
    with torch.inference_mode():
        feats = model.encode(meta(1, 3, SIDE, SIDE))
        assert feats.shape == (1, CHANNELS, cells, cells)
        logits, confidence = model.decode(feats, meta(POINTS, 2), corners=corners)
        host, _ = model.decode(feats, np.ones((POINTS, 2)), corners=corners)
        per_cell = 2 if corners else 4
        shape = (POINTS, per_cell * cells, per_cell * cells)
        assert logits.shape == host.shape == shape
        assert confidence.shape == (POINTS,)
        geometry = Geometry((SIDE, SIDE), (SIDE, SIDE), (float(SIDE), float(SIDE)))
        zeros = np.zeros((CHANNELS, cells, cells), np.float32)
        means = RegionMeans(Embedding(zeros, geometry, "", ""), corners)(logits)
        assert means.shape == (POINTS, CHANNELS)
        Spread().add(logits)
        found = [feats, logits, host, confidence, means, extremes(logits), extremes(confidence)]
    assert {tensor.device.type for tensor in found} == {"meta"}


@CONFIGS
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", [ContrastStage, PromptStage])
def test_a_training_step(
    kind: type[ContrastStage] | type[PromptStage], config: ModelConfig, checkpointing: bool
) -> None:
    model = meta_model(config).train()
    if config.architecture == "vit":
        model.image_encoder.checkpointing = checkpointing
    everything = None if kind is ContrastStage else ("backbone", "prompt encoder", "decoder")
    stage = kind(model, StageSettings(learns=everything))
    batch = [meta(2, 3, SIDE, SIDE), meta(2, SIDE, SIDE, dtype=torch.int64)]
    if kind is PromptStage:
        batch += [meta(2, 3, 2), meta(2, 3, SIDE // 4, SIDE // 4, dtype=torch.int8)]
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    optimizer = torch.optim.AdamW(stage.trained())
    for _ in range(2):  # the second finds gradients and averages that are there
        optimizer.zero_grad(set_to_none=True)
        parts = stage(*batch)
        torch.stack(list(parts.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(stage.trained(), 1.0, error_if_nonfinite=False)
        optimizer.step()
        average.update_parameters(model)
    assert {value.device.type for value in parts.values()} == {"meta"}
    assert all(p.device.type == "meta" for p in average.parameters())
    assert any(p.grad is not None for p in stage.trained())


def test_points_of_a_tensor_on_the_cpu_are_looked_at() -> None:
    model = SafireModel(LITE)
    feats = torch.zeros(1, CHANNELS, 4, 4)
    for points in ([(0.0, float("nan"))], torch.tensor([[float("inf"), 1.0]])):
        with pytest.raises(ValueError, match="points_xy holds values that are not finite"):
            model.decode(feats, points)
