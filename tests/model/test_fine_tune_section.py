"""Fine-tuning from the dock: what is asked of the process, and what is shown of it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from fake_tuning import (
    BEGIN,
    REASONS,
    FakeTuning,
    comparison,
    finish,
    make_fake,
    make_mask,
    make_pictures,
    make_series,
    two_sources,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_safire.gui.panels.fine_tune.section import FineTuneSection
from napari_safire.images.lists import ListEntry, read_list, write_list
from napari_safire.learning.events import Failed, Outcome
from napari_safire.session.fine_tuning import FineTuning

from .conftest import Dock
from .hand import wait_until

LITE = Path(str(files("napari_safire") / "model" / "weights" / "safire-lite.safetensors"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_series(tmp_path)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    """A list of 12 pictures with black and white masks."""
    entries = []
    for picture in make_pictures(tmp_path / "cases", 12):
        mask = tmp_path / "truth" / picture.name
        make_mask(mask, np.where(two_sources() > 0, 255, 0).astype(np.uint8))
        entries.append(ListEntry(picture, mask))
    return write_list(tmp_path / "cases.txt", entries)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTuning:
    return make_fake(tmp_path, monkeypatch)


@pytest.fixture
def section(dock: Dock, fake: FakeTuning) -> Iterator[FineTuneSection]:
    section = dock.widget.fine_tune
    dock.settle()
    dock.press(section.heading)
    yield section
    process = tuning_of(section)
    dock.widget.close_work()
    if process is not None:
        assert process.join(60)


def tuning_of(section: FineTuneSection) -> FineTuning | None:
    return section._tuning


def open_queue(dock: Dock, folder: Path) -> None:
    dock.workspace.queue.work.open_queue(folder)
    wait_until(lambda: not dock.workspace.queue.work.doing)
    dock.settle()


def start(dock: Dock, section: FineTuneSection) -> None:
    """Start and wait until it learns."""
    dock.press(section.start)
    wait_until(lambda: section.status.text().startswith("Step 120"), what="the training")


def wait_for_end(section: FineTuneSection) -> None:
    wait_until(lambda: not section._busy, what="the end of the fine-tuning")


def option(asked: list[str], name: str) -> str:
    return asked[asked.index(name) + 1]


# ---------------------------------------------------------------- what is asked


def test_the_done_pictures_of_the_series_become_a_list(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path
) -> None:
    assert section.hint.text().startswith("Open a queue")
    assert not section.start.isEnabled()
    open_queue(dock, folder)
    assert section.choice.material.currentText() == "open queue: 12 done"
    assert section.choice.model.text() == "safire-lite"
    section.choice.steps.setValue(40)
    start(dock, section)
    run = folder.with_name("photos_tuned")
    assert fake.asked[:6] == ["train", "--json", "--output", str(run), "--kind", "sources"]
    assert option(fake.asked, "--from") == "safire-lite"
    assert option(fake.asked, "--steps") == "40"
    assert "--resume" not in fake.asked
    listed = read_list(fake.asked[-1], option(fake.asked, "--root"))
    assert [entry.image.name for entry in listed] == [f"p{i}.png" for i in range(12)]
    assert listed[0].mask == folder.with_name("photos_masks") / "p0.png_sources.png"
    assert listed[0].extra == ()


def test_a_list_file_is_learned_from_and_its_kind_is_told(
    dock: Dock,
    section: FineTuneSection,
    fake: FakeTuning,
    list_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert section.choice.kind.isHidden()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *given: (str(list_file), ""))
    dock.press(section.choice.list_file)
    dock.settle()
    assert section.choice.material.currentText() == "cases.txt: 12 pictures"
    assert section.choice.kind.currentData() == "binary"
    assert section.choice.folder.text() == str(list_file.with_name("cases_tuned"))
    start(dock, section)
    assert option(fake.asked, "--kind") == "binary"
    assert fake.asked[-1] == str(list_file)
    assert not (list_file.with_name("cases_tuned") / "list.txt").exists()


def test_where_masks_do_not_tell_their_kind_the_user_does(
    dock: Dock, section: FineTuneSection, tmp_path: Path
) -> None:
    pictures = make_pictures(tmp_path / "cases", 10)
    entries = [ListEntry(picture) for picture in pictures]
    section.choice.choose_list(write_list(tmp_path / "all_authentic.txt", entries))
    dock.settle()
    assert section.hint.text() == "Choose what the masks say: their files do not tell."
    assert not section.start.isEnabled()
    section.choice.kind.setCurrentIndex(section.choice.kind.findData("binary"))
    section.choice.kind.activated.emit(2)
    assert section.start.isEnabled()


def test_a_list_that_cannot_be_used_is_refused_with_its_reason(
    dock: Dock, section: FineTuneSection, folder: Path, tmp_path: Path
) -> None:
    open_queue(dock, folder)
    bad = tmp_path / "bad.txt"
    for content, sentence in (
        (None, "cannot be read"),
        ("just one field\n", "line 1"),
        ("# nothing\n", "has no entries"),
    ):
        if content is not None:
            bad.write_text(content)
        section.choice.choose_list(bad)
        dock.settle()
        assert section.said.text().startswith("⚠")
        assert sentence in section.said.text()
        assert sentence in dock.widget.message.text()
        assert section.choice.material.currentText() == "open queue: 12 done"
        assert section.start.isEnabled()


def test_too_few_pictures_and_a_folder_in_use_are_told_before_anything_starts(
    dock: Dock, section: FineTuneSection, folder: Path
) -> None:
    masks = folder.with_name("photos_masks")
    for number in range(9):
        (masks / f"p{number}.png.json").unlink()
        (masks / f"p{number}.png_sources.png").unlink()
    open_queue(dock, folder)
    assert section.hint.text() == (
        "3 pictures are done, at least 10 are needed: 5 of them have to judge."
    )
    assert not section.start.isEnabled()
    finish(folder, range(9))
    open_queue(dock, folder)
    assert section.start.isEnabled()
    used = folder.with_name("used")
    used.mkdir()
    (used / "fine-tuning.json").touch()
    section.choice.folder.setText(str(used))
    assert section.start.text() == "Go on"
    (used / "result.json").touch()
    section.choice.folder.setText(f"{used}/")
    assert "used holds a finished fine-tuning" in section.hint.text()
    section.choice.folder.setText("")
    assert section.hint.text() == "Choose a folder for the result."


def test_a_list_that_cannot_be_written_is_a_sentence(
    dock: Dock, section: FineTuneSection, folder: Path
) -> None:
    open_queue(dock, folder)
    section.choice.folder.setText(str(folder / "p0.png" / "run"))
    dock.press(section.start)
    wait_for_end(section)
    assert "cannot be written" in section.said.text()
    assert section.start.isEnabled()


# ---------------------------------------------------------------- what is shown


def test_progress_is_shown_and_the_viewer_can_be_used(
    dock: Dock, section: FineTuneSection, folder: Path
) -> None:
    open_queue(dock, folder)
    start(dock, section)
    assert section.hint.text() == (
        "Learning from 31 pictures (28 groups); 9 (7 groups) judge, 4 tell when to stop."
    )
    assert section.status.text() == "Step 120 of 300 · loss 0.750 · about 6 min left"
    assert (section.progress.value(), section.progress.maximum()) == (120, 300)
    assert section.heading.text() == "▾ Fine-tune · step 120 of 300"
    assert not section.start.isEnabled()
    assert not section.choice.isEnabled()
    dock.press(section.heading)
    assert section.heading.text() == "▸ Fine-tune · step 120 of 300"
    assert not section.stop.isVisible()

    image = dock.controller.image
    assert image is not None
    dock.press(dock.widget.prompts.add)
    dock.hand.click(image, 10, 10)
    dock.settle()
    assert np.asarray(dock.controller.sources_layer.data).any()
    assert section._busy
    assert dock.widget.model.model_in_use == "safire-lite"


def test_it_stops_and_goes_on_with_what_it_began_with(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path
) -> None:
    open_queue(dock, folder)
    start(dock, section)
    listed = Path(fake.asked[-1]).read_text()
    dock.press(section.stop)
    wait_for_end(section)
    assert section.said.text() == "Stopped. Go on takes it up from its last save."
    finish(folder, [12])
    open_queue(dock, folder)
    assert section.choice.material.currentText() == "open queue: 13 done"
    assert section.start.text() == "Go on"
    assert section.hint.text() == "Goes on with what was stopped in photos_tuned."
    start(dock, section)
    assert "--resume" in fake.asked
    assert Path(fake.asked[-1]).read_text() == listed


def test_an_accepted_model_can_be_taken_up(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "tuned-123.safetensors"
    model.write_bytes(LITE.read_bytes())
    fake.will_accept(model, ["photos/p3.png is no picture.", "photos/p4.png is none either."])
    open_queue(dock, folder)
    start(dock, section)
    wait_until(lambda: section.more.text() == "Details (2 warnings)")
    assert not section.use.isVisible()
    fake.go_on()
    wait_for_end(section)
    assert section.said.text() == (
        "Accepted: on 9 held-out pictures the new model has p_mIoU 0.684, the old one 0.612 "
        "(+0.072). That is more than chance."
    )
    assert "accepted" in dock.widget.message.text()
    assert section.details.isVisible()
    for part in ("p3.png is no picture.", "p4.png", REASONS[0], "result.json"):
        assert part in section.details.text()
    assert dock.widget.model.model_in_use == "safire-lite"
    assert section.choice.folder.text() == str(folder.with_name("photos_tuned_2"))
    dock.press(section.use)
    wait_until(lambda: dock.widget.model.model_in_use == str(model))
    dock.settle()
    assert "tuned-123" in dock.widget.model.model.currentText()
    assert section.choice.model.text() == model.name
    assert not section.use.isVisible()


def test_a_rejected_one_says_why_and_offers_nothing(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path
) -> None:
    last = Outcome("rejected", REASONS, None, "result.json")
    fake.will_say(then=(comparison(False), last))
    open_queue(dock, folder)
    start(dock, section)
    fake.go_on()
    wait_for_end(section)
    assert section.said.text().startswith("Rejected, the old model stays: on 9 held-out pictures")
    assert section.said.text().endswith("The gain may be chance: more pictures could tell.")
    assert not section.use.isVisible()
    dock.press(section.more)
    assert not section.details.isVisible()


def test_one_that_is_stopped_after_the_comparison_has_decided_nothing(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path, tmp_path: Path
) -> None:
    fake.will_say((*BEGIN, comparison(True)))
    open_queue(dock, folder)
    start(dock, section)
    section.choice.choose_list(tmp_path / "gone.txt")  # told, and what runs goes on
    dock.settle()
    assert "cannot be read" in section.said.text()
    assert section.stop.isEnabled()
    dock.press(section.stop)
    wait_for_end(section)
    assert section.said.text().startswith("Stopped.")
    assert not section.use.isVisible()


def test_what_fails_is_one_sentence_in_the_section_and_above(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path
) -> None:
    missing = 'Fine-tuning needs Lightning Fabric: run `pip install "napari-safire[train]"`.'
    fake.will_say((), (Failed(missing),))
    fake.go_on()
    open_queue(dock, folder)
    dock.press(section.start)
    wait_for_end(section)
    assert section.said.text() == f"⚠ {missing}"
    assert missing[1:] in dock.widget.message.text()
    assert dock.workspace.messages.shown[0].severity == "failure"
    assert not section.stop.isEnabled()


def test_a_process_that_dies_is_told_and_can_be_gone_on_with(
    dock: Dock, section: FineTuneSection, folder: Path
) -> None:
    open_queue(dock, folder)
    start(dock, section)
    section._tuning._process.kill()
    wait_for_end(section)
    assert "was killed by signal 9" in section.said.text()
    assert section.start.text() == "Go on"


def test_it_fits_the_dock_and_the_keyboard_goes_through_it(
    dock: Dock, section: FineTuneSection, fake: FakeTuning, folder: Path
) -> None:
    fake.will_accept(LITE, [f"/a/very/long/path/{'x' * 80}.png cannot be read."])
    open_queue(dock, folder)
    start(dock, section)
    fake.go_on()
    wait_for_end(section)
    assert section.minimumSizeHint().width() <= 330
    choice = section.choice
    expected = [
        section.heading, choice.material, choice.list_file, choice.steps, choice.folder,
        choice.browse, section.start, section.use, section.more,
    ]  # fmt: skip
    chain, met = section.heading, []
    for _ in range(500):
        if chain in expected and chain.focusPolicy() & Qt.FocusPolicy.TabFocus:
            met.append(chain)
        chain = chain.nextInFocusChain()
        if chain is section.heading:
            break
    assert met == expected
    assert all(w.toolTip() for w in (*choice.fields, section.start, section.stop, section.use))
