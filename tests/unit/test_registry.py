"""Models by name: what ships, what users register in TOML files, and what a model file is."""

from __future__ import annotations

import hashlib
import os
import string
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from refusals import refusal
from systems import posix
from toys import small_vit, tiny_lite, write_published_layout

from napari_safire.errors import CheckpointError
from napari_safire.model import (
    SafireModel,
    available_models,
    describe_checkpoint,
    inspect_checkpoint,
    load_checkpoint,
    load_model,
    model_path,
    model_state,
    registry_problems,
    save_checkpoint,
    verify,
)
from napari_safire.model.catalogue.entry import ModelEntry, is_safe_address
from napari_safire.model.catalogue.registry import model_entry, models_folder
from napari_safire.model.catalogue.user_models import REGISTRIES_VARIABLE, user_registry

TINY, SMALL_VIT = tiny_lite(), small_vit()
refused = partial(refusal, CheckpointError)
FIELDS = {
    "description": "A model of our lab.",
    "url": "https://models.example.org/files/lab.pth?download=1",
    "sha256": "AB" * 32,
    "size": 1234,
    "licence": "CC-BY-4.0",
    "trained_on": "our own pictures",
    "architecture": "vit",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without registries and downloaded models."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv(REGISTRIES_VARIABLE, raising=False)
    return tmp_path


def table(name: str = "lab", **changes: object) -> str:
    """A table of TOML; a field that is changed to None is left out."""
    fields = {**FIELDS, **changes}
    lines = [f"{key} = {toml(value)}" for key, value in fields.items() if value is not None]
    return "\n".join([f'[models."{name}"]', *lines, ""])


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if not isinstance(value, str) else '"' + value.replace("\n", "\\n") + '"'


def register(text: str, path: Path | None = None) -> Path:
    path = path or user_registry()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def registered() -> list[str]:
    return [entry.name for entry in available_models()]


# --- the package's own ----------------------------------------------------------------------------


def test_what_the_registry_says_of_the_shipped_model_is_what_its_file_says():
    (entry,) = available_models()
    assert (entry.name, entry.url, model_state("safire-lite")) == ("safire-lite", None, "bundled")
    model = load_model("safire-lite", device="cpu")
    assert entry.size == model_path("safire-lite").stat().st_size
    assert entry.licence == model.metadata["licence"]
    assert entry.trained_on == model.metadata["trained_on"]
    assert entry.architecture == model.config.architecture
    assert entry.sha256 == model.checkpoint_sha256
    assert registry_problems() == ()


# --- users' registries ----------------------------------------------------------------------------


def test_a_model_of_the_users_own_registry_is_known():
    register(table())
    assert registered() == ["safire-lite", "lab"]
    assert registry_problems() == ()
    entry = model_entry("lab")
    assert entry.sha256 == "ab" * 32
    assert entry.filename == "lab.pth"
    assert entry.size == 1234
    assert entry.trained_on == "our own pictures"
    assert model_state("lab") == "not downloaded"


@pytest.mark.parametrize(
    ("url", "filename"),
    [
        ("https://a.org/x.safetensors", "lab.safetensors"),
        ("https://a.org/x.PT/content", "lab.safetensors"),
        ("https://a.org/b%2Fx.pt", "lab.pt"),
    ],
)
def test_the_file_is_named_after_the_model(url: str, filename: str):
    register(table(url=url))
    assert model_entry("lab").filename == filename


def test_registries_named_in_the_environment_come_after_the_users_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    register(table("own"))
    first = register(table("first", filename="given.pth"), home / "first.toml")
    second = register(table("second"), home / "second.toml")
    # the user's own again, and an empty place: neither is a problem
    names = [first, "", second, user_registry(), first]
    monkeypatch.setenv(REGISTRIES_VARIABLE, os.pathsep.join(map(str, names)))
    assert sorted(registered()) == ["first", "own", "safire-lite", "second"]
    assert registry_problems() == ()
    assert model_entry("first").filename == "given.pth"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *(({name: None}, f"{name} is missing") for name in FIELDS),
        ({"colour": "red"}, "colour is unknown"),
        ({"url": "http://models.example.org/x"}, "url"),
        ({"url": "ftp://models.example.org/x"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://[::1/x"}, "url"),
        ({"url": "https://a.org:port/x"}, "url"),
        ({"url": 3}, "url"),
        ({"sha256": "ab" * 31}, "sha256"),
        ({"sha256": "xy" * 32}, "sha256"),
        ({"sha256": 7}, "sha256"),
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": "12 MB"}, "size"),
        ({"licence": ""}, "licence"),
        ({"licence": 1}, "licence"),
        ({"description": "two\nlines"}, "description"),
        ({"trained_on": "x" * 301}, "trained_on"),
        ({"architecture": "cnn"}, "architecture"),
        ({"architecture": 5}, "architecture"),
        ({"filename": "../lab.pth"}, "filename"),
        ({"filename": "a/lab.pth"}, "filename"),
        ({"filename": "a\\\\lab.pth"}, "filename"),
        ({"filename": ".hidden"}, "filename"),
        ({"filename": "GOOD.pth"}, "filename"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "-o"}, "name"),
        ({"name": "Safire-Lite"}, "name"),
        ({"name": "Good"}, "name"),
    ],
)
def test_a_bad_table_is_one_sentence_and_hides_no_other_model(changes: dict, field: str):
    path = register(table("good") + table(**({"name": "bad"} | changes)) + table("also-good"))
    assert registered() == ["safire-lite", "good", "also-good"]
    (problem,) = registry_problems()
    name = changes.get("name", "bad")
    assert problem.startswith(f"{path}, table [models.{name}]: {field}")
    assert problem.endswith(".")
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[models.lab", "no TOML file"),
        ("", "names no model"),
        ("models = 3", "names no model"),
        ("[models]\nlab = 3", "table [models.lab]: it is 3"),
        (table().replace("models.", "model."), "'model' beside its models"),
    ],
)
def test_a_bad_file_is_one_sentence_and_hides_no_other_file(
    text: str, told: str, home: Path, monkeypatch: pytest.MonkeyPatch
):
    bad = register(text, home / "bad.toml")
    good = register(table(), home / "good.toml")
    monkeypatch.setenv(REGISTRIES_VARIABLE, os.pathsep.join([str(bad), str(good)]))
    assert registered() == ["safire-lite", "lab"]
    (problem,) = registry_problems()
    assert told in problem
    assert str(bad) in problem


