"""Votes of patches and prompts; changed copies of a picture, and what they keep of its sources."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from fakes import FakeEngine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_safire.errors import Cancelled
from napari_safire.examination import ExaminationSettings
from napari_safire.forensics import Picture
from napari_safire.geometry import Geometry
from napari_safire.partitioning.prompt_grid import grid_points
from napari_safire.review.answers import Asked, ask
from napari_safire.review.changes import Change
from napari_safire.review.copies import Original, compare
from napari_safire.review.saved_again import SAVED_AS_PNG, saved_again
from napari_safire.review.stability import ALL, KEPT, QUICK, SAVED_AS_JPEG, stability
from napari_safire.review.voting import NO_VOTE, source_votes
from napari_safire.review.windows import window_of
from napari_safire.types import SourcePartition, SourceRegion

NETWORK_ALONE = ExaminationSettings(evidence="none")


# --------------------------------------------------------------------------------- votes


def partition_of(shares: np.ndarray, units: str = "patches", **other) -> SourcePartition:
    """A partition of which each patch of 16 pixels is of source k by shares[k]."""
    _, height, width = shares.shape
    geometry = Geometry(
        (16 * height, 16 * width), (16 * height, 16 * width), (16.0 * height, 16.0 * width)
    )
    prompts, _ = grid_points(geometry, 2)
    logits = np.log(shares).astype(np.float32)
    regions = tuple(SourceRegion(prompts[0], one, geometry, 0.9) for one in logits)
    labels = np.kron(shares.argmax(0), np.ones((16, 16))).astype(np.uint8)
    return SourcePartition(labels, regions, "auto", MappingProxyType({"units": units}), **other)


def test_votes_of_patches_known_by_hand():
    first = np.array([[0.98, 0.95, 0.55], [0.9, 0.05, 0.1]])
    second = np.array([[0.015, 0.03, 0.4], [0.06, 0.92, 0.2]])
    shares = np.stack([first, second, 1 - first - second])
    silent = np.array([[0, 0, 0], [0, 0, 2]], np.uint8)
    votes = source_votes(partition_of(shares), silent)
    assert votes.sources.tolist() == [[0, 0, 0], [0, 1, NO_VOTE]]
    assert votes.second.tolist() == [[1, 1, 1], [1, 0, NO_VOTE]]
    assert np.isnan(votes.certainty[1, 2])
    assert votes.certainty[0] == pytest.approx([0.98, 0.95, 0.55], abs=1e-6)
    one = votes.of[0]
    assert (one.votes, one.sure, one.between, one.nearest, one.nearest_votes) == (4, 3, 1, 1, 1)
    assert one.words == "3 of 4 patches are surely of this source; 1 lies between it and source 2."
    assert votes.of[2].words.startswith("None of the patches vote with this source")
    assert votes.without == 1
    assert votes.step == (16, 16)
    assert votes.translation == (7.5, 7.5)
    drawn = votes.as_map((30, 40))
    assert drawn.values.shape == (30, 40)
    assert drawn.values[15, 31] == votes.certainty[0, 1]
    assert drawn.values[16, 31] == votes.certainty[1, 1]
    assert np.isnan(drawn.values[29, 39])
    record = votes.as_record()
    assert record["shape"] == [2, 3]
    assert [one["number"] for one in record["sources"]] == [1, 2, 3]
    assert record["sources"][0]["nearest"] == 2
    assert record["sources"][2]["median"] is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_every_vote_counts_once(seed, n_sources, height, width):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_sources, 0.4), (height, width)).transpose(2, 0, 1)
    silent = (rng.random((height, width)) < 0.3).astype(np.uint8)
    votes = source_votes(partition_of(shares.clip(1e-6)), silent)
    assert sum(one.votes for one in votes.of) + votes.without == height * width
    for one in votes.of:
        assert 0 <= one.nearest_votes <= one.between <= one.votes
        assert one.sure <= one.votes
        assert sum(one.histogram) == (one.votes if n_sources > 1 else 0)


def test_a_single_source_has_nobody_to_vote_against():
    votes = source_votes(partition_of(np.ones((1, 2, 2))))
    assert votes.of[0].words == (
        "The only source: all 4 patches belong to it, and none could vote otherwise."
    )
    assert votes.of[0].median is None


def test_prompts_vote_where_they_lie():
    shares = np.full((2, 4, 4), 0.05)
    shares[0, :, :2] = shares[1, :, 2:] = 0.95
    partition = partition_of(shares, "prompts")
    prompts, _ = grid_points(partition.representatives[0].geometry, 4)
    sources = np.array([0, 0, 1, 1] * 3 + [0, -1, 1, 0])  # the last lies in the other's region
    votes = source_votes(
        SourcePartition(
            partition.labels, partition.representatives, "kmeans", partition.parameters, 0,
            prompts, sources,
        )
    )  # fmt: skip
    assert votes.units == "prompts"
    assert votes.sources[3].tolist() == [0, NO_VOTE, 1, 0]
    assert votes.certainty[3, 3] == pytest.approx(0.05, abs=1e-5)
    assert votes.of[0].between == 1
    assert "1 found no region." in votes.words


# ------------------------------------------------------------------------------- changes

CHANGES = st.sampled_from([Change("none"), Change("png"), *ALL])


@settings(max_examples=30, deadline=None)
@given(CHANGES, st.integers(20, 90), st.integers(20, 90), st.integers(2, 4))
def test_a_change_that_nobody_minds_keeps_every_source(change, height, width, n_sources):
    """Sources that move with the pixels are found again; a crop may lose some from sight."""
    labels = (np.arange(width) * n_sources // width)[None].repeat(height, axis=0)
    original = Original(Picture.of_pixels(np.zeros((height, width), np.uint8)), labels, n_sources)
    if change.kind == "crop":
        found = change.paired(labels, labels)[0]
    elif change.kind == "resize":
        rows, cols = (round(change.amount * n) for n in labels.shape)
        image = Image.fromarray(labels.astype(np.uint8))
        found = np.asarray(image.resize((cols, rows), Image.Resampling.NEAREST))
    else:
        found = labels
    ious, agreement = compare(original, change, found.astype(np.int64), n_sources)
    assert agreement > 0.85
    assert all(iou is None or iou > KEPT for iou in ious)


def test_crops_begin_off_the_raster_of_blocks(tmp_path):
    rows, cols = np.mgrid[:400, :533]
    picture = Picture.of_pixels(np.stack([rows % 256, cols % 256, cols // 256], -1).astype("u1"))
    for amount in (0.02, 0.03, 0.1):
        top, left, _ = Change("crop", amount).apply(picture, tmp_path / "x").rgb[0, 0]
        assert top % 8
        assert left % 8
    assert not list(tmp_path.iterdir())


def test_saved_copies_are_files_and_the_others_are_not(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    picture = Picture.of_pixels(pixels)
    jpeg = Change("jpeg", 75).apply(picture, tmp_path / "a")
    png = SAVED_AS_PNG.apply(picture, tmp_path / "b")
    assert jpeg.file.format == "JPEG"
    assert not np.array_equal(jpeg.rgb, pixels)
    assert png.file.format == "PNG"
    assert np.array_equal(png.rgb, pixels)
    assert Change("resize", 0.5).apply(picture, tmp_path / "c").shape == (32, 32)


@pytest.mark.parametrize(
    ("kind", "amount"), [("jpeg", 0), ("jpeg", 101), ("crop", 0.5), ("resize", 9), ("png", 1),
                         ("turn", 1), ("jpeg", float("nan"))],
)  # fmt: skip
def test_changes_that_there_are_not(kind, amount):
    with pytest.raises(ValueError, match=r"choose one of|give"):
        Change(kind, amount)


def test_matching_known_by_hand():
    labels = np.array([[0, 0, 0, 0], [1, 1, 2, 2]])
    found = np.array([[1, 1, 1, 0], [0, 0, 0, 0]])  # source 1 and 2 have become one
    original = Original(Picture.of_pixels(np.zeros((2, 4), np.uint8)), labels, 4)
    ious, agreement = compare(original, Change("none"), found, 2)
    assert ious == (0.75, 0.4, 0.0, None)  # the fourth has no pixel
    assert agreement == 5 / 8


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.integers(10, 500), st.integers(10, 500), st.integers(16, 200))
def test_a_window_lies_in_the_picture(seed, height, width, side):
    labels = np.random.default_rng(seed).integers(0, 3, (height // 9 + 1, width // 9 + 1))
    labels = np.kron(labels, np.ones((9, 9), int))[:height, :width]
    top, left, bottom, right = window_of(labels, side)
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    assert (bottom - top) * (right - left) <= side * side
    if height * width >= side * side and min(height, width) >= side:
        assert (bottom - top, right - left) == (side, side)


def test_a_window_lies_where_sources_meet():
    labels = np.zeros((1000, 1600), int)
    labels[600:, 1200:] = 1
    top, left, bottom, right = window_of(labels, 400)
    shares = np.bincount(labels[top:bottom, left:right].ravel()) / 160_000
    assert shares.min() >= 0.19


# ----------------------------------------------------------------------------- stability


class ByWidth(FakeEngine):
    """Two stripes; one source only in pictures that are not as wide as the first, or changed."""

    answers_by_patches = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def partition(self, embedding, method="auto", n_sources=None, **other):
        count = 2 if embedding.image_shape[1] == self.width else 1
        return super().partition(embedding, method, count, **other)


def picture_file(folder, shape=(120, 160)):
    path = folder / "street.jpg"
    pixels = np.random.default_rng(1).integers(0, 255, (*shape, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return Picture.read(path)


def asked(engine, picture):
    return Asked(engine, picture, NETWORK_ALONE, ask(engine, picture, NETWORK_ALONE))


def test_sources_that_stay_are_kept_in_every_copy(tmp_path):
    engine, picture = FakeEngine(), picture_file(tmp_path)
    base = asked(engine, picture)
    stages = []
    tried = stability(base, progress=lambda *told: stages.append(told))
    assert [run.change for run in tried.runs] == list(QUICK)
    assert [one.kept for one in tried.of] == [4, 4]
    assert tried.sentences == (
        "All sources are kept in all 4 copies.",
        'The verdict "inconclusive" stays in 4 of 4 copies.',
    )
    unseen = replace(tried.runs[0], ious=(1.0, None))
    partly = replace(tried, runs=(unseen, *tried.runs[1:]))
    assert partly.sentences[0] == "All sources are kept in all that show them."
    assert {text for _, _, text in stages} >= {"trying changed copies: JPEG 75"}
    assert [done for done, _, _ in stages] == sorted(done for done, _, _ in stages)
    assert tried.as_record()["window"] is None
    every = stability(base, quick=False)
    assert len(every.runs) == len(ALL)


def test_a_source_that_hangs_on_the_copy_is_told(tmp_path):
    engine, picture = ByWidth(160), picture_file(tmp_path)
    base = asked(engine, picture)
    tried = stability(base)
    second = tried.of[1]
    assert (second.kept, len(second.ious), second.worst) == (2, 4, "cropped by 3 %")
    assert second.words == (
        "Source 2 is kept in 2 of 4 copies: median IoU 0.50, least 0.00 (cropped by 3 %)."
    )
    record = tried.as_record()
    assert record["runs"][0]["ious"][1] == 0
    assert record["runs"][0]["words"] == "0 of 2 sources kept, 1 found; inconclusive (0.70)"


def test_a_large_picture_is_tried_in_a_window(tmp_path):
    engine = FakeEngine()
    engine.answers_by_patches = True
    picture = Picture.of_pixels(np.zeros((1100, 1500), np.uint8))
    base = asked(engine, picture)
    tried = stability(base)
    top, left, bottom, right = tried.window
    assert (bottom - top, right - left) == (1024, 1024)
    assert tried.runs[0].change.kind == "none"
    assert all(run.said["network_verdict"] is None for run in tried.runs)
    assert all(min(run.ious) > KEPT for run in tried.runs)
    again = saved_again(base, tried)
    assert [one.whole for one in again.copies] == [False, True]
    assert again.copies[0].copy.change == SAVED_AS_JPEG
    assert not again.differs
    assert again.copies[0].words == (
        "Saved as JPEG 95: the sources of the window stay the same; no verdict was asked."
    )


def test_stability_can_be_stopped_between_and_within_copies(tmp_path):
    engine, picture = FakeEngine(), picture_file(tmp_path)
    base = asked(engine, picture)
    before = len(engine.calls)
    with pytest.raises(Cancelled):
        stability(base, cancel=lambda: len(engine.calls) > before)
    assert engine.calls[before:] == ["embed"]


# --------------------------------------------------------------------------- saved again


def test_a_png_holds_the_same_pixels_and_is_not_embedded_again(tmp_path):
    engine, picture = FakeEngine(), picture_file(tmp_path)
    base = asked(engine, picture)
    again = saved_again(base)
    assert engine.calls.count("embed") == 2  # of the picture, and of its JPEG
    assert [one.copy.change.name for one in again.copies] == ["JPEG 95", "PNG"]
    assert all(one.copy.labels.shape == picture.shape for one in again.copies)
    assert again.as_record()["words"] == (
        "Saved as JPEG 95: sources and verdict stay the same. "
        "Saved as PNG: sources and verdict stay the same."
    )


class ByPixels(FakeEngine):
    """Another partition and another verdict for any other picture than the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ""  # its stripes are 53, 53 and 54 pixels wide

    def partition(self, embedding, method="auto", n_sources=None, **other):
        self.first = self.first or embedding.image_sha256
        count = 3 if embedding.image_sha256 == self.first else 1
        return super().partition(embedding, method, count, **other)

    def localize(self, embedding, **other):
        found = super().localize(embedding, **other)
        same = embedding.image_sha256 == self.first
        return replace(found, score=0.9, verdict="forged") if same else found


def test_what_another_save_changes_is_told_in_words(tmp_path):
    engine, picture = ByPixels(), picture_file(tmp_path)
    base = asked(engine, picture)
    jpeg, png = saved_again(base).copies
    assert jpeg.differences == (
        "It falls into 1 source instead of 3.",
        "Source 1 is not found again (IoU 0.00).",
        "Source 2 is not found again (IoU 0.00).",
        "Source 3 is not found again (IoU 0.34).",
        "66 % of it comes into another source.",
        'The verdict is "inconclusive" (0.70) instead of "forged" (0.90).',
    )
    assert not png.differences
    assert png.as_record()["differs"] is False


def test_a_png_is_not_saved_as_png(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(path)
    engine, picture = FakeEngine(), Picture.read(path)
    again = saved_again(asked(engine, picture))
    assert len(again.copies) == 1
    assert again.as_record()["notice"] == "It is a PNG already: another one would be the same."
