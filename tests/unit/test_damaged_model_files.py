"""Model files that cannot lie or hurt: damage, bombs and tricks are one sentence, at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from robustness.fuzzing import checkpoints as fuzz_checkpoints
from safetensors.torch import save_file
from systems import posix
from toys import tiny_lite, write_published_layout

from napari_safire.engine import Engine
from napari_safire.errors import CheckpointError
from napari_safire.learning.sam import load_sam
from napari_safire.model import (
    ModelConfig,
    SafireModel,
    describe_checkpoint,
    inspect_checkpoint,
    load_checkpoint,
    load_model,
    model_path,
    save_checkpoint,
)
from napari_safire.model.catalogue import registry
from napari_safire.model.files.own_file import FIRST_FORMAT, FORMAT, own_file_bytes
from napari_safire.model.files.self_test import check_self_test, self_test_of
from napari_safire.model.files.strict_json import parse_json

TINY = tiny_lite()
TINY_VIT = fuzz_checkpoints.TINY_VIT


def refusal(call: Callable[..., object], *arguments: Any, **named: Any) -> str:
    """The sentence of the CheckpointError that the call raises."""
    with pytest.raises(CheckpointError) as caught:
        call(*arguments, **named)
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert sentence.endswith(".")
    assert len(sentence) < 800
    return sentence


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small model in each format."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(3)
    lite, vit = SafireModel(TINY).eval(), SafireModel(TINY_VIT).eval()
    save_checkpoint(lite, folder / "own.safetensors", metadata={"name": "tiny"})
    write_published_layout(vit, folder / "published.pth")
    return SimpleNamespace(
        lite=lite,
        vit=vit,
        own=(folder / "own.safetensors").read_bytes(),
        published=(folder / "published.pth").read_bytes(),
    )


def put(folder: Path, content: bytes, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def resaved(made: SimpleNamespace, path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The published file with another state."""
    state = {name: tensor.clone() for name, tensor in made.vit.state_dict().items()}
    change(state)
    torch.save({"model": state}, path)
    return path


def signed(made: SimpleNamespace, config: dict[str, Any], metadata: dict[str, Any]) -> bytes:
    """A file of our own with a right digest, whatever it says."""
    stands_for = SimpleNamespace(to_dict=lambda: made.lite.config.to_dict() | config)
    tensors = {name: tensor for name, tensor in made.lite.state_dict().items()}
    return own_file_bytes(tensors, stands_for, metadata, {})  # type: ignore[arg-type]


# --- flipped bits, checksums ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["own.safetensors", "published.pth"])
def test_no_flipped_bit_changes_a_model_that_loads(made, tmp_path, name):
    whole = made.own if name.startswith("own") else made.published
    wanted = load_checkpoint(put(tmp_path, whole, f"whole-{name}"))
    rng, sentences = random.Random(5), []
    for _ in range(40):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path = put(tmp_path, bytes(changed), name)
        try:
            found = load_checkpoint(path)
        except CheckpointError as error:
            sentences.append(str(error))
        else:  # a bit between entries, or of a date
            torch.testing.assert_close(found.state_dict(), wanted.state_dict(), rtol=0, atol=0)
    assert len(sentences) >= 25
    assert all(str(path) in sentence for sentence in sentences)


def test_a_packed_archive_is_not_taken_for_weights(made, tmp_path):
    """PyTorch maps a packed entry from the disk as if it were the values."""
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        packed = fuzz_checkpoints.rezipped(made.published, lambda _, content: content, method)
        path = put(tmp_path, packed, "packed.pth")
        assert "is packed" in refusal(load_checkpoint, path)
    stored = fuzz_checkpoints.rezipped(made.published, lambda _, content: content)
    found = load_checkpoint(put(tmp_path, stored, "stored.pth"))  # and not aligned any more
    torch.testing.assert_close(found.state_dict(), made.vit.state_dict(), rtol=0, atol=0)


