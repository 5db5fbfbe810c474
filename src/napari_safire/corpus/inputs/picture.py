"""A picture of a corpus before it is read: what it is called, where its bytes lie."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Store = Literal["file", "shard", "remote"]


@dataclass(frozen=True, slots=True)
class CorpusPicture:
    """A picture that is named, but not read yet.

    Parameters
    ----------
    name : str
        As the manifest has it: a path from the output folder, ``shard.tar!member``, or an address
        without what lets one in.
    store : {"file", "shard", "remote"}
    place : str
        Whole path of the file or shard; address.
    member : str
        Name within the shard.
    offset, size : int
        Where the bytes begin in the shard, and how many there are; -1: not known yet.
    stamp : str
        Changes when the bytes do, as far as can be told without reading them: size and time.

    Attributes
    ----------
    key : bytes
        16 bytes: of name and stamp.
    """

    name: str
    store: Store
    place: str
    member: str = ""
    offset: int = 0
    size: int = -1
    stamp: str = ""

    @property
    def key(self) -> bytes:
        """What tells this picture, in this state, from all others: 16 bytes."""
        told = f"{self.name}\0{self.stamp}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(told, digest_size=16).digest()

    @property
    def suffix(self) -> str:
        """The ending of its name."""
        return Path(self.member or self.name).suffix


@dataclass(frozen=True, slots=True)
class InputProblem:
    """Something among the inputs that leads to no picture.

    Parameters
    ----------
    name : str
        What was given: a line of a list, a folder, an address.
    problem : str
        A sentence.
    """

    name: str
    problem: str

    @property
    def key(self) -> bytes:
        """As that of `CorpusPicture`: the same problem is the same row."""
        told = f"\1{self.name}\0{self.problem}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(told, digest_size=16).digest()


Input = CorpusPicture | InputProblem
