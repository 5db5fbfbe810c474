"""Lists to learn from: written of a series, or looked at before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_safire.corpus.learning_list import (
    kind_of_masks,
    look_at_list,
    write_done_list,
)
from napari_safire.corpus.queue import PictureQueue
from napari_safire.errors import DatasetError, SafireError
from napari_safire.gui.io.writer import write_labels
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.images.records.head import FROM_ONE
from napari_safire.session.fine_tuning import folder_state, fresh_folder


def picture(path: Path, *values: int) -> Path:
    """A small grey picture with a row of each value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(np.array(values or (9,), np.uint8)[:, None], 4, 1)).save(path)
    return path


def made(series: PictureQueue, *names: str, labels: tuple[int, ...] = (1, 2), **about: Any) -> None:
    """Save pictures as the plugin does."""
    for entry in series.entries():
        if entry.picture.name in names:
            entry.record.parent.mkdir(parents=True, exist_ok=True)
            known = {"numbering": FROM_ONE, "state": "done", **about}
            write_labels(
                str(entry.record),
                np.repeat(np.array(labels)[:, None], 4, 1),
                {"metadata": {"napari_safire": known}},
            )


def test_a_list_names_what_is_done_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a.png", "b, with a comma.png", "c.png"):
        picture(tmp_path / "photos" / name)
    series = PictureQueue.open(tmp_path / "photos")
    with pytest.raises(DatasetError, match="No picture of the queue is done"):
        write_done_list(series, tmp_path / "run" / "list.txt")
    assert not (tmp_path / "run").exists()
    made(series, "a.png", state="begun")
    made(series, "b, with a comma.png")
    listed = write_done_list(series, tmp_path / "run" / "list.txt")
    assert (listed.kind, listed.pictures, listed.root) == ("sources", 1, tmp_path)
    (entry,) = read_list(listed.path, listed.root)
    assert entry.image == tmp_path / "photos" / "b, with a comma.png"
    assert entry.mask == tmp_path / "photos_masks" / "b, with a comma.png_sources.png"
    assert listed.left_out == ("a.png: it is not marked as done.",)


@pytest.mark.parametrize(
    ("labels", "about", "why"),
    [
        ((0, 2), {}, "4 of its pixels have no source yet"),
        ((1, 1), {}, "nobody said that it is authentic"),
        ((1, 1), {"authentic": True}, ""),
        ((1, 7), {}, "more sources than a mask holds"),
    ],
)
def test_only_complete_records_are_learned_from(
    tmp_path: Path, labels: tuple[int, ...], about: dict[str, Any], why: str
) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "photos" / name)
    series = PictureQueue.open(tmp_path / "photos")
    made(series, "a.png", labels=labels, **about)
    made(series, "b.png")
    listed = write_done_list(series, tmp_path / "run" / "list.txt")
    assert listed.pictures == (1 if why else 2)
    assert [why in text for text in listed.left_out] == ([True] if why else [])


def test_masks_without_a_record_or_of_another_one_are_not_learned_from(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        picture(tmp_path / "photos" / name)
    series = PictureQueue.open(tmp_path / "photos")
    made(series, "b.png", "c.png", "d.png")
    alone, other, gone, _ = series.entries()
    picture(alone.mask, 0, 50)  # as after a kill, or of another program
    picture(other.mask, 50, 0)
    gone.mask.unlink()
    listed = write_done_list(series, tmp_path / "run" / "list.txt")
    assert listed.pictures == 1
    assert [text.partition(":")[0] for text in listed.left_out] == ["a.png", "b.png", "c.png"]
    assert "has no record" in listed.left_out[0]
    assert "not the mask that it was saved with" in listed.left_out[1]
    assert "is missing" in listed.left_out[2]


def test_groups_of_the_list_that_was_opened_are_kept_and_folders_are_none(tmp_path: Path) -> None:
    pictures = [picture(tmp_path / "set" / part / "1.png") for part in ("forged", "original")]
    entries = [ListEntry(pictures[0], None, ("camera 1",)), ListEntry(pictures[1])]
    series = PictureQueue.open(write_list(tmp_path / "set" / "list.txt", entries))
    made(series, "1.png")
    listed = write_done_list(series, tmp_path / "run" / "list.txt")
    assert [entry.extra for entry in read_list(listed.path, listed.root)] == [("camera 1",), ()]


def test_masks_in_another_folder_are_reached_over_the_common_one(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "photos" / "a.png")
    series = PictureQueue.open(tmp_path / "in" / "photos", tmp_path / "out" / "deep")
    made(series, "a.png")
    listed = write_done_list(series, tmp_path / "run" / "list.txt")
    assert listed.root == tmp_path
    assert read_list(listed.path, listed.root)[0].mask == series.output / "a.png_sources.png"


def test_a_list_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    in_the_way = picture(tmp_path / "photos" / "a.png")
    series = PictureQueue.open(tmp_path / "photos")
    made(series, "a.png")
    with pytest.raises(SafireError, match="choose another folder"):
        write_done_list(series, in_the_way / "list.txt")


@pytest.mark.parametrize(
    ("masks", "kind"),
    [
        ([(0, 0), (0, 50, 100)], "sources"),
        ([(0, 255)], "binary"),
        ([(0, 0), (0, 17)], None),
        ([(0, 0)], None),
        ([None], None),
    ],
)
def test_values_of_masks_tell_their_kind(
    tmp_path: Path, masks: list[tuple[int, ...] | None], kind: str | None
) -> None:
    entries = [
        ListEntry(
            picture(tmp_path / f"p{i}.png", 1, 2),
            None if values is None else picture(tmp_path / "truth" / f"{i}.png", *values),
        )
        for i, values in enumerate(masks)
    ]
    assert kind_of_masks(entries) == kind
    listed = look_at_list(write_list(tmp_path / "list.txt", entries))
    assert (listed.kind, listed.pictures, listed.root) == (kind, len(entries), tmp_path)


def test_folders_of_known_sets_tell_the_kind_without_a_look(tmp_path: Path) -> None:
    known = {"ms3_masks": "sources", "splicing_1_masks": "binary"}
    for folder, kind in known.items():
        assert kind_of_masks([ListEntry(tmp_path / "a.png", tmp_path / folder / "a.png")]) == kind


def test_a_list_in_a_folder_of_its_own_is_relative_to_the_one_above(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "a.png")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.txt").write_text("photos/a.png,None\nphotos/gone.png,None\n")
    listed = look_at_list(tmp_path / "lists" / "all.txt")
    assert (listed.root, listed.pictures) == (tmp_path, 2)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"one field\n", "line 1"),
        (b"# nothing\n", "has no entries"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=sentence):
        look_at_list(tmp_path / "list.txt")


def test_a_folder_is_free_stopped_or_finished(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert folder_state(run) == "free"
    assert fresh_folder(run) == run
    run.mkdir()
    assert folder_state(run) == "free"
    assert fresh_folder(run) == tmp_path / "run_2"
    (tmp_path / "run_2").touch()
    assert fresh_folder(run) == tmp_path / "run_3"
    (run / "fine-tuning.json").touch()
    assert folder_state(run) == "stopped"
    (run / "result.json").touch()
    assert folder_state(run) == "finished"
