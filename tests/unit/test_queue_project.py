"""Going through the pictures of a project: every step is in the chain, and nobody's is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from queue_owner import SHAPE, Owner, make_pictures

from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry
from napari_safire.images.masks import encode_sources
from napari_safire.project.adding import add_pictures
from napari_safire.project.pictures import remove_picture
from napari_safire.project.queries import PictureQuery
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.truth import PictureDescription, SourceDescription
from napari_safire.project.upkeep.verify import verify
from napari_safire.project.work import accept, find_work, read_labels, works
from napari_safire.session.autosave import Autosave
from napari_safire.session.queue.new_project import project_folder_for
from napari_safire.session.queue.project_pictures import ProjectPictures
from napari_safire.session.queue.store import Beginning

Open = Callable[[str], Owner]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of three pictures; the last one came with a mask of two sources."""
    photos = make_pictures(tmp_path / "photos")
    halves = np.zeros(SHAPE, np.uint8)
    halves[:, 16:] = 1
    Image.fromarray(encode_sources(halves)).save(tmp_path / "mask.png")
    entries = [ListEntry(photos / f"{n}.png", None) for n in range(2)]
    entries.append(ListEntry(photos / "2.png", tmp_path / "mask.png"))
    with Project.create(tmp_path / "project", author="anna") as project:
        assert len(add_pictures(project, entries).ids) == 3
    return tmp_path / "project"


@pytest.fixture
def begin(folder: Path, tmp_path: Path) -> Iterator[Open]:
    owners: list[Owner] = []

    def opened(author: str) -> Owner:
        owner = Owner(folder, Autosave(tmp_path / f"{len(owners)}.sqlite"))
        owner.work.open_store(lambda: ProjectPictures.open(folder, author), "project")
        owner.settle()
        owners.append(owner)
        return owner

    yield opened
    for owner in owners:
        owner.close()
        assert owner.work.store is not None
        owner.work.store.close()


def kept(folder: Path, owner: Owner, annotator: str) -> set[int]:
    """Numbers that the project holds of the open picture, read anew."""
    with Project.open(folder) as project:
        work = find_work(project, owner.work.key, annotator)
        return set() if work is None else set(np.unique(read_labels(project, work)).tolist())


def state(owner: Owner, number: int) -> str:
    return owner.work.listing.state(owner.work.listing.keys[number])


def test_every_step_is_in_the_chain_before_the_picture_is_left(begin: Open, folder: Path) -> None:
    anna = begin("anna")
    assert anna.shown == ["0.png"]
    for number, seen in ((2, {0, 2}), (3, {0, 2, 3})):
        anna.paint(number, row=4 * number)
        anna.settle()
        assert kept(folder, anna, "anna") == seen
    anna.session.annotations.undo(anna.plane.key)
    anna.settle()
    assert kept(folder, anna, "anna") == {0, 2}
    with Project.open(folder) as project:
        saved = [event for event in project.events() if event.kind == "work.saved"]
        assert [event.body["title"] for event in saved] == ["paint", "paint", "paint"]
        assert [event.body["revision"] for event in saved] == [1, 2, 3]
        assert verify(project).problems == ()
    first = anna.work.key
    anna.work.go_on()
    anna.settle()
    anna.work.go_to(first)
    anna.settle()
    assert anna.labels() == {0, 2}
    with Project.open(folder) as project:  # nothing was new
        assert len([e for e in project.events() if e.kind == "work.saved"]) == 3


