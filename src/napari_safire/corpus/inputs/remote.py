"""Pictures in remote stores, by fsspec; what lets one in is never written down."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.decoding.names import is_picture_name
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.text import brief, printable

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")
STORES = (
    "http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "hdfs",
    "webhdfs", "ftp", "sftp", "hf", "memory",
)  # fmt: skip
"""Stores that are asked; fsspec knows others, some of which unpack or run what they get."""
_CHUNK = 1 << 20
STALLED = 30.0
"""Seconds without a byte after which a store over HTTP is given up; drivers of others have their
own."""
LONGEST_REMOTE = 4 << 30
"""Bytes of a remote picture: as many as `read_image` takes."""


def is_address(given: str) -> bool:
    """Whether something is an address of a store rather than a path."""
    return _ADDRESS.match(given) is not None


def shown_address(address: str) -> str:
    """Return an address without user, password and query, which may let one in.

    Examples
    --------
    >>> shown_address("https://me:secret@host.example/a.jpg?token=1")
    'https://host.example/a.jpg'
    """
    # By hand: addresses may be chained, or be none that a parser takes.
    return _without_secrets(re.split(r"[?#]", address)[0])


def remote_pictures(address: str, *, recursive: bool) -> Iterator[Input]:
    """Tell the pictures at an address: one, or those of a folder there.

    Parameters
    ----------
    address : str
    recursive : bool

    Yields
    ------
    CorpusPicture or InputProblem
        The latter where the store cannot be asked: its driver is not installed, or it answers with
        an error.
    """
    shown = printable(shown_address(address))
    try:
        store, path = _store(address)
        if is_picture_name(posixpath.basename(urlsplit(address).path)):
            yield _picture(store, address, shown_address(address), store.info(path))
            return
        for folder, _, files in store.walk(path, maxdepth=None if recursive else 1, detail=True):
            for name, info in sorted(files.items()):
                if is_picture_name(name):
                    place = store.unstrip_protocol(posixpath.join(folder, name))
                    yield _picture(store, place, shown_address(place), info)
    except FileNotFoundError:
        yield InputProblem(shown, f"{shown} is not there: check the address.")
    except DatasetError as error:
        yield InputProblem(shown, str(error))
    except Exception as error:  # drivers raise errors of their own kinds
        yield InputProblem(shown, f"{shown} cannot be asked: {_reason(error)}.")


def fetch(picture: CorpusPicture, target: Path) -> None:
    """Copy the bytes of a remote picture into a file.

    Raises
    ------
    ImageReadError
        It cannot be read, is longer than `LONGEST_REMOTE`, or has not the length that was told.
    """
    store, path = _store(picture.place)
    n_read = 0
    try:
        with store.open(path, "rb") as source, open(target, "wb") as file:
            while chunk := source.read(_CHUNK):
                n_read += len(chunk)
                if n_read > LONGEST_REMOTE:
                    break
                file.write(chunk)
    except Exception as error:
        raise ImageReadError(
            f"{printable(picture.name)} cannot be fetched: {_reason(error)}."
        ) from error
    if n_read > LONGEST_REMOTE or picture.size not in (-1, n_read):
        raise ImageReadError(
            f"{printable(picture.name)} came with {n_read:,} bytes, {picture.size:,} were told: "
            "try again."
        )


def _picture(store: Any, place: str, shown: str, info: dict[str, Any]) -> CorpusPicture:
    size = info.get("size")
    marks = (info.get(name) for name in ("ETag", "etag", "mtime", "LastModified", "created"))
    stamp = ":".join([str(size), *(str(mark) for mark in marks if mark is not None)])
    return CorpusPicture(
        shown, "remote", place, size=-1 if size is None else int(size), stamp=stamp
    )


def _store(address: str) -> tuple[Any, str]:
    scheme = urlsplit(address).scheme.lower()
    # Chains, as of zip://…::https://…, hand what one store gives to the next one.
    if scheme not in STORES or "::" in address:
        raise DatasetError(
            f"Addresses like {brief(shown_address(address), 80)} are not asked: begin with one of "
            f"{', '.join(STORES[:5])}."
        )
    import fsspec

    options: dict[str, Any] = {}
    if scheme in ("http", "https") and find_spec("aiohttp"):
        import aiohttp

        # Each read, not the whole: large pictures may take long, a store that stalls may not.
        options["client_kwargs"] = {
            "timeout": aiohttp.ClientTimeout(sock_connect=STALLED, sock_read=STALLED)
        }
    try:
        store, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise DatasetError(
            f"Addresses that begin with {scheme}:// need a driver: {printable(error)}."
        ) from error
    except ValueError as error:
        raise DatasetError(f"Nobody knows addresses that begin with {scheme}://.") from error
    return store, path


def _reason(error: Exception) -> str:
    # Messages of drivers may repeat the address with what lets one in.
    text = _without_secrets(printable(error))[:200].split("?")[0]
    return text.rstrip(". ") or type(error).__name__


def _without_secrets(text: str) -> str:
    """A text without what stands before the host of an address; passwords may hold an @."""
    return re.sub(r"//[^/\s]*@", "//", text)
