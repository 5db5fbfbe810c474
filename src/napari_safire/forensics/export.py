"""Results of views as files: maps and links as pictures, everything else as one JSON a picture."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from napari_safire.atomic import atomic_path
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Links
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import EvidenceView
from napari_safire.images.reading import write_image_atomic
from napari_safire.palette import source_colour
from napari_safire.text import printable

FORMAT = "napari-safire evidence 1"
_UNKNOWN = (70, 40, 90)  # where a view can say nothing: no grey, which would be a value
_MOST_LINES = 200
_TINT = 0.45


def write_evidence(folder: Path, base: str, image: Path, views: Mapping[str, EvidenceView]) -> Path:
    """Compute views that apply and write them.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    base : str
        Begin of the files' names.
    image : Path
        The picture, as the JSON names it.
    views : mapping of str to EvidenceView
        Of one picture, at least one.

    Returns
    -------
    Path
        The JSON file, written last.

    Raises
    ------
    OSError
        The folder cannot be written to.
    Cancelled
    """
    folder.mkdir(parents=True, exist_ok=True)
    picture = next(iter(views.values())).picture
    found = []
    for name, view in views.items():
        record: dict[str, Any] = {"view": name, "applicable": view.applicable}
        if not view.applicable:
            record["why_not"] = view.why_not
            found.append(record)
            continue
        files = {}
        result = view.result
        for kind, pixels in _pictures(result, picture.rgb).items():
            path = folder / f"{base}_{name.replace(' ', '-')}_{kind}.png"
            files[kind] = write_image_atomic(path, pixels).name
        record |= _record(view, result, files)
        found.append(record)
    record_path = folder / f"{base}_evidence.json"
    document = {
        "format": FORMAT,
        "image": printable(image.name),
        "sha256": picture.file.sha256 if picture.file is not None else None,
        "pixels_sha256": picture.pixels_sha256,
        "shape": list(picture.shape),
        "views": found,
    }
    with atomic_path(record_path) as temporary:
        Path(temporary).write_text(json.dumps(document, indent=1, allow_nan=False), "utf-8")
    return record_path


def _record(view: EvidenceView, found: Evidence, files: Mapping[str, str]) -> dict[str, Any]:
    score = found.score
    return {
        "shows": view.view.shows,
        "source": view.view.source,
        "parameters": parameters_record(view),
        "finding": found.finding,
        "score": None if score is None or not math.isfinite(score) else round(float(score), 6),
        "score_means": view.view.score_means,
        "caveat": view.caveat,
        "table": [[row.name, row.value, row.remark, row.level] for row in found.table],
        "files": dict(files),
    }


def parameters_record(view: EvidenceView) -> dict[str, Any]:
    """Return all parameters of a view as JSON values, pictures by name and hash."""
    every = {**view.view.parameters, **view.parameters}
    return {name: _named(value) for name, value in every.items()}


def _named(value: Any) -> Any:
    """A parameter as JSON can hold it: pictures by name and hash."""
    if isinstance(value, Picture):
        name = "" if value.file is None else printable(value.file.path.name)
        return {"image": name, "pixels_sha256": value.pixels_sha256}
    return printable(value) if isinstance(value, os.PathLike) else value


def _pictures(found: Evidence, rgb: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.uint8]]:
    pictures = {}
    if found.map is not None:
        pictures["map"] = render_map(found.map)
    if found.links is not None:
        pictures["links"] = render_links(found.links, rgb)
    return pictures


def render_map(drawn: EvidenceMap) -> npt.NDArray[np.uint8]:
    """Draw a map in greys, or in its own colours; one pixel for each value.

    Parameters
    ----------
    drawn : EvidenceMap

    Returns
    -------
    (h, w, 3) uint8 array
        Purple where the view can say nothing.
    """
    low, high = (0.0, 1.0) if drawn.values.ndim == 3 else drawn.limits
    scaled = np.clip((drawn.values - low) / max(high - low, 1e-9), 0, 1) * 255
    unknown = np.isnan(scaled)
    grey = np.rint(np.where(unknown, 0, scaled)).astype(np.uint8)
    if drawn.values.ndim == 3:
        return grey
    pixels = np.repeat(grey[..., None], 3, axis=2)
    pixels[unknown] = _UNKNOWN
    return pixels


def drawn_legend(found: Evidence) -> str:
    """Return what the colours of `render_map` or `render_links` mean; empty where nothing is drawn.

    Parameters
    ----------
    found : Evidence

    Returns
    -------
    str
    """
    drawn = found.map
    unknown = drawn is not None and drawn.values.ndim == 2 and bool(np.isnan(drawn.values).any())
    return f"{found.legend} Purple: nothing can be said there.".strip() if unknown else found.legend


def render_links(links: Links, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Draw regions in colours and links as lines over the picture.

    Parameters
    ----------
    links : Links
    rgb : (H, W, 3) uint8 array

    Returns
    -------
    (H, W, 3) uint8 array
        200 lines at most, taken evenly.
    """
    pixels = rgb.astype(np.float32)
    for number in np.unique(links.regions[links.regions > 0]):
        inside = links.regions == number
        colour = np.array(source_colour(int(number)), np.float32)
        pixels[inside] = (1 - _TINT) * pixels[inside] + _TINT * colour
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    canvas = ImageDraw.Draw(image)
    width = max(1, round(max(rgb.shape[:2]) / 800))
    for at in np.linspace(0, len(links) - 1, min(len(links), _MOST_LINES)).round().astype(int):
        (top, left), (bottom, right) = links.starts[at], links.ends[at]
        line = source_colour(int(links.groups[at]))
        canvas.line((left, top, right, bottom), fill=line, width=width)
    return np.asarray(image)
