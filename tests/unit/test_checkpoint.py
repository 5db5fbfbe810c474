"""Model files: round trips, what training starts from, and refusals of one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle  # reviewed: writes bombs, reads none
import shutil
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from refusals import refusal
from safetensors.torch import load_file, save_file
from toys import VIT_H, VIT_L, small_vit, write_published_layout

from napari_safire.errors import CheckpointError
from napari_safire.model import (
    ModelConfig,
    SafireModel,
    available_models,
    describe_checkpoint,
    initialise_from,
    load_checkpoint,
    load_model,
    model_path,
    save_checkpoint,
    verify,
)
from napari_safire.model.catalogue import registry

SMALL_VIT = small_vit()
refused = partial(refusal, CheckpointError)


class Bomb:
    """What a malicious file would hold: unpickling it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def model() -> SafireModel:
    return SafireModel(SMALL_VIT).eval()


@pytest.fixture
def saved(model, tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    save_checkpoint(model, path, metadata={"name": "small", "licence": "BSD-3-Clause"})
    return path


@pytest.fixture
def published(model, tmp_path) -> Path:
    path = tmp_path / "published.pth"
    write_published_layout(model, path)
    return path


def assert_same_weights(first: SafireModel, second: SafireModel) -> None:
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SMALL_VIT, ModelConfig.lite()], ids=["vit", "lite"])
def test_own_format_brings_everything_back(config, tmp_path):
    model = SafireModel(config)
    path = tmp_path / "model.safetensors"
    save_checkpoint(model, path, metadata={"name": "m", "calibration": {"slope": 1.5}})
    found = load_checkpoint(path)
    assert_same_weights(found, model)
    assert found.config == config
    assert found.metadata == {"name": "m", "calibration": {"slope": 1.5}}
    assert found.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.training
    assert not any(value.is_meta for value in [*found.parameters(), *found.buffers()])
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]


def test_loaded_models_compute_the_same(model, saved, published):
    pixels = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        wanted = model.encode(pixels)
        torch.testing.assert_close(load_model(saved, device="cpu").encode(pixels), wanted)
        torch.testing.assert_close(load_model(published, device="cpu").encode(pixels), wanted)


def test_loaded_weights_can_be_trained_and_do_not_hang_on_the_file(saved):
    model = load_checkpoint(saved)
    before = model.state_dict()["mask_decoder.iou_token.weight"].clone()
    saved.write_bytes(b"")
    logits, _ = model.decode(model.encode(torch.rand(1, 3, 64, 64)), [[5, 5]])
    logits.sum().backward()
    assert torch.equal(model.state_dict()["mask_decoder.iou_token.weight"], before)
    assert model.mask_decoder.iou_token.weight.grad is not None


def test_metadata_travel_on(saved, tmp_path):
    model = load_checkpoint(saved)
    save_checkpoint(model, tmp_path / "next.safetensors", metadata={"name": "next"})
    assert load_checkpoint(tmp_path / "next.safetensors").metadata == {
        "name": "next",
        "licence": "BSD-3-Clause",
    }


def test_published_layout_tells_its_sizes(model, published):
    found = load_checkpoint(published)
    assert found.config == SMALL_VIT
    assert_same_weights(found, model)


@pytest.mark.parametrize("config", [VIT_L, VIT_H])
def test_sizes_of_large_models_are_inferred(config):
    from napari_safire.model.files.sizes import infer_config

    with torch.device("meta"):
        state = SafireModel(config).state_dict()
    assert infer_config(state, Path("large.pth")) == config


def test_golden_checkpoint_is_loaded_with_its_config(parity):
    config = ModelConfig.from_json(parity.config)
    model = load_model(parity.checkpoint, config=config, device="cpu")
    stored = torch.load(parity.checkpoint, weights_only=True)["model"]
    assert {f"module.{key}" for key in model.state_dict()} == set(stored)
    assert model.metadata["epoch"] == 133


def test_other_layouts_of_the_same_weights(model, tmp_path):
    state = model.state_dict()
    for number, payload in enumerate([state, {"model": state}, {"model": state, "epoch": 3}]):
        path = tmp_path / f"{number}.pth"
        torch.save(payload, path)
        assert_same_weights(load_checkpoint(path), model)


