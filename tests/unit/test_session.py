"""The session without any viewer: prompts, previews, staleness, undo, painting, cancelling."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import RADIUS, FakeEngine, PatchEngine

from napari_safire.annotation import edits
from napari_safire.annotation.annotation import Annotation, SourcePrompt, Stroke
from napari_safire.annotation.predictions import AnnotatedPlane, PartitionPredictions
from napari_safire.annotation.region_labels import partition_uncertainty
from napari_safire.basis import RunBasis
from napari_safire.errors import SafireError
from napari_safire.geometry import Geometry
from napari_safire.progress import report
from napari_safire.session.autosave import Autosave, AutosavedWork
from napari_safire.session.planes import PlaneKey, Snapshot
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourcePartition, SourceRegion

SHAPE = (120, 160)
KEY = PlaneKey("picture")


class Owner:
    """Takes what the session delivers, in the thread of the test."""

    def __init__(self, engine: FakeEngine, autosave: Autosave | None = None) -> None:
        self.engine = engine
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.session = Session(self._calls.put, lambda name, device, notice: engine, autosave)
        self.snapshots: list[Snapshot] = []
        self.notices: list[tuple[str, bool]] = []
        self.progress: list[tuple[str, int, int]] = []
        self.session.changed.connect(self.snapshots.append)
        self.session.notice.connect(lambda text, failed: self.notices.append((text, failed)))
        self.session.progress.connect(lambda *report: self.progress.append(report))
        self.session.choose_model("fake", "cpu")
        self.session.open(KEY, SHAPE, lambda: np.zeros(SHAPE, np.uint8))

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]

    def paint(self, labels: np.ndarray) -> None:
        """Paint so that the screen, as it is now, shows these labels."""
        shown = self.last.labels if self.snapshots else np.zeros(SHAPE, np.uint8)
        stroke = Stroke.between(shown, labels)
        assert stroke is not None
        self.session.annotations.paint(KEY, stroke)

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            try:
                self._calls.get(timeout=0.01)()
            except queue.Empty:
                continue

    def settle(self) -> None:
        """Until nothing is left to do or to deliver."""
        quiet = 0
        while quiet < 3:
            self.until(lambda: self.session.idle)
            quiet = quiet + 1 if self._calls.empty() else 0
            while not self._calls.empty():
                self._calls.get()()


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner(FakeEngine())
    yield made
    made.session.close()
    assert made.session.join(10)


def prompt(row: float, col: float, source: int = 1, exclude: bool = False) -> SourcePrompt:
    return SourcePrompt(PointPrompt(row, col), source, exclude)


def disc(row: float, col: float) -> np.ndarray:
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - row, cols - col) < RADIUS


def test_a_prompt_gives_its_region_and_confidence(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    assert owner.last.confidences[PointPrompt(50, 60)] == 0.8
    assert owner.last.annotation.is_answered


def test_prompts_of_one_source_unite_and_exclude_subtracts(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60), prompt(50, 80), prompt(50, 70, exclude=True)])
    owner.settle()
    wanted = (disc(50, 60) | disc(50, 80)) & ~disc(50, 70)
    np.testing.assert_array_equal(owner.last.labels, wanted)


def test_sources_share_out_what_both_claim(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60, 1), prompt(50, 80, 2)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels > 0, disc(50, 60) | disc(50, 80))
    assert owner.last.labels[50, 60] == 1
    assert owner.last.labels[50, 80] == 2
    assert owner.last.labels[50, 68] == 1  # nearer to the first
    assert owner.last.areas == {k: int((owner.last.labels == k).sum()) for k in (1, 2)}


def test_a_prompt_waits_for_the_embedding_and_is_answered_then(owner: Owner) -> None:
    owner.engine.gate = threading.Event()
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.until(lambda: bool(owner.snapshots))
    assert not owner.last.annotation.is_answered
    assert not owner.last.labels.any()
    owner.engine.gate.set()
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    assert owner.engine.calls.count("embed") == 1


def test_with_a_grid_a_prompt_is_previewed_before_it_is_answered(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings(points_per_side=4))
    owner.settle()
    owner.session.annotations.discard(KEY)
    owner.settle()
    before = len(owner.snapshots)
    owner.session.prompts.set(KEY, [prompt(50, 62)])
    owner.settle()
    first, last = owner.snapshots[before], owner.last
    # The nearest prompt of a 4 x 4 grid over 120 x 160 lies at row 45, column 60.
    np.testing.assert_array_equal(first.labels, disc(45, 60))
    assert first.annotation.preview is not None
    assert not first.annotation.preview.exact
    np.testing.assert_array_equal(last.labels, disc(50, 62))
    assert last.annotation.is_answered


def test_answers_to_prompts_that_have_moved_on_are_dropped(owner: Owner) -> None:
    owner.session.embed(KEY)
    owner.settle()
    for col in range(40, 120, 4):
        owner.session.prompts.set(KEY, [prompt(50, col)], "move prompt")
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 116))


def test_undo_and_redo_walk_through_prompts_answers_and_edits(owner: Owner) -> None:
    session = owner.session
    owner.session.prompts.set(KEY, [prompt(50, 60)], "add prompt")
    owner.settle()
    session.prompts.set(KEY, [prompt(50, 60), prompt(80, 120, 2)], "add prompt")
    owner.settle()
    session.annotations.commit(KEY)
    session.annotations.edit(KEY, lambda labels, protected: edits.merge(labels, [1, 2]), "merge")
    owner.settle()
    seen = [owner.last.labels]
    while owner.last.undo_title is not None:
        session.annotations.undo(KEY)
        owner.settle()
        seen.append(owner.last.labels)
    assert len(seen) == 5  # merge, commit, two prompts, nothing
    assert not seen[-1].any()
    np.testing.assert_array_equal(seen[-2], disc(50, 60))
    for labels in reversed(seen[:-1]):
        session.annotations.redo(KEY)
        owner.settle()
        np.testing.assert_array_equal(owner.last.labels, labels)
    assert owner.last.redo_title is None


def test_undoing_to_a_prompt_whose_answer_was_dropped_asks_again(owner: Owner) -> None:
    owner.engine.gate = threading.Event()
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.session.prompts.set(KEY, [prompt(50, 60), prompt(80, 120)])
    owner.until(lambda: len(owner.snapshots) >= 2)
    owner.engine.gate.set()
    owner.settle()
    owner.session.annotations.undo(KEY)
    owner.settle()
    assert owner.last.annotation.is_answered
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))


def test_painted_pixels_survive_predictions_until_protection_is_lifted(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    painted = owner.last.labels.copy()
    painted[45:55, 55:65] = 7
    painted[60:64, 60:64] = 0  # erased: that holds as well
    owner.paint(painted)
    owner.settle()
    owner.session.prompts.set(KEY, [prompt(52, 62)])
    owner.settle()
    assert (owner.last.labels[45:55, 55:65] == 7).all()
    assert (owner.last.labels[60:64, 60:64] == 0).all()
    owner.session.partitions.run(KEY, PartitionSettings(n_sources=3, method="kmeans"))
    owner.settle()
    assert (owner.last.labels[45:55, 55:65] == 7).all()
    owner.session.annotations.unprotect(KEY)
    owner.settle()
    assert not (owner.last.labels == 7).any()


def test_commit_settles_and_reopening_brings_the_prompts_back(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    owner.session.annotations.commit(KEY)
    owner.session.prompts.set(
        KEY, [SourcePrompt(PointPrompt(50, 60), 1, live=False), prompt(90, 130, 2)]
    )
    owner.settle()
    assert set(np.unique(owner.last.labels)) == {0, 1, 2}
    owner.session.annotations.commit(KEY)
    owner.session.annotations.reopen(KEY, 1)
    owner.settle()
    assert [p.live for p in owner.last.annotation.prompts] == [True, False]
    np.testing.assert_array_equal(owner.last.labels == 1, disc(50, 60))
    owner.session.prompts.set(
        KEY, [prompt(30, 60), SourcePrompt(PointPrompt(90, 130), 2, live=False)], "move prompt"
    )
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels == 1, disc(30, 60))
    np.testing.assert_array_equal(owner.last.labels == 2, disc(90, 130))


def test_a_partitioned_source_reopens_with_the_prompt_that_stood_for_it(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    owner.session.annotations.commit(KEY)
    owner.session.annotations.reopen(KEY, 2)
    owner.settle()
    assert [p.point for p in owner.last.annotation.live_prompts] == [PointPrompt(60, 120)]
    assert (owner.last.labels == 2).sum() == disc(60, 120).sum()


def test_reopening_a_painted_source_says_that_it_has_no_prompts(owner: Owner) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:10] = 4
    owner.paint(labels)
    owner.session.annotations.reopen(KEY, 4)
    owner.settle()
    assert "no prompts" in owner.notices[-1][0]
    np.testing.assert_array_equal(owner.last.labels, labels)


def test_discarding_leaves_what_was_settled(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    owner.session.annotations.commit(KEY)
    owner.session.prompts.set(
        KEY, [SourcePrompt(PointPrompt(50, 60), 1, live=False), prompt(90, 130, 2)]
    )
    owner.settle()
    owner.session.annotations.discard(KEY)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    assert len(owner.last.annotation.prompts) == 1


def test_the_preview_can_be_hidden_and_shown(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    owner.session.annotations.show_preview(KEY, False)
    owner.settle()
    assert not owner.last.labels.any()
    owner.session.annotations.show_preview(KEY, True)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))


def test_other_settings_of_a_partition_do_not_run_the_model_again(owner: Owner) -> None:
    settings = PartitionSettings("kmeans", n_sources=2, points_per_side=4)
    owner.session.partitions.run(KEY, settings)
    owner.settle()
    assert owner.session.planes[KEY].is_read_for(settings)
    assert not owner.session.planes[KEY].is_read_for(PartitionSettings(points_per_side=8))
    embeds = owner.engine.calls.count("embed")
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=3, points_per_side=4))
    owner.settle()
    assert owner.last.labels.max() == 3
    assert owner.engine.calls.count("embed") == embeds


def test_a_click_goes_in_between_the_steps_of_a_grid(owner: Owner) -> None:
    owner.session.embed(KEY)
    owner.settle()
    owner.engine.step_s = 0.05
    owner.session.partitions.run(KEY, PartitionSettings(points_per_side=4))
    owner.until(lambda: "grid" in owner.engine.calls)
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.until(lambda: bool(owner.snapshots) and owner.last.annotation.is_answered)
    assert "partition" not in owner.engine.calls  # the grid is still being asked
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    owner.settle()
    assert "partition" in owner.engine.calls
    assert len(owner.engine.threads) == 1


def test_cancel_stops_a_grid_and_keeps_the_prompts(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    owner.engine.step_s = 0.05
    owner.session.partitions.run(KEY, PartitionSettings())
    owner.until(lambda: "grid" in owner.engine.calls)
    owner.session.cancel()
    owner.settle()
    assert "partition" not in owner.engine.calls
    assert owner.progress[-1] == ("", 0, 0)
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))


def test_a_cancelled_embedding_can_be_started_again(owner: Owner) -> None:
    owner.engine.gate = threading.Event()
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.until(lambda: "embed" in owner.engine.calls)
    owner.session.cancel()
    owner.settle()
    assert not owner.last.annotation.is_answered
    owner.engine.gate.set()
    owner.session.prompts.ask(KEY)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SafireError("The weights are gone: download them again."), "download them again"),
        (MemoryError("no room"), "MemoryError: no room"),
    ],
)
def test_a_failure_is_told_and_the_next_job_works(
    owner: Owner, error: Exception, words: str
) -> None:
    owner.engine.failure = error
    owner.session.embed(KEY)
    owner.settle()
    assert words in owner.notices[-1][0]
    assert owner.notices[-1][1]
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))


def test_points_outside_are_left_out_and_told(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(-5, 60), prompt(50, 60), prompt(50, 160)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    assert "2 points lie outside" in owner.notices[0][0]


def test_an_impossible_edit_changes_nothing(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    owner.session.annotations.edit(KEY, lambda labels, protected: edits.split(labels, 9), "split")
    owner.settle()
    assert "9" in owner.notices[-1][0]
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    assert owner.last.annotation.preview is not None


def test_another_model_answers_anew_and_keeps_what_the_user_made(owner: Owner) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:10] = 4
    owner.paint(labels)
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    asked = owner.engine.calls.count("segment")
    owner.session.choose_model("other", "cpu")
    owner.session.embed(KEY)
    owner.settle()
    owner.session.prompts.ask(KEY)
    owner.settle()
    assert owner.engine.calls.count("segment") == asked + 1
    assert (owner.last.labels[:10] == 4).all()


def test_without_a_partition_there_is_no_uncertainty(owner: Owner) -> None:
    with pytest.raises(SafireError, match="run one first"):
        owner.session.partitions.ask_uncertainty(KEY, lambda values: None)
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    got: list[np.ndarray] = []
    owner.session.partitions.ask_uncertainty(KEY, got.append)
    owner.settle()
    assert got[0].shape == SHAPE
    assert 0 <= got[0].min() <= got[0].max() <= 1
    # Clear margins everywhere; the lower half is found again in three of five repetitions.
    assert got[0][: SHAPE[0] // 2].max() < 0.01
    np.testing.assert_allclose(got[0][SHAPE[0] // 2 :], 0.4, atol=1e-6)


def test_one_source_has_no_uncertainty_to_show(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings(method="kmeans", n_sources=1))
    owner.settle()
    with pytest.raises(SafireError, match="One source was found"):
        owner.session.partitions.ask_uncertainty(KEY, lambda values: None)


def test_uncertainty_is_the_margin_where_that_is_smaller() -> None:
    geometry = Geometry(SHAPE, SHAPE, SHAPE)
    logits = np.zeros(SHAPE, np.float32)
    logits[:, 80:] = 20  # unclear on the left
    regions = (
        SourceRegion(PointPrompt(1, 1), logits, geometry, 0.9),
        SourceRegion(PointPrompt(1, 1), np.zeros(SHAPE, np.float32), geometry, 0.9),
    )
    partition = SourcePartition(np.zeros(SHAPE, np.uint8), regions, "kmeans")
    margin = partition_uncertainty(partition)
    assert (margin[:, :80] == 1).all()
    assert (margin[:, 80:] < 1e-3).all()
    both = partition_uncertainty(partition, np.full(SHAPE, 0.75, np.float32))
    np.testing.assert_allclose(both, np.maximum(margin, 0.25))


def test_a_failure_while_the_partition_is_repeated_is_said(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    owner.engine.failure = SafireError("No memory is left.")
    got: list[np.ndarray] = []
    owner.session.partitions.ask_uncertainty(KEY, got.append)
    owner.settle()
    assert owner.notices[-1] == ("No memory is left.", True)
    assert got == []


class WaitingEngine(FakeEngine):
    """Repeats a partition until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def stability(self, embedding: Embedding, *asked: Any, **how: Any) -> FloatImage:
        self._called("stability")
        while not self.go.wait(0.005):
            report(how["progress"], how["cancel"], 0, 5, "repeating")
        return np.ones(embedding.image_shape, np.float32)


