"""A model with its memory, its cache and its precision: what every question begins with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.embedding import READING, embed_picture
from napari_safire.engine.memory import MemoryGuard, Notify, explained, keep_freed_blocks
from napari_safire.engine.precision import (
    Precision,
    check_precision,
    computing_in,
    slow_precision,
)
from napari_safire.images.pixels import PictureReader
from napari_safire.model import SafireModel
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import Embedding

# How many threads an answer takes is a setting of the process (`engine.decoding`): engines that
# answer at once on one CPU would change it for each other, some of them for good.
_CORES = threading.RLock()  # a job that is watched may answer a click in between


class Embedder:
    """Reads the traces of pictures; parameters and attributes as of `napari_safire.Engine`."""

    def __init__(
        self,
        model: SafireModel,
        *,
        cache: EmbeddingCache | None,
        on_notice: Notify | None,
        precision: Precision,
    ) -> None:
        if not isinstance(model, SafireModel):
            raise TypeError(
                f"Engine needs a SafireModel, not {type(model).__name__}: use load_model()."
            )
        check_precision(precision, model.device)
        keep_freed_blocks()
        self.model = model.eval()
        self.precision = precision
        self.cache = cache
        self._on_notice = on_notice
        self._notices: list[str] = []
        self._memory = MemoryGuard(self.model, self._notify)
        self._cores = _CORES
        for sentence in (*model.warnings, slow_precision(precision, model.device)):
            if sentence:
                self._notify(sentence)

    @property
    def notices(self) -> tuple[str, ...]:
        """What was done to finish jobs in spite of trouble, in plain sentences, newest last."""
        return tuple(self._notices)

    def embed(
        self, image: Any, *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Embedding:
        """Read a picture's traces once; all else starts from the result.

        Parameters
        ----------
        image : (H, W), (H, W, 3) or (H, W, 4) array_like
            NumPy or dask; uint8, uint16, other integers, bool or float; up to 200 megapixels.
            `napari_safire.images.pixels` states how values are scaled. The ViT sees it squashed to
            its square frame, the lite model at its own resolution, in tiles above 1024 pixels.
        progress, cancel : callable, optional

        Returns
        -------
        Embedding
            From the cache if it holds this picture by this model.

        Raises
        ------
        TypeError, ValueError
            Not a picture; the message says why.
        OutOfMemory
        ModelFailure
            The features are not finite.
        Cancelled
            Nothing of it is cached.
        """
        # Fresh weights have no hash by which their embeddings could be told from others.
        exact = self.precision == "float32"
        cache = self.cache if self.model.checkpoint_sha256 and exact else None
        with explained(READING):
            picture = PictureReader(image)
            if cache is not None:
                cached = cache.get(picture.sha256, self.model.checkpoint_sha256)
                if cached is not None:
                    report(progress, cancel, 1, 1, READING)
                    return cached
            with self._computing():
                embedding = embed_picture(self._memory, picture, progress, cancel)
        if cache is not None:
            cache.put(embedding, self._notify_once)  # a full disk is said once
        return embedding

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Products on the model's device in this precision; on a CPU by one thread at a time."""
        device = self.model.device
        alone = self._cores if device.type == "cpu" else nullcontext()
        with alone, computing_in(self.precision, device):
            yield

    def _notify(self, sentence: str) -> None:
        self._notices.append(sentence)
        if self._on_notice is not None:
            self._on_notice(sentence)

    def _notify_once(self, sentence: str) -> None:
        if sentence not in self._notices:
            self._notify(sentence)