def test_a_flipped_bit_of_a_weight_is_told_by_its_checksum(made, tmp_path):
    changed = bytearray(made.published)
    largest = max(zipfile.ZipFile(io.BytesIO(made.published)).infolist(), key=lambda e: e.file_size)
    changed[largest.header_offset + 200 + largest.file_size // 2] ^= 0x40
    sentence = refusal(load_checkpoint, put(tmp_path, bytes(changed), "flipped.pth"))
    assert f"the checksum of its entry {largest.filename} is wrong" in sentence


def test_what_a_file_says_of_itself_is_vouched_for_too(made, tmp_path):
    for field in ("config", "metadata", "self_test", "format", "digest"):
        header, content = fuzz_checkpoints.parted(made.own)
        del header["__metadata__"][field]
        path = put(tmp_path, fuzz_checkpoints.joined(header, content), "lacks.safetensors")
        refusal(load_checkpoint, path)
    header, content = fuzz_checkpoints.parted(made.own)
    header["__metadata__"]["metadata"] = '{"name": "tinx"}'
    path = put(tmp_path, fuzz_checkpoints.joined(header, content), "other.safetensors")
    assert "have changed since it was written" in refusal(load_checkpoint, path)
    header["__metadata__"]["format"] = FIRST_FORMAT  # and no digest would be asked for
    path = put(tmp_path, fuzz_checkpoints.joined(header, content), "first.safetensors")
    refusal(load_checkpoint, path)


def test_saving_again_gives_the_same_bytes(made, tmp_path):
    save_checkpoint(load_checkpoint(put(tmp_path, made.own, "a.safetensors")), tmp_path / "b")
    first, second = (
        fuzz_checkpoints.parted(data)[0]["__metadata__"]
        for data in (made.own, (tmp_path / "b").read_bytes())
    )
    assert first == second
    assert first["format"] == FORMAT


# --- files of the first format --------------------------------------------------------------------


def first_format(made: SimpleNamespace, path: Path, **metadata: Any) -> Path:
    header = {
        "format": FIRST_FORMAT,
        "config": json.dumps(made.lite.config.to_dict()),
        "metadata": json.dumps(metadata),
    }
    save_file(made.lite.state_dict(), path, metadata=header)
    return path


def test_a_file_without_a_digest_loads_and_says_so(made, tmp_path):
    model = load_checkpoint(first_format(made, tmp_path / "old.safetensors", name="ours"))
    torch.testing.assert_close(model.state_dict(), made.lite.state_dict(), rtol=0, atol=0)
    (notice,) = Engine(model).notices
    assert "old.safetensors has no checksums" in notice


def test_a_changed_copy_of_the_shipped_model_is_refused(tmp_path):
    """Wherever it lies, whatever it is called: the shipped file carries a digest."""
    content = bytearray(model_path("safire-lite").read_bytes())
    copy = put(tmp_path, bytes(content), "copy.safetensors")
    assert load_checkpoint(copy).warnings == ()
    for at in (len(content) // 2, len(content) - 1):
        changed = content.copy()
        changed[at] ^= 1
        put(tmp_path, bytes(changed), "copy.safetensors")
        for call in (load_checkpoint, inspect_checkpoint, load_model):
            assert "is damaged" in refusal(call, copy)


def test_earlier_versions_of_the_shipped_model_are_known(made, tmp_path, monkeypatch):
    path = first_format(made, tmp_path / "x.safetensors", name="safire-lite")
    refusal(load_checkpoint, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS.earlier").write_text(f"{digest}  safire-lite-1.safetensors\n")
    monkeypatch.setattr(registry, "_WEIGHTS", tmp_path)
    assert load_checkpoint(path).warnings == ()


# --- values that are no weights -------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["image_encoder.neck", "mask_decoder.iou_token.weight"])
def test_values_that_are_not_finite_are_named(made, tmp_path, value, part):
    name = next(key for key in made.vit.state_dict() if key.startswith(part))
    path = resaved(made, tmp_path / "x.pth", lambda s: s[name].view(-1)[-1:].fill_(value))
    for call in (load_checkpoint, describe_checkpoint):
        sentence = refusal(call, path)
        assert f"1 of its tensors ({name}) hold values that are not finite" in sentence


def test_values_that_float32_cannot_hold_are_not_finite(made, tmp_path):
    name = "mask_decoder.iou_token.weight"
    path = resaved(made, tmp_path / "x.pth", lambda s: s.update({name: s[name].double() * 1e300}))
    assert f"({name})" in refusal(load_checkpoint, path)


def test_a_layer_of_zeros_is_named(made, tmp_path):
    name = "mask_decoder.transformer.layers.0.mlp.lin1.weight"
    path = resaved(made, tmp_path / "x.pth", lambda s: s[name].zero_())
    assert f"({name}) hold zeros only" in refusal(load_checkpoint, path)
    path = resaved(made, tmp_path / "x.pth", lambda s: [v.zero_() for v in s.values()])
    assert "hold zeros only" in refusal(load_checkpoint, path)


def test_zeros_that_models_begin_with_are_no_damage(made, tmp_path):
    lite = SafireModel(tiny_lite(depth=2))
    lite.image_encoder.start_block_as_identity(1)
    assert not lite.prompt_projection.weight.any()
    save_checkpoint(lite, tmp_path / "fresh.safetensors")
    load_checkpoint(tmp_path / "fresh.safetensors")
    unused = "prompt_encoder.mask_downscaling.3.weight"
    path = resaved(made, tmp_path / "x.pth", lambda s: s[unused].zero_())
    load_checkpoint(path)


ODD = {
    "meta": lambda t: t.to("meta"),
    "sparse": lambda t: t.to_sparse(),
    "quantized": lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8),
    "negative": torch._neg_view,
    "one value repeated": lambda t: torch.zeros(1).expand(t.shape),
    "one value repeated without end": lambda t: torch.zeros(1).expand(2**20, 2**20, 2**10),
    "complex": lambda t: t.to(torch.complex64),
    "eight bits": lambda t: t.to(torch.float8_e4m3fn),
    "bool": lambda t: t > 0,
    "int": lambda t: t.int(),
    "empty": lambda t: torch.zeros(0),
    "list": lambda t: [t],
    "text": lambda t: "x" * 10**5,
}


@pytest.mark.parametrize("kind", ODD)
def test_tensors_that_no_model_has_are_one_sentence(made, tmp_path, kind):
    name = "mask_decoder.iou_token.weight"
    path = resaved(made, tmp_path / "x.pth", lambda s: s.update({name: ODD[kind](s[name])}))
    for call in (load_checkpoint, inspect_checkpoint):
        assert str(path) in refusal(call, path)


def test_names_in_a_file_are_printed_and_not_obeyed(made, tmp_path):
    path = resaved(
        made, tmp_path / "x.pth", lambda s: s.update({"\x1b]0;owned\x07\n" * 50: torch.ones(1)})
    )
    assert "\\x1b]0;owned" in refusal(load_checkpoint, path)


def test_two_names_of_one_weight_are_refused(made, tmp_path):
    name = "mask_decoder.iou_token.weight"
    path = resaved(made, tmp_path / "x.pth", lambda s: s.update({f"module.{name}": s[name] + 1}))
    assert "twice" in refusal(load_checkpoint, path)


# --- code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02}(X\x05\x00\x00\x00modelcos\nsystem\n(X\x0b\x00\x00\x00touch ownedtRu.",
        b"\x80\x02cbuiltins\neval\n.",
        b"\x80\x02ctorch.hub\nload\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02(ios\nsystem\n.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
        b"\x80\x02)" + b"\x85" * 500_000 + b"}" + b".",
        b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"Ns.",
        b"",
        b"\x80\x02",
        b"\x80\x02}(X\x05\x00\x00\x00modelK\x01u.",
    ],
)
def test_a_pickle_is_read_and_not_run(made, tmp_path, monkeypatch, code):
    monkeypatch.chdir(tmp_path)
    evil = fuzz_checkpoints.rezipped(
        made.published, lambda name, content: code if name.endswith("data.pkl") else content
    )
    began = time.monotonic()
    refusal(load_checkpoint, put(tmp_path, evil, "evil.pth"))
    assert time.monotonic() - began < 10
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


