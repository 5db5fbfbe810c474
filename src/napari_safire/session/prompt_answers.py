"""Prompts of a plane: what they are, and the regions that the model answers them with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from napari_safire.annotation.annotation import Annotation, SourcePrompt, changed_prompts
from napari_safire.annotation.answers import ask_regions, previewed
from napari_safire.annotation.next_click import NextClick, next_click
from napari_safire.annotation.region_labels import Asked
from napari_safire.progress import Cancel, Progress
from napari_safire.session.history import History
from napari_safire.session.messages import Topic
from napari_safire.session.model_jobs import ModelJobs
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.session.results import points_outside
from napari_safire.session.workers import Job
from napari_safire.types import SourceRegion

_SMALL_PICTURE = 2_000_000  # pixels: labels of more take too long to compose
_QUICK_S = 0.5


class PromptAnswers:
    """Changes prompts, and has the model answer those that are live.

    Parameters
    ----------
    jobs : ModelJobs
    embed : callable
        Has the traces of a plane read; `ask_anew` follows.
    tell : callable
        Takes a sentence, whether something failed, and its topic.
    """

    def __init__(
        self,
        jobs: ModelJobs,
        embed: Callable[[PlaneKey], None],
        tell: Callable[[str, bool, Topic], None],
    ) -> None:
        self._jobs = jobs
        self._embed = embed
        self._tell = tell
        self._quickest_answer = math.inf  # seconds that the present model took for prompts

    def forget_speed(self) -> None:
        """Know no more how quickly prompts are answered: another model is asked."""
        self._quickest_answer = math.inf

    def set(
        self,
        key: PlaneKey,
        prompts: Sequence[SourcePrompt],
        title: str = "prompts",
        shown: Sequence[SourcePrompt] | None = None,
    ) -> int:
        """Change the prompts of a plane; live ones are answered.

        Parameters
        ----------
        key : PlaneKey
        prompts : sequence of SourcePrompt
            Those outside the picture are left out, with a notice.
        title : str
            For the history: "add prompt".
        shown : sequence of SourcePrompt, optional
            Those that were on screen when the user made `prompts` of them. Only what differs is
            changed then, whatever the newest state is. Default: all are replaced.

        Returns
        -------
        int
            Number of this change; see `Snapshot`.
        """
        plane = self._jobs.planes[key]
        self._jobs.annotations.count_change(plane)
        inside = tuple(p for p in prompts if p.point.lies_in(plane.shape))
        if len(inside) < len(prompts):
            self._tell(points_outside(len(prompts) - len(inside)), False, Topic(key))
        live = tuple(p for p in inside if p.live)
        regions, grid, jointly = dict(plane.regions), plane.grid, plane.jointly

        def change(history: History[Annotation]) -> None:
            state = history.state
            if live and state.preview is not None and state.preview.origin == "partition":
                state = state.commit()  # one preview at a time, and nothing is lost
            made = inside if shown is None else changed_prompts(state.prompts, shown, inside)
            state = state.with_prompts(made)
            history.record(previewed(state, regions, grid, plane.unions, jointly), title)

        self._jobs.annotations.change(plane, change)
        if grid is None and plane.missing(live):
            self._ask(plane, live)
        # With a grid the stand-in comes first, undisturbed: the snapshot that shows it asks.
        return plane.serial

    def answers_quickly(self, key: PlaneKey) -> bool:
        """Whether a prompt is likely to be answered within some hundredths of a second."""
        plane = self._jobs.planes[key]
        if plane.embedding is None or plane.shape[0] * plane.shape[1] > _SMALL_PICTURE:
            return False
        return self._quickest_answer < _QUICK_S or self._quickest_answer == math.inf

    def ask(self, key: PlaneKey) -> None:
        """Ask the live prompts again: after a cancelled embedding, or when results were cut."""
        plane = self._jobs.planes[key]
        plane.asked = None
        if plane.snapshot is not None:
            self._ask(plane, plane.snapshot.annotation.live_prompts)

    def propose(self, key: PlaneKey, done: Callable[[Annotation, NextClick | None], None]) -> bool:
        """Look for the next best click.

        Parameters
        ----------
        key : PlaneKey
        done : callable
            Takes the annotation that was looked at and the proposal, None where nothing is
            uncertain. Not called if the plane, its embedding or the model is another by then.

        Returns
        -------
        bool
            False where nothing can be proposed yet: no model is chosen, or the picture's traces are
            to be read first, which is begun.
        """
        plane = self._jobs.planes[key]
        embedding, snapshot = plane.embedding, plane.snapshot
        if embedding is None or snapshot is None:
            self._embed(key)
            return False
        state, regions = snapshot.annotation, dict(plane.regions)
        partition = plane.partition if plane.shows_partition else None

        def work(progress: Progress, cancel: Cancel) -> NextClick | None:
            engine = self._jobs.chosen.need_engine()
            return next_click(engine, embedding, state, regions, partition)

        def found(proposal: NextClick | None) -> None:
            if self._jobs.planes.has(plane) and plane.embedding is embedding:
                done(state, proposal)

        topic, failed = ("next click", key), self._jobs.failing(key, "prompts")
        self._jobs.worker.submit(
            Job("Looking for the next best click", work, found, failed, urgent=True, topic=topic)
        )
        return True

    def _ask(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        if not live or not self._jobs.chosen.is_chosen:
            return
        plane.asked = live
        embedding = plane.embedding
        if embedding is None:
            self._embed(plane.key)  # which asks again when it is done
            return
        missing = plane.missing(live)
        if not missing:
            self._answer_from(plane, live)
            return

        def work(progress: Progress, cancel: Cancel) -> dict[Asked, SourceRegion]:
            start = time.perf_counter()
            regions = ask_regions(self._jobs.chosen.need_engine(), embedding, missing)
            self._quickest_answer = min(self._quickest_answer, time.perf_counter() - start)
            return regions

        def done(regions: dict[Asked, SourceRegion]) -> None:
            if self._jobs.planes.has(plane) and plane.embedding is embedding:
                plane.regions |= regions
                self._answer_from(plane, live)

        topic = ("segment", plane.key)
        self._jobs.worker.submit(
            Job(
                "Finding the region",
                work,
                done,
                self._jobs.failing(plane.key, "prompts"),
                urgent=True,
                topic=topic,
            )
        )

    def _answer_from(self, plane: Plane, live: tuple[SourcePrompt, ...]) -> None:
        """Compose the answer of regions that are all known."""
        regions, jointly = dict(plane.regions), plane.jointly

        def change(history: History[Annotation]) -> None:
            if history.state.live_prompts == live:
                history.amend(previewed(history.state, regions, None, plane.unions, jointly))

        self._jobs.annotations.change(plane, change)

    def ask_anew(self, plane: Plane) -> None:
        """Ask what a snapshot shows unanswered: after undo, or once the embedding is there.

        Also what was answered by another model, or for other pixels.
        """
        if plane.snapshot is None:
            return
        state = plane.snapshot.annotation
        live = state.live_prompts
        if (plane.is_outdated or not state.is_answered) and plane.asked != live:
            self._ask(plane, live)
