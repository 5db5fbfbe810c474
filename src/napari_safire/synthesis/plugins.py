"""Inpainters and reconstructors by name: the built-in ones, and ``package.module:name``.

A module is imported when its method is first used. What it answers is checked each time: a mask is
only ground truth if nothing outside it changed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError, SafireError
from napari_safire.synthesis.inpainting import biharmonic, clone
from napari_safire.synthesis.reconstruction import patch_autoencoder

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

INPAINTERS: Mapping[str, Callable[..., Any]] = {"biharmonic": biharmonic, "clone": clone}
RECONSTRUCTORS: Mapping[str, Callable[..., Any]] = {"patch-autoencoder": patch_autoencoder}


def inpaint(name: str, pixels: Pixels, mask: Mask, rng: np.random.Generator) -> Pixels:
    """Fill a hole with the inpainter of this name (`synthesis.inpainting.Inpainter`).

    Raises
    ------
    DatasetError
        There is no such inpainter, it failed, or it changed pixels outside the hole.
    """
    return _run("inpainter", name, pixels, mask, rng)


def reconstruct(
    name: str, pixels: Pixels, mask: Mask, strength: float, rng: np.random.Generator
) -> Pixels:
    """Redraw a region; see `napari_safire.synthesis.reconstruction.Reconstructor`.

    Raises
    ------
    DatasetError
        There is no such reconstructor, it failed, or it changed pixels outside the region.
    """
    return _run("reconstructor", name, pixels, mask, strength, rng)


@cache
def find_method(kind: str, name: str) -> Callable[..., Any]:
    """Return the method of a name.

    Parameters
    ----------
    kind : {"inpainter", "reconstructor"}
    name : str
        A built-in one, or ``package.module:name``, which is imported now.

    Raises
    ------
    DatasetError
        There is none, its module cannot be imported, or it cannot be called.
    """
    built_in = INPAINTERS if kind == "inpainter" else RECONSTRUCTORS
    if name in built_in:
        return built_in[name]
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise DatasetError(
            f"There is no {kind} {name!r}: use {' or '.join(built_in)}, or package.module:name."
        )
    try:
        # reviewed: its user names it in a command or recipe, no picture or list can
        module = importlib.import_module(module_name)
    except Exception as error:  # a module may fail in any way while it is imported
        raise DatasetError(
            f"The module {module_name!r} of the {kind} {name!r} cannot be imported ({error!r}): "
            "install it, or add its folder to PYTHONPATH."
        ) from error
    method = getattr(module, attribute, None)
    if not callable(method):
        state = "is not callable" if hasattr(module, attribute) else "does not exist"
        raise DatasetError(
            f"{attribute!r} in the module {module_name!r} {state}: name a function that takes "
            f"{_TAKES[kind]}."
        )
    return method


_TAKES = {
    "inpainter": "(pixels, mask, rng)",
    "reconstructor": "(pixels, mask, strength, rng)",
}


def _run(kind: str, name: str, pixels: Pixels, mask: Mask, *further: Any) -> Pixels:
    method = find_method(kind, name)
    given = pixels.copy()
    try:
        answer = np.asarray(method(given, mask.copy(), *further))
    except SafireError:
        raise
    except Exception as error:  # foreign code
        raise DatasetError(f"The {kind} {name!r} failed: {error!r}.") from error
    if answer.shape != pixels.shape or answer.dtype != np.uint8:
        raise DatasetError(
            f"The {kind} {name!r} gave back {answer.dtype} of shape {answer.shape}: it must be "
            f"uint8 of shape {pixels.shape}."
        )
    changed = int((answer != pixels)[~mask].any(-1).sum())
    if changed:
        raise DatasetError(
            f"The {kind} {name!r} changed {changed} pixels outside the mask: put the original "
            "pixels back there."
        )
    return answer
