"""Where pictures of a corpus come from: told one by one, whatever is among them."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from napari_safire.corpus.inputs.enumeration import enumerate_pictures
from napari_safire.corpus.inputs.local import local_file
from napari_safire.corpus.inputs.picture import CorpusPicture, Input, InputProblem
from napari_safire.corpus.inputs.remote import shown_address
from napari_safire.errors import ImageReadError


def picture(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)
    return path


def told(*inputs: object, output: Path, recursive: bool = False) -> list[Input]:
    return list(enumerate_pictures(inputs, output, recursive=recursive))


def names(found: list[Input]) -> list[str]:
    assert all(isinstance(one, CorpusPicture) for one in found), found
    return sorted(one.name for one in found)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("a.png", "b.jpg", "below/c.png", "below/deeper/d.png", ".hidden/e.png"):
        picture(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_folders_are_gone_through_on_request(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert names(told(photos, output=out)) == ["../photos/a.png", "../photos/b.jpg"]
    everything = told(photos, output=out, recursive=True)
    assert len(everything) == 4
    assert names(told(f"{photos}/**/*.png", output=out)) == [
        "../photos/a.png", "../photos/below/c.png", "../photos/below/deeper/d.png",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_read_does_not_end_the_others(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    def scandir(place: Path) -> object:
        if Path(place).name == "below":
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return listed(place)

    picture(photos / "later" / "z.png")
    monkeypatch.setattr(os, "scandir", scandir)
    found = told(photos, output=tmp_path / "out", recursive=True)
    (problem,) = [one for one in found if isinstance(one, InputProblem)]
    assert problem.problem == "The folder ../photos/below cannot be read: Permission denied."
    assert names([one for one in found if one is not problem]) == [
        "../photos/a.png",
        "../photos/b.jpg",
        "../photos/later/z.png",
    ]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_patterns_do_not_go_round_in_rings_of_links(photos: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "three"):  # followed, they are 3 ^ 40 folders
        (photos / "below" / name).symlink_to("..")
    found = told(str(photos / "**/*.png"), output=tmp_path / "out")
    assert names(found) == [
        "../photos/a.png",
        "../photos/below/c.png",
        "../photos/below/deeper/d.png",
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png"]),
        ("*/*.png", ["below/c.png"]),
        ("**", ["a.png", "b.jpg", "below/c.png", "below/deeper/d.png"]),
        ("**/d.png", ["below/deeper/d.png"]),
        ("b?l*/**/*.png", ["below/c.png", "below/deeper/d.png"]),
        (".hidden/*", [".hidden/e.png"]),
        ("[ab].*", ["a.png", "b.jpg"]),
    ],
)
def test_patterns_are_those_of_a_shell(
    pattern: str, expected: list[str], photos: Path, tmp_path: Path
) -> None:
    (photos / "notes.txt").unlink()
    found = told(str(photos / pattern), output=tmp_path / "out")
    assert names(found) == [f"../photos/{name}" for name in expected]


def test_sentences_name_a_picture_as_the_manifest_does(photos: Path, tmp_path: Path) -> None:
    (photos / "list.csv").write_text("path\ngone.png\n")
    (problem,) = told(photos / "list.csv", output=tmp_path / "out")
    assert isinstance(problem, InputProblem)
    assert problem.problem == "../photos/gone.png does not exist: check its name and folder."


def test_nothing_below_the_output_is_taken_for_a_picture(photos: Path) -> None:
    out = photos / "below"
    assert len(told(photos, output=out, recursive=True)) == 2
    assert len(told(f"{photos}/**/*.png", output=out)) == 1


def test_pictures_are_told_before_all_are_known(photos: Path, tmp_path: Path) -> None:
    found = enumerate_pictures([photos, tmp_path / "gone", photos], tmp_path / "out")
    assert isinstance(next(found), CorpusPicture)


def test_a_key_changes_with_the_file(photos: Path, tmp_path: Path) -> None:
    (before,) = told(photos / "a.png", output=tmp_path)
    os.utime(photos / "a.png", ns=(1, 1))
    (after,) = told(photos / "a.png", output=tmp_path)
    assert before.name == after.name
    assert before.key != after.key


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_tables_name_pictures_in_a_column(suffix: str, photos: Path, tmp_path: Path) -> None:
    table = photos / f"table{suffix}"
    rows = {"label": ["x", "y", "z"], "image": ["a.png", "below/c.png", None]}
    if suffix == ".parquet":
        pq.write_table(pa.table(rows), table)
    else:
        between = "," if suffix == ".csv" else "\t"
        lines = [
            f"{label}{between}{image or ''}" for label, image in zip(*rows.values(), strict=True)
        ]
        table.write_text("\n".join([f"label{between}image", *lines]))
    *found, last = told(table, output=tmp_path)
    assert names(found) == ["photos/a.png", "photos/below/c.png"]
    assert isinstance(last, InputProblem)
    assert "names no picture" in last.problem


def test_list_files_name_pictures_first(photos: Path, tmp_path: Path) -> None:
    (photos / "list.txt").write_text("# a comment\na.png,None\nB.JPG,below/c.png\ngone.png,None\n")
    *found, last = told(photos / "list.txt", output=tmp_path)
    assert names(found) == ["photos/a.png", "photos/b.jpg"]
    assert isinstance(last, InputProblem)
    assert "does not exist" in last.problem


def shard(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_members_of_shards_are_read_at_their_place(photos: Path, tmp_path: Path) -> None:
    data = (photos / "a.png").read_bytes()
    path = shard(
        photos / "000.tar", {"x.png": data, "../../evil.png": data, "x.json": b"{}", "y.PNG": data}
    )
    found = told(path, output=tmp_path)
    assert names(found) == [
        "photos/000.tar!../../evil.png", "photos/000.tar!x.png", "photos/000.tar!y.PNG",
    ]  # fmt: skip
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for one in found:
        with local_file(one, scratch) as local:
            assert local.parent == scratch  # whatever the member is called
            assert local.read_bytes() == data
    assert not list(scratch.iterdir())


def test_two_members_of_one_name_are_two_pictures(photos: Path, tmp_path: Path) -> None:
    """Else the second one, which archives unpack, would pass for the first one, unseen."""
    path = photos / "twice.tar"
    with tarfile.open(path, "w") as archive:
        for file in (photos / "a.png", photos / "below" / "c.png"):
            archive.add(file, "x.png")
    first, second = told(path, output=tmp_path)
    assert first.name == second.name
    assert first.key != second.key


def test_a_shard_that_is_cut_short_is_told(photos: Path, tmp_path: Path) -> None:
    data = (photos / "a.png").read_bytes()
    path = shard(photos / "000.tar", {"x.png": data, "y.png": data * 300})
    path.write_bytes(path.read_bytes()[:2000])
    first, second = told(path, output=tmp_path)
    assert first.member == "x.png"
    assert isinstance(second, InputProblem)
    path.write_bytes(b"no archive at all")
    (only,) = told(path, output=tmp_path)
    assert isinstance(only, InputProblem)


def test_remote_pictures_are_fetched_and_their_length_is_checked(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    data = picture(tmp_path / "a.png").read_bytes()
    store.pipe("/corpus/a.png", data)
    store.pipe("/corpus/below/b.png", data)
    store.pipe("/corpus/notes.txt", b"")
    assert len(told("memory://corpus", output=tmp_path)) == 1
    found = told("memory://corpus", output=tmp_path, recursive=True)
    assert names(found) == ["memory:///corpus/a.png", "memory:///corpus/below/b.png"]
    with local_file(found[0], tmp_path) as local:
        assert local.read_bytes() == data
    store.pipe("/corpus/a.png", data[:-4])
    with pytest.raises(ImageReadError, match="were told"), local_file(found[0], tmp_path):
        pass
    store.rm("/corpus", recursive=True)
    with pytest.raises(ImageReadError, match="cannot be fetched"), local_file(found[0], tmp_path):
        pass
    (gone,) = told("memory://corpus/a.png", output=tmp_path)
    assert isinstance(gone, InputProblem)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:secret@host.example/a.jpg?token=1#x", "https://host.example/a.jpg"),
        ("s3://bucket/a.jpg", "s3://bucket/a.jpg"),
    ],
)
def test_what_lets_one_in_is_never_written_down(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    "address",
    [
        "nowhere://me:secret@host/a.png?token=secret",
        "ssh://me:p@secret@host/a.png#secret",
        "http://me:secret@[bad/a.png",
        "ftp://me:secret@127.0.0.1:1/a.png",
        "zip://a.png::https://me:secret@host/b.zip?token=secret",
        "s3://me:secret@bucket/a.png",
    ],
)
def test_what_lets_one_in_is_in_no_row_of_what_failed(address: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{address}\n")
    for given in (address, tmp_path / "list.txt"):
        (problem,) = told(given, output=tmp_path)
        assert isinstance(problem, InputProblem)
        assert "secret" not in problem.name + problem.problem


def test_an_address_that_cannot_be_asked_does_not_end_its_list(
    photos: Path, tmp_path: Path
) -> None:
    (photos / "list.txt").write_text("nowhere://x/y.png\nhttp://[bad/y.png\na.png\n")
    *problems, last = told(photos / "list.txt", output=tmp_path)
    assert [type(one) for one in problems] == [InputProblem, InputProblem]
    assert names([last]) == ["photos/a.png"]


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
@pytest.mark.parametrize(
    "text", ["a" * (1 << 21), "," * (1 << 21), '"\n",' * (1 << 19)], ids=["line", "cells", "lines"]
)
def test_a_row_takes_no_more_memory_than_rows_do(
    text: str, suffix: str, photos: Path, tmp_path: Path
) -> None:
    table = photos / f"long{suffix}"
    table.write_text(f"path\na.png\n{text}" if suffix == ".csv" else text)
    *_, problem = told(table, output=tmp_path)
    assert isinstance(problem, InputProblem)
    assert "has a row of more than 1,048,576 characters" in problem.problem


@pytest.mark.parametrize(
    "given", ["gone.png", "gone/*.png", "nowhere://x/a.png", "a\0b.png", "x" * 5000, ""]
)
def test_what_leads_to_no_picture_is_told(given: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = told(str(tmp_path / given) if "://" not in given and given else given, output=out)
    if given == "":  # the folder that one is in
        return
    (problem,) = found
    assert isinstance(problem, InputProblem)
    assert problem.problem.endswith(".")


OUTSIDE = ("../secret.png", "/etc/passwd", "below/../../secret.png", "~/../secret.png/../../x.png")


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("written", OUTSIDE)
def test_lists_lead_nowhere_but_below_their_folder(
    written: str, suffix: str, photos: Path, tmp_path: Path
) -> None:
    picture(tmp_path / "secret.png")
    table = photos / f"table{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({"path": [written, "a.png"]}), table)
    else:
        table.write_text(f"path\n{written}\na.png\n" if suffix != ".txt" else f"{written}\n")
    first, *rest = told(table, output=tmp_path)
    assert isinstance(first, InputProblem)
    assert "leads out of its folder" in first.problem
    assert len(rest) == (suffix != ".txt")


def test_a_root_lets_lists_lead_further(photos: Path, tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    lines = f"path\n../secret.png\n{tmp_path}/secret.png\n/etc/passwd\n"
    (photos / "table.csv").write_text(lines)
    found = list(enumerate_pictures([photos / "table.csv"], tmp_path / "out", root=tmp_path))
    assert [isinstance(one, CorpusPicture) for one in found] == [True, True, False]


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd.png", "local:///a.png", "reference://a.png", "github://a:b@c/d.png",
        "zip://a.png::https://example.org/b.zip", "simplecache::https://example.org/a.png",
        "memory://a.png::memory://b", "ssh://host/a.png", "jupyter://host/a.png",
    ],
)  # fmt: skip
def test_stores_that_unpack_run_or_read_here_are_not_asked(address: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{address}\n")
    for given in (address, tmp_path / "list.txt"):
        (problem,) = told(given, output=tmp_path)
        assert isinstance(problem, InputProblem)
        assert "are not asked" in problem.problem
