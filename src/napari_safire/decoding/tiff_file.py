"""A TIFF file made in memory, for the libtiff inside Pillow."""

from __future__ import annotations

import struct

import numpy as np


def tiff_file(
    tags: list[tuple[int, int, tuple[int, ...]]],
    parts: list[bytes],
    place: int = 273,
    size: int = 279,
) -> bytes:
    """Make a little-endian TIFF of one page, with its strips or tiles in it.

    Parameters
    ----------
    tags : list of (tag, type, values)
        Without those that say where the parts lie.
    parts : list of bytes
    place, size : int
        Tags of where the parts lie and of their sizes; default: those of strips.

    Returns
    -------
    bytes
    """
    letters = {1: "B", 3: "H", 4: "I", 7: "B"}
    tags = [*tags, (place, 4, (0,) * len(parts)), (size, 4, tuple(map(len, parts)))]
    behind = 8 + 2 + 12 * len(tags) + 4
    bodies = [struct.pack(f"<{len(v)}{letters[kind]}", *v) for _, kind, v in tags]
    start = behind + sum(len(body) + len(body) % 2 for body in bodies if len(body) > 4)
    offsets = np.cumsum([start, *map(len, parts[:-1])])
    bodies[-2] = offsets.astype("<u4").tobytes()
    entries, values = {}, b""
    for (tag, kind, given), body in zip(tags, bodies, strict=True):
        inline = body.ljust(4, b"\0")
        if len(body) > 4:
            inline = struct.pack("<I", behind + len(values))
            values += body + b"\0" * (len(body) % 2)
        entries[tag] = struct.pack("<HHI", tag, kind, len(given)) + inline
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    listed = b"".join(entries[tag] for tag in sorted(entries))
    return b"".join([head, listed, bytes(4), values, *parts])
