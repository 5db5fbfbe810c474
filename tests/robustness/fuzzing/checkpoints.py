"""Damage to model files, ours and PyTorch's, and what loading one must give.

A model that loads from a damaged file must be bit for bit the original; who can sign a file anew
may change what it says, not what it weighs (names that begin with ``signed``).
"""

from __future__ import annotations

import copy
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from napari_safire import load_model
from napari_safire.engine import Engine
from napari_safire.model import (
    ModelConfig,
    SafireModel,
    inspect_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from napari_safire.model.files.own_file import own_file_bytes

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.5, 1e308, -1e308, 1e-320, 2**31, 2**63, 10**30),
    *(float("nan"), float("inf"), 10**400, "", "x", "1", "\u00e9\x1b[2J", "\ud800", [], [1], [[]]),
    *({}, {"a": 1}, [None], ["x"], [1, 2], "a" * 100_000, list(range(10_000))),
]
BOMBS: list[dict[str, Any]] = [
    {"depth": 100_000},
    {"depth": 2**31},
    {"depth": 255},
    {"decoder_depth": 10**9},
    {"decoder_depth": 64},
    {"confidence_depth": 10**9},
    {"stage_widths": [4, 4, 16384, 16384]},
    {"stage_widths": [16384] * 4},
    {"decoder_mlp_dim": 400_000_000},
    {"prompt_dim": 2**18},
    {"image_size": 16 * 2**30},
    {"max_cells": 10**12},
    {"mlp_ratio": 1e300},
    {"mlp_ratio": 64},
    {"architecture": "vit", "stage_widths": [], "depth": 10**6, "global_attention": [0]},
    {"architecture": "vit", "stage_widths": [], "depth": 256, "global_attention": []},
]
TINY_LITE = ModelConfig.lite(
    stage_widths=(4, 4, 8, 8),
    depth=1,
    num_heads=2,
    prompt_dim=16,
    decoder_mlp_dim=16,
    decoder_heads=2,
    confidence_dim=8,
)
TINY_VIT = ModelConfig(
    image_size=128,
    embed_dim=32,
    depth=2,
    num_heads=2,
    global_attention=(1,),
    window_size=4,
    prompt_dim=16,
    decoder_mlp_dim=16,
    confidence_dim=8,
    mask_in_chans=4,
)


# --- damage to any file ---------------------------------------------------------------------------


def flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 8, 64])):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def stuffed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 64)) + data[at:]


def blanked(data: bytes, rng: random.Random) -> bytes:
    """A page of the disk that came back empty."""
    at, count = rng.randrange(len(data)), rng.choice([16, 512, 4096])
    return data[:at] + bytes(min(count, len(data) - at)) + data[at + count :]


# --- our own format -------------------------------------------------------------------------------


