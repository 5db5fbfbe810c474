"""Views of sensor and processing."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from napari_safire.forensics.evidence import Evidence, EvidenceMap, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.processing import appearance
from napari_safire.forensics.processing.colour_filter import green_phase
from napari_safire.forensics.processing.noise import noise_levels, relative_noise, residual
from napari_safire.forensics.processing.resampling import resampling_strengths, strongest_period
from napari_safire.forensics.tiles import by_strips, sampled
from napari_safire.forensics.view import View
from napari_safire.progress import Cancel, Progress
from napari_safire.types import FloatImage

_PERIOD_STANDS_OUT = 8.0  # times what is usual
Cell = Annotated[int, {"min": 8, "max": 128, "step": 8, "tooltip": "pixels a side"}]


def _upper(values: FloatImage, share: float = 0.995) -> float:
    known = np.abs(sampled(values))
    return float(np.quantile(known, share)) if known.size else 1.0


def residual_view(
    picture: Picture,
    *,
    size: Annotated[int, {"min": 3, "max": 9, "step": 2, "tooltip": "pixels of the filter"}] = 3,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """What a median filter takes away."""
    left = by_strips(
        lambda rows: residual(picture.grey(rows), size),
        picture.shape,
        overlap=size // 2,
        progress=progress,
        cancel=cancel,
        stage="filtering",
    )
    most = _upper(left) or 1.0
    means = "brighter or darker than what surrounds it"
    drawn = EvidenceMap(left, limits=(-most, most), means=means, unit="grey levels")
    return Evidence(drawn, finding="for the eye")


def noise_view(
    picture: Picture,
    *,
    cell: Cell = 32,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Noise of each place over what is usual at its brightness."""
    cells = by_strips(
        lambda rows: np.stack(noise_levels(picture.grey(rows), cell), axis=-1),
        picture.shape,
        cell=cell,
        progress=progress,
        cancel=cancel,
    )
    levels, brightness = cells[..., 0], cells[..., 1]
    relative = relative_noise(levels, brightness)
    known = levels[np.isfinite(levels)]
    table = (
        Row(
            "Noise of the picture", f"{np.median(known):.2f} grey levels" if known.size else "none"
        ),
    )
    drawn = EvidenceMap(
        relative, cell, limits=(-2.0, 2.0), means="brighter: noisier than usual at this brightness",
        unit="log2",
    )  # fmt: skip
    return Evidence(drawn, table=table, finding="for the eye")


