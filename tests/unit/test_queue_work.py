"""Going through a queue without any viewer: what is slow keeps nobody waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from queue_owner import Owner, make_pictures

from napari_safire.corpus.queue import PictureQueue
from napari_safire.session.queue import folder_work


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    folder = make_pictures(tmp_path / "photos")
    made = Owner(folder)
    made.work.open_queue(folder)
    made.settle()
    yield made
    made.session.close()
    assert made.session.join(10)


def test_what_was_made_is_saved_on_the_way_and_comes_back(owner: Owner) -> None:
    owner.paint(3)
    owner.settle()
    owner.work.go_on()
    owner.settle()
    assert owner.states() == ["begun", "untouched", "untouched"]
    owner.work.go_back()
    owner.settle()
    assert owner.shown == ["0.png", "1.png", "0.png"]
    assert owner.labels() == {0, 3}


@pytest.mark.parametrize("slow", ["read_entry", "save_labels"])
def test_undo_answers_while_a_file_is_read_or_written(
    owner: Owner, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both went through the thread that answers undo: it waited as long as the disk took."""
    reached, gate, quick = threading.Event(), threading.Event(), getattr(folder_work, slow)

    def slowly(*arguments: Any) -> Any:
        reached.set()
        assert gate.wait(20)
        return quick(*arguments)

    monkeypatch.setattr(folder_work, slow, slowly)
    owner.paint(3)
    owner.work.go_on()
    owner.until(reached.is_set)
    owner.paint(4, row=8)
    owner.until(lambda: owner.labels() == {0, 3, 4})
    owner.session.annotations.undo(owner.plane.key)
    owner.until(lambda: owner.labels() == {0, 3})
    owner.session.annotations.redo(owner.plane.key)
    owner.until(lambda: owner.labels() == {0, 3, 4})
    gate.set()
    owner.settle()
    assert owner.shown == ["0.png", "1.png"]
    owner.work.go_back()
    owner.settle()
    assert owner.labels() == {0, 3, 4}  # the latest was saved, too


def test_what_is_missing_is_told_filled_and_then_done(owner: Owner) -> None:
    owner.paint(1)
    owner.work.finish()
    owner.settle()
    assert owner.work.missing is not None
    assert "0.png is not done yet." in owner.told[-1]
    owner.work.fill_missing()
    owner.settle()
    owner.work.finish()
    owner.settle()
    assert owner.states()[0] == "done"
    owner.work.finish(authentic=True)
    owner.settle()
    assert owner.states()[:2] == ["done", "done"]


def test_a_picture_that_is_taken_away_is_saved_first(owner: Owner) -> None:
    owner.paint(2)
    opened = owner.work.opened
    owner.work.leave(opened, owner.told.append)
    owner.session.forget(opened)
    owner.work.forget(opened)
    owner.settle()
    assert owner.work.opened is None
    assert owner.states()[0] == "begun"
    assert owner.told == ["0.png was closed. What was made of it is saved."]


def test_what_was_removed_meanwhile_is_written_anew(owner: Owner) -> None:
    """It was told "Saved as done" with nothing on disk."""
    owner.work.finish(authentic=True)
    owner.settle()
    owner.work.go_back()
    owner.settle()
    for lost in ("mask", "record"):
        entry = PictureQueue.open(owner.folder).entries()[0]
        getattr(entry, lost).unlink()
        owner.work.go_on()
        owner.settle()
        assert owner.states()[0] == "done"  # as it was, with nothing changed
        owner.work.go_back()
        owner.settle()
    assert owner.labels() == {1}


def test_opened_work_is_the_ground_of_undo(owner: Owner) -> None:
    """One undo emptied it, and the next picture saved that."""
    owner.paint(3)
    owner.work.go_on()
    owner.settle()
    owner.work.go_back()
    owner.settle()
    owner.session.annotations.undo(owner.plane.key)
    owner.settle()
    assert owner.labels() == {0, 3}
    owner.paint(4, row=8)
    owner.session.annotations.undo(owner.plane.key)
    owner.session.annotations.undo(owner.plane.key)
    owner.settle()
    assert owner.labels() == {0, 3}


@pytest.mark.parametrize(("complete", "state"), [(True, "done"), (False, "begun")])
def test_a_picture_that_is_taken_away_while_it_is_finished_is_saved_as_done(
    owner: Owner, complete: bool, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said of it was lost: it was saved as begun."""
    gate, read = threading.Event(), folder_work.read_entry
    monkeypatch.setattr(folder_work, "read_entry", lambda entry: gate.wait(20) and read(entry))
    if not complete:
        owner.paint(2)
    owner.work.finish(authentic=complete)
    opened = owner.work.opened
    owner.work.leave(opened, owner.told.append)
    owner.session.forget(opened)
    owner.work.forget(opened)
    gate.set()
    owner.settle()
    assert owner.states()[0] == state
    assert owner.shown[-1] == "1.png"


def test_two_docks_of_one_program_do_not_overwrite_each_other(owner: Owner) -> None:
    """What any dock of the program had written was taken for one's own."""
    other = Owner(owner.folder)
    other.work.open_queue(owner.folder)
    other.settle()
    for one, number in ((owner, 2), (other, 3)):
        one.paint(number)
        one.settle()
        one.work.go_on()
        one.settle()
    assert owner.shown[-1] == "1.png"
    assert other.shown[-1] == "0.png"
    assert "0.png stays open, because it could not be saved." in other.told[-1]
    assert "saved by somebody else" in other.told[-1]
    owner.work.go_back()
    owner.settle()
    assert owner.labels() == {0, 2}
    owner.paint(4, row=8)  # and one's own is no one else's
    owner.work.go_on()
    owner.settle()
    assert owner.shown[-1] == "1.png"
    other.session.close()
    assert other.session.join(10)
