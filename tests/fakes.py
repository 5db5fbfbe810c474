"""An engine without a network, whose answers one can foresee and whose pace one can set."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_safire import forensics
from napari_safire.engine.rules import ModelRules
from napari_safire.forensics import Evidence, EvidenceView
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forgery import ForgeryMap
from napari_safire.geometry import Geometry
from napari_safire.images.pixels import PictureReader
from napari_safire.partitioning.prompt_grid import PromptGrid, grid_points
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import Embedding, FloatImage, PointPrompt, SourcePartition, SourceRegion

# Pixels: a prompt's region is a disc. No two pixels are as far apart, so rounding changes none.
RADIUS = 19.96


class FakeEngine:
    """Regions are discs around their prompts; sources are vertical stripes.

    Parameters
    ----------
    step_s : float
        How long one of the ten steps of embedding or grid takes; it sleeps, as torch computes,
        without holding Python's lock.
    gate : threading.Event, optional
        Embedding waits for it.
    """

    rules = ModelRules()
    most_sources = 6
    answers_by_patches = False

    def __init__(self, step_s: float = 0.0, gate: threading.Event | None = None) -> None:
        self.step_s = step_s
        self.gate = gate
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.notices: tuple[str, ...] = ()
        self.failure: Exception | None = None

    def embed(
        self, image: Any, *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Embedding:
        self._called("embed")
        pixels = np.asarray(image)
        if self.gate is not None:
            while not self.gate.wait(0.005):
                report(progress, cancel, 0, 10, "waiting")
        self._work(progress, cancel)
        height, width = pixels.shape[:2]
        geometry = Geometry((height, width), (height, width), (float(height), float(width)))
        digest = PictureReader(image).sha256
        features = np.zeros((2, -(-height // 16), -(-width // 16)), np.float32)
        return Embedding(features, geometry, digest, "fake")

    def segment(
        self, embedding: Embedding, prompts: Iterable[PointPrompt], *, method: str = "auto"
    ) -> list[SourceRegion]:
        self._called("segment")
        return [_disc(prompt, embedding.geometry) for prompt in prompts]

    def grid(self, embedding: Embedding, points_per_side: int = 16, **watched: Any) -> PromptGrid:
        self._called("grid")
        self._work(**watched)
        prompts, _ = grid_points(embedding.geometry, points_per_side)
        logits = np.stack([_disc(p, embedding.geometry).low_res_logits for p in prompts])
        features = np.array([[p.row, p.col] for p in prompts], np.float32) + 1
        confidence = np.full(len(prompts), 0.9, np.float32)
        return PromptGrid(prompts, logits, confidence, features, embedding.geometry)

    def partition(
        self,
        embedding: Embedding,
        method: str = "auto",
        n_sources: int | None = None,
        seed: int = 0,
        points_per_side: int = 16,
        **_: Any,
    ) -> SourcePartition:
        self._called("partition")
        count = n_sources or 2
        prompts, _ = grid_points(embedding.geometry, points_per_side)
        height, width = embedding.image_shape
        edges = np.linspace(0, width, count + 1).astype(int)
        labels = np.zeros((height, width), np.uint8)
        regions = []
        for k in range(count):
            stripe = np.full((height, width), -5, np.float32)
            stripe[:, edges[k] : edges[k + 1]] = 5
            labels[:, edges[k] : edges[k + 1]] = k
            place = PointPrompt(height / 2, (edges[k] + edges[k + 1]) / 2)
            regions.append(SourceRegion(place, stripe, embedding.geometry, 0.9 - 0.1 * k))
        sources = np.array([np.searchsorted(edges, p.col, "right") - 1 for p in prompts])
        parameters = MappingProxyType({"points_per_side": points_per_side})
        probable = {2: 0.68, 3: 0.317, 4: 0.003} if n_sources is None else {}
        return SourcePartition(
            labels,
            tuple(regions),
            method,
            parameters,
            seed,
            prompts,
            sources.clip(0, count - 1),
            number_probabilities=probable,
        )

    def stability(
        self,
        embedding: Embedding,
        partition: SourcePartition,
        repeats: int = 5,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> FloatImage:
        """The upper half is found again each time, the lower one in three of five."""
        self._called("stability")
        self._work(progress, cancel)
        values = np.ones(embedding.image_shape, np.float32)
        values[len(values) // 2 :] = 0.6
        return values

    def localize(
        self,
        embedding: Embedding,
        seed: int = 0,
        points_per_side: int = 16,
        *,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> ForgeryMap:
        self._called("localize")
        heatmap = np.zeros(embedding.image_shape, np.float32)
        heatmap[:, : heatmap.shape[1] // 2] = 1
        return ForgeryMap(heatmap, 0.7, "inconclusive", "Made up for tests.")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.threads.add(threading.current_thread().name)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure

    def _work(self, progress: Progress | None = None, cancel: Cancel | None = None) -> None:
        for step in range(10):
            report(progress, cancel, step, 10, "working")
            if self.step_s:
                time.sleep(self.step_s)
        report(progress, cancel, 10, 10, "working")


class KnowingEngine:
    """Reads the truth off the picture, whose grey value is 50 x source; any threads may ask it.

    Parameters
    ----------
    checkpoint_sha256 : str
    wrong : float
        Share of the columns, from the left, in which it finds source 0 whatever is there.
    """

    def __init__(self, checkpoint_sha256: str = "knowing", wrong: float = 0.0) -> None:
        self.model = SimpleNamespace(checkpoint_sha256=checkpoint_sha256)
        self.rules = SimpleNamespace(combination=None)
        self.precision = "float32"
        self.grids_cached = 0
        self.wrong = wrong
        self.asked: list[tuple[str, int | None]] = []
        self.shapes: list[tuple[int, int]] = []

    def embed(self, image: np.ndarray, **_: Any) -> Embedding:
        grey = image if image.ndim == 2 else image[..., 0]
        labels = np.rint(grey / 50).astype(np.float32)
        labels[:, : int(self.wrong * labels.shape[1])] = 0
        self.shapes.append(labels.shape)
        geometry = Geometry(labels.shape, labels.shape, labels.shape)
        return Embedding(labels[None], geometry, "", "")

    def partition(
        self, embedding: Embedding, method: str, n_sources: int | None, **_: Any
    ) -> SourcePartition:
        self.asked.append((method, n_sources))
        labels = embedding.features[0].astype(np.uint8)
        regions = tuple(
            SourceRegion(PointPrompt(0, 0), (labels == k).astype(np.float32), embedding.geometry, 1)
            for k in range(int(labels.max()) + 1)
        )
        return SourcePartition(labels, regions, method)

    def localize(self, embedding: Embedding, **_: Any) -> ForgeryMap:
        forged = embedding.features[0] > 0
        verdict = "forged" if forged.any() else "no forgery found"
        return ForgeryMap(forged.astype(np.float32), float(forged.any()), verdict, "Known.")


class PatchEngine(FakeEngine):
    """Answers by patches: all prompts of a source together, and no grid is ever asked.

    Rows of points of other sources are no part of a region.
    """

    answers_by_patches = True

    def grid(self, *_: Any, **__: Any) -> PromptGrid:
        raise AssertionError("A model that answers by patches is asked for a grid.")

    def segment_source(
        self,
        embedding: Embedding,
        prompts: Iterable[PointPrompt],
        *,
        others: Iterable[PointPrompt] = (),
    ) -> SourceRegion:
        """The bounding box of the prompts: what no union of discs gives."""
        self._called("segment_source")
        points = list(prompts)
        rows, cols = np.mgrid[: embedding.image_shape[0], : embedding.image_shape[1]]
        inside = np.ones(embedding.image_shape, bool)
        for places, at in ((rows, [p.row for p in points]), (cols, [p.col for p in points])):
            inside &= (places >= min(at)) & (places <= max(at))
        for other in others:
            inside[int(other.row)] = False
        logits = np.where(inside, np.float32(4), np.float32(-4))
        return SourceRegion(points[0], logits, embedding.geometry, 0.75)

    def source_numbers(self, embedding: Embedding) -> dict[int, float]:
        return {1: 0.25, 2: 0.5, 3: 0.25}


def hold_view(monkeypatch: pytest.MonkeyPatch, name: str, go: threading.Event) -> None:
    """Let a forensic view of the session wait for an event, or until it is cancelled."""
    view = next(view for view in VIEWS if view.name == name)

    def function(picture: Any, *, progress: Any, cancel: Any, **parameters: Any) -> Evidence:
        while not go.wait(0.005):
            report(progress, cancel, 2, 5, "held")
        return view.function(picture, progress=progress, cancel=cancel, **parameters)

    held = replace(view, function=function, lasting=False)  # what is kept is not waited for

    def views(picture: Any) -> dict[str, EvidenceView]:
        made = forensics.views(picture)
        return dict(made) | {name: replace(made[name], view=held)}

    for module in ("session.looked_at", "examination.evidence"):
        monkeypatch.setattr(f"napari_safire.{module}.views", views)


def _disc(prompt: PointPrompt, geometry: Geometry) -> SourceRegion:
    height, width = geometry.image_shape
    rows, cols = np.mgrid[:height, :width]
    distance = np.hypot(rows - prompt.row, cols - prompt.col)
    logits = (RADIUS - distance).astype(np.float32)
    return SourceRegion(prompt, logits, geometry, 0.8)
