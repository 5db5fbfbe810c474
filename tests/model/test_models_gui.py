"""Choosing models and devices in the dock, with real files and a server on this machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Parity
from file_server import CUT, FileServer, register
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog
from toys import small_vit, tiny_lite, write_published_layout

from napari_safire.annotation.region_labels import Asked
from napari_safire.gui.panels.annotate.model_section import ModelSection
from napari_safire.gui.preferences import Preferences
from napari_safire.gui.widget import SafireWidget
from napari_safire.model import SafireModel, save_checkpoint
from napari_safire.model.catalogue import transfer
from napari_safire.model.catalogue.registry import models_folder
from napari_safire.model.catalogue.user_models import REGISTRIES_VARIABLE, user_registry

from .conftest import Dock
from .hand import ModelHand, pump, wait_until

SHAPE = (96, 128)
LITE = ("safire-lite", "auto")


@pytest.fixture(autouse=True)
def _registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without registered models, whose downloads do not wait before they try again."""
    monkeypatch.setenv(REGISTRIES_VARIABLE, str(tmp_path / "models.toml"))
    (tmp_path / "models.toml").write_text("[models]\n")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "_PAUSES", (0.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model file of 180 kB; its weights are fresh."""
    torch.manual_seed(0)
    config = tiny_lite()
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    about = {"name": "tiny", "licence": "CC0-1.0", "trained_on": "nothing"}
    save_checkpoint(SafireModel(config), path, metadata=about)
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small files in the published layout: a whole model, an encoder alone, and a plain SAM."""
    config = small_vit(depth=2)
    folder = tmp_path_factory.mktemp("published")
    model = SafireModel(config)
    write_published_layout(model, folder / "safire.pth")
    write_published_layout(model, folder / "pretrained.pth", encoder_only=True)
    own = ("image_encoder.adaptor_", "image_encoder.hfp_", "prompt_projection.")
    plain = {k: v for k, v in model.state_dict().items() if not k.startswith(own)}
    torch.save(plain, folder / "sam.pth")
    (folder / "garbage.pth").write_bytes(b"GIF89a" + bytes(200))
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def picture(lite_dock: Dock) -> Dock:
    """A dock with the shipped model, and a picture that it has read."""
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), dtype=np.uint8)
    lite_dock.viewer.add_image(pixels, name="picture")
    lite_dock.settle()
    assert model_name(lite_dock) == "safire-lite"
    lite_dock.widget.model.unfold()
    return lite_dock


def model_name(dock: Dock) -> str:
    """The name that the engine's model has, or nothing."""
    engine = dock.controller.session.engine
    return "" if engine is None else str(engine.model.metadata["name"])


def click_answers(dock: Dock) -> bool:
    """Whether a click on the picture is answered by the model that is in use."""
    picture = dock.viewer.layers["picture"]
    dock.controller.add_prompts()
    dock.settle()
    place = np.random.default_rng().uniform(20, 70, 2)
    dock.hand.click(picture, *place)
    dock.settle()
    plane = dock.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    annotation = plane.snapshot.annotation
    engine = dock.controller.session.engine
    return (
        len(annotation.live_prompts) > 0
        and annotation.is_answered
        and plane.embedding is not None
        and engine is not None
        and plane.embedding.checkpoint_sha256 == engine.model.checkpoint_sha256
    )


def pick(combo: QComboBox, text: str) -> None:
    """Open the list and click the entry that begins with a text."""
    index = next(i for i in range(combo.count()) if combo.itemText(i).startswith(text))
    combo.showPopup()
    pump(0.1)
    view, model = combo.view(), combo.model()
    assert view is not None
    assert model is not None
    entry = model.index(index, 0)
    view.scrollTo(entry)
    pump(0.3)  # Qt takes a click that comes at once for the one that opened the list
    QTest.mouseClick(
        view.viewport(), Qt.MouseButton.LeftButton, pos=view.visualRect(entry).center()
    )
    pump()
    combo.hidePopup()


def drop(widget: SafireWidget, path: Path) -> bool:
    """Drag a file over the dock and let it fall; whether it was taken."""
    dock = widget.viewport()
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(20, 20), copy, mime, left, none)
    enter.ignore()
    QApplication.sendEvent(dock, enter)
    if not enter.isAccepted():
        return False
    fall = QDropEvent(QPointF(20, 20), copy, mime, left, none)
    QApplication.sendEvent(dock, fall)
    pump()
    return fall.isAccepted()


def entry(section: ModelSection, name: str) -> tuple[str, str]:
    """Text and tooltip of an entry of the list of models."""
    index = section.model.findData(name)
    tip = section.model.itemData(index, Qt.ItemDataRole.ToolTipRole)
    return section.model.itemText(index), tip


