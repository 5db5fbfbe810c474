"""What does not fit together in a picture's metadata: sentences of what was seen, no verdict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

_EDITORS = (
    "photoshop", "gimp", "lightroom", "affinity", "pixelmator", "snapseed", "paint.net", "paint",
    "picasa", "picsart", "facetune", "canva", "luminar", "capture one", "darktable", "rawtherapee",
    "imagemagick", "graphicsmagick", "acdsee", "photoscape", "xnview", "irfanview", "gd-jpeg",
    "fotoxx", "krita", "inkscape", "polarr", "vsco", "meitu", "beautyplus", "remini", "topaz",
    "dxo", "on1", "photolab", "paintshop", "corel", "aperture", "iphoto", "gthumb", "shotwell",
    "digikam", "exiftool", "ffmpeg", "lavc", "faceapp",
)  # fmt: skip
_GENERATORS = (
    "stable diffusion", "midjourney", "firefly", "dall-e", "dall·e", "comfyui", "automatic1111",
    "novelai", "invokeai", "imagen", "flux", "leonardo.ai", "ideogram",
)  # fmt: skip
_PROGRAMS = ("Image Software", "Image ProcessingSoftware", "Image HostComputer")
_DATES = ("EXIF DateTimeOriginal", "EXIF DateTimeDigitized", "Image DateTime")
_DATE_FORM = "%Y:%m:%d %H:%M:%S"
_FARTHEST_ZONE = timedelta(hours=14, minutes=30)
_MAKERS = ("canon", "nikon", "sony", "olympus", "fuji", "panasonic", "pentax")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_FULL_FRAME = 36.0  # mm
_PLANE_UNITS = {"Inch": 25.4, "2": 25.4, "Centimeter": 10.0, "cm": 10.0, "3": 10.0, "mm": 1.0}
_SENSOR_TOLERANCE = 0.25


def program_remark(text: str) -> str:
    """What kind of program a text names; empty for none that is known."""
    lowered = text.lower()
    if any(re.search(rf"(?<![a-z]){re.escape(name)}", lowered) for name in _GENERATORS):
        return "names a program that generates pictures"
    if any(re.search(rf"(?<![a-z]){re.escape(name)}", lowered) for name in _EDITORS):
        return "written by an editor"
    return ""


def exif_remarks(tags: Mapping[str, str], shape: tuple[int, int]) -> dict[str, str]:
    """What does not fit in Exif tags.

    Parameters
    ----------
    tags : mapping of str to str
        By directory and name: "Image Make".
    shape : (int, int)
        Rows and columns of the picture; (0, 0) if unknown.

    Returns
    -------
    dict of str to str
        By tag, which may be missing: one sentence.
    """
    if not tags:
        return {}
    found: dict[str, str] = {}
    for part in (_dates(tags), _gps(tags), _camera(tags), _size(tags, shape), _sensor(tags)):
        for name, remark in part:
            found.setdefault(name, remark)
    return found


def _dates(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in _DATES:
        if name in tags and date_of(tags[name]) is None:
            unset = not tags[name].strip("0: -")
            yield name, "a clock that was not set" if unset else "no date in the form of Exif"
    taken, changed = date_of(tags.get(_DATES[0], "")), date_of(tags.get(_DATES[2], ""))
    digitised = date_of(tags.get(_DATES[1], ""))
    if taken is not None and changed is not None and changed > taken:
        yield _DATES[2], "later than it was taken: saved again"
    if taken is not None and changed is not None and changed < taken:
        yield _DATES[2], "earlier than it was taken"
    if taken is not None and digitised is not None and digitised < taken:
        yield _DATES[1], "earlier than it was taken"


def _gps(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """GPS has world time; a camera has that of its place."""
    day = tags.get("GPS GPSDate") or tags.get("GPS GPSDateStamp") or ""
    clock = re.findall(r"\d+(?:/\d+)?", tags.get("GPS GPSTimeStamp", ""))
    taken = date_of(tags.get(_DATES[0], ""))
    if taken is None or len(clock) < 3:
        return
    hours, minutes = (int(float(_ratio(part))) for part in clock[:2])
    start = date_of(f"{day} 00:00:00")
    if start is None or hours > 24 or minutes > 59:
        return
    apart = taken - (start + timedelta(hours=hours, minutes=minutes))
    offset = _OFFSET.fullmatch(tags.get("EXIF OffsetTimeOriginal", ""))
    if abs(apart) > _FARTHEST_ZONE:
        yield "GPS GPSTimeStamp", "GPS and camera are further apart than any time zone"
    elif offset is not None:
        zone = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if abs(apart - (zone if offset[1] == "+" else -zone)) > timedelta(hours=1):
            yield "GPS GPSTimeStamp", "GPS and camera do not agree in the time zone that is named"


def _camera(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in _PROGRAMS:
        remark = program_remark(tags.get(name, ""))
        if remark:
            yield name, remark
    make = tags.get("Image Make", "")
    if not make:
        yield "Image Make", "the camera's maker is missing"
    exposed = "EXIF ExposureTime" in tags or "EXIF FNumber" in tags
    if exposed and make.lower().startswith(_MAKERS) and "EXIF MakerNote" not in tags:
        yield "EXIF MakerNote", "cameras of this maker write a note of their own: it is missing"


def _size(tags: Mapping[str, str], shape: tuple[int, int]) -> Iterator[tuple[str, str]]:
    said = tuple(_integer(tags.get(f"EXIF ExifImage{side}", "")) for side in ("Length", "Width"))
    if 0 in said or 0 in shape or said == shape:
        return
    if said == shape[::-1]:
        yield "EXIF ExifImageWidth", "the picture has rows and columns the other way round"
        return
    size = f"{shape[0]} x {shape[1]}"
    yield "EXIF ExifImageWidth", f"the picture has {size} pixels, others than are named here"


def _sensor(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Width of the sensor by its resolution, against that by both focal lengths."""
    density = float(_ratio(tags.get("EXIF FocalPlaneXResolution", "")))
    unit = _PLANE_UNITS.get(tags.get("EXIF FocalPlaneResolutionUnit", ""), 0.0)
    width = _integer(tags.get("EXIF ExifImageWidth", ""))
    own = float(_ratio(tags.get("EXIF FocalLength", "")))
    full = float(_ratio(tags.get("EXIF FocalLengthIn35mmFilm", "")))
    if min(density, unit, width, own, full) <= 0:
        return
    by_density, by_lens = width / density * unit, _FULL_FRAME * own / full
    if abs(by_density / by_lens - 1) > _SENSOR_TOLERANCE:
        yield (
            "EXIF FocalPlaneXResolution",
            f"a sensor of {by_density:.1f} mm, but {by_lens:.1f} mm by the focal lengths",
        )


def date_of(text: str) -> datetime | None:
    """Date and time of Exif's form; None for any other text."""
    try:
        return datetime.strptime(text, _DATE_FORM)
    except ValueError:
        return None


def _ratio(text: str) -> float:
    above, _, below = text.strip("[] ").partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError, OverflowError):
        return 0.0


def _integer(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0
