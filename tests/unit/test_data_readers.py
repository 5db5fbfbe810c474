"""Images, masks and list files: what is read, what is refused and in which words."""

from __future__ import annotations

import io
import os
import re
import threading
import unicodedata
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageFile
from refusals import refusal
from systems import posix

from napari_safire.atomic import atomic_path
from napari_safire.datasets.catalogue import read_entries
from napari_safire.decoding import limits
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.evaluation.entries import entry_content
from napari_safire.images.files import why_unreadable
from napari_safire.images.list_text import list_root, looks_like_list
from napari_safire.images.lists import ListEntry, parse_list, read_list, write_list
from napari_safire.images.masks import MaskWarning, decode_sources, encode_sources
from napari_safire.images.reading import read_image, write_image_atomic
from napari_safire.images.truth import read_mask

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
DEEP = RNG.integers(0, 65536, (40, 50), dtype=np.uint16)
DEEP_COLOUR = RNG.integers(0, 65536, (40, 50, 3), dtype=np.uint16)


def pillow_bytes(image, format, **options):
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def tiff_bytes(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def put(path, data):
    path.write_bytes(data)
    return path


unread = partial(refusal, ImageReadError, read_image)
unlisted = partial(refusal, DatasetError, read_list)
unmasked = partial(refusal, DatasetError, read_mask)


# ------------------------------------- what is read, beside the table of test_picture_formats


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("grey.gif", pillow_bytes(GREY, "GIF"), np.stack([GREY] * 3, -1)),
        (
            "grey_and_opacity.tif",
            pillow_bytes(Image.fromarray(np.stack([GREY, GREY], -1)), "TIFF"),
            np.stack([GREY] * 4, -1),
        ),
        ("deep_colour.tiff", tiff_bytes(DEEP_COLOUR, compression="zlib"), DEEP_COLOUR),
        ("tiles.tif", tiff_bytes(DEEP_COLOUR, tile=(16, 16)), DEEP_COLOUR),
        ("deep_lzw.tif", pillow_bytes(DEEP, "TIFF", compression="tiff_lzw"), DEEP),
        ("big_endian_float.tif", tiff_bytes(GREY / 7, byteorder=">"), GREY / 7),
        ("dot.png", pillow_bytes(GREY[:1, :1], "PNG"), GREY[:1, :1]),
        ("Größe 测试 é.PNG", pillow_bytes(COLOUR, "PNG"), COLOUR),
    ],
)
def test_pixels_as_stored(tmp_path, name, data, expected):
    image = read_image(str(put(tmp_path / name, data)))
    assert image.pixels.dtype == expected.dtype
    assert image.pixels.dtype.isnative
    assert np.array_equal(image.pixels, expected)
    assert image.warnings == ()


def test_transparent_palette(tmp_path):
    image = Image.fromarray(COLOUR).quantize(16)
    path = put(tmp_path / "palette.png", pillow_bytes(image, "PNG", transparency=3))
    pixels = read_image(path).pixels
    assert pixels.shape == (40, 50, 4)
    assert set(np.unique(pixels[..., 3])) == {0, 255}


@pytest.mark.parametrize(
    ("name", "data", "expected", "words"),
    [
        (
            "pages.tif",
            pillow_bytes(
                GREY,
                "TIFF",
                compression="tiff_lzw",
                save_all=True,
                append_images=[Image.fromarray(GREY)],
            ),
            GREY,
            "first",
        ),
        ("a.jpg", pillow_bytes(COLOUR, "PNG"), COLOUR, "PNG"),
    ],
)
def test_what_is_read_with_a_note(tmp_path, name, data, expected, words):
    path = put(tmp_path / name, data)
    (note,) = read_image(path).warnings
    assert str(path) in note
    assert note.endswith(".")
    assert words in note
    assert np.array_equal(read_image(path).pixels, expected)