def test_files_that_cannot_be_read_are_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "latin.toml").write_bytes(table(licence="für alle").encode("latin-1"))
    names = [home / "none.toml", home, home / "latin.toml"]
    monkeypatch.setenv(REGISTRIES_VARIABLE, os.pathsep.join(map(str, names)))
    problems = registry_problems()
    assert len(problems) == 3
    for path, problem in zip(names, problems, strict=True):
        assert str(path) in problem
    assert registered() == ["safire-lite"]


def test_who_asks_for_a_model_that_was_left_out_is_told_why():
    register(table(size=-1))
    for call in (model_path, verify, load_model):
        sentence = refused(call, "nothing")
        assert "nothing" in sentence
        assert "safire-lite" in sentence
    sentence = refused(model_path, "lab")
    assert "safire-lite" in sentence
    assert "size is -1" in sentence


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (table(size="3e5"), "size is '3e5'"),
        (table().replace("1234", "1" * 400), "size is 111"),
        (table().replace("1234", "1" * 5000), "too large"),
        ("a = " + "[" * 1500 + "]" * 1500, "nested too deeply"),
        ("a = " + "[\n" * 3000 + "]\n" * 3000, "nested too deeply"),
        (table().replace("1234", "{a = " * 300 + "1" + "}" * 300), "no TOML file|size is {"),
        (table().replace("1234", "[" * 200 + "]" * 200), "size is [["),
        (table() + "models." + ".".join("a" * 2500) + " = 1", "too large"),
        (table("x") + "[models.y." + ".".join("a" * 1500) + "]\nb = 1\n", "description is missing"),
        ("#" * 5000, "too large"),
        ("# line\n" * 40_000, "too large"),
        ("a = 1\x00", "no TOML file"),
        ("[[models]]\na = 1", "names no model"),
        ("[[models.lab]]\na = 1", "it is list"),
        ("models.lab = 2026-11-28", "it is datetime.date(2026, 11, 28)"),
        (table().replace("1234", "nan"), "size is nan"),
        (table(name="\\u001b]0;owned\\u0007"), "name is '\\x1b]0;owned\\x07'"),
        (table(colour=1).replace("colour", '"\\u001b[2J"'), "\\x1b[2J is unknown"),
        ('"\\u001b[2J" = 1', "'\\x1b[2J' beside its models"),
    ],
    ids=lambda text: text[:30],
)
def test_no_registry_brings_anything_down(
    text: str, told: str, home: Path, monkeypatch: pytest.MonkeyPatch
):
    bad, good = home / "bad.toml", register(table("good"), home / "good.toml")
    bad.write_text(text, encoding="utf-8")
    monkeypatch.setenv(REGISTRIES_VARIABLE, os.pathsep.join(map(str, (bad, good))))
    assert "good" in registered()
    problem = registry_problems()[0]
    assert any(one in problem for one in told.split("|"))
    assert problem.isprintable()
    assert len(problem) < 500


