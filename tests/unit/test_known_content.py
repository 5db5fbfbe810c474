"""Copies of a picture are answered once: an index that nobody has to believe, and claims."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from corpus_stand_in import CHECKPOINT, StandIn
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_safire.corpus import content_index, known_content
from napari_safire.corpus.claims import Claims, PutOffPicture, Superseded, remove_claims
from napari_safire.corpus.cluster.pictures import ClusterJob, TaskAnswer, answer_task
from napari_safire.corpus.cluster.put_off import PutOff
from napari_safire.corpus.content_index import KEY, Entries, IndexFile, write_index
from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.inputs.picture import CorpusPicture
from napari_safire.corpus.known_content import (
    KnownContent,
    PartContent,
    PublishedContent,
    row_of_copy,
)
from napari_safire.corpus.manifest import Manifest
from napari_safire.corpus.manifest_schema import ManifestRow
from napari_safire.corpus.running import Corpus, opened
from napari_safire.corpus.tasks import CorpusTask, part_name
from napari_safire.corpus.work import CorpusSettings
from napari_safire.errors import NotWritten, SafireError

SETTINGS = CorpusSettings(write="none")
BASIS = SETTINGS.basis(CHECKPOINT, "float32")


def row(number: int, **values: object) -> ManifestRow:
    sha256 = hashlib.sha256(bytes([number])).hexdigest()
    name = f"{number}.png"
    one = ManifestRow(bytes([number]) * 16, name, name.encode(), file_sha256=sha256, score=number)
    return replace(one, **values)


def write(manifest: Manifest, *rows: ManifestRow) -> PartContent:
    name = part_name(rows)
    manifest.write_part(name, rows)
    return PartContent.of_rows(name, rows)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Nine pictures in three parts, published."""
    manifest = Manifest(tmp_path)
    for first in (0, 3, 6):
        write(manifest, *(row(first + n) for n in range(3)))
    KnownContent(manifest).publish()
    return manifest


def index_of(manifest: Manifest) -> Path:
    (path,) = (manifest.output / "known").glob("*.index")
    return path


def finds_all(known: PublishedContent) -> bool:
    return [known.find(row(n).file_sha256) for n in range(9)] == [row(n) for n in range(9)]


