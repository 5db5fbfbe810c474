"""What is wrong with a data set is found, named once, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published_sets import imd2020
from synthetic import photograph
from systems import posix
from typer.testing import CliRunner

from napari_safire.cli import app
from napari_safire.datasets import integrity
from napari_safire.datasets.integrity import Problem, check_lists
from napari_safire.datasets.near_duplicates import near_duplicates, perceptual_hash
from napari_safire.errors import DatasetError


def put(root: Path, name: str, pixels: np.ndarray) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def half(value: int = 255, shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[: shape[0] // 2] = value
    return mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three good pictures with masks, one of them authentic, and two lists of them."""
    for number in range(4):
        put(tmp_path, f"bilder/ä{number}.png", photograph(number, (40, 60)))
        put(tmp_path, f"masks/{number}.png", half())
    write(tmp_path / "train.txt", "bilder/ä0.png,masks/0.png", "bilder/ä1.png,None")
    write(tmp_path / "val.txt", "bilder/ä2.png,masks/2.png", "bilder/ä3.png,masks/3.png")
    return tmp_path


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def problems(*lists: Path, kind: str = "binary") -> list[Problem]:
    return [each for *_, found in check_lists(lists, kind=kind) for each in found]


def test_good_lists_have_no_problems(root: Path) -> None:
    assert problems(root / "train.txt", root / "val.txt") == []


def test_progress_counts_all_entries(root: Path) -> None:
    steps = [(done, total) for done, total, _ in check_lists([root / "train.txt"])]
    assert steps == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("bilder/ä0.png", "line", "line 1"),
        ("../outside.png,None", "line", "leads out of the root"),
        ("bilder/lost.png,masks/0.png", "missing", "lost.png does not exist"),
        ("bilder/ä0.png,masks/lost.png", "missing", "lost.png does not exist"),
        ("empty.png,None", "unreadable", "empty"),
        ("cut.png,None", "unreadable", "cut.png"),
        ("text.png,None", "unreadable", "text.png"),
        ("bilder/ä0.png,small.png", "mask", "20 x 60"),
        ("bilder/ä0.png,text.png", "mask", "text.png"),
        ("bilder/ä0.png,black.png", "mask", "give it the mask None"),
    ],
)
def test_each_problem_is_named(root: Path, line: str, kind: str, words: str) -> None:
    (root / "empty.png").write_bytes(b"")
    (root / "cut.png").write_bytes((root / "bilder/ä0.png").read_bytes()[:900])
    (root / "text.png").write_text("no picture")
    put(root, "small.png", half(shape=(20, 60)))
    put(root, "black.png", half(0))
    (problem,) = problems(write(root / "one.txt", line))
    assert problem.kind == kind
    assert words in problem.sentence


def test_stray_values_are_a_problem_of_source_masks_only(root: Path) -> None:
    put(root, "stray.png", half(120))
    path = write(root / "one.txt", "bilder/ä0.png,stray.png")
    assert problems(path) == []
    (problem,) = problems(path, kind="sources")
    assert problem.kind == "mask"
    assert "120" in problem.sentence


def test_pictures_that_stand_in_two_lists_leak_whatever_their_names(root: Path) -> None:
    pixels = np.asarray(Image.open(root / "bilder/ä0.png"))
    Image.fromarray(pixels).save(root / "copy.bmp")
    write(root / "val.txt", "copy.bmp,masks/0.png", "bilder/ä1.png,None")
    found = problems(root / "train.txt", root / "val.txt")
    assert [problem.kind for problem in found] == ["leak", "leak", "inside"]
    assert "copy.bmp" in found[0].sentence
    assert "ä0.png" in found[0].sentence
    assert all(problem.list_file == root / "val.txt" for problem in found)


def test_pictures_repeated_in_a_list(root: Path) -> None:
    Image.open(root / "bilder/ä0.png").save(root / "copy.png")
    line = "bilder/ä0.png,masks/0.png"
    found = problems(write(root / "one.txt", line, line, "copy.png,masks/0.png"))
    assert [problem.kind for problem in found] == ["repeated", "repeated"]
    assert "more than once" in found[0].sentence
    assert "same content" in found[1].sentence


def test_lists_that_are_none(root: Path) -> None:
    with pytest.raises(DatasetError, match="no entries"):
        problems(write(root / "one.txt", "# nothing"))
    with pytest.raises(DatasetError, match="cannot be read"):
        problems(root / "lost.txt")