@pytest.mark.parametrize("what", ["cancelled", "pixels changed", "another partition"])
def test_an_uncertainty_that_nobody_waits_for_is_dropped(what: str) -> None:
    engine = WaitingEngine()
    owner = Owner(engine)
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    got: list[np.ndarray] = []
    owner.session.partitions.ask_uncertainty(KEY, got.append)
    owner.until(lambda: "stability" in engine.calls)
    if what == "cancelled":
        owner.session.cancel()
    elif what == "pixels changed":
        owner.session.reread(KEY.picture)
    else:
        told: list[PlaneKey] = []
        owner.session.partitioned.connect(told.append)
        owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=3))
        owner.until(lambda: bool(told))  # goes before the rest of the repetitions
        engine.go.set()
    owner.settle()
    assert got == []
    owner.session.close()
    assert owner.session.join(10)


def test_closing_in_the_middle_ends_the_thread_and_says_nothing_more() -> None:
    owner = Owner(FakeEngine(step_s=0.05))
    owner.session.partitions.run(KEY, PartitionSettings())
    owner.until(lambda: "embed" in owner.engine.calls)
    told = len(owner.snapshots), len(owner.progress)
    owner.session.close()
    assert owner.session.join(10)
    owner.until(lambda: owner._calls.empty())
    assert (len(owner.snapshots), len(owner.progress)) == told
    with pytest.raises(RuntimeError, match="closed"):
        owner.session.run(lambda: None, lambda _: None)


