"""The dock *SAFIRE Review* on a viewer without a window: cases, findings, verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from corpus_stand_in import manifest
from fakes import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image
from PIL import Image as PillowImage
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent, QKeyEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QLabel, QPushButton
from window.hand import wait_idle

from napari_safire.gui.layers.image_planes import PictureLayer
from napari_safire.gui.layers.viewport import show_viewport, viewport_of
from napari_safire.gui.panels.review.finding_form import about_words
from napari_safire.gui.panels.section import FoldedSection
from napari_safire.gui.review import ReviewWidget
from napari_safire.gui.widget import SafireWidget
from napari_safire.images.lists import ListEntry
from napari_safire.project.adding import add_pictures
from napari_safire.project.people import ANNOTATOR_VARIABLE
from napari_safire.project.store import Project
from napari_safire.review.case import Case, case_folder_of, open_case
from napari_safire.review.values import CaseDescription, Finding, Judgement, Viewport
from napari_safire.review.voting import Votes
from napari_safire.session.review.analyses import OTHER_PIXELS, MadeAnalysis
from napari_safire.settings import PartitionSettings

from .hand import pump, wait_until

SHAPE = (96, 128)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_picture(path, 3)
    return path


def write_picture(path: Path, seed: int, shape: tuple[int, int] = SHAPE) -> None:
    values = np.random.default_rng(seed).integers(60, 200, (*shape, 3)).astype(np.uint8)
    PillowImage.fromarray(values).save(path)


def load(viewer: ViewerModel, path: Path) -> Image:
    layer = viewer.add_image(
        np.asarray(PillowImage.open(path)),
        name=path.name,
        metadata={"napari_safire": {"image_path": str(path)}},
    )
    assert isinstance(layer, Image)
    return layer


def open_review(viewer: ViewerModel) -> ReviewWidget:
    widget = ReviewWidget(viewer, load_engine=lambda name, device, notice: FakeEngine())
    widget.resize(400, 700)
    widget.show()
    pump(0.02)
    return widget


def end(widget: ReviewWidget) -> None:
    widget.close_work()
    widget.deleteLater()
    QApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)


@pytest.fixture
def review(viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[ReviewWidget]:
    monkeypatch.setenv(ANNOTATOR_VARIABLE, "Anna")
    widget = open_review(viewer)
    yield widget
    if not widget.is_closed:
        end(widget)


def settle(review: ReviewWidget) -> None:
    work = review.workspace.review.work
    wait_until(lambda: not work.doing)
    wait_idle(review.controller)
    pump(0.02)


def press(review: ReviewWidget, button: Any) -> None:
    around = button.parentWidget()
    while around is not None:
        if isinstance(around, FoldedSection) and button is not around.heading:
            around.unfold()
        around = around.parentWidget()
    assert button.isEnabled()
    pump()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    settle(review)


def told(review: ReviewWidget) -> list[str]:
    return [message.text for message in review.workspace.messages.shown]


def case_of(photo: Path, reviewer: str) -> Case:
    return open_case(case_folder_of(photo), photo, reviewer=reviewer)


def make_case(review: ReviewWidget, photo: Path) -> None:
    load(review.controller.viewer, photo)
    settle(review)
    press(review, review.case.make)
    assert review.workspace.review.work.opened is not None, told(review)


def note(review: ReviewWidget, text: str) -> None:
    press(review, review.note)
    review.findings.form.comment.setPlainText(text)
    press(review, review.findings.form.keep)


# ---------------------------------------------------------------- the case


def test_the_dock_says_what_comes_next_and_partitions(review: ReviewWidget, photo: Path) -> None:
    next_ = review.next
    assert not next_.words.isVisible()
    load(review.controller.viewer, photo)
    settle(review)
    assert not next_.partition.isVisible()  # before the case it would show the model's verdict
    press(review, review.case.make)
    settle(review)
    assert next_.words.text().startswith("Next: partition the picture")
    press(review, next_.partition)
    assert review.controller.plane is not None
    assert review.controller.plane.partition is not None
    assert not next_.partition.isVisible()
    assert next_.words.text().startswith("Next: open views under Evidence")
    assert " source" in review.regions.heading.text()
    note(review, "A seam.")
    assert next_.words.text() == "Next: answer the checklist and give your verdict."


def test_the_answers_of_the_checklist_lie_beside_their_questions(
    review: ReviewWidget, photo: Path
) -> None:
    make_case(review, photo)
    review.judgement.unfold()
    review.judgement.checklist.unfold()
    settle(review)
    for box in review.judgement.questions.boxes.values():
        row = box.parentWidget()
        assert row is not None
        assert row.rect().contains(box.geometry())


def test_a_case_is_made_beside_the_picture_and_opened_again(
    review: ReviewWidget, photo: Path
) -> None:
    load(review.controller.viewer, photo)
    settle(review)
    assert review.case.state.text() == "Open or make the case of this picture first."
    press(review, review.note)
    assert told(review) == ["Open or make the case of this picture first."]
    press(review, review.case.make)
    assert "photo.png · PNG · 96 rows, 128 columns · SHA-256" in review.case.identity.text()
    form = review.case.form
    form.lines["title"].setText("Tower")
    form.lines["title"].textEdited.emit("Tower")
    form.boxes["question"].setPlainText("Was the bird put in?")
    assert form.keep.isEnabled()
    press(review, form.keep)
    assert not form.keep.isEnabled()
    review.controller.viewer.layers.clear()
    settle(review)
    assert review.case.identity.isHidden()
    load(review.controller.viewer, photo)
    settle(review)
    opened = review.workspace.review.work.opened
    assert opened is not None
    assert opened.description == CaseDescription(title="Tower", question="Was the bird put in?")
    assert form.lines["title"].text() == "Tower"


def test_a_picture_that_changed_or_is_gone_says_nothing_any_more(
    review: ReviewWidget, photo: Path
) -> None:
    make_case(review, photo)
    write_picture(photo, 4)
    press(review, review.note)
    review.findings.form.comment.setPlainText("a bird")
    press(review, review.findings.form.keep)
    changed = "photo.png has changed since it came into this case: put the former file back."
    assert told(review) == [changed]
    assert changed in review.case.state.text()
    assert review.findings.form.comment.text == "a bird"
    assert not review.findings.form.keep.isEnabled()
    photo.unlink()
    press(review, review.case.again)
    assert "The picture of this case is gone." in review.case.state.text()
    write_picture(photo, 3)
    press(review, review.case.again)
    assert review.case.state.isHidden()
    press(review, review.findings.form.keep)
    assert review.findings.list.count() == 1


def test_a_folder_that_is_dropped_is_opened_as_the_case(
    review: ReviewWidget, photo: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "other.png", 5)
    other = open_case(tmp_path / "many", tmp_path / "other.png", reviewer="Berta")
    other.project.close()
    load(review.controller.viewer, photo)
    settle(review)
    for folder, sentence in (
        (tmp_path, f"{tmp_path.name} holds no case: drop it on the dock SAFIRE Curate."),
        (tmp_path / "many", "photo.png is in the case many now."),
    ):
        review.workspace.messages.clear()
        drop(review, folder)
        settle(review)
        assert told(review) == [sentence]
    opened = review.workspace.review.work.opened
    assert opened is not None
    assert opened.case.project.folder == tmp_path / "many"
    reports = review.workspace.review.reports
    assert reports.suggested == tmp_path / "many" / "report"


def test_results_of_a_corpus_are_reviewed_one_after_the_other(
    review: ReviewWidget, tmp_path: Path
) -> None:
    for seed, name in enumerate(("a", "b", "c")):
        write_picture(tmp_path / f"{name}.png", seed)
    scores = [("../a.png", 0.2), ("../b.png", 0.9), ("../c.png", 0.5)]
    results = manifest(tmp_path / "results", scores)
    assert not review.queue_line.isVisible()
    drop(review, results)
    settle(review)
    line, work = review.queue_line, review.workspace.queue.work
    assert work.key == "b.png"
    assert line.label.text() == "1 of 3 in results · untouched"
    assert not line.back.isEnabled()
    press(review, review.case.make)
    review.case.form.lines["number"].setFocus()
    QTest.keyClicks(review.case.form.lines["number"], "17")
    press(review, line.forward)
    assert work.key == "c.png"
    selected = review.workspace.review.work.selected
    assert selected is not None
    assert selected.file == tmp_path / "c.png"
    press(review, line.back)
    assert work.key == "b.png"
    opened = review.workspace.review.work.opened
    assert opened is not None
    assert opened.picture.name == "b.png"
    assert review.case.form.lines["number"].text() == "17"  # not kept yet, and not lost
    review.chosen.form.where.setText("score < .7")
    wait_until(lambda: review.chosen.form.number.text() == "2 of 3 pictures")
    press(review, review.chosen.go)
    assert work.listing.keys == ("c.png", "a.png")
    assert not told(review)


def drop(review: ReviewWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    review.dropEvent(QDropEvent(QPointF(9, 9), action, data, button, none))


def test_a_picture_of_a_project_is_reviewed_in_the_project(
    review: ReviewWidget, viewer: ViewerModel, photo: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "second.png", 6)
    with Project.create(tmp_path / "town", author="Anna") as project:
        add_pictures(project, [ListEntry(photo), ListEntry(tmp_path / "second.png")])
    queue = review.workspace.queue
    queue.work.open_queue(tmp_path / "town")
    wait_until(lambda: queue.work.opened is not None and not queue.work.doing)
    settle(review)
    work = review.workspace.review.work
    assert work.opened is not None
    assert work.opened.case.project is queue.project
    assert review.case.who.isReadOnly()
    note(review, "of the first")
    first = work.opened.picture.id
    queue.go_on()
    wait_until(lambda: not queue.work.doing)
    settle(review)
    assert work.opened is not None
    assert work.opened.picture.id != first
    assert review.findings.list.count() == 0
    queue.go_back()
    wait_until(lambda: not queue.work.doing)
    settle(review)
    assert review.findings.list.count() == 1


# ---------------------------------------------------------------- findings


def test_a_finding_takes_view_parameters_and_place_and_brings_them_back(
    review: ReviewWidget, photo: Path
) -> None:
    make_case(review, photo)
    viewer = review.controller.viewer
    review.evidence.unfold()
    settle(review)
    review.workspace.evidence.make("noise level", {"cell": 8})
    settle(review)
    press(review, review.evidence.cards["noise level"].heading)
    press(review, review.evidence.cards["noise level"].layer_button)
    camera = getattr(viewer, "scene", viewer).camera
    camera.center, camera.zoom = (0.0, 40.0, 60.0), 20.0
    note(review, "The bird's noise is another.\n<b>second line</b>\u202e")
    (noted,) = review.workspace.review.work.opened.review.findings  # type: ignore[union-attr]
    finding = noted.finding
    assert (finding.view, dict(finding.parameters)["cell"]) == ("noise level", 8)
    assert finding.viewport is not None
    assert (finding.viewport.row, finding.viewport.height) == pytest.approx((20.0, 40.0), abs=16)
    assert "<b>second line</b>\\u202e" in review.findings.detail.text()
    viewer.layers[-1].visible = False
    review.workspace.evidence.make("noise level", {})
    camera.zoom = 1.0
    settle(review)
    review.findings._look()
    settle(review)
    assert viewer.layers[-1].visible
    found = review.workspace.evidence.known.views["noise level"].found  # type: ignore[union-attr]
    assert found is not None
    assert found.parameters["cell"] == 8
    assert camera.zoom == pytest.approx(20.0)
    assert tuple(camera.center) == pytest.approx((0.0, 40.0, 60.0), abs=0.1)


def test_a_finding_is_revised_and_withdrawn_but_stays(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    note(review, "first")
    press(review, review.findings.edit)
    review.findings.form.comment.setPlainText("second")
    press(review, review.findings.form.keep)
    press(review, review.findings.withdraw)
    opened = review.workspace.review.work.opened
    assert opened is not None
    (noted,) = opened.review.findings
    assert (noted.revision, noted.finding.comment, noted.finding.status) == (
        3, "second", "withdrawn",
    )  # fmt: skip
    assert review.findings.list.item(0).font().strikeOut()


def test_somebody_was_quicker(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    note(review, "ours")
    other = case_of(photo, "\u05d1\u05e8\u05d8\u05d4")
    (noted,) = other.review().findings
    other.note(Finding(noted.finding.id, "theirs"), 1)
    press(review, review.findings.edit)
    review.findings.form.comment.setPlainText("ours again")
    press(review, review.findings.form.keep)
    assert "was quicker" in told(review)[0]
    assert "theirs" in review.findings.detail.text()
    assert "Also reviewed by \u2068\u05d1\u05e8\u05d8\u05d4\u2069." in review.case.others.text()
    press(review, review.findings.form.keep)
    assert other.review().findings[0].finding.comment == "ours again"
    other.project.close()


def test_what_was_typed_outlives_the_dock(
    review: ReviewWidget, viewer: ViewerModel, photo: Path, tmp_path: Path
) -> None:
    make_case(review, photo)
    press(review, review.note)
    text = "x" * 30_001
    review.findings.form.comment.setPlainText(text)
    press(review, review.findings.form.keep)
    assert "shorten it to 30,000" in told(review)[0]
    write_picture(tmp_path / "other.png", 5)
    load(viewer, tmp_path / "other.png")
    settle(review)
    assert review.findings.form.isHidden()
    viewer.layers.selection.active = viewer.layers[0]
    settle(review)
    assert review.findings.form.comment.text == text
    end(review)
    again = open_review(viewer)
    settle(again)
    assert again.findings.form.comment.text == text
    press(again, again.findings.form.drop)
    end(again)
    third = open_review(viewer)
    settle(third)
    assert third.findings.form.isHidden()
    end(third)


# ---------------------------------------------------------------- a blind first look


def test_the_models_verdict_waits(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    review.controller.partition()
    settle(review)
    plane = review.controller.plane
    assert plane is not None
    assert plane.forgery is not None
    assert review.verdict.line.text() == "Hidden until you have given your own verdict"
    first = SafireWidget(review.controller.viewer)
    first.show()
    settle(review)
    assert first.verdict.line.text() == review.verdict.line.text()
    assert first.plots.isHidden(), "they tell how probable one source is"
    assert not first.view.buttons["forgery map"].isEnabled()
    switch = review.workspace.switch
    assert not switch.can_be_shown("forgery map")
    assert [layer.name for layer in review.controller.viewer.layers if "map" in layer.name] == []
    note(review, "seen before")
    press(review, review.reveal)
    assert plane.forgery.verdict in review.verdict.line.text().lower()
    assert first.view.buttons["forgery map"].isEnabled()
    assert not first.plots.isHidden()
    first.close_work()
    first.deleteLater()
    with_case = case_of(photo, "Anna")
    kinds = [event.kind for event in with_case.events() if event.kind.startswith("review.")]
    assert kinds == ["review.begun", "review.noted", "review.shown"]
    with_case.project.close()


# ---------------------------------------------------------------- a verdict


def choose(box: QComboBox, text: str) -> None:
    assert box.findText(text) >= 0, text
    box.setCurrentText(text)
    box.activated.emit(box.currentIndex())


def give_verdict(review: ReviewWidget, verdict: str, support: str = "") -> None:
    section = review.judgement
    section.unfold()
    for name, box in section.questions.boxes.items():
        choose(box, "no" if name == "unmodified" else "yes")
    choose(section.form.picture.verdict, verdict)
    if support:
        choose(section.form.picture.support, support)


def test_a_verdict_needs_its_checklist_and_is_signed(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    review.controller.partition()
    settle(review)
    section = review.judgement
    section.unfold()
    assert section.why_not.text() == "Answer the checklist: 6 open."
    assert not section.sign.isEnabled()
    give_verdict(review, "manipulated")
    assert section.why_not.text() == "Choose how strongly the findings support it."
    choose(section.form.picture.support, "strong support")
    section.form.picture.types[0].setChecked(True)
    section.form.interpretation.setPlainText("The bird has the noise of another camera.")
    section.questions.notes["unmodified"].setText("sent by a messenger")
    section.questions.notes["unmodified"].textEdited.emit("")
    choose(section.form.sources[2].verdict, "manipulated")
    assert section.why_not.text() == "Source 2: choose how strongly the findings support it."
    choose(section.form.sources[2].support, "strong support")
    press(review, section.sign)
    opened = review.workspace.review.work.opened
    assert opened is not None
    judged = opened.mine.verdict
    assert judged is not None, told(review)
    given = judged.judgement
    assert (given.verdict, given.types, given.confidence) == (
        "manipulated", ("splice",), "strong support",
    )  # fmt: skip
    assert [source.source for source in given.sources] == [2]
    assert given.labels is not None
    labels = opened.case.labels(given.labels)
    np.testing.assert_array_equal(labels, review.controller.plane.snapshot.labels)  # type: ignore[union-attr]
    assert judged.blind
    assert [s.by for s in judged.signatures] == ["Anna"]
    assert opened.mine.checklist[2].note == "sent by a messenger"
    assert "signed by Anna" in section.given.text()
    assert not section.sign.isEnabled()
    assert not review.verdict.is_hidden, "the model's verdict is shown after one's own"
    settle(review)
    assert review.workspace.review.work.opened.mine.shown_at  # type: ignore[union-attr]


def test_the_wheel_scrolls_and_never_changes_an_answer(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    review.judgement.unfold()
    boxes = [
        *review.judgement.questions.boxes.values(),
        *review.judgement.form.findChildren(QComboBox),
        review.findings.form.kind,
    ]
    for box in review.judgement.questions.boxes.values():
        around = box.parentWidget()
        assert around is not None
        assert around.rect().contains(box.geometry())  # an answer can be given
        assert box.width() > 60
    before = [box.currentIndex() for box in boxes]
    for box in boxes:
        turned = QWheelEvent(
            QPointF(5, 5), box.mapToGlobal(QPointF(5, 5)), QPoint(), QPoint(0, -240),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(box, turned)
        assert not turned.isAccepted(), box.accessibleName()
    assert [box.currentIndex() for box in boxes] == before


def test_keys_of_the_docks_work_while_a_table_has_the_focus(review: ReviewWidget) -> None:
    for table in (review.regions.table, review.findings.list):
        pressed = QKeyEvent(
            QEvent.Type.KeyPress, Qt.Key.Key_B, Qt.KeyboardModifier.ShiftModifier, "B"
        )
        assert QApplication.sendEvent(table, pressed)
        assert not pressed.isAccepted()


@pytest.mark.parametrize(("n_rows", "n_cols"), [(683, 1024), (1440, 1921)])
def test_a_part_is_named_by_the_pixels_that_are_seen(n_rows: int, n_cols: int) -> None:
    whole = {"row": -0.5, "col": -0.5, "height": float(n_rows), "width": float(n_cols)}
    assert about_words("picture", whole, {}) == (
        f"picture · rows 0 to {n_rows - 1}, columns 0 to {n_cols - 1}"
    )


def test_a_second_reviewer_signs_or_disputes(
    review: ReviewWidget, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = case_of(photo, "Berta")
    other.begin(blind=True)
    other.judge(Judgement("authentic", confidence="weak support", interpretation="<i>nothing</i>"))
    load(review.controller.viewer, photo)
    settle(review)
    section = review.judgement
    section.unfold()
    assert section._listed == (), "hers is hidden until one has given one's own"
    give_verdict(review, "cannot be determined")
    press(review, section.sign)
    texts = [label.text() for label in section.others.findChildren(QLabel)]
    assert "Berta: authentic, weak support" in texts[0]
    assert "<i>nothing</i>" in texts[0]
    dispute = section.others.findChildren(QPushButton)[1]
    press(review, dispute)
    section.reason.line.setText("The noise differs.")
    press(review, section.reason.yes)
    (signed,) = other.review().of("Berta").verdict.signatures  # type: ignore[union-attr]
    assert (signed.by, signed.signature.stance) == ("Anna", "disputes")
    assert signed.signature.comment == "The noise differs."
    assert "disputed by Anna" in section.others.findChildren(QLabel)[0].text()
    other.project.close()


def test_a_case_that_is_removed_takes_nothing_and_loses_nothing(
    review: ReviewWidget, photo: Path
) -> None:
    make_case(review, photo)
    folder = case_folder_of(photo)
    folder.rename(folder.with_name("away"))
    note(review, "A seam.")
    assert ["was removed or replaced" in text for text in told(review)] == [True]
    assert review.findings.form.comment.text == "A seam."
    folder.with_name("away").rename(folder)
    press(review, review.findings.form.keep)
    assert review.findings.list.count() == 1
    assert review.findings.form.comment.text == ""


# ---------------------------------------------------------------- regions


def test_votes_are_a_layer_that_findings_name(review: ReviewWidget, photo: Path) -> None:
    make_case(review, photo)
    review.controller.partition()
    settle(review)
    section = review.regions
    assert not section.votes.isVisibleTo(section.why)
    certainty = np.linspace(0.4, 1, 6, dtype=np.float32).reshape(2, 3)
    sources = np.array([[0, 0, 1], [0, 1, 1]])
    of = tuple(SimpleNamespace(words="", votes=3, sure=2) for _ in range(2))
    step, middle = (48.0, 128 / 3), (23.5, 20.8)
    votes = Votes("patches", sources, certainty, 1 - sources, step, middle, of)  # type: ignore[arg-type]
    picture = SimpleNamespace(shape=SHAPE)
    analysis: Any = SimpleNamespace(
        votes=votes, labels=sources, stability=None, saved_again=None, picture=picture
    )
    analyses, key = review.workspace.review.analyses, review.controller.key
    assert key is not None
    analyses._made = key, MadeAnalysis(analysis, FakeEngine(), PartitionSettings(), "", {})  # type: ignore[arg-type]
    analyses.changed.emit()
    legend = "Votes. Brighter: a surer vote (sure from 0.8), 0 to 1 probability."
    assert section.legend.text() == legend
    press(review, section.votes)
    (layer,) = [one for one in review.controller.viewer.layers if one.name.endswith("votes")]
    assert layer.data.shape == SHAPE
    assert layer.data[0, 0] == certainty[0, 0]
    assert layer.data[95, 127] == certainty[1, 2]
    note(review, "Unsure at the left.")
    opened = review.workspace.review.work.opened
    assert opened is not None
    (finding,) = opened.review.findings
    assert finding.finding.view == "votes"
    layer.visible = False
    review.findings.list.setCurrentRow(0)
    review.workspace.review.sight.look_at(finding.finding)
    assert layer.visible
    review.controller.viewer.layers.remove(layer)
    review.workspace.review.sight.look_at(finding.finding)
    assert told(review) == ["The votes are not open: press Analyse, then Votes as layer."]
    analyses._made = key, replace(analyses.of(key), is_shown=False)  # type: ignore[type-var]
    analyses.changed.emit()
    assert section.told.text().startswith(OTHER_PIXELS)
    review.workspace.messages.clear()
    press(review, section.votes)
    assert told(review) == [OTHER_PIXELS]


def test_a_row_selects_its_region_and_goes_there(review: ReviewWidget, photo: Path) -> None:
    write_picture(photo, 3, (160, 240))
    make_case(review, photo)
    section = review.regions
    press(review, section.compare)
    assert told(review) == ["There are no sources yet: partition the picture, or mark some."]
    review.controller.partition()
    settle(review)
    press(review, section.compare)
    table = section.table
    assert table.rowCount() == len(table.rows) > 0
    effects = [abs(row.effect or 0) for row in table.rows if not row.outlier]
    assert effects == sorted(effects, reverse=True)
    number = next(n for n, row in enumerate(table.rows) if row.source == 2)
    table.selectRow(number)
    settle(review)
    assert review.controller.sources_layer.selected_label == 2  # type: ignore[union-attr]
    compared = review.workspace.review.regions.of(review.controller.key)
    assert compared is not None
    top, left, bottom, right = compared.bounds[2]
    sight = review.workspace.review.sight.now()
    assert sight is not None
    seen = sight.viewport
    assert seen is not None
    assert seen.row <= top < bottom <= seen.row + seen.height + 1
    assert 0 < seen.col <= left < right <= seen.col + seen.width + 1
    assert "Effect" in section.detail.text()
    press(review, review.note)
    assert review.findings.form.source.currentText() == "source 2"
    assert review.findings.form.values["view"] == "partition"
    review.controller.edits.merge([1, 2])
    settle(review)
    assert section.state.text().startswith("The sources have changed since: compare again.")


# ---------------------------------------------------------------- the part on screen


@settings(max_examples=15, deadline=None)
@given(
    top=st.floats(0, 60), left=st.floats(0, 90), height=st.floats(5, 30), width=st.floats(5, 30),
    scale=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)), plane=st.integers(0, 2),
)  # fmt: skip
def test_a_part_that_was_on_screen_is_shown_again(
    top: float, left: float, height: float, width: float, scale: tuple[float, float], plane: int
) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((3, *SHAPE), np.uint8), scale=(7.0, *scale), translate=(5, -3, 11)
    )
    picture = PictureLayer(image)
    wanted = Viewport(top, left, height, width, (plane,))
    show_viewport(viewer, picture, wanted)
    assert picture.index_at(viewer.dims.point) == (plane,)
    seen = viewport_of(viewer, picture, (plane,))
    assert seen is not None
    assert seen.row <= top + 0.1
    assert seen.col <= left + 0.1
    assert seen.row + seen.height >= top + height - 0.2
    assert seen.col + seen.width >= left + width - 0.2
    show_viewport(viewer, picture, seen)
    again = viewport_of(viewer, picture, (plane,))
    assert again is not None
    # All of it, and perhaps more: what lies beyond the picture's edge is not told.
    assert again.row <= seen.row + 0.2
    assert again.col <= seen.col + 0.2
    assert again.row + again.height >= seen.row + seen.height - 0.3
    assert again.col + again.width >= seen.col + seen.width - 0.3


def test_where_nothing_of_a_picture_is_on_screen(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros(SHAPE, np.uint8))
    camera = getattr(viewer, "scene", viewer).camera
    camera.center, camera.zoom = (0.0, -5_000.0, 60.0), 10.0
    assert viewport_of(viewer, PictureLayer(image), ()) is None
    viewer.dims.ndisplay = 3
    assert viewport_of(viewer, PictureLayer(image), ()) is None
