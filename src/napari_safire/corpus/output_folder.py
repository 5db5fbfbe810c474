"""A folder of results as a plan sees it: its names are listed once, of records the head is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_safire.atomic import remove_leftovers
from napari_safire.basis import RunBasis
from napari_safire.corpus.task import SavedResult
from napari_safire.errors import SafireError
from napari_safire.examination.export import results_by_base
from napari_safire.images.records.head import (
    EXAMINATION_FORMAT,
    SOURCES_FORMAT,
    read_head,
    record_format,
    result_names,
)


@dataclass(frozen=True, slots=True)
class RecordHead:
    """What a plan has to know of a file that lies where a record should.

    Parameters
    ----------
    owner : str or None
        Path of its picture, as it is written; None if it does not say so.
    saved : SavedResult or None
        If it is complete.
    torn : bool
        It is one of a batch of this version, but not complete.
    by_hand : bool
        It is one of labels that were made by hand.
    """

    owner: str | None = None
    saved: SavedResult | None = None
    torn: bool = False
    by_hand: bool = False


@dataclass(slots=True)
class OutputFolder:
    """A folder of results, looked into with `look_into`.

    Parameters
    ----------
    path : Path
    names : frozenset of str
        All that lies in it.
    problem : SafireError or None
        Why nothing can be written there.
    by_base : dict of str to list of str
        Names of results, by the begin that they share.
    """

    path: Path
    names: frozenset[str] = frozenset()
    problem: SafireError | None = None
    by_base: dict[str, list[str]] = field(default_factory=dict)
    _heads: dict[str, RecordHead] = field(default_factory=dict)
    _bases: dict[str, RunBasis] = field(default_factory=dict)  # shared, by their digests

    def record(self, base: str) -> RecordHead | None:
        """Read the head of a record, once; None where there is no file of this name."""
        name = f"{base}.json"
        if name not in self.names:
            return None
        if base not in self._heads:
            self._heads[base] = self._read(self.path / name)
        return self._heads[base]

    def _read(self, path: Path) -> RecordHead:
        try:
            head = read_head(path)
        except SafireError:  # cut short, or somebody else's
            return RecordHead(torn=record_format(path) == EXAMINATION_FORMAT or _is_empty(path))
        about = head.get("image")
        owner = about.get("path") if isinstance(about, dict) else None
        owner = owner if isinstance(owner, str) else None
        basis = RunBasis.from_record(head.get("basis"))
        if basis is None or head["format"] != EXAMINATION_FORMAT:
            return RecordHead(owner, by_hand=head["format"] == SOURCES_FORMAT)
        try:
            files = self.names.issuperset(result_names(head))
            complete = files and isinstance(head["files_sha256"], dict)
        except (SafireError, KeyError):
            complete = False
        if not complete:
            return RecordHead(owner, torn=True)
        shared = replace(basis, picture_sha256=None)
        shared = self._bases.setdefault(shared.digest, shared)
        return RecordHead(owner, SavedResult(shared, basis.picture_sha256))


def look_into(folder: Path) -> OutputFolder:
    """List a folder, which need not exist, and remove what killed runs left there."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return OutputFolder(folder)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        problem = SafireError(f"Results cannot be written to {folder}: {reason}.")
        return OutputFolder(folder, problem=problem)
    remove_leftovers(folder, names)
    refused = None
    if not os.access(folder, os.W_OK | os.X_OK):
        refused = SafireError(
            f"Results cannot be written to {folder}: you may not. Choose another folder."
        )
    return OutputFolder(folder, frozenset(names), refused, results_by_base(names))


def _is_empty(path: Path) -> bool:
    """Whether nothing is in a file, as after a power cut: nobody loses anything by it."""
    return path.is_file() and path.stat().st_size == 0