def test_no_thread_is_left_when_nothing_is_to_be_done(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings())
    owner.settle()
    owner.until(lambda: not [t for t in threading.enumerate() if t.name == "napari-safire"])


def test_a_partition_is_numbered_from_one_whatever_was_there(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(60, 140, source=3)])
    owner.settle()
    owner.session.annotations.commit(KEY)
    owner.settle()
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    assert sorted(owner.last.areas) == [1, 2]
    assert sorted(owner.session.planes[KEY].numbers) == [1, 2]


def test_twenty_sources_and_then_five_are_numbered_one_to_five(owner: Owner) -> None:
    for count in (20, 5, 12, 3):
        owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=count))
        owner.settle()
        assert sorted(owner.last.areas) == list(range(1, count + 1))


def test_a_stroke_during_a_partition_keeps_its_number_for_itself(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=3))
    area = np.ones((20, 140), bool)
    owner.session.annotations.paint(KEY, Stroke(40, 10, area, 2 * area.astype(np.uint8)))
    owner.settle()
    labels = owner.last.labels
    assert (labels[40:60, 10:150] == 2).all()
    rest = np.ones(SHAPE, bool)
    rest[40:60, 10:150] = False
    assert np.unique(labels[rest]).tolist() == [1, 3, 4]
    predictions = owner.session.planes[KEY].predictions.partition
    assert predictions is not None
    assert sorted(predictions.numbers) == [1, 3, 4]  # what is kept says the same