def test_the_command(root: Path) -> None:
    def run(*arguments: object):
        return CliRunner().invoke(app, ["data", "check", *map(str, arguments)])

    good = run(root / "train.txt", root / "val.txt")
    assert good.exit_code == 0
    assert good.stdout == "4 entries checked: nothing is wrong.\n"
    (root / "bilder/ä3.png").unlink()
    bad = run(root / "train.txt", root / "val.txt", root / "train.txt")
    assert bad.exit_code == 1
    assert "ä3.png does not exist: check" in bad.stdout
    # A list that is named twice is one list.
    assert bad.stdout.splitlines()[-1] == "4 entries checked: 1 files missing."
    assert run(root / "lost.txt").exit_code == 1


def test_a_list_that_is_inside_another(root: Path) -> None:
    """The published IMD2020 lists: what validates was trained on."""
    folder = root / "imd"
    pairs = list(imd2020(folder).items())
    train = write(root / "imd_train.txt", *(f"{image},{mask}" for image, mask in pairs))
    inner = write(root / "imd_valid.txt", f"{pairs[1][0]},{pairs[1][1]}")
    for lists in ([train, inner], [inner, train]):
        found = [
            problem
            for *_, some in check_lists(lists, folder, set_name="IMD2020")
            for problem in some
        ]
        assert [problem.kind for problem in found] == ["leak", "inside"]
        assert found[1].sentence == f"{inner} is inside {train}: all its 1 pictures stand there."
    command = ["data", "check", "--set", "IMD2020", "--root", str(folder), str(train), str(inner)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "1 pictures in two lists, 1 lists inside another" in result.stdout


def test_lists_of_the_same_pictures_are_told_once(root: Path) -> None:
    lines = (root / "val.txt").read_text(encoding="utf-8").splitlines()
    found = problems(root / "val.txt", write(root / "same.txt", *reversed(lines)))
    assert [problem.kind for problem in found] == ["leak", "leak", "inside"]


def test_masks_that_may_be_inverted(root: Path) -> None:
    for number in range(4):
        put(root, f"masks/{number}.png", np.where(np.arange(40)[:, None] < 9, 0, half() * 0 + 255))
    path = write(root / "all.txt", *(f"bilder/ä{n}.png,masks/{n}.png" for n in range(4)))
    (problem,) = problems(path)
    assert problem.kind == "inverted"
    assert "4 of the 4 masks" in problem.sentence


@posix
@pytest.mark.parametrize("name", ["n" * 300 + ".png", "x\0y.png", "pipe.png", "/".join("a" * 2000)])
def test_one_path_that_may_not_be_looked_at_costs_itself_only(root: Path, name: str) -> None:
    os.mkfifo(root / "pipe.png")
    path = write(root / "odd.txt", f"{name},None", "bilder/ä0.png,gone.png", "bilder/ä1.png,None")
    result = CliRunner().invoke(app, ["data", "check", str(path)])
    assert result.exit_code == 1
    assert "gone.png does not exist: check" in result.stdout
    assert result.stdout.splitlines()[-1] == "3 entries checked: 2 files missing."


def test_forbidden_files_are_told_one_by_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.stat

    def forbidden(path: Any, *args: Any, **kw: Any) -> os.stat_result:
        if str(path).endswith("ä2.png"):
            raise PermissionError(13, "Permission denied")
        return stat(path, *args, **kw)

    monkeypatch.setattr(os, "stat", forbidden)  # file modes do not stop the superuser
    (root / "bilder/ä3.png").unlink()
    found = problems(root / "val.txt")
    assert [problem.kind for problem in found] == ["missing", "missing"]
    assert "ä2.png cannot be looked at: Permission denied." in found[0].sentence


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("odd"), OSError(5, "I/O error")])
@pytest.mark.parametrize("reader", ["read_image", "read_truth"])
def test_whatever_one_picture_raises_is_its_own_problem(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reader: str
) -> None:
    real = getattr(integrity, reader)

    def failing(what: Any, *args: Any, **kw: Any) -> Any:
        if "ä2.png" in str(what):
            raise error
        return real(what, *args, **kw)

    monkeypatch.setattr(integrity, reader, failing)
    (problem,) = problems(root / "val.txt")
    assert problem.kind == ("unreadable" if reader == "read_image" else "mask")
    assert ("ä2.png" if reader == "read_image" else "2.png") in problem.sentence