# --- bombs ----------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("asked", fuzz_checkpoints.BOMBS, ids=lambda asked: str(asked)[:50])
def test_sizes_are_compared_before_anything_is_built(made, tmp_path, asked):
    import resource

    if asked.get("architecture") == "vit":
        asked = ModelConfig.vit_b().to_dict() | asked
    path = put(tmp_path, signed(made, asked, {}), "bomb.safetensors")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    for call in (describe_checkpoint, load_checkpoint):
        assert str(path) in refusal(call, path)
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 30 + "1" + "}" * 30,
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 5000 + "}",
        "[]",
        "null",
        "",
        '{"name": 3}',
        '{"licence": ["MIT"]}',
    ],
)
@pytest.mark.parametrize("field", ["config", "metadata"])
def test_odd_json_is_one_sentence(made, tmp_path, text, field):
    header = {"format": FIRST_FORMAT, "config": json.dumps(TINY.to_dict()), "metadata": "{}"}
    header[field] = text
    path = tmp_path / "odd.safetensors"
    save_file(made.lite.state_dict(), path, metadata=header)
    assert str(path) in refusal(load_checkpoint, path)


def test_json_has_one_meaning():
    assert parse_json('{"a": [1, -2.5, "x", null, true]}') == {"a": [1, -2.5, "x", None, True]}
    assert parse_json(b"[" * 24 + b"]" * 24)
    with pytest.raises(ValueError, match="more than 24 levels"):
        parse_json("[" * 25 + "1" + "]" * 25)