@posix
def test_places_where_no_registry_can_be_are_one_sentence_each(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    os.mkfifo(home / "pipe.toml")
    good = register(table("good"), home / "good.toml")
    loop = home / "loop.toml"
    loop.symlink_to(loop)
    places = ["~nobody-of-this-name/x.toml", home / "pipe.toml", "/dev/zero", loop, "\x1b[2J", good]
    monkeypatch.setenv(REGISTRIES_VARIABLE, os.pathsep.join(map(str, places)))
    assert registered() == ["safire-lite", "good"]
    problems = registry_problems()
    assert len(problems) == 5
    assert all(problem.isprintable() and problem.endswith(".") for problem in problems)
    assert "~nobody-of-this-name/x.toml is of a user that this machine does not know" in problems[0]


@posix
def test_a_pipe_in_place_of_the_users_own_registry_is_not_waited_for():
    user_registry().parent.mkdir(parents=True)
    os.mkfifo(user_registry())
    assert registered() == ["safire-lite"]
    assert "it is no file" in registry_problems()[0]


@given(st.text(max_size=30) | st.text("a1./\\:.- ", min_size=1, max_size=8))
def test_file_names_are_plain_or_refused(text: str):
    fields = {**FIELDS, "sha256": "ab" * 32, "name": "lab", "filename": text}
    if not set(text) - set(string.ascii_letters + string.digits) and text:
        assert ModelEntry(**fields).filename == text
    elif set(text) & set('/\\:*?"<>| ') or text.startswith((".", "-")) or text.endswith("."):
        with pytest.raises(ValueError, match="filename is"):
            ModelEntry(**fields)
    else:
        assume(False)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:80/x", True),
        ("http://[::1]:8000/x", True),
        ("http://localhost/x", True),
        ("http://localhost.example.org/x", False),
        ("http://10.0.0.1/x", False),
        ("file:///etc/passwd", False),
        ("https://example.org/a b", False),
        ("https://example.org/\x1b", False),
        ("", False),
    ],
)
def test_addresses_are_https_or_this_machine(url: str, safe: bool):
    assert is_safe_address(url) is safe


# --- loading --------------------------------------------------------------------------------------


def put_in_place(content: bytes, name: str = "lab.safetensors") -> Path:
    models_folder().mkdir(parents=True, exist_ok=True)
    path = models_folder() / name
    path.write_bytes(content)
    return path


@pytest.fixture
def tiny(home: Path) -> bytes:
    path = home / "tiny.safetensors"
    save_checkpoint(SafireModel(TINY), path, metadata={"name": "tiny"})
    return path.read_bytes()


