"""ModelConfig: sizes, names, files, refusals."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import VIT_L

from napari_safire.errors import CheckpointError
from napari_safire.model import ModelConfig


def test_defaults_are_the_published_model():
    config = ModelConfig.vit_b()
    assert config == ModelConfig()
    assert (config.embed_dim, config.depth, config.num_heads) == (768, 12, 12)
    assert not config.native_resolution
    assert config.embedding_stride == 16


def test_lite_works_at_native_resolution_and_takes_changes():
    config = ModelConfig.lite(prompt_dim=32)
    assert config.native_resolution
    assert config.prompt_dim == 32


def test_reads_the_names_of_the_published_implementation(parity):
    config = ModelConfig.from_json(parity.config)
    assert config.image_size == 256
    assert config.global_attention == (1, 3)
    assert config.prompt_dim == 32
    assert config.confidence_depth == 3
    assert config.confidence_dim == 32
    assert config.adaptor_reduction == 4


@pytest.mark.parametrize("config", [VIT_L, ModelConfig.lite(max_cells=7)])
def test_json_round_trip(config, tmp_path):
    config.to_json(tmp_path / "config.json")
    assert ModelConfig.from_json(tmp_path / "config.json") == config
    assert ModelConfig.from_dict(config.to_dict()) == config


@given(
    heads=st.integers(1, 8),
    width=st.integers(1, 8),
    depth=st.integers(1, 6),
    cells=st.integers(1, 64),
    ratio=st.floats(0.5, 8),
)
def test_any_valid_sizes_survive_json(heads, width, depth, cells, ratio):
    config = ModelConfig(
        image_size=16 * cells,
        embed_dim=4 * heads * width,
        num_heads=heads,
        depth=depth,
        global_attention=tuple(range(0, depth, 2)),
        mlp_ratio=ratio,
    )
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "error", "names"),
    [
        ({"architecture": "cnn"}, ValueError, "cnn"),
        ({"depth": 0}, ValueError, "depth"),
        ({"depth": 2.0}, TypeError, "depth"),
        ({"depth": True}, TypeError, "depth"),
        ({"mlp_ratio": "four"}, TypeError, "mlp_ratio"),
        ({"mlp_ratio": -1}, ValueError, "mlp_ratio"),
        ({"mlp_ratio": float("nan")}, ValueError, "mlp_ratio"),
        ({"patch_size": 14}, ValueError, "patch_size"),
        ({"image_size": 1000}, ValueError, "image_size"),
        ({"num_heads": 7}, ValueError, "num_heads"),
        ({"adaptor_reduction": 5}, ValueError, "adaptor_reduction"),
        ({"global_attention": [2, 12]}, ValueError, "global_attention"),
        ({"global_attention": [2, 2]}, ValueError, "global_attention"),
        ({"global_attention": 3}, TypeError, "global_attention"),
        ({"prompt_dim": 20}, ValueError, "prompt_dim"),
        ({"decoder_heads": 7}, ValueError, "decoder_heads"),
        ({"mask_in_chans": 6}, ValueError, "mask_in_chans"),
        ({"prompt_from_embedding": 1}, TypeError, "prompt_from_embedding"),
        ({"stage_widths": [8, 8, 8, 8]}, ValueError, "stage_widths"),
        ({"architecture": "lite"}, ValueError, "stage_widths"),
        ({"architecture": "lite", "stage_widths": [8, 8, 8, 0]}, ValueError, "stage_widths"),
        ({"architecture": "lite", "stage_widths": [8, 8, 8, 8]}, ValueError, "num_heads"),
        ({"n_heads": 8}, ValueError, "n_heads"),
        ({"img_size": 1024, "image_size": 1024}, ValueError, "image_size"),
        ([1, 2], TypeError, "mapping|map"),
    ],
)
def test_wrong_values_are_named(values, error, names):
    with pytest.raises(error, match=names) as caught:
        ModelConfig.from_dict(values)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().depth = 3


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"depth": 0}', '{"n_heads": 1}', "\xff\xfe"])
def test_bad_config_files_are_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"config\.json"):
        ModelConfig.from_json(path)


def test_missing_config_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.json"):
        ModelConfig.from_json(tmp_path / "nowhere.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        ModelConfig.from_json(tmp_path)


def test_the_config_does_not_load_torch():
    code = (
        "import sys; from napari_safire.model import ModelConfig; ModelConfig.vit_b(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