def parted(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: object, content: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def header_flipped(data: bytes, rng: random.Random) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    return flipped(data[: 8 + length], rng) + data[8 + length :]


def wrong_length(data: bytes, rng: random.Random) -> bytes:
    length, size = struct.unpack("<Q", data[:8])[0], len(data)
    wrong = [0, 1, length - 1, length + 1, size, 2 * size, 10**8, 2**32, 2**63 - 1, 2**64 - 1]
    return struct.pack("<Q", rng.choice(wrong)) + data[8:]


def tensor_described_wrong(data: bytes, rng: random.Random) -> bytes:
    header, content = parted(data)
    name = rng.choice([key for key in header if key != "__metadata__"])
    about, size = header[name], len(content)
    what = rng.choice(["dtype", "shape", "data_offsets", "name", "gone", "more", "twice", "many"])
    if what == "dtype":
        kinds = ["F64", "F16", "BF16", "I32", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X", 1, None]
        about[what] = rng.choice(kinds)
    elif what == "shape":
        shapes = [[], [0], [-1], [2**63], [1] * 100, [2**32, 2**32], "x", [1.5], [[1]]]
        about[what] = rng.choice([*shapes, about[what][::-1], [1, *about[what]]])
    elif what == "data_offsets":
        pairs = [[0, 0], [0, 2**63], [-1, 4], [5, 4], [0, size], [size, size + 4], "x", [0]]
        about[what] = rng.choice(pairs)
    elif what == "name":
        header[rng.choice(["x", name + ".x", "", "\x1b[31m", "a" * 10_000])] = header.pop(name)
    elif what == "gone":
        del header[name]
    elif what == "more":
        header["extra"] = {"dtype": "F32", "shape": [0], "data_offsets": [size, size]}
    elif what == "many":
        for number in range(20_000):
            header[f"t{number}"] = {"dtype": "F32", "shape": [0], "data_offsets": [size, size]}
    elif what == "twice":
        text = json.dumps(header)
        return joined(f'{text[:-1]}, "{name}": {json.dumps(about)}}}'.encode(), content)
    return joined(header, content)


def values_changed(data: bytes, rng: random.Random) -> bytes:
    header, content = parted(data)
    about = rng.choice(
        [header[k] for k in header if k != "__metadata__" and "F32" in str(header[k])]
    )
    begin, end = about["data_offsets"]
    value = rng.choice([float("nan"), float("inf"), float("-inf"), 1e38, 0.0, 1.0])
    count = rng.choice([1, (end - begin) // 4])
    changed = struct.pack("<f", value) * count
    return joined(header, content[:begin] + changed + content[begin + len(changed) :])


def place(value: Any, rng: random.Random) -> None:
    """Put something odd somewhere into a JSON value."""
    places: list[tuple[Any, Any]] = []
    inner = [value]
    while inner:
        one = inner.pop()
        for key in list(one) if isinstance(one, dict) else range(len(one)):
            places.append((one, key))
            if isinstance(one[key], (dict, list)):
                inner.append(one[key])
    where, key = rng.choice(places)
    if rng.random() < 0.15:
        del where[key]
    else:
        where[key] = copy.deepcopy(rng.choice(ODD))


def strings_changed(data: bytes, rng: random.Random) -> bytes:
    header, content = parted(data)
    field = rng.choice(["config", "metadata", "self_test"])
    value = json.loads(header["__metadata__"][field])
    place(value, rng)
    header["__metadata__"][field] = json.dumps(value)
    return joined(header, content)


def string_metadata_changed(data: bytes, rng: random.Random) -> bytes:
    header, content = parted(data)
    strings = header["__metadata__"]
    field = rng.choice(list(strings))
    deep = rng.choice([100, 1000, 100_000])
    strings[field] = rng.choice(
        [
            "[" * deep + "]" * deep,
            '{"a":' * deep + "1" + "}" * deep,
            "null",
            "[]",
            "{}",
            "",
            "x",
            f'{{"depth": {"9" * 5000}}}',
            '{"a": 1, "a": 2}',
            '{"a": NaN, "b": 1e999}',
            "napari-safire/1",
            "napari-safire/3",
            3,
            None,
        ]
    )
    if rng.random() < 0.2:
        del strings[field]
    return joined(header, content)


def signed_anew(data: bytes, rng: random.Random) -> bytes:
    """A file by somebody who knows the format: its digest is right, what it says is not.

    Only `metadata` and `config` change, so that a model that loads has the right weights.
    """
    header, content = parted(data)
    texts = {key: json.loads(header["__metadata__"][key]) for key in ("config", "metadata")}
    which = rng.choice(["config", "metadata", "metadata"])
    if which == "config" and rng.random() < 0.6:
        texts["config"] |= rng.choice(BOMBS)
    else:
        place(texts[which], rng)
    tensors = {}
    for name, about in header.items():
        if name != "__metadata__":
            begin, end = about["data_offsets"]
            dtype = torch.float32 if about["dtype"] == "F32" else torch.int64
            raw = torch.frombuffer(bytearray(content[begin:end]), dtype=dtype)
            tensors[name] = raw.reshape(about["shape"])

    class AnyConfig:
        def to_dict(self) -> Any:
            return texts["config"]

    try:
        return own_file_bytes(tensors, AnyConfig(), texts["metadata"], {})  # type: ignore[arg-type]
    except TypeError:  # what cannot be written cannot be read either
        return strings_changed(data, rng)


# --- PyTorch's format -----------------------------------------------------------------------------


def rezipped(data: bytes, change: Callable[[str, bytes], bytes | None], packed: int = 0) -> bytes:
    archive, out = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as new:
        for entry in archive.infolist():
            content = change(entry.filename, archive.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
    return out.getvalue()


def packed(data: bytes, rng: random.Random) -> bytes:
    methods = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    return rezipped(data, lambda name, content: content, rng.choice(methods))


def entries_changed(data: bytes, rng: random.Random) -> bytes:
    """Entries are dropped, cut or put in the place of others, and the checksums are right.

    Bytes of weights are never only exchanged: such a file would be in order, and another model.
    """
    what = rng.choice(["drop", "cut", "order", "pickle", "pickle", "again"])

    def change(name: str, content: bytes) -> bytes | None:
        if what == "drop" and rng.random() < 0.1:
            return None if "/data/" in name or name.endswith("data.pkl") else content
        if what == "cut" and "/data/" in name and rng.random() < 0.2:
            return content[: rng.randrange(len(content))]
        if what == "order" and name.endswith("byteorder"):
            return rng.choice([b"big", b"x"])
        if what == "pickle" and name.endswith("data.pkl"):
            return pickle_changed(content, rng)
        return content

    changed = rezipped(data, change)
    if what == "again":
        out = io.BytesIO(changed)
        with zipfile.ZipFile(out, "a") as archive:
            archive.writestr(rng.choice(archive.namelist()), rng.choice([b"", b"x", bytes(64)]))
        changed = out.getvalue()
    return changed


def pickle_changed(code: bytes, rng: random.Random) -> bytes:
    changed = bytearray(code)
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(len(code))] = rng.choice([rng.randrange(256), *b"Rc.(0r\x00"])
    if rng.random() < 0.1:
        changed[2:2] = (
            b"r\xff\xff\xff\x7f" + b"\x8a\xff"
        )  # a far place of the memory, a long number
    return bytes(changed)


def directory_changed(data: bytes, rng: random.Random) -> bytes:
    changed, end = bytearray(data), data.rfind(b"PK\x05\x06")
    begin = struct.unpack("<I", data[end + 16 : end + 20])[0]
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(begin, len(data))] = rng.randrange(256)
    return bytes(changed)


def odd_tensors(data: bytes, rng: random.Random) -> bytes:
    """Files that ``torch.save`` writes, of tensors that no model has."""
    payload = torch.load(io.BytesIO(data), weights_only=True)
    state = {name: tensor.clone() for name, tensor in payload["model"].items()}
    name = rng.choice([key for key, tensor in state.items() if tensor.numel() > 64])
    tensor = state[name]
    odd: list[Callable[[], Any]] = [
        lambda: tensor.to("meta"),
        lambda: tensor.to_sparse(),
        lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        lambda: torch.zeros(1).expand(tensor.shape),
        lambda: torch.zeros(1).expand(2**20, 2**20),
        lambda: torch._neg_view(tensor),
        lambda: torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
        lambda: tensor.double() * 1e300,
        lambda: tensor * float("nan"),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.to(torch.float8_e4m3fn),
        lambda: tensor > 0,
        lambda: tensor.numpy(),
        lambda: [tensor],
        lambda: "x" * 10**6,
        lambda: torch.zeros(0),
        lambda: tensor[..., :1],
    ]
    state[name] = rng.choice(odd)()
    if rng.random() < 0.2:
        state[rng.choice([1, True, "module.x\x1b[2J", "image_encoder.blocks.999999.x"])] = tensor
    out = io.BytesIO()
    torch.save({"model": state, "epoch": rng.choice([0, 10**5000, -1, "x", None])}, out)
    return out.getvalue()


Damage = Callable[[bytes, random.Random], bytes]
ANY: list[Damage] = [flipped, flipped, cut, stuffed, blanked]
OWN: list[Damage] = [
    *ANY,
    header_flipped,
    header_flipped,
    wrong_length,
    tensor_described_wrong,
    tensor_described_wrong,
    values_changed,
    strings_changed,
    strings_changed,
    string_metadata_changed,
    signed_anew,
    signed_anew,
    signed_anew,
]
TORCH: list[Damage] = [
    *ANY,
    packed,
    entries_changed,
    entries_changed,
    entries_changed,
    directory_changed,
    directory_changed,
    odd_tensors,
    odd_tensors,
]


def originals(folder: Path) -> dict[str, Path]:
    """A small model in each format, with all that the shipped one says of itself."""
    torch.manual_seed(0)
    paths = {"own": folder / "tiny.safetensors", "torch": folder / "tiny.pth"}
    about = load_model("safire-lite", device="cpu").metadata
    save_checkpoint(SafireModel(TINY_LITE), paths["own"], metadata=about | {"name": "tiny"})
    vit = SafireModel(TINY_VIT)
    state = {f"module.{key}": value for key, value in vit.state_dict().items()}
    torch.save({"model": state, "epoch": 0}, paths["torch"])
    return paths


def difference(found: SafireModel, wanted: SafireModel, only_weights: bool) -> str | None:
    """What a loaded model has that the original has not; None if they are the same."""
    if not only_weights and found.config != wanted.config:
        return "loaded with another config"
    # The name of a published file is that of the file.
    about, wanted_about = ({**one.metadata, "name": ""} for one in (found, wanted))
    if not only_weights and about != wanted_about:
        return "loaded with other metadata"
    first, second = found.state_dict(), wanted.state_dict()
    if first.keys() != second.keys():
        return "loaded with other keys"
    for name, tensor in first.items():
        same = tensor.dtype == second[name].dtype and tensor.shape == second[name].shape
        if not same or tensor.numpy().tobytes() != second[name].numpy().tobytes():
            return f"loaded with other weights: {name}"
    return None


def damaged(data: bytes, name: str, rng: random.Random) -> bytes:
    """Some damage to a file of one of both formats."""
    of_format = OWN if name.endswith(".safetensors") else TORCH
    signed = (signed_anew, odd_tensors)
    kinds = [one for one in of_format if (one in signed) == name.startswith("signed")]
    return rng.choice(kinds)(data, rng)


def seeds(folder: Path, kind: str) -> dict[str, bytes]:
    """A file of a kind ("own" or "torch"), twice: for damage, and for what a forger signs."""
    path = originals(folder)[kind]
    return {name + path.suffix: path.read_bytes() for name in ("damaged", "signed")}


@cache
def _original(path: Path) -> SafireModel:
    return load_checkpoint(path)


def read(path: Path) -> None:
    """Inspect a file, load it, and make an engine of it."""
    inspect_checkpoint(path)
    model = load_checkpoint(path)
    Engine(model)
    wanted = _original(path.parent / "made" / f"tiny{path.suffix}")
    told = difference(model, wanted, path.stem == "signed")
    assert told is None, told
