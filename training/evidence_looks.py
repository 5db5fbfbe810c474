"""What network and views say of pictures whose truth is known; kept, for it takes an hour."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from evidence_pictures import Known

from napari_safire.engine import Engine
from napari_safire.errors import SafireError
from napari_safire.examination import ExaminationSettings, examine_image
from napari_safire.examination.evidence import finding_of
from napari_safire.forensics import Picture, views
from napari_safire.forensics.catalogue import VIEWS
from napari_safire.forgery import NETWORK, ForgeryMap
from napari_safire.images.reading import read_image
from napari_safire.model import load_model
from napari_safire.partitioning.combination import Finding, network_score


@dataclass(frozen=True, eq=False)
class Look:
    """One picture, and what was said of it.

    Parameters
    ----------
    known : Known
    forgery : ForgeryMap
        Of the network alone.
    findings : dict of str to Finding
        By view.
    seconds : dict of str to float
    """

    known: Known
    forgery: ForgeryMap
    findings: dict[str, Finding]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, float | None]:
        """By name, the network's log odds among them."""
        by_view = {name: finding.score for name, finding in self.findings.items()}
        return {NETWORK: network_score(self.forgery), **by_view}


def look_at_all(
    pictures: Sequence[Known], names: Iterable[str], folder: Path, model: str, jobs: int
) -> list[Look]:
    """Look at pictures with the network and some views; go on where an earlier run was.

    Parameters
    ----------
    pictures : sequence of Known
    names : iterable of str
        Of views.
    folder : Path
        Where looks are kept, a file for each picture and view.
    model : str
    jobs : int
        Processes.

    Returns
    -------
    list of Look
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (NETWORK, *names)
    with ProcessPoolExecutor(jobs) as pool:
        paths = [one.path for one in pictures]
        count = len(paths)
        work = pool.map(_look, paths, [wanted] * count, [folder] * count, [model] * count)
        for number, path in enumerate(work, 1):
            print(f"\r{number} of {count}: {path.name:60.60}", end="", flush=True)
    print()
    return [_read(one, wanted, folder, model) for one in pictures]


def _look(path: Path, names: Sequence[str], folder: Path, model: str) -> Path:
    import torch

    torch.set_num_threads(1)
    missing = [name for name in names if not _file(path, name, folder, model).exists()]
    picture = Picture.read(path) if missing else None
    for name in missing:
        start = perf_counter()
        values, image = _asked(path, model) if name == NETWORK else _viewed(picture, name)
        values["seconds"] = perf_counter() - start
        file = _file(path, name, folder, model)
        part = file.with_suffix(f".{os.getpid()}.npz")  # another run may look at the same
        np.savez_compressed(part, image=image, said=np.array(json.dumps(values)))
        part.rename(file)
    return path


def _asked(path: Path, model: str) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    settings = ExaminationSettings(evidence="none")
    forgery = examine_image(_engine(model), read_image(path), settings).forgery
    if forgery is None:
        raise SafireError(f"{path}: no forgery map was made.")
    values = {name: getattr(forgery, name) for name in ("score", "verdict", "reason", "obstacle")}
    return values, np.rint(forgery.heatmap * 255).astype(np.uint8)


def _viewed(picture: Picture | None, name: str) -> tuple[dict[str, Any], npt.NDArray[np.uint8]]:
    if picture is None:
        raise SafireError(f"{name}: there is no picture to look at.")
    found = finding_of(views(picture)[name])
    nothing = np.zeros((0, 0), np.uint8)
    image = nothing if found.region is None else found.region.astype(np.uint8)
    return {"score": found.score, "words": found.words}, image


def _read(known: Known, names: Sequence[str], folder: Path, model: str) -> Look:
    findings, seconds = {}, {}
    forgery = None
    for name in names:
        with np.load(_file(known.path, name, folder, model)) as stored:
            image, said = stored["image"], json.loads(str(stored["said"]))
        seconds[name] = said["seconds"]
        if name == NETWORK:
            forgery = ForgeryMap(
                image.astype(np.float32) / 255, said["score"], said["verdict"], said["reason"],
                _engine(model).rules.calibration, said["obstacle"],
            )  # fmt: skip
        else:
            region = None if image.size == 0 else image.astype(bool)
            findings[name] = Finding(said["score"], said["words"], region)
    assert forgery is not None
    return Look(known, forgery, findings, seconds)


def _file(path: Path, name: str, folder: Path, model: str) -> Path:
    code = model if name == NETWORK else _code(name)
    key = hashlib.sha256(f"{path} {name} {code}".encode()).hexdigest()[:24]
    return folder / f"{path.stem[:40]}-{name.replace(' ', '-')}-{key}.npz"


@cache
def _code(name: str) -> str:
    """Hash of the code of a view and of its neighbours: another one looks again."""
    view = next(one for one in VIEWS if one.name == name)
    room = Path(inspect.getfile(inspect.unwrap(view.function))).parent
    data = b"".join(file.read_bytes() for file in sorted(room.glob("*.[pj]*")))
    return hashlib.sha256(data).hexdigest()


@cache
def _engine(model: str) -> Engine:
    return Engine(load_model(model, device="cpu"))
