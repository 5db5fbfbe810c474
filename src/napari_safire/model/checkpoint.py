"""Model files: napari-safire's own format, the published layout, and what training starts from.

Own format
    One safetensors file. Its string metadata are ``format`` ("napari-safire/1"), ``config`` (a
    `ModelConfig` as JSON) and ``metadata`` (JSON: name, licence, training data, calibration).
Published layout
    A torch file ``{"model": {"module.<key>": tensor, ...}, "epoch": int, ...}``; the sizes are read
    off the tensors' shapes. The encoder-only pretraining file has keys relative to the encoder.

Nothing is ever unpickled with code, and every key has to be accounted for.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_safire.errors import CheckpointError
from napari_safire.model.config import ModelConfig
from napari_safire.model.lite import LiteEncoder
from napari_safire.model.safire import SafireModel, resolve_device

CheckpointKind = Literal["napari-safire", "published", "encoder only", "SAM"]

FORMAT = "napari-safire/1"
_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.", "prompt_projection.")
_ADAPTOR = ("image_encoder.adaptor_", "image_encoder.hfp_")
_PROJECTION = ("prompt_projection.",)
# Fields that neither shape the weights nor change what they compute at a given frame.
_FREE_FIELDS = {"max_cells", "prompt_from_embedding"}
_SHOWN = 3
_DESCRIBED_CHARACTERS = 60
_VIT_SIZES = {(768, 12): "ViT-B", (1024, 24): "ViT-L", (1280, 32): "ViT-H"}
# Why files that are in order still give no model to predict with.
_REFUSALS: Mapping[CheckpointKind, str] = {
    "encoder only": "is an encoder-only pretraining file, which has no decoder: start training "
    "from it with initialise_from, or give a whole model.",
    "SAM": "is a plain SAM file, which knows nothing of forgeries: start training from it with "
    "initialise_from, or give a SAFIRE model.",
}


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """What a model file is, judged by its structure and not by its name.

    Parameters
    ----------
    kind : {"napari-safire", "published", "encoder only", "SAM"}
        napari-safire's own format, the published layout, a pretrained encoder alone, or SAM's own
        model without SAFIRE's adaptor.
    description : str
        For people, such as "published SAFIRE (ViT-B, epoch 133)"; no full stop.
    refusal : str or None
        One sentence: why `load_checkpoint` takes no model from it; None where it does.
    """

    kind: CheckpointKind
    description: str
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a model file holds; the tensors may still be pages of the file."""

    tensors: dict[str, Tensor]
    config: ModelConfig | None
    metadata: dict[str, Any]
    sha256: str


