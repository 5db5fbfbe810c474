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


@contextmanager
def mounted_disk(size: str = "1m") -> Iterator[Path]:
    """A disk of its own, in memory; skips the test where none may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", os.fspath(folder)]
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("no disks in memory on this system")
    told = subprocess.run(mount, capture_output=True, text=True)
    if told.returncode:
        folder.rmdir()
        pytest.skip(f"no disk may be mounted here: {told.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", os.fspath(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> None:
    """Leave no room on a disk."""
    room = shutil.disk_usage(folder).free
    with open(folder / BALLAST, "ab") as ballast:
        ballast.write(bytes(room))


def make_room(folder: Path) -> None:
    (folder / BALLAST).unlink()


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