def test_renumbering_closes_gaps_and_is_one_step(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=4))
    owner.settle()
    before = owner.last.labels
    owner.session.annotations.edit(KEY, lambda labels, _: edits.merge(labels, [1, 2, 3]), "merge")
    owner.settle()
    assert sorted(owner.last.areas) == [1, 4]
    owner.session.annotations.renumber(KEY)
    owner.settle()
    assert sorted(owner.last.areas) == [1, 2]
    assert (owner.last.labels[before == 4] == 2).all()
    assert owner.last.undo_title == "renumber sources"
    owner.session.annotations.undo(KEY)
    owner.settle()
    assert sorted(owner.last.areas) == [1, 4]


def test_every_step_is_kept_and_the_next_session_is_offered_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Owner(FakeEngine(), Autosave(path))
    painted = np.zeros(SHAPE, np.uint8)
    painted[:9] = 6
    first.paint(painted)  # before the picture's hash is known
    first.session.prompts.set(KEY, [prompt(50, 60, 2)])
    first.settle()
    made = first.last
    first.session.close()

    second = Owner(FakeEngine(), Autosave(path))
    found: list[AutosavedWork] = []
    second.session.autosaved_work.connect(lambda key, kept: found.append(kept))
    second.session.embed(KEY)
    second.settle()
    (kept,) = found
    second.session.annotations.restore(KEY, kept.made, kept.work)
    second.settle()
    np.testing.assert_array_equal(second.last.labels, made.labels)
    assert second.last.annotation == made.annotation
    second.session.annotations.undo(KEY)
    second.settle()
    assert not second.last.labels.any()
    second.session.annotations.forget_autosaved_work(KEY)
    second.settle()
    second.session.close()
    assert offered(path) == []


