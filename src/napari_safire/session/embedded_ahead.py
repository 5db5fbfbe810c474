"""Pictures that are worked on next are embedded while another one is worked on."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from napari_safire.engine.recent import Recent
from napari_safire.images.pixels import PictureReader
from napari_safire.progress import Cancel, Progress
from napari_safire.session.chosen_model import ChosenModel
from napari_safire.session.workers import Job, Worker
from napari_safire.types import Embedding

if TYPE_CHECKING:
    from napari_safire.engine import Engine

_MOST_BYTES = 64 << 20
_MOST = 8


class EmbeddedAhead:
    """Embeddings that nobody has asked for yet; a few of them, by the hash of their pixels.

    Parameters
    ----------
    worker : Worker
        That of the model.
    chosen : ChosenModel
    """

    def __init__(self, worker: Worker, chosen: ChosenModel) -> None:
        self._worker = worker
        self._chosen = chosen
        self._embeddings: Recent[Embedding] = Recent(lambda: _MOST)
        self._jobs: dict[Hashable, Job] = {}

    def ask(self, name: Hashable, pixels: Any) -> None:
        """Have a picture embedded once the model has nothing else to do.

        Parameters
        ----------
        name : hashable
            By which `expect` and `cancel` know it.
        pixels : (H, W), (H, W, 3) or (H, W, 4) array
        """
        known = self._jobs.get(name)
        was_asked = known is not None and not known.cancelled.is_set()
        if not self._chosen.is_chosen or was_asked:
            return

        def work(progress: Progress, cancel: Cancel) -> None:
            engine = self._chosen.need_engine()
            embedding = engine.embed(pixels, progress=progress, cancel=cancel)
            if engine is self._chosen.engine:  # another one may have been chosen meanwhile
                self._put(embedding)

        # What goes wrong is told when the picture is opened.
        self._jobs[name] = self._worker.submit(Job("", work, _ignore, _ignore, ahead=True))

    def expect(self, name: Hashable) -> None:
        """A picture is opened now: what was begun of it is finished first, and the rest dropped."""
        job = self._jobs.get(name)
        if job is not None:
            self._worker.expect(job)

    def keep_only(self, names: tuple[Hashable, ...]) -> None:
        """Stop embedding all pictures but some."""
        for name in self._jobs.keys() - set(names):
            self._jobs.pop(name).cancelled.set()

    def forget(self) -> None:
        """Drop everything: another model is asked from now on."""
        self.keep_only(())
        self._embeddings = Recent(lambda: _MOST)

    def embed(self, engine: Engine, picture: Any, progress: Progress, cancel: Cancel) -> Embedding:
        """Embed a picture, unless that was done ahead; in the model worker's thread."""
        if len(self._embeddings):
            known = self._embeddings.get(PictureReader(picture).sha256)
            if known is not None:
                return known
        return engine.embed(picture, progress=progress, cancel=cancel)

    def _put(self, embedding: Embedding) -> None:
        if embedding.features.nbytes <= _MOST_BYTES // _MOST:
            self._embeddings.put(embedding.image_sha256, embedding)


def _ignore(_: object) -> None:
    """Take an answer that nobody waits for."""