def test_damaged_metadata_does_not_matter(tmp_path):
    data = pillow_bytes(COLOUR, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xffgarbage")
    assert read_image(put(tmp_path / "a.jpg", data)).warnings == ()


# ------------------------------------------------------------------------ what is refused

WHOLE = {
    "png": pillow_bytes(COLOUR, "PNG"),
    "jpg": pillow_bytes(COLOUR, "JPEG"),
    "progressive.jpg": pillow_bytes(COLOUR, "JPEG", progressive=True),
    "webp": pillow_bytes(COLOUR, "WEBP"),
    "bmp": pillow_bytes(COLOUR, "BMP"),
    "gif": pillow_bytes(GREY, "GIF"),
    "tif": tiff_bytes(COLOUR, rowsperstrip=8),
    "zlib.tif": tiff_bytes(COLOUR, compression="zlib", rowsperstrip=8),
    "tiles.tif": tiff_bytes(COLOUR, tile=(16, 16)),
    "lzw.tif": pillow_bytes(COLOUR, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nö.png", r"nö\.png does not exist"),
        ("a\0b.png", r"a\\x00b\.png"),
        ("", "is a folder"),
        pytest.param("pipe.png", "not a regular file", marks=posix),  # it is not waited for
        ("link.png", "does not exist"),
    ],
)
def test_paths_where_no_picture_is(tmp_path, name, told):
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    if name == "pipe.png":
        os.mkfifo(tmp_path / name)
    unread(tmp_path / name, match=told)


def test_forbidden(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    path = put(tmp_path / "a.png", WHOLE["png"])
    monkeypatch.setattr(Path, "read_bytes", forbidden)  # file modes do not stop the superuser
    unread(path, match=r"a\.png cannot be read: Permission denied")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.bmp"])
@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is empty"),
        (b"This is no picture.\n" * 50, "not a PNG, JPEG"),
        (b"x", "not a PNG, JPEG"),
        (b"\0" * 5000, "not a PNG, JPEG"),
        (b"%PDF-1.7\n", "not a PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a PNG, JPEG"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not a PNG, JPEG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC"),
        (b"GIF89a", "begins like a GIF"),
        (b"\xff\xd8\xff\xe0", "begins like a JPEG"),
        (b"II*\0\x08\0\0\0", "begins like a TIFF"),
    ],
)
def test_no_picture(tmp_path, name, data, match):
    path = put(tmp_path / name, data)
    assert str(path) in unread(path, match=match)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.99])
def test_cut_short(tmp_path, name, share):
    path = put(tmp_path / f"a.{name}", WHOLE[name][: int(len(WHOLE[name]) * share)])
    assert str(path) in unread(path, match="copy it again")


@pytest.mark.parametrize("n_missing", [1, 4, 12, 13, 16])
def test_png_without_its_end(tmp_path, n_missing):
    path = put(tmp_path / "a.png", WHOLE["png"][:-n_missing])
    unread(path, match="cut short")


def test_cut_short_though_another_plugin_allows_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = put(tmp_path / "a.jpg", WHOLE["jpg"][:-200])
    unread(path, match="cut short")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=6),
)
@example("tif", [(0.0, b"II*\0")])
def test_damage_is_read_or_refused_in_a_sentence(tmp_path_factory, name, patches):
    data = bytearray(WHOLE[name])
    for place, patch in patches:
        # half of the damage goes where the headers are
        start = int(place * len(data)) if place > 0.5 else int(place * 200)
        data[start : start + len(patch)] = patch
    path = tmp_path_factory.mktemp("damage") / f"a.{name}"
    path.write_bytes(data)
    try:
        pixels = read_image(path).pixels
    except ImageReadError as error:
        message = str(error)
    else:
        message = f"{path} was read."
        assert pixels.ndim in (2, 3)
        assert pixels.dtype in (np.uint8, np.uint16, np.float32, np.float64)
    assert str(path) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("array", "options", "match"),
    [
        (
            np.zeros((6, 9, 8), np.uint8),
            {"photometric": "minisblack", "planarconfig": "separate"},
            "6 channels",
        ),
        (np.full((9, 8), -1, np.int16), {}, "from -1 to -1"),
        (np.full((9, 8), 70_000, np.uint32), {}, "70000"),
    ],
)
def test_tiff_that_is_no_picture(tmp_path, array, options, match):
    path = put(tmp_path / "a.tif", tiff_bytes(array, **options))
    unread(path, match=match)