def offered(path: Path, engine: FakeEngine | None = None) -> list[AutosavedWork]:
    """What the next session is offered."""
    owner = Owner(engine or FakeEngine(), Autosave(path))
    found: list[AutosavedWork] = []
    owner.session.autosaved_work.connect(lambda key, kept: found.append(kept))
    owner.session.annotations.look_for_autosaved_work(owner.session.planes[KEY])
    owner.settle()
    owner.session.close()
    assert owner.engine.calls == []  # no model is needed
    return found


def test_looking_at_a_picture_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(), Autosave(path))
    owner.session.embed(KEY)
    owner.session.annotations.refresh(KEY)
    owner.settle()
    assert not path.exists()
    owner.session.close()


def test_a_journal_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    owner = Owner(FakeEngine(), Autosave(tmp_path / "file" / "journal.sqlite"))
    for col in (40, 60, 80):
        owner.session.prompts.set(KEY, [prompt(50, col)])
        owner.settle()
    told = [text for text, failed in owner.notices if "cannot be kept" in text and failed]
    assert len(told) == 1
    np.testing.assert_array_equal(owner.last.labels, disc(50, 80))
    owner.session.close()


def test_only_a_few_planes_keep_their_grids(owner: Owner) -> None:
    keys = [PlaneKey("stack", (i,)) for i in range(5)]
    for key in keys:
        owner.session.open(key, SHAPE, lambda: np.zeros(SHAPE, np.uint8))
        owner.session.partitions.run(key, PartitionSettings(points_per_side=2))
    owner.settle()
    kept = [owner.session.planes[key].grid is not None for key in keys]
    assert kept == [False, False, True, True, True]


