"""Options of commands that may work on a dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from napari_safire.cli.options import Precision
from napari_safire.cli.terminal import open_engine, say

if TYPE_CHECKING:
    from distributed import Client

    from napari_safire.engine import Engine
    from napari_safire.evaluation import EvaluatedEntry, ScoringSettings
    from napari_safire.evaluation.entries import Task
    from napari_safire.evaluation.saved_scores import SavedScores
    from napari_safire.evaluation.study import Evaluate

WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, max=512, help="Processes on this machine, by dask.")
]
SchedulerOption = Annotated[
    str, typer.Option("--scheduler", metavar="ADDRESS", help="A running dask scheduler.")
]
SchedulerFileOption = Annotated[
    str, typer.Option("--scheduler-file", metavar="FILE", help="The file that tells its address.")
]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where to work, as the options say.

    Raises
    ------
    typer.BadParameter
        More than one place is named.
    """

    workers: int = 0
    scheduler: str = ""
    scheduler_file: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.workers, self.scheduler, self.scheduler_file))) > 1:
            raise typer.BadParameter(
                "choose one of --workers, --scheduler and --scheduler-file.",
                param_hint="--scheduler",
            )

    @property
    def is_chosen(self) -> bool:
        """Whether a cluster is to be used at all."""
        return bool(self.workers or self.scheduler or self.scheduler_file)

    @contextmanager
    def client(self, device: str) -> Iterator[Client]:
        """Reach the cluster, or begin it, one process a GPU; say where its dashboard is."""
        from napari_safire.corpus.cluster.client import cluster_client
        from napari_safire.engine.machine import visible_cards

        with cluster_client(
            workers=self.workers,
            # "cuda:1" is one card for all workers, by its number in this process.
            cards=visible_cards() if self.workers and device in ("auto", "cuda") else (),
            scheduler=self.scheduler,
            scheduler_file=self.scheduler_file,
        ) as client:
            say(f"Dashboard: {client.dashboard_link}", err=True)
            yield client


@contextmanager
def evaluation_on(
    options: ClusterOptions, device: str, precision: Precision
) -> Iterator[tuple[Callable[[str], Engine], Evaluate]]:
    """Give what opens models, and what scores entries with them: here or on a cluster."""
    from napari_safire.evaluation.study import evaluate_here

    if not options.is_chosen:
        yield lambda model: open_engine(model, device, precision), evaluate_here
        return
    from napari_safire.corpus.asking import EngineSource
    from napari_safire.corpus.cluster.scores import evaluate_on_cluster

    names: dict[str, str] = {}

    def open_model(model: str) -> Engine:
        engine = open_engine(model, device, precision)
        names[engine.model.checkpoint_sha256] = model
        return engine

    with options.client(device) as client:

        def evaluate(
            engine: Engine,
            tasks: Iterable[Task],
            settings: ScoringSettings,
            *,
            jobs: int = 1,
            saved: SavedScores | None = None,
        ) -> Generator[EvaluatedEntry]:
            sha256 = engine.model.checkpoint_sha256
            source = EngineSource(names[sha256], sha256, device, precision)
            return evaluate_on_cluster(client, source, tasks, settings, saved)

        yield open_model, evaluate
