"""The SAFIRE network: encode an image once, decode any number of point prompts.

Kwon et al., "SAFIRE: Segment Any Forged Image Region", AAAI 2025 (arXiv 2412.08197).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from napari_safire.model.config import ModelConfig
from napari_safire.model.decoder import decode_prompts
from napari_safire.model.sam_modules import modeling

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_DEVICES = 'choose "auto", "cpu", "cuda", "cuda:<number>" or "mps"'


class SafireModel(nn.Module):
    """An image encoder with SAM's prompt encoder and mask decoder.

    The names of the three parts are those of the published files. Gradients flow through both
    steps: wrap calls in ``torch.inference_mode()`` where none are wanted.

    Parameters
    ----------
    config : ModelConfig
        Architecture and sizes.

    Attributes
    ----------
    image_encoder, prompt_encoder, mask_decoder : nn.Module
        The parts.
    prompt_projection : nn.Module or None
        Only with ``config.prompt_from_embedding``: what the embedding at the point adds to the
        point token; zero at first.
    checkpoint_sha256 : str
        Hash of the file the weights came from; empty for fresh weights.
    metadata : dict
        What the file says of the weights: licence, training data, calibration.
    warnings : tuple of str
        What whoever uses it should know, such as that its file has no checksums.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_sha256 = ""
        self.metadata: dict[str, Any] = {}
        self.warnings: tuple[str, ...] = ()
        self.image_encoder = _make_encoder(config)
        self.prompt_encoder, self.mask_decoder = sam_decoder(config)
        self.prompt_projection: nn.Linear | None = None
        if config.prompt_from_embedding:
            self.prompt_projection = nn.Linear(config.prompt_dim, config.prompt_dim)
            nn.init.zeros_(self.prompt_projection.weight)
            nn.init.zeros_(self.prompt_projection.bias)
        mean = 255 * torch.tensor(_IMAGENET_MEAN, device="cpu").reshape(3, 1, 1)
        std = 255 * torch.tensor(_IMAGENET_STD, device="cpu").reshape(3, 1, 1)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are; inputs are expected there."""
        return self.pixel_mean.device

    def encode(self, pixels: Tensor, before_block: Callable[[int], None] | None = None) -> Tensor:
        """Embed images.

        Parameters
        ----------
        pixels : (B, 3, H, W) floating point tensor, 0 .. 255
            RGB. The ViT takes its square frame only (H = W = ``config.image_size``); the lite
            model any multiples of 16.
        before_block : callable, optional
            Called with 1, 2, … before each transformer block of this call; may raise, which ends
            the call. It belongs to the call: hooks of modules would hear the calls of all threads.

        Returns
        -------
        (B, C, H / 16, W / 16) tensor
            float32, or the lower precision of an enclosing autocast.

        Raises
        ------
        TypeError
            ``pixels`` is no floating point tensor.
        ValueError
            Its shape does not fit the model.
        """
        self._check_pixels(pixels)
        if self.config.architecture == "vit":
            pixels = (pixels - self.pixel_mean) / self.pixel_std
        feats: Tensor = self.image_encoder(pixels, before_block)
        return feats

    def decode(
        self, feats: Tensor, points_xy: Any, *, corners: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Predict the source region of every prompt; see `napari_safire.model.decoder`.

        Parameters
        ----------
        feats : (B, C, h, w) tensor
            Embeddings from `encode`, of any h and w.
        points_xy : (N, 2) array_like for one image, or (B, P, 2)
            Positive points in model pixels, x before y; pixel centres are whole numbers. Those of
            a tensor that is no longer on the CPU are believed: to look would wait for the device.
        corners : bool
            Only the logits of each patch's corners, 2 h x 2 w instead of 4 h x 4 w.

        Returns
        -------
        logits : (N, 4 h, 4 w) or (B, P, 4 h, 4 w) float32 tensor
            Positive inside the region.
        confidence : (N,) or (B, P) float32 tensor
            Predicted pixel accuracy, not clipped.

        Raises
        ------
        TypeError
            ``feats`` is no floating point tensor.
        ValueError
            The shapes do not fit the model or each other, or a point is not finite.
        """
        _check_floating("feats", feats)
        n_channels = self.config.prompt_dim
        if feats.ndim != 4 or feats.shape[1] != n_channels or 0 in feats.shape:
            raise ValueError(
                f"feats has shape {tuple(feats.shape)}, but must be (B, {n_channels}, h, w): give "
                "what encode returned."
            )
        points = _points_on(feats.device, points_xy)
        one_image = points.ndim == 2
        if one_image and feats.shape[0] != 1:
            raise ValueError(
                f"points_xy has shape {tuple(points.shape)} for {feats.shape[0]} images, but must "
                "be (B, P, 2) for more than one image."
            )
        if one_image:
            points = points[None]
        if points.ndim != 3 or points.shape[-1] != 2 or points.shape[0] != feats.shape[0]:
            raise ValueError(
                f"points_xy has shape {tuple(points.shape)}, but must be (N, 2) for one image or "
                f"({feats.shape[0]}, P, 2)."
            )
        logits, confidence = decode_prompts(
            self.prompt_encoder,
            self.mask_decoder,
            feats,
            points,
            self.prompt_projection,
            corners,
        )
        return (logits[0], confidence[0]) if one_image else (logits, confidence)

    def _check_pixels(self, pixels: Tensor) -> None:
        _check_floating("pixels", pixels)
        shape = tuple(pixels.shape)
        side, stride = self.config.image_size, self.config.embedding_stride
        if len(shape) != 4 or shape[1] != 3 or 0 in shape:
            raise ValueError(f"pixels has shape {shape}, but must be (B, 3, H, W).")
        if not self.config.native_resolution and shape[2:] != (side, side):
            raise ValueError(
                f"pixels has shape {shape}, but this model takes {side} x {side} pixels only: "
                "resize the image first."
            )
        if shape[2] % stride or shape[3] % stride:
            raise ValueError(
                f"pixels has shape {shape}, but height and width must be multiples of {stride}: "
                "pad the image first."
            )


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """The device to run on.

    Parameters
    ----------
    device : str or torch.device
        "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that is there.

    Raises
    ------
    ValueError
        The device is unknown, or this machine does not have it.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"Unknown device {device!r}: {_DEVICES}.") from error
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"Unknown device {device!r}: {_DEVICES}.")
    n_devices = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }[chosen.type]
    wrapped = isinstance(device, str) and str(chosen) != device  # torch reads cuda:256 as cuda:0
    if wrapped or not 0 <= (chosen.index or 0) < n_devices:
        raise ValueError(f"This machine has no device {str(device)!r}: {_DEVICES}.")
    return chosen


def _check_floating(name: str, value: object) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name} must be a floating point tensor, not {kind}.")


def _points_on(device: torch.device, points_xy: Any) -> Tensor:
    points = torch.as_tensor(points_xy, dtype=torch.float32)
    if points.device.type == "cpu" and not bool(torch.isfinite(points).all()):
        raise ValueError("points_xy holds values that are not finite: give (x, y) numbers.")
    return points.to(device)


def sam_decoder(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """SAM's prompt encoder and mask decoder in the sizes of a config, with fresh weights."""
    n_patches = config.image_size // config.embedding_stride
    prompt_encoder = modeling.PromptEncoder(
        embed_dim=config.prompt_dim,
        image_embedding_size=(n_patches, n_patches),
        input_image_size=(config.image_size, config.image_size),
        mask_in_chans=config.mask_in_chans,
    )
    mask_decoder = modeling.MaskDecoder(
        transformer_dim=config.prompt_dim,
        transformer=modeling.TwoWayTransformer(
            depth=config.decoder_depth,
            embedding_dim=config.prompt_dim,
            num_heads=config.decoder_heads,
            mlp_dim=config.decoder_mlp_dim,
        ),
        iou_head_depth=config.confidence_depth,
        iou_head_hidden_dim=config.confidence_dim,
    )
    return prompt_encoder, mask_decoder


def _make_encoder(config: ModelConfig) -> nn.Module:
    if config.architecture == "lite":
        from napari_safire.model.lite import LiteEncoder

        return LiteEncoder(config)
    from napari_safire.model.vit import SafireViT

    return SafireViT(config)
