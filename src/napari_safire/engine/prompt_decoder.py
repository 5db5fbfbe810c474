"""What a model's decoder says of prompts: regions, and grids of which the last few are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

from napari_safire.engine.asked_grid import points_in_model, run_grid
from napari_safire.engine.confidence import ConfidenceCurve
from napari_safire.engine.decoding import DECODING, decode_points
from napari_safire.engine.memory import MemoryGuard, explained
from napari_safire.engine.recent import Recent
from napari_safire.partitioning.prompt_grid import PromptGrid
from napari_safire.progress import Cancel, Progress
from napari_safire.types import Embedding, PointPrompt, SourceRegion


class PromptDecoder:
    """Asks the decoder of one model, and says what its confidence is worth.

    Parameters
    ----------
    memory : MemoryGuard
        Of the model.
    computing : callable
        Gives the context of a computation.
    curve : ConfidenceCurve or None
        What the decoder's predictions were worth; None where nobody has found out.
    most_cached : callable
        How many grids are cached.
    """

    def __init__(
        self,
        memory: MemoryGuard,
        computing: Callable[[], AbstractContextManager[None]],
        curve: ConfidenceCurve | None,
        most_cached: Callable[[], int],
    ) -> None:
        self._memory = memory
        self._computing = computing
        self._curve = curve
        self._grids: Recent[PromptGrid] = Recent(most_cached)

    def regions(self, embedding: Embedding, prompts: Iterable[PointPrompt]) -> list[SourceRegion]:
        """Find the region of each prompt.

        Raises
        ------
        ValueError
            A prompt lies outside the picture.
        OutOfMemory, ModelFailure
        """
        points = list(prompts)
        points_xy = points_in_model(embedding, points)
        with explained(DECODING), self._computing():
            logits, confidence = decode_points(self._memory, embedding.features, points_xy)
        if self._curve is not None:
            confidence = self._curve(confidence)
        return [
            SourceRegion(point, logits[i], embedding.geometry, float(confidence[i]))
            for i, point in enumerate(points)
        ]

    def grid(
        self,
        embedding: Embedding,
        points_per_side: int,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
        *,
        with_logits: bool = False,
    ) -> PromptGrid:
        """Ask every point of a grid: the whole grid, or one that may hold features only."""
        side = int(points_per_side)
        of = (embedding.image_sha256, embedding.checkpoint_sha256, side)
        grid = self._grids.get((*of, True)) if with_logits else self._grids.get((*of, True), of)
        if grid is None:
            with explained(DECODING), self._computing():
                grid = run_grid(
                    self._memory, embedding, side, progress, cancel, with_logits=with_logits
                )
            if self._curve is not None:
                grid = replace(grid, confidence=self._curve(grid.confidence))
            # Whoever is given the grid, or a region of it, shares it with all later jobs.
            for array in (grid.low_res_logits, grid.confidence, grid.features):
                if array is not None:
                    array.flags.writeable = False
            self._grids.put((*of, True) if with_logits else of, grid)
        return grid
