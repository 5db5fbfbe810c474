"""The rows of a manifest, read piece by piece: from a corpus's folder, or from a Parquet file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_safire.corpus.job import JOB, CorpusJob, is_job, read_job
from napari_safire.corpus.manifest import Manifest, read_part
from napari_safire.corpus.manifest_schema import manifest_schema
from napari_safire.corpus.triage.ahead import ahead
from napari_safire.errors import DatasetError
from napari_safire.images.files import why_unreadable
from napari_safire.images.records.paths import recorded_path, whole_path
from napari_safire.parquet_parts import PARTS, read_bounded
from napari_safire.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = ".parquet"
NOTE = b"napari-safire"
"""Under which a Parquet file says of which corpus it was made."""
_NEEDED = ("picture", "place")
_MOST_ROWS = 1 << 22  # of a group of a Parquet file from anybody
_MOST_BYTES = 1 << 30

Piece = tuple[Path, int]
"""A part of a manifest, or a group of rows of a Parquet file by its number."""


@dataclass(frozen=True, slots=True)
class ManifestSource:
    """Where rows of a manifest come from. Make one with `open_manifest`.

    Parameters
    ----------
    path : Path
        As it was given: the output folder of a corpus, or a Parquet file.
    corpus : Path
        The folder from which places of pictures and outputs are told.
    schema : Schema
    pieces : tuple of (Path, int)
    job : CorpusJob or None
        What the pictures were asked; None where that is not known.
    """

    path: Path
    corpus: Path
    schema: pa.Schema
    pieces: tuple[Piece, ...] = field(repr=False)
    job: CorpusJob | None = None

    def read(self, piece: Piece, columns: Sequence[str] | None = None) -> pa.Table:
        """Read some columns of a piece.

        Raises
        ------
        DatasetError
            It is damaged: a sentence that names it.
        """
        path, group = piece
        return read_part(path, columns) if group < 0 else _read_group(path, group, columns)

    def read_all(
        self, pieces: Iterable[Piece], columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Read pieces one after the other, a few ahead of the one that is wanted."""
        return ahead(lambda piece: self.read(piece, columns), pieces)

    def note(self, beside: Path) -> dict[bytes, bytes]:
        """Return what a Parquet file has to say of itself so that its pictures are found again.

        Parameters
        ----------
        beside : Path
            The Parquet file.
        """
        record: dict[str, Any] = {"corpus": recorded_path(self.corpus, beside.parent)}
        if self.job is not None:
            record["job"] = self.job.as_record()
        return {NOTE: json.dumps(record).encode()}


def is_manifest(path: str | os.PathLike[str]) -> bool:
    """Whether something is the output folder of a corpus, or a Parquet file made of one."""
    given = Path(path)
    if given.is_dir():
        return (given / JOB).is_file() and (given / PARTS).is_dir()
    if given.suffix.lower() != PARQUET or not given.is_file():
        return False
    try:
        return set(_NEEDED) <= set(open_manifest(given).schema.names)
    except DatasetError:
        return False


def is_result_of_corpus(path: str | os.PathLike[str]) -> bool:
    """Whether something is a manifest beyond doubt: no folder of another program's.

    `is_manifest` also takes a folder whose description is damaged, so that it can say so.
    """
    given = Path(path)
    return is_manifest(given) and (not given.is_dir() or is_job(given))


def open_manifest(path: str | os.PathLike[str]) -> ManifestSource:
    """Open the manifest of a corpus.

    Parameters
    ----------
    path : path-like
        The output folder of a corpus, finished or at work; or a Parquet file made of it.

    Returns
    -------
    ManifestSource

    Raises
    ------
    DatasetError
        It is none, is damaged, or has no rows yet.
    """
    given = Path(os.path.abspath(path))
    shown = printable(path)
    if given.is_dir():
        job = read_job(given)
        parts = Manifest(given).parts()
        if job is None:
            raise DatasetError(
                f"{shown} is no result of a corpus: give the output folder of `napari-safire "
                "predict --manifest`, or a Parquet file."
            )
        if not parts:
            raise DatasetError(f"The manifest in {shown} has no rows yet: wait for the first ones.")
        return ManifestSource(given, given, manifest_schema(), tuple((p, -1) for p in parts), job)
    reason = why_unreadable(given)
    if reason is not None:
        raise DatasetError(reason)
    if given.suffix.lower() != PARQUET:
        raise DatasetError(f"{shown} is no manifest: give the folder of a corpus, or Parquet.")
    return _of_parquet(given)


def _of_parquet(path: Path) -> ManifestSource:
    import pyarrow as pa
    import pyarrow.parquet as pq

    shown = printable(path)
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            n_groups = file.num_row_groups
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DatasetError(f"{shown} is no Parquet file ({printable(error)[:120]}).") from error
    lacking = [name for name in _NEEDED if name not in schema.names]
    if lacking:
        raise DatasetError(
            f"{shown} has no column {lacking[0]}: give a Parquet file made by `napari-safire "
            "triage --parquet`."
        )
    if len(set(schema.names)) < len(schema.names):
        raise DatasetError(f"{shown} has two columns of one name: write it anew.")
    corpus, job = _noted(schema, path)
    pieces = tuple((path, number) for number in range(n_groups))
    return ManifestSource(path, corpus, schema.remove_metadata(), pieces, job)


def _noted(schema: pa.Schema, path: Path) -> tuple[Path, CorpusJob | None]:
    """The folder that places are told from, and what was asked; its own folder if it is silent."""
    try:
        record = json.loads((schema.metadata or {})[NOTE])
        corpus = whole_path(str(record["corpus"]), path.parent)
    except (KeyError, ValueError, TypeError, RecursionError):
        return path.parent, None
    try:
        return corpus, CorpusJob.from_record(record["job"])
    except (KeyError, ValueError, TypeError):
        return corpus, None


def _read_group(path: Path, group: int, columns: Sequence[str] | None) -> pa.Table:
    import pyarrow as pa

    try:
        table = read_bounded(path, columns, _MOST_ROWS, _MOST_BYTES, group=group)
        table.validate(full=True)
        return table.replace_schema_metadata()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{printable(path)} is damaged ({printable(error)[:120]}): make it anew."
        ) from error
