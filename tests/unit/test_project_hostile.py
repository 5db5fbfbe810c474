"""Projects that others made by hand, damaged or left half-made: a sentence, and nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from cli_runs import cli
from PIL import Image

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.chain import database, events
from napari_safire.project.chain.event_table import last_event
from napari_safire.project.chain.events import Draft, Event, canonical, now
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.pictures import (
    find_picture,
    look_after,
    open_picture,
    project_pictures,
    remove_picture,
    tag_picture,
)
from napari_safire.project.revisions import Changed
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import DATABASE, Project
from napari_safire.project.truth import Note, PictureDescription
from napari_safire.project.upkeep.backup import recover
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import Step, accept, find_work, finish, reject, save_step, truth_of

SHAPE = (6, 8)
HASH = "ab" * 32


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    settings = ProjectSettings(annotators_per_picture=2)
    with Project.create(tmp_path / "p", author="Ada", settings=settings) as made:
        add_pictures(made, [ListEntry(picture(tmp_path / "p" / f"{n}.png", n)) for n in range(2)])
        save_step(made, ids(made)[0], "Ada", Step(np.ones(SHAPE, np.uint8)), 0)
        yield made


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def ids(project: Project) -> list[str]:
    return [known.id for known in project_pictures(project)]


def forge(folder: Path, kind: str, name: str, body: Any, origin: Any = None) -> None:
    """Write an event whose hash is right, as somebody's own program could."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        last = last_event(connection)
        assert last is not None
        event = Event(
            last.sequence + 1, now(), "Eve", "hers", kind, name, MappingProxyType(body),
            None if origin is None else MappingProxyType(origin), last.sha256, "",
        )  # fmt: skip
        connection.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.sequence, event.at, event.author, event.machine, kind, name, canonical(body),
                None if origin is None else canonical(origin), event.previous, event.digest(),
            ),
        )  # fmt: skip


SAVED = {
    "annotator": "Ada", "role": "annotator", "revision": 2, "labels": HASH, "n_sources": 1,
    "n_unassigned": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("work.exploded", {}, "update napari-safire"),
        ("work.done", {}, "does not say 'annotator'"),
        ("work.done", {"annotator": "Ada", "waiver": None}, "'waiver' is no text"),
        ("work.assigned", {"annotator": "\ud800"}, "'annotator' has characters"),
        ("work.assigned", {"annotator": "Bob", "role": "king"}, "'role' is 'king'"),
        ("work.saved", SAVED | {"revision": 2**70}, "'revision' is no whole number"),
        ("work.saved", SAVED | {"labels": "../../../etc/passwd"}, "'labels' is no SHA-256"),
        ("work.saved", SAVED | {"seconds": None}, "'seconds' is no number"),
        ("work.saved", SAVED | {"basis": {}}, "the model's hash"),
        ("work.saved", SAVED | {"description": {"sources": [5], "notes": []}}, "a source is no"),
        ("picture.tagged", {"tags": ["a", 1]}, "'tags' is no text"),
        ("picture.added", {"path": "a\0b", "file_sha256": HASH}, "is no path"),
        ("picture.added", {"path": "0.png", "file_sha256": HASH}, "contradicts those before"),
        ("picture.identified", {"pixels_sha256": HASH, "shape": [1, 2, 3]}, "'shape' has not 2"),
        ("picture.scored", {"score": "high"}, "'score' is no number"),
        ("picture.compared", {"revisions": {}, "p_miou": 1}, "does not say 'p_ari'"),
        ("settings.changed", {"settings": {"annotators_per_picture": 99}}, "choose 1 to 20"),
    ],
)
def test_a_hand_made_event_is_refused_in_a_sentence_and_the_others_can_be_recovered(
    project: Project, tmp_path: Path, kind: str, body: dict[str, Any], said: str
) -> None:
    name, folder = ids(project)[0], project.folder
    project.close()
    forge(folder, kind, name, body)
    with pytest.raises(DatasetError, match=said) as caught:
        Project.open(folder)
    assert "recover" in str(caught.value) or "update" in str(caught.value)
    found = recover(folder, tmp_path / "new", "Ada")
    assert found.n_events == 3
    assert len(found.lost) == 1
    with Project.open(found.folder) as new:
        assert not verify(new).problems  # with its pictures, that lie in the folder of the old one
        assert find_work(new, name, "Ada") is not None
        assert new.settings.annotators_per_picture == 2  # else Ada's work would be shown to others


def test_an_origin_that_does_not_say_who_is_refused(project: Project) -> None:
    folder, name = project.folder, ids(project)[0]
    project.close()
    forge(folder, "picture.tagged", name, {"tags": []}, {"sequence": 1, "at": now()})
    with pytest.raises(DatasetError, match="'author' of its origin is no text"):
        Project.open(folder)


