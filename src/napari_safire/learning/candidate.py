"""A model learns from a user's masks, and is proposed if it beats the old one on others.

The folder of a fine-tuning holds

=========================  ======================================================================
``fine-tuning.json``       what it rests on (`napari_safire.basis.RunBasis`); others are refused
``log.csv``, ``*.pt`` …    what `napari_safire.learning.run.run` keeps
``result.json``            scores of both models, what was decided and why, hashes
``tuned-<hash>``           the proposed model, if there is one; ``.safetensors``
=========================  ======================================================================

The old model is read and never written to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path
from napari_safire.basis import ALGORITHM, RunBasis
from napari_safire.engine import Engine
from napari_safire.errors import Cancelled, SafireError
from napari_safire.images.files import file_sha256
from napari_safire.images.masks import MaskKind
from napari_safire.images.records.writing import plain, record_text, versions
from napari_safire.learning.comparison import Comparison, PictureScore, compare, require_scored
from napari_safire.learning.events import (
    BASIS,
    RESULT,
    Decision,
    Divided,
    Listener,
    Outcome,
    Scoring,
    Warned,
)
from napari_safire.learning.finetuning import FineTuneSettings, Parts, fine_tune
from napari_safire.learning.recalibration import recalibrated
from napari_safire.learning.scoring import MEASURES, score_pictures
from napari_safire.model import SafireModel, load_model, save_checkpoint
from napari_safire.model.files.checkpoint import load_checkpoint
from napari_safire.progress import Cancel

RESULT_FORMAT = "napari-safire fine-tuning 1"
_FREE = ("steps", "workers", "device")  # may change when a run goes on


@dataclass(frozen=True, slots=True)
class Task:
    """All that decides a fine-tuning.

    Parameters
    ----------
    model : str
        The old model: a name or a file.
    lists : mapping of str to str
        SHA-256 of each list file, by its path.
    kind : {"sources", "binary"}
    parts : Parts
    settings : FineTuneSettings
    problems : tuple of str
        Sentences on entries that were left out already.
    """

    model: str
    lists: dict[str, str]
    kind: MaskKind
    parts: Parts
    settings: FineTuneSettings
    problems: tuple[str, ...] = ()


def train_candidate(
    task: Task,
    folder: Path,
    *,
    resume: bool = False,
    listen: Listener,
    stop: Cancel,
) -> Outcome:
    """Fine-tune a model, compare it with the old one, and write down what came of it.

    Parameters
    ----------
    task : Task
    folder : Path
        Made if it does not exist.
    resume : bool
        Go on with what was stopped in this folder.
    listen : callable
        Hears of every event, the outcome included.
    stop : callable
        Asked between updates, and while pictures are scored.

    Returns
    -------
    Outcome

    Raises
    ------
    SafireError
        The folder holds another fine-tuning; a model cannot be read; too little was held out.
    FloatingPointError
        The gradients are not finite.
    """
    old = load_model(task.model, device=task.settings.device)
    folder.mkdir(parents=True, exist_ok=True)
    basis = _basis(task, old)
    _check_basis(folder, basis, resume)
    listen(_divided(task.parts))
    run = _Run(task, folder, listen, stop)
    for problem in task.problems:
        run.warn(problem)
    outcome = Outcome("stopped", ("Stopped as asked; --resume goes on.",))
    with suppress(Cancelled):
        # Before the training, which would be in vain if too few pictures can be scored.
        before = run.scores(Engine(old))
        require_scored(before, measure=MEASURES[task.kind])
        old.to("cpu")  # a GPU's memory is for the one that learns
        with atomic_path(folder / BASIS) as temporary:
            temporary.write_text(json.dumps(basis.as_record(), indent=1), encoding="utf-8")
        candidate = run.learn(resume)
        if candidate is not None:
            outcome = run.judge(candidate, old, before)
    listen(outcome)
    return outcome


class _Run:
    """A fine-tuning under way: what it has warned of, and whom it tells."""

    def __init__(self, task: Task, folder: Path, listen: Listener, stop: Cancel) -> None:
        self._task = task
        self._folder = folder
        self._listen = listen
        self._stop = stop
        self._problems: list[str] = []

    def warn(self, text: str) -> None:
        """Tell of a problem, once."""
        if text not in self._problems:
            self._problems.append(text)
            self._listen(Warned(text))

    def scores(self, engine: Engine, done: int = 0) -> list[PictureScore]:
        """Score the held-out part; ``done`` pictures were scored before, with the other model."""
        entries = self._task.parts.held_out.entries
        scores = []
        for one in score_pictures(engine, entries, self._task.kind, self._stop):
            if one.error is not None:
                self.warn(one.error)
            for text in one.warnings:
                self.warn(text)
            scores.append(one)
            self._listen(Scoring(done + len(scores), 2 * len(entries)))
        return scores

    def learn(self, resume: bool) -> Path | None:
        """Train; return the best weights, or None where it was stopped."""
        task = self._task
        ending, candidate = fine_tune(
            load_model(task.model, device="cpu"),  # the run places it
            task.parts, task.kind, task.settings, self._folder,
            resume=resume, listen=self._listen, stop=self._stop, on_problem=self.warn,
        )  # fmt: skip
        return None if ending == "asked" else candidate

    def judge(self, candidate: Path, old: SafireModel, before: list[PictureScore]) -> Outcome:
        """Hold the new weights against the old model, and write down what came of it."""
        task = self._task
        new = Engine(load_checkpoint(candidate, device=task.settings.device))
        after = self.scores(new, done=len(before))
        groups, seed = task.parts.held_out.groups, task.settings.seed
        found = compare(groups, before, after, measure=MEASURES[task.kind], seed=seed)
        self._listen(found)
        record = _record(task, old, new.model, candidate, found, before, after, self._problems)
        return _decide(task, self._folder, old, new, found, record, self._stop)


def _basis(task: Task, old: SafireModel) -> RunBasis:
    """All that a run must not change when it goes on."""
    asked = {
        "lists": sorted(task.lists.values()),
        "kind": task.kind,
        # If a file has vanished since, others might judge: some that were learned from.
        "judges": sorted(set(task.parts.held_out.groups)),
        **{name: value for name, value in asdict(task.settings).items() if name not in _FREE},
    }
    return RunBasis(old.checkpoint_sha256, dict(plain(asked)))


def _check_basis(folder: Path, basis: RunBasis, resume: bool) -> None:
    """Refuse a folder whose run rests on something else, or is not to go on."""
    path = folder / BASIS
    if not path.is_file():
        return
    if not resume:
        raise SafireError(
            f"{folder} holds a fine-tuning already: give --resume to go on with it, or another "
            "folder."
        )
    try:
        before = RunBasis.from_record(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise SafireError(f"{path} is damaged ({error}): take another folder.") from error
    if before is None:
        raise SafireError(f"{path} does not say what its run rests on: take another folder.")
    if other := before.differences(basis):
        raise SafireError(
            f"The fine-tuning in {folder} had other {' and '.join(other)}: give the same, "
            "or another folder."
        )


def _divided(parts: Parts) -> Divided:
    return Divided(
        len(parts.learned), parts.learned.n_groups, len(parts.watched), parts.watched.n_groups,
        len(parts.held_out), parts.held_out.n_groups,
    )  # fmt: skip


def _record(
    task: Task,
    old: SafireModel,
    new: SafireModel,
    candidate: Path,
    found: Comparison,
    before: Sequence[PictureScore],
    after: Sequence[PictureScore],
    problems: Sequence[str],
) -> dict[str, Any]:
    """Everything that was found, but for the decision."""
    held_out = task.parts.held_out
    judged = zip(held_out.entries, held_out.groups, before, after, strict=True)
    return {
        "format": RESULT_FORMAT,
        "decision": None,
        "reasons": [],
        "proposed": None,
        "comparison": asdict(found),
        "old": {"model": task.model, "sha256": old.checkpoint_sha256},
        "candidate": {"file": candidate.name, "sha256": new.checkpoint_sha256},
        "divided": asdict(_divided(task.parts)),
        "lists": task.lists,
        "kind": task.kind,
        "settings": asdict(task.settings),
        "problems": problems,
        "held_out": [
            {"image": entry.image, "group": group, "old": a.score, "new": b.score}
            for entry, group, a, b in judged
        ],
        "algorithm": ALGORITHM,
        "versions": versions(),
    }


def _decide(
    task: Task,
    folder: Path,
    old: SafireModel,
    new: Engine,
    found: Comparison,
    record: dict[str, Any],
    stop: Cancel,
) -> Outcome:
    """Write the new model, if it is better, and then the record of it."""
    decision: Decision = "accepted" if found.better else "rejected"
    reasons, model = found.reasons, None
    if found.better:
        model, notes = _write_candidate(task, folder, old, new, found, stop)
        reasons = (*reasons, *notes)
        record["proposed"] = {"file": model.name, "sha256": file_sha256(model)}
    record |= {"decision": decision, "reasons": reasons}
    with atomic_path(folder / RESULT) as temporary:
        temporary.write_text(record_text(plain(record)), encoding="utf-8")
    return Outcome(decision, reasons, str(model) if model else None, str(folder / RESULT))


def _write_candidate(
    task: Task,
    folder: Path,
    old: SafireModel,
    engine: Engine,
    found: Comparison,
    stop: Cancel,
) -> tuple[Path, tuple[str, ...]]:
    """Save the new model with what is known of it; say what its distances rest on."""
    new = engine.model
    rules, notes = recalibrated(engine, task.parts.held_out.entries, task.kind, stop)
    name = str(old.metadata.get("name", Path(task.model).stem))
    learned = task.parts.learned
    lists = ", ".join(Path(path).name for path in task.lists)
    metadata: dict[str, Any] = {
        "name": f"{name}-tuned",
        "parent": {"name": name, "sha256": old.checkpoint_sha256},
        "trained_on": f"{old.metadata.get('trained_on', 'unknown')}; fine-tuned on {len(learned)} "
        f"pictures of {learned.n_groups} groups ({lists})",
        "fine_tuning": {
            "lists": task.lists,
            "measure": found.measure,
            "old": found.old,
            "new": found.new,
            "pictures": found.pictures,
        },
    }
    path = folder / f"tuned-{new.checkpoint_sha256[:12]}.safetensors"
    save_checkpoint(new, path, metadata={**metadata, **rules.as_metadata()})
    return path, notes
