"""The sizes of a model: one frozen value that travels with the weights and rebuilds the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from napari_safire.errors import CheckpointError
from napari_safire.model.files.strict_json import parse_json

Architecture = Literal["vit", "lite"]

# Names that the published implementation uses for the same sizes.
_ALIASES = {
    "img_size": "image_size",
    "global_attn_indexes": "global_attention",
    "prompt_embed_dim": "prompt_dim",
    "iou_head_depth": "confidence_depth",
    "iou_head_hidden_dim": "confidence_dim",
    "adaptor_scale_factor": "adaptor_reduction",
}
_STRIDE = 16
_N_STAGES = 4
# Largest value of each whole number: far beyond every known model, and small enough that the
# outline of a model (without its weights) is made at once, whatever a file asks for.
_LARGEST = {
    "image_size": 8192,
    "patch_size": 256,
    "embed_dim": 16384,
    "depth": 256,
    "num_heads": 1024,
    "window_size": 1024,
    "prompt_dim": 16384,
    "decoder_depth": 64,
    "decoder_mlp_dim": 65536,
    "decoder_heads": 1024,
    "confidence_depth": 64,
    "confidence_dim": 65536,
    "mask_in_chans": 4096,
    "adaptor_reduction": 16384,
    "max_cells": 4096,
}
_LARGEST_WIDTH, _LARGEST_RATIO = 16384, 64
_MOST_JSON = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Architecture and sizes of a `SafireModel`.

    The defaults are the published SAFIRE model on SAM's ViT-B.

    Parameters
    ----------
    architecture : {"vit", "lite"}
        "vit": SAM's ViT with SAFIRE's high-pass adaptor (paper section "Method"). "lite": the
        compact encoder of `napari_safire.model.lite`; ``embed_dim``, ``global_attention``,
        ``window_size`` and ``adaptor_reduction`` do not apply to it.
    image_size : int
        Side of the square frame of the ViT, in pixels; a multiple of 16.
    patch_size : int
        Pixels per patch, along each axis; always 16.
    embed_dim, depth, num_heads, mlp_ratio
        Width, number of blocks, attention heads and relative width of the MLPs of the ViT; the
        last three also of the blocks at the end of the lite encoder.
    global_attention : tuple of int
        Blocks that attend to the whole frame; all others attend inside windows.
    window_size : int
        Side of those windows, in patches.
    prompt_dim : int
        Channels of the embedding, the prompts and the decoder.
    decoder_depth, decoder_mlp_dim, decoder_heads
        Sizes of the two-way transformer.
    confidence_depth, confidence_dim
        Layers and width of the head that predicts pixel accuracy.
    mask_in_chans : int
        Width of SAM's mask prompt encoder. SAFIRE never uses it; its weights are in the files.
    adaptor_reduction : int
        ``embed_dim`` divided by the width of the adaptor.
    stage_widths : tuple of int
        Channels of the lite encoder at strides 2, 4, 8 and 16; empty for the ViT.
    prompt_from_embedding : bool
        Whether the point token also carries the embedding sampled at the point.
    max_cells : int
        Longest side of a frame of the lite model, in patches; larger images are tiled.

    Raises
    ------
    ValueError, TypeError
        A field is out of range, of the wrong type, or does not fit another one.
    """

    architecture: Architecture = "vit"
    image_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_ratio: float = 4.0
    global_attention: tuple[int, ...] = (2, 5, 8, 11)
    window_size: int = 14
    prompt_dim: int = 256
    decoder_depth: int = 2
    decoder_mlp_dim: int = 2048
    decoder_heads: int = 8
    confidence_depth: int = 3
    confidence_dim: int = 256
    mask_in_chans: int = 16
    adaptor_reduction: int = 4
    stage_widths: tuple[int, ...] = ()
    prompt_from_embedding: bool = False
    max_cells: int = 96

    def __post_init__(self) -> None:
        if self.architecture not in ("vit", "lite"):
            raise ValueError(
                f'architecture is {self.architecture!r:.40}, but must be "vit" or "lite".'
            )
        for name, largest in _LARGEST.items():
            _check_positive_int(name, getattr(self, name), largest)
        if isinstance(self.mlp_ratio, bool) or not isinstance(self.mlp_ratio, (int, float)):
            raise TypeError(f"mlp_ratio is {self.mlp_ratio!r:.40}, but must be a number.")
        if not 0 < self.mlp_ratio <= _LARGEST_RATIO:
            raise ValueError(
                f"mlp_ratio is {self.mlp_ratio!r:.40}, but must be positive and at most "
                f"{_LARGEST_RATIO}."
            )
        if not isinstance(self.prompt_from_embedding, bool):
            raise TypeError(
                f"prompt_from_embedding is {self.prompt_from_embedding!r:.40}, but must be true or "
                "false."
            )
        for name in ("global_attention", "stage_widths"):
            object.__setattr__(self, name, _int_tuple(name, getattr(self, name)))
        self._check_relations()

    def _check_relations(self) -> None:
        """Refuse sizes that are fine alone but cannot be built together."""
        if self.patch_size != _STRIDE:
            raise ValueError(f"patch_size is {self.patch_size}, but only {_STRIDE} is supported.")
        if self.image_size % _STRIDE:
            raise ValueError(
                f"image_size is {self.image_size}, but must be a multiple of {_STRIDE}."
            )
        if self.prompt_dim % 8:
            raise ValueError(f"prompt_dim is {self.prompt_dim}, but must be a multiple of 8.")
        if (self.prompt_dim // 2) % self.decoder_heads:
            raise ValueError(
                f"Half of prompt_dim {self.prompt_dim} cannot be split into decoder_heads "
                f"{self.decoder_heads}."
            )
        if self.mask_in_chans % 4:
            raise ValueError(f"mask_in_chans is {self.mask_in_chans}, but must be a multiple of 4.")
        if self.architecture == "lite":
            self._check_lite()
        else:
            self._check_vit()

    def _check_vit(self) -> None:
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} cannot be split into num_heads {self.num_heads}."
            )
        if self.embed_dim % self.adaptor_reduction:
            raise ValueError(
                f"embed_dim {self.embed_dim} cannot be divided by adaptor_reduction "
                f"{self.adaptor_reduction}."
            )
        wrong = [index for index in self.global_attention if not 0 <= index < self.depth]
        if wrong or len(set(self.global_attention)) != len(self.global_attention):
            raise ValueError(
                f"global_attention is {list(self.global_attention)!r:.80}, but must name different "
                f"blocks from 0 to {self.depth - 1}."
            )
        if self.stage_widths:
            raise ValueError(
                f"stage_widths is {list(self.stage_widths)!r:.80}, but the vit architecture has "
                "none."
            )

    def _check_lite(self) -> None:
        if len(self.stage_widths) != _N_STAGES or any(
            not 1 <= width <= _LARGEST_WIDTH for width in self.stage_widths
        ):
            raise ValueError(
                f"stage_widths is {list(self.stage_widths)!r:.80}, but the lite architecture needs "
                f"{_N_STAGES} widths from 1 to {_LARGEST_WIDTH}."
            )
        if self.stage_widths[-1] % self.num_heads:
            raise ValueError(
                f"The last of stage_widths, {self.stage_widths[-1]}, cannot be split into "
                f"num_heads {self.num_heads}."
            )

    @property
    def native_resolution(self) -> bool:
        """Whether an image is encoded at its own size (any multiple of 16) and not squashed."""
        return self.architecture == "lite"

    @property
    def embedding_stride(self) -> int:
        """Model pixels per patch, along each axis."""
        return _STRIDE

    @classmethod
    def vit_b(cls) -> ModelConfig:
        """Sizes of the published model, on SAM's ViT-B (97,020,784 values)."""
        return cls()

    @classmethod
    def lite(cls, **changes: Any) -> ModelConfig:
        """Sizes of the compact model that ships with the package.

        Parameters
        ----------
        **changes
            Fields that differ from those sizes.

        Returns
        -------
        ModelConfig
        """
        sizes: dict[str, Any] = {
            "architecture": "lite",
            "stage_widths": (32, 48, 96, 192),
            "embed_dim": 192,
            "depth": 4,
            "num_heads": 6,
            "mlp_ratio": 2.0,
            "global_attention": (),
            "prompt_dim": 64,
            "decoder_mlp_dim": 256,
            "decoder_heads": 4,
            "confidence_dim": 64,
            "mask_in_chans": 4,
            "prompt_from_embedding": True,
        }
        return cls.from_dict(sizes | changes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build a config from names and values; missing names take the defaults.

        Parameters
        ----------
        values : mapping
            Field names, or the published implementation's names for the same fields
            (``img_size``, ``global_attn_indexes``, ``prompt_embed_dim``, ``iou_head_depth``,
            ``iou_head_hidden_dim``, ``adaptor_scale_factor``).

        Returns
        -------
        ModelConfig

        Raises
        ------
        ValueError
            A name is unknown or given twice, or a value is out of range.
        TypeError
            ``values`` is no mapping, or a value has the wrong type.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"A model config must map names to values, not be {values!r:.80}.")
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(key) for key in values if _ALIASES.get(key, key) not in known)
        if unknown:
            raise ValueError(
                f"Unknown model config name {', '.join(map(repr, unknown)):.80}: the names are "
                f"{', '.join(sorted(known))}."
            )
        named: dict[str, Any] = {}
        for key, value in values.items():
            name = _ALIASES.get(key, key)
            if name in named:
                raise ValueError(f"The model config gives {name!r} twice: keep one of its names.")
            named[name] = value
        return cls(**named)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, as values that JSON can hold."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, path: str | PathLike[str]) -> ModelConfig:
        """Read a config file.

        Parameters
        ----------
        path : path-like
            A JSON object of the names that `from_dict` knows.

        Returns
        -------
        ModelConfig

        Raises
        ------
        CheckpointError
            The file cannot be read, is not JSON, or holds no valid config.
        """
        path = Path(path)
        try:
            # Opening a pipe would wait without end; a missing file says so by itself.
            if path.exists() and not path.is_file():
                raise CheckpointError(f"Model config {path} cannot be read: it is no file.")
            with open(path, "rb") as stream:
                text = stream.read(_MOST_JSON + 1)
            if len(text) > _MOST_JSON:
                raise CheckpointError(f"Model config {path} is larger than {_MOST_JSON} bytes.")
            return cls.from_dict(parse_json(text))
        except OSError as error:
            raise CheckpointError(
                f"Model config {path} cannot be read: {error.strerror}."
            ) from error
        except ValueError as error:
            if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
                raise CheckpointError(f"Model config {path} is not a JSON file.") from error
            raise CheckpointError(f"Model config {path}: {str(error).rstrip('.')}.") from error
        except TypeError as error:
            raise CheckpointError(f"Model config {path}: {error}") from error

    def to_json(self, path: str | PathLike[str]) -> None:
        """Write the config as a JSON file.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            The file cannot be written.
        """
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")


def _check_positive_int(name: str, value: object, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r:.40}, but must be a whole number.")
    if value < 1:
        raise ValueError(f"{name} is {value!r:.40}, but must be at least 1.")
    if value > largest:
        raise ValueError(f"{name} is {value!r:.40}, but must be at most {largest}.")


def _int_tuple(name: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)) or any(
        isinstance(value, bool) or not isinstance(value, int) for value in values
    ):
        raise TypeError(f"{name} is {values!r:.80}, but must be a list of whole numbers.")
    return tuple(values)
