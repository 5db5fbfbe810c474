"""What is known of a model with a name, and where its file may come from."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import cast, get_args
from urllib.parse import urlsplit

from napari_safire.model.config import Architecture

# What every file system takes as a name and no shell or path reads as something else.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}(?<!\.)")
_LONGEST_TEXT = 300
_LARGEST_SIZE = 1 << 40  # bytes of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A model that is known by name.

    Parameters
    ----------
    name : str
        What `load_model` takes.
    description : str
        One sentence.
    filename : str
        Name of the file in the package's folder of weights or among the downloaded models.
    sha256 : str or None
        Hash that the file must have; None where the package lists none.
    licence : str
        Of the weights.
    trained_on : str
        On which pictures.
    architecture : {"vit", "lite"}
    url : str or None
        Where the file is downloaded from: https, or http on this machine itself. None for models
        that ship with the package.
    size : int or None
        Of the file, in bytes; None where a file that ships with the package is missing.

    Raises
    ------
    ValueError, TypeError
        A field does not hold what it must; the sentence starts with the field's name.
    """

    name: str
    description: str
    filename: str
    sha256: str | None
    licence: str
    trained_on: str
    architecture: Architecture
    url: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for name in ("description", "licence", "trained_on"):
            _check_text(name, getattr(self, name))
        for name in ("name", "filename"):
            _check_plain_name(name, getattr(self, name))
        if self.architecture not in get_args(Architecture):
            raise ValueError(
                f'architecture is {self.architecture!r:.80}, but must be "vit" or "lite".'
            )
        if self.url is None:
            return
        if not isinstance(self.url, str) or not is_safe_address(self.url):
            raise ValueError(
                f"url is {self.url!r:.200}, but must be an https address (http only for this "
                "machine itself)."
            )
        if not isinstance(self.sha256, str) or not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(
                f"sha256 is {self.sha256!r:.80}, but must be 64 hexadecimal digits, small letters."
            )
        whole = isinstance(self.size, int) and not isinstance(self.size, bool)
        if not whole or not 1 <= cast(int, self.size) <= _LARGEST_SIZE:
            raise ValueError(
                f"size is {self.size!r:.80}, but must be the number of the file's bytes."
            )


def is_safe_address(url: str) -> bool:
    """Whether a model may come from an address: by https, or by http from this machine itself."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a bad port is noticed when it is asked for
    except ValueError:
        return False
    if not host or not url.isprintable() or " " in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(url))


def is_this_machine(url: str) -> bool:
    """Whether an address is one of this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r:.80}, but must be text.")
    if not value.strip() or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise ValueError(
            f"{name} is {value!r:.80}, but must be one line of up to {_LONGEST_TEXT} characters."
        )


def _check_plain_name(name: str, value: object) -> None:
    if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
        raise ValueError(
            f"{name} is {value!r:.120}, but must be letters, digits, dots, hyphens, underscores "
            "and plus signs, start with a letter or digit and have no folder."
        )