def test_warnings_are_told_and_do_not_fail_the_check(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(root / "bilder/ä0.png").save(root / "turned.jpg", exif=exif)
    write(root / "one.txt", "turned.jpg,masks/0.png", "#1.png,masks/0.png", "BILDER/ä1.PNG,None")
    put(root, "#1.png", photograph(7, (40, 60)))
    result = CliRunner().invoke(app, ["data", "check", str(root / "one.txt")])
    assert result.exit_code == 0
    for told in ("painted on what was shown", "begins with #", "is called ä1.png"):
        assert told in result.stdout
    assert result.stdout.splitlines()[-1] == "3 entries checked: nothing is wrong; 4 warnings."


def test_an_empty_list_among_others_is_told(root: Path) -> None:
    empty = write(root / "empty.txt", "# nothing")
    result = CliRunner().invoke(app, ["data", "check", str(root / "train.txt"), str(empty)])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 entries checked: 1 lists empty."
    assert CliRunner().invoke(app, ["data", "check", str(empty)]).exit_code == 1
    (root / "nothing").mkdir()
    for arguments in (["--set", "default", str(root / "nothing")], [str(root / "nothing")]):
        assert CliRunner().invoke(app, ["data", "check", *arguments]).exit_code == 1


def test_control_characters_do_not_reach_the_terminal(root: Path) -> None:
    path = write(root / "one.txt", "a\x1b]0;title\x07b.png,None")
    result = CliRunner().invoke(app, ["data", "check", str(path)])
    assert "\x1b" not in result.stdout
    assert "\\x1b]0;title\\x07b.png does not exist: check" in result.stdout


# ------------------------------------------------------------------------- looking alike


def alike(root: Path, most: int | None) -> list[Problem]:
    lists = [root / "train.txt", root / "val.txt"]
    return [problem for *_, some in check_lists(lists, near=most) for problem in some]


def test_pictures_that_look_alike_are_told_when_asked(root: Path) -> None:
    for number in range(4):
        put(root, f"bilder/ä{number}.png", photograph(number, (200, 240)))
        put(root, f"masks/{number}.png", half(shape=(200, 240)))
    small = Image.open(root / "bilder/ä0.png").resize((120, 100), Image.Resampling.BICUBIC)
    small.save(root / "small.jpg", quality=70)
    write(root / "val.txt", "small.jpg,None", "bilder/ä2.png,masks/2.png")
    assert alike(root, None) == []
    (problem,) = alike(root, 6)
    assert problem.kind == "near"
    assert (
        f"small.jpg of {root / 'val.txt'} looks like {root / 'bilder/ä0.png'}" in problem.sentence
    )
    command = ["data", "check", "--near", "6", str(root / "train.txt"), str(root / "val.txt")]
    assert "1 pairs that look alike" in CliRunner().invoke(app, command).stdout


def test_the_same_picture_is_a_leak_and_does_not_look_alike(root: Path) -> None:
    write(root / "val.txt", "bilder/ä1.png,None")
    assert [problem.kind for problem in alike(root, 16)].count("leak") == 1
    assert not any("ä1.png looks like" in problem.sentence for problem in alike(root, 0))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_hash_does_not_know_depth_nor_channels(dtype: type) -> None:
    grey = photograph(3)[..., 0]
    first = perceptual_hash(grey)
    scaled = (grey / 255 * (1 if dtype is np.float32 else np.iinfo(dtype).max)).astype(dtype)
    for pixels in (scaled, np.dstack([scaled] * 4)):
        other = perceptual_hash(pixels)
        assert first is not None
        assert other is not None
        assert (first != other).sum() <= 2


def test_flat_pictures_have_no_hash() -> None:
    assert perceptual_hash(np.full((50, 60), 200, np.uint8)) is None
    assert perceptual_hash(np.zeros((50, 60, 3), np.float32)) is None


def test_near_pairs_count_bits() -> None:
    rng = np.random.default_rng(0)
    first = list(rng.random((5, 64)) < 0.5)
    second = [hash.copy() for hash in first[::-1]]
    second[0][[3, 7]] ^= True
    assert list(near_duplicates(first, second, 1)) == [(i, 4 - i, 0) for i in range(4)]
    assert list(near_duplicates(first, second, 2))[-1] == (4, 0, 2)
    assert list(near_duplicates([], second, 64)) == []