def test_a_prompt_after_a_partition_is_laid_over_it(owner: Owner) -> None:
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2, points_per_side=4))
    owner.settle()
    owner.session.prompts.set(KEY, [prompt(50, 60, source=3)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels == 3, disc(50, 60))
    rest = ~disc(50, 60)
    assert (owner.last.labels[:, :80][rest[:, :80]] == 1).all()
    owner.session.annotations.discard(KEY)
    owner.settle()
    assert set(np.unique(owner.last.labels)) == {1, 2}


def test_a_partition_after_prompts_settles_what_they_found(owner: Owner) -> None:
    owner.session.prompts.set(KEY, [prompt(50, 60, source=3)])
    owner.settle()
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", n_sources=2))
    owner.settle()
    assert not owner.last.annotation.live_prompts
    owner.session.annotations.discard(KEY)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60) * 3)


def painted_square(value: int = 6) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:9, :9] = value
    return labels


def test_closing_keeps_the_step_that_was_just_made(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(), Autosave(path))
    owner.paint(painted_square())
    owner.session.prompts.set(KEY, [prompt(50, 60, 2)])
    owner.session.close()  # nothing was delivered yet
    (kept,) = offered(path)
    np.testing.assert_array_equal(kept.made.annotation.shown(), painted_square())
    assert kept.made.annotation.prompts == (prompt(50, 60, 2),)


def test_work_is_kept_while_the_model_has_not_read_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(gate=threading.Event()), Autosave(path))
    owner.session.embed(KEY)
    owner.paint(painted_square())
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    assert owner.session.annotations.finish(20)
    (kept,) = offered(path)  # as after a crash: nobody closed anything
    np.testing.assert_array_equal(kept.made.annotation.shown(), painted_square())
    assert kept.made.annotation.live_prompts == (prompt(50, 60),)
    owner.session.close()


def test_work_is_kept_where_the_model_cannot_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    calls: queue.Queue[Callable[[], None]] = queue.Queue()

    def fail(name: str, device: str, notice: Any) -> Any:
        raise SafireError("The model is gone: choose another one.")

    session = Session(calls.put, fail, Autosave(path))
    session.choose_model("gone", "cpu")
    session.open(KEY, SHAPE, lambda: np.zeros(SHAPE, np.uint8))
    stroke = Stroke.between(np.zeros(SHAPE, np.uint8), painted_square())
    assert stroke is not None
    session.annotations.paint(KEY, stroke)
    assert session.annotations.finish(20)
    (kept,) = offered(path)
    np.testing.assert_array_equal(kept.made.annotation.shown(), painted_square())
    session.close()


def test_a_picture_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    owner = Owner(FakeEngine(), Autosave(tmp_path / "journal.sqlite"))
    owner.session.open(KEY, SHAPE, lambda: np.full(SHAPE, np.nan, np.float32))
    for row in (30, 60):
        owner.session.annotations.paint(
            KEY, Stroke(row, 0, np.ones((1, 5), bool), np.ones((1, 5), int))
        )
        owner.settle()
    told = [text for text, failed in owner.notices if failed]
    assert len(told) == 1
    assert "cannot be kept: The picture has no finite pixel" in told[0]
    owner.session.close()


