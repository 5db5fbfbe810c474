"""Which program made a report: its version, and a digest of the code and texts that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from napari_safire import __version__

_PACKAGE = Path(__file__).parents[2]
_SHOWS_ONLY = ("gui", "cli", "session")
"""Rooms that nothing in a report comes from."""
_KINDS = (".py", ".toml", ".html", ".typ")


@cache
def code_sha256() -> str:
    """SHA-256 of all code, texts and templates that words, numbers and pages of a report come from.

    A version number stays the same while texts are written and translated; this does not. Of a
    program without its sources it is that of nothing.
    """
    digest = hashlib.sha256()
    files = {path.relative_to(_PACKAGE).as_posix(): path for path in _PACKAGE.rglob("*.*")}
    for name in sorted(files):
        if files[name].suffix in _KINDS and name.split("/")[0] not in _SHOWS_ONLY:
            data = files[name].read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{name} {len(data)}\n".encode())
            digest.update(data)
    return digest.hexdigest()


def program_record() -> dict[str, str]:
    """Return what a document says of the program that makes it."""
    return {"name": "napari-safire", "version": __version__, "code": code_sha256()}


def other_program(told: Mapping[str, Any]) -> str:
    """Say how the program that made a document is another than this one.

    Parameters
    ----------
    told : mapping
        What the document says of it, from anybody.

    Returns
    -------
    str
        Part of a sentence; empty where it is the same, by version and by code.
    """
    version, code = str(told.get("version")), told.get("code")
    if version != __version__:
        return f"version {version[:40]} made it, this is {__version__}"
    if not isinstance(code, str):
        return "it does not say which texts and code it was made with"
    if code != code_sha256():
        return (
            f"this program's texts or code are others ({code_sha256()[:12]}) than those it was "
            f"made with ({code[:12]}), under the same version {__version__}"
        )
    return ""
