"""Downloading registered models: resumed after a cut, checked by SHA-256, stoppable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.filesize import decimal

from napari_safire.atomic import rename
from napari_safire.errors import CheckpointError
from napari_safire.images.files import file_sha256
from napari_safire.model.catalogue.registry import (
    model_entry,
    model_path,
    model_state,
    models_folder,
)
from napari_safire.model.catalogue.transfer import POLL, Job, Part, receive
from napari_safire.progress import Cancel, Progress


def download_model(
    name: str, *, progress: Progress | None = None, cancel: Cancel | None = None
) -> Path:
    """Fetch a registered model, unless it is at hand already.

    Parameters
    ----------
    name : str
        One of `available_models`.
    progress : callable, optional
        Called as ``progress(done, total, stage)`` with bytes and "downloading <name>".
    cancel : callable, optional
        Returns true to stop. It has to be safe to call from any thread, as
        `threading.Event.is_set` is.

    Returns
    -------
    Path
        Of the file, whose hash is that of the entry.

    Raises
    ------
    CheckpointError
        The name is unknown; the server cannot be reached, has not the file, or its connection was
        cut several times (what has come is kept, and the next call goes on from there); the file
        is not the registered one (nothing is kept); the disk is full or not writable.
    Cancelled
        `cancel` asked for it. What has come is kept.

    Notes
    -----
    Two processes may ask for the same model: the second one waits for the first. A server that is
    silent before its first byte delays a cancelled download by 20 seconds at most.
    """
    entry = model_entry(name)
    if entry.url is None:
        return model_path(name)
    assert entry.sha256 is not None  # entries with an address have both
    assert entry.size is not None
    folder = models_folder()
    target = folder / entry.filename
    job = Job(name, entry.size, progress, cancel)

    def is_at_hand() -> bool:
        return model_state(name) == "downloaded" and file_sha256(target) == entry.sha256

    # What is at hand may lie where nobody may write: it is looked at before anything is locked.
    if is_at_hand():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(target, job):
            if not is_at_hand():  # another process may have brought it meanwhile
                _fetch(entry.url, entry.sha256, target, job)
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written: {error.strerror or error}; make room or give the rights, "
            "then start again."
        ) from error
    return target


def _fetch(url: str, sha256: str, target: Path, job: Job) -> None:
    # The hash in its name: a part of another version of the model is not gone on with.
    part = Part(target.with_name(f"{target.name}.{sha256[:12]}.part"), job.size)
    _check_room(part, job)
    receive(url, part, job)
    _check_hash(part, sha256, job)
    rename(part.path, target)
    part.discard()


def _check_room(part: Part, job: Job) -> None:
    missing = job.size - part.length()
    free = shutil.disk_usage(part.path.parent).free
    if free < missing:
        raise CheckpointError(
            f"The download of {job.name!r} needs {decimal(missing)}, but only "
            f"{decimal(free)} are free for {part.path.parent}: make room, then start again."
        )


def _check_hash(part: Part, sha256: str, job: Job) -> None:
    found = file_sha256(part.path)
    if found != sha256:
        part.discard()
        raise CheckpointError(
            f"What came for {job.name!r} is not the registered file and was removed: its "
            f"SHA-256 is {found} instead of {sha256}; start again, and if that does not "
            "help, tell those who keep its registry."
        )


@contextmanager
def _alone(target: Path, job: Job) -> Iterator[None]:
    """Wait until no other process or thread downloads the same file."""
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    while True:
        try:
            lock.acquire(timeout=POLL)
            break
        except Timeout:
            job.check_cancelled()
            job.report(0, "waiting for another download of")
    try:
        yield
    finally:
        lock.release()
