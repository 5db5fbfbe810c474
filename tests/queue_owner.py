"""Owner of a session and view of its queue in one, without any viewer: a picture is a number."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeEngine
from PIL import Image

from napari_safire.annotation.annotation import Stroke
from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.corpus.queue import PictureQueue
from napari_safire.session.autosave import Autosave
from napari_safire.session.planes import Plane, PlaneKey
from napari_safire.session.queue.store import PictureWork
from napari_safire.session.queue.work import QueueWork
from napari_safire.session.session import Session
from napari_safire.settings import PartitionSettings

SHAPE = (24, 32)


def make_pictures(folder: Path, number: int = 3) -> Path:
    folder.mkdir()
    for n in range(number):
        Image.fromarray(np.full((*SHAPE, 3), 40 * n, np.uint8)).save(folder / f"{n}.png")
    return folder


class Owner:
    """Owner of the session and view of the queue in one: a picture is a number."""

    def __init__(self, folder: Path, autosave: Autosave | None = None) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue()
        self.engine = FakeEngine()
        self.session = Session(self._calls.put, lambda name, device, notice: self.engine, autosave)
        self.embeds_at_once = False
        self.work = QueueWork(self.session, self)
        self.told: list[str] = []
        self.work.notice.connect(lambda text, failed, topic: self.told.append(text))
        self.shown: list[str] = []
        self.others: list[tuple[str, AnnotatedPlane]] = []
        self._names = itertools.count()
        self.folder = folder

    def read_strokes(self, picture: Hashable) -> None:
        """Nothing is painted but by `paint`."""

    def facts(self, picture: Hashable, plane: Plane) -> dict[str, Any]:
        return {}

    def show(self, work: PictureWork) -> Hashable:
        name = next(self._names)
        self.shown.append(work.path.name)
        self.session.open(PlaneKey(name), SHAPE, lambda: work.image.pixels)
        self.session.annotations.open_saved(PlaneKey(name), work.made)
        if self.embeds_at_once:
            self.session.embed(PlaneKey(name))
        return name

    def partition(self, picture: Hashable) -> None:
        self.session.partitions.run(PlaneKey(picture), PartitionSettings("kmeans", 2))

    def show_other(self, picture: Hashable, made: AnnotatedPlane, title: str) -> None:
        self.others.append((title, made))

    def clear(self) -> None:
        self.shown.append("")

    @property
    def plane(self) -> Plane:
        return self.session.planes[PlaneKey(self.work.opened)]

    def paint(self, number: int, row: int = 0) -> None:
        ones = np.ones((4, SHAPE[1]))
        stroke = Stroke(row, 0, ones.astype(bool), ones.astype(int) * number)
        self.session.annotations.paint(self.plane.key, stroke)

    def labels(self) -> set[int]:
        snapshot = self.plane.snapshot
        return set() if snapshot is None else set(np.unique(snapshot.labels).tolist())

    def states(self) -> list[str]:
        return [entry.state for entry in PictureQueue.open(self.folder).entries()]

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            try:
                self._calls.get(timeout=0.01)()
            except queue.Empty:
                continue

    def close(self) -> None:
        self.session.close()
        assert self.session.join(10)

    def settle(self) -> None:
        self.until(lambda: not self.work.doing and self.session.idle and self._calls.empty())