def random_keys(n: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(np.random.default_rng(seed).bytes(16 * n), KEY)


def entries(*sizes: int, seed: int = 0) -> Entries:
    contents = []
    for number, size in enumerate(sizes):
        name = hashlib.blake2b(bytes([seed, number]), digest_size=16).hexdigest()
        contents.append((name, random_keys(size, 100 * seed + number), np.arange(size)))
    return Entries.of_parts(contents)


@given(st.lists(st.lists(st.integers(0, 900), max_size=4), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_every_key_is_found_where_it_is_after_any_merges(sizes: list[list[int]]) -> None:
    sources = [entries(*each, seed=n) for n, each in enumerate(sizes)]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(content_index, "_CHUNK", 300):
        path = write_index(Path(folder), sources)
        again = IndexFile(write_index(Path(folder), [IndexFile(path)]), verify=True)
        assert again.path == path  # its name stands for the parts
        assert len(again) == sum(map(len, sources))
        assert again.parts() == b"".join(source.names for source in sources)
        for source in sources:
            for key, (part, number) in list(zip(*source.read(0, len(source)), strict=True))[::37]:
                name = source.names[16 * part : 16 * part + 16].hex()
                assert again.find(key.ljust(16, b"\0")) == [(name, number)]
        assert again.find(random_keys(1, seed=99).tobytes()) == []


def test_many_small_files_become_few(tmp_path: Path) -> None:
    known, manifest = KnownContent(Manifest(tmp_path)), Manifest(tmp_path)
    for number in range(30):
        known.take_in(write(manifest, row(number)))
        known.publish()
    names = list((tmp_path / "known").iterdir())
    assert len(names) <= 4
    assert all(known.find(row(n).file_sha256) == row(n) for n in range(30))
    with mock.patch.object(known_content, "read_part", side_effect=AssertionError):
        KnownContent(manifest)  # nothing is read that the index covers


def test_workers_neither_list_parts_nor_read_others_than_the_one_asked_for(
    manifest: Manifest,
) -> None:
    read: list[Path] = []

    def read_part(path: Path) -> object:
        read.append(path)
        return content(path)

    content = known_content.read_part
    with (
        mock.patch.object(Manifest, "parts", side_effect=AssertionError),
        mock.patch.object(known_content, "read_part", read_part),
    ):
        known = PublishedContent(manifest)
        assert known.find(row(20).file_sha256) is None
        assert not read
        assert known.find(row(4).file_sha256) == row(4)
    assert len(read) == 1


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def _other_version(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"SAFIRE\0K\1", b"SAFIRE\0K\2"))


def _folder(path: Path) -> None:
    path.unlink()
    (path / "x").mkdir(parents=True)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.with_suffix(".kept"))


def _many(path: Path) -> None:
    for number in range(300):
        path.with_name(f"{number}.index").write_bytes(b"")


def _gone(path: Path) -> None:
    path.unlink()


def _claims_many(path: Path) -> None:
    """More entries than there could be: nobody may make room for them."""
    path.write_bytes(struct.pack("<8sIIQ", b"SAFIRE\0K", 1, 1 << 31, 1 << 60))
    os.truncate(path, 1 << 33)


@pytest.mark.parametrize(
    "damage",
    [_cut, _flip, _other_version, _folder, _empty, _pipe, _link, _many, _gone, _claims_many],
)
def test_a_damaged_index_is_made_anew(manifest: Manifest, damage: Callable[[Path], None]) -> None:
    if damage is _pipe and os.name == "nt":
        pytest.skip("Windows has no pipes among files")
    damage(index_of(manifest))
    worker = PublishedContent(manifest)
    for number in range(9):  # a worker may not know of it, but says nothing wrong
        assert worker.find(row(number).file_sha256) in (None, row(number))
    known = KnownContent(manifest)
    assert finds_all(known)
    known.publish()
    assert IndexFile(index_of(manifest), verify=True).n_parts == 3
    assert finds_all(PublishedContent(manifest))


def test_an_index_that_points_elsewhere_is_not_believed(manifest: Manifest) -> None:
    names = [path.stem for path in manifest.parts()]
    keys = np.array([bytes.fromhex(row(n).file_sha256[:32]) for n in range(9)], KEY)
    wrong = np.array([2, 1, 0, 5, 7, 1 << 30, 0, 0, 0], np.int64).astype(np.int32)
    index_of(manifest).unlink()
    made = [(names[0], keys[:6], wrong[:6]), ("ab" * 16, keys[6:], wrong[6:])]
    write_index(manifest.output / "known", [Entries.of_parts(made)])
    known = PublishedContent(manifest)
    for number in range(9):
        assert known.find(row(number).file_sha256) in (None, row(number))
    manifest.write_part(names[0], [row(5), row(1, error_class="OSError"), row(3)])
    assert PublishedContent(manifest).find(row(1).file_sha256) is None  # an error is no answer


def test_an_index_with_keys_made_for_it_is_searched_all_the_same(tmp_path: Path) -> None:
    keys = np.sort(np.array([b"\7\7\7\7" + n.to_bytes(12, "big") for n in range(1, 20_000)], KEY))
    path = write_index(tmp_path, [Entries.of_parts([("ab" * 16, keys, np.arange(len(keys)))])])
    file = IndexFile(path)
    for number in (0, 1, 9_000, 19_998):
        assert file.find(keys[number].ljust(16, b"\0")) == [("ab" * 16, number)]
    assert file.find(b"\7\7\7\7" + bytes(12)) == []
    with mock.patch.object(content_index, "_LARGEST_CHUNK", 9_999):
        with pytest.raises(ValueError, match="no hashes"):
            write_index(tmp_path, [file])
        assert not list(tmp_path.glob(".*"))


def test_an_index_replaced_under_a_worker_is_looked_for_again(manifest: Manifest) -> None:
    worker = PublishedContent(manifest)
    known = KnownContent(manifest)
    known.take_in(write(manifest, row(9), row(10)))
    known.publish()  # merged: the former file is gone
    assert finds_all(worker)
    assert worker.find(row(10).file_sha256) is None
    worker.refresh()
    assert worker.find(row(10).file_sha256) == row(10)
    os.truncate(index_of(manifest), 40)  # while it is open
    assert worker.find(row(3).file_sha256) is None


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    (tmp_path / "known").write_text("no folder")
    known = KnownContent(manifest)
    known.take_in(write(manifest, row(1)))
    assert known.find(row(1).file_sha256) == row(1)
    with pytest.raises(NotWritten, match="known"):
        known.publish()
    with pytest.raises(NotWritten, match="known"):
        Claims(tmp_path, "run").begin()
    (tmp_path / "known").unlink()
    known.publish()
    assert KnownContent(manifest).find(row(1).file_sha256) == row(1)


def test_a_folder_that_leads_elsewhere_is_refused_and_not_touched(tmp_path: Path) -> None:
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "out"
    (elsewhere / "claims" / "mine").mkdir(parents=True)
    output.mkdir()
    (output / "known").symlink_to(elsewhere)
    remove_claims(output)
    with pytest.raises(SafireError, match="link to another place"):
        Claims(output, "run").begin()
    assert (elsewhere / "claims" / "mine").is_dir()
    (output / "known").unlink()
    (output / "known").mkdir()
    (output / "known" / "claims").symlink_to(elsewhere)
    remove_claims(output)
    Claims(output, "run").begin()
    assert (elsewhere / "claims" / "mine").is_dir()


def test_a_copy_names_the_picture_that_was_examined() -> None:
    first, other = row(1, seconds={"ask": 1.0}), row(2, attempt=3)
    copy = row_of_copy(first, other)
    assert (copy.picture, copy.same_as, copy.score) == ("2.png", "1.png", 1)
    assert (copy.key, copy.attempt, copy.seconds) == (other.key, 3, {})
    assert row_of_copy(copy, row(3)).same_as == "1.png"
    touched = replace(row(1), key=b"n" * 16)  # the same file at another time is no copy
    assert row_of_copy(first, touched) == replace(touched, score=1)


# --- claims ---------------------------------------------------------------------------------------


def test_content_is_claimed_by_one_picture_of_one_run(tmp_path: Path) -> None:
    claims = Claims(tmp_path, "one")
    claims.begin()
    assert claims.make("ab" * 16, b"k" * 16)
    assert claims.make("ab" * 16, b"k" * 16)  # its worker was lost
    assert not claims.make("ab" * 16, b"l" * 16)
    claims.remove(["ab" * 16, "cd" * 16])
    assert claims.make("ab" * 16, b"l" * 16)
    remove_claims(tmp_path)
    with pytest.raises(Superseded, match="Another run has begun"):
        claims.make("ab" * 16, b"l" * 16)
    later = Claims(tmp_path, "two")
    later.begin()
    with pytest.raises(Superseded):
        claims.check()
    assert later.make("ab" * 16, b"m" * 16)
    assert sorted(path.name for path in (tmp_path / "known").iterdir()) == ["claims"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        pixels = np.full((8, 8, 3), 20 + number % 4, np.uint8)  # 4 and 5 are copies of 0 and 1
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def task_of(photos: Path, *numbers: int, **values: bool) -> CorpusTask:
    pictures = list(enumerate_pictures([photos], photos.parent / "out"))
    return CorpusTask(tuple(pictures[n] for n in numbers), (0,) * len(numbers), **values)


def job_of(photos: Path, run: str) -> ClusterJob:
    return ClusterJob(os.fspath(photos.parent / "out"), SETTINGS, BASIS, StandIn(), run)


def test_pictures_whose_bytes_another_one_has_claimed_are_put_off_once(photos: Path) -> None:
    job = job_of(photos, "run")
    claims = Claims(Path(job.output), "run")
    claims.begin()
    sha256 = hashlib.sha256((photos / "1.png").read_bytes()).hexdigest()
    assert claims.make(sha256[:32], b"k" * 16)  # somebody else is at it
    task = task_of(photos, 0, 1, 2, 4)
    answer = answer_task(job, task)
    assert (answer.tally.done, answer.tally.copies) == (3, 1)
    assert [one.picture for one in answer.put_off] == [task.pictures[1]]
    assert len(answer.claimed) == 2
    (part,) = Manifest(Path(job.output)).parts()
    rows = list(Manifest(Path(job.output)).rows())
    assert part.stem == part_name(rows)  # of those that it holds
    assert [Path(one.picture).name for one in rows] == ["0.png", "2.png", "4.png"]
    assert answer.content is not None
    assert answer.content.rows.tolist() == [0, 1]
    later = answer_task(job, task_of(photos, 1, 5, was_put_off=True))
    assert (later.tally.done, later.tally.copies, later.put_off) == (2, 1, ())


def test_workers_of_a_lost_run_write_nothing_when_the_next_has_begun(photos: Path) -> None:
    job = job_of(photos, "lost")
    output = Path(job.output)
    Claims(output, "lost").begin()
    with opened(Corpus([photos], output, SETTINGS), BASIS, "stand-in") as (manifest, _, _):
        Claims(output, "next").begin()
        for numbers in ((0, 1), ()):
            with pytest.raises(Superseded):
                answer_task(job, task_of(photos, *numbers))
        assert manifest.parts() == ()
        found = answer_task(job_of(photos, "next"), task_of(photos, 0, 1))
        assert isinstance(found, TaskAnswer)
        assert len(manifest.parts()) == 1


def test_pictures_that_were_put_off_wait_for_the_tasks_that_were_under_way() -> None:
    waiting = PutOff()
    assert not waiting

    def put_off(number: int, content: str) -> PutOffPicture:
        return PutOffPicture(content, CorpusPicture(f"{number}.png", "file", ""), number)

    waiting.add([put_off(n, f"{n % 3}") for n in range(200)], latest=7)
    waiting.add([put_off(n, f"{n % 3}") for n in range(200, 600)], latest=9)
    assert waiting.due(oldest=7, everything=False) == []
    assert waiting.due(oldest=8, everything=False) == []  # too few for a task
    assert waiting
    tasks = waiting.due(oldest=10, everything=False)
    assert not waiting
    assert [len(task.pictures) for task in tasks] == [400, 200]
    assert all(task.was_put_off for task in tasks)
    contents = [{attempt % 3 for attempt in task.attempts} for task in tasks]
    assert contents == [{0, 1}, {2}]  # no content in two tasks
    waiting.add([put_off(1, "1")], latest=12)
    assert [task.attempts for task in waiting.due(oldest=13, everything=True)] == [(1,)]
