"""Pictures decoded in a process that can do nothing else: the same pixels, and no way out."""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_cases import CASES
from PIL import Image
from refusals import refusal

from napari_safire import forensics
from napari_safire.errors import ImageReadError, SafireError
from napari_safire.images.reading import image_shape, read_image
from napari_safire.images.sandbox import SandboxedDecoder, SandboxLimits
from napari_safire.images.sandbox import reader as reader_module
from napari_safire.images.sandbox.messages import (
    Untrusted,
    array_of,
    coefficients_of,
    decoding_of,
    pixels_of,
    shared_copy,
    texts_of,
)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the sandbox is of Linux"
)
# The first of each format, and some of all others; test_picture_formats reads them all.
_FIRST = {Path(case.name).suffix: case for case in reversed(CASES)}
PNG = _FIRST[".png"].name
SOME = [case for n, case in enumerate(CASES) if n % 14 == 0 or case in _FIRST.values()]


@pytest.fixture(scope="module")
def decoder() -> Iterator[SandboxedDecoder]:
    with SandboxedDecoder() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    for case in SOME:
        (made / case.name).write_bytes(case.make())
    return made


def said(read: Any, path: Path) -> Any:
    try:
        found = read(path)
    except ImageReadError as error:
        return str(error)
    pixels = found.pixels
    shown = (found.path, found.sha256, found.format, found.warnings, found.decoding)
    return (*shown, pixels.shape, pixels.dtype, pixels.tobytes())


def test_pictures_are_read_or_refused_as_without_a_sandbox(
    decoder: SandboxedDecoder, folder: Path
) -> None:
    for case in SOME:
        path = folder / case.name
        assert said(decoder.read, path) == said(read_image, path), case.name


def test_pixels_are_ones_own(decoder: SandboxedDecoder, folder: Path) -> None:
    found = decoder.read(folder / PNG)
    found.pixels[:] = 7
    assert (decoder.read(folder / PNG).pixels != 7).any()
    assert decoder.shape(folder / PNG) == image_shape(folder / PNG)


def test_coefficients_come_from_the_sandbox_as_well(
    decoder: SandboxedDecoder, folder: Path
) -> None:
    path = folder / _FIRST[".jpg"].name
    mine = forensics.Picture.read(path).coefficients
    theirs = forensics.Picture(mine.luminance.astype(np.uint8), decoder.read(path)).coefficients
    np.testing.assert_array_equal(theirs.blocks, mine.blocks)
    np.testing.assert_array_equal(theirs.table, mine.table)
    assert (theirs.sampling, theirs.shape) == (mine.sampling, mine.shape)
    with pytest.raises(ValueError, match=PNG):
        decoder.coefficients(folder / PNG)


def test_a_child_that_dies_is_a_sentence_and_another_one_goes_on(
    decoder: SandboxedDecoder, folder: Path
) -> None:
    decoder.read(folder / PNG)
    (child,) = decoder._idle
    child._process.kill()
    child._process.wait()
    text = refusal(ImageReadError, decoder.read, folder / PNG)
    assert "ended the process that decodes it (signal 9)" in text
    assert decoder.read(folder / PNG).format == "PNG"


def test_too_much_memory_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (9000, 9000)).save(path, compress_level=1)
    with SandboxedDecoder(SandboxLimits(memory_bytes=100 << 20)) as small:
        text = refusal(ImageReadError, small.read, path)
    assert "memory" in text or "sandbox gives" in text or "ended the process" in text


def test_children_are_replaced_and_closed_ones_answer_no_more(folder: Path) -> None:
    with SandboxedDecoder(SandboxLimits(pictures=1)) as once:
        once.read(folder / PNG)
        assert once._idle == []
    with pytest.raises(SafireError, match="closed"):
        once.read(folder / PNG)


TRIED = """
import ctypes, json, os, socket, subprocess, sys, threading
from napari_safire.images.sandbox.confining import confine
told = {"filtered": confine(200 << 20)}

def tried(what):
    try:
        what()
    except MemoryError:
        return "MemoryError"
    except OSError as error:
        return type(error).__name__
    return "done"

def thread():
    one = threading.Thread(target=int); one.start(); one.join()

def in_memory():  # no addresses: the limit of those does not count it
    file = os.memfd_create("x")
    for _ in range(220):
        os.write(file, bytes(1 << 20))

for name, what in {
    "memory file": in_memory,
    "write": lambda: open(sys.argv[1] + "/written", "w"),
    "append": lambda: open(sys.argv[1] + "/there", "a"),
    "remove": lambda: os.remove(sys.argv[1] + "/there"),
    "rename": lambda: os.rename(sys.argv[1] + "/there", sys.argv[1] + "/x"),
    "folder": lambda: os.mkdir(sys.argv[1] + "/folder"),
    "mode": lambda: os.chmod(sys.argv[1] + "/there", 0o777),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "network": lambda: socket.socket(),
    "program": lambda: subprocess.run(["/bin/true"]),
    "fork": os.fork,
    "kill": lambda: os.kill(os.getppid(), 0),
    "gigabytes": lambda: bytearray(2 << 30),
    "read": lambda: open(sys.argv[1] + "/there").read(),
    "thread": thread,
}.items():
    told[name] = tried(what)
print(json.dumps(told))
"""