def png_header(width, height):
    """A PNG of this size with hardly any pixels in it."""
    data = bytearray(pillow_bytes(GREY[:1, :1], "PNG"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("width", "height"), [(20_000, 10_001), (30_000, 10_000), (30_000, 30_000), (65_535, 65_535)]
)
def test_more_than_200_megapixels(tmp_path, recwarn, width, height):
    path = put(tmp_path / "bomb.png", png_header(width, height))
    unread(path, match="megapixels")
    assert [str(w.message) for w in recwarn if "bomb" in str(w.message)] == []


def test_more_than_200_megapixels_in_a_tiff(tmp_path):
    path = tmp_path / "bomb.tif"
    row = np.zeros((1, 1000), np.uint8)
    data = tiff_bytes(row)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        tag = tiff.pages.first.tags["ImageLength"]
        place = tag.valueoffset
    patched = bytearray(data)
    patched[place : place + 4] = (300_000).to_bytes(4, "little")
    path.write_bytes(patched)
    unread(path, match="300 megapixels")


def test_pixels_up_to_the_limit_are_read(tmp_path, monkeypatch, recwarn):
    """Pillow by itself warns above 90 megapixels and refuses above 179."""
    path = put(tmp_path / "a.png", WHOLE["png"])
    monkeypatch.setattr(limits, "MAX_PIXELS", COLOUR.shape[0] * COLOUR.shape[1])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(path).pixels.shape == COLOUR.shape
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setattr(limits, "MAX_PIXELS", COLOUR.shape[0] * COLOUR.shape[1] - 1)
    unread(path, match="megapixels")
    assert len(recwarn) == 0


def test_larger_files_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_FILE_BYTES", 100)
    unread(put(tmp_path / "a.png", WHOLE["png"]), match="GiB")


def test_no_memory(tmp_path, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr("napari_safire.decoding.png.decode", exhausted)
    unread(put(tmp_path / "a.png", WHOLE["png"]), match="does not fit in memory")


def test_reading_in_threads(tmp_path):
    path = put(tmp_path / "a.png", WHOLE["png"])
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(read_image(path).pixels)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(pixels, COLOUR) for pixels in results)
    assert len(results) == 8
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


# -------------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", GREY),
        ("a.png", COLOUR),
        ("a.png", DEEP),
        ("a.png", np.dstack([COLOUR, GREY])),
        ("a.tif", GREY),
        ("a.tiff", DEEP),
        ("a.tif", DEEP_COLOUR),
        ("a.tif", GREY / np.float32(255)),
        ("a.tif", COLOUR[::2, ::-1]),
        ("测试 ü.PNG", COLOUR[::2, ::-1]),
    ],
)
def test_written_files_read_back(tmp_path, name, array):
    path = write_image_atomic(tmp_path / name, array)
    image = read_image(path)
    assert image.warnings == ()
    assert image.pixels.dtype == array.dtype
    assert np.array_equal(image.pixels, array)
    assert os.listdir(tmp_path) == [name]


def test_bool_is_written_black_and_white(tmp_path):
    path = write_image_atomic(tmp_path / "a.png", GREY > 9)
    assert np.array_equal(read_image(path).pixels, (GREY > 9) * np.uint8(255))


@pytest.mark.parametrize("shape", [(3, 20, 30), (1, 20, 30), (5, 20, 4)])
def test_a_stack_is_pages(tmp_path, shape):
    stack = RNG.random(shape, dtype=np.float32)
    path = write_image_atomic(tmp_path / "a.tif", stack, stack=True)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == shape[0]
        assert np.array_equal(np.stack([page.asarray() for page in tiff.pages]), stack)


