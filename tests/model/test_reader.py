"""The reader, asked by napari itself and directly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from corpus_stand_in import manifest
from napari.components import ViewerModel
from napari.errors import ReaderPluginError
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Points
from napari.utils.notifications import notification_manager
from PIL import Image

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.forgery import NO_EVIDENCE
from napari_safire.gui.io import reader
from napari_safire.gui.io.queue_reader import read_queue
from napari_safire.gui.io.reader import get_reader
from napari_safire.gui.layers.colours import MUTED_NAME
from napari_safire.gui.layers.parts import is_overlay
from napari_safire.images.files import file_sha256
from napari_safire.images.masks import encode_sources
from napari_safire.images.reading import read_image
from napari_safire.images.records.head import EXAMINATION_FORMAT
from napari_safire.palette import source_colour

from .hand import pump

PLUGIN = "napari-safire"
SHAPE = (40, 60)


def columns(n_sources: int = 3, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Sources as columns of equal width."""
    rows = np.arange(shape[1]) * n_sources // shape[1]
    return np.tile(rows, (shape[0], 1)).astype(np.uint8)


def put_picture(path: Path, value: int = 99, shape: tuple[int, int] = SHAPE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), value, np.uint8)).save(path)
    return path


def put_mask(path: Path, labels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(encode_sources(columns() if labels is None else labels)).save(path)
    return path


def put_record(folder: Path, picture: Path, **changes: object) -> Path:
    """An export as `examination.export` writes it, by hand."""
    put_mask(folder / "p_sources.png")
    heat = np.linspace(0, 65535, SHAPE[0] * SHAPE[1]).astype(np.uint16).reshape(SHAPE)
    tifffile.imwrite(folder / "p_heatmap.tif", heat)
    record = {
        "format": EXAMINATION_FORMAT,
        "image": {"path": str(picture), "file_sha256": read_image(picture).sha256},
        "partition": {
            "sources": [
                {"source": 0, "confidence": 0.9, "prompt": [5.0, 2.0]},
                {"source": 1, "confidence": None, "prompt": [5.0, 30.0]},
            ],
            "prompts": [[5.0, 2.0], [5.0, 30.0], [7.0, 50.0]],
            "prompt_sources": [0, 1, -1],
        },
        "regions": [{"prompt": [9.0, 9.5], "confidence": 0.5}],
        "files": {"sources": "p_sources.png", "heatmap": "p_heatmap.tif"},
        "files_sha256": {file.name: file_sha256(file) for file in folder.iterdir()},
    }
    record.update(changes)
    (folder / "p.json").write_text(json.dumps(record))
    return folder / "p.json"


def opened(viewer: ViewerModel, path: Path) -> list:
    layers = viewer.open(path, plugin=PLUGIN)
    pump()
    return layers


def notices() -> str:
    """Everything that napari has told its user since the test began."""
    return " ".join(str(record.message) for record in notification_manager.records)


@pytest.fixture(autouse=True)
def _no_notices():
    notification_manager.records.clear()


def write_list(root: Path, sizes: list[tuple[int, int]]) -> Path:
    lines = []
    for number, shape in enumerate(sizes):
        put_picture(root / f"p{number}.png", number, shape)
        put_mask(root / f"m{number}.png", columns(3, shape))
        lines.append(f"p{number}.png,m{number}.png\n")
    (root / "list.txt").write_text("".join(lines))
    return root / "list.txt"


# ------------------------------------------------------------------------------- lists


def test_list_of_equal_sizes_is_one_stack(viewer, tmp_path):
    image, labels = opened(viewer, write_list(tmp_path, [SHAPE] * 4))
    assert (image.name, labels.name) == ("list", "list: sources")
    assert image.rgb
    assert image.data.shape == (4, *SHAPE, 3)
    assert labels.data.shape == (4, *SHAPE)
    for number in range(4):
        viewer.dims.set_point(0, number)
        pump()
        assert viewer.layers[0].get_value((number, 5, 5)).tolist() == [number] * 3
    np.testing.assert_array_equal(labels.data[2], columns())
    assert image.metadata["napari_safire"]["images"][3] == str(tmp_path / "p3.png")


def test_pictures_of_a_stack_are_read_when_they_are_shown(tmp_path, monkeypatch):
    listed = write_list(tmp_path, [SHAPE] * 3)
    read = []
    monkeypatch.setattr(
        reader, "read_image", lambda path: read.append(Path(path).name) or read_image(path)
    )
    image, _ = reader.read_list_file(listed)
    assert read == []
    np.asarray(image[0][1])
    assert read == ["p1.png"]


def test_stack_of_labels_can_be_painted_on(viewer, tmp_path):
    _, labels = opened(viewer, write_list(tmp_path, [SHAPE] * 2))
    labels.paint((1, 20, 30), 5)
    assert labels.data[1, 20, 30] == 5


def test_masks_that_are_too_many_are_read_when_they_are_shown(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_MASK_PIXELS", 2 * SHAPE[0] * SHAPE[1])
    listed = write_list(tmp_path, [SHAPE] * 3)
    Image.fromarray(np.full(SHAPE, 7, np.uint8)).save(tmp_path / "m2.png")
    _, labels = opened(viewer, listed)
    np.testing.assert_array_equal(np.asarray(labels.data[0]), columns())
    with pytest.raises(DatasetError, match=r"m2.png: .*7 \(2400 pixels\)"):
        np.asarray(labels.data[2])


def test_list_of_different_sizes_is_pairs_of_layers(viewer, tmp_path):
    layers = opened(viewer, write_list(tmp_path, [SHAPE, (30, 50)]))
    assert [layer.name for layer in layers] == ["p0", "p0: sources", "p1", "p1: sources"]
    assert layers[3].data.shape == (30, 50)


def test_more_pairs_than_are_opened_are_counted(viewer, tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MOST_PAIRS", 2)
    layers = opened(viewer, write_list(tmp_path, [(20, 20 + n) for n in range(5)]))
    assert len(layers) == 4
    assert "3 of the 5 pictures of list were left out" in notices()


def test_authentic_entry_has_one_source(viewer, tmp_path):
    put_picture(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png,None\n")
    _, labels = opened(viewer, tmp_path / "list.txt")
    assert labels.data.shape == SHAPE
    assert not labels.data.any()


def test_binary_masks_are_zero_and_one(viewer, tmp_path):
    put_picture(tmp_path / "a.png")
    Image.fromarray((columns(2) * 255).astype(np.uint8)).save(tmp_path / "b.png")
    (tmp_path / "list.txt").write_text("a.png,b.png\n")
    _, labels = opened(viewer, tmp_path / "list.txt")
    np.testing.assert_array_equal(labels.data, columns(2))


def test_csv_that_is_called_a_list(viewer, tmp_path):
    listed = write_list(tmp_path, [SHAPE])
    listed.rename(tmp_path / "my_list_1.csv")
    assert len(opened(viewer, tmp_path / "my_list_1.csv")) == 2


@pytest.mark.parametrize("sizes", [[SHAPE] * 2, [SHAPE, (30, 50)]])
def test_stray_values_open_nothing(viewer, tmp_path, sizes):
    listed = write_list(tmp_path, sizes)
    Image.fromarray(np.full(sizes[1], 51, np.uint8)).save(tmp_path / "m1.png")
    with pytest.raises(DatasetError, match=r"m1.png: .*51 \(\d+ pixels\): save it again"):
        viewer.open(listed, plugin=PLUGIN)
    assert len(viewer.layers) == 0


def test_stray_values_are_one_sentence_when_napari_chooses_the_reader(viewer, tmp_path):
    listed = write_list(tmp_path, [SHAPE])
    Image.fromarray(np.full(SHAPE, 51, np.uint8)).save(tmp_path / "m0.png")
    with pytest.raises(ReaderPluginError) as caught:
        viewer.open(listed, plugin=None)
    assert isinstance(caught.value.__cause__, DatasetError)
    assert len(viewer.layers) == 0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("p0.png,m0.png\nlost.png,m0.png\n", "names 1 files that do not exist"),
        ("p0.png,m0.png\nalone\n", "line 2"),
        ("p0.png,m1.png\n", "make them the same size"),
    ],
)
def test_wrong_lists_are_told_in_a_sentence(tmp_path, text, match):
    write_list(tmp_path, [SHAPE, (30, 50)])
    (tmp_path / "list.txt").write_text(text)
    path = str(tmp_path / "list.txt")
    with pytest.raises(DatasetError, match=match):
        get_reader(path)(path)


def test_picture_that_changed_after_opening_is_refused(tmp_path):
    image, _ = reader.read_list_file(write_list(tmp_path, [SHAPE] * 2))
    put_picture(tmp_path / "p1.png", shape=(30, 50))
    with pytest.raises(reader.ImageReadError, match="open the folder again"):
        np.asarray(image[0][1])


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("RGBA", "png"), ("P", "png"), ("I;16", "png"), ("CMYK", "jpg"), ("1", "tif")],
)
def test_stacks_of_every_kind_of_picture(tmp_path, mode, suffix):
    picture = Image.fromarray(columns() * 40)
    picture = picture.convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)
    lines = []
    for number in range(2):
        picture.save(tmp_path / f"p{number}.{suffix}")
        lines.append(f"p{number}.{suffix},None\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    (stack, options, _), _ = reader.read_list_file(tmp_path / "list.txt")
    expected = read_image(tmp_path / f"p1.{suffix}").pixels
    assert (stack.shape, stack.dtype) == ((2, *expected.shape), expected.dtype)
    assert options["rgb"] == (expected.ndim == 3)
    np.testing.assert_array_equal(np.asarray(stack[1]), expected)


def test_warnings_and_decodings_of_a_stack_are_told(tmp_path):
    lines = []
    for number, orientation in enumerate((1, 6, 3)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(columns() * 40).save(tmp_path / f"p{number}.jpg", exif=exif)
        lines.append(f"p{number}.jpg,None\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    (_, options, _), _ = reader.read_list_file(tmp_path / "list.txt")
    about = options["metadata"]["napari_safire"]
    assert [made["orientation"] for made in about["decodings"]] == [1, 6, 3]
    assert len(about["reading_warnings"]) == 2
    assert "p1.jpg asks to be shown turned" in notices()


# -------------------------------------------------------------------------------- TIFF


def test_tiff_opens_as_everywhere_else(viewer, tmp_path):
    """napari's own reader refuses LZW where imagecodecs is not installed."""
    path = tmp_path / "photo.tif"
    colours = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    Image.fromarray(colours).save(path, compression="tiff_lzw", tiffinfo={274: 6})
    (image,) = opened(viewer, path)
    np.testing.assert_array_equal(image.data, colours)
    assert image.rgb
    assert image.source.path == str(path)
    about = image.metadata["napari_safire"]
    assert about["decoding"] == read_image(path).decoding.as_record()
    assert about["image_file_sha256"] == read_image(path).sha256
    assert about["reading_warnings"] == list(read_image(path).warnings)
    assert "orientation 6" in notices()


def test_tiff_of_true_and_false_is_not_inverted(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "mask.tiff", columns(2) > 0)
    (image,) = opened(viewer, tmp_path / "mask.tiff")
    np.testing.assert_array_equal(image.data > 0, columns(2) > 0)


def test_record_of_labels_holds_how_their_picture_was_read(viewer, tmp_path):
    Image.fromarray(columns() * 40).save(tmp_path / "p.tif", compression="tiff_lzw")
    put_mask(tmp_path / "p_mask.png")
    _, labels = opened(viewer, tmp_path / "p_mask.png")
    labels.save(tmp_path / "work.json", plugin=PLUGIN)
    record = json.loads((tmp_path / "work.json").read_text())
    assert record["image"]["decoding"] == read_image(tmp_path / "p.tif").decoding.as_record()
    assert record["image"]["decoding"]["compression"] == "LZW"


def test_bad_tiff_is_one_sentence(viewer, tmp_path):
    (tmp_path / "cut.tif").write_bytes(b"II*\0\x08\0\0\0")
    with pytest.raises(ImageReadError, match=r"cut\.tif begins like a TIFF"):
        opened(viewer, tmp_path / "cut.tif")
    assert len(viewer.layers) == 0


# ----------------------------------------------------------------------------- folders


@pytest.mark.parametrize("given", ["", "ms3_images", "ms3_masks"])
def test_folder_opens_by_itself_or_by_its_parent(viewer, tmp_path, given):
    for name in ("a", "b"):
        put_picture(tmp_path / f"ms3_images/{name}.png")
        put_mask(tmp_path / f"ms3_masks/{name}.png")
    image, labels = opened(viewer, tmp_path / given)
    assert isinstance(image, ImageLayer)
    assert isinstance(labels, Labels)
    assert (image.name, labels.name) == ("ms3_images", "ms3_images: sources")
    np.testing.assert_array_equal(labels.data, np.stack([columns()] * 2))
    for source in range(6):
        shown = labels.colormap.map(source)
        np.testing.assert_allclose(shown[:3] * 255, source_colour(source), atol=0.5)


def test_pictures_without_mask_are_counted(viewer, tmp_path):
    put_picture(tmp_path / "x_imgs/a.png")
    put_picture(tmp_path / "x_imgs/b.png")
    put_mask(tmp_path / "x_masks/a.png")
    assert len(opened(viewer, tmp_path)) == 2
    assert "1 pictures in" in notices()


# ------------------------------------------------------------------------------- masks


def test_mask_opens_with_the_picture_beside_it(viewer, tmp_path):
    put_picture(tmp_path / "a.png")
    image, labels = opened(viewer, put_mask(tmp_path / "a_mask.png"))
    assert (image.name, labels.name) == ("a", "a: sources")
    np.testing.assert_array_equal(labels.data, columns())
    assert labels.metadata["napari_safire"]["image_path"] == str(tmp_path / "a.png")


def test_mask_without_its_picture_opens_alone(viewer, tmp_path):
    (labels,) = opened(viewer, put_mask(tmp_path / "a_sources.png", columns(6)))
    assert labels.name == "a_sources"
    assert set(np.unique(labels.data)) == set(range(6))


def test_mask_in_a_folder_of_masks_brings_its_picture(tmp_path):
    put_picture(tmp_path / "ms2_images/a.png")
    mask = put_mask(tmp_path / "ms2_masks/a.png")
    read = get_reader(str(mask))
    assert [layer[2] for layer in read(str(mask))] == ["image", "labels"]


def test_mask_of_another_size_than_its_picture_opens_nothing(viewer, tmp_path):
    put_picture(tmp_path / "a.png", shape=(30, 50))
    with pytest.raises(DatasetError, match="make them the same size"):
        viewer.open(put_mask(tmp_path / "a_mask.png"), plugin=PLUGIN)
    assert len(viewer.layers) == 0


def test_warnings_of_a_picture_are_shown(viewer, tmp_path):
    Image.new("CMYK", SHAPE[::-1]).save(tmp_path / "a.jpg")
    opened(viewer, put_mask(tmp_path / "a_mask.png"))
    assert "CMYK colours" in notices()


# ------------------------------------------------------------------------ foreign files


def test_ordinary_pictures_open_without_a_question(viewer, tmp_path):
    layers = viewer.open(put_picture(tmp_path / "photo.png"), plugin=None)
    assert layers[0].source.reader_plugin == "napari"


def test_points_of_napari_open_without_a_question(viewer, tmp_path):
    viewer.add_points([(1.0, 2.0)]).save(tmp_path / "points.csv")
    (points,) = viewer.open(tmp_path / "points.csv", plugin=None)
    assert isinstance(points, Points)


def foreign_files(root: Path) -> list[Path]:
    made = [put_picture(root / name) for name in ("photo.png", "face_mask.png", "masks/c.png")]
    Image.fromarray(np.full(SHAPE, 51, np.uint8)).save(root / "smooth_mask.png")
    Image.fromarray((columns(2) * 255).astype(np.uint8)).save(root / "binary_mask.png")
    put_mask(root / "grey.png")
    texts = {
        "empty.txt": "",
        "letter_list.csv": "Dear, Sir\n",
        "points_list.csv": "index,axis-0,axis-1\n0,1,2\n",
        "other.json": '{"format": "geojson"}',
        "list.json": "[1, 2]",
        "broken_mask.png": "no picture",
        "empty_mask.png": "",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / "noise.txt").write_bytes(bytes(range(256)))
    (root / "cut_mask.png").write_bytes((root / "grey.png").read_bytes()[:60])
    (root / "empty").mkdir()
    names = [*texts, "noise.txt", "cut_mask.png", "smooth_mask.png", "binary_mask.png", "grey.png"]
    return [*made, *(root / name for name in names), root / "empty", root / "missing_mask.png"]


def test_foreign_files_are_left_to_others(tmp_path):
    for path in foreign_files(tmp_path):
        assert get_reader(str(path)) is None, path


def test_a_table_of_paths_is_gone_through(tmp_path, monkeypatch):
    table = tmp_path / "look.txt"
    table.write_text("path\na.png\n")
    assert get_reader(str(table)) is read_queue
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    with pytest.raises(DatasetError, match="opened in the dock SAFIRE Curate"):
        read_queue(table)


def test_results_of_a_corpus_are_gone_through_and_foreign_folders_left_to_others(tmp_path):
    results = manifest(tmp_path / "results", [("../a.png", 0.5)])
    assert get_reader(str(results)) is read_queue
    (results / "job.json").write_text('{"format": "of another program", "version": 1}')
    assert get_reader(str(results)) is None
    (results / "job.json").write_text("[]")
    assert get_reader(str(results)) is None


@pytest.mark.parametrize(
    "path", ["https://example.org/a_mask.png", "nu\0ll_mask.png", "nu\0ll.json", "", []]
)
def test_what_is_no_path_is_left_to_others(path):
    assert get_reader(path) is None


def test_files_to_be_stacked_are_left_to_others(tmp_path):
    assert get_reader([str(put_mask(tmp_path / "a_mask.png"))]) is None


# ----------------------------------------------------------------------------- records


def test_record_opens_everything(viewer, tmp_path):
    picture = put_picture(tmp_path / "p.png")
    image, labels, heatmap, grid, prompts = opened(viewer, put_record(tmp_path, picture))
    names = ["p", "p: sources", "p: forgery map (no evidence)", "p: grid of prompts", "p: prompts"]
    assert [layer.name for layer in viewer.layers] == names
    assert image.rgb
    assert heatmap.colormap.name == MUTED_NAME
    assert heatmap.metadata["napari_safire"]["caveat"] == NO_EVIDENCE
    assert heatmap.data.dtype == np.float32
    assert (heatmap.data.min(), heatmap.data.max()) == (0, 1)
    assert [is_overlay(layer) for layer in (image, heatmap)] == [False, True]
    np.testing.assert_array_equal(labels.data, columns())
    assert not grid.visible
    assert grid.features["source"].tolist() == [0, 1, -1]
    np.testing.assert_array_equal(prompts.data, [[5, 2], [5, 30], [9, 9.5]])
    assert prompts.features["role"].tolist() == ["representative", "representative", "point"]
    assert prompts.features["confidence"].round(3).tolist()[::2] == [0.9, 0.5]
    assert np.isnan(prompts.features["confidence"][1])
    np.testing.assert_allclose(prompts.face_color[1, :3] * 255, source_colour(1), atol=0.5)
    assert notices() == ""


@pytest.mark.parametrize(
    ("forgery", "glows"),
    [
        ({"verdict": "forged"}, True),
        ({"verdict": "no forgery found"}, False),
        ({"verdict": "inconclusive"}, False),
        (None, False),
    ],
)
def test_only_the_map_of_a_forged_verdict_glows(viewer, tmp_path, forgery, glows):
    picture = put_picture(tmp_path / "p.png")
    heatmap = opened(viewer, put_record(tmp_path, picture, forgery=forgery))[2]
    assert (heatmap.colormap.name == "magma") == glows
    assert ("no evidence" in heatmap.name) == (not glows)


def test_record_moved_with_its_picture(viewer, tmp_path):
    picture = put_picture(tmp_path / "p.png")
    record = put_record(tmp_path, picture)
    text = json.loads(record.read_text())
    text["image"]["path"] = "/gone/with/the/wind/p.png"
    record.write_text(json.dumps(text))
    assert opened(viewer, record)[0].name == "p"
    assert len(viewer.layers) == 5


def test_record_of_a_picture_that_changed_or_is_gone(viewer, tmp_path):
    picture = put_picture(tmp_path / "p.png")
    record = put_record(tmp_path, picture)
    put_picture(picture, value=1)
    assert len(opened(viewer, record)) == 4
    assert "is another file than the one that was examined" in notices()
    picture.unlink()
    notification_manager.records.clear()
    assert len(opened(viewer, record)) == 4
    assert "is not there any more" in notices()


def test_record_without_prompts_has_no_points(viewer, tmp_path):
    record = put_record(tmp_path, put_picture(tmp_path / "p.png"), partition=None, regions=[])
    assert len(opened(viewer, record)) == 3


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"files": {"sources": "../p_sources.png"}}, "is not a file beside it"),
        ({"files": {"sources": "lost.png"}}, "lost.png is missing"),
        ({"files": {"sources": "p.png"}}, r"p.png: A SafireMS mask holds"),
        ({"files": None}, "is damaged"),
        ({"image": "p.png"}, "is damaged"),
        ({"regions": [{"prompt": [1.0]}]}, "is damaged"),
        ({"partition": {"prompts": [[1, 2]], "prompt_sources": []}}, "is damaged"),
    ],
)
def test_damaged_records_are_told_in_a_sentence(tmp_path, changes, match):
    record = str(put_record(tmp_path, put_picture(tmp_path / "p.png"), **changes))
    with pytest.raises(DatasetError, match=match):
        get_reader(record)(record)


def test_record_cut_short(viewer, tmp_path):
    record = put_record(tmp_path, put_picture(tmp_path / "p.png"))
    record.write_text(record.read_text()[:-20])
    with pytest.raises(DatasetError, match="cannot be read"):
        viewer.open(record, plugin=PLUGIN)
    assert len(viewer.layers) == 0
