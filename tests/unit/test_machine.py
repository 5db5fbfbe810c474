"""What is said of the machine: complete, readable, and true."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_safire import Engine, __version__, load_model
from napari_safire.engine import machine
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.machine import Device, as_text, describe_machine, devices
from napari_safire.model import SafireModel, model_path
from napari_safire.model.safire import resolve_device


@pytest.fixture(scope="module")
def lite() -> SafireModel:
    return load_model("safire-lite", device="cpu")


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cards, the second of which does not tell its memory."""

    def memory_of(index: int) -> tuple[int, int]:
        if index == 1:
            raise RuntimeError("CUDA error: device is busy")
        return 5 * 2**30, 8 * 2**30

    cards = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        current_device=lambda: 0,
        get_device_name=lambda index: f"Card {index}",
        mem_get_info=memory_of,
    )
    monkeypatch.setattr(torch, "cuda", cards)


def test_every_device_can_be_loaded_by_its_name():
    found = devices()
    assert found[0].name == "auto"
    assert "cpu" in [device.name for device in found]
    for device in found:
        assert resolve_device(device.name).type in ("cpu", "cuda", "mps")
        assert device.description
        assert device.available_bytes is None or device.available_bytes > 0


def test_auto_is_what_the_model_would_choose():
    assert devices()[0].description.startswith(str(resolve_device("auto")))


def test_cards_are_listed_with_name_and_memory(two_cards: None):
    auto, first, second, *others = devices()
    assert first == Device("cuda:0", "Card 0", 5 * 2**30)
    assert second == Device("cuda:1", "Card 1", None)
    assert auto.description.startswith("cuda:0")
    assert auto.available_bytes == 5 * 2**30
    assert others[-1].name == "cpu"
    lines = describe_machine()
    assert lines["Device cuda:0"] == "Card 0, 5.0 GiB available"
    assert lines["Device cuda:1"] == "Card 1, memory unknown"


@pytest.mark.parametrize(
    ("named", "seen"),
    [("", ("0", "1")), ("3, 5", ("3", "5")), ("MIG-a,MIG-b,7", ("MIG-a", "MIG-b"))],
)
def test_cards_are_named_as_another_process_must_be_told(
    two_cards: None, monkeypatch: pytest.MonkeyPatch, named: str, seen: tuple[str, ...]
):
    monkeypatch.setenv(machine.CARDS, named)
    assert machine.visible_cards() == seen


def test_without_a_card_none_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(machine.CARDS, "0,1")
    assert machine.visible_cards() == ()


def test_apple_gpu_is_listed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    auto, mps, cpu = devices()
    assert (mps.name, cpu.name) == ("mps", "cpu")
    assert auto.description.startswith("mps")
    assert mps.available_bytes == cpu.available_bytes


def test_the_description_names_all_that_a_report_of_trouble_needs():
    lines = describe_machine()
    assert next(iter(lines)) == "napari-safire"
    assert lines["napari-safire"] == __version__
    assert lines["torch"] == torch.__version__
    assert lines["numpy"] == np.__version__
    assert lines["Python"].endswith(".".join(map(str, sys.version_info[:3])))
    for name in ("napari", "segment-anything", "scikit-learn", "Platform", "Device cpu"):
        assert lines[name]
    assert "PyQt6" in lines["Qt binding"]
    assert lines["Memory"].endswith("GiB")
    assert "available of" in lines["Memory"]
    assert "Model" not in lines
    assert "Cache folder" not in lines
    assert all(isinstance(value, str) and value for value in lines.values())


def test_neither_napari_nor_qt_is_imported(monkeypatch: pytest.MonkeyPatch):
    known = describe_machine()
    for name in ("napari", "qtpy", "PyQt6", "segment_anything"):
        monkeypatch.setitem(sys.modules, name, None)  # whoever imports it fails
    fresh = runpy.run_path(str(machine.__file__))  # reviewed: what our own module imports
    assert fresh["describe_machine"]().keys() == known.keys()


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> str:
        raise machine.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", missing)
    lines = describe_machine()
    assert lines["napari"] == lines["Qt binding"] == lines["segment-anything"] == "not installed"


def test_model_and_cache_are_described(lite: SafireModel, tmp_path: Path):
    cache = EmbeddingCache(tmp_path / "embeddings", max_bytes=3 * 2**20)
    engine = Engine(lite, cache=cache)
    engine.embed(np.zeros((256, 256), dtype=np.uint8))
    lines = describe_machine(engine)
    assert lines["Model"] == "safire-lite"
    assert lines["Architecture"] == "lite"
    assert lines["Parameters"] == f"{sum(p.numel() for p in lite.parameters()):,}"
    assert lines["Device of the model"] == "cpu"
    assert lines["Checkpoint SHA-256"] == lite.checkpoint_sha256
    assert len(lite.checkpoint_sha256) == 64
    assert model_path("safire-lite").is_file()
    assert lines["Cache folder"] == str(cache.folder)
    assert lines["Cache entries"] == "1"
    assert lines["Cache size"].endswith("KiB of at most 3.0 MiB")
    assert "Notices" not in lines
    assert describe_machine(lite, cache)["Cache entries"] == "1"
    assert "Cache entries" not in describe_machine(lite)


def test_trouble_is_described(lite: SafireModel, tmp_path: Path):
    cache = EmbeddingCache(tmp_path, max_bytes=0)
    engine = Engine(lite, cache=cache)
    engine.embed(np.zeros((32, 32), dtype=np.uint8))
    lines = describe_machine(engine)
    assert "exceed the cache's limit" in lines["Notices"]
    assert lines["Cache problem"] in lines["Notices"]


@pytest.mark.parametrize("wrong", ["safire-lite", 5, object()])
def test_something_else_is_refused(wrong: object):
    with pytest.raises(TypeError, match="Engine or a SafireModel"):
        describe_machine(wrong)  # type: ignore[arg-type]


def test_text_for_the_clipboard_has_one_line_for_each_name(lite: SafireModel):
    lines = describe_machine(lite)
    text = as_text(lines)
    assert dict(line.split(": ", 1) for line in text.splitlines()) == lines
    assert as_text({}) == ""


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (4 * 2**30, "4.0 GiB"),
        (3 * 2**50, "3072.0 TiB"),
    ],
)
def test_bytes_are_written_in_readable_units(n_bytes: int, text: str):
    assert machine._readable(n_bytes) == text