@pytest.mark.parametrize(
    ("name", "array", "options", "error", "match"),
    [
        ("a.jpg", GREY, {}, ValueError, r"\.png, \.tif"),
        ("a", GREY, {}, ValueError, r"\.png, \.tif"),
        ("a.png", DEEP_COLOUR, {}, TypeError, "uint16"),
        ("a.png", GREY / 255, {}, TypeError, "float64"),
        ("a.tif", GREY.astype(np.int64), {}, TypeError, "int64"),
        ("a.png", np.zeros((2, 3, 4, 5), np.uint8), {}, ValueError, r"\(2, 3, 4, 5\)"),
        ("a.png", np.zeros((9, 9, 2), np.uint8), {}, ValueError, r"\(9, 9, 2\)"),
        ("a.png", np.zeros((0, 9), np.uint8), {}, ValueError, r"\(0, 9\)"),
        ("a.png", COLOUR, {"stack": True}, ValueError, "stack"),
        ("a.tif", GREY, {"stack": True}, ValueError, "stack"),
        ("gone/a.png", GREY, {}, SafireError, "does not exist"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, array, options, error, match):
    with pytest.raises(error, match=match):
        write_image_atomic(tmp_path / name, array, **options)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_half_way():
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".txt"
            temporary.write_text("ne")
            assert target.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert os.listdir(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_path_refusals(tmp_path):
    with pytest.raises(SafireError, match="Nothing was written"), atomic_path(tmp_path / "a"):
        pass
    with pytest.raises(SafireError, match="is a folder"), atomic_path(tmp_path):
        pass
    with pytest.raises(SafireError, match="create it first"), atomic_path(tmp_path / "b" / "c"):
        pass


def test_atomic_path_with_the_longest_name(tmp_path):
    with atomic_path(tmp_path / ("ü" * 125 + ".png")) as temporary:
        temporary.write_text("x")
    assert os.listdir(tmp_path) == ["ü" * 125 + ".png"]


# ---------------------------------------------------------------------------------- masks


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int64]),
        hnp.array_shapes(min_dims=2, max_dims=2),
        elements=st.integers(0, 5),
    )
)
def test_sources_round_trip(labels):
    mask = encode_sources(labels)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, labels.astype(int) * 50)
    assert np.array_equal(decode_sources(mask), labels)
    assert decode_sources(mask).dtype == np.uint8


@given(st.integers(-300, 70_000))
def test_every_other_value_is_stray(value):
    mask = np.full((3, 5), value)
    mask[0] = 50
    if value in (0, 50, 100, 150, 200, 250):
        assert decode_sources(mask)[1, 0] == value // 50
    else:
        refusal(DatasetError, decode_sources, mask, match=rf"also {value} \(10 pixels\)")


def test_stray_values_are_listed_by_count():
    mask = np.repeat(np.arange(30), np.arange(30))[None] + 1
    told = refusal(DatasetError, decode_sources, mask)
    assert "also 30 (29 pixels), 29 (28 pixels)" in told
    assert "and 21 other values" in told


@pytest.mark.parametrize("array", [np.zeros((2, 2), float), np.zeros((2, 2), complex)])
def test_masks_are_integers(array):
    for function in (encode_sources, decode_sources):
        with pytest.raises(TypeError, match=str(array.dtype)):
            function(array)
        with pytest.raises(ValueError, match=r"\(2, 2, 3\)"):
            function(np.zeros((2, 2, 3), int))


@pytest.mark.parametrize("label", [6, 255, -1])
def test_labels_that_the_encoding_cannot_hold(label):
    refusal(ValueError, encode_sources, np.array([[0, label]]), match=f"{label}.*0 to 5")


def test_two_sources_as_bool():
    assert np.array_equal(encode_sources(np.array([[False, True]])), [[0, 50]])


# ---------------------------------------------------------------------------------- lists


