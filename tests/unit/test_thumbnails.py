"""Pictures in small, and a list's worth of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_safire.errors import ImageReadError
from napari_safire.images.thumbnails import SIDE, picture_thumbnail
from napari_safire.session.queue_thumbnails import QueueThumbnails


def halves(height: int = 300, width: int = 400) -> np.ndarray:
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[:, width // 2 :] = (200, 100, 40)
    return pixels


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_picture_in_small_shows_what_it_shows(tmp_path: Path, name: str) -> None:
    Image.fromarray(halves()).save(tmp_path / name, quality=95)
    small = picture_thumbnail(tmp_path / name)
    assert small.shape == (72, SIDE, 3)
    assert small.dtype == np.uint8
    np.testing.assert_allclose(small[:, :40], 30, atol=4)
    np.testing.assert_allclose(small[:, -40:], np.broadcast_to((200, 100, 40), (72, 40, 3)), atol=4)


def test_it_is_as_stored_whatever_the_orientation_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(halves()).save(tmp_path / "turned.jpg", exif=exif)
    assert picture_thumbnail(tmp_path / "turned.jpg").shape == (72, SIDE, 3)


def test_deep_grey_and_tiny_pictures(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 500 * 20).reshape(20, 500).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    small = picture_thumbnail(tmp_path / "deep.png")
    assert small.shape == (4, SIDE, 3)
    assert small.max() > 200
    Image.fromarray(np.full((3, 2), 7, np.uint8)).save(tmp_path / "tiny.png")
    np.testing.assert_array_equal(picture_thumbnail(tmp_path / "tiny.png"), np.full((3, 2, 3), 7))


def test_what_is_cut_short_or_no_picture_is_refused(tmp_path: Path) -> None:
    Image.fromarray(halves()).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "no.jpg").write_bytes(b"nothing")
    for name in ("cut.jpg", "no.jpg", "missing.jpg"):
        with pytest.raises(ImageReadError, match=name):
            picture_thumbnail(tmp_path / name)


# ---------------------------------------------------------------- of a list


class Owner:
    """Makes calls when it is asked to, as the event loop does."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end
            while self.calls:
                self.calls.pop(0)()
            time.sleep(0.002)


def test_the_last_ones_asked_for_come_first_and_bad_ones_have_none(tmp_path: Path) -> None:
    for n in range(4):
        Image.fromarray(np.full((9, 9), 10 * n, np.uint8)).save(tmp_path / f"{n}.png")
    go = threading.Event()

    def locate(key: str) -> Path:
        assert go.wait(20)
        return tmp_path / f"{key}.png"

    owner = Owner()
    thumbnails = QueueThumbnails(owner.calls.append)
    heard: list[str] = []
    thumbnails.known.connect(heard.append)
    thumbnails.of(locate)
    assert [thumbnails.get(key) for key in ("0", "1", "missing", "3")] == [None] * 4
    go.set()
    owner.wait(lambda: len(heard) == 4)
    assert heard == ["0", "3", "missing", "1"]
    found = thumbnails.get("3")
    assert found is not None
    assert found[0, 0].tolist() == [30, 30, 30]
    assert thumbnails.get("missing") is None
    assert len(heard) == 4  # it is not tried again
    thumbnails.close()


def test_another_list_forgets_those_on_their_way(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 9), 50, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((9, 9), 90, np.uint8)).save(tmp_path / "b.png")
    go = threading.Event()

    def slow(key: str) -> Path:
        assert go.wait(20)
        return tmp_path / "a.png"

    owner = Owner()
    thumbnails = QueueThumbnails(owner.calls.append)
    heard: list[str] = []
    thumbnails.known.connect(heard.append)
    thumbnails.of(slow)
    thumbnails.get("x")
    thumbnails.of(lambda key: tmp_path / "b.png")
    assert thumbnails.get("x") is None
    go.set()
    owner.wait(lambda: bool(heard))
    found = thumbnails.get("x")
    assert found is not None
    assert found[0, 0].tolist() == [90, 90, 90]
    thumbnails.close()
