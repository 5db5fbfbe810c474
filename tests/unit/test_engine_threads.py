"""Several jobs on one engine at once, as on a GPU: none hears of another's progress or end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from toys import tiny_lite

from napari_safire import Engine
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.errors import Cancelled
from napari_safire.model import ModelConfig, SafireModel
from napari_safire.types import Embedding

JOBS = 4
VIT = ModelConfig(
    image_size=64, embed_dim=32, depth=3, num_heads=2, window_size=2, global_attention=(2,),
    prompt_dim=16, decoder_mlp_dim=16, decoder_heads=2, confidence_dim=8,
)  # fmt: skip


def picture(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def unlocked(config: ModelConfig) -> Engine:
    """An engine without the lock that a CPU's cores have."""
    torch.manual_seed(0)
    engine = Engine(SafireModel(config))
    engine._cores = nullcontext()  # type: ignore[assignment]
    return engine


@pytest.fixture(scope="module", params=[tiny_lite(depth=3), VIT], ids=["lite", "vit"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return unlocked(request.param)


def together(work: Callable[[int], object]) -> list[object]:
    """Results, or exceptions, of jobs that run at once."""

    def safely(number: int) -> object:
        try:
            return work(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(JOBS) as workers:
        return list(workers.map(safely, range(JOBS)))


@pytest.mark.parametrize("stopped", range(JOBS))
def test_cancelling_one_embedding_leaves_the_others(engine: Engine, stopped: int) -> None:
    # All are inside the encoder, between two of its blocks, when one of them is stopped.
    inside = threading.Barrier(JOBS)
    reports: list[list[tuple[int, int]]] = [[] for _ in range(JOBS)]

    def work(number: int) -> object:
        def cancel() -> bool:
            step = len(reports[number])
            if step == 2:
                inside.wait(10)
            return number == stopped and step == 3

        return engine.embed(
            picture(number),
            progress=lambda done, total, _: reports[number].append((done, total)),
            cancel=cancel,
        )

    alone = [engine.embed(picture(number)).features for number in range(JOBS)]
    for number, found in enumerate(together(work)):
        if number == stopped:
            assert isinstance(found, Cancelled)
            assert len(reports[number]) == 3
        else:
            assert isinstance(found, Embedding), found
            np.testing.assert_allclose(found.features, alone[number], atol=1e-5)
            assert [done for done, _ in reports[number]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("stopped", range(JOBS))
@pytest.mark.parametrize("job", ["grid", "partition", "localize"])
def test_cancelling_one_grid_leaves_the_others(engine: Engine, job: str, stopped: int) -> None:
    embeddings = [engine.embed(picture(100 * stopped + number)) for number in range(JOBS)]
    engine._decoder._grids._values.clear()
    inside = threading.Barrier(JOBS)

    def work(number: int) -> object:
        def cancel() -> bool:
            inside.wait(10)
            return number == stopped

        def once() -> bool:
            return cancel() if asked.acquire(blocking=False) else False

        asked = threading.Semaphore(1)
        return getattr(engine, job)(embeddings[number], points_per_side=3, cancel=once)

    for number, found in enumerate(together(work)):
        assert isinstance(found, Exception) == (number == stopped), found


def test_what_is_kept_cannot_be_changed_by_who_got_it(engine: Engine) -> None:
    embedding = engine.embed(picture(7))
    grid = engine.grid(embedding, 3)
    for array in (grid.features, grid.confidence, grid.region(0).low_res_logits):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_a_cache_tells_each_job_of_its_own_entry(engine: Engine, tmp_path) -> None:
    # Two threads store at once: the one that was refused is told so, whatever the other does.
    small = EmbeddingCache(tmp_path, max_bytes=10_000)
    small_enough = Embedding(
        np.zeros((4, 2, 2), np.float32), engine.embed(picture(1)).geometry, "a" * 64, "b" * 64
    )
    too_large = Embedding(
        np.zeros((99, 9, 9), np.float32), small_enough.geometry, "c" * 64, "b" * 64
    )

    def work(number: int) -> object:
        told: list[str] = []
        for _ in range(50):
            kept = small.put(too_large if number % 2 else small_enough, told.append)
            assert kept == (number % 2 == 0)
        return told

    for number, told in enumerate(together(work)):
        assert isinstance(told, list), told
        assert len(told) == (50 if number % 2 else 0)
        assert all("limit" in sentence for sentence in told)