# ---------------------------------------------------------------- names and states


def test_models_are_listed_with_their_states(lite_dock: Dock) -> None:
    text, tip = entry(lite_dock.widget.model, "safire-lite")
    assert text == "safire-lite  (bundled)"
    assert "Licence: BSD-3-Clause" in tip
    assert "Trained on: synthetic composites" in tip
    assert not lite_dock.widget.model.download.isVisible()
    assert not lite_dock.widget.model.about.isVisible()
    assert not lite_dock.widget.model.back.isVisible()


def test_a_registry_with_a_fault_is_named(viewer: ViewerModel, hand: ModelHand) -> None:
    user_registry().parent.mkdir(parents=True)
    user_registry().write_text('[models.lab]\ndescription = "ours"\n')
    widget = SafireWidget(viewer)
    widget.show()
    assert "table [models.lab]: url is missing" in widget.message.text()
    widget.close_work()


# ---------------------------------------------------------------- files


def test_a_file_is_chosen_by_its_path_and_answers(
    picture: Dock, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = picture.widget.model
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(tiny), ""))
    picture.press(section.browse)
    picture.settle()
    assert model_name(picture) == "tiny"
    assert section.model.currentText() == "tiny.safetensors  (file)"
    assert section.about.isVisible()
    assert section.about.text() == (
        "napari-safire model (lite, tiny, licence CC0-1.0, trained on nothing)"
    )
    assert not section.back.isVisible()
    assert click_answers(picture)


def test_no_file_chosen_changes_nothing(picture: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: ("", ""))
    picture.press(picture.widget.model.browse)
    picture.settle()
    assert model_name(picture) == "safire-lite"
    assert picture.widget.model.model.currentData() == "safire-lite"


def test_a_dropped_file_is_used(picture: Dock, tiny: Path) -> None:
    assert drop(picture.widget, tiny)
    picture.settle()
    assert model_name(picture) == "tiny"
    assert click_answers(picture)


def test_a_published_file_is_recognised_by_its_structure(
    picture: Dock, published: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "whatever.PT"
    shutil.copy(published["safire"], path)
    assert drop(picture.widget, path)
    picture.settle()
    assert picture.widget.model.about.text().startswith("published SAFIRE (ViT of 2 blocks")
    assert model_name(picture) == "whatever"
    assert click_answers(picture)


def test_the_golden_file_of_the_published_code_is_recognised(picture: Dock, parity: Parity) -> None:
    picture.widget.model.choose_file(str(parity.checkpoint))
    picture.settle()
    about = picture.widget.model.about.text()
    assert about == "published SAFIRE (ViT of 4 blocks, 64 channels wide, epoch 133)"
    assert click_answers(picture)


def test_other_files_are_no_models(picture: Dock, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no model")
    assert not drop(picture.widget, tmp_path / "gone.md")
    drop(picture.widget, tmp_path / "notes.md")
    picture.settle()
    assert model_name(picture) == "safire-lite"


def test_what_the_user_made_survives_another_model(picture: Dock, tiny: Path) -> None:
    assert click_answers(picture)
    before = len(picture.viewer.layers["picture: prompts"].data)
    drop(picture.widget, tiny)
    picture.settle()
    plane = picture.controller.plane
    assert plane is not None
    assert plane.snapshot is not None
    assert len(plane.snapshot.annotation.live_prompts) == before
    assert plane.snapshot.annotation.is_answered  # by the new model
    live = plane.snapshot.annotation.live_prompts
    assert plane.regions.keys() == {Asked((prompt.point,)) for prompt in live}


# ---------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sam", "is a plain SAM file"),
        ("pretrained", "is an encoder-only pretraining file"),
        ("garbage", "is not a model file"),
        ("missing", "There is no model file"),
    ],
)
def test_what_cannot_be_used_says_why_and_leaves_the_model_in_use(
    picture: Dock,
    published: dict[str, Path],
    tmp_path: Path,
    name: str,
    reason: str,
) -> None:
    path = {**published, "missing": tmp_path / "gone.pth"}[name]
    section, engine = picture.widget.model, picture.controller.session.engine
    plane = picture.controller.plane
    assert plane is not None
    embedding = plane.embedding
    section.choose_file(str(path))
    picture.settle()
    assert section.model.currentData() == str(path)
    text, tip = entry(section, str(path))
    assert text == f"{path.name}  (cannot be used)"
    assert reason in tip
    assert section.about.isVisible()
    assert reason in section.about.text()
    assert section.about.text().endswith("safire-lite on auto stays in use.")
    assert picture.controller.session.engine is engine
    assert plane.embedding is embedding  # nothing has to be read again
    assert click_answers(picture)
    picture.press(section.back)
    picture.settle()
    assert (section.model.currentData(), section.device.currentText()) == LITE
    assert not section.about.isVisible()
    assert picture.controller.session.engine is engine


