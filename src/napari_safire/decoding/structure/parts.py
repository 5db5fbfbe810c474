"""One part of a picture file: a marker segment, a chunk, a box, a page."""

from __future__ import annotations

from dataclasses import dataclass

END = "end"
"""What a part is that closes a picture; it may have no bytes of its own."""


class Damaged(Exception):
    """A walk cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file.

    Parameters
    ----------
    name : str
        "FFE1", "IDAT", "meta".
    what : str
        In words.
    offset, size : int
        Bytes from the beginning of the file; of the part, header included.
    remark : str
        What is odd about it; empty for nothing.
    header, footer : int
        Bytes of it before and behind its content.
    count : int
        Parts of one kind that follow each other and are told as one.
    """

    name: str
    what: str
    offset: int
    size: int
    remark: str = ""
    header: int = 0
    count: int = 1
    footer: int = 0

    @property
    def end(self) -> int:
        """Byte behind it."""
        return self.offset + self.size

    def content(self, data: bytes) -> bytes:
        """Bytes of the part in its file, without header and footer."""
        return data[self.offset + self.header : self.end - self.footer]
