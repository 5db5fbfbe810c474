"""A corpus as a job: what is asked stands in the output folder, and any run goes on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_safire import __version__
from napari_safire.atomic import atomic_path
from napari_safire.basis import RunBasis
from napari_safire.corpus.manifest_schema import MANIFEST_VERSION
from napari_safire.corpus.task import InTheWay
from napari_safire.errors import DatasetError, SafireError
from napari_safire.text import brief, printable

JOB = "job.json"
JOB_FORMAT = "napari-safire corpus"
_LARGEST = 1 << 20  # bytes of a description from anybody


@dataclass(frozen=True, slots=True)
class CorpusJob:
    """What is asked of a corpus.

    Parameters
    ----------
    basis : RunBasis
        Model, arithmetic, settings and what is written.
    model : str
        Its name, or that of its file.
    """

    basis: RunBasis
    model: str

    def as_record(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "format": JOB_FORMAT,
            "version": MANIFEST_VERSION,
            "program": __version__,
            "model": self.model,
            "basis": self.basis.as_record(),
        }

    @classmethod
    def from_record(cls, record: Any) -> CorpusJob:
        """Read what `as_record` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is no such record, or of another version.
        """
        basis = RunBasis.from_record(record["basis"])
        if basis is None or record["version"] != MANIFEST_VERSION:
            raise ValueError(
                f"version {brief(record['version'], 40)}, this program knows {MANIFEST_VERSION}"
            )
        return cls(basis, str(record["model"]))


def read_job(output: Path) -> CorpusJob | None:
    """Read what was asked of the corpus of a folder; None where there is none.

    Raises
    ------
    DatasetError
        It is damaged, or of a newer version.
    """
    path = output / JOB
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST)
        record = json.loads(data)
        return None if record["format"] != JOB_FORMAT else CorpusJob.from_record(record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{printable(path)} does not say what was asked of this corpus ({brief(error)}): "
            "update napari-safire, or choose another folder."
        ) from error


def is_job(output: Path) -> bool:
    """Whether a folder holds a description of a corpus, of whatever version."""
    try:
        with open(output / JOB, "rb") as file:
            record = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("format") == JOB_FORMAT


def begin_job(output: Path, job: CorpusJob) -> None:
    """Write down what is asked, or make sure that the same is asked as before.

    Raises
    ------
    InTheWay
        Something else was asked in this folder, or it holds other things than a corpus.
    SafireError
        Nothing can be written there.
    """
    there = read_job(output)
    if there is not None:
        differences = there.basis.differences(job.basis)
        if differences:
            raise InTheWay(
                f"{printable(output)} holds results of another job, with other "
                f"{' and '.join(differences)}: choose another folder."
            )
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        if (output / JOB).exists():
            raise InTheWay(
                f"{printable(output / JOB)} is of another program: choose another folder."
            )
        with atomic_path(output / JOB) as temporary:
            temporary.write_text(json.dumps(job.as_record(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise SafireError(
            f"Nothing can be written to {printable(output)} ({error.strerror}): choose another "
            "folder."
        ) from error


def refuse_inputs_in_output(inputs: Iterable[str | os.PathLike[str]], output: Path) -> None:
    """Raise `InTheWay` where results would lie among the pictures and be taken for some of them."""
    real = os.path.realpath(output)
    for given in inputs:
        if os.path.isdir(given) and os.path.realpath(given) == real:
            raise InTheWay(
                f"The results would lie among the pictures of {printable(given)}: choose another "
                "folder."
            )
