"""What happens to pixels between the lens and the file: the traces that tell sources apart.

A `Pipeline` is one draw of such a history: geometry, sensor noise, demosaicing, denoising or
sharpening, tone and JPEG compression with a grid of its own. Composites give each source its own
pipeline (paper section "R2R contrastive learning": regions differ by how they came to be).
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]

RESAMPLERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Bilinear demosaicing: each colour is interpolated from its own sites in the Bayer mosaic.
_GREEN_KERNEL = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], dtype=np.float32) / 4
_RED_BLUE_KERNEL = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One processing history; every field is a parameter of one step, in the order of the steps.

    Parameters
    ----------
    scale : float
        Resampling factor (1 = none), with ``resampler``.
    resampler : str
        "bilinear", "bicubic" or "lanczos".
    rotation : float
        Degrees, 0 = none.
    bayer_phase : (int, int) or None
        Position of the red site if the patch is mosaicked and demosaicked anew.
    shot_noise, read_noise : float
        Noise variance is ``shot_noise * value + read_noise ** 2``, in 8-bit grey levels.
    filter : str
        "none", "gaussian", "median", "sharpen" or "nlm-like" (an edge-keeping smoothing).
    filter_strength : float
    gamma, contrast : float
    gains : (float, float, float)
        White balance.
    jpeg_quality : int or None
    jpeg_subsampling : int
        Pillow's code: 0 = 4:4:4, 1 = 4:2:2, 2 = 4:2:0.
    jpeg_offset : (int, int)
        Where the block grid starts relative to the patch, 0..7 each.
    """

    scale: float = 1.0
    resampler: str = "bicubic"
    rotation: float = 0.0
    bayer_phase: tuple[int, int] | None = None
    shot_noise: float = 0.0
    read_noise: float = 0.0
    filter: str = "none"
    filter_strength: float = 0.0
    gamma: float = 1.0
    contrast: float = 1.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    jpeg_quality: int | None = None
    jpeg_subsampling: int = 0
    jpeg_offset: tuple[int, int] = (0, 0)

    def as_record(self) -> dict[str, Any]:
        """The parameters as plain values, for a manifest."""
        return asdict(self)

    def separation(self, other: Pipeline) -> float:
        """How far two histories lie apart in what they leave in the pixels (about 1 = visible).

        Used to refuse pairs that nothing could tell apart when both come from one photograph.
        """
        quality, other_quality = self.jpeg_quality or 100, other.jpeg_quality or 100
        coarse = min(quality, other_quality) < 97
        return (
            (abs(self.scale - other.scale) / 0.08)
            + (1.0 if (self.rotation == 0) != (other.rotation == 0) else 0.0)
            + (0.7 if self.bayer_phase != other.bayer_phase else 0.0)
            + abs(self.read_noise - other.read_noise) / 1.5
            + abs(self.shot_noise - other.shot_noise) / 0.03
            + (1.0 if self.filter != other.filter else 0.0)
            + abs(quality - other_quality) / 10
            + (1.0 if coarse and self.jpeg_offset != other.jpeg_offset else 0.0)
        )


