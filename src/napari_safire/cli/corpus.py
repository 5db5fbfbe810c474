"""``napari-safire predict --manifest``: a corpus of pictures, and one table of what was found."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_safire.cli.clusters import ClusterOptions
from napari_safire.cli.options import Precision
from napari_safire.cli.terminal import FAILED, complain, open_engine, progress_bar, say, warn
from napari_safire.errors import SafireError
from napari_safire.text import brief

if TYPE_CHECKING:
    from napari_safire.basis import RunBasis
    from napari_safire.corpus.asking import ModelSource
    from napari_safire.corpus.manifest import Manifest
    from napari_safire.corpus.manifest_schema import ManifestRow
    from napari_safire.corpus.running import Corpus, Tally
    from napari_safire.corpus.tasks import CorpusTask
    from napari_safire.engine import Engine
    from napari_safire.examination import ExaminationSettings
    from napari_safire.examination.export import ResultKind

Write = Literal["none", "forged", "all"]
_MOST_ERRORS_TOLD = 20

ManifestOption = Annotated[
    bool,
    typer.Option("--manifest", help="One table for all pictures, instead of a record for each."),
]
RecursiveOption = Annotated[
    bool, typer.Option("--recursive", help="Go into folders of folders; implies --manifest.")
]
WriteOption = Annotated[
    Write | None,
    typer.Option(
        "--write",
        help="Of which pictures files are written beside the manifest; default: forged. Implies "
        "--manifest.",
    ),
]
FilesOption = Annotated[
    str | None,
    typer.Option(
        "--files",
        metavar="KIND,…",
        help="Which files: sources, heatmap, overlay, probabilities; default: sources. Implies "
        "--manifest.",
    ),
]
RetryOption = Annotated[
    Literal["errors"] | None,
    typer.Option("--retry", help="Try pictures again that failed before; implies --manifest."),
]
TaskSizeOption = Annotated[
    int | None,
    typer.Option("--task-size", min=1, max=4096, help="Pictures kept together; default: 256."),
]


SandboxOption = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="Decode pictures in processes that can do nothing else (Linux); implies --manifest.",
    ),
]


RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        help="Lists may name pictures anywhere below this folder, not only below their own; "
        "implies --manifest.",
    ),
]


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model as it was asked for."""

    name: str
    device: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """What the options of a corpus say."""

    manifest: bool
    recursive: bool
    write: Write | None
    files: str | None
    retry: Literal["errors"] | None
    cluster: ClusterOptions
    task_size: int | None
    sandbox: bool
    root: Path | None

    @property
    def is_corpus(self) -> bool:
        """Whether any of them was given."""
        others = (self.write, self.files, self.retry, self.task_size, self.root)
        chosen = any(value is not None for value in others)
        flags = self.manifest or self.recursive or self.sandbox
        return flags or chosen or self.cluster.is_chosen

    def refuse_with(self, points: object, jobs: object, overwrite: object) -> None:
        """Refuse what a manifest cannot hold, or has another option for."""
        if points:
            raise typer.BadParameter(
                "a manifest has no regions of points: leave --points out, or --manifest.",
                param_hint="--points",
            )
        if jobs:
            raise typer.BadParameter(
                "a corpus is divided by --workers: leave --jobs out.", param_hint="--jobs"
            )
        if overwrite:
            raise typer.BadParameter(
                "a manifest is never overwritten: choose another folder.", param_hint="--overwrite"
            )


def predict_corpus(
    inputs: Sequence[str],
    output: Path,
    settings: ExaminationSettings,
    model: NamedModel,
    options: CorpusOptions,
) -> None:
    """Answer all pictures that are not in the manifest yet, and say what came of them."""
    from napari_safire.corpus.asking import EngineSource, ModelSource
    from napari_safire.corpus.running import Corpus, opened
    from napari_safire.corpus.tasks import TASK_SIZE
    from napari_safire.corpus.work import CorpusSettings

    _require_there(inputs)
    asked = CorpusSettings(settings, options.write or "forged", _files(options.files))
    corpus = Corpus(
        inputs,
        output,
        asked,
        recursive=options.recursive,
        retry_errors=options.retry == "errors",
        task_size=options.task_size or TASK_SIZE,
        root=options.root,
    )
    engine = open_engine(model.name, model.device, model.precision)
    checkpoint = engine.model.checkpoint_sha256
    basis = asked.basis(checkpoint, engine.precision)
    where = EngineSource(model.name, checkpoint, model.device, model.precision)
    source = ModelSource(where, settings)
    with opened(corpus, basis, Path(model.name).name, lambda: tell_of_waiting(output)) as begun:
        tally = begun[2]
        try:
            if options.cluster.is_chosen:
                _on_cluster(corpus, begun, basis, source, options)
            else:
                _here(corpus, begun, basis, engine, sandbox=options.sandbox)
        finally:
            say(_summary(tally))
            if tally.failed > _MOST_ERRORS_TOLD or (tally.failed and options.cluster.is_chosen):
                why = "--where 'error_class is not None' --columns picture,error"
                say(f"What failed, and why: napari-safire triage {output} {why}", err=True)
    if not (tally.done or tally.there):
        raise SafireError(
            "No picture was found: check the names, and add --recursive for folders of folders."
        )
    if tally.failed:
        raise typer.Exit(FAILED)