def save_checkpoint(
    model: SafireModel, path: str | PathLike[str], *, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a model in napari-safire's own format.

    The file appears under its name when it is complete, and not before.

    Parameters
    ----------
    model : SafireModel
    path : path-like
        Usually ``*.safetensors``.
    metadata : mapping, optional
        What JSON can hold; added to ``model.metadata`` in the file.

    Raises
    ------
    TypeError
        The metadata cannot be written as JSON.
    CheckpointError
        The file cannot be written.
    """
    described = {**model.metadata, **(metadata or {})}
    try:
        text = json.dumps(described)
    except (TypeError, ValueError) as error:
        raise TypeError(f"The metadata cannot be written as JSON: {error}.") from error
    header = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "metadata": text,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    with _written_whole(Path(path)) as temporary:
        save_file(tensors, temporary, metadata=header)


def write_published_layout(
    model: SafireModel, path: str | PathLike[str], *, encoder_only: bool = False
) -> None:
    """Write a model in the layout of the published torch files.

    Parameters
    ----------
    model : SafireModel
    path : path-like
    encoder_only : bool
        Write the encoder alone with keys relative to it, as the published pretraining file has.

    Raises
    ------
    CheckpointError
        The file cannot be written.
    """
    part = model.image_encoder if encoder_only else model
    state = {f"module.{key}": value.detach().cpu() for key, value in part.state_dict().items()}
    with _written_whole(Path(path)) as temporary:
        torch.save({"model": state, "epoch": 0}, temporary)


def load_checkpoint(
    path: str | PathLike[str],
    config: ModelConfig | None = None,
    device: str | torch.device = "cpu",
) -> SafireModel:
    """Read a model file and build its model.

    Parameters
    ----------
    path : path-like
        A file in napari-safire's own format or in the published layout.
    config : ModelConfig, optional
        Sizes to build, used as they are. Default: those in the file, or those that the shapes of
        the published layout tell; the number of decoder heads is not in the shapes and taken to
        be 8.
    device : str or torch.device
        "auto", "cpu", "cuda", "cuda:1", "mps".

    Returns
    -------
    SafireModel
        In eval mode, float32, with `checkpoint_sha256` and `metadata` set.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, contains code, or does not fit the model.
    ValueError
        The device is unknown or not available.
    """
    target = resolve_device(device)
    path = Path(path)
    contents = _read(path)
    kind = _kind(contents, path)
    # With a config, what looks like SAM may be a model that has no adaptor by design.
    if kind == "encoder only" or (kind == "SAM" and config is None):
        raise CheckpointError(f"{path} {_REFUSALS[kind]}")
    model = _fitting_model(contents, config, path)
    kept = model.state_dict()
    # Copies: the tensors read may be pages of the file, which somebody may change.
    placed = {
        key: value.to(target, kept[key].dtype, copy=True) for key, value in contents.tensors.items()
    }
    model.load_state_dict(placed, strict=True, assign=True)
    model.to(target)
    model.checkpoint_sha256 = contents.sha256
    model.metadata = contents.metadata
    return model.eval()


def inspect_checkpoint(path: str | PathLike[str]) -> CheckpointSummary:
    """Tell what a model file is, without building a model that could run.

    Parameters
    ----------
    path : path-like
        A file in any of the layouts that `load_checkpoint` or `initialise_from` knows.

    Returns
    -------
    CheckpointSummary
        Where its ``refusal`` is None, `load_checkpoint` loads the file.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, contains code, is no model file, or its weights do not fit
        the sizes it claims.

    Notes
    -----
    The whole file is read to hash it: about a second for the published 390 MB.
    """
    path = Path(path)
    contents = _read(path)
    kind = _kind(contents, path)
    if kind in _REFUSALS:
        described = "encoder-only pretraining file" if kind == "encoder only" else "plain SAM model"
        return CheckpointSummary(kind, described, f"{path} {_REFUSALS[kind]}")
    config = _fitting_model(contents, None, path).config
    size = _VIT_SIZES.get(
        (config.embed_dim, config.depth),
        f"ViT of {config.depth} blocks, {config.embed_dim} channels wide",
    )
    about = [size if config.architecture == "vit" else "lite"]
    if kind == "published":
        about += [f"epoch {contents.metadata['epoch']}"] if "epoch" in contents.metadata else []
        return CheckpointSummary(kind, f"published SAFIRE ({', '.join(about)})")
    for key, words in (("name", ""), ("licence", "licence "), ("trained_on", "trained on ")):
        if contents.metadata.get(key):
            about.append(words + _on_one_line(contents.metadata[key]))
    return CheckpointSummary(kind, f"napari-safire model ({', '.join(about)})")


def describe_checkpoint(path: str | PathLike[str]) -> str:
    """Say in a few words what a model file is, or refuse it for prediction.

    Parameters
    ----------
    path : path-like
        A file that a user chose or dropped.

    Returns
    -------
    str
        Such as "napari-safire model (lite, safire-lite)" or "published SAFIRE (ViT-B, epoch 133)".

    Raises
    ------
    CheckpointError
        As `inspect_checkpoint`; also for an encoder-only pretraining file and for a plain SAM
        file, whose sentence says that this is what it is.
    """
    summary = inspect_checkpoint(path)
    if summary.refusal is not None:
        raise CheckpointError(summary.refusal)
    return summary.description


def initialise_from(model: SafireModel, path: str | PathLike[str]) -> list[str]:
    """Start training from a file: copy the weights it has, leave the others as they are.

    Parameters
    ----------
    model : SafireModel
        Changed in place. ``model.metadata["initialised"]`` then says which kind of file it was
        ("full", "SAM" or "encoder only") and ``["initialised_from"]`` which file.
    path : path-like
        A whole model (own format or published layout), an encoder-only pretraining file, or one of
        SAM's own ViT-B/L/H files, which have no adaptor. A lite model may have more blocks than
        the one in the file: those start as the identity, so that it computes the same at first.

    Returns
    -------
    list of str
        Keys of the model that the file does not have, sorted: they keep their fresh values.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, contains code, or does not fit the model. The model is
        unchanged.
    """
    path = Path(path)
    contents = _read(path)
    given = contents.tensors
    further: tuple[int, ...] = ()
    if contents.config is not None:
        further = _further_blocks(contents.config, model.config)
        depth = model.config.depth if further else contents.config.depth
        _check_same_arithmetic(replace(contents.config, depth=depth), model.config, path)
    if _is_encoder_only(given, path, model.image_encoder.state_dict().keys()):
        initialised = "encoder only"
        given = {f"image_encoder.{key}": value for key, value in given.items()}
        may_miss: tuple[str, ...] = ("prompt_encoder.", "mask_decoder.", *_PROJECTION)
    elif model.config.architecture == "vit" and not _has_adaptor(given):
        initialised = "SAM"
        may_miss = (*_ADAPTOR, *_PROJECTION)
    else:
        initialised = "full"
        may_miss = _PROJECTION
    may_miss += tuple(f"image_encoder.blocks.{index}." for index in further)
    wanted = model.state_dict()
    fresh = sorted(key for key in wanted if key not in given and key.startswith(may_miss))
    check_fit(given, {key: wanted[key] for key in wanted if key not in fresh}, path)
    with torch.no_grad():
        for key, value in given.items():
            wanted[key].copy_(value)
    for index in further:
        cast(LiteEncoder, model.image_encoder).start_block_as_identity(index)
    model.metadata["initialised"] = initialised
    model.metadata["initialised_from"] = {"file": path.name, "sha256": contents.sha256}
    return fresh


def file_sha256(path: str | PathLike[str]) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_tensors(path: str | PathLike[str]) -> tuple[Mapping[str, Tensor], str]:
    """Read the weights of any file that `load_checkpoint` may be given, without a model for them.

    Returns
    -------
    tensors : mapping of str to Tensor
        On the CPU; of a torch file mapped from the disk.
    sha256 : str
        Of the file.

    Raises
    ------
    CheckpointError
        As `load_checkpoint`.
    """
    contents = _read(Path(path))
    return contents.tensors, contents.sha256


# --- reading -----------------------------------------------------------------------------------


def _read(path: Path) -> _Contents:
    """Read any of the known layouts; refuse everything else with one sentence."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory: give a model file.")
    try:
        with open(path, "rb") as stream:
            start = stream.read(9)
        if not start:
            raise CheckpointError(f"{path} is empty: download or copy it again.")
        sha256 = file_sha256(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no model file {path}: check the name.") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    # A safetensors file starts with the length of its JSON header and that header.
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_own(path, sha256)
    if start.startswith((b"PK\x03\x04", b"\x80")):  # a zip archive or a bare pickle
        return _read_torch(path, sha256, is_zip=start.startswith(b"PK"))
    raise CheckpointError(
        f"{path} is not a model file: give a .safetensors file of napari-safire or a published "
        ".pth file."
    )


def _read_own(path: Path, sha256: str) -> _Contents:
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is damaged, cut short, or no safetensors file: download or copy it again."
        ) from error
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file of another program (its format is "
            f"{header.get('format')!r:.40}): give a file that save_checkpoint wrote."
        )
    try:
        config = ModelConfig.from_dict(json.loads(header["config"]))
        metadata = json.loads(header["metadata"])
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error} in its header: save it again.") from error
    except (ValueError, TypeError) as error:
        reason = str(error).rstrip(".")
        raise CheckpointError(f"{path} has a damaged header: {reason}.") from error
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} has a damaged header: its metadata are no JSON object.")
    return _Contents(_checked_tensors(tensors, path), config, metadata, sha256)