def test_what_could_not_be_read_again_is_not_written(project: Project) -> None:
    name = ids(project)[0]
    note = PictureDescription(notes=(Note("x" * 40_000),))
    with pytest.raises(DatasetError, match="40,000 characters"):
        save_step(project, name, "Ada", Step(np.ones(SHAPE, np.uint8), None, note), 1)
    with pytest.raises(DatasetError, match="characters that are none"):
        tag_picture(project, name, ["\udcff"])
    assert not verify(project).problems


def test_a_state_that_another_program_left_behind_is_not_believed(project: Project) -> None:
    folder, name = project.folder, ids(project)[0]
    project.close()
    forge(folder, "picture.tagged", name, {"tags": ["hers"]})
    with pytest.raises(DatasetError, match="project rebuild"):
        Project.open(folder, read_only=True)
    with Project.open(folder) as again:
        assert find_picture(again, name).tags == ("hers",)


def test_a_database_of_another_program_stays_as_it_is(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    for read_only in (True, False):
        with pytest.raises(DatasetError, match="of another program"):
            Project.open(tmp_path, read_only=read_only)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert rows == [("theirs",)]


def test_a_project_whose_creation_was_stopped_can_be_created_again(tmp_path: Path) -> None:
    (tmp_path / DATABASE).touch()
    with pytest.raises(DatasetError, match="Create it again"):
        Project.open(tmp_path)
    with Project.create(tmp_path, "again") as project:
        assert project.name == "again"
    with pytest.raises(SafireError, match="holds a project already"):
        Project.create(tmp_path)


def test_a_removed_picture_is_put_back_by_adding_it_again(project: Project) -> None:
    first = ids(project)[0]
    remove_picture(project, first, "by mistake")
    added = add_pictures(project, [ListEntry(project.folder / "0.png")] * 2)
    assert (added.ids, added.known, added.n_returned) == ((), 1, 1)
    assert ids(project)[0] == first
    assert find_work(project, first, "Ada") is not None


def test_two_processes_that_add_the_same_pictures_get_each_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = picture(project.folder / "late.png", 9)
    append_many = Project.append_many

    def second(self: Project, drafts: list[Draft], **options: Any) -> None:
        append_many(self, drafts)  # as another process does, after this one has looked
        append_many(self, drafts, **options)

    monkeypatch.setattr(Project, "append_many", second)
    added = add_pictures(project, [ListEntry(path)])
    assert (added.ids, added.known) == ((), 1)
    assert len(ids(project)) == 3


def test_pictures_are_found_by_any_name_a_shell_may_give(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder.parent)
    assert find_picture(project, "p/0.png").id == ids(project)[0]  # from the working directory
    with pytest.raises(DatasetError, match=r"no picture caf\\xe9.png"):
        find_picture(project, "caf\udce9.png")


def test_a_path_that_no_file_can_have_is_flagged(project: Project) -> None:
    folder = project.folder
    project.close()
    forge(folder, "picture.moved", ids(project)[0], {"path": "a" * 5_000})
    with Project.open(folder) as again:
        os.unlink(folder / "0.png")
        assert look_after(again) == (0, 1)
        with pytest.raises(SafireError):
            open_picture(again, ids(again)[0])


def test_a_lease_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.create(tmp_path / "p", journal="rollback") as project:

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "open", full)
        with pytest.raises(SafireError, match=r"No space left on device.*make room"):
            project.change_settings(ProjectSettings())
        monkeypatch.undo()
        project.change_settings(ProjectSettings())  # nothing was left behind