def test_a_file_that_was_mended_can_be_chosen_again(
    picture: Dock, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny.read_bytes()[:1000])
    section = picture.widget.model
    drop(picture.widget, path)
    picture.settle()
    assert "damaged" in section.about.text()
    shutil.copy(tiny, path)
    pick(section.model, "model.safetensors")
    picture.settle()
    assert model_name(picture) == "tiny"
    assert entry(section, str(path))[0] == "model.safetensors  (file)"


def test_a_file_deleted_under_way_does_no_harm_to_the_model_in_use(
    picture: Dock, tiny: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(tiny, path)
    section = picture.widget.model
    drop(picture.widget, path)
    picture.settle()
    path.unlink()
    assert click_answers(picture)
    pick(section.device, "cpu")
    picture.settle()
    assert "There is no model file" in section.about.text()
    assert section.about.text().endswith("model.safetensors on auto stays in use.")
    assert model_name(picture) == "tiny"
    assert click_answers(picture)
    pick(section.model, "safire-lite")
    picture.settle()
    assert model_name(picture) == "safire-lite"
    assert click_answers(picture)


def test_a_file_deleted_between_look_and_load_brings_the_last_model_back(
    picture: Dock, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    shutil.copy(tiny, path)
    from napari_safire.gui.panels.annotate import model_section

    look = model_section._look_at

    def look_and_lose(name: str | None, device: str) -> str:
        described = look(name, device)
        path.unlink()
        return described

    monkeypatch.setattr(model_section, "_look_at", look_and_lose)
    section = picture.widget.model
    drop(picture.widget, path)
    picture.settle()
    assert "is neither a file nor a model" in section.about.text()
    assert section.about.text().endswith("safire-lite on auto stays in use.")
    assert model_name(picture) == "safire-lite"
    assert click_answers(picture)


def test_the_last_choice_counts(picture: Dock, tiny: Path, published: dict[str, Path]) -> None:
    section = picture.widget.model
    section.choose_file(str(published["sam"]))
    section.choose_file(str(tiny))
    picture.settle()
    assert model_name(picture) == "tiny"
    assert "SAM" not in section.about.text()


# ---------------------------------------------------------------- devices


def test_cuda_without_cuda_says_so_and_goes_back(
    viewer: ViewerModel, hand: ModelHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("This machine has CUDA.")
    monkeypatch.setattr(Preferences, "load", classmethod(lambda cls: Preferences(device="cuda:3")))
    widget = SafireWidget(viewer)
    widget.show()
    dock = Dock(viewer, hand, widget)
    try:
        section = widget.model
        dock.settle()
        assert section.device.currentText() == "cuda:3"
        assert "This machine has no device 'cuda:3'" in section.about.text()
        assert section.about.text().endswith("safire-lite on auto is used instead.")
        assert entry(section, "safire-lite")[0] == "safire-lite  (bundled)"  # it is not its fault
        viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
        dock.settle()
        assert click_answers(dock)
        dock.press(section.back)
        dock.settle()
        assert section.device.currentText() == "auto"
        assert not section.about.isVisible()
        pick(section.device, "cuda:3")
        dock.settle()
        assert section.about.text().endswith("safire-lite on auto stays in use.")
        assert click_answers(dock)
        pick(section.device, "cpu")
        dock.settle()
        assert not section.about.isVisible()
        assert str(dock.controller.session.engine.model.device) == "cpu"
    finally:
        widget.close_work()


@pytest.mark.parametrize("model", ["no-such-model", "/nowhere/model.pth"])
def test_preferences_that_name_no_model_leave_the_shipped_one(
    viewer: ViewerModel, hand: ModelHand, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(Preferences, "load", classmethod(lambda cls: Preferences(model=model)))
    widget = SafireWidget(viewer)
    widget.show()
    dock = Dock(viewer, hand, widget)
    try:
        dock.settle()
        assert "There is no model" in widget.model.about.text()
        assert widget.model.about.text().endswith("safire-lite on auto is used instead.")
        assert model_name(dock) == "safire-lite"
    finally:
        widget.close_work()


def test_devices_of_this_machine_are_offered(picture: Dock) -> None:
    section = picture.widget.model
    names = [section.device.itemText(i) for i in range(section.device.count())]
    assert names[:2] == ["auto", "cpu"]
    assert len(set(names)) == len(names)


# ---------------------------------------------------------------- downloads


def part_of(name: str) -> list[Path]:
    return list(models_folder().glob(f"{name}.*.part"))


def wait_until_received(name: str) -> None:
    """Until a first part of a model is on the disk."""
    wait_until(lambda: any(p.stat().st_size > 0 for p in part_of(name)), what="the first part")


def lab_dock(viewer: ViewerModel, hand: ModelHand) -> Dock:
    widget = SafireWidget(viewer)
    widget.show()
    dock = Dock(viewer, hand, widget)
    dock.viewer.add_image(np.zeros((*SHAPE, 3), np.uint8), name="picture")
    dock.settle()
    pick(widget.model.model, "lab")
    return dock


def test_a_model_is_downloaded_cancelled_resumed_and_answers(
    viewer: ViewerModel, hand: ModelHand, serve: Callable[..., FileServer], tiny: Path
) -> None:
    payload = tiny.read_bytes()
    gate = threading.Event()
    server = serve(payload, cuts=[CUT, 40_000], stall=gate)  # it falls silent twice
    register(server.url, payload)
    dock = lab_dock(viewer, hand)
    section = dock.widget.model
    try:
        assert entry(section, "lab")[0] == "lab  (not downloaded)"
        assert section.download.isVisible()
        assert section.download.text() == f"Download ({len(payload) / 1000:.1f} kB)"
        assert "lab has not been downloaded yet." in section.about.text()
        assert section.about.text().endswith("safire-lite on auto stays in use.")
        assert model_name(dock) == "safire-lite"

        dock.press(section.download)
        wait_until_received("lab")
        wait_until(
            lambda: dock.widget.status.progress.maximum() == len(payload), what="the bar to know"
        )
        assert dock.widget.status.label.text() == "Downloading lab …"
        assert not section.download.isEnabled()
        dock.press(dock.widget.status.cancel)
        dock.settle()
        assert not dock.widget.status.progress.isVisible()
        (kept,) = part_of("lab")
        begun = kept.stat().st_size
        assert 0 < begun <= CUT
        assert model_name(dock) == "safire-lite"
        assert click_answers(dock)

        dock.press(section.download)
        wait_until(lambda: dock.widget.status.progress.value() > 0, what="the bar to move")
        assert dock.widget.status.progress.value() == begun
        assert dock.widget.status.progress.isVisible()
        gate.set()
        dock.settle()
        assert server.asked_from == [0, begun]
        assert entry(section, "lab")[0] == "lab  (downloaded)"
        assert not section.download.isVisible()
        assert not section.about.isVisible()
        assert part_of("lab") == []
        assert model_name(dock) == "tiny"
        assert click_answers(dock)
    finally:
        dock.widget.close_work()


def test_without_a_network_a_sentence_says_so_and_work_goes_on(
    viewer: ViewerModel, hand: ModelHand, tiny: Path
) -> None:
    register("http://127.0.0.1:9/lab.safetensors", tiny.read_bytes())
    dock = lab_dock(viewer, hand)
    try:
        dock.press(dock.widget.model.download)
        dock.settle()
        text = dock.widget.message.text()
        assert "127.0.0.1 cannot be reached" in text
        assert "check the network connection" in text
        assert dock.widget.model.download.isEnabled()
        assert click_answers(dock)
    finally:
        dock.widget.close_work()


def test_a_user_who_went_on_is_not_called_back(
    viewer: ViewerModel, hand: ModelHand, serve: Callable[..., FileServer], tiny: Path
) -> None:
    payload = tiny.read_bytes()
    gate = threading.Event()
    server = serve(payload, cuts=[CUT], stall=gate)
    register(server.url, payload)
    dock = lab_dock(viewer, hand)
    section = dock.widget.model
    try:
        dock.press(section.download)
        wait_until_received("lab")
        dock.press(section.back)
        gate.set()
        dock.settle()
        assert section.model.currentData() == "safire-lite"
        assert model_name(dock) == "safire-lite"
        assert entry(section, "lab")[0] == "lab  (downloaded)"
    finally:
        dock.widget.close_work()


def test_a_downloaded_file_that_was_altered_is_refused(
    viewer: ViewerModel, hand: ModelHand, serve: Callable[..., FileServer], tiny: Path
) -> None:
    payload = tiny.read_bytes()
    register("http://127.0.0.1:9/lab.safetensors", payload)
    models_folder().mkdir(parents=True)
    altered = payload[:-1] + bytes([payload[-1] ^ 1])
    (models_folder() / "lab.safetensors").write_bytes(altered)
    dock = lab_dock(viewer, hand)
    section = dock.widget.model
    try:
        dock.settle()
        assert "is not the file that its entry describes" in section.about.text()
        assert section.about.text().endswith("safire-lite on auto stays in use.")
        assert model_name(dock) == "safire-lite"
        assert click_answers(dock)
    finally:
        dock.widget.close_work()
