"""Data sets of composites on disk.

Pictures and masks lie where `napari_safire.synthesis.dataset_plan` says; ``manifest.jsonl`` tells
how each composite came to be, one line a picture; list files (``image,mask``) come last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from napari_safire.atomic import atomic_path
from napari_safire.errors import DatasetError
from napari_safire.images.lists import ListEntry, write_list
from napari_safire.images.reading import write_image_atomic
from napari_safire.progress import once
from napari_safire.synthesis.composites import compose
from napari_safire.synthesis.dataset_plan import (
    DatasetPlan,
    file_names,
    list_name,
    mask_pixels,
    task_of,
)
from napari_safire.synthesis.photos import Photo, bank_of
from napari_safire.synthesis.retries import NoRoom, draw_until_made
from napari_safire.synthesis.shapes import ObjectMasks

__all__ = ["DatasetPlan", "write_dataset"]

MANIFEST = "manifest.jsonl"
_SAVE_EVERY = 50  # composites between two versions of the manifest
Record = dict[str, Any]
# By the index of the composite: the records of its pictures.
Records = dict[int, list[Record]]


def write_dataset(
    photos: Sequence[Photo],
    folder: Path,
    plan: DatasetPlan,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    on_problem: Callable[[str], None] | None = None,
    objects: ObjectMasks | None = None,
) -> int:
    """Make a data set, or go on where an interrupted run stopped.

    Each composite depends on the photographs, the plan and its index only, not on ``workers`` or
    interruptions. Where there are list files, which come last, the data set is complete.

    Parameters
    ----------
    photos : sequence of Photo
    folder : Path
        Made if it does not exist.
    plan : DatasetPlan
    workers : int
        Processes; 1 works in this one.
    progress, on_problem : callable, optional
        ``progress(done, plan.count)`` after each composite; a sentence of each unreadable photo.
    objects : ObjectMasks, optional
        Finds objects for the shapes of regions; ``plan.objects`` names it. Has to be picklable.

    Returns
    -------
    int
        Composites made now.

    Raises
    ------
    ValueError
        ``workers`` is below one, or objects come without a name or the other way round.
    DatasetError
        No photographs; other composites in the folder; a damaged manifest; a plug-in that fails; no
        room for the sources.
    ImageReadError
    """
    _check(photos, plan, workers, objects)
    mark = plan.mark(photos)
    records = _read_manifest(folder / MANIFEST, mark, plan.count)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(plan.count) if not _is_there(folder, records.get(i))]
    if missing:
        _remove_lists(folder, plan)
    make = partial(_make, photos, folder, plan, objects)
    tell, told = once(on_problem), progress or (lambda done, total: None)
    with _saved(folder / MANIFEST, records) as add:
        made = enumerate(_made(make, missing, workers), start=plan.count - len(missing) + 1)
        for number, (index, pictures, problems) in made:
            add(index, [{**record, "plan": mark} for record in pictures])
            for problem in problems:
                tell(problem)
            told(number, plan.count)
    _write_lists(folder, plan, records)
    return len(missing)


def _check(
    photos: Sequence[Photo], plan: DatasetPlan, workers: int, objects: ObjectMasks | None
) -> None:
    if workers < 1:
        raise ValueError(f"The number of workers must be at least 1, not {workers}.")
    if not photos:
        raise DatasetError("There are no photographs to make composites of: choose another split.")
    if (objects is None) != (plan.objects == ""):
        raise ValueError("Give both what finds objects and its name in the plan, or neither.")
    plan.check_methods()


@contextmanager
def _saved(path: Path, records: Records) -> Iterator[Callable[[int, list[Record]], None]]:
    """Give what adds records; they are saved now and then, and whatever stops the rest."""

    def add(index: int, pictures: list[Record]) -> None:
        records[index] = pictures
        if len(records) % _SAVE_EVERY == 0:
            _write_manifest(path, records)

    try:
        yield add
    finally:
        _write_manifest(path, records)


def _remove_lists(folder: Path, plan: DatasetPlan) -> None:
    """Those of a smaller data set that is now continued."""
    for part in plan.parts:
        (folder / list_name(part)).unlink(missing_ok=True)


def _write_lists(folder: Path, plan: DatasetPlan, records: Records) -> None:
    entries: dict[str, list[ListEntry]] = {part: [] for part in plan.parts}
    for index in sorted(records):
        part = task_of(plan, index).part
        entries[part] += [ListEntry(Path(r["image"]), Path(r["mask"])) for r in records[index]]
    for part in plan.parts:
        write_list(folder / list_name(part), entries[part])


def _is_there(folder: Path, pictures: list[Record] | None) -> bool:
    return bool(pictures) and all(
        os.path.isfile(folder / record[kind])
        for record in pictures or ()
        for kind in ("image", "mask")
    )


_Made = tuple[int, list[Record], tuple[str, ...]]


def _made(make: Callable[[int], _Made], indices: Sequence[int], workers: int) -> Iterator[_Made]:
    if workers == 1 or len(indices) < 2:
        yield from map(make, indices)
        return
    # The job goes to a worker once, not with every index: it holds all names of photographs.
    count = min(workers, len(indices))
    pool = ProcessPoolExecutor(count, initializer=_begin_worker, initargs=(make,))
    try:
        yield from pool.map(_work, indices)
    except BrokenProcessPool as error:
        raise DatasetError(
            "A worker process died, often for want of memory: use fewer workers, then run again."
        ) from error
    finally:
        # After an error or Ctrl-C the composites not yet begun are dropped.
        pool.shutdown(cancel_futures=True)


_job: Callable[[int], _Made] | None = None  # of a worker process


def _begin_worker(make: Callable[[int], _Made]) -> None:
    global _job
    _job = make


def _work(index: int) -> _Made:
    assert _job is not None
    return _job(index)


def _make(
    photos: Sequence[Photo],
    folder: Path,
    plan: DatasetPlan,
    objects: ObjectMasks | None,
    index: int,
) -> _Made:
    """Make and save one composite. A bank of its own keeps memory to a few photographs."""
    task = task_of(plan, index)
    bank = bank_of(photos)
    numbers = {photo.name: number for number, photo in enumerate(photos)}
    records: list[Record] = []
    problems: list[str] = []
    for settings in task.settings:
        try:
            composite, found = draw_until_made(
                lambda bank, rng, settings=settings: compose(  # type: ignore[misc]
                    bank, plan.shape, settings, rng, task.n_sources, objects
                ),
                bank,
                (plan.seed, index),
            )
        except NoRoom as error:
            raise DatasetError(f"Composite {index}: {error}") from error
        problems += found
        image, mask = file_names(task, composite.record, numbers)
        for path, pixels in ((image, composite.pixels), (mask, mask_pixels(task, composite))):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_image_atomic(folder / path, pixels)
        records.append(
            {
                "index": index,
                "image": image.as_posix(),
                "mask": mask.as_posix(),
                "seed": plan.seed,
                **({"objects": plan.objects} if plan.objects else {}),
                **composite.record,
            }
        )
    return index, records, tuple(problems)


def _read_manifest(path: Path, mark: str, count: int) -> Records:
    if not os.path.isfile(path):
        return {}
    records: Records = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records.setdefault(int(record["index"]), []).append(record)
    except (OSError, ArithmeticError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"The manifest {path} is damaged ({error!r}): remove it to make the data set anew."
        ) from error
    if any(record.get("plan") != mark for pictures in records.values() for record in pictures):
        raise DatasetError(
            f"{path.parent} holds composites made with other settings or other photographs, or "
            "by an earlier version: give the same ones, or another folder."
        )
    held = max(records, default=-1) + 1
    if held > count:
        raise DatasetError(
            f"{path.parent} holds {held} composites already, more than the {count} asked for: ask "
            "for at least as many, or give another folder."
        )
    return records


def _write_manifest(path: Path, records: Records) -> None:
    lines = [
        json.dumps(record, ensure_ascii=False) + "\n"
        for index in sorted(records)
        for record in records[index]
    ]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
