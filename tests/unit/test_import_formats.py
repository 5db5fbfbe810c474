"""Annotations of other people's making: read rightly, or refused with a sentence."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from labelled_pictures import blocks, labelled
from PIL import Image
from pycocotools import mask as run_lengths

from napari_safire.errors import DatasetError
from napari_safire.palette import source_colour
from napari_safire.project.formats.about import with_known
from napari_safire.project.formats.catalogue import FORMATS, import_pictures
from napari_safire.project.formats.coco import overlaid
from napari_safire.project.formats.export import export
from napari_safire.project.formats.format import Imported
from napari_safire.project.formats.labelled import ExportSettings, split_of_name
from napari_safire.project.formats.polygons import coco_ring, region_polygons

SHAPE = (20, 26)


def picture(folder: Path, name: str = "p.png", shape: tuple[int, int] = SHAPE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(folder / name)
    return folder / name


def one(path: Path, kind: str, **options: Any) -> Imported:
    (got,) = import_pictures(path, kind, **options)
    return got


# ------------------------------------------------------------------------------ masks of labels


def listed(folder: Path, mask: str) -> Path:
    picture(folder)
    (folder / "train.txt").write_text(f"p.png,{mask}\n")
    return folder


def save(path: Path, pixels: np.ndarray, **options: Any) -> None:
    Image.fromarray(pixels).save(path, **options)


def test_masks_of_labels_that_can_be_read(tmp_path: Path) -> None:
    labels = blocks(SHAPE, (0, 1, 2, 9))
    coloured = np.zeros((*SHAPE, 3), np.uint8)
    for number in (1, 2, 9):
        coloured[labels == number] = source_colour(number - 1)
    indexed = Image.fromarray(labels).convert("P")
    indexed.putdata(labels.ravel().tolist())
    listed(tmp_path, "m.png")
    for write in (
        lambda: save(tmp_path / "m.png", labels),
        lambda: save(tmp_path / "m.png", labels.astype(np.uint16)),
        lambda: save(tmp_path / "m.png", np.stack([labels] * 3, -1)),
        lambda: save(tmp_path / "m.png", coloured),
        lambda: indexed.save(tmp_path / "m.png"),
        lambda: indexed.save(tmp_path / "m.png", bits=4),
        lambda: tifffile.imwrite(tmp_path / "m.png", labels.astype(np.uint16)),
        lambda: tifffile.imwrite(tmp_path / "m.png", labels.astype(np.float32)),
    ):
        write()
        got = one(tmp_path, "palette")
        assert got.picture is not None, got.sentences
        np.testing.assert_array_equal(got.picture.labels, labels)
        assert got.picture.split == "train"


def test_other_colours_are_sources_by_their_size(tmp_path: Path) -> None:
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[:, :5] = (255, 0, 0)
    pixels[:2, :5] = (0, 255, 0)
    listed(tmp_path, "m.png")
    save(tmp_path / "m.png", pixels)
    got = one(tmp_path, "labels-tiff")
    assert got.picture is not None
    assert [int(got.picture.labels[r, c]) for r, c in ((0, 0), (5, 0), (5, 9))] == [3, 2, 1]
    assert "3 colours: each is a source" in got.sentences[-1]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (
            lambda p: save(p, np.zeros((26, 20), np.uint8)),
            "26 x 20 pixels, its picture 20 x 26, as if",
        ),
        (lambda p: save(p, np.zeros((10, 13), np.uint8)), "10 x 13 pixels"),
        (lambda p: tifffile.imwrite(p, np.full(SHAPE, 0.5, np.float32)), "no whole numbers"),
        (lambda p: tifffile.imwrite(p, np.full(SHAPE, np.nan, np.float32)), "no whole numbers"),
        (
            lambda p: save(p, (np.arange(520, dtype=np.uint16) % 300 + 1).reshape(SHAPE)),
            "300 different values from 1 to 300",
        ),
        (lambda p: save(p, np.zeros(SHAPE, np.uint8), format="JPEG"), "is a JPEG"),
        (
            lambda p: save(p, np.arange(1560, dtype=np.uint16).reshape(*SHAPE, 3).astype(np.uint8)),
            "colours, as smoothing makes them",
        ),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "damaged or cut short"),
        (lambda p: None, "does not exist"),
    ],
    ids=["turned", "small", "float", "nan", "300 sources", "jpeg", "smoothed", "damaged", "gone"],
)
def test_masks_of_labels_that_cannot(write: Any, words: str, tmp_path: Path) -> None:
    listed(tmp_path, "m.png")
    write(tmp_path / "m.png")
    got = one(tmp_path, "palette")
    assert got.picture is None
    assert words in got.sentences[-1]


# ------------------------------------------------------------------------------ binary masks


def test_binary_masks_follow_their_readers_rules(tmp_path: Path) -> None:
    """SafireMS greys are black for IMDLBenCo and white for CAT-Net."""
    grey = np.zeros(SHAPE, np.uint8)
    grey[:10] = 100
    picture(tmp_path)
    save(tmp_path / "m.png", grey)
    (tmp_path / "val.txt").write_text("p.png,m.png\np.png,None\n")
    (tmp_path / "val.json").write_text('[["p.png", "m.png"], ["p.png", "Negative"]]')
    white, none = import_pictures(tmp_path, "lists")
    assert white.picture is not None
    assert none.picture is not None
    np.testing.assert_array_equal(white.picture.labels == 2, grey > 0)
    assert white.picture.description.of(1).type == "authentic background"
    assert white.picture.description.of(2).type == "unknown"
    assert (none.picture.sources, none.picture.split) == ((1,), "validation")
    for kind in ("imdlbenco", "forensichub"):
        black, _ = import_pictures(tmp_path, kind)
        assert black.picture is not None
        assert black.picture.sources == (1,)
    smoothed = np.tile(np.linspace(0, 255, 26).astype(np.uint8), (20, 1))
    save(tmp_path / "m.png", smoothed)
    doubtful, _ = import_pictures(tmp_path, "lists")
    assert "grey levels, as JPEG or smoothing makes" in doubtful.sentences[-1]
    assert doubtful.picture is None


def test_records_of_forensichub(tmp_path: Path) -> None:
    picture(tmp_path)
    save(tmp_path / "m.png", np.full(SHAPE, 255, np.uint8))
    records = [
        {"path": "p.png", "mask": "m.png", "label": 1},
        {"path": "p.png", "label": 0},
        {"path": "p.png", "label": 1},
        {"path": "gone.png", "mask": "m.png", "label": 1},
    ]
    (tmp_path / "test.json").write_text(json.dumps(records))
    forged, authentic, bare, gone = import_pictures(tmp_path, "forensichub")
    assert forged.picture is not None
    assert authentic.picture is not None
    assert (forged.picture.sources, authentic.picture.sources) == ((2,), (1,))
    assert "has no mask" in bare.sentences[-1]
    assert "does not exist" in gone.sentences[-1]


def test_folders_that_do_not_pair(tmp_path: Path) -> None:
    for name in ("Tp", "Gt"):
        picture(tmp_path / name, f"{name}.png")
    got = one(tmp_path, "imdlbenco-folders")
    assert got.picture is not None
    assert "got the mask Gt.png, by its position" in got.sentences[0]
    picture(tmp_path / "Tp", "more.png")
    with pytest.raises(DatasetError, match="2 files in Tp and 1 in Gt"):
        one(tmp_path, "imdlbenco-folders")


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_none_of_a_format_is_said(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"give|has no folders"):
        list(import_pictures(tmp_path, kind))
    for name in ("a.txt", "a.json", "metadata.jsonl", "a.parquet", "a.tar"):
        (tmp_path / name).write_text("{{{")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/a.json").write_text("[]")
    with pytest.raises(DatasetError):
        list(import_pictures(tmp_path, kind))
    with pytest.raises(DatasetError, match="does not say which format"):
        list(import_pictures(tmp_path))


# ------------------------------------------------------------------------------ COCO


def coco(folder: Path, *annotations: dict[str, Any], shape: tuple[int, int] = SHAPE) -> Path:
    picture(folder / "train2017")
    image = {"id": 7, "file_name": "p.png", "height": shape[0], "width": shape[1]}
    record = {
        "images": [image],
        "annotations": [
            {"id": n, "image_id": 7, "category_id": 1, **annotation}
            for n, annotation in enumerate(annotations)
        ],
        "categories": [{"id": 1, "name": "dog"}],
    }
    (folder / "annotations").mkdir(exist_ok=True)
    (folder / "annotations/train.json").write_text(json.dumps(record))
    return folder


def packed(mask: np.ndarray) -> dict[str, Any]:
    found = run_lengths.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


def test_objects_that_overlap_leave_pixels_without_source(tmp_path: Path) -> None:
    left, top = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    left[:, :10] = top[:5] = True
    (tmp_path / "train2017").mkdir()
    square = {"segmentation": [[20, 10, 24, 10, 24, 14, 20, 14]]}
    runs = {"segmentation": {"size": list(SHAPE), "counts": [0, 5, SHAPE[0] * SHAPE[1] - 5]}}
    objects = [{"segmentation": packed(left)}, {"segmentation": packed(top)}, square]
    picture(tmp_path / "train2017")
    folder = coco(tmp_path, *objects)
    (folder / "train2017/p.png").rename(folder / "annotations/p.png")
    got = one(folder, "coco")
    assert got.picture is not None
    assert got.unassigned_overlap == 50
    assert "overlap in 50 pixels" in got.sentences[0]
    labels = np.zeros(SHAPE, np.uint8)
    labels[left], labels[top], labels[left & top], labels[10:14, 20:24] = 1, 2, 0, 3
    np.testing.assert_array_equal(got.picture.labels, labels)
    assert got.picture.description.of(1).name == "dog"
    first = one(coco(tmp_path, runs), "coco")
    assert first.picture is not None
    np.testing.assert_array_equal(np.argwhere(first.picture.labels), [[r, 0] for r in range(5)])


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": list(SHAPE), "counts": ""}, "another size"),
        ({"size": list(SHAPE), "counts": "zzzz"}, "cannot be drawn"),
        ({"size": list(SHAPE), "counts": [5, 6]}, "another size"),
        ({"size": list(SHAPE), "counts": [-5, 525]}, "another size"),
        ({"size": [520, 1], "counts": [520]}, "another size"),
        ([[1, 2, 3, 4]], "three points"),
        ([["a", "b", "c", "d", "e", "f"]], "cannot be drawn"),
        ([], "three points"),
        (None, "cannot be drawn"),
    ],
)
def test_objects_that_cannot_be_drawn(segmentation: Any, words: str, tmp_path: Path) -> None:
    """What pycocotools takes on trust would be read from memory that was never written."""
    picture(tmp_path / "annotations")
    got = one(coco(tmp_path, {"segmentation": segmentation}), "coco")
    assert got.picture is None
    assert words in got.sentences[-1]


def test_files_of_coco_that_do_not_fit(tmp_path: Path) -> None:
    picture(tmp_path / "annotations")
    square = {"segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    assert "says 26 x 20" in one(coco(tmp_path, square, shape=(26, 20)), "coco").sentences[-1]
    many = one(coco(tmp_path, *[square] * 256), "coco")
    assert "256 objects, more than the 255" in many.sentences[-1]


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))
)
def test_polygons_along_pixel_edges_lose_nothing(labels: np.ndarray) -> None:
    """Holes, islands and pixels that touch at corners included."""
    layers = []
    for number, rings in region_polygons(labels).items():
        rles = run_lengths.frPyObjects([coco_ring(ring) for ring in rings], *labels.shape)
        layers.append((number, run_lengths.decode(run_lengths.merge(rles))))
        assert all(len(ring) >= 4 for ring in rings)
    drawn, overlapping = overlaid(layers, labels.shape)
    np.testing.assert_array_equal(drawn, labels)
    assert not overlapping


def test_simplified_polygons_say_what_they_lose(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:90, :120]
    labels = (1 + (np.hypot(rows - 45, cols - 60) < 30)).astype(np.uint8)
    labels[np.hypot(rows - 45, cols - 60) < 9] = 0  # a hole in the hole
    labels[0, 0] = 3  # which any tolerance would drop
    whole = labelled(tmp_path / "in", "p.png", (1, 2, 3), shape=(90, 120))
    whole = type(whole)(whole.key, whole.path, "p.png", labels, whole.description)
    exact = export([whole], tmp_path / "exact", "coco-polygons")
    coarse = export([whole], tmp_path / "coarse", "coco-polygons", ExportSettings(tolerance=3))
    assert not exact.changed
    got = one(tmp_path / "coarse", "coco-polygons").picture
    assert got is not None
    lost = np.count_nonzero(got.labels != labels)
    assert coarse.changed == {"p.png": lost}
    assert 0 < coarse.loss < 0.05
    assert f"changed {lost:,} of 10,800 pixels" in coarse.sentences[0]
    assert f"{lost} of 10,800 pixels differ" in (tmp_path / "coarse/README.md").read_text()
    texts = [
        (tmp_path / name / "annotations/all.json").stat().st_size for name in ("exact", "coarse")
    ]
    assert texts[1] < 0.6 * texts[0]


# ------------------------------------------------------------------------------ archives


def test_archives_cannot_write_where_they_like(tmp_path: Path) -> None:
    """Names lead nowhere; a file of that name stays; two samples of one name are told apart."""
    data = [picture(tmp_path / "in", f"{n}.png", (4 + n, 4)).read_bytes() for n in range(2)]
    masks = [io.BytesIO() for _ in data]
    for n, mask in enumerate(masks):
        Image.fromarray(np.ones((4 + n, 4), np.uint8)).save(mask, "PNG")
    with tarfile.open(tmp_path / "val-0.tar", "w") as archive:
        for n, name in enumerate(("../../evil", "/evil")):
            for ending, content in (("png", data[n]), ("mask.png", masks[n].getvalue())):
                member = tarfile.TarInfo(f"{name}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    target = tmp_path / "a" / "b"
    for _ in range(2):
        got = list(import_pictures(tmp_path / "val-0.tar", "webdataset", unpack=target))
        paths = [g.picture.path for g in got if g.picture]
        assert [path.read_bytes() for path in paths] == data
        assert {path.parent for path in paths} == {target}
        assert len(list(tmp_path.rglob("*evil*"))) == 2
    with pytest.raises(DatasetError, match="give a folder to unpack"):
        list(import_pictures(tmp_path / "val-0.tar", "webdataset"))


def test_shards_are_cut_by_part_and_always_the_same(tmp_path: Path) -> None:
    pictures = [
        labelled(tmp_path / "in", f"{n}.png", split="train" if n % 3 else "test")  # type: ignore[arg-type]
        for n in range(7)
    ]
    small = ExportSettings(shard_size=2)
    names = ["test-000000.tar", "test-000001.tar", "train-000000.tar", "train-000001.tar"]
    for out in ("one", "two"):
        export(pictures, tmp_path / out, "webdataset", small)
        assert sorted(p.name for p in (tmp_path / out).glob("*.tar")) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    export(pictures, tmp_path / "three", "huggingface-parquet", small)
    assert sorted(p.name for p in (tmp_path / "three/data").iterdir()) == [
        "test-00000-of-00002.parquet", "test-00001-of-00002.parquet",
        "train-00000-of-00002.parquet", "train-00001-of-00002.parquet",
    ]  # fmt: skip


def test_tables_say_to_datasets_what_is_a_picture(tmp_path: Path) -> None:
    from pyarrow import parquet

    export([labelled(tmp_path / "in", "p.png")], tmp_path / "out", "huggingface-parquet")
    table = parquet.read_table(tmp_path / "out/data/undivided-00000-of-00001.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.schema.names
    assert features["image"] == features["mask"] == {"_type": "Image"}
    row = table.to_pylist()[0]
    assert (row["image"]["path"], row["n_sources"]) == ("p.png", 3)
    assert row["types"] == ["authentic background", "splice", "copy-move target"]


@pytest.mark.parametrize("kind", ["coco", "huggingface", "huggingface-parquet", "webdataset"])
def test_some_formats_hold_types_and_donors_themselves(kind: str, tmp_path: Path) -> None:
    """So they come back without what lies beside an export."""
    whole = labelled(tmp_path / "in", "p.png", (1, 4), split="test")
    export([whole], tmp_path / "out", kind)
    for name in ("export.json", "pictures.jsonl"):
        (tmp_path / "out" / name).unlink()
    got = one(tmp_path / "out", kind, unpack=tmp_path / "unpacked").picture
    assert got is not None
    assert (got.description, got.split) == (whole.description, "test")
    np.testing.assert_array_equal(got.labels, whole.labels)


def test_a_mask_that_was_changed_after_the_export_loses_its_types(tmp_path: Path) -> None:
    export([labelled(tmp_path / "in", "p.png", (1, 2))], tmp_path / "out", "labels-tiff")
    tifffile.imwrite(tmp_path / "out/labels/p.tif", np.full(SHAPE, 8, np.uint16))
    got = one(tmp_path / "out", "labels-tiff")
    assert got.picture is not None
    assert got.picture.sources == (8,)
    assert not got.picture.description.sources
    assert "other sources than when it was exported" in got.sentences[-1]
    assert with_known(got, {}, binary=False) is got


def test_parts_by_name() -> None:
    names = ("Train", "training", "val", "dev", "test", "all", "")
    assert [split_of_name(name) for name in names] == [
        "train", "train", "validation", "validation", "test", "", "",
    ]  # fmt: skip
