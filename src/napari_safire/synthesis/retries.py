"""Draw again where a photograph cannot be read or a region finds no place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from napari_safire.synthesis.photo_bank import PhotoBank, PhotoError

Made = TypeVar("Made")

_ATTEMPTS = 20


class NoRoom(RuntimeError):
    """No place was found for one more region."""


def draw_until_made(
    draw: Callable[[PhotoBank, np.random.Generator], Made], bank: PhotoBank, seeds: tuple[int, ...]
) -> tuple[Made, tuple[str, ...]]:
    """Draw again, in a way that the seeds decide, where a photograph or a place is missing.

    Parameters
    ----------
    draw : callable
        Makes something of a bank and a generator; may raise `PhotoError` or `NoRoom`.
    bank : PhotoBank
        A photograph that cannot be read is left out of the next draws.
    seeds : tuple of int

    Returns
    -------
    made
        What `draw` returned.
    problems : tuple of str
        A sentence for each photograph that could not be read.

    Raises
    ------
    ImageReadError
        No photograph is left.
    NoRoom
        Twenty draws found no place for all regions.
    """
    problems: list[str] = []
    attempt = crowded = 0
    while True:
        generator = np.random.default_rng((*seeds, attempt) if attempt else seeds)
        attempt += 1
        try:
            return draw(bank, generator), tuple(problems)
        except PhotoError as error:
            problems.append(str(error))
            if len(bank) == 1:
                raise
            bank = bank.without(error.index)
        except NoRoom:
            crowded += 1
            if crowded == _ATTEMPTS:
                raise
