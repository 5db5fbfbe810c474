"""What the model answers for one copy of a picture: its sources and both its verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_safire.examination import ExaminationSettings, examine_whole
from napari_safire.examination.evidence import weigh
from napari_safire.forensics.picture import Picture
from napari_safire.forgery import ForgeryMap
from napari_safire.progress import Cancel, Progress, within
from napari_safire.types import Embedding, SourcePartition

if TYPE_CHECKING:
    from napari_safire.engine import Engine

_EMBEDDED, _DIVIDED = 60, 70  # hundredths of the work of an answer


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a model says of one picture.

    Parameters
    ----------
    embedding : Embedding
    partition : SourcePartition
    network : ForgeryMap
        Of the network alone.
    forgery : ForgeryMap or None
        By all evidence; None where it was not counted.
    """

    embedding: Embedding
    partition: SourcePartition
    network: ForgeryMap
    forgery: ForgeryMap | None = None

    @property
    def verdict(self) -> ForgeryMap:
        """What stands: the one by all evidence, where there is one."""
        return self.network if self.forgery is None else self.forgery

    def as_record(self) -> dict[str, Any]:
        """Return verdict and score, of all evidence (None: not counted) and of the network."""
        whole = self.forgery
        return {
            "verdict": None if whole is None else whole.verdict,
            "score": None if whole is None else round(whole.score, 6),
            "network_verdict": self.network.verdict,
            "network_score": round(self.network.score, 6),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A picture, how a model was asked about it, and its answer: changed copies are asked alike.

    Parameters
    ----------
    engine : Engine
    picture : Picture
    settings : ExaminationSettings
    answer : Answer
    """

    engine: Engine
    picture: Picture
    settings: ExaminationSettings
    answer: Answer


def ask(
    engine: Engine,
    picture: Picture,
    settings: ExaminationSettings,
    *,
    pixels: npt.NDArray[Any] | None = None,
    known: Answer | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Answer:
    """Ask a model for the sources of a picture and for its verdicts.

    Parameters
    ----------
    engine : Engine
    picture : Picture
    settings : ExaminationSettings
        Its partition, and whether evidence counts.
    pixels : (H, W) or (H, W, 3|4) array, optional
        As the file holds them, where that is more than the 8 bits of `picture`.
    known : Answer, optional
        Of another file with the very same pixels: only the evidence is weighed anew.
    progress, cancel : callable, optional

    Returns
    -------
    Answer

    Raises
    ------
    ValueError, OutOfMemory, ModelFailure, Cancelled
        As `napari_safire.engine.Engine`.
    """
    if known is None:
        embedding = engine.embed(
            picture.rgb if pixels is None else pixels,
            progress=within(progress, 0, _EMBEDDED),
            cancel=cancel,
        )
        partition, network = examine_whole(
            engine, embedding, settings.partition, within(progress, _EMBEDDED, _DIVIDED), cancel
        )
        known = Answer(embedding, partition, network)
    forgery = None
    if settings.evidence == "all":
        forgery = weigh(
            known.network,
            picture,
            engine.rules.combination,
            progress=within(progress, _DIVIDED, 100),
            cancel=cancel,
        )
    return Answer(known.embedding, known.partition, known.network, forgery)