def register_payload(content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    url = "https://models.example.org/lab.safetensors"
    register(table(url=url, sha256=digest, size=len(content), architecture="lite"))


def test_a_model_that_is_not_downloaded_says_how_to_get_it(tiny: bytes):
    register_payload(tiny)
    for call in (load_model, model_path, verify):
        sentence = refused(call, "lab")
        assert "not downloaded yet" in sentence
        assert "napari-safire models download lab" in sentence
        assert "press Download" in sentence


def test_a_downloaded_model_is_loaded_by_its_name(tiny: bytes):
    register_payload(tiny)
    path = put_in_place(tiny)
    assert model_state("lab") == "downloaded"
    assert model_path("lab") == path
    assert verify("lab") == model_entry("lab").sha256
    assert load_model("lab", device="cpu").metadata["name"] == "tiny"


def test_a_downloaded_file_that_was_cut_counts_as_not_downloaded(tiny: bytes):
    register_payload(tiny)
    put_in_place(tiny[:-1])
    assert model_state("lab") == "not downloaded"
    sentence = refused(load_model, "lab")
    assert f"{len(tiny) - 1} bytes instead of {len(tiny)}" in sentence
    assert "models download lab" in sentence


def test_a_downloaded_file_that_was_altered_is_not_loaded(tiny: bytes):
    register_payload(tiny)
    changed = bytearray(tiny)
    changed[-1] ^= 1
    put_in_place(bytes(changed))
    for call in (verify, load_model):
        sentence = refused(call, "lab")
        assert "SHA-256" in sentence
        assert "models download lab" in sentence


def test_a_folder_in_place_of_the_file_is_no_model(tiny: bytes):
    register_payload(tiny)
    (models_folder() / "lab.safetensors").mkdir(parents=True)
    assert model_state("lab") == "not downloaded"


# --- what a file is -------------------------------------------------------------------------------


def test_a_name_that_no_file_can_have_is_no_model():
    assert "neither a file nor a model" in refused(load_model, "n" * 300 + ".pth")


def test_own_files_are_described_by_their_metadata(home: Path):
    path = home / "x.pth"  # its name does not matter
    metadata = {"name": "lab\n7", "licence": "MIT", "trained_on": "p" * 500}
    save_checkpoint(SafireModel(TINY), path, metadata=metadata)
    told = describe_checkpoint(path)
    assert told.startswith("napari-safire model (lite, lab 7, licence MIT, trained on ppp")
    assert len(told) < 200
    assert inspect_checkpoint(path).kind == "napari-safire"
    save_checkpoint(SafireModel(TINY), path, metadata={"name": "", "licence": None})
    assert describe_checkpoint(path) == "napari-safire model (lite)"


def test_published_files_tell_size_and_epoch(home: Path):
    path = home / "model.bin"
    write_published_layout(SafireModel(SMALL_VIT), path)
    told = describe_checkpoint(path)
    assert told == "published SAFIRE (ViT of 3 blocks, 128 channels wide, epoch 0)"
    for epoch in (10**5000, -1, True, "3"):  # too long to be written out, or none
        torch.save({"model": SafireModel(SMALL_VIT).state_dict(), "epoch": epoch}, path)
        told = describe_checkpoint(path)
        assert told == "published SAFIRE (ViT of 3 blocks, 128 channels wide)"


def test_a_pretrained_encoder_is_recognised_and_refused_for_prediction(home: Path):
    path = home / "encoder.pth"
    write_published_layout(SafireModel(SMALL_VIT), path, encoder_only=True)
    summary = inspect_checkpoint(path)
    assert (summary.kind, summary.description) == ("encoder only", "encoder-only pretraining file")
    assert "no decoder" in refused(describe_checkpoint, path)
    assert "encoder-only" in refused(load_model, path, device="cpu", config=SMALL_VIT)
    assert refused(load_checkpoint, path) == refused(describe_checkpoint, path) == summary.refusal


def test_plain_sam_is_recognised_and_refused_for_prediction(home: Path):
    state = {
        key: value
        for key, value in SafireModel(SMALL_VIT).state_dict().items()
        if "adaptor" not in key and "hfp" not in key
    }
    path = home / "sam_vit_b.pth"
    torch.save(state, path)
    summary = inspect_checkpoint(path)
    assert (summary.kind, summary.description) == ("SAM", "plain SAM model")
    assert "knows nothing of forgeries" in refused(describe_checkpoint, path)
    assert refused(load_checkpoint, path) == refused(describe_checkpoint, path) == summary.refusal


def test_what_is_no_whole_model_is_refused(tiny: bytes, home: Path):
    cut, text, other, lacking = (home / f"{name}.pth" for name in ("cut", "text", "other", "lack"))
    cut.write_bytes(tiny[:5000])
    text.write_text("no model")
    torch.save({"some.weight": torch.zeros(3)}, other)
    state = SafireModel(SMALL_VIT).state_dict()
    del state["mask_decoder.iou_token.weight"]
    torch.save({"model": state}, lacking)
    for path in (cut, text, other, lacking, home, home / "none.pth"):
        assert str(path) in refused(describe_checkpoint, path)
    assert "1 missing (mask_decoder.iou_token.weight)" in refused(inspect_checkpoint, lacking)
