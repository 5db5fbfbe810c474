"""Views of files: structure, metadata, thumbnails; whatever anybody put into them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_safire import forensics
from napari_safire.decoding.structure.walk import walk
from napari_safire.forensics.file.metadata import read_metadata
from napari_safire.forensics.file.thumbnail import thumbnail_pixels
from napari_safire.text import printable

_EXIF_IFD, _MAKE, _SOFTWARE, _CHANGED, _TAKEN = 0x8769, 0x010F, 0x0131, 0x0132, 0x9003


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=90, **options)
    return file.getvalue()


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    rows, cols = np.mgrid[:96, :128]
    waves = np.stack([rows * 2, cols, 128 + 60 * np.sin(rows / 9) * np.cos(cols / 13)], axis=-1)
    return np.clip(waves, 0, 255).astype(np.uint8)


def exif(**tags: str) -> Image.Exif:
    found = Image.Exif()
    numbers = {"make": _MAKE, "software": _SOFTWARE, "changed": _CHANGED}
    for name, value in tags.items():
        if name == "taken":
            found.get_ifd(_EXIF_IFD)[_TAKEN] = value
        else:
            found[numbers[name]] = value
    return found


def with_thumbnail(data: bytes, thumbnail: bytes) -> bytes:
    """Put an Exif segment with a thumbnail behind the start of a JPEG."""
    head = b"II*\0" + struct.pack("<I", 8)
    first = struct.pack("<HHHI4sI", 1, _MAKE, 2, 4, b"Own\0", 26)
    entries = [(0x0103, 3, 1, 6), (0x0201, 4, 1, 26 + 42), (0x0202, 4, 1, len(thumbnail))]
    second = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *e) for e in entries) + b"\0" * 4
    body = b"Exif\0\0" + head + first + second + thumbnail
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def view(tmp_path: Path, data: bytes, name: str, suffix: str = ".jpg") -> forensics.Evidence:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    return forensics.views(path)[name].result


# ---------------------------------------------------------------- containers


def test_a_whole_jpeg_is_walked_to_its_end(pixels):
    found = walk(jpeg(pixels))
    assert found is not None
    assert found.ended
    assert found.parts[0].what == "start"
    assert [part.what for part in found.parts if part.name == "FFDB"] == ["quantisation tables"] * 2
    assert found.parts[-1].what == "end"
    sizes = sum(part.size for part in found.parts)
    assert sizes == len(jpeg(pixels))  # nothing between the parts


@pytest.mark.parametrize("make", [jpeg, png])
@pytest.mark.parametrize(
    ("more", "what"),
    [(b"PK\x03\x04rest", "a ZIP archive"), (b"..\xff\xd8\xff\xe0", "a JPEG"), (b"notes", "")],
)
def test_what_lies_behind_the_end_is_told(tmp_path, pixels, make, more, what):
    suffix = f".{make.__name__}"
    found = view(tmp_path, make(pixels) + more, "file", suffix)
    assert found.finding.startswith(f"{len(more)} bytes follow the picture's end")
    assert found.finding.endswith(what)


@pytest.mark.parametrize("make", [jpeg, png])
def test_a_file_that_was_cut_short_says_so(pixels, make):
    data = make(pixels)
    for length in (3, 20, len(data) // 2, len(data) - 2):
        found = walk(data[:length])
        if found is not None:
            assert not found.ended
            assert "cut short" in found.damage or "beyond the file's end" in found.damage


def test_a_chunk_that_was_changed_has_a_wrong_checksum(pixels):
    data = png(pixels)
    text = b"tEXtAuthor\0A"
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    whole = data[:33] + chunk + data[33:]
    assert not any(part.remark for part in walk(whole).parts)
    changed = whole.replace(b"Author\0A", b"Author\0B")
    assert [part.name for part in walk(changed).parts if part.remark] == ["tEXt"]


@given(
    st.binary(max_size=300),
    st.sampled_from([b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"\x89PNG\r\n\x1a\n"]),
)
def test_any_bytes_are_walked_without_an_error(data, begin):
    found = walk(begin + data)
    assert found is not None
    assert all(part.offset + part.size <= len(begin + data) for part in found.parts)


# ---------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    ("tags", "name", "remark"),
    [
        ({"make": "Own", "software": "Adobe Photoshop 25.1"}, "Image Software", "by an editor"),
        (
            {"make": "Own", "taken": "2020:01:01 10:00:00", "changed": "2021:01:01 10:00:00"},
            "Image DateTime",
            "saved again",
        ),
        (
            {"make": "Own", "taken": "2020:01:01 10:00:00", "changed": "2019:01:01 10:00:00"},
            "Image DateTime",
            "earlier than it was taken",
        ),
        ({"make": "Own", "changed": "yesterday"}, "Image DateTime", "no date"),
        ({"software": "v1.0"}, "Image Make", "missing"),
    ],
)
def test_what_does_not_fit_is_noticed(tmp_path, pixels, tags, name, remark):
    found = view(tmp_path, jpeg(pixels, exif=exif(**tags)), "metadata")
    noticed = {row.name: row.remark for row in found.remarks()}
    assert list(noticed) == [name]
    assert remark in noticed[name]


def test_a_camera_s_own_tags_are_nothing_to_notice(tmp_path, pixels):
    tags = {"make": "Own", "taken": "2020:01:01 10:00:00", "changed": "2020:01:01 10:00:00"}
    found = view(tmp_path, jpeg(pixels, exif=exif(**tags)), "metadata")
    assert not list(found.remarks())
    assert "to notice" not in found.finding


def test_text_that_obeys_terminals_or_browsers_is_shown_not_obeyed(tmp_path, pixels):
    found = view(
        tmp_path, jpeg(pixels, exif=exif(make="<b>\x1b[2J\u202e" + "x" * 5000)), "metadata"
    )
    value = next(row.value for row in found.table if row.name == "Image Make")
    assert "\x1b" not in value
    assert len(value) <= 200


def test_a_picture_without_exif_says_so(tmp_path, pixels):
    assert view(tmp_path, jpeg(pixels), "metadata").finding == "no Exif"


@given(st.binary(max_size=400))
def test_any_exif_is_read_or_refused_without_an_error(data):
    body = b"Exif\0\0" + data
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    found = read_metadata(b"\xff\xd8" + segment + b"\xff\xd9")
    thumbnail_pixels(found.thumbnail)
    assert all(printable(value) == value for value in found.tags.values())


# ---------------------------------------------------------------- thumbnails


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Shapes of all sizes, alike nowhere, neither turned nor shifted."""
    rng = np.random.default_rng(3)
    channels = []
    for _ in range(3):
        noise = [gaussian_filter(rng.normal(size=(240, 320)), s) * s**1.5 for s in (3, 8, 20, 40)]
        channels.append(sum(noise) / np.std(sum(noise)))
    return np.clip(128 + 50 * np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def small(pixels: np.ndarray) -> bytes:
    size = (80, round(80 * pixels.shape[0] / pixels.shape[1]))
    return jpeg(np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)))


