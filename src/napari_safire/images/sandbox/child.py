"""The child: takes bytes of a picture file, gives pixels, a size, or coefficients.

``python -m napari_safire.images.sandbox.child SOCKET MEMORY`` is started by
`napari_safire.images.sandbox.reader`, with the number of an open socket.
"""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from napari_safire.decoding.coefficients import stored_coefficients
from napari_safire.decoding.source import ByteSource
from napari_safire.errors import ImageReadError
from napari_safire.images.reading import decode_image, inspect_source
from napari_safire.images.sandbox.confining import confine
from napari_safire.images.sandbox.messages import as_message, close_all, receive, send, shared_copy

_LONGEST_ERROR = 2_000


def main(arguments: list[str]) -> int:
    """Answer until the other side is gone."""
    number, memory = (int(argument) for argument in arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the asker decides
    Image.init()  # what libraries load, they load now
    _keep_in_memory()
    with socket.socket(fileno=number) as asker:
        send(asker, {"filtered": confine(memory)})
        while True:
            try:
                message, files = receive(asker)
            except EOFError:
                return 0
            try:
                _limit_time(int(message["seconds"]))
                _answer(asker, message, files[0])
            finally:
                close_all(files)


class _MemoryFile:
    """A temporary file that lies in memory: jpeglib writes what it has read to one, by its name."""

    def __init__(self, **_: Any) -> None:
        self._file = os.memfd_create("jpeg", os.MFD_CLOEXEC)
        self.name = _name_of(self._file)

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]

    def flush(self) -> None:
        """It is there at once."""

    def close(self) -> None:
        """It is removed by its name, after it was read."""


def _remove(name: str) -> None:
    os.close(int(name.rpartition("/")[2]))


def _keep_in_memory() -> None:
    """Let jpeglib do without files of its own, which the child may not make."""
    from jpeglib import dct_jpeg

    dct_jpeg.tempfile = SimpleNamespace(NamedTemporaryFile=_MemoryFile)
    dct_jpeg.os = SimpleNamespace(remove=_remove)


def _limit_time(seconds: int) -> None:
    """End this process when it has worked for so many seconds from now on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def _answer(asker: socket.socket, message: dict[str, Any], file: int) -> None:
    path = Path(os.fsdecode(bytes.fromhex(message["path"])))
    answer: dict[str, Any]
    shared: list[int] = []
    try:
        if message["wanted"] == "coefficients":
            answer, content = _coefficients(file)
            shared = [shared_copy("coefficients", content)]
        elif message["wanted"] == "shape":
            answer = {"decoding": as_message(inspect_source(ByteSource(_bytes(file)), path))}
        else:
            answer, content = _pixels(_bytes(file), path)
            shared = [shared_copy("pixels", content)]
    except (ImageReadError, ValueError) as error:
        told = str(error).replace(_name_of(file), path.name)
        answer = {"refused": told[:_LONGEST_ERROR]}
    except (MemoryError, OSError) as error:
        answer = {"lacking": str(error)[:_LONGEST_ERROR] or type(error).__name__}
    try:
        send(asker, answer, *shared)
    finally:
        close_all(shared)


def _name_of(file: int) -> str:
    return f"/proc/self/fd/{file}"


def _bytes(file: int) -> bytes:
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as mapped:
        return mapped[:]


def _pixels(data: bytes, path: Path) -> tuple[dict[str, Any], memoryview]:
    found = decode_image(data, path)
    pixels = np.ascontiguousarray(found.pixels)
    answer = {
        "format": found.format,
        "warnings": list(found.warnings),
        "decoding": as_message(found.decoding),
        "dtype": pixels.dtype.name,
        "shape": list(pixels.shape),
    }
    return answer, pixels.data.cast("B")


def _coefficients(file: int) -> tuple[dict[str, Any], memoryview]:
    found = stored_coefficients(_name_of(file))
    blocks = np.ascontiguousarray(found.blocks)
    answer = {
        "blocks": list(blocks.shape),
        "tables": found.tables.tolist(),
        "numbers": list(found.numbers),
        "sampling": [list(pair) for pair in found.sampling],
        "shape": list(found.shape),
        "progressive": found.progressive,
    }
    return answer, blocks.data.cast("B")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
