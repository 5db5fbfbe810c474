"""Cases of reviews by somebody else: damaged databases, and sound chains of odd events."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

from robustness.fuzzing import stores, texts

EVENTS = "events.jsonl"
ERRORS = (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError)


def seeds(folder: Path) -> dict[str, bytes]:
    """The database of a case, and events that may follow in it."""
    from review_cases import begun_case, signed_by, small_picture

    from napari_safire.project.store import DATABASE

    home = folder.parent
    picture = small_picture(home / "a.png")
    case = begun_case(home, picture)
    events = [event for event in case.events() if event.kind.startswith(("review.", "case."))]
    case.project.close()
    signed_by(home, picture, "Ben")
    whole = stores.database_bytes(home / DATABASE)
    (folder / DATABASE).write_bytes(whole)  # which events follow in
    lines = [json.dumps([event.kind, event.picture, dict(event.body)]) for event in events]
    return {
        DATABASE: whole,
        EVENTS: "\n".join(lines).encode(),
    }


def damaged(data: bytes, name: str, rng: Random) -> bytes:
    damage = texts.damaged_json if name == EVENTS else stores.damaged_database
    return damage(data, name, rng)


def read(path: Path) -> None:
    """Open the case, tell all that it says, verify it, and note something."""
    from napari_safire.errors import DatasetError
    from napari_safire.project.pictures import project_pictures
    from napari_safire.project.store import Project
    from napari_safire.project.upkeep.verify import verify
    from napari_safire.review.case import Case
    from napari_safire.review.values import Checked

    if path.name == EVENTS:
        _append(path)
    with Project.open(path.parent, author="Eve") as project:
        problems = verify(project).problems
        assert all(text.isprintable() for text in problems), problems
        for picture in list(project_pictures(project)):
            case = Case(project, picture.id)
            case.description  # noqa: B018 (it is read there)
            review = case.review()
            for one in review.reviews:
                if one.verdict is not None and one.verdict.judgement.labels is not None:
                    case.labels(one.verdict.judgement.labels)
            case.check([Checked("quality", "no", "too small")])
    if problems:
        raise DatasetError(problems[0])


def _append(path: Path) -> None:
    """Let events follow in the database, each with the hash that it has to have."""
    from napari_safire.errors import DatasetError
    from napari_safire.project.chain.event_table import last_event
    from napari_safire.project.chain.events import Draft, canonical, following
    from napari_safire.project.store import DATABASE

    (path.parent / DATABASE).unlink()  # it may be a link to the whole one
    shutil.copy(path.parent / "made" / DATABASE, path.parent / DATABASE)
    with closing(sqlite3.connect(path.parent / DATABASE)) as connection, connection:
        last = last_event(connection)
        try:
            for line in path.read_bytes().splitlines():
                kind, picture, body = json.loads(line)
                last = following(Draft("review.noted", picture, body), last, "A", "m")
                object.__setattr__(last, "kind", kind)
                object.__setattr__(last, "sha256", last.digest())
                connection.execute(
                    "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        last.sequence, last.at, last.author, last.machine, kind, picture,
                        canonical(dict(last.body)), None, last.previous, last.sha256,
                    ),
                )  # fmt: skip
        except (*ERRORS, sqlite3.Error) as error:
            raise DatasetError("Such events can be in no database.") from error