def test_a_step_that_cannot_be_kept_is_in_the_autosave(
    begin: Open, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    anna = begin("anna")

    def full(*arguments: object) -> str:
        raise OSError(28, "No space left on device")

    store = anna.work.store
    assert isinstance(store, ProjectPictures)
    monkeypatch.setattr(store.project.objects, "put_labels", full)
    anna.paint(2)
    anna.settle()
    assert "No space left on device" in anna.told[-1]
    pixels = anna.plane.pixels.identify()
    monkeypatch.undo()
    found = Autosave(tmp_path / "0.sqlite").find(pixels, SHAPE)
    assert found is not None
    assert set(np.unique(found.made.annotation.shown())) == {0, 2}
    anna.work.go_on()
    anna.settle()
    assert state(anna, 0) == "begun"


def test_done_needs_every_pixel_or_a_reason(begin: Open, folder: Path) -> None:
    anna = begin("anna")
    anna.paint(1)
    anna.work.finish()
    anna.settle()
    assert anna.work.missing is not None
    assert "pixels have no source" in anna.told[-1]
    anna.work.finish(waiver="the rest is a caption")
    anna.settle()
    assert state(anna, 0) == "done"
    assert anna.shown[-1] == "1.png"
    with Project.open(folder) as project:
        work = find_work(project, anna.work.listing.keys[0], "anna")
        assert work is not None
        assert (work.waiver, work.authentic) == ("the rest is a caption", False)
    anna.work.finish(authentic=True)
    anna.settle()
    assert state(anna, 1) == "done"
    with Project.open(folder) as project:
        work = find_work(project, anna.work.listing.keys[1], "anna")
        assert work is not None
        assert work.description.of(1).type == "authentic background"  # exports count by it
    assert anna.labels() == {1, 2}  # of the mask that came with the last one
    anna.work.finish()
    anna.settle()
    assert anna.work.listing.counts["done"] == 3
    assert "no further picture" in anna.told[-1]


def test_a_picture_that_was_sent_back_says_why_and_what_is_accepted_counts(
    begin: Open, folder: Path
) -> None:
    anna = begin("anna")
    anna.work.finish(authentic=True)
    anna.settle()
    first = anna.work.listing.keys[0]
    ben = begin("ben")
    ben.work.go_to(first)
    ben.settle()
    assert ben.labels() == {1}
    assert "work of anna" in " ".join(ben.told)
    ben.work.reject("look at the sky")
    ben.settle()
    anna.work.go_to(first)
    anna.settle()
    assert "0.png was sent back: look at the sky" in anna.told
    anna.paint(2)
    anna.work.finish()
    anna.settle()
    ben.work.go_to(first)
    ben.settle()
    assert ben.labels() == {1, 2}
    ben.work.accept()
    ben.settle()
    with Project.open(folder) as project:
        work = find_work(project, first, "anna")
        assert work is not None
        assert (work.state, work.by) == ("accepted", "ben")
        assert find_work(project, first, "ben") is None


def test_nobody_sees_or_begins_from_anothers_work_before_both_are_done(
    begin: Open, folder: Path
) -> None:
    with Project.open(folder, author="anna") as project:
        project.change_settings(ProjectSettings(annotators_per_picture=2))
    anna, ben = begin("anna"), begin("ben")
    first = anna.work.key
    anna.work.finish(authentic=True)
    anna.settle()
    ben.work.go_on()
    ben.settle()
    ben.work.go_to(first)
    ben.settle()
    assert ben.labels() == {0}
    store = ben.work.store
    assert store is not None
    assert store.annotators(first) == ()
    with pytest.raises(DatasetError, match="may not be seen before all are done"):
        store.other_work(first, "anna")
    ben.work.begin_from(Beginning("work", annotator="anna"))
    ben.settle()
    assert "may not be seen" in ben.told[-1]
    ben.paint(5)
    ben.work.fill_missing()
    ben.work.finish(waiver="dark")
    ben.settle()
    assert store.annotators(first) == ("anna",)
    assert set(np.unique(store.other_work(first, "anna").annotation.shown())) == {1}


@pytest.fixture
def conflict(begin: Open) -> tuple[Owner, Owner]:
    """The same annotator at two machines: both have changed the first picture."""
    here, there = begin("anna"), begin("anna")
    for owner, number in ((here, 2), (there, 3)):
        owner.paint(number)
        owner.settle()
    return here, there


def test_whoever_saves_second_is_told_and_nothing_is_overwritten(
    conflict: tuple[Owner, Owner], folder: Path
) -> None:
    here, there = conflict
    assert here.work.conflict is None
    assert there.work.conflict is not None
    assert there.work.conflict.by == "anna"
    assert "since you opened it" in there.told[-1]
    assert kept(folder, here, "anna") == {0, 2}
    n_told = len(there.told)
    there.paint(4, row=8)  # told once, not at every step
    there.settle()
    assert len(there.told) == n_told
    there.work.go_on()
    there.settle()
    assert there.shown[-1] == "0.png"
    there.work.show_both()
    assert [title for title, _ in there.others] == ["sources by anna"]
    assert set(np.unique(there.others[0][1].annotation.shown())) == {0, 2}


def test_theirs_are_taken_and_one_undo_brings_ones_own_back(
    conflict: tuple[Owner, Owner], folder: Path
) -> None:
    _, there = conflict
    there.work.take_theirs()
    there.settle()
    assert there.work.conflict is None
    assert there.labels() == {0, 2}
    there.session.annotations.undo(there.plane.key)
    there.settle()
    assert there.labels() == {0, 3}
    assert kept(folder, there, "anna") == {0, 3}  # on purpose, on top of theirs
    there.work.go_on()
    there.settle()
    assert there.shown[-1] == "1.png"


def test_ones_own_is_kept_as_a_second_opinion(conflict: tuple[Owner, Owner], folder: Path) -> None:
    here, there = conflict
    there.work.keep_mine()
    there.settle()
    assert there.work.conflict is None
    assert there.work.work is not None
    name = there.work.work.annotator
    assert name.startswith("anna (")
    assert kept(folder, there, name) == {0, 3}
    assert kept(folder, here, "anna") == {0, 2}
    there.paint(4, row=8)
    there.settle()
    assert kept(folder, there, name) == {0, 3, 4}


def test_work_begins_from_nothing_a_mask_the_model_or_another_and_says_so(
    begin: Open, folder: Path, tmp_path: Path
) -> None:
    anna = begin("anna")
    anna.work.go_to(anna.work.listing.keys[2])
    anna.settle()
    for beginning, labels in (
        (Beginning("nothing"), {0}),
        (Beginning("given"), {1, 2}),
        (Beginning("mask", tmp_path / "mask.png"), {1, 2}),
    ):
        anna.work.begin_from(beginning)
        anna.settle()
        assert anna.labels() == labels
    anna.session.choose_model("fake")
    anna.work.begin_from(Beginning("partition"))
    anna.settle()
    assert anna.labels() == {1, 2}
    anna.work.finish()
    anna.settle()
    with Project.open(folder) as project:
        work = find_work(project, anna.work.listing.keys[2], "anna")
        assert work is not None
        assert work.basis is not None
        saved = [event for event in project.events() if event.kind == "work.saved"]
        assert [event.body["begun_from"] for event in saved][-1] == "model"
        assert verify(project).problems == ()
    Image.fromarray(encode_sources(np.ones((5, 7), np.uint8))).save(tmp_path / "small.png")
    for mask in ("small.png", "missing.png"):
        ben = begin("ben")
        ben.work.begin_from(Beginning("mask", tmp_path / mask))
        ben.settle()
        assert ben.labels() == {0}
        assert ben.told
    assert "5 x 7 pixels, 0.png has 24 x 32" in begin_told(begin, tmp_path / "small.png")


def test_a_mask_that_did_not_come_wipes_nothing_out(begin: Open) -> None:
    anna = begin("anna")
    anna.session.choose_model("fake")
    anna.work.begin_from(Beginning("partition"))
    anna.settle()
    anna.work.begin_from(Beginning("given"))
    anna.settle()
    assert anna.labels() == {1, 2}
    assert anna.told[-1] == "No mask came with 0.png: begin from something else."


def test_the_last_picture_says_what_is_left_before_it(begin: Open) -> None:
    anna = begin("anna")
    anna.work.go_to(anna.work.listing.keys[2])
    anna.settle()
    anna.work.finish()
    anna.settle()
    assert "no further picture after this one; 2 before it are still to do" in anna.told[-1]


@pytest.mark.parametrize(
    ("pictures", "project"),
    [("/", "/_project"), ("/photos", "/photos_project"), ("/a/list.txt", "/a/list_project")],
)
def test_a_project_is_suggested_beside_its_pictures(pictures: str, project: str) -> None:
    assert project_folder_for(pictures).as_posix().endswith(project)


def begin_told(begin: Open, mask: Path) -> str:
    owner = begin("clara")
    owner.work.begin_from(Beginning("mask", mask))
    owner.settle()
    return owner.told[-1]


def test_what_is_said_of_sources_is_kept_with_the_labels(begin: Open, folder: Path) -> None:
    anna = begin("anna")
    anna.paint(2)
    anna.settle()
    description = PictureDescription((SourceDescription(2, type="splice", order=1),))
    anna.work.describe(description)
    anna.settle()
    anna.work.describe(description)  # once more says nothing new
    anna.settle()
    with Project.open(folder) as project:
        work = find_work(project, anna.work.key, "anna")
        assert work is not None
        assert work.description == description
        assert work.revision == 2
    first = anna.work.key
    anna.work.go_on()
    anna.settle()
    anna.work.go_to(first)
    anna.settle()
    assert anna.work.work is not None
    assert anna.work.work.description == description


def test_time_worked_is_kept_with_each_step(begin: Open, folder: Path) -> None:
    anna = begin("anna")
    now = 100.0
    opened = anna.work._open
    assert opened is not None
    opened.time._clock = lambda: now
    opened.time.take()
    for seconds in (20.0, 30.0, 400.0):
        now += seconds
        anna.paint(2, row=int(seconds) % 16)
        anna.settle()
    with Project.open(folder) as project:
        work = find_work(project, anna.work.key, "anna")
        assert work is not None
        assert work.seconds == 50.0


def test_queries_search_sort_and_filter_a_project(begin: Open) -> None:
    anna = begin("anna")
    anna.paint(2)
    anna.settle()
    anna.work.go_on()
    anna.settle()
    anna.work.set_query(PictureQuery(states=("begun",)))
    assert anna.work.listing.shown == (anna.work.listing.keys[0],)
    anna.work.set_query(PictureQuery(sort="name", descending=True))
    anna.settle()
    rows = [anna.work.rows.get(key) for key in anna.work.listing.shown]
    anna.settle()
    rows = [anna.work.rows.get(key) for key in anna.work.listing.shown]
    assert [row.name for row in rows if row is not None] == ["2.png", "1.png", "0.png"]
    anna.work.set_query(PictureQuery(text="1.p"))
    anna.settle()
    assert len(anna.work.listing.shown) == 1
    assert dict(+anna.work.listing.counts) == {"begun": 1, "untouched": 2}
    anna.work.go_on()
    anna.settle()
    assert anna.shown[-1] == "1.png"


def test_a_picture_that_was_changed_is_not_used(begin: Open, folder: Path) -> None:
    anna = begin("anna")
    (folder.parent / "photos" / "1.png").write_bytes(
        (folder.parent / "photos" / "2.png").read_bytes()
    )
    anna.work.go_on()
    anna.settle()
    assert "was changed since it was added" in anna.work.problem
    assert anna.work.row is not None
    anna.work.go_on()
    anna.settle()
    assert anna.shown[-1] == "2.png"


def test_a_picture_that_is_skipped_comes_again_at_the_end(begin: Open) -> None:
    anna = begin("anna")
    store = anna.work.store
    assert store is not None
    anna.work.set_query(PictureQuery(states=store.open_states))
    anna.work.skip()
    anna.settle()
    for _ in range(2):
        anna.work.finish(authentic=anna.labels() == {0})
        anna.settle()
    assert anna.shown == ["0.png", "1.png", "2.png", "0.png"]
    assert not anna.work.can_go_on


def test_work_accepted_while_it_is_changed_stays_accepted_until_its_annotator_decides(
    begin: Open, folder: Path
) -> None:
    anna = begin("anna")
    key = anna.work.listing.keys[0]
    anna.paint(2)
    anna.work.finish(waiver="dark")
    anna.settle()
    anna.work.go_to(key)
    anna.settle()
    with Project.open(folder, author="lead") as project:
        accept(project, key, "anna")
        anna.paint(3, row=8)
        anna.settle()
        assert anna.work.conflict is not None
        assert anna.work.conflict.by == "lead"
        work = find_work(project, key, "anna")
        assert work is not None
        assert work.state == "accepted"
        anna.work.keep_mine()
        anna.settle()
        assert {w.state for w in works(project, key)} == {"accepted", "begun"}
        assert verify(project).problems == ()


def test_a_picture_that_is_removed_while_it_is_open_keeps_what_is_made_of_it(
    begin: Open, folder: Path
) -> None:
    anna = begin("anna")
    key = anna.work.listing.keys[0]
    anna.paint(2)
    anna.settle()
    with Project.open(folder, author="lead") as project:
        remove_picture(project, key, "by mistake")
        anna.paint(3, row=8)
        anna.work.go_on()
        anna.settle()
        work = find_work(project, key, "anna")
        assert work is not None
        assert set(np.unique(read_labels(project, work))) == {0, 2, 3}
        assert verify(project).problems == ()