def _read_torch(path: Path, sha256: str, *, is_zip: bool) -> _Contents:
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if is_zip and "global" not in str(error).lower():
            raise _damaged_torch(path) from error
        raise CheckpointError(
            f"{path} holds Python code or objects beside tensors, which was not run: ask for the "
            "weights alone."
        ) from error
    except Exception as error:  # a damaged file can fail anywhere inside torch
        raise _damaged_torch(path) from error
    state = payload.get("model", payload) if isinstance(payload, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError(
            f"{path} holds no weights: expected a mapping of names to tensors, alone or under "
            "'model'."
        )
    tensors = {str(key).removeprefix("module."): value for key, value in state.items()}
    metadata: dict[str, Any] = {"name": path.stem}
    if isinstance(payload.get("epoch"), int):
        metadata["epoch"] = payload["epoch"]
    return _Contents(_checked_tensors(tensors, path), None, metadata, sha256)


def _damaged_torch(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged, cut short, or no PyTorch file of weights: download or copy it again."
    )


def _checked_tensors(tensors: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    wrong = [key for key, value in tensors.items() if not isinstance(value, Tensor)]
    if wrong:
        raise CheckpointError(
            f"{path} holds another model: {len(wrong)} of its values ({_listed(wrong)}) are no "
            "tensors."
        )
    return dict(tensors)


def _is_encoder_only(
    tensors: Collection[str], path: Path, encoder_keys: Collection[str] = ("pos_embed",)
) -> bool:
    """Whether the keys are relative to an encoder, of which ``encoder_keys`` names some."""
    if any(key.startswith(_PARTS) for key in tensors):
        return False
    if any(key in encoder_keys for key in tensors):
        return True
    raise CheckpointError(
        f"{path} holds another model: none of its {len(tensors)} keys "
        f"({_listed(sorted(tensors))}) belongs to SAFIRE."
    )


def _kind(contents: _Contents, path: Path) -> CheckpointKind:
    if _is_encoder_only(contents.tensors, path):
        return "encoder only"
    if contents.config is not None:
        return "napari-safire"
    return "published" if _has_adaptor(contents.tensors) else "SAM"


def _on_one_line(value: object) -> str:
    """A value of the metadata, which may be anything, in a few printable characters."""
    text = "".join(mark if mark.isprintable() else " " for mark in str(value))
    text = " ".join(text.split())
    if len(text) <= _DESCRIBED_CHARACTERS:
        return text
    return text[: _DESCRIBED_CHARACTERS - 3].rstrip() + "..."


def _has_adaptor(tensors: Collection[str]) -> bool:
    """Whether a ViT model is SAFIRE's; SAM's own has no adaptor."""
    return any(key.startswith(_ADAPTOR) for key in tensors)


# --- fitting -----------------------------------------------------------------------------------


def _fitting_model(contents: _Contents, config: ModelConfig | None, path: Path) -> SafireModel:
    """The model that the file is made for, without its weights, once they are known to fit."""
    sizes = config or contents.config or _infer_config(contents.tensors, path)
    # The ViT's random start would be overwritten at once: build it without memory. The lite
    # encoder is small, and its constant filters have to be real.
    nowhere = torch.device("meta") if sizes.architecture == "vit" else nullcontext()
    model = _build(sizes, nowhere, path)
    check_fit(contents.tensors, model.state_dict(), path)
    return model


def _build(config: ModelConfig, where: AbstractContextManager[Any], path: Path) -> SafireModel:
    try:
        with where:
            return SafireModel(config)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(f"{path} asks for a model that cannot be built: {error}.") from error


def check_fit(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Refuse unless both have the same keys, shapes and kinds of numbers."""
    missing = [key for key in wanted if key not in given]
    unexpected = [key for key in given if key not in wanted]
    misshaped = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    mistyped = [
        f"{key} {given[key].dtype} instead of {wanted[key].dtype}"
        for key in wanted
        if key in given and given[key].is_floating_point() != wanted[key].is_floating_point()
    ]
    faults = [
        f"{len(keys)} {what} ({_listed(keys)})"
        for keys, what in (
            (missing, "missing"),
            (unexpected, "unexpected"),
            (misshaped, "of another shape"),
            (mistyped, "of another type"),
        )
        if keys
    ]
    if faults:
        raise CheckpointError(
            f"{path} does not fit the model: of its keys {', '.join(faults)}; give the config that "
            "it was made with, or another file."
        )


def _check_same_arithmetic(given: ModelConfig, wanted: ModelConfig, path: Path) -> None:
    """Refuse configs that differ where shapes do not show it, as in the number of heads."""
    differ = [
        field.name
        for field in fields(ModelConfig)
        if field.name not in _FREE_FIELDS
        and getattr(given, field.name) != getattr(wanted, field.name)
    ]
    if differ:
        told = ", ".join(
            f"{name} {getattr(given, name)!r} instead of {getattr(wanted, name)!r}"
            for name in differ[:_SHOWN]
        )
        raise CheckpointError(f"{path} does not fit the model: its config has {told}.")


def _further_blocks(given: ModelConfig, wanted: ModelConfig) -> tuple[int, ...]:
    """Numbers of the blocks that a lite model has beyond those of a shallower one."""
    if {given.architecture, wanted.architecture} != {"lite"}:
        return ()
    return tuple(range(given.depth, wanted.depth))


def _infer_config(tensors: Mapping[str, Tensor], path: Path) -> ModelConfig:
    """Read the sizes of a ViT model off the shapes of its weights."""

    def shape(key: str, n_axes: int) -> tuple[int, ...]:
        if key not in tensors:
            raise CheckpointError(f"{path} does not hold a whole SAFIRE model: {key} is missing.")
        found = tuple(tensors[key].shape)
        if len(found) != n_axes or 0 in found:
            raise CheckpointError(f"{path} holds another model: {key} has shape {found}.")
        return found

    def count(pattern: str) -> int:
        """One more than the highest number in place of the pattern's group."""
        matches = (re.match(pattern, key) for key in tensors)
        return 1 + max((int(match[1]) for match in matches if match), default=-1)

    _, n_cells, _, embed_dim = shape("image_encoder.pos_embed", 4)
    depth = count(r"image_encoder\.blocks\.(\d+)\.")
    reach = []  # cells along which each block attends
    head_dim = embed_dim
    for number in range(depth):
        length, head_dim = shape(f"image_encoder.blocks.{number}.attn.rel_pos_w", 2)
        reach.append((length + 1) // 2)
    windows = sorted({cells for cells in reach if cells != n_cells})
    if len(windows) > 1:
        raise CheckpointError(
            f"{path} holds another model: its windows have different sizes {windows}."
        )
    decoder = "mask_decoder.transformer.layers"
    confidence = "mask_decoder.iou_prediction_head.layers"
    sizes: dict[str, Any] = {
        "image_size": 16 * n_cells,
        "patch_size": shape("image_encoder.patch_embed.proj.weight", 4)[-1],
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": embed_dim // head_dim,
        "mlp_ratio": shape("image_encoder.blocks.0.mlp.lin1.weight", 2)[0] / embed_dim,
        "global_attention": tuple(number for number, cells in enumerate(reach) if cells == n_cells),
        "prompt_dim": shape("image_encoder.neck.0.weight", 4)[0],
        "decoder_depth": count(rf"{re.escape(decoder)}\.(\d+)\."),
        "decoder_mlp_dim": shape(f"{decoder}.0.mlp.lin1.weight", 2)[0],
        "confidence_depth": count(rf"{re.escape(confidence)}\.(\d+)\."),
        "confidence_dim": shape(f"{confidence}.0.weight", 2)[0],
        "mask_in_chans": shape("prompt_encoder.mask_downscaling.3.weight", 4)[0],
        "adaptor_reduction": embed_dim
        // shape("image_encoder.adaptor_patch_embed_tune.weight", 2)[0],
        "prompt_from_embedding": "prompt_projection.weight" in tensors,
    }
    if windows:
        sizes["window_size"] = windows[0]
    try:
        return ModelConfig(**sizes)
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} has sizes that make no model, so a config is needed: {error}"
        ) from error


def _listed(names: list[str]) -> str:
    more = ", ..." if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


# --- writing -----------------------------------------------------------------------------------


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block succeeds."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be written: {reason}.") from error
    finally:
        temporary.unlink(missing_ok=True)