@pytest.fixture
def dataset(tmp_path):
    """A folder with two images, a binary and a multi-source mask."""
    root = tmp_path / "data"
    (root / "masks").mkdir(parents=True)
    write_image_atomic(root / "a.png", COLOUR)
    write_image_atomic(root / "ß 图.png", COLOUR)
    write_image_atomic(root / "masks" / "a.png", (GREY > 99).astype(np.uint8))
    write_image_atomic(root / "masks" / "sources.png", encode_sources(GREY // 64))
    return root


def write(root, text):
    path = root / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_read_list(dataset):
    path = write(
        dataset,
        "# a comment\n\na.png,masks/a.png\n  ß 图.png , None ,cm, 0.5\r\n"
        "masks/../a.png,masks/sources.png,\n   # another\n",
    )
    assert read_list(path) == [
        ListEntry(dataset / "a.png", dataset / "masks/a.png"),
        ListEntry(dataset / "ß 图.png", None, ("cm", "0.5")),
        ListEntry(dataset / "a.png", dataset / "masks/sources.png", ("",)),
    ]


def test_root_elsewhere_and_absolute_paths_inside_it(dataset, tmp_path):
    path = tmp_path / "elsewhere.txt"
    path.write_text(f"\ufeffa.png,{dataset}/masks/a.png\n", encoding="utf-8")
    assert read_list(path, dataset) == [ListEntry(dataset / "a.png", dataset / "masks/a.png")]


def test_relative_root(dataset, monkeypatch):
    monkeypatch.chdir(dataset.parent)
    write(dataset, "a.png,None")
    assert read_list("data/list.txt") == [ListEntry(dataset / "a.png")]


def test_empty_list(dataset):
    assert read_list(write(dataset, "")) == []


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("../secret.png,None", "leads out"),
        ("a.png,../../secret.png", "leads out"),
        ("masks/../../x.png,None", "leads out"),
        ("/etc/passwd,None", "leads out"),
        ("a.png,/etc/passwd", "leads out"),
        ("../data2/a.png,None", "leads out"),
        (".,None", "leads out"),
        ("a.png", "one field"),
        (",None", "empty"),
        ("a.png,", "empty"),
        ('"a.png,None', "quotes"),
    ],
)
def test_bad_lines_are_told_at_once(dataset, line, match):
    path = write(dataset, f"a.png,None\n{line}\nonly\n")
    told = unlisted(path, match=match)
    assert all(part in told for part in ("line 2:", "line 3: 'only'", str(path)))


def test_missing_files_are_told_at_once(dataset):
    lines = [f"gone{k}.png,masks/gone.png" for k in range(30)]
    path = write(dataset, "\n".join(["a.png,None", *lines, "masks,None"]))
    told = unlisted(path)
    assert all(part in told for part in ("32 files that do not exist", "gone0.png", "and 12 more"))


@pytest.mark.parametrize(
    ("data", "match"),
    [(b"a.png,\xff\xfe\n", "byte 6 is not UTF-8"), (b"a\0.png,None\n", "1 files")],
)
def test_binary_lists(dataset, data, match):
    unlisted(write(dataset, data), match=match)


def test_unreadable_lists(tmp_path):
    unlisted(tmp_path / "gone.txt", match=r"gone\.txt cannot be read")
    unlisted(tmp_path, match="cannot be read")
    refusal(
        DatasetError,
        read_list,
        tmp_path / "gone.txt",
        tmp_path / "nowhere",
        match=r"root folder .*nowhere of .* does not exist",
    )


def test_lists_round_trip(tmp_path):
    names = ["a b.png", 'comma, quote".png', "#hash.png", "#hash, comma.png", "None", "ü/图.png"]
    entries = []
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        entries.append(ListEntry(tmp_path / name, tmp_path / "None", ("x, y", "", "#1")))
        entries.append(ListEntry(tmp_path / name))
    path = write_list(tmp_path / "list.txt", entries)
    assert read_list(path) == entries
    assert "./None" in path.read_text(encoding="utf-8")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=3).map(tuple)
)
@settings(deadline=None, max_examples=50)
def test_extra_fields_round_trip(tmp_path_factory, extra):
    root = tmp_path_factory.mktemp("lists")
    (root / "a").touch()
    entry = ListEntry(root / "a", None, extra)
    unfit = any(field != field.strip() or len(field.splitlines()) > 1 for field in extra)
    if unfit:
        with pytest.raises(ValueError, match="cannot stand in a list file"):
            write_list(root / "list.txt", [entry])
    else:
        assert read_list(write_list(root / "list.txt", [entry])) == [entry]