def test_what_the_model_said_comes_back_with_the_work(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Owner(FakeEngine(), Autosave(path))
    first.session.partitions.run(KEY, PartitionSettings(points_per_side=4))
    first.settle()
    said = first.session.planes[KEY].predictions
    first.session.close()

    second = Owner(FakeEngine(), Autosave(path))
    told: list[PlaneKey] = []
    second.session.partitioned.connect(told.append)
    (kept,) = offered(path)
    second.session.annotations.restore(KEY, kept.made, kept.work)
    second.settle()
    plane = second.session.planes[KEY]
    assert told == [KEY]
    assert plane.predictions.partition == said.partition
    assert plane.numbers == said.partition.numbers if said.partition else ()
    assert plane.predictions.basis == said.basis
    assert plane.confidences == dict(said.confidences)
    assert second.last.confidences
    assert plane.forgery is not None
    assert said.forgery is not None
    np.testing.assert_allclose(plane.forgery.heatmap, said.forgery.heatmap, atol=0.5 / 255)
    assert (plane.forgery.verdict, plane.forgery.score) == (said.forgery.verdict, 0.7)
    assert second.engine.calls == []
    # The next model is asked for its own opinion.
    second.session.embed(KEY)
    second.settle()
    assert plane.forgery is not None  # the same one
    second.session.close()


def test_the_verdict_of_another_model_is_left_out_and_the_work_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Owner(FakeEngine(), Autosave(path))
    first.session.partitions.run(KEY, PartitionSettings(points_per_side=4))
    first.settle()
    labels = first.last.labels
    first.session.close()
    (kept,) = offered(path)
    other = RunBasis("another model")
    made = replace(kept.made, predictions=replace(kept.made.predictions, basis=other))
    for before in (True, False):
        second = Owner(FakeEngine())
        if before:
            second.session.embed(KEY)
            second.settle()
        second.session.annotations.restore(KEY, made)
        second.session.embed(KEY)
        second.settle()
        assert second.session.planes[KEY].forgery is None
        assert "another model's" in second.notices[-1][0]
        np.testing.assert_array_equal(second.last.labels, labels)
        second.session.close()


def test_what_another_version_said_is_not_called_another_models(owner: Owner) -> None:
    """Prompts were answered anew, with other labels than those kept, without a word."""
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    plane = owner.session.planes[KEY]
    said = owner.session.annotations.predictions_of(plane)
    earlier = replace(said, basis=RunBasis("fake", algorithm=1))
    partitioned = replace(earlier, partition=PartitionPredictions("auto", (1, 2)))
    answered = owner.last.annotation
    for annotation, predictions, told in (
        (answered, earlier, "The prompts were answered by another version of napari-safire: "),
        (answered, partitioned, "verdict that was kept is another version of napari-safire's"),
        (Annotation.empty(SHAPE), earlier, "confidence that was kept is another version of"),
    ):
        owner.session.annotations.restore(KEY, AnnotatedPlane(annotation, predictions))
        owner.settle()
        assert told in owner.notices[-1][0]
        assert "model" not in owner.notices[-1][0]
        assert ("answered anew" in owner.notices[-1][0]) == bool(annotation.prompts)


def test_restored_and_saved_work_is_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Owner(FakeEngine(), Autosave(path))
    first.paint(painted_square())
    first.session.close()
    (kept,) = offered(path)
    second = Owner(FakeEngine(), Autosave(path))
    second.session.annotations.restore(KEY, kept.made, kept.work)
    second.settle()
    assert [each.work for each in offered(path)] == [second.session.planes[KEY].work]
    second.session.annotations.undo(KEY)
    second.settle()
    assert [each.work for each in offered(path)] == [kept.work]
    second.session.annotations.redo(KEY)
    second.settle()
    plane = second.session.planes[KEY]
    second.session.annotations.mark_shown_as_saved(KEY, painted_square(5))  # others were saved
    second.settle()
    assert len(offered(path)) == 1
    second.session.annotations.mark_shown_as_saved(KEY, painted_square())
    second.settle()
    assert offered(path) == []
    second.paint(painted_square(7))
    second.settle()
    assert [each.work for each in offered(path)] == [plane.work]
    second.session.close()


def test_files_that_are_opened_are_not_unsaved_work(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(), Autosave(path))
    stroke = Stroke.between(np.zeros(SHAPE, np.uint8), painted_square())
    assert stroke is not None
    made = AnnotatedPlane(Annotation.empty(SHAPE).painted(stroke))
    owner.session.annotations.open_saved(KEY, made)
    owner.settle()
    assert not path.exists()
    owner.paint(painted_square(7))
    owner.settle()
    assert len(offered(path)) == 1
    owner.session.annotations.mark_saved(owner.session.planes[KEY], owner.last.annotation)
    owner.settle()
    assert offered(path) == []
    owner.session.close()


def test_a_picture_that_was_closed_or_opened_twice_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(), Autosave(path))
    twin = PlaneKey("the same picture")
    owner.session.open(twin, SHAPE, lambda: np.zeros(SHAPE, np.uint8))
    owner.paint(painted_square())
    owner.session.annotations.paint(
        twin, Stroke(50, 0, np.ones((1, 5), bool), np.ones((1, 5), int))
    )
    owner.session.forget(KEY.picture)  # at once
    owner.settle()
    found: list[AutosavedWork] = []
    owner.session.autosaved_work.connect(lambda key, kept: found.append(kept))
    owner.session.open(KEY, SHAPE, lambda: np.zeros(SHAPE, np.uint8))
    owner.session.annotations.look_for_autosaved_work(owner.session.planes[KEY])
    owner.settle()
    (kept,) = found
    np.testing.assert_array_equal(kept.made.annotation.shown(), painted_square())
    owner.session.close()


