"""Going through a queue without any viewer: what is slow keeps nobody waiting."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from queue_owner import SHAPE, Owner, make_pictures

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
    os.utime(owner.folder / "1.png", ns=(0, 0))  # what was read ahead of it does not count
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
    os.utime(owner.folder / "1.png", ns=(0, 0))  # what was read ahead of it does not count
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


# ------------------------------------------------------------------- ahead


def test_the_next_two_pictures_are_read_and_embedded_while_one_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_pictures(tmp_path / "photos", 5)
    read: list[str] = []
    true_read = folder_work.read_entry

    def noted(entry: Any) -> Any:
        read.append(entry.picture.name)
        return true_read(entry)

    monkeypatch.setattr(folder_work, "read_entry", noted)
    owner = Owner(folder)
    owner.embeds_at_once = True
    owner.session.choose_model("fake")
    owner.work.open_queue(folder)
    owner.settle()
    assert read == ["0.png", "1.png", "2.png"]
    assert owner.engine.calls == ["embed"] * 3
    owner.work.go_on()
    owner.settle()
    assert owner.shown == ["0.png", "1.png"]
    assert read == ["0.png", "1.png", "2.png", "3.png"]  # 1.png was there
    assert owner.plane.embedding is not None
    assert owner.engine.calls == ["embed"] * 4
    owner.work.go_to("4.png")  # nobody knew
    owner.settle()
    assert owner.plane.embedding is not None
    assert read[4:] == ["4.png"]
    owner.close()


def test_a_picture_that_was_read_ahead_is_read_again_where_it_has_changed(
    owner: Owner, tmp_path: Path
) -> None:
    other = Owner(owner.folder)
    other.work.open_queue(owner.folder)
    other.settle()
    other.work.go_to("1.png")
    other.settle()
    other.paint(7)
    other.work.go_on()
    other.settle()
    owner.work.go_on()
    owner.settle()
    assert owner.labels() == {0, 7}
    bright = np.full((*SHAPE, 3), 250, np.uint8)
    Image.fromarray(bright).save(owner.folder / "2.png")
    owner.work.go_on()
    owner.settle()
    assert owner.work.work is not None
    np.testing.assert_array_equal(owner.work.work.image.pixels, bright)
    other.close()


def test_another_model_embeds_anew_what_was_embedded_ahead(owner: Owner) -> None:
    owner.embeds_at_once = True
    owner.session.choose_model("fake")
    owner.settle()
    assert owner.engine.calls == ["embed"] * 2
    owner.work.go_on()
    owner.settle()
    assert owner.engine.calls == ["embed"] * 2
    owner.engine = type(owner.engine)()
    owner.session.choose_model("another")
    owner.work.go_on()
    owner.settle()
    assert owner.engine.calls == ["embed"]
    assert owner.plane.embedding is not None


def test_no_step_looks_at_other_pictures(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    true_entry = PictureQueue.entry

    def noted(queue: PictureQueue, picture: Path) -> Any:
        looked_at.append(picture.name)
        return true_entry(queue, picture)

    monkeypatch.setattr(PictureQueue, "entry", noted)
    monkeypatch.setattr(PictureQueue, "entries", None)
    owner.paint(2)
    owner.work.go_on()
    owner.settle()
    assert set(looked_at) == {"0.png", "1.png"}
    assert owner.work.listing.counts["begun"] == 1
