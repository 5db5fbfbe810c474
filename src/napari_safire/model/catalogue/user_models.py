"""Models that users register: TOML files by which a lab hands a model round.

Each table ``[models.<name>]`` describes one model by the fields of
`napari_safire.model.catalogue.registry.ModelEntry`. This module reads the files; what the fields
may hold is
the entry's own business.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from napari_safire.text import printable

REGISTRIES_VARIABLE = "NAPARI_SAFIRE_MODELS"
"""Environment variable with further registry files, separated as in PATH."""

_REQUIRED = ("description", "url", "sha256", "size", "licence", "trained_on", "architecture")
_OPTIONAL = ("filename",)
_MOST_BYTES, _LONGEST_LINE = 1 << 18, 4096  # of a registry, far beyond what a lab hands round
_SHOWN = 120  # characters of a name or reason, in a sentence


@dataclass(frozen=True, slots=True)
class ModelTable:
    """One ``[models.<name>]`` table that has all fields it needs and no others.

    Parameters
    ----------
    file : Path
        Where it stands.
    name : str
    fields : mapping
        Field to value, as TOML gives them.
    """

    file: Path
    name: str
    fields: Mapping[str, Any]

    def problem(self, reason: str) -> str:
        """One sentence that names file and table; ``reason`` starts with the field."""
        return _problem(self.file, self.name, reason)


def user_registry() -> Path:
    """The user's own registry file, which need not exist."""
    return platformdirs.user_config_path("napari-safire") / "models.toml"


def read_user_models() -> tuple[tuple[ModelTable, ...], tuple[str, ...]]:
    """Read the user's own registry and those that the environment variable names.

    Returns
    -------
    tables : tuple of ModelTable
        In the order of the files and of the tables in them.
    problems : tuple of str
        For everything that had to be left out one sentence with file, table and field.
    """
    tables: list[ModelTable] = []
    files, problems = _registry_files()
    for path in files:
        for found in _read_registry(path):
            if isinstance(found, ModelTable):
                tables.append(found)
            else:
                problems.append(found)
    return tuple(tables), tuple(problems)


def _registry_files() -> tuple[list[Path], list[str]]:
    """The user's own if it is there, then the named ones, each once; and what is wrong."""
    own = user_registry()
    named = os.environ.get(REGISTRIES_VARIABLE, "").split(os.pathsep)
    files = [own] if os.path.exists(own) else []
    problems = []
    for name in named:
        try:
            files += [Path(name.strip()).expanduser()] if name.strip() else []
        except RuntimeError:
            problems.append(
                f"The model registry {printable(name.strip())} is of a user that this machine "
                f"does not know: correct {REGISTRIES_VARIABLE}."
            )
    once = {os.path.realpath(path): path for path in reversed(files)}
    return list(once.values())[::-1], problems


def _content(path: Path) -> dict[str, Any] | str:
    """What stands in a file, or one sentence why nothing can be read."""
    shown = printable(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait without end
            return f"The model registry {shown} cannot be read: it is no file."
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        longest = max(map(len, content.splitlines()), default=0)
        if len(content) > _MOST_BYTES or longest > _LONGEST_LINE:
            return (
                f"The model registry {shown} is too large: {_MOST_BYTES} bytes, and "
                f"{_LONGEST_LINE} a line, are the limit."
            )
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        return f"The model registry {shown} cannot be read: {error.strerror}."
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        reason = printable(error)[:_SHOWN].rstrip(".")
        return f"The model registry {shown} is no TOML file: {reason}."
    except RecursionError:
        return f"The model registry {shown} is no TOML file: it is nested too deeply."


def _read_registry(path: Path) -> Iterator[ModelTable | str]:
    """The tables of one file, and a sentence in place of each that is bad."""
    content = _content(path)
    if isinstance(content, str):
        yield content
        return
    models = content.get("models")
    others = sorted(set(content) - {"models"})
    if others:
        yield (
            f"The model registry {printable(path)} has {others[0]!r:.80} beside its models: "
            "describe each model in a table [models.<name>]."
        )
    if not isinstance(models, dict):
        if not others:
            yield (
                f"The model registry {printable(path)} names no model: add a table [models.<name>]."
            )
        return
    for name, fields in models.items():
        fault = _fault(fields)
        yield ModelTable(path, name, fields) if fault is None else _problem(path, name, fault)


def _fault(fields: object) -> str | None:
    if not isinstance(fields, dict):
        told = type(fields).__name__ if isinstance(fields, list) else f"{fields!r:.40}"
        return f"it is {told}, but must be a table of fields"
    for name in _REQUIRED:
        if name not in fields:
            return f"{name} is missing"
    for name in fields:
        if name not in (*_REQUIRED, *_OPTIONAL):
            return f"{name:.80} is unknown: the fields are {', '.join((*_REQUIRED, *_OPTIONAL))}"
    return None


def _problem(path: Path, name: str, reason: str) -> str:
    name, reason = printable(name[:_SHOWN]), printable(reason).rstrip(".")
    return f"{printable(path)}, table [models.{name}]: {reason}."