def test_a_thumbnail_of_the_picture_fits(tmp_path, pixels):
    found = view(tmp_path, with_thumbnail(jpeg(pixels), small(pixels)), "thumbnail")
    assert found.finding == "shows the same picture"
    assert found.score < 0.05
    assert found.map.cell == 2


def test_a_thumbnail_with_black_bars_fits(tmp_path, pixels):
    wide = pixels[:64]  # 2 : 1 in a thumbnail of 4 : 3
    bars = np.zeros((48, 64, 3), np.uint8)
    bars[8:40] = np.asarray(Image.fromarray(wide).resize((64, 32), Image.Resampling.BOX))
    found = view(tmp_path, with_thumbnail(jpeg(wide), jpeg(bars)), "thumbnail")
    assert found.finding == "shows the same picture"


def test_a_thumbnail_of_another_picture_is_told(tmp_path, pixels):
    other = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
    found = view(tmp_path, with_thumbnail(jpeg(pixels), small(other)), "thumbnail")
    assert found.finding == "shows another picture"
    assert found.score > 3
    assert found.table[0].remark


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_that_was_turned_after_its_thumbnail_is_the_same(tmp_path, scene, quarters):
    data = with_thumbnail(jpeg(np.rot90(scene, quarters)), small(scene))
    found = view(tmp_path, data, "thumbnail")
    assert found.finding == f"shows the same picture, turned by {360 - 90 * quarters} degrees"
    assert found.score < 1
    assert not list(found.remarks())


def test_a_crop_that_kept_the_thumbnail_is_told(tmp_path, scene):
    found = view(tmp_path, with_thumbnail(jpeg(scene[40:200, 60:280]), small(scene)), "thumbnail")
    assert found.finding == "shows more than the picture, which was cropped"
    assert found.score < 1.5


@pytest.mark.parametrize("change", ["shifted", "brighter", "saved again"])
def test_what_cameras_and_honest_editing_do_is_no_difference(tmp_path, scene, change):
    small_one = np.asarray(Image.open(io.BytesIO(small(scene))))
    picture = scene
    if change == "shifted":
        small_one = np.roll(small_one, (2, 3), (0, 1))
    elif change == "brighter":
        picture = (255 * (scene / 255.0) ** 0.7).astype(np.uint8)
    quality = 40 if change == "saved again" else 90
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=quality)
    found = view(tmp_path, with_thumbnail(file.getvalue(), jpeg(small_one)), "thumbnail")
    assert found.finding == "shows the same picture"
    assert found.score < 1


def test_proportions_that_bars_do_not_explain_are_told(tmp_path, scene):
    found = view(tmp_path, with_thumbnail(jpeg(scene[30:-30]), small(scene)), "thumbnail")
    assert "Exif thumbnail, proportions" in {row.name for row in found.remarks()}


def test_what_was_added_to_the_picture_is_bright_in_the_difference(tmp_path, scene):
    edited = scene.copy()
    edited[80:130, 100:160] = scene[10:60, 210:270]
    found = view(tmp_path, with_thumbnail(jpeg(edited), small(scene)), "thumbnail")
    difference = found.map.at_size(edited.shape[:2])
    assert np.nanmean(difference[85:125, 105:155]) > 3 * np.nanmean(difference[150:])
    assert found.finding == "shows the same picture, but something in it differs"
    assert found.score > 1.5


@pytest.mark.parametrize("thumbnail", [b"", b"\xff\xd8\xff", b"no picture at all"])
def test_a_damaged_thumbnail_is_none(tmp_path, pixels, thumbnail):
    found = view(tmp_path, with_thumbnail(jpeg(pixels), thumbnail), "thumbnail")
    assert found.finding == "no thumbnail in the file"
