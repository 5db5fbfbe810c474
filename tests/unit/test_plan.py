"""What a batch has to do, without a command line and without a model."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from napari_safire.atomic import atomic_files, remove_leftovers
from napari_safire.basis import ALGORITHM, RunBasis
from napari_safire.corpus import output_folder
from napari_safire.corpus.folder_lock import LOCK, ignores_case, locked
from napari_safire.corpus.naming import LONGEST_ENDING, LONGEST_NAME, folded, result_base
from napari_safire.corpus.plan import (
    first_difference,
    is_unchanged,
    make_plan,
    replaced_picture,
)
from napari_safire.corpus.task import InTheWay
from napari_safire.errors import ImageReadError, SafireError
from napari_safire.examination import ExaminationSettings
from napari_safire.examination.export import RESULT_ENDINGS, results_by_base
from napari_safire.images.files import file_sha256
from napari_safire.images.records.head import (
    EXAMINATION_FORMAT,
    SOURCES_FORMAT,
    read_head,
    read_record,
)
from napari_safire.images.records.paths import found_path, recorded_path
from napari_safire.images.records.writing import record_text
from napari_safire.settings import PartitionSettings

SETTINGS = ExaminationSettings()
BASIS = SETTINGS.basis("c" * 64, "float32")

ENDINGS = (*RESULT_ENDINGS.values(), ".json")


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"picture " + os.fsencode(name))
    return folder


def result(
    picture: Path, output: Path, base: str, basis: RunBasis = BASIS, **changes: object
) -> dict[str, object]:
    """A complete result of two files, as an export leaves it."""
    output.mkdir(exist_ok=True)
    (output / f"{base}_sources.png").write_bytes(b"mask")
    record = {
        "format": EXAMINATION_FORMAT,
        "basis": {**basis.as_record(), "picture_sha256": file_sha256(picture)},
        "files": {"sources": f"{base}_sources.png"},
        "files_sha256": {f"{base}_sources.png": file_sha256(output / f"{base}_sources.png")},
        "image": {"path": recorded_path(picture, output)},
        "device": "cpu",
        "partition": {"prompts": [[float(n), float(n)] for n in range(256)]},
        **changes,
    }
    (output / f"{base}.json").write_text(record_text(record), encoding="utf-8")
    return record


def bases(inputs: Iterable[Path], output: Path, **options: bool) -> list[str]:
    return [task.base for task in make_plan(inputs, output, **options)]


# -------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["a.jpg", "ü.png", "IMG 1.jpg", "a.tar.gz", "写真.png", "#x.png"])
def test_ordinary_names_stay(name: str) -> None:
    assert result_base(name) == name


@pytest.mark.parametrize(
    "name",
    ["n" * 238, "n" * 255, "写" * 85, "caf\udce9.png", "a\nb.png", "esc\x1b[31m", "rtl\u202egpj"],
)
def test_other_names_become_ones_that_can_be_written(name: str, tmp_path: Path) -> None:
    base = result_base(name)
    assert result_base(base) == base
    assert len(base.encode("utf-8")) + LONGEST_ENDING <= LONGEST_NAME
    assert base.isprintable()
    for ending in (*ENDINGS, "_region_1000.png"):
        (tmp_path / f"{base}{ending}").write_bytes(b"")
    assert result_base(name + "x") != base


def test_names_that_begin_alike_do_not_become_one() -> None:
    assert len({result_base("n" * 240 + end) for end in ("", "a", "b", "\udce9", "\udcea")}) == 5


def test_no_ending_is_longer_than_the_longest() -> None:
    assert max(map(len, ENDINGS)) == LONGEST_ENDING


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")
def test_names_do_not_depend_on_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, read by a Python that takes names for ASCII."""
    name = "é" * 200
    as_ascii = name.encode().decode("ascii", "surrogateescape")
    expected = os.fsencode(result_base(name))
    monkeypatch.setattr(os, "fsencode", lambda text: text.encode("ascii", "surrogateescape"))
    monkeypatch.setattr(os, "fsdecode", lambda data: data.decode("ascii", "surrogateescape"))
    assert os.fsencode(result_base(as_ascii)) == expected