def test_a_failed_recovery_leaves_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **options: object) -> None:
        raise SafireError("The disk is full.")

    monkeypatch.setattr(Project, "append_many", full)
    with pytest.raises(SafireError, match="full"):
        recover(project.folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p"]


def test_what_stands_in_the_log_counts_where_nothing_may_be_written(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag_picture(project, ids(project)[0], ["last word"])
    shutil.copytree(project.folder, tmp_path / "kept")  # as a killed writer leaves it
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    with Project.open(tmp_path / "kept") as kept:
        assert kept.read_only
        assert find_picture(kept, ids(project)[0]).tags == ("last word",)


def test_a_lease_is_not_broken_by_a_clock_that_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.create(tmp_path / "p", journal="rollback") as project:
        lease = project.folder / "project.lease"
        lease.write_text("{}")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 3_600)
        monkeypatch.setattr(database, "_WAIT_S", 0.05)
        with pytest.raises(SafireError, match="Another machine has been writing"):
            project.change_settings(ProjectSettings())
        assert lease.exists()
        os.utime(lease, (1, 1))
        project.change_settings(ProjectSettings())  # whoever held it is gone
        assert sorted(path.name for path in lease.parent.iterdir()) == ["project.sqlite"]


def test_a_cut_off_database_gives_back_what_it_still_has(project: Project, tmp_path: Path) -> None:
    name, folder = ids(project)[0], project.folder
    tags = [{"tags": [f"{number} {'x' * 400}"]} for number in range(150)]
    project.append([Draft("picture.tagged", name, body) for body in tags])
    project.close()
    path = folder / DATABASE
    os.truncate(path, path.stat().st_size - 12 * 4_096)
    with pytest.raises(DatasetError, match="project recover"):
        Project.open(folder)
    found = recover(folder, tmp_path / "new")
    assert found.n_events > 10
    assert found.lost[-1].startswith("What came after event")
    with Project.open(found.folder) as new:
        assert not verify(new).problems


def test_a_damaged_index_is_a_problem_although_every_event_is_whole(project: Project) -> None:
    page = project.ask("SELECT rootpage FROM sqlite_schema WHERE name = 'picture_by_file'")[0][0]
    folder = project.folder
    project.close()
    with (folder / DATABASE).open("r+b") as file:
        file.seek((page - 1) * 4_096 + 4_000)
        file.write(b"x" * 60)
    with Project.open(folder, read_only=True) as again:
        assert any("database is damaged" in problem for problem in verify(again).problems)


def test_work_that_was_accepted_meanwhile_is_not_undone_by_a_step(project: Project) -> None:
    name = ids(project)[0]
    finish(project, name, "Ada", 1, authentic=True)
    accept(project, name, "Ada")
    step = Step(np.full(SHAPE, 2, np.uint8))
    with pytest.raises(Changed):
        save_step(project, name, "Ada", step, 1, unaccepted=True)
    work = find_work(project, name, "Ada")
    assert work is not None
    assert work.state == "accepted"
    assert save_step(project, name, "Ada", step, 1).state == "begun"  # who knows that it was


def test_nobody_judges_a_revision_that_they_have_not_seen(project: Project) -> None:
    name = ids(project)[0]
    save_step(project, name, "Ada", Step(np.full(SHAPE, 2, np.uint8)), 1)
    finish(project, name, "Ada", 2, authentic=True)
    with pytest.raises(DatasetError, match="Ada has saved since you opened it"):
        accept(project, name, "Ada", 1)
    with pytest.raises(DatasetError, match="Ada has saved since you opened it"):
        reject(project, name, "Ada", "no", 1)
    assert accept(project, name, "Ada", 2).state == "accepted"


def test_a_table_with_a_boundless_field_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path\n" + "a" * 200_000)
    with pytest.raises(DatasetError, match="is no table: field larger"):
        collect_pictures(tmp_path / "t.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_moved_pictures_are_found_among_files_that_cannot_be_read(project: Project) -> None:
    folder = project.folder
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "0.png").rename(folder / "moved.png")
    assert look_after(project) == (1, 0)


def test_pictures_that_could_not_be_added_are_told_by_the_exit_code(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in" / "whole.png", 5)
    (tmp_path / "in" / "empty.png").touch()
    result = cli("project", "add", project.folder, tmp_path / "in")
    assert result.exit_code == 1
    assert "1 added" in result.output
    assert "empty.png is empty" in result.output
    assert len(ids(project)) == 3


def test_the_last_acceptance_counts_whatever_the_clock_says(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = ids(project)[0]
    finish(project, name, "Ada", 1, authentic=True)
    save_step(project, name, "Bob", Step(np.full(SHAPE, 2, np.uint8)), 0)
    finish(project, name, "Bob", 1, authentic=True)
    accept(project, name, "Ada")
    monkeypatch.setattr(events, "now", lambda: "2015-01-01T00:00:00.000+00:00")
    accept(project, name, "Bob")
    truth = truth_of(project, name)
    assert truth is not None
    assert truth.annotator == "Bob"
    found = verify(project)
    assert not found.problems
    assert "clock was set back" in found.remarks[0]


def test_a_damaged_object_is_mended_when_the_same_is_kept_again(project: Project) -> None:
    labels = np.full(SHAPE, 7, np.uint8)
    digest = project.objects.put_labels(labels)
    path = project.objects.path(digest, ".png")
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DatasetError, match="was changed"):
        project.objects.labels(digest)
    assert project.objects.put_labels(labels) == digest
    np.testing.assert_array_equal(project.objects.labels(digest), labels)