def test_what_a_child_may_not_do(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    ran = subprocess.run(
        [sys.executable, "-c", TRIED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    told = json.loads(ran.stdout)
    if not told.pop("filtered"):
        pytest.skip("this system filters no calls")
    assert (told.pop("gigabytes"), told.pop("memory file")) == ("MemoryError", "OSError")
    assert (told.pop("read"), told.pop("thread")) == ("done", "done")
    assert set(told.values()) == {"PermissionError"}, told
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


# --------------------------------------------------------- answers that no decoder gives


GOOD: dict[str, Any] = {"dtype": "uint8", "shape": [4, 5, 3]}


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"dtype": "float16"},
        {"dtype": None},
        {"shape": [4, 5]},
        {"shape": [4, 5, 3, 1]},
        {"shape": [4, 15]},
        {"shape": [-4, 5, 3]},
        {"shape": [4.0, 5, 3]},
        {"shape": [True, 60, 1]},
        {"shape": [2**40, 2**40]},
        {"shape": "x"},
        {"shape": None},
    ],
)
def test_pixels_that_are_none_are_not_taken(change: dict[str, Any]) -> None:
    if change == {"shape": [4, 15]}:  # as large, another picture: a child's own affair
        file = shared_copy("a", bytes(60))
        assert pixels_of(GOOD | change, [file]).shape == (4, 15)
        os.close(file)
        return
    file = shared_copy("a", bytes(60))
    with pytest.raises(Untrusted):
        pixels_of(GOOD | change, [file])
    os.close(file)


def test_memory_that_can_still_change_is_not_taken() -> None:
    file = os.memfd_create("a", os.MFD_ALLOW_SEALING)
    os.ftruncate(file, 60)
    with mmap.mmap(file, 60), pytest.raises(Untrusted):
        array_of(file, [4, 5, 3], "uint8", 1000)
    os.close(file)
    file = os.memfd_create("a")  # nobody can seal it
    os.ftruncate(file, 60)
    with pytest.raises(Untrusted):
        array_of(file, [4, 5, 3], "uint8", 1000)
    os.close(file)


def test_memory_that_was_taken_can_not_be_taken_away() -> None:
    file = shared_copy("a", bytes(range(60)))
    taken = pixels_of(GOOD, [file])
    with pytest.raises(PermissionError):
        os.ftruncate(file, 0)
    assert taken.flat[59] == 59
    os.close(file)


@pytest.mark.parametrize(
    "decoding",
    [None, {}, {"format": "PNG"}, {"format": 3, "shape": [4, 5]}, {"shape": [0, 5]}, []],
)
def test_decodings_that_are_none_are_not_taken(decoding: Any) -> None:
    with pytest.raises(Untrusted):
        decoding_of({"decoding": decoding})


def test_texts_are_made_printable_and_bounded() -> None:
    assert texts_of(["a\x1b[2J"]) == ("a\\x1b[2J",)
    assert len(texts_of(["a" * 10**6])[0]) < 10_000
    for odd in (None, "x", [1], ["a"] * 10**5):
        with pytest.raises(Untrusted):
            texts_of(odd)


def test_coefficients_that_are_none_are_not_taken() -> None:
    good = {
        "blocks": [1, 1, 8, 8], "tables": np.ones((1, 8, 8), int).tolist(), "numbers": [0],
        "sampling": [[1, 1]], "shape": [8, 8], "progressive": False,
    }  # fmt: skip
    file = shared_copy("a", bytes(128))
    assert coefficients_of(good, [file]).blocks.shape == (1, 1, 8, 8)
    odd = {"numbers": [3]}, {"numbers": []}, {"tables": [[1]]}, {"blocks": [1, 8, 8]}
    for change in (*odd, {"sampling": None}, {"shape": [8]}, {"tables": [["x"]]}):
        with pytest.raises(Untrusted):
            coefficients_of(good | change, [file])
    os.close(file)


def test_an_answer_that_is_none_ends_the_child_and_is_a_sentence(
    decoder: SandboxedDecoder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module._Child, "ask", lambda *_: ({"dtype": "object"}, []))
    text = refusal(ImageReadError, decoder.read, folder / PNG)
    assert "made its decoder answer what none answers" in text


def test_another_system_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "Linux" in refusal(SafireError, SandboxedDecoder)
