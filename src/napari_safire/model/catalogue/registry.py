"""Models by name: what ships with the package, what users registered, and where the files lie.

Neither this module nor the download loads torch; `load_model` and `verify` do.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import platformdirs
from rich.filesize import decimal

from napari_safire.errors import CheckpointError
from napari_safire.images.files import file_sha256
from napari_safire.model.catalogue.entry import ModelEntry, is_safe_address
from napari_safire.model.catalogue.user_models import read_user_models
from napari_safire.model.config import ModelConfig
from napari_safire.model.files.strict_json import parse_json

if TYPE_CHECKING:
    import torch

    from napari_safire.model.safire import SafireModel

ALWAYS_THERE = "safire-lite"
"""The model that ships with the package."""
ModelState = Literal["bundled", "downloaded", "not downloaded"]

_WEIGHTS = Path(__file__).parents[1] / "weights"
_SUMS, _EARLIER_SUMS = "SHA256SUMS", "SHA256SUMS.earlier"
_SELF_TEST = ".self-test.json"
_SUFFIXES = (".safetensors", ".pth", ".pt")


def available_models() -> tuple[ModelEntry, ...]:
    """The models that `load_model` knows by name.

    Returns
    -------
    tuple of ModelEntry
        Those that ship with the package, with the hashes that it lists for their files; then those
        of the users' registries that are in order (`registry_problems` tells of the others).

    Raises
    ------
    CheckpointError
        The package's list of hashes is damaged.
    """
    return (*bundled_models(), *_user_models()[0])


def registry_problems() -> tuple[str, ...]:
    """What is wrong in the users' registries, one sentence for each model or file left out."""
    return _user_models()[1]


def model_entry(name: str) -> ModelEntry:
    """The one of `available_models` that has the name; `CheckpointError` if none has."""
    for entry in available_models():
        if entry.name == name:
            return entry
    problems = registry_problems()
    others = f" (left out: {problems[0].rstrip('.')})" if problems else ""
    raise CheckpointError(f"There is no model {name!r}: those known are {_known()}{others}.")


def models_folder() -> Path:
    """Where downloaded models lie; need not exist.

    A folder for data and not for caches: who clears the caches shall not lose models.
    """
    return platformdirs.user_data_path("napari-safire") / "models"


def model_state(name: str) -> ModelState:
    """Whether a model is at hand, as quickly as that can be told: by its file's size.

    Parameters
    ----------
    name : str
        Of a model, as `load_model` takes it; `CheckpointError` if it is unknown.

    Returns
    -------
    {"bundled", "downloaded", "not downloaded"}
        A file of another size than the entry says counts as not downloaded.
    """
    entry = model_entry(name)
    if entry.url is None:
        return "bundled"
    return "downloaded" if _size(_place(entry)) == entry.size else "not downloaded"


def model_path(name: str) -> Path:
    """Where the file of a model lies.

    Parameters
    ----------
    name : str
        Which model.

    Returns
    -------
    Path

    Raises
    ------
    CheckpointError
        The name is unknown, or the file is not there or not whole.
    """
    entry = model_entry(name)
    path = _place(entry)
    found = _size(path)
    if found is None and entry.url is None:
        raise CheckpointError(
            f"The weights of {name!r} are missing, {path} is not there: install napari-safire "
            "again."
        )
    if entry.url is not None and found != entry.size:
        assert entry.size is not None  # an entry with an address has a size
        reason = (
            f"is not downloaded yet ({decimal(entry.size)})"
            if found is None
            else f"is damaged, {path} has {found} bytes instead of {entry.size}"
        )
        raise CheckpointError(f"The model {name!r} {reason}: {_how_to_download(name)}.")
    return path


def verify(name: str) -> str:
    """Check that the file of a model is the one that its entry describes.

    Parameters
    ----------
    name : str
        One of `available_models`.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    CheckpointError
        The name is unknown, the file is missing or altered, or the package lists no hash for it.
    """
    entry, path = model_entry(name), model_path(name)
    found = file_sha256(path)
    if entry.sha256 is None:
        raise CheckpointError(f"{_WEIGHTS / _SUMS} lists no hash of {path.name} to compare with.")
    _check_hash(entry, path, found)
    return found


def hashed_models(files: Iterable[str | PathLike[str]] = ()) -> dict[str, str]:
    """Find the models on this machine by the hashes that records name.

    Parameters
    ----------
    files : iterable of path-like
        Model files besides the registered ones.

    Returns
    -------
    dict of str to str
        SHA-256 of its file to the name, or the path, that `load_model` takes. Registered ones are
        not hashed for this: `load_model` checks that they are what their entries say.
    """
    known = {
        entry.sha256: entry.name
        for entry in available_models()
        if entry.sha256 is not None and _size(_place(entry)) is not None
    }
    return known | {file_sha256(path): os.fspath(path) for path in files}