def test_other_pixels_under_the_work_do_not_take_that_of_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    owner = Owner(FakeEngine(), Autosave(path))
    owner.paint(painted_square())
    owner.settle()
    owner.session.reread(KEY.picture)
    owner.session.open(KEY, SHAPE, lambda: np.ones(SHAPE, np.uint8))
    owner.paint(painted_square(7))
    owner.settle()
    (kept,) = offered(path)
    np.testing.assert_array_equal(kept.made.annotation.shown(), painted_square())
    owner.session.close()


def test_restored_work_that_the_files_hold_already_is_not_offered_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    first = Owner(FakeEngine(), Autosave(path))
    first.paint(painted_square())
    first.session.close()  # killed between writing the files and saying so
    (kept,) = offered(path)
    second = Owner(FakeEngine(), Autosave(path))
    second.session.annotations.open_saved(KEY, kept.made)
    second.settle()
    second.session.annotations.restore(KEY, kept.made, kept.work)
    second.settle()
    assert offered(path) == []
    second.session.close()


@pytest.fixture
def patch_owner() -> Iterator[Owner]:
    made = Owner(PatchEngine())
    yield made
    made.session.close()
    assert made.session.join(10)


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    filled = np.zeros(SHAPE, bool)
    filled[top : bottom + 1, left : right + 1] = True
    return filled


def test_prompts_of_a_source_are_answered_together_by_patches(patch_owner: Owner) -> None:
    owner = patch_owner
    owner.session.prompts.set(KEY, [prompt(50, 60)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, disc(50, 60))
    two = [prompt(50, 60), prompt(80, 90)]
    owner.session.prompts.set(KEY, two)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, box(50, 60, 80, 90))
    assert owner.last.confidences[PointPrompt(80, 90)] == 0.75
    assert owner.last.annotation.is_answered
    owner.session.prompts.set(KEY, [*two, prompt(60, 70, exclude=True)])
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, box(50, 60, 80, 90) & ~disc(60, 70))


def test_prompts_of_other_sources_count_against_a_region_by_patches(patch_owner: Owner) -> None:
    owner = patch_owner
    first = [prompt(50, 60), prompt(80, 90)]
    other = prompt(70, 75, source=2)
    owner.session.prompts.set(KEY, [*first, other])
    owner.settle()
    assert (owner.last.labels[70, 60:91] != 1).all()
    assert owner.last.labels[70, 75] == 2
    assert (owner.last.labels[69, 60:91] == 1).all()
    excluded = [*first, prompt(50, 10, exclude=True), prompt(20, 20, source=2, exclude=True)]
    owner.session.prompts.set(KEY, excluded)  # of those that exclude no source is told
    owner.settle()
    assert (owner.last.labels[20, :] == 0).all()
    np.testing.assert_array_equal(owner.last.labels, box(50, 60, 80, 90) & ~disc(50, 10))


def test_answers_of_patches_are_kept_for_undo_and_sources_do_not_mix(patch_owner: Owner) -> None:
    owner = patch_owner
    owner.session.prompts.set(KEY, [prompt(20, 20), prompt(40, 40)])
    owner.settle()
    owner.session.prompts.set(KEY, [prompt(20, 20), prompt(40, 40), prompt(20, 20, 2)])
    owner.settle()
    asked = len(owner.engine.calls)
    wanted = owner.last.labels.copy()
    owner.session.annotations.undo(KEY)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, box(20, 20, 40, 40))
    owner.session.annotations.redo(KEY)
    owner.settle()
    np.testing.assert_array_equal(owner.last.labels, wanted)
    assert len(owner.engine.calls) == asked


def test_a_partition_by_patches_asks_no_grid(patch_owner: Owner) -> None:
    owner = patch_owner
    settings = PartitionSettings()
    owner.session.partitions.run(KEY, settings)
    owner.settle()
    plane = owner.session.planes[KEY]
    assert not [text for text, failed in owner.notices if failed]
    assert owner.last.labels.max() == 2
    assert plane.grid is None
    assert plane.patches is not None
    assert dict(plane.number_probabilities) == {1: 0.25, 2: 0.5, 3: 0.25}
    assert plane.is_read_for(PartitionSettings("kmeans", 3))
    plane.forget_model()
    assert plane.patches is None
    assert len(plane.compared) == 0
