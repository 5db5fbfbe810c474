"""Exports of labelled pictures: read back as the formats' readers do, whole or not there at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from labelled_pictures import described, labelled
from PIL import Image

from napari_safire.errors import Cancelled, DatasetError, SafireError
from napari_safire.project.formats.catalogue import FORMATS, find_format, import_pictures
from napari_safire.project.formats.export import export
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    PictureFacts,
)
from napari_safire.project.formats.safirems import SafireMS
from napari_safire.project.truth import PictureDescription, SourceDescription

BINARY = [name for name, form in FORMATS.items() if form.holds.binary]
OF_SOURCES = [name for name in FORMATS if name not in BINARY]
ODD_NAMES = ("a.png", "A.PNG", 'x/../ü,"\n.png', "x/.hidden.png", "con.png", "ä/b.c.png")


@pytest.fixture
def pictures(tmp_path: Path) -> list[LabelledPicture]:
    """Of one to four sources, in all parts, with names that no list could hold."""
    sources = [(1, 2), (2, 5, 9), (1,), (1, 2, 3, 4), (7, 3), (1, 200)]
    splits = ["train", "validation", "test", "train", "train", "validation"]
    return [
        labelled(tmp_path / "in", name, n, split=split, shape=(20 + i, 26))  # type: ignore[arg-type]
        for i, (name, n, split) in enumerate(zip(ODD_NAMES, sources, splits, strict=True))
    ]


def there(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def imported(folder: Path, kind: str | None = None) -> dict[str, LabelledPicture]:
    got = list(import_pictures(folder, kind, unpack=folder.parent / "unpacked"))
    assert not [one.sentences for one in got if one.sentences]
    return {one.picture.key: one.picture for one in got if one.picture is not None}


@pytest.mark.parametrize("kind", OF_SOURCES)
def test_sources_come_back_with_all_that_is_known(
    kind: str, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    report = export(pictures, tmp_path / "out", kind)
    assert (report.pictures, report.pixels) == (6, sum(p.labels.size for p in pictures))
    assert not report.changed
    back = imported(tmp_path / "out")
    assert back.keys() == {one.key for one in pictures}
    for one in pictures:
        again = back[one.key]
        np.testing.assert_array_equal(again.labels, one.labels)
        assert (again.description, again.split) == (one.description, one.split)
        assert again.facts == replace(one.facts, annotators=("1",))
        assert again.path.read_bytes() == one.path.read_bytes()


@pytest.mark.parametrize("kind", BINARY)
def test_binary_formats_say_which_types_are_forged(
    kind: str, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    types = ExportSettings(forged=frozenset({"splice", "removal"}))
    rest = replace(types, authentic=frozenset({"authentic background", "copy-move target"}))
    export(pictures, tmp_path / "out", kind, rest)
    back = imported(tmp_path / "out")
    for one in pictures:
        forged = [s.number for s in one.description.sources if s.type in rest.forged]
        np.testing.assert_array_equal(back[one.key].labels == 2, np.isin(one.labels, forged))
        assert back[one.key].split == one.split
    with pytest.raises(DatasetError, match="type 'copy-move target', which is set neither"):
        export(pictures, tmp_path / "other", kind, types)


# Formats that hold unassigned pixels and any number of sources.
WHOLE = [name for name in OF_SOURCES if name != "safirems"]


@pytest.mark.parametrize("kind", [*WHOLE, "safirems"])
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_labels_come_back(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    most = 6 if kind == "safirems" else 255
    values = st.sampled_from(data.draw(st.lists(st.integers(1, most), min_size=1, max_size=6)))
    if kind != "safirems":
        values |= st.just(0)
    labels = data.draw(arrays(np.uint8, shape, elements=values))
    if not labels.any():
        labels[0, 0] = 1
    if kind == "safirems" and (labels == labels[0, 0]).all():
        labels[:] = 1  # of one source it holds authentic pictures alone
    folder = tmp_path / f"{len(there(tmp_path))}"
    whole = labelled(folder / "in", "a.png", shape=shape, description=described([1, 2]))
    whole = replace(whole, labels=labels)
    export([whole], folder / "out", kind)
    (got,) = imported(folder / "out").values()
    np.testing.assert_array_equal(got.labels, labels)
    assert got.description == whole.description


def test_safirems_is_the_known_layout(tmp_path: Path) -> None:
    """The authentic source is grey 0, whatever its number; the package's other reader agrees."""
    types = {3: "splice", 5: "authentic background", 9: "retouch"}
    said = PictureDescription(tuple(SourceDescription(n, type=t) for n, t in types.items()))  # type: ignore[arg-type]
    one = labelled(tmp_path / "in", "p.png", (3, 5, 9), description=said)
    authentic = labelled(tmp_path / "in", "q.png", (4,), description=described([4]))
    export([one, authentic], tmp_path / "out", "safirems")
    assert (tmp_path / "out/all.txt").read_text() == (
        "ms3_images/p.png,ms3_masks/p.png\nau_images/q.png,None\n"
    )
    with Image.open(tmp_path / "out/ms3_masks/p.png") as mask:
        grey = np.asarray(mask)
    np.testing.assert_array_equal(grey == 0, one.labels == 5)
    np.testing.assert_array_equal(grey == 50, one.labels == 3)
    np.testing.assert_array_equal(grey == 100, one.labels == 9)
    # Without what lies beside it, as anybody's SafireMS folder:
    for name in ("export.json", "pictures.jsonl", "all.txt"):
        (tmp_path / "out" / name).unlink()
    (bare,) = import_pictures(tmp_path / "out", "safirems")
    assert bare.picture is not None
    np.testing.assert_array_equal(bare.picture.labels, grey // 50 + 1)


def test_folders_pair_by_sorted_position_whatever_the_names(tmp_path: Path) -> None:
    names = ["a.png", "a.b.png", "a-1.png", "a.j.png", "a .png", "a_.png", "aa.png", "A.j.png"]
    pictures = [
        labelled(tmp_path / "in", name, (1, 2), shape=(8, 9 + i)) for i, name in enumerate(names)
    ]
    export(pictures, tmp_path / "out", "imdlbenco-folders")
    tp, gt = there(tmp_path / "out/Tp"), there(tmp_path / "out/Gt")
    assert len(tp) == len(gt) == len(names)
    for picture, mask in zip(tp, gt, strict=True):
        assert Path(picture).stem == Path(mask).stem
        files = tmp_path / "out/Tp" / picture, tmp_path / "out/Gt" / mask
        one, other = (np.asarray(Image.open(file)) for file in files)
        assert one.shape[:2] == other.shape
        assert set(np.unique(other)) <= {0, 255}


def test_indexed_png_and_tiff_hold_numbers_and_colours(tmp_path: Path) -> None:
    one = labelled(tmp_path / "in", "p.png", (0, 1, 255))
    red = replace(one.description.of(255), colour=(255, 0, 0))
    one = replace(one, description=one.description.with_source(red))
    export([one], tmp_path / "png", "palette")
    with Image.open(tmp_path / "png/masks/p.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), one.labels)
        colours = np.asarray(mask.convert("RGB"))
    assert (colours[one.labels == 255] == (255, 0, 0)).all()
    assert (colours[one.labels == 0] == 0).all()
    export([one], tmp_path / "tif", "labels-tiff")
    values = tifffile.imread(tmp_path / "tif/labels/p.tif")
    assert values.dtype == np.uint16
    np.testing.assert_array_equal(values, one.labels)


def test_lists_can_be_read_from_anywhere(tmp_path: Path) -> None:
    """Whole paths, for trainers that look from where they were started; pictures stay in place."""
    one = labelled(tmp_path / "ü in", "p.png", (1, 2))
    stay = ExportSettings(pictures="refer", absolute_paths=True)
    for kind in ("imdlbenco", "forensichub"):
        out = tmp_path / kind
        export([one], out, kind, stay)
        text = (out / "all.json").read_text(encoding="ascii")
        record = json.loads(text)[0]
        picture, mask = record if kind == "imdlbenco" else (record["path"], record["mask"])
        assert (Path(picture), Path(mask)) == (one.path, out / "masks/p.png")
        assert not (out / "images").exists()
        np.testing.assert_array_equal(imported(out)["p.png"].labels, one.labels)
    with pytest.raises(DatasetError, match="needs the pictures inside its folder"):
        export([one], tmp_path / "no", "webdataset", stay)
    with pytest.raises(DatasetError, match="file of another picture"):
        export([one, replace(one, key="twin")], tmp_path / "no", "coco", stay)
    export([one], tmp_path / "linked", "coco", ExportSettings(pictures="link"))
    assert (tmp_path / "linked/images/p.png").samefile(one.path)


# ------------------------------------------------------------------ what cannot be exported


def test_all_that_a_format_cannot_hold_is_said_at_once(tmp_path: Path) -> None:
    good = labelled(tmp_path / "in", "good.png", (1, 2))
    bad = [
        labelled(tmp_path / "in", "many.png", range(1, 8)),
        labelled(tmp_path / "in", "holes.png", (0, 1, 2)),
        labelled(tmp_path / "in", "one.png", (2,), description=described([1, 2]).only([2])),
    ]
    with pytest.raises(DatasetError) as caught:
        export([bad[0], good, *bad[1:]], tmp_path / "out", "safirems")
    text = str(caught.value)
    assert "cannot hold 3 of 4 pictures" in text
    for words in ("many.png has 7 sources", "holes.png has", "one.png has one source of the type"):
        assert words in text
    assert there(tmp_path) == ["in"]
    leave = ExportSettings(unfit="leave out")
    report = export([bad[0], good, *bad[1:]], tmp_path / "out", "safirems", leave)
    assert (report.pictures, len(report.left_out)) == (1, 3)
    assert imported(tmp_path / "out").keys() == {"good.png"}
    with pytest.raises(DatasetError, match="cannot hold 1 of 1"):
        export(bad[:1], tmp_path / "none", "safirems", leave)


def test_pictures_that_changed_are_refused(tmp_path: Path) -> None:
    pictures = [labelled(tmp_path / "in", f"{name}.png") for name in "abcd"]
    pictures[0].path.unlink()
    Image.new("RGB", (26, 20)).save(pictures[1].path)
    Image.new("RGB", (20, 26)).save(pictures[2].path)
    with pytest.raises(DatasetError) as caught:
        export(pictures, tmp_path / "out", "coco")
    text = str(caught.value)
    for words in ("3 pictures are not what", "does not exist", "another content", "26 x 20 pixels"):
        assert words in text
    assert there(tmp_path) == ["in"]
    with pytest.raises(DatasetError, match="no pictures to export"):
        export([], tmp_path / "out", "coco")


def test_pictures_that_readers_would_turn_are_refused(tmp_path: Path) -> None:
    one = labelled(tmp_path / "in", "p.jpg", (1, 2))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = one.path.with_suffix(".jpg")
    Image.new("RGB", (26, 20)).save(turned, exif=exif)
    one = replace(one, path=turned, facts=PictureFacts())
    with pytest.raises(DatasetError, match="EXIF orientation 6"):
        export([one], tmp_path / "out", "huggingface")
    export([one], tmp_path / "out", "coco")  # which says nothing of turning


def test_a_wrong_mask_is_found_before_anything_has_its_name(
    pictures: list[LabelledPicture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(self: SafireMS, path: Path, coded: np.ndarray, placed: object) -> None:
        Image.fromarray(np.roll(coded, 1, axis=1) * np.uint8(50)).save(path)

    monkeypatch.setattr(SafireMS, "save_mask", shifted)
    with pytest.raises(DatasetError, match=r"read back and is wrong .* pixels of the mask of"):
        export(pictures, tmp_path / "out", "safirems")
    assert there(tmp_path) == ["in"]


@pytest.mark.parametrize("kind", FORMATS)
def test_stopping_leaves_nothing(
    kind: str, pictures: list[LabelledPicture], tmp_path: Path
) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 15  # while masks are read back

    settings_ = ExportSettings(authentic=frozenset({"authentic background", "unknown"}))
    with pytest.raises(Cancelled, match="reading back"):
        export(pictures, tmp_path / "out", kind, settings_, cancel=stop)
    assert there(tmp_path) == ["in"]


def test_nothing_is_replaced_unless_asked(pictures: list[LabelledPicture], tmp_path: Path) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    again = ExportSettings(replace=True)
    for settings_ in (ExportSettings(), again):
        with pytest.raises(SafireError, match="is no export"):
            export(pictures, own, "coco", settings_)
    export(pictures, tmp_path / "out", "palette")
    with pytest.raises(SafireError, match="ask to replace it"):
        export(pictures[:1], tmp_path / "out", "coco")
    assert len(imported(tmp_path / "out")) == 6
    export(pictures[:1], tmp_path / "out", "coco", again)
    assert len(imported(tmp_path / "out")) == 1
    assert there(own) == ["thesis.txt"]
    assert there(tmp_path) == ["in", "mine", "out", "unpacked"][:3]


_KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from labelled_pictures import labelled
from napari_safire.project.formats.export import export
from napari_safire.project.formats import export as module
from napari_safire.project.formats.labelled import ExportSettings
folder = Path({folder!r})
pictures = [labelled(folder / "in", f"{{n}}.png", (1, 2)) for n in range(3)]
export(pictures[:1], folder / "old", "coco")
calls = 0
for point in range(14):
    child = os.fork()
    if child == 0:
        steps = 0
        def step(*_):
            global steps
            if steps == point:
                os.kill(os.getpid(), 9)
            steps += 1
        rename = module.rename
        def renamed(a, b):  # before and after each of the names is given
            step(); rename(a, b); step()
        module.rename = renamed
        export(pictures, folder / "new", "coco", progress=step)
        export(pictures, folder / "old", "palette", ExportSettings(replace=True), progress=None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    names = sorted(os.listdir(folder))
    whole = [n for n in names if (folder / n / "export.json").exists()]
    print(point, os.WIFSIGNALED(status), ",".join(whole))
    module._bring_back(folder / "old")
    print("old" in os.listdir(folder))
    import shutil; shutil.rmtree(folder / "new", ignore_errors=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_leaves_no_half_export_and_never_loses_the_former_one(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = _KILLED.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for line, brought_back in zip(lines[::2], lines[1::2], strict=True):
        point, killed, whole = line.split(" ")
        assert killed == "True", line
        # Nine steps of looking, writing and comparing; then the name is given.
        assert ("new" in whole.split(",")) == (int(point) > 9), line
        assert brought_back == "True", line
    one = labelled(tmp_path / "in", "z.png")
    export([one], tmp_path / "next", "coco")
    assert there(tmp_path) == ["in", "next", "old"]


def test_a_format_that_is_not_there() -> None:
    with pytest.raises(DatasetError, match="no format 'voc': choose safirems, imdlbenco"):
        find_format("voc")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pictures": "move"}, "choose copy, link, refer"),
        ({"forged": frozenset({"splice", "unknown"}), "authentic": frozenset({"unknown"})}, "both"),
        ({"forged": frozenset({"magic"})}, "no type 'magic'"),
        ({"tolerance": -1.0}, "0 to 100"),
        ({"shard_size": 0}, "1 to"),
    ],
)
def test_settings_that_cannot_be(values: dict, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        ExportSettings(**values)


def test_labels_that_are_none(tmp_path: Path) -> None:
    for labels in (
        np.zeros((2, 2), np.int32),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((0, 2), np.uint8),
    ):
        with pytest.raises(DatasetError, match=r"(uint8|int32) of shape"):
            LabelledPicture("k", tmp_path / "a.png", "a.png", labels)