@posix
@pytest.mark.parametrize("name", ["model.pth", "model.safetensors", "config.json"])
def test_a_pipe_is_not_waited_for(made, tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    call = ModelConfig.from_json if name == "config.json" else load_checkpoint
    assert str(path) in refusal(call, path)


def test_sam_is_not_built_before_its_sizes_are_known(tmp_path):
    state = {
        "image_encoder.pos_embed": torch.ones(1, 4, 4, 8),
        "image_encoder.patch_embed.proj.weight": torch.ones(8, 3, 16, 16),
        "mask_decoder.transformer.layers.99999.x": torch.ones(1),
    }
    torch.save(state, tmp_path / "sam.pth")
    refusal(load_sam, tmp_path / "sam.pth")


# --- the self-test --------------------------------------------------------------------------------


def test_a_model_that_computes_something_else_is_not_used(made, tmp_path, monkeypatch):
    path = put(tmp_path, made.own, "x.safetensors")
    load_checkpoint(path)
    right = SafireModel.encode
    monkeypatch.setattr(SafireModel, "encode", lambda self, pixels: right(self, pixels) * 1.01)
    assert "does not compute what it did when it was saved" in refusal(load_checkpoint, path)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        TINY_VIT,
        ModelConfig(
            image_size=512,
            depth=1,
            global_attention=(),
            embed_dim=64,
            num_heads=2,
            prompt_dim=32,
            decoder_mlp_dim=16,
        ),
    ],
    ids=["lite", "vit", "large frame"],
)
def test_the_known_answer_is_stored_and_compared(config):
    model = SafireModel(config).eval()
    expected = json.loads(json.dumps(self_test_of(model)))
    assert check_self_test(model, expected) is None
    assert ("features" in expected) == (config.image_size != 512)
    expected["logits"][5] += 0.1
    assert "its logits differ by 0.1" in check_self_test(model, expected)
    for wrong in ({**expected, "more": []}, {**expected, "logits": [1]}, [], {"recipe": 1}):
        assert check_self_test(model, wrong) == "its self-test makes no sense"
    assert check_self_test(model, {"recipe": 2}) is None


def test_the_shipped_model_has_a_known_answer(monkeypatch):
    path = model_path("safire-lite")
    assert path.with_suffix(".self-test.json").is_file()
    right = SafireModel.decode
    load_model("safire-lite", device="cpu")

    def wrong(
        self: SafireModel, *arguments: Any, **named: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits, confidence = right(self, *arguments, **named)
        return logits + 0.05, confidence

    monkeypatch.setattr(SafireModel, "decode", wrong)
    assert "its logits differ" in refusal(load_model, "safire-lite", device="cpu")


def test_saving_in_the_middle_of_training_changes_nothing(made, tmp_path):
    model = SafireModel(TINY).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    save_checkpoint(model, tmp_path / "x.safetensors")
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    load_checkpoint(tmp_path / "x.safetensors")


def test_weights_of_a_training_that_failed_are_saved_but_not_used(made, tmp_path):
    model = SafireModel(TINY)
    with torch.no_grad():
        model.mask_decoder.iou_token.weight[0, 0] = float("nan")
    save_checkpoint(model, tmp_path / "x.safetensors")
    assert "not finite" in refusal(load_checkpoint, tmp_path / "x.safetensors")


# --- modes ----------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read_a_model(made, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save_checkpoint(made.lite, tmp_path / "own.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "own.safetensors").stat().st_mode) == mode


# --- what the fuzzer once found -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["own", "torch"])
def test_a_few_files_of_the_fuzzer(made, tmp_path, kind):
    """3,000 of them: ``tests/robustness/fuzz.py own torch``."""
    damages = fuzz_checkpoints.OWN if kind == "own" else fuzz_checkpoints.TORCH
    whole, wanted, name = (
        (made.own, made.lite, "x.safetensors")
        if kind == "own"
        else (made.published, made.vit, "x.pth")
    )
    sentences = []
    for number, damage in enumerate(damages):
        path = put(tmp_path, damage(whole, random.Random(number)), name)
        try:
            found = load_checkpoint(path)
            Engine(found)
        except CheckpointError as error:
            sentences.append(str(error))
        else:
            torch.testing.assert_close(found.state_dict(), wanted.state_dict(), rtol=0, atol=0)
    assert len(sentences) > len(damages) / 2
    assert all(sentence.isprintable() for sentence in sentences)