def sample_pipeline(rng: np.random.Generator, *, pasted: bool) -> Pipeline:
    """Draw a history. Pasted regions are more often resampled and off the JPEG grid."""
    resampled = rng.random() < (0.5 if pasted else 0.25)
    noisy = rng.random() < 0.5
    filtered = rng.random() < 0.45
    toned = rng.random() < 0.5
    compressed = rng.random() < 0.65
    kind = str(rng.choice(["gaussian", "median", "sharpen", "nlm-like"])) if filtered else "none"
    strength = {
        "none": 0.0,
        "gaussian": rng.uniform(0.35, 1.4),
        "median": 3.0,
        "sharpen": rng.uniform(0.4, 1.8),
        "nlm-like": rng.uniform(4.0, 16.0),
    }[kind]
    aligned = rng.random() < (0.1 if pasted else 0.6)
    return Pipeline(
        scale=float(np.exp(rng.uniform(np.log(0.6), np.log(1.8)))) if resampled else 1.0,
        resampler=str(rng.choice(list(RESAMPLERS))),
        rotation=float(rng.uniform(-30, 30)) if pasted and rng.random() < 0.15 else 0.0,
        bayer_phase=(int(rng.integers(2)), int(rng.integers(2))) if rng.random() < 0.35 else None,
        shot_noise=float(rng.uniform(0, 0.08)) if noisy else 0.0,
        read_noise=float(rng.uniform(0.5, 5.0)) if noisy else 0.0,
        filter=kind,
        filter_strength=float(strength),
        gamma=float(np.exp(rng.normal(0, 0.18))) if toned else 1.0,
        contrast=float(np.exp(rng.normal(0, 0.12))) if toned else 1.0,
        gains=_white_balance(rng) if toned else (1.0, 1.0, 1.0),
        jpeg_quality=int(rng.integers(50, 99)) if compressed else None,
        jpeg_subsampling=int(rng.choice([0, 1, 2])),
        jpeg_offset=(0, 0) if aligned else (int(rng.integers(8)), int(rng.integers(8))),
    )