def test_what_published_files_hold_beside_the_weights_is_left_alone(model, tmp_path):
    optimizer = torch.optim.AdamW(model.parameters())
    path = tmp_path / "training.pth"
    payload = {
        "model": torch.nn.DataParallel(model).state_dict(),  # with the versions of its modules
        "optimizer": optimizer.state_dict(),
        "epoch": 7,
        "loss": [0.5, float("nan")],
        "random": torch.get_rng_state(),
        "size": torch.Size([2]),
        "kind": torch.float16,
    }
    torch.save(payload, path)
    found = load_checkpoint(path)
    assert_same_weights(found, model)
    assert found.metadata == {"name": "training", "epoch": 7}


def test_the_layout_without_checksums_is_refused_with_a_way_out(model, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert "save the weights again with torch.save" in refused(load_checkpoint, path)


def test_half_precision_files_become_float32(model, tmp_path):
    path = tmp_path / "half.pth"
    torch.save({"model": {key: value.half() for key, value in model.state_dict().items()}}, path)
    assert {value.dtype for value in load_checkpoint(path).parameters()} == {torch.float32}


def test_vit_b_in_the_published_layout(parity, tmp_path):
    """Every one of the 348 keys is accounted for, and one more or less is refused."""
    path = tmp_path / "safire.pth"
    state = {
        f"module.{key}": torch.full(shape, 0.5, dtype=torch.bfloat16)
        for key, (shape, _) in parity.vit_b.items()
    }
    torch.save({"model": state, "epoch": 133}, path)
    assert describe_checkpoint(path) == "published SAFIRE (ViT-B, epoch 133)"
    model = load_model(path, device="cpu")
    assert model.config == ModelConfig.vit_b()
    assert set(model.state_dict()) == set(parity.vit_b)


def test_one_key_more_or_less_is_refused(model, tmp_path):
    path, state = tmp_path / "safire.pth", dict(model.state_dict())
    left_out = state.pop("mask_decoder.iou_token.weight")
    torch.save({"model": state}, path)
    assert "1 missing (mask_decoder.iou_token.weight)" in refused(load_model, path, device="cpu")
    state["mask_decoder.iou_token.weight"] = left_out
    state["mask_decoder.another.weight"] = left_out.clone()
    torch.save({"model": state}, path)
    assert "1 unexpected (mask_decoder.another" in refused(load_model, path, device="cpu")


# --- what training starts from --------------------------------------------------------------------


def test_initialise_from_whole_files_leaves_nothing_fresh(saved, published, model):
    for path in (saved, published):
        other = SafireModel(SMALL_VIT)
        assert initialise_from(other, path) == []
        assert_same_weights(other, model)
        assert other.metadata["initialised"] == "full"


def test_a_deeper_lite_model_starts_where_the_shallower_one_stands(tmp_path):
    torch.manual_seed(1)
    shallow = SafireModel(ModelConfig.lite()).eval()
    save_checkpoint(shallow, tmp_path / "shallow.safetensors")
    depth = shallow.config.depth + 2
    deep = SafireModel(replace(shallow.config, depth=depth)).eval()
    fresh = initialise_from(deep, tmp_path / "shallow.safetensors")
    assert {key.split(".")[2] for key in fresh} == {str(depth - 2), str(depth - 1)}
    pixels = torch.rand(1, 3, 64, 96) * 255
    torch.testing.assert_close(deep.encode(pixels), shallow.encode(pixels))
    deep.encode(pixels).square().sum().backward()
    last = deep.image_encoder.blocks[-1]
    assert last.proj.weight.grad.abs().max() > 0, "the new blocks can learn"
    save_checkpoint(deep, tmp_path / "deep.safetensors")
    with pytest.raises(CheckpointError, match=f"depth {depth} instead of {depth - 2}"):
        initialise_from(shallow, tmp_path / "deep.safetensors")


@pytest.mark.parametrize("config", [SMALL_VIT, ModelConfig.lite()], ids=["vit", "lite"])
def test_initialise_from_the_encoder_alone(config, tmp_path):
    source, target = SafireModel(config), SafireModel(config)
    path = tmp_path / "pretrained.pth"
    write_published_layout(source, path, encoder_only=True)
    fresh = initialise_from(target, path)
    assert fresh == sorted(k for k in target.state_dict() if not k.startswith("image_encoder."))
    for key, value in source.image_encoder.state_dict().items():
        assert torch.equal(target.image_encoder.state_dict()[key], value)
    assert target.metadata["initialised"] == "encoder only"
    assert target.metadata["initialised_from"]["file"] == "pretrained.pth"


def plain_sam(model: SafireModel) -> dict[str, torch.Tensor]:
    return {
        key: value
        for key, value in model.state_dict().items()
        if not key.startswith(("image_encoder.adaptor_", "image_encoder.hfp_"))
    }


def test_initialise_from_plain_sam(model, tmp_path):
    path = tmp_path / "sam_vit_b.pth"
    torch.save(plain_sam(model), path)
    target = SafireModel(SMALL_VIT)
    fresh = initialise_from(target, path)
    assert fresh
    assert all(key.startswith(("image_encoder.adaptor_", "image_encoder.hfp_")) for key in fresh)
    assert len(fresh) + len(plain_sam(model)) == len(model.state_dict())
    assert target.metadata["initialised"] == "SAM"
    assert "plain SAM file" in refused(load_model, path, device="cpu")


def test_initialise_from_refuses_and_leaves_the_model_alone(model, tmp_path):
    path = tmp_path / "sam.pth"
    state = plain_sam(model)
    state["mask_decoder.iou_token.weight"] = torch.zeros(1, 31)
    torch.save(state, path)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert "(1, 31) instead of (1, 32)" in refused(initialise_from, model, path)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert "initialised" not in model.metadata


def test_initialise_from_refuses_another_number_of_heads(saved):
    """The shapes are the same, the arithmetic is not."""
    other = SafireModel(ModelConfig.from_dict(SMALL_VIT.to_dict() | {"decoder_heads": 4}))
    assert "decoder_heads 8 instead of 4" in refused(initialise_from, other, saved)


def test_prompt_projection_may_be_new(tmp_path):
    path = tmp_path / "pretrained.safetensors"
    save_checkpoint(SafireModel(ModelConfig.lite(prompt_from_embedding=False)), path)
    fresh = initialise_from(SafireModel(ModelConfig.lite()), path)
    assert fresh == ["prompt_projection.bias", "prompt_projection.weight"]


# --- refusals -------------------------------------------------------------------------------------


def bad_files(folder: Path, published: Path, saved: Path) -> dict[str, Path]:
    files = {}

    def make(name: str, content: bytes) -> None:
        files[name] = folder / name
        files[name].write_bytes(content)

    make("empty.pth", b"")
    make("empty.safetensors", b"")
    make("text.pth", b"These are not the weights you are looking for.\n")
    make("text.safetensors", b"These are not the weights you are looking for.\n")
    make("short.pth", published.read_bytes()[:-1000])
    make("start.pth", published.read_bytes()[:30])
    make("short.safetensors", saved.read_bytes()[:-1])
    make("start.safetensors", saved.read_bytes()[:5])
    make("pickle.pth", pickle.dumps({"model": {"a": 1}}))
    files["missing.pth"] = folder / "missing.pth"
    files["folder.pth"] = folder / "folder.pth"
    files["folder.pth"].mkdir()
    for name, payload in {
        "other_keys.pth": {"model": {"conv1.weight": torch.zeros(3)}},
        "numbers.pth": {"model": {"image_encoder.pos_embed": 3}},
        "no_weights.pth": {"model": {}},
        "tensor.pth": torch.zeros(3),
        "list.pth": [1, 2],
        "part.pth": {"image_encoder.adaptor_patch_embed_tune.bias": torch.zeros(4)},
    }.items():
        files[name] = folder / name
        torch.save(payload, files[name])
    files["zip.pth"] = folder / "zip.pth"
    with zipfile.ZipFile(files["zip.pth"], "w") as archive:
        archive.writestr("readme.txt", "hello")
    tensors = load_file(saved)
    for name, header in {
        "foreign.safetensors": None,
        "no_config.safetensors": {"format": "napari-safire/1", "metadata": "{}"},
        "no_json.safetensors": {"format": "napari-safire/1", "config": "{", "metadata": "{}"},
        "bad_config.safetensors": {
            "format": "napari-safire/1",
            "config": '{"depth": 0}',
            "metadata": "{}",
        },
        "bad_metadata.safetensors": {
            "format": "napari-safire/1",
            "config": json.dumps(SMALL_VIT.to_dict()),
            "metadata": "[]",
        },
        "other_config.safetensors": {
            "format": "napari-safire/1",
            "config": json.dumps(ModelConfig.lite().to_dict()),
            "metadata": "{}",
        },
    }.items():
        files[name] = folder / name
        save_file(tensors, files[name], metadata=header)
    return files


def test_bad_files_are_refused_by_one_sentence_that_names_them(tmp_path, published, saved):
    folder = tmp_path / "bad"
    folder.mkdir()
    for name, path in bad_files(folder, published, saved).items():
        assert str(path) in refused(load_model, path, device="cpu"), name
        assert str(path) in refused(initialise_from, SafireModel(SMALL_VIT), path), name


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_not_run(tmp_path, zipped):
    path, trap = tmp_path / "evil.pth", tmp_path / "trap"
    torch.save({"model": {"a": Bomb(trap)}}, path, _use_new_zipfile_serialization=zipped)
    assert "not run" in refused(load_model, path, device="cpu")
    path.write_bytes(pickle.dumps(Bomb(trap)))
    assert "not run" in refused(load_model, path, device="cpu")
    assert not trap.exists()


def test_other_shapes_are_counted_and_named(model, tmp_path):
    path = tmp_path / "shapes.pth"
    state = model.state_dict()
    state["mask_decoder.mask_tokens.weight"] = torch.zeros(3, 32)
    torch.save({"model": state}, path)
    sentence = refused(load_model, path, device="cpu")
    assert "1 of another shape (mask_decoder.mask_tokens.weight (3, 32) instead of (4, 32))" in (
        sentence
    )


def test_a_config_that_does_not_fit_is_refused(published):
    config = ModelConfig.from_dict(SMALL_VIT.to_dict() | {"depth": 2})
    assert "unexpected" in refused(load_model, published, config=config, device="cpu")


def test_writing_leaves_nothing_half_written(model, saved, tmp_path, monkeypatch):
    before = saved.read_bytes()
    with pytest.raises(TypeError, match="JSON"):
        save_checkpoint(model, saved, metadata={"photo": object()})

    def fails(path, content):
        with open(path, "wb") as stream:
            stream.write(content[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fails)
    assert "No space left" in refused(save_checkpoint, model, saved)
    assert saved.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [saved.name]


def test_writing_to_an_impossible_place_is_refused(model, tmp_path):
    for path in (tmp_path / "no" / "folder.safetensors", tmp_path):
        assert "cannot be written" in refused(save_checkpoint, model, path)


# --- registry -------------------------------------------------------------------------------------


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    """A folder of weights in place of the package's own, with a small safire-lite."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path = folder / "safire-lite.safetensors"
    save_checkpoint(SafireModel(ModelConfig.lite()), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {path.name}\n")
    monkeypatch.setattr(registry, "_WEIGHTS", folder)
    return folder


def test_registered_models_are_found_and_intact(weights):
    (entry,) = available_models()
    assert model_path("safire-lite") == weights / entry.filename
    assert verify("safire-lite") == entry.sha256
    model = load_model("safire-lite", device="cpu")
    assert model.checkpoint_sha256 == entry.sha256
    assert model.config.architecture == entry.architecture == "lite"


def test_altered_weights_are_noticed(weights):
    save_checkpoint(
        SafireModel(ModelConfig.lite()), model_path("safire-lite"), metadata={"altered": True}
    )
    assert "SHA-256" in refused(verify, "safire-lite")
    assert "SHA-256" in refused(load_model, "safire-lite", device="cpu")


def test_weights_without_a_listed_hash_load_but_do_not_verify(weights):
    (weights / "SHA256SUMS").unlink()
    assert available_models()[0].sha256 is None
    load_model("safire-lite", device="cpu")
    assert "lists no hash" in refused(verify, "safire-lite")


def test_a_damaged_list_of_hashes_is_named(weights):
    (weights / "SHA256SUMS").write_text("\nabc safire-lite.safetensors\n")
    assert "Line 2" in refused(available_models)


def test_missing_weights_are_one_sentence(weights):
    shutil.rmtree(weights)
    for call in (model_path, verify, load_model):
        assert "missing" in refused(call, "safire-lite")


def test_unknown_devices_are_refused_before_reading(saved):
    with pytest.raises(ValueError, match="Unknown device 'gpu'"):
        load_model(saved, device="gpu")
