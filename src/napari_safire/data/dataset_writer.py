"""Data sets of composites on disk, in the layout of SafireMS.

A folder with ``images/00000.png``, ``masks/00000.png`` (grey value ``50 * k`` is source k),
``list.txt`` (``image,mask``) and ``manifest.jsonl`` (how each composite came to be).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.data.atomic import atomic_path
from napari_safire.data.composites import CompositeSettings, compose
from napari_safire.data.lists import ListEntry, write_list
from napari_safire.data.masks import MAX_SOURCE, encode_sources
from napari_safire.data.photos import Photo, bank_of
from napari_safire.errors import DatasetError

_SAVE_EVERY = 50  # composites between two versions of the manifest
_LARGEST_SIDE = 16384
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """What a data set is made of; with the photographs it decides every pixel.

    Parameters
    ----------
    count : int
        Number of composites. A data set can be continued with a larger one.
    shape : (int, int)
        Rows and columns, 64 or more each. Where a photograph is smaller, it is mirrored.
    sources : tuple of int
        Numbers of sources, 1 to 6, that take turns: ``(2,)`` gives two everywhere.
    seed : int
    settings : CompositeSettings
        Its ``source_counts`` are not used here.
    """

    count: int
    shape: tuple[int, int] = (768, 1024)
    sources: tuple[int, ...] = (2,)
    seed: int = 0
    settings: CompositeSettings = field(default_factory=CompositeSettings)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"The number of composites must be at least 1, not {self.count}.")
        if not all(64 <= side <= _LARGEST_SIDE for side in self.shape):
            raise ValueError(
                f"Composites of {self.shape[1]} x {self.shape[0]} pixels cannot be made: use 64 to "
                f"{_LARGEST_SIDE} on each side."
            )
        most = MAX_SOURCE + 1
        if not self.sources or not all(1 <= n <= most for n in self.sources):
            raise ValueError(
                f"The numbers of sources must be 1 to {most} each, not {self.sources}."
            )
        if self.seed < 0:
            raise ValueError(f"The seed must not be negative, as {self.seed} is.")


def write_dataset(
    photos: Sequence[Photo],
    folder: Path,
    plan: DatasetPlan,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Make a data set, or go on where an interrupted run stopped.

    Each composite depends on the photographs, the plan's settings, its seed and its index only:
    neither ``workers`` nor interruptions change anything. ``list.txt`` is written last; where it
    is, the data set is complete.

    Parameters
    ----------
    photos : sequence of Photo
    folder : Path
        Made if it does not exist.
    plan : DatasetPlan
    workers : int
        Processes; 1 works in this one.
    progress : callable, optional
        Called as ``progress(done, plan.count)`` after each composite.

    Returns
    -------
    int
        Composites made now; the others were there already.

    Raises
    ------
    ValueError
        ``workers`` is below one.
    DatasetError
        There are no photographs; the folder holds a data set of another plan or of other
        photographs; its manifest is damaged; or a composite has no room for its sources.
    ImageReadError
        A photograph cannot be read.
    """
    if workers < 1:
        raise ValueError(f"The number of workers must be at least 1, not {workers}.")
    if not photos:
        raise DatasetError("There are no photographs to make composites of: choose another split.")
    mark = _mark(photos, plan)
    records = _read_manifest(folder / "manifest.jsonl", mark, plan.count)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(plan.count) if i not in records or not _is_there(folder, i)]
    if missing:  # there may be the list of a smaller data set that is now continued
        (folder / "list.txt").unlink(missing_ok=True)
    made = 0
    try:
        for record in _made(partial(_make, photos, folder, plan), missing, workers):
            records[record["index"]] = {**record, "plan": mark}
            made += 1
            if progress is not None:
                progress(plan.count - len(missing) + made, plan.count)
            if made % _SAVE_EVERY == 0:
                _write_manifest(folder / "manifest.jsonl", records)
    finally:  # what is done is kept, whatever stopped the rest
        _write_manifest(folder / "manifest.jsonl", records)
    entries = [ListEntry(*_names(index)) for index in range(plan.count)]
    write_list(folder / "list.txt", entries)
    return made


def _names(index: int) -> tuple[Path, Path]:
    return Path(f"images/{index:05d}.png"), Path(f"masks/{index:05d}.png")


def _is_there(folder: Path, index: int) -> bool:
    return all((folder / name).is_file() for name in _names(index))


def _made(make: Callable[[int], Record], indices: Sequence[int], workers: int) -> Iterator[Record]:
    if workers == 1 or len(indices) < 2:
        yield from map(make, indices)
        return
    pool = ProcessPoolExecutor(min(workers, len(indices)))
    try:
        yield from pool.map(make, indices)
    except BrokenProcessPool as error:
        raise DatasetError(
            "A worker process died, often for want of memory: use fewer workers, then run again."
        ) from error
    finally:
        # After an error or Ctrl-C the composites not yet begun are dropped.
        pool.shutdown(cancel_futures=True)


def _make(photos: Sequence[Photo], folder: Path, plan: DatasetPlan, index: int) -> Record:
    """Make and save one composite. A bank of its own keeps memory to a few photographs."""
    rng = np.random.default_rng((plan.seed, index))
    n_sources = plan.sources[index % len(plan.sources)]
    try:
        composite = compose(bank_of(photos), plan.shape, plan.settings, rng, n_sources)
    except RuntimeError as error:
        raise DatasetError(f"Composite {index}: {error}") from error
    image, mask = _names(index)
    _save_png(folder / image, composite.pixels)
    _save_png(folder / mask, encode_sources(composite.labels))
    return {
        "index": index,
        "image": image.as_posix(),
        "mask": mask.as_posix(),
        "seed": plan.seed,
        **composite.record,
    }


def _save_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


def _mark(photos: Sequence[Photo], plan: DatasetPlan) -> str:
    """Short hash of all that decides the pixels, apart from the index."""
    choices = asdict(plan)
    del choices["count"]  # so that a data set can be continued
    choices["photos"] = [(photo.path.name, photo.group) for photo in photos]
    return hashlib.sha256(json.dumps(choices, sort_keys=True).encode()).hexdigest()[:16]


def _read_manifest(path: Path, mark: str, count: int) -> dict[int, Record]:
    if not path.exists():
        return {}
    records: dict[int, Record] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records[int(record["index"])] = record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The manifest {path} is damaged ({error!r}): remove it to make the data set anew."
        ) from error
    if any(record.get("plan") != mark for record in records.values()):
        raise DatasetError(
            f"{path.parent} holds composites made with other settings or other photographs: give "
            "the same ones, or another folder."
        )
    held = max(records, default=-1) + 1
    if held > count:
        raise DatasetError(
            f"{path.parent} holds {held} composites already, more than the {count} asked for: ask "
            "for at least as many, or give another folder."
        )
    return records


def _write_manifest(path: Path, records: dict[int, Record]) -> None:
    lines = [json.dumps(records[index], ensure_ascii=False) + "\n" for index in sorted(records)]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