def test_write_list_refuses_what_it_could_not_read(tmp_path):
    with pytest.raises(ValueError, match="leads out"):
        write_list(tmp_path / "list.txt", [ListEntry(tmp_path.parent / "a.png")])
    with pytest.raises(ValueError, match="line breaks"):
        write_list(tmp_path / "list.txt", [ListEntry(tmp_path / "a\nb.png")])
    assert os.listdir(tmp_path) == []


# --------------------------------------------------------------- lists: names and lines


def test_lines_that_begin_with_a_hash_may_be_entries(dataset):
    write_image_atomic(dataset / "#1.png", COLOUR)
    parsed = parse_list(
        write(
            dataset,
            "# a comment, with a comma\n#1.png,masks/a.png\n #1.png , None\n#2.png,None\n#\n",
        ),
        dataset,
    )
    entry = ListEntry(dataset / "#1.png", dataset / "masks/a.png")
    assert parsed.entries == (entry, ListEntry(dataset / "#1.png"))
    assert parsed.problems == ()
    assert [note.split(" of ")[0] for note in parsed.notes] == ["Line 2", "Line 3"]
    assert "write ./#1.png,masks/a.png" in parsed.notes[0]
    assert parse_list(write(dataset, "./#1.png,None"), dataset).notes == ()
    lost = parse_list(write(dataset, "#1.png"), dataset)  # never skipped without a word
    assert "one field" in lost.problems[0]


def test_names_of_another_unicode_form_or_case_are_found(tmp_path):
    folder = tmp_path / unicodedata.normalize("NFD", "Fälle")
    folder.mkdir()
    for name in ("Café.png", "IMG_1.JPG", "Fall.png", "fall.png"):
        write_image_atomic(tmp_path / "a.png", COLOUR).rename(
            folder / unicodedata.normalize("NFC", name)
        )
    lines = ["Fälle/Café.png,None", "Fälle/img_1.jpg,None", "Fälle/FALL.png,None"]
    path = write(tmp_path, unicodedata.normalize("NFD", "\n".join(lines)))
    parsed = parse_list(path, tmp_path)
    found = [entry.image for entry in parsed.entries]
    assert found[:2] == [folder / "Café.png", folder / "IMG_1.JPG"]
    assert not found[2].exists()  # two files fit: nothing is guessed
    (note,) = parsed.notes  # the Unicode form is nothing to speak of
    assert "names img_1.jpg, the file is called IMG_1.JPG" in note
    unlisted(path, match="1 files that do not exist")


ODD_PATHS = {
    "n" * 300: "File name too long",
    "/".join("a" * 2000): "does not exist|File name too long",
    "x\0y": "null",
    "~nobody/x.png": "does not exist",
    "a.png/b.png": "does not exist",
    "masks": "is a folder",
    "loop": "Too many levels",
}


@posix
@pytest.mark.parametrize("name", ODD_PATHS)
def test_what_keeps_a_path_from_being_read(dataset, name):
    (dataset / "loop").symlink_to(dataset / "loop")
    assert re.search(ODD_PATHS[name], why_unreadable(dataset / name) or "")
    path = write(dataset, f"a.png,None\nß 图.png,None\n{name},None\na.png,{name}\n")
    unlisted(path, match="names 1 files that do not exist or cannot be read")
    listed = read_entries(path)  # half of it is there
    assert len(listed.entries) == 4
    assert re.search(ODD_PATHS[name], listed.lost[listed.entries[2]])
    assert re.search(ODD_PATHS[name], listed.lost[listed.entries[3]])


@posix
def test_pipes_in_lists_and_lists_that_are_pipes_do_not_hang(dataset):
    os.mkfifo(dataset / "pipe.png")
    os.mkfifo(dataset / "list.fifo")
    assert "not a regular file" in why_unreadable(dataset / "pipe.png")
    unlisted(write(dataset, "pipe.png,None"), match="not a regular file")
    unlisted(dataset / "list.fifo", match="not a regular file")
    assert not looks_like_list(dataset / "list.fifo")
    refusal(DatasetError, list_root, dataset / "list.fifo", match="not a regular file")
    entry = ListEntry(dataset / "pipe.png")
    refusal(ImageReadError, entry_content, entry, match="not a regular file")


