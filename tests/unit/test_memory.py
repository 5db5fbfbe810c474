"""Running out of memory: fewer prompts at once, then the CPU, then a sentence; the same results."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from toys import TILED_LITE

from napari_safire import Engine
from napari_safire.engine.memory import MemoryGuard, explained, is_out_of_memory
from napari_safire.errors import OutOfMemory, SafireError
from napari_safire.model import SafireModel
from napari_safire.types import Embedding

SHORT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 99 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
    RuntimeError("CUDA error: out of memory"),
    MemoryError("Unable to allocate 9 GiB for an array"),
]


class SmallModel(SafireModel):
    """A model whose device holds so many prompts at once, and perhaps no picture.

    On the pretended card nothing fits at all: its tensors are on "meta", where only shapes are.
    """

    def __init__(
        self,
        most_prompts: int = 10**9,
        encodes: bool = True,
        on_card: bool = False,
        error: Exception = SHORT_OF_MEMORY[0],
    ) -> None:
        super().__init__(TILED_LITE)
        self.most_prompts, self.encodes, self.error = most_prompts, encodes, error
        self.on_card = on_card
        self.tried: list[int] = []

    @property
    def device(self) -> torch.device:
        return torch.device("meta" if self.on_card else "cpu")

    def to(self, *args: Any, **kwargs: Any) -> SmallModel:
        self.on_card = False
        return super().to(*args, **kwargs)

    def encode(self, pixels: torch.Tensor, before_block: Any = None) -> torch.Tensor:
        if self.on_card or not self.encodes:
            raise self.error
        return super().encode(pixels, before_block)

    def decode(
        self, feats: torch.Tensor, points_xy: Any, **how: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.tried.append(len(points_xy))
        if self.on_card or len(points_xy) > self.most_prompts:
            raise self.error
        return super().decode(feats, points_xy, **how)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return SafireModel(TILED_LITE).state_dict()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def roomy(weights: dict[str, torch.Tensor], picture: np.ndarray) -> tuple[Engine, Embedding]:
    """The same model with memory enough."""
    model = SafireModel(TILED_LITE)
    model.load_state_dict(weights)
    engine = Engine(model)
    return engine, engine.embed(picture)


def engine_with(weights: dict[str, torch.Tensor], **limits: Any) -> tuple[Engine, SmallModel]:
    model = SmallModel(**limits)
    model.load_state_dict(weights)
    return Engine(model), model


@pytest.fixture(autouse=True)
def _no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """No simulated shortage may reach a real card."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("touched the card"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """All prompts of a batch in one call, whatever the machine: calls are counted here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=lambda error: str(error)[:30])
@pytest.mark.parametrize("most_prompts", [1, 5, 40])
def test_fewer_prompts_at_once_give_the_same_grid(
    weights: dict[str, torch.Tensor],
    roomy: tuple[Engine, Embedding],
    most_prompts: int,
    error: Exception,
):
    engine, model = engine_with(weights, most_prompts=most_prompts, error=error)
    expected = roomy[0].grid(roomy[1], 9)
    grid = engine.grid(roomy[1], 9)
    np.testing.assert_allclose(grid.low_res_logits, expected.low_res_logits, atol=1e-5)
    np.testing.assert_allclose(grid.confidence, expected.confidence, atol=1e-5)
    np.testing.assert_allclose(grid.features, expected.features, atol=1e-5)
    fitting = 64
    while fitting > most_prompts:
        fitting //= 2
    assert model.tried[0] == 64
    assert sum(n for n in model.tried if n <= most_prompts) == 81
    (notice,) = engine.notices
    assert notice.startswith("The memory of cpu ran out while finding source regions, 64 prompts")
    assert f"takes {fitting} at once" in notice


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_share_the_prompts_and_their_shortage(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding], n_threads: int
):
    torch.set_num_threads(n_threads)
    engine, model = engine_with(weights, most_prompts=5)
    grid = engine.grid(roomy[1], 9)
    expected = roomy[0].grid(roomy[1], 9)
    np.testing.assert_allclose(grid.low_res_logits, expected.low_res_logits, atol=1e-5)
    np.testing.assert_allclose(grid.confidence, expected.confidence, atol=1e-5)
    assert sum(n for n in model.tried if n <= 5) >= 81  # what others had done is done again
    assert len(engine.notices) == 1
    assert torch.get_num_threads() == n_threads


