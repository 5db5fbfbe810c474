"""What this machine has, and what runs on it: for choosing a device and for reports of trouble."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch

import napari_safire
from napari_safire.engine.cache import EmbeddingCache
from napari_safire.engine.engine import Engine
from napari_safire.model import SafireModel
from napari_safire.model.safire import resolve_device

CARDS = "CUDA_VISIBLE_DEVICES"
"""Tells a process which GPUs it may see; they are numbered anew in it."""

_QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


@dataclass(frozen=True, slots=True)
class Device:
    """A place where a model can run.

    Parameters
    ----------
    name : str
        As `napari_safire.load_model` takes it: "auto", "cpu", "cuda:0", "mps".
    description : str
        For people: the name of the card, or what "auto" chooses.
    available_bytes : int or None
        Memory that is free at the moment; None where the device does not tell.
    """

    name: str
    description: str
    available_bytes: int | None


def devices() -> tuple[Device, ...]:
    """List the devices of this machine, "auto" first.

    Asking a CUDA card for its memory starts CUDA, which may take a second: call this in a worker.

    Returns
    -------
    tuple of Device
    """
    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_name(index)
            found.append(Device(f"cuda:{index}", name, _available_on_card(index)))
    available = int(psutil.virtual_memory().available)
    if torch.backends.mps.is_available():  # shares the memory of the machine
        found.append(Device("mps", "Apple GPU", available))
    found.append(Device("cpu", _cpu_description(), available))
    chosen = resolve_device("auto")
    # "cuda" without a number is the current card, which is the first unless somebody changed it.
    chosen_name = f"cuda:{torch.cuda.current_device()}" if chosen.type == "cuda" else str(chosen)
    best = next(device for device in found if device.name == chosen_name)
    auto = Device("auto", f"{best.name}, the quickest here", best.available_bytes)
    return (auto, *found)


def visible_cards() -> tuple[str, ...]:
    """Name the CUDA cards that this process may use, as `CARDS` names them to another one.

    Returns
    -------
    tuple of str
        Numbers, or what stands in the environment: ``GPU-8932f937-…``, ``MIG-…``.
    """
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get(CARDS, "").split(",") if name.strip()]
    return tuple(named or map(str, range(number)))[:number]


def describe_machine(
    engine_or_model: Engine | SafireModel | None = None, cache: EmbeddingCache | None = None
) -> dict[str, str]:
    """Describe programs, machine, model and cache in lines that people can read.

    Takes up to a second, see `devices`, and reads the folder of the cache: call it in a worker.

    Parameters
    ----------
    engine_or_model : Engine or SafireModel, optional
    cache : EmbeddingCache, optional
        Default: that of the engine.

    Returns
    -------
    dict of str to str
        Names and values, in the order in which they are to be shown.

    Raises
    ------
    TypeError
        ``engine_or_model`` is neither.
    """
    if not isinstance(engine_or_model, (Engine, SafireModel, type(None))):
        raise TypeError(
            f"An Engine or a SafireModel can be described, not {type(engine_or_model).__name__}."
        )
    lines = _describe_programs() | _describe_hardware()
    if isinstance(engine_or_model, Engine):
        lines |= _describe_model(engine_or_model.model)
        if engine_or_model.notices:
            lines["Notices"] = " ".join(engine_or_model.notices)
        cache = cache or engine_or_model.cache
    elif engine_or_model is not None:
        lines |= _describe_model(engine_or_model)
    if cache is not None:
        lines |= _describe_cache(cache)
    return lines


def as_text(description: Mapping[str, str]) -> str:
    """Write a description for the clipboard, one ``name: value`` a line."""
    return "".join(f"{name}: {value}\n" for name, value in description.items())


def _describe_programs() -> dict[str, str]:
    bindings = [f"{name} {_version(name)}" for name in _QT_BINDINGS if _version(name)]
    return {
        "napari-safire": napari_safire.__version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "napari": _version("napari") or "not installed",
        "Qt binding": ", ".join(bindings) or "not installed",
        "torch": torch.__version__,
        "CUDA of torch": torch.version.cuda or "none",
        "numpy": _version("numpy") or "not installed",
        "scikit-learn": _version("scikit-learn") or "not installed",
        "segment-anything": _version("segment-anything") or "not installed",
    }


def _describe_hardware() -> dict[str, str]:
    memory = psutil.virtual_memory()
    lines = {
        "Platform": platform.platform(),
        "CPU": f"{_cpu_description()}, {torch.get_num_threads()} threads of torch",
        "Memory": f"{_readable(memory.available)} available of {_readable(memory.total)}",
        "Memory of this process": _readable(psutil.Process().memory_info().rss),
    }
    for device in devices():
        available = device.available_bytes
        free = "memory unknown" if available is None else f"{_readable(available)} available"
        lines[f"Device {device.name}"] = f"{device.description}, {free}"
    return lines


def _describe_model(model: SafireModel) -> dict[str, str]:
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "Model": str(model.metadata.get("name", "without a name")),
        "Architecture": model.config.architecture,
        "Parameters": f"{n_parameters:,}",
        "Device of the model": str(model.device),
        "Checkpoint SHA-256": model.checkpoint_sha256 or "none, fresh weights",
    }


def _describe_cache(cache: EmbeddingCache) -> dict[str, str]:
    usage = cache.usage()
    lines = {
        "Cache folder": str(cache.folder),
        "Cache entries": str(usage.entries),
        "Cache size": f"{_readable(usage.bytes)} of at most {_readable(cache.max_bytes)}",
    }
    if cache.problem:
        lines["Cache problem"] = cache.problem
    return lines


def _version(distribution: str) -> str:
    """Version of an installed package, which is not imported; empty if there is none."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _cpu_description() -> str:
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _available_on_card(index: int) -> int | None:
    try:
        return int(torch.cuda.mem_get_info(index)[0])
    except RuntimeError:  # somebody else's card, or one that is full
        return None


def _readable(n_bytes: int) -> str:
    """Bytes in the largest binary unit that keeps the number above one."""
    value, unit = float(n_bytes), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