def load_model(
    name_or_path: str | PathLike[str],
    *,
    device: str | torch.device = "auto",
    config: ModelConfig | None = None,
) -> SafireModel:
    """Load a model by its registered name or from a file.

    Parameters
    ----------
    name_or_path : str or path-like
        A name from `available_models`, or a file in napari-safire's own format or in the published
        layout. A registered name wins over a file of the same name. Nothing is downloaded here.
    device : str or torch.device
        "cpu", "cuda", "cuda:1", "mps", or "auto": the first of cuda, mps and cpu that is there.
    config : ModelConfig, optional
        For published files whose sizes are not the published ones; see `load_checkpoint`.

    Returns
    -------
    SafireModel
        In eval mode.

    Raises
    ------
    CheckpointError
        There is no such model, it is not downloaded yet, or its file is damaged, unsafe or does
        not fit.
    ValueError
        The device is unknown or not available.
    """
    from napari_safire.model.files.checkpoint import load_checked, load_checkpoint  # bring torch

    if name_or_path not in {entry.name for entry in available_models()}:
        path = Path(name_or_path)
        if not os.path.exists(path):  # not Path.exists, which raises for names that are too long
            raise CheckpointError(
                f"{str(name_or_path)!r} is neither a file nor a model known by name ({_known()})."
            )
        return load_checkpoint(path, config, device)
    entry, path = model_entry(str(name_or_path)), model_path(str(name_or_path))
    return load_checked(path, config, device, partial(_check_hash, entry, path))


def _known() -> str:
    return ", ".join(entry.name for entry in available_models())


def _place(entry: ModelEntry) -> Path:
    return (_WEIGHTS if entry.url is None else models_folder()) / entry.filename


def _size(path: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:  # a folder that may not be looked into
        return None


def _how_to_download(name: str) -> str:
    return f"run `napari-safire models download {name}`, or press Download beside its name"


def _check_hash(entry: ModelEntry, path: Path, found: str) -> None:
    if entry.sha256 in (None, found):
        return
    what, way_out = "its entry describes", _how_to_download(entry.name)
    if entry.url is None:
        what, way_out = "napari-safire was built with", "install napari-safire again"
    raise CheckpointError(
        f"{path} is not the file that {what} (SHA-256 {found[:12]}... instead of "
        f"{entry.sha256[:12]}...): {way_out}."
    )


def bundled_models() -> tuple[ModelEntry, ...]:
    """The models that ship with the package."""
    filename = "safire-lite.safetensors"
    return (
        ModelEntry(
            name=ALWAYS_THERE,
            description="Compact encoder of forensic traces at native resolution, for any CPU.",
            filename=filename,
            sha256=_listed_sums(_SUMS).get(filename),
            licence="BSD-3-Clause",
            trained_on="synthetic composites of photographs; docs/models/safire-lite.md",
            architecture="lite",
            size=_size(_WEIGHTS / filename),
        ),
    )


def _user_models() -> tuple[tuple[ModelEntry, ...], tuple[str, ...]]:
    """The good entries of the users' registries, and a sentence for each that is not."""
    tables, problems = read_user_models()
    entries: list[ModelEntry] = []
    unfit: list[str] = []
    bundled = bundled_models()
    for table in tables:
        try:
            entry = _entry_from(table.name, table.fields)
            _check_is_new(entry, [*bundled, *entries])
        except (ValueError, TypeError) as error:
            unfit.append(table.problem(str(error)))
        except RecursionError:  # while a value was shown
            unfit.append(table.problem("one of its fields is nested too deeply"))
        else:
            entries.append(entry)
    return tuple(entries), (*problems, *unfit)


def _entry_from(name: str, given: Mapping[str, Any]) -> ModelEntry:
    sha256, url = given["sha256"], given["url"]
    safe = isinstance(url, str) and is_safe_address(url)  # else the entry refuses it
    suffix = PurePosixPath(unquote(urlsplit(url).path)).suffix if safe else ""
    return ModelEntry(
        **{
            "name": name,
            "filename": name + (suffix if suffix in _SUFFIXES else _SUFFIXES[0]),
            **given,
            "sha256": sha256.lower() if isinstance(sha256, str) else sha256,
        }
    )


def _check_is_new(entry: ModelEntry, others: Collection[ModelEntry]) -> None:
    """Refuse an entry that would hide another one or overwrite its file; disks may ignore case."""
    for other in others:
        for field in ("name", "filename"):
            value = getattr(entry, field)
            if value.casefold() == getattr(other, field).casefold():
                raise ValueError(
                    f"{field} is {value!r}, which the model {other.name!r} has already: choose "
                    "another."
                )


def known_self_test(sha256: str) -> Any:
    """The self-test of a file that the package ships, or once did; None for all other files.

    An empty dict where there is none: see `napari_safire.model.files.self_test`.

    Raises
    ------
    CheckpointError
        A list of hashes or a self-test in the package is damaged.
    """
    listed = [*_listed_sums(_SUMS).items(), *_listed_sums(_EARLIER_SUMS).items()]
    name = next((name for name, digest in listed if digest == sha256), None)
    if name is None:
        return None
    path = (_WEIGHTS / name).with_suffix(_SELF_TEST)
    try:
        return parse_json(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}): install napari-safire again."
        ) from error


def _listed_sums(list_name: str) -> dict[str, str]:
    """File name to hash, from a sha256sum list beside the weights; empty without a list."""
    path = _WEIGHTS / list_name
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        digest, _, name = line.partition(" ")
        name = name.lstrip(" *")  # sha256sum writes two spaces, or a space and a star
        if len(digest) != 64 or not name:
            raise CheckpointError(
                f"Line {number} of {path} is not a SHA-256 and a file name: install napari-safire "
                "again."
            )
        sums[name] = digest.lower()
    return sums
