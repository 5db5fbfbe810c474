"""What happens to pictures after they were forged: blur, noise, recompression, resizing.

A `Degradation` is a frozen value with a name such as "jpeg-75"; `GRID` holds the series that
robustness is measured on. Kinds and strengths of blur, noise, JPEG and gamma are those of SAFIRE's
published robustness test (Kwon et al., AAAI 2025, and the code beside it); noise is rounded here,
where that code cuts it off.

"social" imitates what a social network does to an upload (a smaller picture, sharpened a little,
JPEG 4:2:0, no metadata). It is an imitation: no network states what it does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy import ndimage

from napari_safire.synthesis.camera import Pixels, jpeg

_SUBSAMPLED = 2  # Pillow's code for JPEG 4:2:0, which nearly all software writes
_SHARPEN = ImageFilter.UnsharpMask(radius=0.6, percent=40, threshold=0)
# Longest side of "social": its JPEG quality. Previews are compressed harder than full views.
_SOCIAL_QUALITY = {2048: 85, 1080: 71}


@dataclass(frozen=True, slots=True)
class DegradationKind:
    """One way to degrade a picture.

    Parameters
    ----------
    title, unit : str
        In words, and what its strengths count.
    usual : tuple of float
        The strengths of `GRID`, weakest first.
    apply : callable
        ``apply(pixels, strength, rng)``, (H, W, 3) uint8 to (h, w, 3) uint8.
    fits : callable
        Whether a strength makes sense.
    rule : str
        The same in words.
    neutral : float, optional
        The strength that changes nothing, where it lies between others.
    """

    title: str
    unit: str
    usual: tuple[float, ...]
    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    fits: Callable[[float], bool]
    rule: str
    neutral: float | None = None


@dataclass(frozen=True, slots=True)
class Degradation:
    """A kind of degradation and how strong it is.

    Parameters
    ----------
    kind : str
        A key of `KINDS`, or "none".
    strength : float
        In the unit of its kind; 0 for "none".

    Raises
    ------
    ValueError
        Unknown kind, or a strength that it does not have.

    Examples
    --------
    >>> Degradation("jpeg", 75).name
    'jpeg-75'
    >>> Degradation.parse("gamma-0.5")
    Degradation(kind='gamma', strength=0.5)
    """

    kind: str = "none"
    strength: float = 0.0

    def __post_init__(self) -> None:
        if self.kind == "none":
            if self.strength:
                raise ValueError(f"The degradation none has no strength, not {self.strength:g}.")
            return
        if self.kind not in KINDS:
            raise ValueError(
                f"Unknown degradation {self.kind!r}: choose none, {', '.join(KINDS)}, "
                "with a strength as in jpeg-75."
            )
        if not KINDS[self.kind].fits(self.strength):
            raise ValueError(
                f"{self.kind} cannot have the strength {self.strength:g}: {KINDS[self.kind].rule}."
            )

    @classmethod
    def parse(cls, name: str) -> Degradation:
        """Return the degradation of a name such as "jpeg-75"."""
        if name == "none":
            return cls()
        parts = re.fullmatch(r"([a-z]+)-(\d+(?:\.\d+)?)", name)
        if parts is None:
            raise ValueError(
                f"{name!r} names no degradation: write kind and strength, such as jpeg-75 or "
                f"gamma-0.5; there are {', '.join(KINDS)}, and none."
            )
        return cls(parts[1], float(parts[2]))

    @property
    def name(self) -> str:
        """Such as "jpeg-75"; `parse` reads it back."""
        return self.kind if self.kind == "none" else f"{self.kind}-{self.strength:g}"


def degrade(pixels: Pixels, degradation: Degradation, *, key: str = "") -> Pixels:
    """Degrade a picture.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
    degradation : Degradation
    key : str
        What noise is drawn from, together with the degradation's name: the same for one picture
        whatever else is degraded before it.

    Returns
    -------
    (h, w, 3) uint8 array
        Of another size for "resize" and "social"; `pixels` itself for "none".

    Raises
    ------
    TypeError
        Not (H, W, 3) uint8 pixels.
    ValueError
        The picture would be left without a pixel.
    """
    if degradation.kind == "none":
        return pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise TypeError(
            f"Only (H, W, 3) uint8 pictures are degraded, not {pixels.shape} {pixels.dtype}: "
            "convert it first."
        )
    digest = hashlib.sha256(f"{degradation.name} {key}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return KINDS[degradation.kind].apply(pixels, degradation.strength, rng)


def _rounded(values: npt.NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _blur(pixels: Pixels, size: float, rng: np.random.Generator) -> Pixels:
    """Gaussian of a square kernel, its width tied to the size as OpenCV ties it."""
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    return _rounded(
        ndimage.gaussian_filter(
            pixels.astype(np.float32), (sigma, sigma, 0), radius=(int(size) // 2,) * 2 + (0,),
            mode="mirror",
        )
    )  # fmt: skip


def _noise(pixels: Pixels, std: float, rng: np.random.Generator) -> Pixels:
    return _rounded(pixels + std * rng.standard_normal(pixels.shape, dtype=np.float32))


def _jpeg(pixels: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    return jpeg(pixels, int(quality), _SUBSAMPLED)


def _gamma(pixels: Pixels, gamma: float, rng: np.random.Generator) -> Pixels:
    levels = _rounded(255 * (np.arange(256) / 255) ** (1 / gamma))
    return levels[pixels]


def _resize(pixels: Pixels, factor: float, rng: np.random.Generator) -> Pixels:
    return _resized(pixels, factor, Image.Resampling.BICUBIC)


def _resized(pixels: Pixels, factor: float, method: Image.Resampling) -> Pixels:
    height, width = (round(length * factor) for length in pixels.shape[:2])
    if height < 1 or width < 1:
        raise ValueError(
            f"A picture of {pixels.shape[0]} x {pixels.shape[1]} pixels resized by {factor:g} has "
            "no pixel left: leave it out."
        )
    return np.asarray(Image.fromarray(pixels).resize((width, height), method))


def _social(pixels: Pixels, longest: float, rng: np.random.Generator) -> Pixels:
    factor = longest / max(pixels.shape[:2])
    if factor < 1:
        pixels = _resized(pixels, factor, Image.Resampling.LANCZOS)
        pixels = np.asarray(Image.fromarray(pixels).filter(_SHARPEN))
    return jpeg(pixels, _SOCIAL_QUALITY[int(longest)], _SUBSAMPLED)


def _whole(low: int, high: int) -> Callable[[float], bool]:
    return lambda value: float(value).is_integer() and low <= value <= high


KINDS: dict[str, DegradationKind] = {
    "blur": DegradationKind(
        "Gaussian blur",
        "kernel size in pixels",
        (3, 7, 11, 15, 19),
        _blur,
        lambda size: _whole(3, 99)(size) and size % 2 == 1,
        "use an odd kernel size from 3 to 99",
    ),
    "noise": DegradationKind(
        "Gaussian noise",
        "standard deviation in grey levels",
        (3, 7, 11, 15, 19, 23),
        _noise,
        lambda std: 0 < std <= 128,
        "use a standard deviation above 0, at most 128",
    ),
    "jpeg": DegradationKind(
        "JPEG compression",
        "quality",
        (100, 90, 80, 70, 60, 50),
        _jpeg,
        _whole(1, 100),
        "use a whole quality from 1 to 100",
    ),
    "gamma": DegradationKind(
        "Gamma correction",
        "gamma (above 1: brighter)",
        (0.7, 0.85, 1.15, 1.3),
        _gamma,
        lambda gamma: 0.1 <= gamma <= 10,
        "use a gamma from 0.1 to 10",
        neutral=1,
    ),
    "resize": DegradationKind(
        "Resizing",
        "factor of each side",
        (0.5, 0.75, 1.5),
        _resize,
        lambda factor: 0.05 <= factor <= 8,
        "use a factor from 0.05 to 8",
        neutral=1,
    ),
    "social": DegradationKind(
        "Imitation of a social network",
        "longest side in pixels",
        tuple(_SOCIAL_QUALITY),
        _social,
        lambda side: side in _SOCIAL_QUALITY,
        f"use one of {', '.join(map(str, _SOCIAL_QUALITY))}",
    ),
}
NONE = Degradation()
GRID: tuple[Degradation, ...] = (
    NONE,
    *(Degradation(name, float(s)) for name, kind in KINDS.items() for s in kind.usual),
)
