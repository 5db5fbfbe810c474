"""What a generative model gives back for a region: an interface, and a classical stand-in.

The stand-in is no generator and no diffusion model: it is a linear autoencoder of the picture's own
patches, followed by the trace that the upsampling of generators leaves. Diffusion models come in as
plug-ins (`napari_safire.synthesis.plugins`).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_PATCH = 8  # pixels a side
_STRIDE = 4
_MOST_COMPONENTS, _FEWEST_COMPONENTS = 96, 6  # of 192
_SAMPLES = 4_000  # patches that the components are learnt from
_WEIGHT_ERROR = 0.015  # relative, of the transposed convolution's weights


class Reconstructor(Protocol):
    """Gives back a region as a generator would draw it.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
        Not to be changed in place.
    mask : (H, W) bool array
        The region: neither empty nor the whole picture.
    strength : float
        0 to 1: how far the result may leave the original, as diffusion inpainting has it.
    rng : numpy.random.Generator
        All randomness.

    Returns
    -------
    (H, W, 3) uint8 array
        `pixels` outside the region, the reconstruction inside.
    """

    def __call__(
        self, pixels: Pixels, mask: Mask, strength: float, rng: np.random.Generator, /
    ) -> Pixels:
        """Redraw the region."""
        ...


def patch_autoencoder(
    pixels: Pixels, mask: Mask, strength: float, rng: np.random.Generator
) -> Pixels:
    """Encode and decode the region linearly, then upsample it as generators do.

    Overlapping patches of 8 x 8 pixels are projected on their first principal components (of this
    picture; 96 at strength 0 to 6 at strength 1) and averaged. Of the result a share of `strength`
    goes through half the resolution and back by a transposed convolution of 4 x 4 weights and
    stride 2. Its weights are a bilinear kernel with errors of 1.5 %, as training leaves them: the
    four phases get unequal gains, which is the periodic trace of generators (Odena, Dumoulin, Olah,
    "Deconvolution and Checkerboard Artifacts", 2016; Zhang, Karaman, Chang, WIFS 2019).
    """
    box = _even_box(mask, margin=2 * _PATCH)
    part = pixels[box].astype(np.float32)
    components = round(_MOST_COMPONENTS * (_FEWEST_COMPONENTS / _MOST_COMPONENTS) ** strength)
    coded = _coded(part, components, rng)
    drawn = (1 - strength) * coded + strength * _upsampled(_halved(coded), rng)[
        : part.shape[0], : part.shape[1]
    ]
    result = pixels.copy()
    region = mask[box]
    result[box][region] = np.clip(np.rint(drawn[region]), 0, 255).astype(np.uint8)
    return result


def _even_box(mask: Mask, margin: int) -> tuple[slice, slice]:
    """The region and its surroundings, from an even corner: the trace keeps one phase."""
    rows, cols = ndimage.find_objects(mask.astype(np.int8))[0]
    return (
        slice(max(0, rows.start - margin) // 2 * 2, rows.stop + margin),
        slice(max(0, cols.start - margin) // 2 * 2, cols.stop + margin),
    )


def _coded(
    part: npt.NDArray[np.float32], components: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    height, width = part.shape[:2]
    pad = [(_STRIDE, _PATCH + (-side) % _STRIDE) for side in (height, width)]
    padded = np.pad(part, [*pad, (0, 0)], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), (0, 1))
    windows = windows[::_STRIDE, ::_STRIDE]  # (h, w, 3, 8, 8)
    patches = windows.reshape(-1, 3 * _PATCH**2)
    sample = patches[rng.choice(len(patches), min(_SAMPLES, len(patches)), replace=False)]
    mean = sample.mean(0)
    _, directions = np.linalg.eigh(np.cov(sample - mean, rowvar=False).astype(np.float64))
    basis = directions[:, ::-1][:, :components].astype(np.float32)
    decoded = ((patches - mean) @ basis) @ basis.T + mean
    decoded = decoded.reshape(windows.shape).transpose(0, 1, 3, 4, 2)
    # Each pixel is the mean of the four patches that hold it.
    total = np.zeros_like(padded)
    count = np.zeros(padded.shape[:2], np.float32)
    rows, cols = windows.shape[:2]
    for top in range(_PATCH):
        for left in range(_PATCH):
            place = (
                slice(top, top + (rows - 1) * _STRIDE + 1, _STRIDE),
                slice(left, left + (cols - 1) * _STRIDE + 1, _STRIDE),
            )
            total[place] += decoded[:, :, top, left]
            count[place] += 1
    means = (total / np.maximum(count, 1)[..., None]).astype(np.float32)
    return means[_STRIDE : _STRIDE + height, _STRIDE : _STRIDE + width]


def _halved(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    even = np.pad(values, [(0, side % 2) for side in values.shape[:2]] + [(0, 0)], mode="edge")
    four = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return (four / 4).astype(np.float32)


def _upsampled(
    values: npt.NDArray[np.float32], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Transposed convolution of stride 2, weights near the bilinear ones."""
    taps = np.array([1, 3, 3, 1], np.float32) / 4
    errors = _WEIGHT_ERROR * rng.standard_normal((4, 4, values.shape[2]))
    weights = np.outer(taps, taps)[..., None] * (1 + errors).astype(np.float32)
    padded = np.pad(values, [(1, 1), (1, 1), (0, 0)], mode="edge")
    rows, cols = padded.shape[:2]
    spread = np.zeros((2 * rows + 2, 2 * cols + 2, values.shape[2]), np.float32)
    for top in range(4):
        for left in range(4):
            spread[top : top + 2 * rows : 2, left : left + 2 * cols : 2] += (
                padded * weights[top, left]
            )
    # Sample (i, j) spreads over rows 2 i .. 2 i + 3, of which the middle two are its own; the
    # padding is one sample.
    return spread[3 : 3 + 2 * values.shape[0], 3 : 3 + 2 * values.shape[1]]
