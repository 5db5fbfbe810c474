"""Series of pictures: what is found, in which order, and how far each of them is."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from systems import posix

from napari_safire.annotation.annotation import Annotation, SourcePrompt
from napari_safire.annotation.codec import decode_annotation
from napari_safire.annotation.packed_labels import PackedLabels
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.annotation.saving import save_labels
from napari_safire.atomic import staging_folder
from napari_safire.corpus.queue import PictureQueue, QueueEntry
from napari_safire.corpus.queue_files import read_entry, refuse_foreign_record
from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.gui.io.reader import read_record_file
from napari_safire.gui.io.writer import write_labels
from napari_safire.images.lists import ListEntry, write_list
from napari_safire.images.masks import encode_sources
from napari_safire.images.records import replacing as record_files
from napari_safire.images.records.head import FROM_ONE
from napari_safire.images.records.replacing import RecordChanged
from napari_safire.types import PointPrompt

SHAPE = (12, 16)


def make_picture(path: Path, value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*SHAPE, 3), value, np.uint8)).save(path)
    return path


def make_mask(path: Path, labels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(encode_sources(labels)).save(path)
    return path


def halves(first: int = 0, second: int = 1) -> np.ndarray:
    labels = np.full(SHAPE, first, np.uint8)
    labels[:, SHAPE[1] // 2 :] = second
    return labels


def save(entry: QueueEntry, labels: np.ndarray, **about: Any) -> None:
    """As the plugin does."""
    entry.record.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"numbering": FROM_ONE, "image_path": str(entry.picture), **about}
    write_labels(str(entry.record), labels, {"metadata": {"napari_safire": metadata}})


def names(series: PictureQueue) -> list[str]:
    return [picture.name for picture in series.pictures]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("p10.png", "p2.png", "P1.jpg"):
        make_picture(tmp_path / "photos" / name)
    return tmp_path / "photos"


# ---------------------------------------------------------------------- which pictures


def test_pictures_of_a_folder_come_in_natural_order(folder: Path) -> None:
    assert names(PictureQueue.open(folder)) == ["P1.jpg", "p2.png", "p10.png"]


@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=8))
def test_numbered_pictures_come_in_the_order_of_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("numbered")
    for number in numbers:
        (folder / f"shot-{number}.png").touch()
    assert names(PictureQueue.open(folder)) == [f"shot-{number}.png" for number in sorted(numbers)]


def test_masks_hidden_files_and_subfolders_are_no_pictures(folder: Path) -> None:
    for name in ("p2_mask.png", "p2.png_sources.png", "gas_mask.png", ".hidden.png"):
        make_picture(folder / name)
    make_picture(folder / "below" / "q.png")
    (folder / "notes.txt").write_text("notes")
    # Nothing is called gas.*: a picture of a mask.
    assert names(PictureQueue.open(folder)) == ["gas_mask.png", "P1.jpg", "p2.png", "p10.png"]


def test_a_folder_below_one_that_speaks_of_masks_is_an_ordinary_one(tmp_path: Path) -> None:
    make_picture(tmp_path / "masked faces" / "photos" / "a.png")
    assert names(PictureQueue.open(tmp_path / "masked faces" / "photos")) == ["a.png"]


def test_unreadable_pictures_stay_and_are_told_when_opened(folder: Path) -> None:
    (folder / "p3.png").write_bytes(b"no picture")
    entries = PictureQueue.open(folder).entries()
    assert [entry.picture.name for entry in entries] == ["P1.jpg", "p2.png", "p3.png", "p10.png"]
    with pytest.raises(ImageReadError, match="p3"):
        read_entry(entries[2])


def test_a_list_keeps_its_order_and_names_each_picture_once(tmp_path: Path) -> None:
    for name in ("x/a.png", "y/a.png"):
        make_picture(tmp_path / name)
    make_mask(tmp_path / "truth.png", halves())
    path = tmp_path / "work.txt"
    path.write_text("y/a.png,truth.png\nx/a.png,None\ny/a.png,None\n", encoding="utf-8")
    series = PictureQueue.open(path)
    assert series.pictures == (tmp_path / "y" / "a.png", tmp_path / "x" / "a.png")
    assert series.output == tmp_path / "work_masks"
    entries = series.entries()
    assert [entry.given for entry in entries] == [tmp_path / "truth.png", None]
    assert len({entry.mask for entry in entries}) == 2


def test_what_cannot_be_a_series_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "prose.txt").write_text("Dear all,\nno list.\n")
    (tmp_path / "broken.txt").write_text("a.png,None\n")
    (tmp_path / "nothing.txt").touch()
    (tmp_path / "latin.txt").write_bytes(b"\xe4.png,None\n")
    for name, told in (
        ("empty", "no pictures"),
        ("prose.txt", "neither a folder nor a list"),
        ("latin.txt", "byte 0 is not UTF-8"),
        ("nothing.txt", "no entries"),
        ("gone", "does not exist"),
        ("broken.txt", "do not exist"),
    ):
        with pytest.raises(DatasetError, match=told):
            PictureQueue.open(tmp_path / name)


def test_a_folder_of_masks_points_to_its_pictures(tmp_path: Path) -> None:
    make_picture(tmp_path / "ms2_images" / "a.png")
    make_mask(tmp_path / "ms2_masks" / "a.png", halves())
    with pytest.raises(DatasetError, match="ms2_images"):
        PictureQueue.open(tmp_path / "ms2_masks")
    (entry,) = PictureQueue.open(tmp_path / "ms2_images").entries()
    assert entry.given == tmp_path / "ms2_masks" / "a.png"
    assert entry.state == "untouched"


# -------------------------------------------------------------------- how far they are


def test_the_state_is_read_from_what_lies_there(folder: Path) -> None:
    series = PictureQueue.open(folder)
    assert series.output == folder.parent / "photos_masks"
    first, second, third = series.entries()
    assert [entry.state for entry in (first, second, third)] == ["untouched"] * 3
    save(first, halves(1, 2), state="begun")
    save(second, halves(1, 2), state="done")
    make_mask(third.mask, halves())
    # A mask alone: killed before there was a record, or made by another program.
    assert [entry.state for entry in series.entries()] == ["begun", "done", "begun"]
    save(first, halves(1, 2), state="done")
    second.mask.unlink()  # the record holds all of it
    third.record.write_text("{}")
    assert [entry.state for entry in series.entries()] == ["done", "done", "begun"]


@pytest.mark.parametrize(
    ("labels", "about", "state"),
    [
        (halves(1, 2), {}, "done"),
        (halves(0, 2), {}, "begun"),  # pixels without a source
        (halves(1, 1), {}, "begun"),  # one source, and nobody said that this is so
        (halves(1, 1), {"authentic": True}, "done"),
        (halves(0, 0), {"authentic": True}, "begun"),
        (halves(1, 9), {}, "done"),
    ],
)
def test_done_needs_a_record_that_is_complete(
    folder: Path, labels: np.ndarray, about: dict[str, Any], state: str
) -> None:
    series = PictureQueue.open(folder)
    save(series.entries()[0], labels, state="done", **about)
    assert series.entries()[0].state == state


def test_labels_saved_without_a_state_count_as_begun(folder: Path) -> None:
    series = PictureQueue.open(folder)
    save(series.entries()[0], halves(1, 2))
    assert series.entries()[0].state == "begun"


def test_records_that_did_not_change_are_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_safire.corpus import queue as module

    series = PictureQueue.open(folder)
    for entry in series.entries():
        save(entry, halves(1, 2), state="done")
    read: list[Path] = []
    true_read = module.read_record
    monkeypatch.setattr(module, "read_record", lambda path: read.append(path) or true_read(path))
    entries = series.entries()
    assert len(read) == 3
    assert series.entries() == entries
    assert len(read) == 3
    save(entries[1], halves(1, 2), state="begun")
    assert series.entries()[1].state == "begun"
    assert read[3:] == [entries[1].record]


def test_names_that_differ_by_suffix_or_folder_do_not_share_a_mask(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png", "sub/a.png"):
        make_picture(tmp_path / name)
    write_list(
        tmp_path / "l.txt",
        [ListEntry(tmp_path / name) for name in ("a.jpg", "a.png", "sub/a.png")],
    )
    series = PictureQueue.open(tmp_path / "l.txt")
    save(series.entries()[1], halves(1, 2), state="done")
    entries = series.entries()
    assert [entry.state for entry in entries] == ["untouched", "done", "untouched"]
    assert len({entry.mask for entry in entries} | {entry.record for entry in entries}) == 6


def test_another_output_folder_has_states_of_its_own(folder: Path, tmp_path: Path) -> None:
    save(PictureQueue.open(folder).entries()[0], halves(1, 2), state="done")
    other = PictureQueue.open(folder, tmp_path / "elsewhere")
    assert [entry.state for entry in other.entries()] == ["untouched"] * 3
    assert other.entries()[0].mask == tmp_path / "elsewhere" / "P1.jpg_sources.png"


def test_an_output_that_is_a_file_is_an_empty_one(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    entries = PictureQueue.open(folder, tmp_path / "file").entries()
    assert {entry.state for entry in entries} == {"untouched"}


# ----------------------------------------------------------------------------- reading


def test_what_was_saved_comes_back_with_its_prompts(folder: Path) -> None:
    series = PictureQueue.open(folder)
    prompts = [
        {"row": 3.5, "col": 2.0, "source": 1, "exclude": False, "live": False},
        {"row": 4.0, "col": 9.25, "source": 2, "exclude": True, "live": True},
    ]
    made = tuple(
        SourcePrompt(PointPrompt(p["row"], p["col"]), p["source"], p["exclude"], p["live"])
        for p in prompts
    )
    for labels in (halves(1, 2), halves(0, 2), halves(3, 3)):  # whole, with a rest, one only
        annotation = replace(
            Annotation.empty(SHAPE), settled=PackedLabels.pack(labels), prompts=made
        )
        save(series.entries()[0], labels, state="begun", annotated={(): AnnotatedPlane(annotation)})
        found = read_entry(series.entries()[0])
        assert found.labels is not None
        assert found.results is not None
        np.testing.assert_array_equal(found.labels, labels)
        places = [(p.row, p.col, p.source, p.role) for p in found.results.prompts]
        assert places == [(3.5, 2.0, 1, "point"), (4.0, 9.25, 2, "exclude")]
        (kept,) = found.results.annotations
        assert decode_annotation(kept, SHAPE).annotation == annotation
        assert found.warnings == ()


def test_an_untouched_picture_begins_with_the_mask_that_came_with_it(tmp_path: Path) -> None:
    make_picture(tmp_path / "a.png")
    make_mask(tmp_path / "truth.png", halves(0, 4))
    (tmp_path / "l.txt").write_text("a.png,truth.png\n")
    found = read_entry(PictureQueue.open(tmp_path / "l.txt").entries()[0])
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, halves(1, 5))


def test_a_mask_without_a_record_is_read(folder: Path) -> None:
    series = PictureQueue.open(folder)
    make_mask(series.entries()[0].mask, halves(0, 1))
    found = read_entry(series.entries()[0])
    assert found.labels is not None
    np.testing.assert_array_equal(found.labels, halves(1, 2))
    assert found.results is None
    assert "has no record" in found.warnings[0]


def test_a_picture_that_was_replaced_is_told(folder: Path) -> None:
    series = PictureQueue.open(folder)
    save(series.entries()[0], halves(1, 2), image_file_sha256="0" * 64)
    (warning,) = read_entry(series.entries()[0]).warnings
    assert "another file" in warning


def test_a_series_that_was_moved_is_opened_where_it_is(folder: Path, tmp_path: Path) -> None:
    series = PictureQueue.open(folder)
    save(series.entries()[1], halves(1, 2), state="done")
    (tmp_path / "archive").mkdir()
    for path in (folder, series.output):
        path.rename(tmp_path / "archive" / path.name)
    moved = PictureQueue.open(tmp_path / "archive" / "photos").entries()[1]
    found = read_entry(moved)
    assert moved.state == "done"
    assert found.image.path == moved.picture
    assert found.warnings == ()


@pytest.mark.parametrize("damage", ["cut mask", "other size", "grey mask", "another's", "gone"])
def test_a_mask_that_is_not_the_records_is_told_and_not_believed(folder: Path, damage: str) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    save(entry, halves(1, 2), state="begun")
    if damage == "cut mask":
        os.truncate(entry.mask, 40)
    elif damage == "other size":
        make_mask(entry.mask, np.zeros((3, 3), np.uint8))
    elif damage == "grey mask":
        Image.fromarray(np.full(SHAPE, 77, np.uint8)).save(entry.mask)
    elif damage == "another's":
        make_mask(entry.mask, halves(1, 0))
    else:
        entry.mask.unlink()
    found = read_entry(PictureQueue.open(folder).entries()[0])
    assert found.labels is None
    assert found.results is not None
    assert "itself holds is opened" in found.warnings[0]
    (kept,) = found.results.annotations
    np.testing.assert_array_equal(
        decode_annotation(kept, SHAPE).annotation.settled.unpack(), halves(1, 2)
    )


@pytest.mark.parametrize("damage", ["cut record", "foreign record", "no keys"])
def test_damaged_work_is_told_and_not_taken_for_missing(folder: Path, damage: str) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    save(entry, halves(1, 2), state="begun")
    whole = entry.record.read_bytes()
    if damage == "cut record":
        entry.record.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign record":
        entry.record.write_text('{"format": "something else"}')
    else:
        entry.record.write_text(json.dumps({"format": json.loads(whole)["format"]}))
    again = PictureQueue.open(folder).entries()[0]
    assert again.state == "begun"
    with pytest.raises((DatasetError, ImageReadError)):
        read_entry(again)


def test_foreign_files_are_not_to_be_replaced(folder: Path) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    refuse_foreign_record(entry)
    save(entry, halves(1, 2))
    refuse_foreign_record(entry)
    entry.record.write_text('{"shopping": ["milk"]}')
    with pytest.raises(DatasetError, match="move it away"):
        refuse_foreign_record(entry)


@pytest.mark.parametrize("field", ["image", "files", "sources", "unassigned", "layer", "format"])
@pytest.mark.parametrize(
    "value",
    [None, -1, 2, True, 1e400, "x", [], {}, [[]], {"path": 3}, {"prompts": [{"row": None}]}],
)
def test_a_record_with_odd_values_is_a_sentence_or_opens(
    folder: Path, field: str, value: Any
) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    save(entry, halves(1, 2), state="done")
    record = json.loads(entry.record.read_text())
    entry.record.write_text(json.dumps(record | {field: value}))
    (again, *_) = PictureQueue.open(folder).entries()
    assert again.state in ("begun", "done")
    for read in (lambda: read_entry(again), lambda: read_record_file(entry.record)):
        with suppress(DatasetError, ImageReadError):  # and nothing else
            read()


@posix
def test_a_pipe_in_the_place_of_a_record_is_a_sentence(folder: Path) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    entry.record.parent.mkdir()
    os.mkfifo(entry.record)
    (again, *_) = PictureQueue.open(folder).entries()
    with pytest.raises(DatasetError, match="no record of labels"):
        read_entry(again)


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"n" * 251 + b".png", "e\u0301.png".encode()])
def test_whatever_a_picture_is_called_it_can_be_saved_and_is_found_again(
    tmp_path: Path, name: bytes
) -> None:
    try:
        make_picture(tmp_path / "photos" / "a.png").rename(tmp_path / "photos" / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system has no such names")
    (entry,) = PictureQueue.open(tmp_path / "photos").entries()
    save(entry, halves(1, 2), state="done")
    (again,) = PictureQueue.open(tmp_path / "photos").entries()
    assert again.state == "done"
    found = read_entry(again)
    assert found.image.path == entry.picture
    assert found.labels is not None
    assert found.results is not None
    assert found.results.image is not None  # the record finds it, too


# ---------------------------------------------------------------------- several that write


def test_a_record_that_changed_since_it_was_read_is_not_replaced(folder: Path) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    attributes = {"metadata": {"napari_safire": {"numbering": FROM_ONE}}}
    entry.record.parent.mkdir()
    first = save_labels(entry.record, halves(1, 2), attributes, None)
    second = save_labels(entry.record, halves(1, 3), attributes, first.record_sha256)
    before = {path: path.read_bytes() for path in entry.record.parent.iterdir()}
    for expected in (first.record_sha256, None):
        with pytest.raises(RecordChanged, match="saved by somebody else"):
            save_labels(entry.record, halves(2, 2), attributes, expected)
    assert {path: path.read_bytes() for path in entry.record.parent.iterdir()} == before
    save_labels(entry.record, halves(2, 2), attributes, second.record_sha256)


def test_two_writers_never_leave_the_mask_of_one_with_the_record_of_the_other(
    folder: Path,
) -> None:
    """`tests/robustness/two_writers.py` does so with two processes, and longer."""
    entry = PictureQueue.open(folder).entries()[0]
    entry.record.parent.mkdir()
    meet = threading.Barrier(2)

    def write(labels: np.ndarray) -> None:
        meet.wait(30)
        save(entry, labels)

    for _ in range(20):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(write, (halves(1, 2), halves(3, 4))))
        found = read_entry(PictureQueue.open(folder).entries()[0])
        assert found.labels is not None
    assert sorted(path.name for path in entry.record.parent.iterdir()) == [
        "P1.jpg.json",
        "P1.jpg_sources.png",
    ]


@pytest.mark.parametrize("n_renamed", [0, 1])
def test_a_kill_between_two_renames_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, n_renamed: int
) -> None:
    entry = PictureQueue.open(folder).entries()[0]
    save(entry, halves(1, 2), state="begun")

    class Killed(BaseException):
        pass

    renamed = []

    def replaced(one: Any, other: Any, true_replace: Any = os.replace) -> None:
        if Path(other).parent == entry.record.parent:
            if len(renamed) == n_renamed:
                raise Killed
            renamed.append(other)
        true_replace(one, other)

    monkeypatch.setattr(record_files.os, "replace", replaced)
    with pytest.raises(Killed):
        save(entry, halves(3, 4), state="begun")
    monkeypatch.undo()
    found = read_entry(PictureQueue.open(folder).entries()[0])
    expected = halves(3, 4) if n_renamed else halves(1, 2)
    assert found.results is not None
    (kept,) = found.results.annotations
    np.testing.assert_array_equal(
        decode_annotation(kept, SHAPE).annotation.settled.unpack(), expected
    )
    if found.labels is not None:
        np.testing.assert_array_equal(found.labels, expected)


def test_masks_that_were_left_out_are_told(tmp_path: Path) -> None:
    for name in ("a.png", "a_sources.png", "b.png"):
        make_picture(tmp_path / name)
    series = PictureQueue.open(tmp_path)
    assert names(series) == ["a.png", "b.png"]
    (note,) = series.notes
    assert note.endswith("1 file was taken for a mask and left out: a_sources.png.")
    (tmp_path / "a_sources.png").unlink()
    assert PictureQueue.open(tmp_path).notes == ()


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "in" / "a.png")
    left = tmp_path / "out" / ".napari-safire-0123456789ab"
    left.mkdir(parents=True)
    (left / "a_sources.png").write_bytes(b"half")
    with staging_folder(tmp_path / "out") as alive:
        PictureQueue.open(tmp_path / "in", tmp_path / "out").entries()
        assert alive.is_dir()
    assert list((tmp_path / "out").iterdir()) == []