def high_pass_view(
    picture: Picture,
    *,
    removed: Annotated[float, {"min": 0.01, "max": 0.9, "step": 0.01, "tooltip": "share"}] = 0.25,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """High frequencies alone."""
    left = appearance.high_pass(picture, removed, progress=progress, cancel=cancel)
    drawn = EvidenceMap(left, limits=(0.0, _upper(left) or 1.0), means="brighter: finer detail")
    return Evidence(drawn, finding="for the eye")


def colour_filter_view(
    picture: Picture,
    *,
    cell: Cell = 16,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Consistency of the colour filter's traces."""
    phase = by_strips(
        lambda rows: green_phase(picture.rgb[rows], cell),
        picture.shape,
        cell=cell,
        overlap=cell,
        progress=progress,
        cancel=cancel,
    )
    known = phase[np.isfinite(phase)]
    middle = float(np.median(known)) if known.size else 0.0
    spread = float(np.median(np.abs(known - middle))) * 1.4826 if known.size else 1.0
    has = abs(middle) > spread
    drawn = EvidenceMap(
        phase, cell, limits=(-1.0, 1.0), means="equal brightness: one filter grid", unit="log"
    )
    caveats = () if has else ("This picture shows no traces of a colour filter.",)
    finding = "traces of a colour filter" if has else "no traces of a colour filter"
    return Evidence(drawn, finding=finding, caveats=caveats)


def resampling_view(
    picture: Picture,
    *,
    cell: Annotated[int, {"min": 32, "max": 256, "step": 32, "tooltip": "pixels a side"}] = 64,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Periods of interpolation."""
    strengths = resampling_strengths(picture.luminance, cell, progress=progress, cancel=cancel)
    rows = []
    for name, axis in (("down", 0), ("across", 1)):
        period = strongest_period(picture.luminance, axis)
        remark = (
            "the whole picture may have been resized"
            if period.strength > _PERIOD_STANDS_OUT
            else ""
        )
        rows.append(
            Row(f"Strongest period {name}", f"{period.frequency:.4f} cycles a pixel", remark)
        )
    drawn = EvidenceMap(strengths, cell, limits=(2.0, 12.0), means="brighter: a stronger period")
    whole = any(row.remark for row in rows)
    return Evidence(drawn, table=tuple(rows), finding="resized" if whole else "no period all over")


def sharpness_view(
    picture: Picture,
    *,
    window: Cell = 16,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Share of fine detail."""
    values = appearance.sharpness(picture, window, progress=progress, cancel=cancel)
    drawn = EvidenceMap(values, window, limits=(0.0, _upper(values)), means="brighter: sharper")
    return Evidence(drawn, finding="for the eye")


def clipping_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Where channels are at the end of their range."""
    values = appearance.clipped(picture, progress=progress, cancel=cancel)
    share = float((values != 0).mean())
    drawn = EvidenceMap(values, limits=(-1.0, 1.0), means="bright: clipped; dark: black")
    return Evidence(drawn, finding=f"{100 * share:.1f} % clipped or black")


def colour_component_view(
    picture: Picture,
    *,
    component: Annotated[int, {"min": 1, "max": 3}] = 3,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Evidence:
    """Colours along one of their principal components."""
    values = appearance.colour_component(picture, component - 1, progress=progress, cancel=cancel)
    drawn = EvidenceMap(values, means="brighter: more of this colour")
    return Evidence(drawn, finding="for the eye")


def gradient_view(
    picture: Picture, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Evidence:
    """Direction and strength of the gradient."""
    values = appearance.gradients(picture, progress=progress, cancel=cancel)
    return Evidence(
        EvidenceMap(values, means="red and green: which way brightness rises; blue: how steeply"),
        finding="for the eye",
    )


VIEWS = (
    View(
        "residual",
        "What a median filter takes away: noise and fine detail.",
        "Texture looks like noise; denoising and blur look like another camera.",
        "Mahdian and Saic 2009; common practice",
        residual_view,
        square=64,
    ),
    View(
        "noise level",
        "How noisy each place is against what is usual at its brightness.",
        "Texture counts as noise; denoising, blur and lost focus lower it in authentic pictures.",
        "Mahdian and Saic, Image and Vision Computing 2009",
        noise_view,
        ("size",),
        square=64,
    ),
    View(
        "high-pass",
        "High frequencies, as the network sees them in its second input.",
        "Edges and texture dominate; it is for the eye.",
        "Kwon et al., SAFIRE, AAAI 2025, section 3.2",
        high_pass_view,
        square=128,
    ),
    View(
        "colour filter",
        "Whether green was interpolated on one of two diagonals, everywhere the same.",
        "Resizing and strong compression remove these traces; many cameras' pictures show none.",
        "Ferrara et al., IEEE TIFS 2012",
        colour_filter_view,
        ("size",),
        square=64,
    ),
    View(
        "resampling",
        "Periods that enlarging or turning left, in the whole picture and around each place.",
        "Fences, fabric and screens are periodic; making smaller leaves little; JPEG hides it.",
        "Gallagher 2005; Mahdian and Saic, IEEE TIFS 2008",
        resampling_view,
        ("size",),
        square=256,
    ),
    View(
        "sharpness",
        "Share of fine detail in each place.",
        "Focus and motion change it in every photograph.",
        "Laplacian over gradient energy; common practice",
        sharpness_view,
        ("size",),
        square=64,
    ),
    View(
        "clipping",
        "Channels at the end of their range.",
        "Light sources and shadows are clipped in authentic pictures.",
        "common practice",
        clipping_view,
        square=64,
    ),
    View(
        "colour components",
        "Colours along one of their principal components.",
        "What stands out may be paint; it is for the eye.",
        "principal component analysis; common practice",
        colour_component_view,
        square=64,
    ),
    View(
        "gradient",
        "Direction of light and strength of edges.",
        "It is for the eye; texture hides the light's direction.",
        "Sobel filter; common practice",
        gradient_view,
        square=64,
    ),
)
