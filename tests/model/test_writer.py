"""Labels layers saved by napari itself, and opened again."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from napari_safire.errors import SafireError
from napari_safire.gui.io.reader import get_reader
from napari_safire.gui.io.writer import write_labels
from napari_safire.images.records.head import FROM_ONE, SOURCES_FORMAT

from .hand import pump

PLUGIN = "napari-safire"
OURS = {"metadata": {"napari_safire": {"numbering": FROM_ONE}}}
LABELS = np.array([[1, 2, 3], [3, 2, 6]], dtype=np.uint8)


def grey(path: Path | str) -> list[list[int]]:
    return np.asarray(Image.open(path)).tolist()


def test_layer_is_saved_as_a_mask(viewer, tmp_path):
    layer = viewer.add_labels(LABELS - 1)
    assert layer.save(tmp_path / "a_mask.png", plugin=PLUGIN) == [str(tmp_path / "a_mask.png")]
    assert grey(tmp_path / "a_mask.png") == [[0, 50, 100], [100, 50, 250]]


def test_napari_finds_the_writer_and_the_suffix(viewer, tmp_path):
    layer = viewer.add_labels(LABELS - 1)
    assert layer.save(tmp_path / "a.png") == [str(tmp_path / "a.png")]
    assert layer.save(tmp_path / "b", plugin=PLUGIN) == [str(tmp_path / "b.png")]


def test_saved_layer_opens_again(viewer, tmp_path):
    viewer.add_labels(LABELS - 1).save(tmp_path / "a_mask.png", plugin=PLUGIN)
    (again,) = viewer.open(tmp_path / "a_mask.png", plugin=PLUGIN)
    pump()
    np.testing.assert_array_equal(again.data, LABELS - 1)


def test_sources_from_one_begin_at_zero_when_every_pixel_has_one(tmp_path):
    (path,) = write_labels(str(tmp_path / "a.png"), LABELS, OURS)
    assert grey(path) == [[0, 50, 100], [100, 50, 250]]


@pytest.mark.parametrize("labels", [[[1, 2, 6]], [[0, 1, 2]], [[0, 0, 2]], [[2, 2, 6]], [[0, 0]]])
def test_a_number_in_a_mask_never_depends_on_which_others_there_are(tmp_path, labels):
    """Grey 50 was source 1 or 2, depending on whether one pixel had no source."""
    (path,) = write_labels(str(tmp_path / "a.png"), np.array(labels), OURS)
    assert grey(path) == [[255 if k == 0 else 50 * (k - 1) for k in row] for row in labels]
    write_labels(str(tmp_path / "b.json"), np.array(labels), OURS)
    record = json.loads((tmp_path / "b.json").read_text())
    assert record["unassigned"] == {"value": 255, "pixels": labels[0].count(0)}
    assert [(s["label"], s["grey_value"]) for s in record["sources"]] == [
        (k, 50 * (k - 1)) for k in sorted(set(labels[0]) - {0})
    ]


def test_other_labels_are_written_as_they_are(tmp_path):
    (path,) = write_labels(str(tmp_path / "a.png"), np.array([[1, 2, 5]]), {})
    assert grey(path) == [[50, 100, 250]]


def test_layer_of_the_plugin_comes_back_from_its_record(viewer, tmp_path):
    prompts = [
        {"row": 0.0, "col": 1.0, "source": 2, "exclude": False},
        {"row": 1.0, "col": 0.0, "source": 3, "exclude": True},
    ]
    about = {
        "numbering": FROM_ONE,
        "image": "photo",
        "image_sha256": "i" * 64,
        "prompts": prompts,
        "confidence": np.float32(0.5),
        "engine": object(),
    }
    layer = viewer.add_labels(LABELS, metadata={"napari_safire": about}, name="sources")
    files = layer.save(tmp_path / "a.json", plugin=PLUGIN)
    assert files == [str(tmp_path / "a.json"), str(tmp_path / "a_sources.png")]
    record = json.loads(Path(files[0]).read_text(encoding="utf-8"))
    assert record["format"] == SOURCES_FORMAT
    assert record["image"]["name"] == "photo"
    assert record["image"]["pixels_sha256"] == "i" * 64
    assert record["layer_name"] == "sources"
    assert record["left_out"] == ["engine"]
    assert record["layer"]["confidence"] == 0.5
    assert record["unassigned"] == {"value": 255, "pixels": 0}
    assert [source["grey_value"] for source in record["sources"]] == [0, 50, 100, 250]
    assert [source["label"] for source in record["sources"]] == [1, 2, 3, 6]
    assert sum(source["area_share"] for source in record["sources"]) == pytest.approx(1)
    assert "napari-safire" in record["versions"]
    assert len(record["layer"]["prompts"]) == 2

    again, points = viewer.open(tmp_path / "a.json", plugin=PLUGIN)
    pump()
    np.testing.assert_array_equal(again.data, LABELS)
    assert again.metadata["napari_safire"]["numbering"] == FROM_ONE
    assert again.colormap.map(0)[3] == 0
    assert points.features["role"].tolist() == ["point", "exclude"]
    np.testing.assert_allclose(points.face_color[0], again.get_color(2))


def test_record_brings_its_picture_back(viewer, tmp_path):
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "p.png")
    viewer.add_labels(LABELS - 1).save(tmp_path / "p_mask.png", plugin=PLUGIN)
    _, labels = viewer.open(tmp_path / "p_mask.png", plugin=PLUGIN)
    labels.data[0, 0] = 4
    labels.save(tmp_path / "work.json", plugin=PLUGIN)
    image, again = viewer.open(tmp_path / "work.json", plugin=PLUGIN)
    pump()
    assert image.data.shape == (2, 3, 3)
    assert again.data[0, 0] == 4


def test_a_layer_may_be_saved_over_its_record_again_but_not_over_anothers(viewer, tmp_path):
    path = tmp_path / "a.json"
    viewer.add_labels(LABELS - 1).save(path, plugin=PLUGIN)
    one, other = (viewer.open(path, plugin=PLUGIN)[0] for _ in range(2))
    for value in (2, 3):
        one.data[0, 0] = value
        one.save(path, plugin=PLUGIN)
    with pytest.raises(SafireError, match="saved by somebody else"):
        other.save(path, plugin=PLUGIN)
    assert viewer.open(path, plugin=PLUGIN)[0].data[0, 0] == 3


def test_planes_of_a_stack_have_a_mask_each(viewer, tmp_path):
    stack = np.stack([LABELS - 1, np.zeros_like(LABELS)])
    layer = viewer.add_labels(stack)
    files = layer.save(tmp_path / "a.png", plugin=PLUGIN)
    assert files == [str(tmp_path / "a_0000.png"), str(tmp_path / "a_0001.png")]
    assert grey(files[1]) == [[0, 0, 0], [0, 0, 0]]
    layer.save(tmp_path / "a.json", plugin=PLUGIN)
    (again,) = viewer.open(tmp_path / "a.json", plugin=PLUGIN)
    np.testing.assert_array_equal(again.data, stack)


def test_planes_of_a_stack_are_numbered_alike(tmp_path):
    stack = np.stack([LABELS, np.zeros_like(LABELS)]).clip(0, 5)
    first, _ = write_labels(str(tmp_path / "a.png"), stack, OURS)
    assert grey(first)[0] == [0, 50, 100]  # whatever the other plane has


def test_lazy_and_multiscale_labels(tmp_path):
    (path,) = write_labels(str(tmp_path / "a.png"), da.from_array(LABELS - 1), {})
    assert grey(path)[1] == [100, 50, 250]
    levels = [LABELS - 1, (LABELS - 1)[::2, ::2]]
    (path,) = write_labels(str(tmp_path / "b.png"), levels, {"multiscale": True})
    assert grey(path)[1] == [100, 50, 250]


@pytest.mark.parametrize(
    ("labels", "attributes", "match"),
    [
        (np.array([[0, 70_000]]), {}, r"reach up to 70000"),
        (np.array([[-1, 0]]), {}, "negative labels"),
        (np.array([[0.5]]), {}, "convert them to integers"),
        (np.zeros((1, 1, 2, 2), int), {}, r"shape \(1, 1, 2, 2\)"),
        (np.zeros(3, int), {}, r"shape \(3,\)"),
        (np.zeros((0, 3), int), {}, r"shape \(0, 3\)"),
        (da.zeros((10_001, 2, 2), dtype=int), {}, "10001 planes"),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.json"])
def test_what_a_mask_cannot_hold(tmp_path, labels, attributes, match, name):
    with pytest.raises(SafireError, match=match):
        write_labels(str(tmp_path / name), labels, attributes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "attributes", "match"),
    [
        (np.array([[0, 6]]), {}, r"reach up to 6, .* 6 sources.*merge sources.*save as .json"),
        (np.array([[1, 7]]), OURS, r"reach up to 7.*labels up to 6"),
    ],
)
def test_more_sources_than_a_mask_holds_go_to_a_tiff_beside_a_record(
    tmp_path, labels, attributes, match
):
    with pytest.raises(SafireError, match=match):
        write_labels(str(tmp_path / "a.png"), labels, attributes)
    assert list(tmp_path.iterdir()) == []
    write_labels(str(tmp_path / "a.json"), labels.clip(0, 2), attributes)
    assert (tmp_path / "a_sources.png").is_file()
    files = write_labels(str(tmp_path / "a.json"), labels, attributes)
    assert files == [str(tmp_path / "a.json"), str(tmp_path / "a_labels.tif")]
    assert not (tmp_path / "a_sources.png").exists()  # the record names it no more
    (again, options, _), *_ = get_reader(files[0])(files[0])
    np.testing.assert_array_equal(again, labels)
    assert ("numbering" in options["metadata"]["napari_safire"]) == bool(attributes)


def test_a_layer_that_cannot_be_saved_says_why_and_leaves_the_old_file(viewer, tmp_path):
    (path,) = write_labels(str(tmp_path / "a.png"), LABELS - 1, {})
    before = Path(path).read_bytes()
    with pytest.raises(SafireError, match="merge sources"):
        viewer.add_labels(LABELS * 20).save(path, plugin=PLUGIN)
    assert Path(path).read_bytes() == before


def test_failure_on_the_last_plane_leaves_nothing(tmp_path):
    def plane(block_info=None):
        if block_info[None]["chunk-location"][0] == 1 and (tmp_path / "armed").exists():
            raise OSError("the disk is gone")
        return np.zeros((1, 2, 2), np.uint8)

    stack = da.map_blocks(plane, chunks=((1, 1), (2,), (2,)), dtype=np.uint8)

    class Failing:
        """Readable while its range is asked for, then no more."""

        shape, dtype, ndim = stack.shape, stack.dtype, stack.ndim
        min, max = stack.min, stack.max

        def __getitem__(self, index):
            (tmp_path / "armed").touch()
            return stack[index]

    with pytest.raises(SafireError, match=r"cannot be written: the disk is gone"):
        write_labels(str(tmp_path / "a.json"), Failing(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["armed"]


def test_pictures_that_nobody_named_are_not_overwritten(tmp_path):
    picture = tmp_path / "a_sources.png"
    Image.fromarray(np.full((2, 3, 3), 7, np.uint8)).save(picture)
    before = picture.read_bytes()
    with pytest.raises(SafireError, match="it is no mask: choose another name"):
        write_labels(str(tmp_path / "a.json"), LABELS - 1, {})
    assert picture.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a_sources.png"]


def test_saving_twice_replaces_masks(tmp_path):
    write_labels(str(tmp_path / "a.json"), LABELS - 1, {})
    write_labels(str(tmp_path / "a.json"), LABELS * 0, {})
    assert grey(tmp_path / "a_sources.png") == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("a.jpg", "does not end in .png or .json"),
        ("missing/a.png", "does not exist"),
        ("missing/a.json", "does not exist"),
    ],
)
def test_impossible_paths(tmp_path, path, match):
    with pytest.raises(SafireError, match=match):
        write_labels(str(tmp_path / path), LABELS - 1, {})


shapes = array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=6)
dtypes = st.sampled_from([np.uint8, np.int32, np.uint64])


@st.composite
def saved_labels(draw):
    ours = draw(st.booleans())
    low, high = draw(st.sampled_from([(0, 5), (1, 6)])) if ours else (0, 5)
    labels = draw(arrays(draw(dtypes), draw(shapes), elements=st.integers(low, high)))
    return labels, OURS if ours else {}


@settings(max_examples=25, deadline=None)
@given(saved_labels())
def test_record_round_trip(saved):
    labels, attributes = saved
    with TemporaryDirectory() as folder:
        path = f"{folder}/a.json"
        write_labels(path, labels, attributes)
        (again, options, kind), *_ = get_reader(path)(path)
        assert kind == "labels"
        np.testing.assert_array_equal(again, labels)
        numbering = options["metadata"]["napari_safire"].get("numbering")
        assert (numbering == FROM_ONE) == bool(attributes)


@settings(max_examples=25, deadline=None)
@given(saved_labels())
def test_mask_round_trip(saved):
    labels, attributes = saved
    if bool(attributes) and labels.min() == 0:
        labels = labels.clip(1)  # what has no source is read through its record alone
    shift = int(bool(attributes))
    with TemporaryDirectory() as folder:
        files = write_labels(f"{folder}/a_mask.png", labels, attributes)
        planes = labels if labels.ndim == 3 else [labels]
        for file, plane in zip(files, planes, strict=True):
            renamed = file.replace(".png", "_mask.png")
            Path(file).rename(renamed)
            ((again, _, _),) = get_reader(renamed)(renamed)
            np.testing.assert_array_equal(again, plane - plane.dtype.type(shift))
