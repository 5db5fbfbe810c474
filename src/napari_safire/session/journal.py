"""What was made of pictures, kept on disk after every step: a crash loses nothing.

One SQLite file holds the latest state of each picture and session. Nothing in it is ever executed:
states are JSON with compressed label images, and what cannot be read is left out.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import uuid
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from platformdirs import user_data_path

from napari_safire.session.annotation import Annotation, Preview, SourcePrompt
from napari_safire.session.history import PackedLabels
from napari_safire.types import PointPrompt

T = TypeVar("T")

_MOST_ROWS = 1000
_TABLE = """
CREATE TABLE IF NOT EXISTS annotation (
    image_sha256 TEXT NOT NULL,
    session TEXT NOT NULL,
    saved REAL NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (image_sha256, session)
)
"""


@dataclass(frozen=True, slots=True)
class KeptWork:
    """Work of an earlier session.

    Parameters
    ----------
    annotation : Annotation
    saved : datetime
        With time zone.
    """

    annotation: Annotation
    saved: datetime


class Journal:
    """Keeps the latest state of the work on each picture.

    Every call opens the file anew: calls come from worker threads that change, and from several
    processes at once. No call raises for a disk that is full or read-only; `problem` then says so.

    Parameters
    ----------
    path : Path, optional
        Default: ``journal.sqlite`` in the user's data folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or user_data_path("napari-safire") / "journal.sqlite"
        self.problem = ""
        self._session = uuid.uuid4().hex

    def keep(self, image_sha256: str, annotation: Annotation) -> bool:
        """Write down a state in place of this session's last one for the picture.

        Returns
        -------
        bool
            False where it could not be written; see `problem`.
        """
        row = (image_sha256, self._session, datetime.now(UTC).timestamp(), _packed(annotation))

        def write(connection: sqlite3.Connection) -> bool:
            connection.execute("INSERT OR REPLACE INTO annotation VALUES (?, ?, ?, ?)", row)
            connection.execute(
                "DELETE FROM annotation WHERE rowid NOT IN "
                "(SELECT rowid FROM annotation ORDER BY saved DESC LIMIT ?)",
                (_MOST_ROWS,),
            )
            return True

        return self._do(write, otherwise=False)

    def find(self, image_sha256: str, shape: tuple[int, int]) -> KeptWork | None:
        """Return the latest readable work of other sessions on a picture.

        Parameters
        ----------
        image_sha256 : str
        shape : (int, int)
            Of the picture; states of another shape are left out.
        """
        if not self.path.is_file():
            return None

        def read(connection: sqlite3.Connection) -> list[tuple[float, bytes]]:
            return connection.execute(
                "SELECT saved, state FROM annotation WHERE image_sha256 = ? AND session != ? "
                "ORDER BY saved DESC",
                (image_sha256, self._session),
            ).fetchall()

        nothing: list[tuple[float, bytes]] = []
        rows = self._do(read, otherwise=nothing)
        for saved, state in rows:
            annotation = _unpacked(state, shape)
            if annotation is not None:
                return KeptWork(annotation, datetime.fromtimestamp(saved, UTC))
        return None

    def forget(self, image_sha256: str) -> None:
        """Drop all work on a picture, of this and other sessions."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM annotation WHERE image_sha256 = ?", (image_sha256,))

        self._do(delete, otherwise=None)

    def _do(self, act: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Do something in one transaction; gives `otherwise` where that is not possible."""
        self.problem = ""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
                # Readers and writers of several processes do not wait for each other, and a killed
                # process leaves a file that is whole.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_TABLE)
                return act(connection)
        except (OSError, sqlite3.Error) as error:
            self.problem = (
                f"Your work cannot be kept in {self.path}: {error}. It is safe while napari is "
                "open; save the labels yourself."
            )
            return otherwise


def _packed(annotation: Annotation) -> bytes:
    preview = annotation.preview
    state: dict[str, Any] = {
        "shape": annotation.settled.shape,
        "settled": _labels_record(annotation.settled),
        "protected": _labels_record(annotation.protected),
        "prompts": [_prompt_record(prompt) for prompt in annotation.prompts],
        "seeds": _seeds_record(annotation.seeds),
        "preview": None
        if preview is None
        else {
            "labels": _labels_record(preview.labels),
            "origin": preview.origin,
            "answers": [_prompt_record(prompt) for prompt in preview.answers],
            "exact": preview.exact,
            "seeds": _seeds_record(preview.seeds),
        },
    }
    return json.dumps(state).encode()


def _unpacked(state: bytes, shape: tuple[int, int]) -> Annotation | None:
    """The annotation, or None for what is damaged or of another shape."""
    try:
        given = json.loads(state)
        preview = given["preview"]
        if tuple(given.get("shape", shape)) != shape:  # not in journals of earlier versions
            return None
        return Annotation(
            settled=_labels(given["settled"], shape, np.uint8),
            protected=_labels(given["protected"], shape, np.bool_),
            prompts=tuple(_prompt(each) for each in given["prompts"]),
            seeds=_seeds(given["seeds"]),
            preview=None
            if preview is None
            else Preview(
                labels=_labels(preview["labels"], shape, np.uint8),
                origin="partition" if preview["origin"] == "partition" else "prompts",
                answers=tuple(_prompt(each) for each in preview["answers"]),
                exact=bool(preview["exact"]),
                seeds=_seeds(preview["seeds"]),
            ),
        )
    except (ValueError, KeyError, TypeError, zlib.error):
        return None


def _labels_record(labels: PackedLabels) -> str:
    """As they are packed already: bytes for labels, bits for masks, one for all; compressed."""
    return base64.b64encode(labels.data).decode()


def _labels(record: str, shape: tuple[int, int], dtype: Any) -> PackedLabels:
    raw = np.frombuffer(zlib.decompress(base64.b64decode(record)), np.uint8)
    size = shape[0] * shape[1]
    if len(raw) == 1 and (dtype is np.uint8 or raw[0] in (0, 255)):
        return PackedLabels.uniform(shape, raw.astype(dtype)[0])
    if dtype is np.bool_:
        if len(raw) != (size + 7) // 8:
            raise ValueError("another shape")
        raw = np.unpackbits(raw, count=size)
    return PackedLabels.pack(raw.reshape(shape).astype(dtype))


def _prompt_record(prompt: SourcePrompt) -> list[Any]:
    return [prompt.point.row, prompt.point.col, prompt.source, prompt.exclude, prompt.live]


def _prompt(record: list[Any]) -> SourcePrompt:
    row, col, source, exclude, live = record
    return SourcePrompt(PointPrompt(float(row), float(col)), int(source), bool(exclude), bool(live))


def _seeds_record(seeds: tuple[tuple[int, PointPrompt], ...]) -> list[list[float]]:
    return [[number, point.row, point.col] for number, point in seeds]


def _seeds(record: list[list[float]]) -> tuple[tuple[int, PointPrompt], ...]:
    return tuple((int(number), PointPrompt(float(row), float(col))) for number, row, col in record)
