"""Models that users register: TOML files by which a lab hands a model round.

Each table ``[models.<name>]`` describes one model by the fields of
`napari_safire.model.registry.ModelEntry`. This module reads the files; what the fields may hold is
the entry's own business.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

REGISTRIES_VARIABLE = "NAPARI_SAFIRE_MODELS"
"""Environment variable with further registry files, separated as in PATH."""

_REQUIRED = ("description", "url", "sha256", "size", "licence", "trained_on", "architecture")
_OPTIONAL = ("filename",)


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
    problems: list[str] = []
    for path in _registry_files():
        for found in _read_registry(path):
            if isinstance(found, ModelTable):
                tables.append(found)
            else:
                problems.append(found)
    return tuple(tables), tuple(problems)


def _registry_files() -> list[Path]:
    """The user's own if it is there, then the named ones, each once."""
    own = user_registry()
    named = os.environ.get(REGISTRIES_VARIABLE, "").split(os.pathsep)
    files = [own] if os.path.exists(own) else []
    files += [Path(name.strip()).expanduser() for name in named if name.strip()]
    return list({os.path.realpath(path): path for path in reversed(files)}.values())[::-1]


def _read_registry(path: Path) -> Iterator[ModelTable | str]:
    """The tables of one file, and a sentence in place of each that is bad."""
    try:
        with open(path, "rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        yield f"The model registry {path} cannot be read: {error.strerror}."
        return
    except ValueError as error:  # no TOML, or no UTF-8
        yield f"The model registry {path} is no TOML file: {str(error).rstrip('.')}."
        return
    models = content.get("models")
    others = sorted(set(content) - {"models"})
    if others:
        yield (
            f"The model registry {path} has {others[0]!r} beside its models: describe each model "
            "in a table [models.<name>]."
        )
    if not isinstance(models, dict):
        if not others:
            yield f"The model registry {path} names no model: add a table [models.<name>]."
        return
    for name, fields in models.items():
        fault = _fault(fields)
        yield ModelTable(path, name, fields) if fault is None else _problem(path, name, fault)


def _fault(fields: object) -> str | None:
    if not isinstance(fields, dict):
        return f"it is {fields!r:.40}, but must be a table of fields"
    for name in _REQUIRED:
        if name not in fields:
            return f"{name} is missing"
    for name in fields:
        if name not in (*_REQUIRED, *_OPTIONAL):
            return f"{name} is unknown: the fields are {', '.join((*_REQUIRED, *_OPTIONAL))}"
    return None


def _problem(path: Path, name: str, reason: str) -> str:
    return f"{path}, table [models.{name}]: {reason.rstrip('.')}."