def _white_balance(rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = np.exp(rng.normal(0, 0.06, 3)).tolist()
    return red, green, blue


def jpeg(pixels: Pixels, quality: int, subsampling: int = 0) -> Pixels:
    """Compress and decompress (H, W, 3) uint8 pixels once, with the block grid at (0, 0)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer))


def develop(
    photo: Pixels,
    corner: tuple[int, int],
    shape: tuple[int, int],
    pipeline: Pipeline,
    rng: np.random.Generator,
) -> Pixels:
    """Take a patch from a photograph and give it the pipeline's history.

    Parameters
    ----------
    photo : (H, W, 3) uint8 array
    corner : (int, int)
        Row and column in the photograph where the patch begins; moved inside if it would overrun.
    shape : (int, int)
        Rows and columns of the result.
    pipeline : Pipeline
    rng : numpy.random.Generator
        Draws the noise.

    Returns
    -------
    (shape[0], shape[1], 3) uint8 array
    """
    top, left = pipeline.jpeg_offset
    # Eight pixels on each side: room for the grid offset, and filters do not see the border.
    padded = (shape[0] + 16, shape[1] + 16)
    patch = _crop_resampled(photo, corner, padded, pipeline)
    values = patch.astype(np.float32)
    if pipeline.bayer_phase is not None or pipeline.read_noise or pipeline.shot_noise:
        values = _sensor(values, pipeline, rng)
    values = _tone(_filter(values, pipeline), pipeline)
    patch = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if pipeline.jpeg_quality is not None:
        # The encoder's grid starts where its input does; the result begins 8 pixels further in,
        # which leaves the grid's phase unchanged.
        cut = np.ascontiguousarray(patch[top:, left:])
        patch = patch.copy()
        patch[top:, left:] = jpeg(cut, pipeline.jpeg_quality, pipeline.jpeg_subsampling)
    return patch[8 : 8 + shape[0], 8 : 8 + shape[1]]


def _crop_resampled(
    photo: Pixels, corner: tuple[int, int], shape: tuple[int, int], pipeline: Pipeline
) -> Pixels:
    scale = pipeline.scale
    turn = np.deg2rad(pipeline.rotation)
    # A rotated patch needs the bounding box of the turned rectangle.
    need_rows = (shape[0] * abs(np.cos(turn)) + shape[1] * abs(np.sin(turn))) / scale
    need_cols = (shape[1] * abs(np.cos(turn)) + shape[0] * abs(np.sin(turn))) / scale
    rows = min(int(np.ceil(need_rows)), photo.shape[0])
    cols = min(int(np.ceil(need_cols)), photo.shape[1])
    top = int(np.clip(corner[0], 0, photo.shape[0] - rows))
    left = int(np.clip(corner[1], 0, photo.shape[1] - cols))
    patch = photo[top : top + rows, left : left + cols]
    if pipeline.rotation or scale != 1.0:
        picture = Image.fromarray(np.ascontiguousarray(patch))
        if pipeline.rotation:
            picture = picture.rotate(pipeline.rotation, Image.Resampling.BICUBIC)
        size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
        patch = np.asarray(picture.resize(size, RESAMPLERS[pipeline.resampler]))
        # The turned rectangle lies in the middle.
        top = max(0, (patch.shape[0] - shape[0]) // 2)
        left = max(0, (patch.shape[1] - shape[1]) // 2)
        patch = patch[top : top + shape[0], left : left + shape[1]]
    else:
        patch = patch[: shape[0], : shape[1]]
    missing = (shape[0] - patch.shape[0], shape[1] - patch.shape[1])
    if missing[0] > 0 or missing[1] > 0:  # photograph smaller than the patch: mirror it
        patch = np.pad(
            patch, ((0, max(0, missing[0])), (0, max(0, missing[1])), (0, 0)), mode="symmetric"
        )
    return patch


def _sensor(
    values: npt.NDArray[np.float32], pipeline: Pipeline, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Noise as a sensor makes it, before demosaicing where there is any."""
    sigma = np.sqrt(pipeline.shot_noise * np.clip(values, 0, 255) + pipeline.read_noise**2)
    noisy = values + sigma * rng.standard_normal(values.shape, dtype=np.float32)
    if pipeline.bayer_phase is None:
        return noisy.astype(np.float32)
    row, col = pipeline.bayer_phase
    sites = np.zeros(values.shape, dtype=np.float32)
    sites[row::2, col::2, 0] = 1
    sites[1 - row :: 2, 1 - col :: 2, 2] = 1
    sites[row::2, 1 - col :: 2, 1] = 1
    sites[1 - row :: 2, col::2, 1] = 1
    mosaic = noisy * sites
    out = np.empty_like(values)
    for channel, kernel in enumerate((_RED_BLUE_KERNEL, _GREEN_KERNEL, _RED_BLUE_KERNEL)):
        out[..., channel] = ndimage.convolve(mosaic[..., channel], kernel, mode="mirror")
    return out


def _filter(values: npt.NDArray[np.float32], pipeline: Pipeline) -> npt.NDArray[np.float32]:
    strength = pipeline.filter_strength
    if pipeline.filter == "gaussian":
        return ndimage.gaussian_filter(values, (strength, strength, 0), truncate=3)
    if pipeline.filter == "median":
        grey_levels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        return np.asarray(
            Image.fromarray(grey_levels).filter(ImageFilter.MedianFilter(3)), dtype=np.float32
        )
    if pipeline.filter == "sharpen":
        soft = ndimage.gaussian_filter(values, (1.0, 1.0, 0), truncate=3)
        return values + strength * (values - soft)
    if pipeline.filter == "nlm-like":
        # Shrink the detail that is weaker than `strength`: what denoisers in phones do.
        soft = ndimage.gaussian_filter(values, (1.2, 1.2, 0), truncate=3)
        detail = values - soft
        return soft + detail * (detail**2 / (detail**2 + strength**2))
    return values


def _tone(values: npt.NDArray[np.float32], pipeline: Pipeline) -> npt.NDArray[np.float32]:
    if pipeline.gains != (1.0, 1.0, 1.0):
        values = values * np.asarray(pipeline.gains, dtype=np.float32)
    if pipeline.contrast != 1.0:
        values = (values - 128) * pipeline.contrast + 128
    if pipeline.gamma != 1.0:
        powers = (np.clip(values, 0, 255) / 255) ** np.float32(pipeline.gamma)
        values = 255 * powers.astype(np.float32, copy=False)
    return values
