"""The Curate dock without a window: its list, its projects, what is said of a picture."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from corpus_stand_in import manifest
from napari.components import ViewerModel
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QFileDialog
from window.hand import pump, wait_idle, wait_until

from napari_safire.errors import DatasetError
from napari_safire.gui.curate import CurateWidget
from napari_safire.gui.panels.curate.queue_model import DISAGREEMENT, NAME, SCORE, STATE, THUMBNAIL
from napari_safire.gui.panels.section import FoldedSection
from napari_safire.project.adding import add_pictures
from napari_safire.project.collecting import collect_pictures
from napari_safire.project.people import annotator_name
from napari_safire.project.queries import PictureQuery, PictureRow
from napari_safire.project.settings import ProjectSettings
from napari_safire.project.store import Project
from napari_safire.project.truth import Donor, Note, PictureDescription, SourceDescription
from napari_safire.project.work import Step, find_work, save_step
from napari_safire.session.queue.listing import Listing

SHAPE = (40, 60)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, name in enumerate(("b2.png", "b10.png", "a1.png", "c.png")):
        Image.fromarray(np.full((*SHAPE, 3), 50 * n + 20, np.uint8)).save(folder / name)
    return folder


def make_project(photos: Path, annotators: int = 1, author: str = "anna") -> Path:
    folder = photos.with_name("project")
    settings = ProjectSettings(annotators_per_picture=annotators)
    project = Project.create(folder, author=author, settings=settings)
    add_pictures(project, collect_pictures(photos), tags=["harbour"])
    project.close()
    return folder


@pytest.fixture
def project(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SAFIRE_ANNOTATOR", "anna")
    return make_project(photos)


def settle(curate: CurateWidget) -> None:
    work = curate.workspace.queue.work
    wait_until(lambda: not work.doing and work.listed_query == work.query)
    wait_idle(curate.controller)
    pump(0.02)


def open_queue(curate: CurateWidget, path: Path) -> None:
    curate.opening.open_queue(path)
    settle(curate)


def column(curate: CurateWidget, which: int, role: Qt.ItemDataRole | None = None) -> list[Any]:
    model = curate.list.model
    role = role or Qt.ItemDataRole.DisplayRole
    for n in range(model.rowCount()):  # the first look asks for them
        model.data(model.index(n, NAME))
    settle(curate)
    return [model.data(model.index(n, which), role) for n in range(model.rowCount())]


def names(curate: CurateWidget) -> list[str]:
    return column(curate, NAME)


def choose(curate: CurateWidget, box: QComboBox, text: str) -> None:
    assert box.findText(text) >= 0, [box.itemText(n) for n in range(box.count())]
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())
    settle(curate)


def press(curate: CurateWidget, button: Any) -> None:
    around = button.parentWidget()
    while around is not None:
        if isinstance(around, FoldedSection) and button is not around.heading:
            around.unfold()
        around = around.parentWidget()
    assert button.isEnabled()
    curate.ensureWidgetVisible(button)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle(curate)


def mark_two_sources(curate: CurateWidget) -> None:
    curate.controller.partition()
    settle(curate)


# ---------------------------------------------------------------- the list


class ManyPictures:
    """A store of a hundred thousand pictures that counts what it is asked for."""

    states = ("untouched", "begun", "done")
    open_states = ("untouched", "begun")
    sorts = ("added", "name")
    actions = frozenset({"done"})
    notes = ()
    title, place, annotator = "many", Path("many"), ""

    def __init__(self, picture: Path) -> None:
        self.keys = [f"p{n:06d}" for n in range(100_000)]
        self.picture = picture
        self.looked_up: set[str] = set()
        self.located: list[str] = []

    def listing(self, query: PictureQuery) -> Listing:
        keys = [key for key in self.keys if query.text in key]
        if query.descending:
            keys.reverse()
        return Listing(keys, ["untouched"] * len(keys), query.states)

    def kept_at(self, key: str) -> Hashable:
        return key

    def look_up(self, keys: Sequence[str]) -> tuple[PictureRow, ...]:
        self.looked_up.update(keys)
        return tuple(
            PictureRow(
                key,
                f"{key}.jpg",
                key,
                "untouched",
                "annotate",
                (),
                0.25,
                None,
                None,
                "",
                (),
                "",
                "",
            )
            for key in keys
        )

    def read(self, key: str) -> Any:
        raise DatasetError(f"{key} is not there.")

    def locate(self, key: str) -> Path:
        self.located.append(key)
        return self.picture

    def people(self) -> tuple[str, ...]:
        return ()

    tags = people

    def tag(self, key: str, tags: Any) -> None:
        raise DatasetError("None are held.")

    def given(self, key: str) -> None:
        return None

    def annotators(self, key: str) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        """Nothing is open."""


def test_of_a_hundred_thousand_pictures_only_those_on_screen_are_looked_up(
    curate: CurateWidget, photos: Path
) -> None:
    many = ManyPictures(photos / "c.png")
    work = curate.workspace.queue.work
    work.open_store(lambda: many, "many")  # type: ignore[arg-type, return-value]
    settle(curate)
    model, table = curate.list.model, curate.list.table
    assert model.rowCount() == 100_000
    table.scrollTo(model.index(70_000, NAME), table.ScrollHint.PositionAtTop)
    wait_until(lambda: "p070003" in many.looked_up and "p070003" in many.located)
    settle(curate)
    assert model.data(model.index(70_003, NAME)) == "p070003.jpg"
    icon = model.data(model.index(70_003, THUMBNAIL), Qt.ItemDataRole.DecorationRole)
    assert icon.width() == 36
    assert len(many.looked_up) < 200
    assert len(many.located) < 100
    curate.list.search.setText("p0999")
    QTest.keyClick(curate.list.search, Qt.Key.Key_Return)
    wait_until(lambda: work.key == "p099900")
    settle(curate)
    assert model.rowCount() == 100
    assert curate.queue.place.text().startswith("1 of 100 · cannot be opened")


def test_a_folder_is_listed_sorted_and_gone_through_by_clicks(
    curate: CurateWidget, photos: Path
) -> None:
    open_queue(curate, photos)
    assert names(curate) == ["a1.png", "b2.png", "b10.png", "c.png"]
    assert not curate.list.of_projects.isVisible()
    assert curate.list.table.isColumnHidden(DISAGREEMENT)
    header = curate.list.table.horizontalHeader()
    assert header is not None
    header.sectionClicked.emit(NAME)
    settle(curate)
    header.sectionClicked.emit(NAME)
    settle(curate)
    assert names(curate) == ["c.png", "b2.png", "b10.png", "a1.png"]
    assert curate.list.turn.isChecked()
    table = curate.list.table
    row = table.visualRect(curate.list.model.index(1, NAME)).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=row)
    settle(curate)
    assert curate.controller.image is not None
    assert curate.controller.image.name == "b2.png"
    bold = column(curate, NAME, Qt.ItemDataRole.FontRole)
    assert [font is not None and font.bold() for font in bold] == [False, True, False, False]
    table.setFocus()
    QTest.keyClick(table, Qt.Key.Key_Down)
    assert curate.controller.image.name == "b2.png"  # looked at, not opened
    QTest.keyClick(table, Qt.Key.Key_Return)
    settle(curate)
    assert curate.controller.image.name == "b10.png"


def test_thumbnails_come_by_themselves(curate: CurateWidget, photos: Path) -> None:
    open_queue(curate, photos)

    def icons() -> list[Any]:
        return column(curate, THUMBNAIL, Qt.ItemDataRole.DecorationRole)

    wait_until(lambda: all(icon is not None for icon in icons()))
    colours = [icon.toImage().pixelColor(18, 10).red() for icon in icons()]
    assert colours == [120, 20, 70, 170]  # a1, b2, b10, c


def test_a_skipped_picture_comes_again_after_the_others(curate: CurateWidget, photos: Path) -> None:
    open_queue(curate, photos)
    press(curate, curate.queue.skip)
    for _ in range(2):
        press(curate, curate.queue.authentic)
    press(curate, curate.queue.authentic)
    assert curate.workspace.queue.work.key == "a1.png"


# ---------------------------------------------------------------- projects


def test_a_project_is_made_of_a_folder_and_gone_through(curate: CurateWidget, photos: Path) -> None:
    opening = curate.opening
    press(curate, opening.new)
    form = opening.form
    assert opening.who.isVisible()
    form.source.setText(str(photos))
    assert form.folder.text() == str(photos.with_name("photos_project"))
    press(curate, form.create_button)
    wait_until(lambda: curate.workspace.queue.work.store is not None)
    settle(curate)
    assert "4 pictures were added." in curate.message.text()
    assert names(curate) == ["a1.png", "b10.png", "b2.png", "c.png"]
    assert curate.list.table.isColumnHidden(DISAGREEMENT)  # of one annotator there is none
    assert not curate.list.table.isColumnHidden(SCORE)
    mark_two_sources(curate)
    press(curate, curate.queue.done)
    assert column(curate, STATE) == ["done", "untouched", "untouched", "untouched"]
    found = Project.open(photos.with_name("photos_project"))
    picture = curate.list.model.key(0)
    work = find_work(found, picture, annotator_name())
    assert work is not None
    assert work.state == "done"
    found.close()


def test_pictures_of_a_manifest_are_chosen_by_what_was_found(
    curate: CurateWidget, photos: Path
) -> None:
    scores = [("../photos/a1.png", 0.2), ("../photos/b2.png", 0.9), ("../photos/c.png", 0.7)]
    results = manifest(photos.with_name("results"), scores)
    open_queue(curate, results)
    assert names(curate) == ["b2.png", "c.png", "a1.png"]  # the highest score first
    chosen, fields = curate.chosen, curate.chosen.form
    wait_until(lambda: "3 of 3 pictures" in chosen.heading.text())
    assert not chosen.go.isEnabled()
    chosen.unfold()
    fields.where.setText("scor > 0.5")
    wait_until(lambda: "did you mean score?" in fields.where_problem.text())
    assert not chosen.go.isEnabled()
    assert names(curate) == ["b2.png", "c.png", "a1.png"]
    fields.where.setText("score > 0.5")
    fields.sort.setText("score")
    wait_until(lambda: fields.number.text() == "2 of 3 pictures")
    press(curate, chosen.go)
    assert names(curate) == ["c.png", "b2.png"]
    assert not fields.where_problem.isVisible()
    press(curate, curate.opening.new)
    form = curate.opening.form
    form.source.setText(str(photos))
    pump(0.3)
    settle(curate)
    assert not form.choice.isVisible()
    form.source.setText(str(results))
    wait_until(form.choice.isVisible)
    form.choice.where.setText("score > 1.0e400")
    wait_until(lambda: not form.create_button.isEnabled())
    form.choice.where.setText("score > 0.1")
    form.choice.top.setValue(2)
    wait_until(lambda: form.choice.number.text() == "the first 2 of 3, of 3 pictures")
    press(curate, form.create_button)
    wait_until(lambda: "2 pictures were added." in curate.message.text())
    settle(curate)
    assert names(curate) == ["b2.png", "c.png"]
    assert not chosen.isVisible()


def test_where_no_project_can_be_made_what_was_typed_stays(
    curate: CurateWidget, photos: Path
) -> None:
    press(curate, curate.opening.new)
    form = curate.opening.form
    form.source.setText("/")  # the first letter of a path that is typed
    form.source.setText(str(photos / "missing"))
    press(curate, form.create_button)
    wait_until(lambda: "does not exist" in curate.message.text())
    assert form.isVisible()
    assert form.source.text() == str(photos / "missing")
    assert curate.opening.who.isVisible()


def test_more_pictures_are_added_to_an_open_project(
    curate: CurateWidget, project: Path, tmp_path: Path
) -> None:
    open_queue(curate, project)
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / "later.png")
    (tmp_path / "more.csv").write_text("path\nlater.png\nmissing.png\n", encoding="utf-8")
    press(curate, curate.opening.more)
    form = curate.opening.form
    assert not form.folder.isVisible()
    form.source.setText(str(tmp_path / "more.csv"))
    press(curate, form.create_button)
    wait_until(lambda: curate.list.model.rowCount() == 5)
    assert "1 picture was added. 1 was left out" in curate.message.text()
    assert names(curate)[-1] == "later.png"


def test_filters_of_a_project(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    press(curate, curate.queue.authentic)
    press(curate, curate.queue.forward)
    choose(curate, curate.list.state, "done")
    assert names(curate) == ["a1.png"]
    choose(curate, curate.list.state, "to do")
    assert len(names(curate)) == 3
    choose(curate, curate.list.state, "all states")
    assert curate.list.tag.isVisible()
    choose(curate, curate.list.tag, "harbour")
    assert len(names(curate)) == 4
    choose(curate, curate.list.stage, "accept")
    assert names(curate) == ["a1.png"]
    choose(curate, curate.list.state, "cannot be used")
    assert names(curate) == []
    assert curate.controller.image is not None  # the open one stays


def test_done_without_all_pixels_needs_a_reason(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    key = curate.controller.key
    assert key is not None

    def corner(labels: np.ndarray, protected: np.ndarray) -> np.ndarray:
        changed = labels.copy()
        changed[:10, :10], changed[20:] = 1, 2
        return changed

    curate.controller.session.annotations.edit(key, corner, "paint")
    settle(curate)
    picture = curate.workspace.queue.work.key
    press(curate, curate.queue.done)
    assert curate.queue.question.isVisible()
    assert "1,100 pixels have no source" in curate.queue.asked.text()
    press(curate, curate.queue.waive)
    reason = curate.queue.reason
    assert not reason.yes.isEnabled()
    QTest.keyClicks(reason.line, "a torn corner")
    press(curate, reason.yes)
    assert curate.workspace.queue.work.key != picture
    assert column(curate, STATE)[0] == "done"
    found = Project.open(project)
    work = find_work(found, picture, "anna")
    assert work is not None
    assert work.waiver == "a torn corner"
    found.close()


def test_a_picture_is_sent_back_with_a_note_and_accepted(
    curate: CurateWidget, project: Path
) -> None:
    open_queue(curate, project)
    press(curate, curate.queue.authentic)
    press(curate, curate.queue.authentic)
    press(curate, curate.queue.back)
    press(curate, curate.queue.reject)
    QTest.keyClicks(curate.queue.reason.line, "look at the sky")
    QTest.keyClick(curate.queue.reason.line, Qt.Key.Key_Return)
    settle(curate)
    press(curate, curate.queue.back)
    assert column(curate, STATE)[1] == "rejected"
    assert "Sent back: look at the sky" in curate.queue.place.text()
    press(curate, curate.queue.back)
    press(curate, curate.queue.accept)
    assert column(curate, STATE)[0] == "accepted"
    assert curate.workspace.queue.n_done == 1  # which a model may learn from, as before


def test_another_name_works_on_the_same_project(
    curate: CurateWidget, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAPARI_SAFIRE_ANNOTATOR", raising=False)
    open_queue(curate, make_project(photos, author="root"))
    who = curate.opening.who
    curate.opening.unfold()
    who.setFocus()
    who.setText("berta")
    QTest.keyClick(who, Qt.Key.Key_Return)
    work = curate.workspace.queue.work
    wait_until(lambda: work.store is not None and work.store.annotator == "berta")
    settle(curate)
    assert annotator_name() == "berta"
    who.setText("  ")
    who.editingFinished.emit()
    wait_until(lambda: "cannot be an annotator's name" in curate.message.text())
    assert annotator_name() == "berta"


def test_a_name_given_by_the_environment_stands(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    assert curate.opening.who.text() == "anna"
    assert curate.opening.who.isReadOnly()


def test_a_conflict_is_told_with_its_three_ways(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    picture = curate.workspace.queue.work.key
    other = Project.open(project, author="anna")  # the same name at another machine
    theirs = np.full(SHAPE, 2, np.uint8)
    theirs[:10] = 1
    save_step(other, picture, "anna", Step(labels=theirs), 0)
    other.close()
    mark_two_sources(curate)
    press(curate, curate.queue.forward)
    wait_until(lambda: curate.queue.conflict.isVisible())
    assert "Changed by anna" in curate.queue.conflict_text.text()
    press(curate, curate.queue.both)
    assert any("sources by anna" in layer.name for layer in curate.controller.viewer.layers)
    press(curate, curate.queue.theirs)
    wait_until(lambda: not curate.queue.conflict.isVisible())
    settle(curate)
    layer = curate.controller.sources_layer
    assert layer is not None
    np.testing.assert_array_equal(np.asarray(layer.data), theirs)


def test_work_begins_from_a_partition_a_mask_or_nothing(
    curate: CurateWidget, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_queue(curate, project)
    section = curate.queue

    def shown() -> list[int]:
        layer = curate.controller.sources_layer
        return [] if layer is None else np.unique(np.asarray(layer.data)).tolist()

    section.always.setChecked(True)
    choose(curate, section.begin, "the model's partition")
    assert shown() == [1, 2]
    curate.workspace.queue._kept.setSingleShot(False)
    curate.workspace.queue._kept.start(50)  # again and again, instead of 2.5 s later
    wait_until(lambda: " · begun" in section.place.text())  # once it is kept
    press(curate, section.forward)
    wait_until(lambda: shown() == [1, 2])  # always
    section.always.setChecked(False)
    mask = np.zeros(SHAPE, np.uint8)
    mask[:20] = 100
    Image.fromarray(mask).save(tmp_path / "mask.png")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "mask.png"), ""))
    choose(curate, section.begin, "a mask file …")
    wait_until(lambda: shown() == [1, 3])
    choose(curate, section.begin, "nothing")
    wait_until(lambda: shown() == [0])
    curate.controller.edits.undo()
    wait_until(lambda: shown() == [1, 3])
    press(curate, section.forward)
    assert shown() == []


# ---------------------------------------------------------------- what is said of sources


def description_of(project: Path, picture: str) -> PictureDescription:
    found = Project.open(project)
    work = find_work(found, picture, "anna")
    found.close()
    assert work is not None
    return work.description


def pick(curate: CurateWidget, box: QComboBox, text: str) -> None:
    assert box.isVisibleTo(curate)
    choose(curate, box, text)


def test_each_source_is_described_and_it_is_kept(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    picture = curate.workspace.queue.work.key
    mark_two_sources(curate)
    form = curate.descriptions
    form.unfold()
    pump()
    assert "0 of 2" in form.heading.text()
    pick(curate, form.type, "authentic background")
    pick(curate, form.source, "2 · unknown")
    assert curate.controller.mode.source == 2
    pick(curate, form.type, "splice")
    form.order.setValue(1)
    pick(curate, form.certainty, "probable")
    form.name.setText("boat")
    form.name.editingFinished.emit()
    form.tags.setText("blurred, night,, blurred")
    form.tags.editingFinished.emit()
    pick(curate, form.donor, "picture of the project")
    form.donor_name.setText("b10.png")
    form.donor_name.editingFinished.emit()
    settle(curate)
    assert "2 of 2" in form.heading.text()
    wait_until(lambda: form.donor_name.text() == "b10.png")
    donor = curate.list.model.key(names(curate).index("b10.png"))
    press(curate, curate.queue.forward)
    assert form.type.currentText() == "unknown"  # nothing is said of this one
    said = description_of(project, picture)
    assert said.of(1).type == "authentic background"
    assert said.of(2) == SourceDescription(
        2, "boat", None, "splice", Donor("picture", donor), 1, "probable", ("blurred", "night")
    )
    press(curate, curate.queue.back)
    curate.controller.mode.source = 2
    settle(curate)
    assert form.tags.text() == "blurred, night"
    wait_until(lambda: form.donor_name.text() == "b10.png")
    pick(curate, form.donor, "this picture")
    assert form.donor_name.isVisible()
    settle(curate)
    assert description_of(project, picture).of(2).donor == Donor("region")
    form.donor_name.setText("1")  # both ends of a copy
    form.donor_name.editingFinished.emit()
    settle(curate)
    assert description_of(project, picture).of(2).donor == Donor("region", source=1)


@pytest.mark.parametrize(("text", "told"), [("b", "4 pictures are"), ("nowhere", "No picture is")])
def test_a_donor_of_no_or_of_several_names_is_told(
    curate: CurateWidget, project: Path, text: str, told: str
) -> None:
    open_queue(curate, project)
    form = curate.descriptions
    form.unfold()
    pick(curate, form.donor, "picture of the project")
    form.donor_name.setText(text)  # which also all tags have
    form.donor_name.editingFinished.emit()
    settle(curate)
    assert f'{told} called "{text}"' in curate.message.text()
    assert form.donor.currentText() == "unknown"


def test_notes_are_kept_pinned_shown_and_removed(curate: CurateWidget, project: Path) -> None:
    open_queue(curate, project)
    picture = curate.workspace.queue.work.key
    viewer, notes = curate.controller.viewer, curate.notes
    mark_two_sources(curate)
    notes.unfold()
    pump()
    QTest.keyClicks(notes.text, "soft edge")
    QTest.keyClick(notes.text, Qt.Key.Key_Return)
    settle(curate)
    press(curate, notes.pin)
    click = viewer.mouse_drag_callbacks[-1]
    event = SimpleNamespace(type="mouse_press", position=(12.0, 30.0))
    steps = click(viewer, event)
    next(steps)
    event.type = "mouse_release"
    assert next(steps, None) is None
    assert notes.pin.text() == "Pinned at 12, 30"
    assert click not in viewer.mouse_drag_callbacks
    choose(curate, notes.about, "source 1")
    notes.text.setText("a seam")
    press(curate, notes.add)
    assert [notes.list.item(n).text() for n in range(2)] == [
        "soft edge",
        "source 1 · a seam (12, 30)",
    ]
    assert description_of(project, picture).notes == (
        Note("soft edge"),
        Note("a seam", 1, 12.0, 30.0),
    )
    (pins,) = [layer for layer in viewer.layers if layer.name == "notes"]
    assert pins.data.tolist() == [[12.0, 30.0]]
    press(curate, curate.queue.forward)
    assert notes.list.count() == 0
    assert "notes" not in viewer.layers
    press(curate, curate.queue.back)
    notes.list.setCurrentRow(0)
    press(curate, notes.remove)
    assert description_of(project, picture).notes == (Note("a seam", 1, 12.0, 30.0),)


def test_what_is_said_of_a_source_follows_it_to_another_number(
    curate: CurateWidget, project: Path
) -> None:
    open_queue(curate, project)
    picture = curate.workspace.queue.work.key
    mark_two_sources(curate)
    curate.controller.edits.commit()
    edits, form = curate.controller.edits, curate.descriptions
    key = curate.controller.key
    assert key is not None
    curate.controller.session.annotations.edit(
        key, lambda labels, protected: np.where(labels == 2, np.uint8(7), labels), "to 7"
    )
    settle(curate)
    form.unfold()
    curate.controller.mode.source = 7
    pick(curate, form.type, "removal")
    edits.renumber()
    settle(curate)
    assert curate.controller.mode.source == 2
    assert form.type.currentText() == "removal"
    edits.undo()
    settle(curate)
    curate.controller.mode.source = 7
    assert form.type.currentText() == "removal"
    edits.redo()
    settle(curate)
    press(curate, curate.queue.forward)
    said = description_of(project, picture)
    assert [(source.number, source.type) for source in said.sources] == [(2, "removal")]


def test_tags_of_a_picture_are_changed_and_can_be_filtered_by(
    curate: CurateWidget, project: Path
) -> None:
    open_queue(curate, project)
    curate.notes.unfold()
    assert curate.notes.tags.text() == "harbour"
    curate.notes.tags.setText("night, harbour")
    curate.notes.tags.editingFinished.emit()
    wait_until(lambda: curate.list.tag.findText("night") > 0)
    choose(curate, curate.list.tag, "night")
    assert names(curate) == ["a1.png"]


def test_a_folder_holds_no_descriptions(curate: CurateWidget, photos: Path) -> None:
    open_queue(curate, photos)
    assert not curate.descriptions.isVisible()
    assert not curate.notes.isVisible()
    curate.workspace.queue.note()
    curate.workspace.queue.accept()
    assert "cannot be accepted: open a project" in curate.message.text()


def test_the_next_picture_takes_the_layer_of_the_last_and_nothing_else_of_it(
    curate: CurateWidget, viewer: ViewerModel, project: Path
) -> None:
    open_queue(curate, project)
    queue, controller = curate.workspace.queue, curate.controller
    image, first, opened = queue.pictures.image, queue.work.key, queue.work.opened
    assert image is not None
    mark_two_sources(curate)
    marked = controller.sources_layer
    assert marked is not None
    queue.go_on()
    settle(curate)
    work = queue.work.work
    assert queue.pictures.image is image, "another layer was made"
    assert work is not None
    np.testing.assert_array_equal(image.data, work.image.pixels)
    assert (image.name, queue.work.opened != opened) == (work.name, True)
    assert marked not in viewer.layers
    assert controller.sources_layer is None
    assert controller.session.planes.of(opened) == []
    controller.edits.undo()  # of the picture before: nothing
    settle(curate)
    assert controller.sources_layer is None
    queue.work.go_to(first)
    settle(curate)
    assert controller.sources_layer is not None
    assert set(np.unique(controller.sources_layer.data)) >= {1, 2}


@pytest.mark.parametrize("change", ["opacity", "layer above", "grey", "mode"])
def test_a_layer_that_is_shown_otherwise_is_not_used_again(
    curate: CurateWidget, viewer: ViewerModel, photos: Path, change: str
) -> None:
    if change == "grey":
        Image.fromarray(np.full(SHAPE, 9, np.uint8)).save(photos / "a2.png")
    open_queue(curate, photos)
    queue = curate.workspace.queue
    image = queue.pictures.image
    assert image is not None
    if change == "opacity":
        image.opacity = 0.3
    elif change == "layer above":
        viewer.add_points(np.zeros((1, 2)), name="mine")
    elif change == "mode":
        image.mode = "transform"
    queue.go_on()
    settle(curate)
    then = queue.pictures.image
    assert then is not None
    assert then is not image
    assert image not in viewer.layers
    assert (then.opacity, then.mode) == (1.0, "pan_zoom")
    assert then.rgb == (change != "grey")
    assert ("mine" in viewer.layers) == (change == "layer above")


def test_a_picture_of_another_size_fits_the_layer_and_the_view(
    curate: CurateWidget, viewer: ViewerModel, photos: Path
) -> None:
    Image.fromarray(np.full((90, 30, 3), 9, np.uint8)).save(photos / "a2.png")
    open_queue(curate, photos)
    queue = curate.workspace.queue
    image = queue.pictures.image
    queue.go_on()
    settle(curate)
    assert image is not None
    assert queue.pictures.image is image
    assert image.data.shape == (90, 30, 3)
    assert image.extent.world.tolist() == [[0, 0], [89, 29]]
    camera = getattr(viewer, "scene", viewer).camera
    np.testing.assert_allclose(camera.center[-2:], (44.5, 14.5))
    mark_two_sources(curate)
    assert curate.controller.sources_layer is not None
    assert curate.controller.sources_layer.data.shape == (90, 30)