def test_a_file_that_may_not_be_read(dataset, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # file modes do not stop the superuser
    assert "Permission denied" in why_unreadable(dataset / "a.png")


def test_a_list_whose_root_is_wrong_is_refused(dataset):
    path = write(dataset, "gone1.png,None\ngone2.png,None\na.png,None\n")
    refusal(DatasetError, read_entries, path, match="check the root folder")


def test_a_list_with_names_that_spreadsheets_run(tmp_path):
    for name in ("=1+1.png", "+a.png", "-b.png", "@c.png"):
        (tmp_path / name).touch()
    entries = [ListEntry(path) for path in sorted(tmp_path.iterdir())]
    path = write_list(tmp_path / "list.csv", entries)
    assert all(line.startswith("./") for line in path.read_text().splitlines())
    assert read_list(path) == entries


# ----------------------------------------------------------------------------- read_mask


def test_masks_are_read_by_their_kind(dataset):  # tests/mask_cases.py has all of them
    masks = (dataset / "masks" / f"{name}.png" for name in ("a", "sources"))
    binary, sources = (ListEntry(dataset / "a.png", mask) for mask in masks)
    assert read_mask(binary).dtype == bool
    assert np.array_equal(read_mask(binary, shape=(40, 50)), GREY > 99)
    assert np.array_equal(read_mask(sources, "sources"), GREY // 64)
    assert np.array_equal(read_mask(sources), GREY > 63)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_coloured_masks_count_by_their_grey(tmp_path, dtype):
    colours = np.zeros((1, 4, 3), dtype)
    colours[0, 1] = 1
    colours[0, 2, 2] = 200
    path = put(tmp_path / "mask.tif", tiff_bytes(colours, photometric="rgb"))
    with pytest.warns(MaskWarning, match="3 grey levels"):
        mask = read_mask(ListEntry(path, path))
    assert mask.tolist() == [[False, True, True, False]]


def test_authentic_masks_are_empty(dataset):
    entry = ListEntry(dataset / "a.png")
    assert read_mask(entry).shape == (40, 50)
    assert not read_mask(entry).any()
    labels = read_mask(entry, "sources", shape=(3, 4))
    assert (labels.dtype, labels.shape) == (np.uint8, (3, 4))


def test_bad_masks_are_named(dataset):
    entry = ListEntry(dataset / "a.png", dataset / "masks/a.png")
    unmasked(entry, "sources", match=r"masks.a\.png: .*also 1 \(\d+ pixels\)")
    unmasked(entry, shape=(50, 40), match="40 x 50 pixels, its image 50 x 40")
    path = write_image_atomic(dataset / "float.tif", GREY.astype(np.float32))
    unmasked(ListEntry(path, path), "sources", match="float32")
    empty = ListEntry(dataset / "a.png", put(dataset / "empty.png", b""))
    refusal(ImageReadError, read_mask, empty, match=r"empty\.png is empty")
    with pytest.raises(ValueError, match="'both'"):
        read_mask(ListEntry(dataset / "a.png"), "both")


@pytest.mark.parametrize("heading", ["image,mask", "Path, Mask", '"image","mask_path",note'])
def test_a_heading_of_a_list_is_no_picture(heading, tmp_path):
    """Lists with and without one are read by all commands alike."""
    for name in ("a.png", "b.png"):
        put(tmp_path / name, WHOLE["png"])
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "list.txt").write_text(f"{heading}\na.png,b.png\nb.png,None\n")
    assert list_root(lists / "list.txt") == tmp_path
    assert looks_like_list(lists / "list.txt")
    first, second = read_list(lists / "list.txt", tmp_path)
    assert (first.image.name, first.mask.name, second.mask) == ("a.png", "b.png", None)
