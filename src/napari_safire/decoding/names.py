"""Which file names are those of pictures: the same on every machine."""

from __future__ import annotations

from pathlib import PurePath

SUFFIXES = {
    ".png": "PNG",
    ".apng": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".jif": "JPEG",
    ".mpo": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".dib": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".btf": "TIFF",
    ".tf8": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".hif": "HEIC",
}
READABLE = frozenset(SUFFIXES)
"""Suffixes of the formats that are read."""


def _suffixes(words: str) -> frozenset[str]:
    return frozenset(f".{word}" for word in words.split())


RAW = _suffixes(
    "3fr ari arw cr2 cr3 crw cs1 dcr dng erf fff gpr iiq k25 kdc mef mos mrw nef nrw orf ori pef "
    "ptx raf raw rw2 rwl sr2 srf srw x3f"
)
"""Suffixes of raw files of cameras."""

UNREADABLE = RAW | _suffixes(
    "avifs dcm djvu emf eps exr fits hdr heics heifs ico icns j2c j2k jls jng "
    "jp2 jpf jpm jpx jxl jxr mng pbm pcx pfm pgm pnm ppm psb psd qoi sgi svg svgz tga wdp wmf xbm "
    "xcf xpm"
)
"""Suffixes of other pictures, which are refused by name: none is passed over in silence."""

_UNREAD = (  # how they begin, or (place, bytes), and what they are
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (0, b"II\xbc", "a JPEG XR picture"),
    (4, b"ftypcrx", "a raw file of a camera"),
    (0, b"FUJIFILMCCD-RAW", "a raw file of a camera"),
    (0, b"IIRO", "a raw file of a camera"),
    (0, b"IIRS", "a raw file of a camera"),
    (0, b"MMOR", "a raw file of a camera"),
    (0, b"IIU\0", "a raw file of a camera"),
    (0, b"FOVb", "a raw file of a camera"),
    (0, b"\0MRM", "a raw file of a camera"),
    (6, b"HEAPCCDR", "a raw file of a camera"),
    (8, b"CR\2\0", "a raw file of a camera"),
    (0, b"v/1\1", "an OpenEXR picture"),
    (0, b"#?RADIANCE", "a Radiance picture"),
    (0, b"SIMPLE  =", "a FITS file"),
    (0, b"qoif", "a QOI picture"),
    (0, b"%PDF", "a PDF document"),
)


def is_picture_name(name: str) -> bool:
    """Whether a file name ends as pictures do, be they of a format that is read or not.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_picture_name("a.JFIF"), is_picture_name("a.dng"), is_picture_name("a.txt")
    (True, True, False)
    """
    suffix = PurePath(name).suffix.lower()
    return suffix in READABLE or suffix in UNREADABLE


def format_of_bytes(begin: bytes) -> str | None:
    """Format of a picture by its first 32 bytes: "PNG", "JPEG" …; None if it is none of them."""
    if begin.startswith(b"\x89PNG"):
        return "PNG"
    if begin.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if begin.startswith(b"GIF8"):
        return "GIF"
    if begin.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    # RIFF holds sound and video too
    if begin.startswith(b"RIFF") and b"WEBP".startswith(begin[8:12]):
        return "WEBP"
    if begin.startswith(b"BM"):
        return "BMP"
    if begin[4:8] == b"ftyp" and begin[8:11] in (b"avi", b"hei", b"hev", b"mif", b"msf"):
        return "AVIF" if b"avi" in begin[8:] else "HEIC"  # further kinds follow the first
    return None


def unread_kind(begin: bytes) -> str | None:
    """What a file that is not read is, by its first 32 bytes: "a HEIC picture"; None if unknown."""
    for place, magic, kind in _UNREAD:
        if begin[place : place + len(magic)] == magic:
            return kind
    return None


def surely_picture(begin: bytes) -> bool:
    """Whether a file of any name is a picture, by its first 32 bytes.

    Stricter than `format_of_bytes`: texts begin with "BM" too.
    """
    if begin.startswith(b"BM"):
        known_headers = (12, 40, 52, 56, 64, 108, 124)
        return int.from_bytes(begin[14:18], "little") in known_headers
    if begin.startswith(b"RIFF"):
        return begin[8:12] == b"WEBP"
    return format_of_bytes(begin) is not None