def test_the_smaller_batch_is_remembered(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    engine, model = engine_with(weights, most_prompts=10)
    engine.grid(roomy[1], 9)
    model.tried.clear()
    engine.grid(roomy[1], 10)
    assert max(model.tried) == 8
    assert len(engine.notices) == 1


def test_a_few_clicks_do_not_try_more_often_than_they_can(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    engine, model = engine_with(weights, most_prompts=1)
    points = [(3, 4), (50, 60), (99, 149)]
    regions = engine.segment(roomy[1], points)
    assert model.tried == [3, 1, 1, 1]
    for region, expected in zip(regions, roomy[0].segment(roomy[1], points), strict=True):
        np.testing.assert_allclose(region.low_res_logits, expected.low_res_logits, atol=1e-5)


def test_progress_rises_in_spite_of_smaller_batches(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    engine, _ = engine_with(weights, most_prompts=7)
    steps: list[int] = []
    engine.grid(roomy[1], 5, progress=lambda done, total, _: steps.append(done))
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 25)


def test_one_prompt_too_many_for_the_cpu_is_said(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    engine, model = engine_with(weights, most_prompts=0)
    with pytest.raises(OutOfMemory, match=r"finding source regions: close other programs"):
        engine.grid(roomy[1], 3)
    assert model.tried == [9, 4, 2, 1]
    model.most_prompts = 1  # somebody closed other programs
    assert len(engine.grid(roomy[1], 3).prompts) == 9


def test_a_card_without_room_for_one_prompt_is_left_for_the_cpu(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    engine, model = engine_with(weights, on_card=True)
    grid = engine.grid(roomy[1], 3)
    assert model.tried == [9, 4, 2, 1, 9]
    assert model.device.type == "cpu"
    np.testing.assert_array_equal(grid.low_res_logits, roomy[0].grid(roomy[1], 3).low_res_logits)
    (notice,) = engine.notices
    assert notice.startswith("The memory of meta ran out while finding source regions")
    assert "moved to the CPU" in notice


def test_after_the_card_the_cpu_may_be_short_too(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding]
):
    heard: list[str] = []
    model = SmallModel(on_card=True, most_prompts=2)
    model.load_state_dict(weights)
    engine = Engine(model, on_notice=heard.append)
    engine.grid(roomy[1], 3)
    assert model.tried == [9, 4, 2, 1, 9, 4, 2, 2, 2, 2, 1]
    moved, fewer = heard
    assert "moved to the CPU" in moved
    assert "takes 2 at once" in fewer
    assert engine.notices == (moved, fewer)


# -- encoding ------------------------------------------------------------------------------------


def test_a_card_without_room_for_the_picture_is_left_for_the_cpu(
    weights: dict[str, torch.Tensor], roomy: tuple[Engine, Embedding], picture: np.ndarray
):
    engine, model = engine_with(weights, on_card=True)
    embedding = engine.embed(picture)
    np.testing.assert_array_equal(embedding.features, roomy[1].features)
    assert embedding.geometry == roomy[1].geometry
    assert model.device.type == "cpu"
    assert len(engine.notices) == 1
    assert "reading the picture's traces" in engine.notices[0]


@pytest.mark.parametrize("error", SHORT_OF_MEMORY, ids=lambda error: str(error)[:30])
def test_a_picture_too_large_for_the_cpu_is_said(
    weights: dict[str, torch.Tensor], picture: np.ndarray, error: Exception
):
    engine, _ = engine_with(weights, encodes=False, error=error)
    with pytest.raises(SafireError, match="reading the picture's traces: close other programs"):
        engine.embed(picture)
    assert engine.notices == ()


# -- what is not about memory --------------------------------------------------------------------


@pytest.mark.parametrize("on_card", [False, True])
def test_other_errors_go_their_way(
    weights: dict[str, torch.Tensor],
    roomy: tuple[Engine, Embedding],
    picture: np.ndarray,
    on_card: bool,
):
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    engine, model = engine_with(
        weights, most_prompts=0, encodes=False, on_card=on_card, error=error
    )
    with pytest.raises(RuntimeError, match="mat1"):
        engine.grid(roomy[1], 3)
    with pytest.raises(RuntimeError, match="mat1"):
        engine.embed(picture)
    assert model.tried == [9]
    assert model.on_card == on_card
    assert engine.notices == ()


def test_a_real_allocation_that_fails_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8, device="cpu")
    assert is_out_of_memory(caught.value)
    with pytest.raises(MemoryError) as caught_numpy:
        np.ones(2**60, dtype=np.uint8)
    assert is_out_of_memory(caught_numpy.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("no kernel"), ValueError("out of memory"), OSError()]
)
def test_other_errors_are_not_taken_for_it(error: Exception):
    assert not is_out_of_memory(error)


def test_an_array_of_numpy_that_does_not_fit_is_said():
    with pytest.raises(OutOfMemory, match="while counting sheep"), explained("counting sheep"):
        np.ones(2**60, dtype=np.uint8)
    with pytest.raises(ZeroDivisionError), explained("counting sheep"):
        _ = 1 // 0


# -- threads -------------------------------------------------------------------------------------


def test_a_model_moved_by_another_thread_is_tried_again(weights: dict[str, torch.Tensor]):
    model = SmallModel(on_card=True)
    model.load_state_dict(weights)
    notices: list[str] = []
    guard = MemoryGuard(model, notices.append)
    started, moved = threading.Event(), threading.Event()
    tried: list[tuple[str, int]] = []

    def job(model: SafireModel, n_prompts: int) -> str:
        tried.append((model.device.type, n_prompts))
        if model.device.type == "cpu":
            return "done"
        started.set()
        assert moved.wait(timeout=60)
        raise RuntimeError("Expected all tensors to be on the same device")

    answers: list[str] = []
    other = threading.Thread(target=lambda: answers.append(guard.attempt(job, "a", 64, 64)))
    other.start()
    assert started.wait(timeout=60)

    def too_large(model: SafireModel, n_prompts: int) -> str:
        if model.device.type == "meta":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "here"

    assert guard.attempt(too_large, "encoding") == "here"
    moved.set()
    other.join(timeout=60)
    assert answers == ["done"]
    assert tried == [("meta", 64), ("cpu", 64)]
    assert len(notices) == 1
