"""Folders of pictures beside folders of masks, and the traps of the SafireMS layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refusal

from napari_safire.errors import DatasetError, ImageReadError
from napari_safire.images.list_text import list_root, looks_like_list
from napari_safire.images.lists import ListEntry
from napari_safire.images.mask_pairs import (
    FolderPair,
    find_folder_pairs,
    is_source_mask_name,
    pair_pictures,
    picture_of_mask,
)
from napari_safire.images.truth import mask_kind, read_labels
from napari_safire.synthesis.dataset_writer import DatasetPlan, write_dataset
from napari_safire.synthesis.photos import Photo

MASK = np.array([[0, 50], [100, 250]], dtype=np.uint8)


def put(root: Path, *names: str, pixels: np.ndarray = MASK) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)


def paired(root: Path, folder: str = ".") -> dict[str, str | None]:
    """Pictures and their masks, as paths below the root."""
    (pair,) = find_folder_pairs(root / folder)
    return {
        entry.image.relative_to(root).as_posix(): entry.mask.relative_to(root).as_posix()
        for entry in pair_pictures(pair).entries
    }


@pytest.mark.parametrize("sources", [2, 3, 4])
@pytest.mark.parametrize("given", [".", "ms{}_images", "ms{}_masks"])
def test_expert_folders(tmp_path, sources, given):
    names = ["0100_a.jpg.png_sp_sp.png", "0101_b.png"]
    put(tmp_path, *(f"ms{sources}_{part}/{name}" for part in ("images", "masks") for name in names))
    found = paired(tmp_path, given.format(sources))
    assert found == {f"ms{sources}_images/{name}": f"ms{sources}_masks/{name}" for name in names}


def test_the_parent_of_several_folders_gives_all(tmp_path):
    put(tmp_path, "ms3_images/a.png", "ms3_masks/a.png", "ms2_images/a.png", "ms2_masks/a.png")
    assert [pair.name for pair in find_folder_pairs(tmp_path)] == ["ms2_images", "ms3_images"]


def test_folders_one_level_further_down_are_found(tmp_path):
    put(tmp_path, "cm/x_imgs/a.png", "cm/x_masks/a.png", "sp/y_imgs/a.png", "sp/y_masks/a.png")
    put(tmp_path, "other/a.png")
    assert [pair.name for pair in find_folder_pairs(tmp_path)] == ["x_imgs", "y_imgs"]


def test_splicing_masks_share_only_the_number(tmp_path):
    put(tmp_path, "splicing_imgs/000129_65_8787.jpg.png.png", "splicing_imgs/000198_329.png.png")
    put(tmp_path, "splicing_masks/000129_118_2421.jpg.png.png", "splicing_masks/000198_261.png.png")
    assert paired(tmp_path) == {
        "splicing_imgs/000129_65_8787.jpg.png.png": "splicing_masks/000129_118_2421.jpg.png.png",
        "splicing_imgs/000198_329.png.png": "splicing_masks/000198_261.png.png",
    }


@pytest.mark.parametrize("part", ["imgs", "masks"])
def test_a_number_that_occurs_twice_pairs_nothing(tmp_path, part):
    put(tmp_path, "s_imgs/000129_a.png", "s_masks/000129_b.png", f"s_{part}/000129_c.png")
    put(tmp_path, "s_imgs/same.png", "s_masks/same.png")
    (pair,) = find_folder_pairs(tmp_path)
    result = pair_pictures(pair)
    assert [entry.image.name for entry in result.entries] == ["same.png"]
    assert {path.name for path in result.without_mask} >= {"000129_a.png"}


def test_several_strengths_share_one_mask(tmp_path):
    put(tmp_path, "inpainting_sd/002/0.8_4795_11.png", "inpainting_sd/002/0.95_4795_11.png")
    put(tmp_path, "inpainting_sd_mask/002/4795_11.png", "inpainting_sd_mask/003/4795_11.png")
    mask = "inpainting_sd_mask/002/4795_11.png"
    assert paired(tmp_path) == {
        "inpainting_sd/002/0.8_4795_11.png": mask,
        "inpainting_sd/002/0.95_4795_11.png": mask,
    }
    assert picture_of_mask(tmp_path / mask) == tmp_path / "inpainting_sd/002/0.8_4795_11.png"


def test_removal_masks_lie_in_the_same_subfolder(tmp_path):
    put(tmp_path, "rm/inpainting/004/1_2.png", "rm/inpainting_mask/004/1_2.png")
    put(tmp_path, "rm/inpainting/005/1_2.png")
    assert paired(tmp_path) == {"rm/inpainting/004/1_2.png": "rm/inpainting_mask/004/1_2.png"}


def test_a_picture_of_another_format_has_the_mask_of_its_name(tmp_path):
    put(tmp_path, "x_imgs/a.jpg", "x_masks/a.png")
    (tmp_path / "x_imgs" / "notes.txt").write_text("not a picture")
    assert paired(tmp_path) == {"x_imgs/a.jpg": "x_masks/a.png"}


def test_a_data_set_of_ours_follows_its_list(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    put(tmp_path, "one.png", "two.png", pixels=photo)
    photos = [Photo(tmp_path / f"{name}.png", name, "train") for name in ("one", "two")]
    write_dataset(photos, tmp_path / "set", DatasetPlan(2, (64, 64)))
    for given in ("set", "set/images", "set/masks"):
        (pair,) = find_folder_pairs(tmp_path / given)
        assert pair.name == "set"
        entries = pair_pictures(pair).entries
        assert [entry.mask.name for entry in entries] == ["00000.png", "00001.png"]
        assert read_labels(entries[0]).max() == 1


@pytest.mark.parametrize(
    "names",
    [
        ["images/a.png", "masks/a.png"],  # of some other program
        ["x_imgs/a.png"],
        ["ms6_images/a.png", "ms6_masks/a.png"],
        ["a.png"],
    ],
)
def test_other_folders_are_not_ours(tmp_path, names):
    put(tmp_path, *names)
    assert find_folder_pairs(tmp_path) == ()


def test_what_is_no_folder_has_no_pairs(tmp_path):
    put(tmp_path, "a.png")
    assert find_folder_pairs(tmp_path / "a.png") == ()
    assert find_folder_pairs(tmp_path / "missing") == ()


def test_folders_without_any_pair_say_so(tmp_path):
    put(tmp_path, "x_imgs/a.png", "x_masks/b.png")
    refusal(
        DatasetError,
        pair_pictures,
        FolderPair(tmp_path / "x_imgs", tmp_path / "x_masks"),
        match=r"No picture in .* has a mask",
    )


def test_a_mask_beside_its_picture(tmp_path):
    put(tmp_path, "a.png", "a_mask.png", "b_sources.png", "c.png", "c.jpg", "c_mask.png")
    assert picture_of_mask(tmp_path / "a_mask.png") == tmp_path / "a.png"
    assert picture_of_mask(tmp_path / "b_sources.png") is None
    assert picture_of_mask(tmp_path / "c_mask.png") is None  # two could be meant
    assert picture_of_mask(tmp_path / "missing" / "d_mask.png") is None


def test_a_mask_in_a_folder_of_masks(tmp_path):
    put(tmp_path, "ms2_images/a.png", "ms2_masks/a.png", "ms2_masks/lonely.png")
    assert picture_of_mask(tmp_path / "ms2_masks/a.png") == tmp_path / "ms2_images/a.png"
    assert picture_of_mask(tmp_path / "ms2_masks/lonely.png") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_mask.png", True),
        ("a_Sources.png", True),
        ("masks/a.png", True),
        ("inpainting_mask/004/a.png", True),
        ("unmasked.png", False),
        ("a.png", False),
        ("mask.d/x/y/a.png", False),
    ],
)
def test_names_of_masks(name, expected):
    assert is_source_mask_name(Path("/data") / name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.png,b.png\n", True),
        ("# lists\n\n  a.jpg , None,3\n", True),
        ('"a, b.png"\n', False),
        ("a.png\n", False),
        ("Hello, world\n", False),
        ("index,axis-0,axis-1\n0,1.0,2.0\n", False),  # points as napari saves them
        ("a.png,b\n", False),
        ("", False),
    ],
)
def test_the_begin_of_list_files(tmp_path, text, expected):
    file = tmp_path / "list.txt"
    file.write_text(text)
    assert looks_like_list(file) == expected


def test_unreadable_files_are_no_lists(tmp_path):
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81a.png,b.png")
    assert not looks_like_list(tmp_path / "binary.txt")
    assert not looks_like_list(tmp_path / "missing.txt")
    assert not looks_like_list(tmp_path)
    assert not looks_like_list("nu\0ll.txt")


def test_a_list_in_a_folder_of_lists_is_relative_to_the_folder_above(tmp_path):
    put(tmp_path, "set/a.png")
    (tmp_path / "lists").mkdir()
    for place, root in (("list.txt", tmp_path), ("lists/list.txt", tmp_path)):
        (tmp_path / place).write_text("# made by hand\nset/a.png,None\n")
        assert list_root(tmp_path / place) == root
    (tmp_path / "lists" / "lost.txt").write_text("set/lost.png,None\n")
    assert list_root(tmp_path / "lists" / "lost.txt") == tmp_path / "lists"


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("ms3_masks/a.png", "sources"),
        ("sp/splicing_post_processing_0_0_masks/a.png", "binary"),
        ("gn/inpainting_pp_sd_mask/002/a.png", "binary"),
        ("my_masks/a.png", None),
        ("a.png", None),
    ],
)
def test_encoding_by_folder(mask, expected):
    assert mask_kind(mask) == expected


def test_labels_by_value(tmp_path):
    put(tmp_path, "grey.png")
    put(tmp_path, "black_white.png", pixels=np.array([[0, 255]], dtype=np.uint8))
    put(tmp_path, "stray.png", pixels=np.array([[0, 51]], dtype=np.uint8))
    put(tmp_path, "inpainting_mask/a.png", pixels=np.array([[0, 7]], dtype=np.uint8))

    def labels(name):
        return read_labels(ListEntry(tmp_path / name, tmp_path / name)).tolist()

    assert labels("grey.png") == [[0, 1], [2, 5]]
    assert labels("black_white.png") == [[0, 1]]
    assert labels("inpainting_mask/a.png") == [[0, 1]]
    refusal(DatasetError, labels, "stray.png", match=r"stray.png: .*51 \(1 pixels\)")


def test_labels_of_another_size_or_missing(tmp_path):
    put(tmp_path, "a.png")
    entry = ListEntry(tmp_path / "a.png", tmp_path / "a.png")
    refusal(DatasetError, read_labels, entry, shape=(3, 3), match="make them the same size")
    refusal(
        ImageReadError,
        read_labels,
        ListEntry(tmp_path / "a.png", tmp_path / "b.png"),
        match="does not exist",
    )


def test_authentic_pictures_have_one_source(tmp_path):
    put(tmp_path, "a.png")
    assert read_labels(ListEntry(tmp_path / "a.png")).tolist() == [[0, 0], [0, 0]]