def test_composed_and_decomposed_letters_and_cases_are_alike() -> None:
    assert folded("CAFE\u0301") == folded("caf\u00e9")


def test_results_are_told_apart_by_their_base() -> None:
    names = ["a_sources.png", "a_sources.png.json", "a_region_01.png", "a_region_1.png", "a.tif"]
    assert results_by_base(names) == {
        "a": ["a_region_01.png", "a_sources.png"],
        "a_sources.png": ["a_sources.png.json"],
    }


def test_pictures_that_share_a_name_get_whole_names(tmp_path: Path) -> None:
    names = ("a.jpg", "a.png", "IMG_2.jpg", "img_2.jpg", "b.png", "cafe\u0301.jpg", "café.png")
    folder = pictures(tmp_path / "in", *names)
    found = bases([folder / name for name in names], tmp_path / "out")
    assert found == [*names[:4], "b", *names[5:]]


def test_where_case_is_ignored_no_two_names_differ_in_it_alone(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", "IMG_2.jpg", "img_2.jpg", "a.png")
    found = bases([folder], tmp_path / "out", ignore_case=True)
    assert len({name.casefold() for name in found}) == 3
    assert "a" in found


def test_names_do_not_depend_on_how_far_a_run_came(tmp_path: Path) -> None:
    folder, output = (
        pictures(tmp_path / "in", "a.jpg", "a.png", "IMG_2.jpg", "img_2.jpg"),
        tmp_path / "out",
    )
    expected = bases([folder], output)
    for task in make_plan([folder], output):
        result(task.image, output, task.base)
        assert bases([folder], output) == expected


def test_a_whole_name_that_is_the_name_of_another(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", "a.jpg", "a.png", "a.jpg.png")
    assert len(set(bases([folder], tmp_path / "out"))) == 3


def test_pictures_of_the_same_name_from_two_folders(tmp_path: Path) -> None:
    folders = [pictures(tmp_path / name, "a.png") for name in ("100CANON", "101CANON")]
    found = bases(folders, tmp_path / "out")
    assert len(set(found)) == 2
    assert all(base.startswith("a.png-") for base in found)
    assert bases(reversed(folders), tmp_path / "out") == found[::-1]
    (tmp_path / "case").mkdir()
    for folder in folders:
        folder.rename(tmp_path / "case" / folder.name)
    moved = [tmp_path / "case" / folder.name for folder in folders]
    assert bases(moved, tmp_path / "case" / "out") == found


def test_results_keep_their_name_when_a_neighbour_comes(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.jpg"), tmp_path / "out"
    result(folder / "a.jpg", output, "a")
    pictures(folder, "a.png", "A.tif")
    first, second, third = sorted(make_plan([folder], output), key=lambda task: task.saved is None)
    assert (first.image.name, first.base) == ("a.jpg", "a")
    assert {second.base, third.base} == {"a.png", "A.tif"}
    result(folder / "a.png", output, "a.png")
    (folder / "a.jpg").unlink()  # its result stays, and is not taken for that of the other
    (alone,) = (task for task in make_plan([folder], output) if task.image.name == "a.png")
    assert alone.base == "a.png"
    assert alone.saved is not None


def test_results_are_found_again_when_the_pictures_were_moved(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.jpg"), tmp_path / "out"
    result(folder / "a.jpg", output, "a")
    folder.rename(tmp_path / "elsewhere")
    (task,) = make_plan([tmp_path / "elsewhere"], output)
    assert task.base == "a"
    assert task.saved is not None


# ----------------------------------------------------------------------------- pictures


def test_a_list_with_bad_lines_and_missing_pictures_is_done_but_for_them(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    path = tmp_path / "list.txt"
    path.write_text("a.png,no-mask.png\ngone.png,None\nonly one field\nb.png,None\n")
    tasks = make_plan([path], tmp_path / "out")
    assert [task.image.name for task in tasks if task.problem is None] == [
        "a.png", "gone.png", "b.png",
    ]  # fmt: skip
    (problem,) = [task.problem for task in tasks if task.problem is not None]
    assert "line 3" in str(problem)


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n"])
def test_an_empty_list_is_a_problem(content: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(content)
    (task,) = make_plan([path], tmp_path / "out")
    assert isinstance(task.problem, SafireError)


def test_names_that_no_file_can_have_are_the_problems_of_their_lines(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png")
    lines = ["a.png", "x\0y.png", "x\0/y.png", "n" * 300 + ".png", "m" * 300 + "/b.png"]
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{line},None\n" for line in lines))
    tasks = make_plan([path, "o" * 300], tmp_path / "out")
    assert len(tasks) == 6
    assert replaced_picture(tasks) is None
    result(tmp_path / "a.png", tmp_path / "out", "a", image={"path": "p" * 300 + "/a.png"})
    assert make_plan([path], tmp_path / "out")[0].saved is not None


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    (task,) = make_plan([pictures(tmp_path / "in")], tmp_path / "out")
    assert "no pictures" in str(task.problem)


def test_a_picture_that_results_would_replace(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", "a.png", "a_sources.png", "b.png")
    (tmp_path / "link").symlink_to(folder)
    inputs = sorted(folder.iterdir())
    assert replaced_picture(make_plan(inputs, tmp_path / "out")) is None
    for output in (folder, tmp_path / "link"):
        found = replaced_picture(make_plan(inputs, output))
        assert found is not None
        assert (found[0].image.name, found[1].name) == ("a.png", "a_sources.png")


# ------------------------------------------------------------------------ what is there


def test_complete_results_are_known_with_what_they_rest_on(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    for name in ("a", "b"):
        result(folder / f"{name}.png", output, name)
    first, second = make_plan([folder], output)
    assert first.saved is not None
    assert second.saved is not None
    assert first.saved.basis is second.saved.basis  # bytes a picture, not a record
    assert is_unchanged(first)
    assert first_difference([first, second], BASIS) is None
    for other, told in (
        (SETTINGS.basis("d" * 64, "float32"), "with another model"),
        (SETTINGS.basis("c" * 64, "bf16"), "in float32, not in bf16"),
        (
            ExaminationSettings(PartitionSettings(seed=4)).basis("c" * 64, "float32"),
            "with other settings (seed)",
        ),
        (
            RunBasis("c" * 64, BASIS.settings, algorithm=0),
            f"by another version: algorithm ({ALGORITHM} and 0)",
        ),
    ):
        found = first_difference([first, second], other)
        assert found is not None
        assert found[1] == (told,)
    assert first_difference([first], SETTINGS.basis("d" * 64, "float32"), model=False) is None
    assert make_plan([folder], output, overwrite=True)[0].saved is None


def test_a_result_that_is_not_what_its_record_says_is_made_again(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a")
    (output / "a_sources.png").write_bytes(b"mask of another run")
    (task,) = make_plan([folder], output)
    assert not is_unchanged(task)
    assert task.leftover == ("a.json", "a_sources.png")
    (output / "a_sources.png").unlink()
    (task,) = make_plan([folder], output)
    assert task.saved is None
    assert task.problem is None
    assert task.leftover == ("a.json",)


def test_files_without_a_record_are_made_again(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a")
    (output / "a.json").unlink()
    (task,) = make_plan([folder], output)
    assert task.problem is None
    assert task.leftover == ("a_sources.png",)


def test_leftovers_of_a_picture_that_gets_another_name(tmp_path: Path) -> None:
    """Killed while it was overwritten, and then there is a neighbour."""
    folder, output = pictures(tmp_path / "in", "a.jpg"), tmp_path / "out"
    result(folder / "a.jpg", output, "a")
    (output / "a.json").unlink()
    pictures(folder, "a.png")
    first, second = make_plan([folder], output)
    assert first.leftover == ("a_sources.png",)
    assert second.leftover == ()


def test_a_picture_that_changed_or_is_gone_is_no_result_to_be_made_again(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a")
    (task,) = make_plan([folder / "a.png"], output)
    (folder / "a.png").write_bytes(b"another")
    with pytest.raises(SafireError, match="another file"):
        is_unchanged(task)
    (folder / "a.png").unlink()
    with pytest.raises(ImageReadError, match=r"a\.png cannot be read"):
        is_unchanged(task)


@pytest.mark.parametrize(
    ("content", "overwritten"),
    [
        ("{ torn", True),
        ("[]", True),
        ('{"milk": 1}', True),
        (f'{{"format": "{EXAMINATION_FORMAT}"}}', True),
        (f'{{"format": "{SOURCES_FORMAT}", "image": {{"path": "../in/a.png"}}}}', False),
    ],
)
def test_what_is_no_result_of_a_batch_is_in_the_way(
    content: str, overwritten: bool, tmp_path: Path
) -> None:
    folder, output = pictures(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    output.mkdir()
    (output / "a.json").write_text(content)
    first, second = make_plan([folder], output)
    assert isinstance(first.problem, InTheWay)
    assert str(output / "a.json") in str(first.problem)
    assert second.problem is None
    first, _ = make_plan([folder], output, overwrite=True)
    assert (first.problem is None) == overwritten


def test_a_record_of_ours_that_was_cut_short_is_made_again(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a")
    text = (output / "a.json").read_text()
    (output / "a.json").write_text(text[:100])
    (task,) = make_plan([folder], output)
    assert task.problem is None
    assert task.saved is None


def test_an_empty_record_is_made_again(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a")
    (output / "a.json").write_bytes(b"")
    (task,) = make_plan([folder], output)
    assert task.problem is None
    assert task.saved is None


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no names there")
def test_pipes_do_not_keep_a_batch_waiting(tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png", "b.png", "c.png"), tmp_path / "out"
    for name in "abc":
        result(folder / f"{name}.png", output, name)
    for place in (output / "a.json", output / "b_sources.png"):
        place.unlink()
        os.mkfifo(place)
    first, second, third = make_plan([folder], output)
    (folder / "c.png").unlink()
    os.mkfifo(folder / "c.png")
    assert isinstance(first.problem, InTheWay)
    assert not is_unchanged(second)
    with pytest.raises(ImageReadError, match="regular file"):
        is_unchanged(third)


@pytest.mark.parametrize("files", [None, [], {}, {"sources": "../x.png"}, {"sources": 3}])
def test_a_record_that_names_no_files_is_no_complete_result(files: object, tmp_path: Path) -> None:
    folder, output = pictures(tmp_path / "in", "a.png"), tmp_path / "out"
    result(folder / "a.png", output, "a", files=files)
    (task,) = make_plan([folder], output)
    assert task.saved is None
    assert task.problem is None


def test_an_output_folder_that_is_a_file_is_the_problem_of_its_pictures(tmp_path: Path) -> None:
    for name in ("x", "y"):
        pictures(tmp_path / name, "a.png")
    path = tmp_path / "list.txt"
    path.write_text("x/a.png,None\ny/a.png,None\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("a file")
    first, second = make_plan([path], tmp_path / "out")
    assert "cannot be written" in str(first.problem)
    assert second.problem is None


def test_folders_are_listed_once_and_records_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 200
    folder = pictures(tmp_path / "in", *(f"p{n}.png" for n in range(count)))
    output = tmp_path / "out"
    for n in range(count):
        result(folder / f"p{n}.png", output, f"p{n}")
    listed: list[Path] = []
    read: list[Path] = []
    true_list, true_read = os.listdir, output_folder.read_head
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(Path(path)) or true_list(path))
    monkeypatch.setattr(os, "scandir", _counted(os.scandir, listed))
    monkeypatch.setattr(
        output_folder, "read_head", lambda path: read.append(path) or true_read(path)
    )
    tasks = make_plan([folder], output)
    assert all(task.saved is not None for task in tasks)
    assert listed.count(output) == 1
    assert len(listed) < 10  # whatever the number of pictures
    assert len(read) == len(set(read)) == count


def _counted(real: object, calls: list[Path]) -> object:
    def call(path: str | Path = ".") -> object:
        calls.append(Path(path))
        return real(path)  # type: ignore[operator]

    return call


def test_the_head_of_a_record_is_that_of_the_whole(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", "a.png")
    written = result(folder / "a.png", tmp_path / "out", "a")
    head = read_head(tmp_path / "out" / "a.json")
    assert "partition" not in head
    whole = read_record(tmp_path / "out" / "a.json")
    assert head == {key: whole[key] for key in head}
    assert head["files_sha256"] == written["files_sha256"]
    (tmp_path / "laid out otherwise.json").write_text(json.dumps(whole))
    assert read_head(tmp_path / "laid out otherwise.json") == whole


# -------------------------------------------------------------------------------- paths


def test_paths_are_relative_to_the_record_and_found_again(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", "a.png")
    written = recorded_path(folder / "a.png", tmp_path / "out" / "deep")
    assert written == "../../in/a.png"
    record = tmp_path / "out" / "deep" / "a.json"
    assert found_path(written, record) == folder / "a.png"
    absolute = recorded_path(folder / "a.png", tmp_path / "out", absolute=True)
    assert absolute == (folder / "a.png").as_posix()
    assert found_path(absolute, record) == folder / "a.png"
    assert found_path("../gone/b.png", record) is None
    assert found_path("a\0b", record) is None
    assert found_path("~nobody-of-this-name/a.png", record) is None


def test_a_record_outside_the_home_folder_does_not_name_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / "jane.doe"
    home.mkdir(parents=True)
    pictures(home / "case", "a.png")
    monkeypatch.setenv("HOME", str(home))
    written = recorded_path(home / "case" / "a.png", tmp_path / "results")
    assert written == "~/case/a.png"
    assert found_path(written, tmp_path / "results" / "a.json") == home / "case" / "a.png"
    assert recorded_path(home / "case" / "a.png", home / "results") == "../case/a.png"


def test_a_record_of_a_name_that_is_no_utf8_is_utf8_and_reads_back(tmp_path: Path) -> None:
    record = {"format": SOURCES_FORMAT, "image": {"path": "caf\udce9.png"}}
    (tmp_path / "a.json").write_text(record_text(record), encoding="utf-8")
    assert read_record(tmp_path / "a.json") == record


# ------------------------------------------------------------------ one run, whole files


def test_a_folder_belongs_to_one_run_and_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "deep"
    waited = threading.Event()
    order = []

    def second() -> None:
        with locked(folder, waited.set):
            order.append("second")

    with locked(folder, pytest.fail) as problem:
        assert problem is None
        assert (folder / LOCK).exists()
        assert not ignores_case(folder)
        other = threading.Thread(target=second)
        other.start()
        assert waited.wait(30)
        order.append("first")
    other.join(30)
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_a_run_that_is_dead_keeps_nobody_out(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_bytes(b"")
    with locked(tmp_path, pytest.fail) as problem:
        assert problem is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_is_too_long_cannot_be_written_to(tmp_path: Path) -> None:
    with locked(tmp_path / ("n" * 300), None) as problem:
        assert "too long" in str(problem)
    assert not ignores_case(tmp_path / ("n" * 300))


def test_a_folder_that_cannot_be_written_to_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with locked(tmp_path / "file" / "out") as problem:
        assert problem is not None
        assert "Nothing can be written" in str(problem)


def test_files_that_belong_together_come_together(tmp_path: Path) -> None:
    for name in ("a.json", "a_old.png", "a_new.png", "other"):
        (tmp_path / name).write_text("old")
    with atomic_files(tmp_path, "a.json", stale=["a_old.png", "a_new.png"]) as place:
        (place / "a_new.png").write_text("new")
        (place / "a.json").write_text("new")
        assert (tmp_path / "a.json").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.json": "new", "a_new.png": "new", "other": "old",
    }  # fmt: skip


def test_files_that_fail_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    with (
        pytest.raises(SafireError, match="Nothing was written"),
        atomic_files(tmp_path, "a.json") as place,
    ):
        (place / "b").write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.json": "old"}


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead = tmp_path / ".napari-safire-0123456789ab"
    dead.mkdir()
    (dead / "a_sources.png").write_bytes(b"half")
    (tmp_path / ".napari-safire-notes").mkdir()
    with atomic_files(tmp_path, "a.json") as alive:
        assert remove_leftovers(tmp_path) == 1
        assert not dead.exists()
        (alive / "a.json").write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", ".napari-safire-notes"}
