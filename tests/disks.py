"""Folders that take nothing more: a disk that is full, and rights that are not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BALLAST = "ballast"  # what fills a disk
NOBODY = 65534


class MountedDisk:
    """A disk of its own, in memory."""

    says = "No space left on device"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with open(self.folder / BALLAST, "ab") as ballast:
            ballast.write(bytes(shutil.disk_usage(self.folder).free))

    def make_room(self) -> None:
        (self.folder / BALLAST).unlink()


class LimitedDisk:
    """For this process alone: no file may grow."""

    says = "File too large"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = _limits()

    def fill(self) -> None:
        _limit(0, self._before[1])

    def make_room(self) -> None:
        _limit(*self._before)


@contextmanager
def mounted_disk(size: str = "1m") -> Iterator[MountedDisk]:
    """A disk in memory; skips the test where none may be mounted."""
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("no disks in memory on this system")
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
        told = subprocess.run(mount, capture_output=True, text=True)
        if told.returncode:
            pytest.skip(f"no disk may be mounted here: {told.stderr.strip()}")
        try:
            yield MountedDisk(Path(folder))
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def limited_disk() -> Iterator[LimitedDisk]:
    """What stands for a disk where none may be mounted: by a limit of this process."""
    if os.name == "nt":
        pytest.skip("no limits of this kind on Windows")
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        disk = LimitedDisk(Path(folder))
        try:
            yield disk
        finally:
            disk.make_room()


DISKS = {"mounted": mounted_disk, "limited": limited_disk}


def _limits() -> tuple[int, int]:
    import resource

    return resource.getrlimit(resource.RLIMIT_FSIZE)


def _limit(soft: int, hard: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be somebody who may not write everywhere, for whoever runs the tests as root."""
    if os.name == "nt":
        pytest.skip("rights are others on Windows")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder for anybody; those of pytest are its user's alone."""
    with tempfile.TemporaryDirectory(prefix="open-") as name:
        os.chmod(name, 0o777)  # noqa: S103 (anybody's is what is wanted)
        yield Path(name)
