"""The parts of PNG, WebP, GIF, BMP and TIFF files."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from napari_safire.decoding.source import ByteSource, Damage
from napari_safire.decoding.structure.parts import END, Damaged, Part
from napari_safire.decoding.tiff_tags import Page, page_at, read_pages

PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_PNG = {
    b"IHDR": "header", b"PLTE": "palette", b"IDAT": "pixels", b"iCCP": "colour profile",
    b"eXIf": "Exif", b"tEXt": "text", b"zTXt": "text, packed", b"iTXt": "text, Unicode",
    b"tIME": "time", b"acTL": "animation", b"fcTL": "animation", b"fdAT": "animation",
    b"caBX": "JUMBF (Content Credentials)", b"tRNS": "transparency", b"pHYs": "size of a pixel",
    b"gAMA": "gamma", b"cHRM": "primaries", b"sRGB": "sRGB", b"IEND": END,
}  # fmt: skip
_WEBP = {
    b"VP8X": "header", b"VP8 ": "pixels, lossy", b"VP8L": "pixels, lossless", b"ALPH": "opacity",
    b"ANIM": "animation", b"ANMF": "animation", b"ICCP": "colour profile", b"EXIF": "Exif",
    b"XMP ": "XMP", b"C2PA": "JUMBF (Content Credentials)",
}  # fmt: skip
_GIF_EXTENSIONS = {0xF9: "control", 0xFE: "comment", 0x01: "text", 0xFF: "application data"}
_MOST_PAGES = 64
_TIFF_SPANS = ((273, 279), (324, 325), (513, 514))  # begin and size: strips, tiles, JPEG stream
_BELOW = (
    330,
    34665,
    34853,
    40965,
)  # tags that name further lists: pages, Exif, GPS, Interoperability
_TIFF_BLOCKS = (
    (700, "XMP"), (33723, "IPTC"), (34377, "Photoshop resources"), (34675, "colour profile"),
)  # fmt: skip
_MOST_SPANS = 1_000_000


def png_parts(data: bytes) -> Iterator[Part]:
    """Go through the chunks of a PNG file.

    Raises
    ------
    Damaged
    """
    at = len(PNG_BEGIN)
    while True:
        if at + 12 > len(data):
            raise Damaged("the end chunk is missing: it was cut short")
        size = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if not name.isalpha() or at + 12 + size > len(data):
            raise Damaged(f"the part at byte {at} reaches beyond the file's end")
        checksum = int.from_bytes(data[at + 8 + size : at + 12 + size], "big")
        wrong = checksum != zlib.crc32(data[at + 4 : at + 8 + size])
        what = _PNG.get(name, "chunk")
        remark = "its checksum is wrong: changed after it was written" if wrong else ""
        yield Part(name.decode("ascii"), what, at, 12 + size, remark, header=8, footer=4)
        at += 12 + size
        if what == END:
            return


def webp_parts(data: bytes) -> Iterator[Part]:
    """Go through the chunks of a WebP file.

    Raises
    ------
    Damaged
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    at = 12
    while at < end:
        if at + 8 > len(data):
            raise Damaged("it ends before its last part: it was cut short")
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > min(end, len(data)):
            raise Damaged(f"the part at byte {at} reaches beyond the file's end")
        name = data[at : at + 4]
        yield Part(name.decode("latin-1"), _WEBP.get(name, "chunk"), at, 8 + size, "", 8)
        at += 8 + size + size % 2
    yield Part("", END, min(at, len(data)), 0)


def gif_parts(data: bytes) -> Iterator[Part]:
    """Go through the blocks of a GIF file.

    Raises
    ------
    Damaged
    """
    if len(data) < 13:
        raise Damaged("its header is cut short")
    at = 13 + _gif_table(data[10])
    yield Part(data[:6].decode("latin-1"), "header", 0, at)
    while True:
        kind = data[at : at + 1]
        if kind == b"\x3b":
            yield Part("3B", END, at, 1)
            return
        if kind == b"\x21" and at + 2 <= len(data):
            end = _gif_blocks(data, at + 2)
            what = _GIF_EXTENSIONS.get(data[at + 1], "extension")
            yield Part(f"21{data[at + 1]:02X}", what, at, end - at, "", 2)
        elif kind == b"\x2c" and at + 10 <= len(data):
            end = _gif_blocks(data, at + 11 + _gif_table(data[at + 9]))
            yield Part("2C", "picture", at, end - at, "", 10)
        elif at + 10 > len(data):
            raise Damaged("the end mark is missing: it was cut short")
        else:
            raise Damaged(f"there is no block at byte {at}")
        at = end


def _gif_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks(data: bytes, at: int) -> int:
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise Damaged("a block reaches beyond the file's end")


def bmp_parts(data: bytes) -> Iterator[Part]:
    """Header and pixels of a BMP file.

    Raises
    ------
    Damaged
    """
    size, start = (int.from_bytes(data[k : k + 4], "little") for k in (2, 10))
    if not 14 < start <= size:
        raise Damaged("its header names no size")  # which some writers leave 0
    if size > len(data):
        raise Damaged("it ends before its last part: it was cut short")
    yield Part("BM", "header", 0, start)
    yield Part("", "pixels", start, size - start)
    yield Part("", END, size, 0)


def tiff_parts(data: bytes) -> Iterator[Part]:
    """Pages of a TIFF file, their pixels and blocks; the end is that of all that their tags name.

    Raises
    ------
    Damaged
    """
    end = 8
    try:
        page, pages = read_pages(ByteSource(data))
        for number, one in enumerate(_pages(page), 1):
            shape = f"{one.integer(257, 0)} x {one.integer(256, 0)} pixels"
            spans = [span for tags in _TIFF_SPANS for span in _spans(one, *tags)]
            if any(at + size > len(data) for at, size in spans):
                raise Damaged(f"pixels of page {number} reach beyond the file's end")
            begin = min((at for at, _ in spans), default=one.end)
            yield Part(f"page {number}", shape, begin, sum(size for _, size in spans))
            for tag, what in _TIFF_BLOCKS:
                if tag in one:
                    yield Part(str(tag), what, *one.span(tag))
            end = max([end, _reach(one, 0), *(at + size for at, size in spans)])
        if pages.loops:
            raise Damaged("its list of pages leads back to itself")
    except Damage as error:
        raise Damaged(str(error)) from error
    yield Part("", END, min(end, len(data)), 0)


def _pages(page: Page) -> Iterator[Page]:
    """The first pages, one after the other."""
    seen: set[int] = set()
    while True:
        yield page
        if not page.next_page or page.next_page in seen or len(seen) >= _MOST_PAGES:
            return
        seen.add(page.next_page)
        page = page_at(page, page.next_page)


def _spans(page: Page, starts: int, sizes: int) -> list[tuple[int, int]]:
    """Where the strips, tiles or streams of a page lie; those of no bytes left out."""
    found = page.integers(starts, _MOST_SPANS), page.integers(sizes, _MOST_SPANS)
    return [(at, size) for at, size in zip(*found, strict=False) if size > 0]


def _reach(page: Page, depth: int) -> int:
    """Byte behind all that a page's tags name, and those of the lists below it."""
    ends = [page.end, *(sum(page.span(tag)) for tag in page.entries)]
    for tag in _BELOW if depth < 2 else ():
        for place in page.integers(tag, _MOST_PAGES):
            below = page_at(page, place)
            spans = [span for tags in _TIFF_SPANS for span in _spans(below, *tags)]
            ends += [_reach(below, depth + 1), *(at + size for at, size in spans)]
    return max(ends)
