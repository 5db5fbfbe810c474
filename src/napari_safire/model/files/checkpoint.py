"""Model files: napari-safire's own format, the published layout, and what training starts from.

Own format
    One safetensors file with the sizes (a `ModelConfig`), what is to be known of the model (name,
    licence, training data, calibration), a self-test and a digest of all this and the weights; see
    `napari_safire.model.files.own_file`.
Published layout
    A torch file ``{"model": {"module.<key>": tensor, ...}, "epoch": int, ...}``; the sizes are read
    off the tensors' shapes. The encoder-only pretraining file has keys relative to the encoder.

Nothing is ever unpickled with code. Checksums are compared, every key is accounted for and every
value finite before a model is built.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal, cast

import torch

from napari_safire.errors import CheckpointError
from napari_safire.model.catalogue.registry import bundled_models, known_self_test
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.fitting import (
    check_fit,
    check_same_arithmetic,
    fitting_model,
    further_blocks,
    is_encoder_only,
    outline,
)
from napari_safire.model.files.model_file import Contents, read_contents, written_whole
from napari_safire.model.files.own_file import own_file_bytes
from napari_safire.model.files.self_test import check_self_test, self_test_of
from napari_safire.model.files.sizes import ADAPTOR, has_adaptor
from napari_safire.model.lite import LiteEncoder
from napari_safire.model.safire import SafireModel, resolve_device

CheckpointKind = Literal["napari-safire", "published", "encoder only", "SAM"]

_PROJECTION = ("prompt_projection.",)
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
    path = Path(path)
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    # Asked of a copy: this model may be in training, or compute on a card whose digits differ.
    saved = _filled(outline(model.config, path), tensors)
    content = own_file_bytes(tensors, model.config, described, self_test_of(saved))
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


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
    return load_checked(Path(path), config, device, None)


def load_checked(
    path: Path,
    config: ModelConfig | None,
    device: str | torch.device,
    check_hash: Callable[[str], None] | None,
) -> SafireModel:
    """As `load_checkpoint`; ``check_hash`` may refuse the file by its SHA-256 first."""
    target = resolve_device(device)
    contents, warnings = _read(path, check_hash)
    kind = _kind(contents, path)
    # With a config, what looks like SAM may be a model that has no adaptor by design.
    if kind == "encoder only" or (kind == "SAM" and config is None):
        raise CheckpointError(f"{path} {_REFUSALS[kind]}")
    model = fitting_model(contents, config, path)
    # Copies: the tensors read may be pages of the file, which somebody may change.
    _filled(model, contents.tensors, copy=True)
    wrong = check_self_test(model, contents.self_test)
    if wrong is not None:
        raise CheckpointError(
            f"{path} cannot be used: {wrong}; get the file again, and if that does not help, run "
            "`napari-safire models verify` and report it."
        )
    model.to(target)
    model.checkpoint_sha256 = contents.sha256
    model.metadata = contents.metadata
    model.warnings = warnings
    return model


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
    contents, _ = _read(path)
    kind = _kind(contents, path)
    if kind in _REFUSALS:
        described = "encoder-only pretraining file" if kind == "encoder only" else "plain SAM model"
        return CheckpointSummary(kind, described, f"{path} {_REFUSALS[kind]}")
    config = fitting_model(contents, None, path).config
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
    contents, _ = _read(path)
    given = contents.tensors
    further: tuple[int, ...] = ()
    if contents.config is not None:
        further = further_blocks(contents.config, model.config)
        depth = model.config.depth if further else contents.config.depth
        check_same_arithmetic(replace(contents.config, depth=depth), model.config, path)
    if is_encoder_only(given, path, model.image_encoder.state_dict().keys()):
        initialised = "encoder only"
        given = {f"image_encoder.{key}": value for key, value in given.items()}
        may_miss: tuple[str, ...] = ("prompt_encoder.", "mask_decoder.", *_PROJECTION)
    elif model.config.architecture == "vit" and not has_adaptor(given):
        initialised = "SAM"
        may_miss = (*ADAPTOR, *_PROJECTION)
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


def _read(
    path: Path, check_hash: Callable[[str], None] | None = None
) -> tuple[Contents, tuple[str, ...]]:
    """What a file holds, and what has to be said of it."""
    contents = read_contents(path, check_hash)
    if contents.has_checksums:
        return contents, ()
    self_test = known_self_test(contents.sha256)
    if self_test is not None:
        return replace(contents, self_test=self_test), ()
    name = contents.metadata.get("name")
    if name in {entry.name for entry in bundled_models()}:
        # Of all files without checksums, copies of the shipped one are the likeliest.
        raise CheckpointError(
            f"{path} says that it is {name!r}, but is no file that napari-safire has shipped under "
            f"this name: choose {name} by its name, or copy it again."
        )
    return contents, (
        f"The model file {path.name} has no checksums, as those of earlier versions: damage to it "
        "would not be noticed.",
    )


def _filled(
    model: SafireModel, tensors: Mapping[str, torch.Tensor], *, copy: bool = False
) -> SafireModel:
    """Give an outline its weights, on the CPU and ready to predict."""
    kept = model.state_dict()
    placed = {key: value.to(kept[key].dtype, copy=copy) for key, value in tensors.items()}
    model.load_state_dict(placed, strict=True, assign=True)
    return model.eval()


def _kind(contents: Contents, path: Path) -> CheckpointKind:
    if is_encoder_only(contents.tensors, path):
        return "encoder only"
    if contents.config is not None:
        return "napari-safire"
    return "published" if has_adaptor(contents.tensors) else "SAM"


def _on_one_line(value: object) -> str:
    """A value of the metadata, which may be anything, in a few printable characters."""
    text = "".join(mark if mark.isprintable() else " " for mark in str(value))
    text = " ".join(text.split())
    if len(text) <= _DESCRIBED_CHARACTERS:
        return text
    return text[: _DESCRIBED_CHARACTERS - 3].rstrip() + "..."
