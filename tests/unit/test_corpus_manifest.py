"""A corpus answered in tasks: every picture stands in the manifest once, whatever came between."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from corpus_stand_in import CHECKPOINT, StandIn
from filelock import FileLock
from PIL import Image

from napari_safire.corpus.cluster.stop_file import StopFile, new_run
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.job import JOB
from napari_safire.corpus.manifest import KnownKeys, Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.running import Corpus, Tally, opened, run_here
from napari_safire.corpus.task import InTheWay
from napari_safire.corpus.tasks import make_tasks
from napari_safire.corpus.under_way import UnderWay
from napari_safire.corpus.work import CorpusSettings, CorpusWork
from napari_safire.errors import Cancelled, DatasetError, SafireError

N = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(N):
        pixels = np.full((8, 8, 3), number * 12, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (folder / "copy.png").write_bytes((folder / "19.png").read_bytes())
    return folder


def run(
    photos: Path,
    *,
    answers: StandIn | None = None,
    told: Callable[[ManifestRow], None] = lambda row: None,
    cancel: Callable[[], bool] = lambda: False,
    **values: object,
) -> Tally:
    settings = values.pop("settings", CorpusSettings(write="none"))
    corpus = Corpus([photos], photos.parent / "out", settings, **{"task_size": 8, **values})
    basis = settings.basis(CHECKPOINT, "float32")
    with opened(corpus, basis, "stand-in") as (manifest, tasks, tally):
        work = CorpusWork(manifest, settings, basis, (answers or StandIn())())
        run_here(work, tasks, tally, told, cancel)
    return tally


def rows(photos: Path) -> dict[str, ManifestRow]:
    found = list(Manifest(photos.parent / "out").rows())
    by_name = {Path(row.picture).name: row for row in found}
    assert len(by_name) == len(found)  # each picture once
    return by_name


def test_every_picture_has_one_row(photos: Path) -> None:
    tally = run(photos)
    assert (tally.done, tally.failed, tally.copies, tally.there) == (N + 2, 1, 1, 0)
    found = rows(photos)
    assert len(found) == N + 2
    assert found["19.png"].verdict == "forged"
    assert found["00.png"].verdict == "no forgery found"
    assert found["00.png"].score == 0
    assert found["bad.png"].error_class == "ImageReadError"
    assert found["bad.png"].error.startswith("../photos/bad.png")
    assert "../photos/19.png" in (found["copy.png"].same_as, found["19.png"].picture)
    assert found["copy.png"].score == found["19.png"].score


def test_a_picture_that_several_inputs_name_is_one(photos: Path) -> None:
    known = KnownKeys(Manifest(photos.parent / "out"))
    inputs = [photos, photos / "00.png", photos]
    tasks = make_tasks(enumerate_pictures(inputs, photos.parent / "out"), known)
    names = [picture.name for task in tasks for picture in task.pictures]
    assert len(names) == len(set(names)) == N + 2


def test_a_finished_corpus_is_not_done_again(photos: Path) -> None:
    run(photos)
    asked: list[str] = []
    again = run(photos, told=lambda row: asked.append(row.picture))
    assert (again.done, again.there, asked) == (0, N + 2, [])


def test_a_corpus_that_was_stopped_goes_on_and_loses_nothing(photos: Path) -> None:
    seen: list[ManifestRow] = []
    with pytest.raises(Cancelled):
        run(
            photos,
            answers=StandIn(0.01),
            told=seen.append,
            cancel=lambda: len(seen) >= 11,
            task_size=16,
        )
    kept = rows(photos)
    assert len(kept) >= 11
    tally = run(photos)
    assert tally.there == len(kept)
    assert tally.done == N + 2 - len(kept)
    assert len(rows(photos)) == N + 2


def test_new_and_changed_pictures_alone_are_done(photos: Path) -> None:
    run(photos)
    Image.new("RGB", (8, 8), (250, 0, 0)).save(photos / "new.png")
    Image.new("RGB", (8, 8), (249, 9, 0)).save(photos / "00.png")
    assert run(photos).done == 2
    found = list(Manifest(photos.parent / "out").rows())
    assert len(found) == N + 4  # what 00.png was before stays told


def test_errors_are_tried_again_on_request(photos: Path) -> None:
    run(photos)
    assert run(photos).done == 0
    good = (photos / "00.png").read_bytes()
    bad = photos / "bad.png"
    stamp = bad.stat()
    bad.write_bytes(good[: stamp.st_size])  # as long as before, and at the same time

    os.utime(bad, ns=(stamp.st_mtime_ns, stamp.st_mtime_ns))
    assert run(photos, retry_errors=True).done == 1
    assert rows(photos)["bad.png"].attempt == 1
    assert run(photos, retry_errors=True).done == 1
    assert rows(photos)["bad.png"].attempt == 2
    assert len(rows(photos)) == N + 2


def test_another_job_in_the_folder_is_refused(photos: Path) -> None:
    run(photos)
    with pytest.raises(InTheWay, match="write"):
        run(photos, settings=CorpusSettings(write="all"))
    (photos.parent / "out" / JOB).write_text("{")
    with pytest.raises(DatasetError, match="does not say what was asked"):
        run(photos)
    (photos.parent / "out" / JOB).write_text(json.dumps({"format": "of another program"}))
    with pytest.raises(InTheWay, match="another program"):
        run(photos)


def test_a_damaged_part_is_named_and_may_be_removed(photos: Path) -> None:
    run(photos)
    manifest = Manifest(photos.parent / "out")
    part = manifest.parts()[0]
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DatasetError, match=part.name):
        run(photos)
    part.unlink()
    assert run(photos).done > 0
    assert len(rows(photos)) == N + 2


def test_what_a_killed_writer_left_is_no_part(photos: Path) -> None:
    run(photos)
    left = photos.parent / "out" / "parts" / ".napari-safire-0123456789ab"
    left.mkdir()
    (left / "abc.parquet").write_bytes(b"half")
    with FileLock(left / ".lock"):
        assert len(rows(photos)) == N + 2
        run(photos)
        assert left.exists()  # its writer is at work, in another program
    run(photos)
    assert not left.exists()


def test_the_row_with_the_highest_attempt_counts(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    row = ManifestRow(b"k" * 16, "a.png", b"a.png", error_class="OSError", error="gone")
    later = replace(row, attempt=2, error_class="", error="", score=0.5)
    manifest.write_part("b", [later])
    manifest.write_part("a", [replace(row, attempt=1), row])
    manifest.write_part("c", [row, replace(row, key=b"l" * 16, picture="b.png")])
    assert {r.picture: r.attempt for r in manifest.rows()} == {"a.png": 2, "b.png": 0}
    assert manifest.table(["picture", "score"]).num_rows == 2
    assert Manifest(tmp_path / "none").table(["picture"]).num_rows == 0
    known = KnownKeys(manifest, retry_errors=True)
    assert b"k" * 16 in known
    assert known.attempts == {b"l" * 16: 1}


def test_a_full_disk_stops_with_a_sentence_and_keeps_what_is_there(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(SafireError, match="make room"):
            run(photos)
    run(photos)
    assert len(rows(photos)) == N + 2


def test_files_of_pictures_called_forged_are_named_by_content(photos: Path) -> None:
    run(photos, settings=CorpusSettings(write="forged", files=("heatmap",)))
    out = photos.parent / "out"
    found = rows(photos)
    assert found["00.png"].outputs == ()
    (heatmap,) = found["19.png"].outputs
    assert (out / heatmap).is_file()
    assert found["copy.png"].outputs == (heatmap,)


def test_a_picture_that_kills_the_program_is_passed_in_the_end(tmp_path: Path) -> None:
    for deaths in range(4):
        way = UnderWay(tmp_path)
        assert way.died == (deaths > 0)
        assert way.kills(b"k" * 16) == (deaths == 3)
        way.begin(b"k" * 16)  # and dies
    way = UnderWay(tmp_path)
    way.begin(b"l" * 16)
    assert not UnderWay(tmp_path).kills(b"l" * 16)
    way.end()
    assert not UnderWay(tmp_path).died


@pytest.mark.parametrize("values", [{"write": "some"}, {"files": ("masks",)}])
def test_settings_that_do_not_exist_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"give|choose"):
        CorpusSettings(**values)


def test_workers_are_asked_to_stop_by_a_file_or_not_at_all(tmp_path: Path) -> None:
    """A folder that takes no file must not hide why the run stops."""
    run, asked = new_run(), StopFile(tmp_path, "a")
    stop = StopFile(tmp_path / "parts", run)
    stop.ask()
    assert StopFile(tmp_path / "parts", run)()
    assert not asked()
    stop.remove()
    stop.remove()
    assert not list((tmp_path / "parts").iterdir())
    (tmp_path / "file").touch()
    nowhere = StopFile(tmp_path / "file", run)
    nowhere.ask()
    nowhere.remove()
    assert not nowhere()