def _require_there(inputs: Sequence[str]) -> None:
    """Refuse a name that was mistyped before the model is loaded; in a list it is a row."""
    from napari_safire.corpus.inputs.remote import is_address

    for given in inputs:
        if not (is_address(given) or os.path.lexists(given) or glob.has_magic(given)):
            raise typer.BadParameter(
                f"{brief(given)} does not exist: check its name and folder.", param_hint="IMAGE"
            )


def tell_of_waiting(output: Path) -> None:
    """Say that another run has the folder."""
    say(f"Another run is at work in {output}: waiting until it has ended.", err=True)


Begun = tuple["Manifest", "Iterator[CorpusTask]", "Tally"]


def _here(corpus: Corpus, begun: Begun, basis: RunBasis, engine: Engine, *, sandbox: bool) -> None:
    from napari_safire.corpus.asking import asking
    from napari_safire.corpus.running import run_here
    from napari_safire.corpus.work import CorpusWork

    manifest, tasks, tally = begun
    settings = corpus.settings
    work = CorpusWork(manifest, settings, basis, asking(engine, settings.examination))
    with ExitStack() as open_things:
        if sandbox:
            from napari_safire.images.sandbox import SandboxedDecoder

            work.decoder = open_things.enter_context(SandboxedDecoder())
            if not work.decoder.begin():
                warn("This machine does not filter system calls: the sandbox limits memory alone.")
        watch = _Watch(open_things.enter_context(progress_bar("pictures")))
        run_here(work, tasks, tally, watch.row)


def _on_cluster(
    corpus: Corpus, begun: Begun, basis: RunBasis, source: ModelSource, options: CorpusOptions
) -> None:
    from napari_safire.corpus.cluster.pictures import ClusterJob, run_on_cluster
    from napari_safire.corpus.cluster.stop_file import new_run

    _, tasks, tally = begun
    job = ClusterJob(
        str(corpus.output.absolute()),
        corpus.settings,
        basis,
        source,
        new_run(),
        sandbox=options.sandbox,
    )
    with (
        options.cluster.client(source.engine.device) as client,
        progress_bar("pictures") as show,
    ):
        run_on_cluster(client, job, tasks, tally, _Watch(show).tasks)


class _Watch:
    """Shows how many pictures are done, and how many a second; tells the first errors."""

    def __init__(self, show: Callable[[int, int, str], None]) -> None:
        self._show = show
        self._begun = time.monotonic()
        self._done = self._failed = 0

    def row(self, row: ManifestRow) -> None:
        if row.error_class:
            self._failed += 1
            if self._failed <= _MOST_ERRORS_TOLD:
                named = row.picture in row.error
                complain(row.error if named else f"{row.picture}: {row.error}")
            if self._failed == _MOST_ERRORS_TOLD:
                say("Further errors stand in the manifest.", err=True)
        self._count(1)

    def tasks(self, tally: Tally) -> None:
        self._failed += tally.failed
        self._count(tally.done)

    def _count(self, number: int) -> None:
        self._done += number
        seconds = max(1e-6, time.monotonic() - self._begun)
        # How many there are is not known while they are still being told.
        self._show(self._done, 0, f"{self._done:,} done, {self._done / seconds:.1f} a second")


def _files(given: str | None) -> tuple[ResultKind, ...]:
    from napari_safire.examination.export import RESULT_ENDINGS

    if given is None:
        return ("sources",)
    names = dict.fromkeys(name.strip() for name in given.split(",") if name.strip())
    unknown = [name for name in names if name not in RESULT_ENDINGS]
    if unknown or not names:
        raise typer.BadParameter(
            f"{unknown[0] if unknown else given!r} is no kind of file: choose of "
            f"{', '.join(RESULT_ENDINGS)}.",
            param_hint="--files",
        )
    return tuple(kind for kind in RESULT_ENDINGS if kind in names)


def _summary(tally: Tally) -> str:
    one = tally.done == 1
    parts = [f"{tally.done:,} picture{'' if one else 's'}: {tally.done - tally.failed:,} done"]
    parts += [f"{tally.forged:,} called forged"] if tally.forged else []
    parts += [f"{tally.copies:,} copies of others"] if tally.copies else []
    parts += [f"{tally.failed:,} failed"] if tally.failed else []
    parts += [f"{tally.there:,} in the manifest before"] if tally.there else []
    return f"{', '.join(parts)}."
