"""The state of a project, made of its events one after the other.

`apply` is the only place that knows what an event does; the same events always give the same rows.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

from napari_safire.errors import DatasetError
from napari_safire.project.chain.events import Event, canonical
from napari_safire.project.chain.schema import STATE_TABLES, make_state_tables
from napari_safire.project.settings import read_settings
from napari_safire.text import printable

WorkState = Literal["assigned", "begun", "done", "rejected", "accepted"]
WORK_STATES: tuple[WorkState, ...] = get_args(WorkState)
Role = Literal["annotator", "adjudicator"]
Stage = Literal["annotate", "second", "adjudicate", "accept", "accepted"]
STAGES: tuple[Stage, ...] = get_args(Stage)


def apply(connection: sqlite3.Connection, event: Event) -> None:
    """Do to the state what an event says; in a transaction.

    Raises
    ------
    DatasetError
        It contradicts the events before it.
    """
    try:
        _ACTS[event.kind](connection, event, event.body)
    except sqlite3.IntegrityError as error:
        raise DatasetError(
            f"Event {event.sequence} ({event.kind}) contradicts those before it ({error}): "
            "`napari-safire project recover` saves the others into a new project."
        ) from error
    connection.execute("UPDATE state_version SET sequence = ?", (event.sequence,))


def rebuild(connection: sqlite3.Connection, events: Iterator[Event]) -> None:
    """Make the state anew from all events; in a transaction."""
    make_state_tables(connection)
    for event in events:
        apply(connection, event)


def state_digest(connection: sqlite3.Connection) -> str:
    """SHA-256 of all rows of the state, in order of their keys."""
    digest = hashlib.sha256()
    for table in STATE_TABLES:
        columns = len(connection.execute(f"SELECT * FROM {table} LIMIT 0").description)  # noqa: S608 (columns and marks are ours, values are bound)
        order = ", ".join(str(n + 1) for n in range(columns))
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY {order}"):  # noqa: S608 (columns and marks are ours, values are bound)
            digest.update(canonical([table, *row]).encode() + b"\n")
    return digest.hexdigest()


# -------------------------------------------------------------------- project


_Body = Mapping[str, Any]
_Act = Callable[[sqlite3.Connection, Event, _Body], None]


def _create(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    connection.execute("INSERT INTO project VALUES (?, ?, '{}')", (body["name"], body["id"]))


def _set(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    connection.execute("UPDATE project SET settings = ?", (canonical(body["settings"]),))
    # How many annotators a picture needs tells whether it still waits for one.
    for (picture,) in connection.execute("SELECT DISTINCT picture FROM work").fetchall():
        _restage(connection, picture)


# -------------------------------------------------------------------- pictures


def _add(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    height, width = body.get("shape") or (None, None)
    connection.execute(
        "INSERT INTO picture (id, position, path, name, file_sha256, pixels_sha256, height, width, "
        "orientation, decoder, format, tags, begin, problem, removed, verdict, stage) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, '', 'annotate')",
        (
            event.picture, event.sequence, canonical(body["path"]), _name(body["path"]),
            body["file_sha256"], body.get("pixels_sha256"), height, width,
            body.get("orientation"), body.get("decoder", ""), body.get("format", ""),
            canonical(sorted(set(body.get("tags", [])))), body.get("begin"),
        ),
    )  # fmt: skip


def _move(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    path = body["path"]
    _put(connection, event, path=canonical(path), name=_name(path), problem="")


def _identify(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    height, width = body["shape"]
    _put(
        connection,
        event,
        pixels_sha256=body["pixels_sha256"],
        height=height,
        width=width,
        orientation=body.get("orientation"),
        decoder=body.get("decoder", ""),
        format=body.get("format", ""),
    )


def _flag(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(connection, event, problem=printable(body["problem"]))


def _tag(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(connection, event, tags=canonical(sorted(set(body["tags"]))))


def _remove(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(connection, event, removed=1)


def _return(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(connection, event, removed=0)


def _score(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(
        connection,
        event,
        score=_real(body.get("score")),
        verdict=body.get("verdict", ""),
        uncertainty=_real(body.get("uncertainty")),
    )


def _compare(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    agreement = _real(body["p_miou"])
    disagreement = None if agreement is None else 1.0 - agreement
    _put(connection, event, compared=canonical(dict(body)), disagreement=disagreement)


def _control(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _put(connection, event, control=body.get("labels"))


def _name(path: str) -> str:
    # What is no UTF-8 cannot be a value of SQLite.
    return printable(PurePosixPath(path).name)


def _put(connection: sqlite3.Connection, event: Event, **values: Any) -> None:
    names = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE picture SET {names} WHERE id = ?",  # noqa: S608 (columns and marks are ours, values are bound)
        (*values.values(), event.picture),
    )


def _real(value: Any) -> float | None:
    return None if value is None else float(value)


# -------------------------------------------------------------------- work


def _assign(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    # Pictures that nobody gave to an annotator, who began all the same, keep their place.
    given = event.sequence if event.kind == "work.assigned" else None
    connection.execute(
        "INSERT INTO work (picture, annotator, role, state, revision, description, begun_from, "
        "seconds, n_sources, waiver, authentic, note, by, at, sequence, assigned) "
        "VALUES (?, ?, ?, 'assigned', 0, '{}', '', 0, 0, '', 0, '', ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (
            event.picture, body["annotator"], body.get("role", "annotator"), event.made_by,
            event.made_at, event.sequence, given,
        ),
    )  # fmt: skip
    _restage(connection, event.picture)


def _withdraw(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    connection.execute(
        "DELETE FROM work WHERE picture = ? AND annotator = ? AND revision = 0",
        (event.picture, body["annotator"]),
    )
    _restage(connection, event.picture)


def _save(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _assign(connection, event, body)
    _work(
        connection,
        event,
        state="begun",
        revision=body["revision"],
        labels=body["labels"],
        annotation=body.get("annotation"),
        description=canonical(body.get("description", {})),
        basis=None if body.get("basis") is None else canonical(body["basis"]),
        decisions=body.get("decisions"),
        n_sources=body["n_sources"],
        n_unassigned=body["n_unassigned"],
        waiver="",
        authentic=0,
    )
    connection.execute(
        "UPDATE work SET seconds = round(seconds + ?, 3), "
        "begun_from = CASE begun_from WHEN '' THEN ? ELSE begun_from END "
        "WHERE picture = ? AND annotator = ?",
        (
            float(body.get("seconds", 0)), body.get("begun_from", ""), event.picture,
            body["annotator"],
        ),
    )  # fmt: skip


def _finish(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _work(
        connection,
        event,
        state="done",
        waiver=body.get("waiver", ""),
        authentic=int(bool(body.get("authentic"))),
        note="",
    )


def _reopen(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _work(connection, event, state="begun")


def _reject(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _work(connection, event, state="rejected", note=body.get("note", ""))


def _accept(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    _work(connection, event, state="accepted")


def _work(connection: sqlite3.Connection, event: Event, **values: Any) -> None:
    values |= {"by": event.made_by, "at": event.made_at, "sequence": event.sequence}
    names = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE work SET {names} WHERE picture = ? AND annotator = ?",  # noqa: S608 (columns and marks are ours, values are bound)
        (*values.values(), event.picture, event.body["annotator"]),
    )
    _restage(connection, event.picture)


def _nothing(connection: sqlite3.Connection, event: Event, body: _Body) -> None:
    return


def _restage(connection: sqlite3.Connection, picture: str) -> None:
    rows = connection.execute(
        "SELECT role, state FROM work WHERE picture = ?", (picture,)
    ).fetchall()
    known = connection.execute("SELECT settings FROM project").fetchone() or ("{}",)
    needed = read_settings(json.loads(known[0])).annotators_per_picture
    stage = stage_of(rows, needed)
    connection.execute("UPDATE picture SET stage = ? WHERE id = ?", (stage, picture))


def stage_of(works: list[tuple[Role, WorkState]], needed: int = 1) -> Stage:
    """Tell how far a picture is by what was made of it.

    Parameters
    ----------
    works : list of (role, state)
    needed : int
        How many annotators the picture needs: one who is not there yet is not done.

    Returns
    -------
    {"annotate", "second", "adjudicate", "accept", "accepted"}

    Examples
    --------
    >>> stage_of([("annotator", "done"), ("annotator", "begun")])
    'second'
    >>> stage_of([("annotator", "done"), ("annotator", "done")])
    'adjudicate'
    """
    annotators = [state for role, state in works if role == "annotator"]
    n_awaited = max(len(annotators), needed)
    adjudicators = [state for role, state in works if role == "adjudicator"]
    deciding = adjudicators or (annotators if n_awaited == 1 else [])
    if "accepted" in annotators + adjudicators:
        return "accepted"
    if "done" in deciding:
        return "accept"
    n_done = annotators.count("done")
    if not n_done:
        return "annotate"
    return "second" if n_done < n_awaited else "adjudicate"


_ACTS: dict[str, _Act] = {
    "project.created": _create,
    "settings.changed": _set,
    "picture.added": _add,
    "picture.moved": _move,
    "picture.identified": _identify,
    "picture.flagged": _flag,
    "picture.tagged": _tag,
    "picture.removed": _remove,
    "picture.returned": _return,
    "picture.scored": _score,
    "picture.compared": _compare,
    "picture.controlled": _control,
    "work.assigned": _assign,
    "work.withdrawn": _withdraw,
    "work.saved": _save,
    "work.done": _finish,
    "work.reopened": _reopen,
    "work.rejected": _reject,
    "work.accepted": _accept,
    # Reviews change no list: they are read off the events of their picture (`review.reading`).
    "case.described": _nothing,
    "review.begun": _nothing,
    "review.shown": _nothing,
    "review.analysed": _nothing,
    "review.checked": _nothing,
    "review.noted": _nothing,
    "review.judged": _nothing,
    "review.signed": _nothing,
    "review.reported": _nothing,
}
