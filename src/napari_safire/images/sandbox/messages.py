"""What asker and child say to each other: one line of JSON, and shared memory beside it."""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import socket
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.decoding import limits
from napari_safire.decoding.coefficients import StoredCoefficients
from napari_safire.decoding.stated import Decoding
from napari_safire.text import printable

LONGEST = 64 << 10  # bytes of a message
_MOST_TEXTS, _LONGEST_TEXT = 500, 2_000
_PIXELS = ("uint8", "uint16", "float32", "float64")
_ADD_SEALS = 1033  # fcntl.F_ADD_SEALS, from Python 3.13 on by that name
_SEALS = 0x2 | 0x4 | 0x8  # neither shorter nor longer, nor written to
_MOST_BLOCKS_BYTES = 2 * limits.MAX_DECODED_BYTES


class Untrusted(Exception):
    """An answer of a child is none that a decoder gives; the text says what is wrong with it."""


def send(to: socket.socket, message: dict[str, Any], *shared: int) -> None:
    """Send a message, with files that the other side may map."""
    data = json.dumps(message).encode("ascii")
    socket.send_fds(to, [data], list(shared))


def receive(from_: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Receive a message; EOFError where the other side is gone.

    Raises
    ------
    EOFError, Untrusted
    """
    data, files, flags, _ = socket.recv_fds(from_, LONGEST, 4)
    try:
        if not data:
            raise EOFError
        if flags & socket.MSG_TRUNC:
            raise Untrusted("it is longer than messages are")
        message = json.loads(data)
        if not isinstance(message, dict):
            raise Untrusted("it is no record")
    except (ValueError, RecursionError) as error:
        close_all(files)
        raise Untrusted("it is no JSON") from error
    except (EOFError, Untrusted):
        close_all(files)
        raise
    return message, files


def close_all(files: list[int]) -> None:
    """Close files that came with a message."""
    for file in files:
        os.close(file)


def shared_copy(name: str, data: bytes | memoryview) -> int:
    """Put bytes into memory that another process can map, sealed; gives its file."""
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    size = len(data)
    os.ftruncate(file, size)
    if size:
        with mmap.mmap(file, size) as mapped:
            mapped[:] = data
    _seal(file)
    return file


def _seal(file: int) -> None:
    fcntl.fcntl(file, _ADD_SEALS, _SEALS)


def array_of(file: int, shape: Any, dtype: Any, most: int) -> npt.NDArray[Any]:
    """Take an array out of shared memory; nobody else can change it, or take it away.

    Raises
    ------
    Untrusted
        It is no array of that shape, or is still open to change.
    """
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise Untrusted("its array has no shape")
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        _seal(file)
        if n_bytes > most or os.fstat(file).st_size != n_bytes:
            raise Untrusted("its array has another size than it says")
        # Private: whoever changes the array changes a copy of the page.
        mapped = mmap.mmap(file, n_bytes, flags=mmap.MAP_PRIVATE)
    except (OSError, ValueError) as error:
        raise Untrusted("its array cannot be taken") from error
    return np.frombuffer(mapped, dtype).reshape(shape)


def pixels_of(message: dict[str, Any], files: list[int]) -> npt.NDArray[Any]:
    """Pixels of an answer; raises `Untrusted`."""
    dtype, shape = message.get("dtype"), message.get("shape")
    if dtype not in _PIXELS or not isinstance(shape, list) or len(files) != 1:
        raise Untrusted("it has no pixels")
    if len(shape) not in (2, 3) or shape[2:] not in ([], [3], [4]):
        raise Untrusted(f"pixels of shape {shape!r:.80} are no picture")
    return array_of(files[0], shape, dtype, limits.MAX_DECODED_BYTES)


def decoding_of(message: dict[str, Any]) -> Decoding:
    """Return what an answer says of the decoding; raises `Untrusted`."""
    given = message.get("decoding")
    if not isinstance(given, dict):
        raise Untrusted("it does not say what was decoded")
    values: dict[str, Any] = {}
    for field in fields(Decoding):
        value = given.get(field.name)
        if field.name == "shape":
            values["shape"] = _pair(value)
        elif field.type == "tuple[str, ...]":
            values[field.name] = texts_of(value)
        elif field.type == "str" and isinstance(value, str):
            values[field.name] = printable(value)[:_LONGEST_TEXT]
        elif field.type == type(value).__name__ and field.type in ("int", "bool"):
            values[field.name] = value
        else:
            raise Untrusted(f"{field.name} of its decoding is {value!r:.80}")
    return Decoding(**values)


def as_message(decoding: Decoding) -> dict[str, Any]:
    """What is said of a decoding, as JSON values; `decoding_of` reads it."""
    return asdict(decoding)


def texts_of(value: Any) -> tuple[str, ...]:
    """Sentences of an answer, printable; raises `Untrusted`."""
    if not isinstance(value, list) or len(value) > _MOST_TEXTS:
        raise Untrusted("its sentences are none")
    if not all(isinstance(text, str) for text in value):
        raise Untrusted("its sentences are no texts")
    return tuple(printable(text)[:_LONGEST_TEXT] for text in value)


def coefficients_of(message: dict[str, Any], files: list[int]) -> StoredCoefficients:
    """Coefficients of an answer; raises `Untrusted`."""
    shape, tables = message.get("blocks"), message.get("tables")
    sampling: Any = message.get("sampling")
    numbers: Any = message.get("numbers")
    if len(files) != 1 or not isinstance(shape, list) or len(shape) != 4 or shape[2:] != [8, 8]:
        raise Untrusted("it has no coefficients")
    blocks = array_of(files[0], shape, "int16", _MOST_BLOCKS_BYTES)
    try:
        steps = np.array(tables, np.int64)
        pairs = tuple(_pair(pair) for pair in sampling[:4])
        of = tuple(int(number) for number in numbers[:4])
    except (TypeError, ValueError, OverflowError) as error:
        raise Untrusted("its tables are none") from error
    if steps.ndim != 3 or steps.shape[1:] != (8, 8) or not 1 <= len(steps) <= 4 or not of:
        raise Untrusted("its tables are none")
    if min(of) < 0 or max(of) >= len(steps):
        raise Untrusted("it names a table that is not there")
    return StoredCoefficients(
        blocks, steps, of, pairs, _pair(message.get("shape")), message.get("progressive") is True
    )


def _pair(value: Any) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(n) is int for n in value):
        raise Untrusted(f"{value!r:.80} is no pair of numbers")
    if not all(0 < n < 2**31 for n in value):
        raise Untrusted(f"{value!r:.80} is out of range")
    return value[0], value[1]
