"""The model that the user chose, loaded where it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_safire.errors import SafireError

if TYPE_CHECKING:
    from napari_safire.engine import Engine

LoadEngine = Callable[[str, str, Callable[[str], None]], "Engine"]
"""``load(model name or path, device, notice)``; called in the model worker's thread."""


class ChosenModel:
    """One model at a time: chosen in the owner's thread, loaded in the model worker's.

    Parameters
    ----------
    load : callable
        See `LoadEngine`.
    notice : callable
        Takes a sentence for the user, in the model worker's thread.
    """

    def __init__(self, load: LoadEngine, notice: Callable[[str], None]) -> None:
        self._load = load
        self._notice = notice
        self._choice: tuple[str, str] | None = None
        # The engine and the choice it belongs to; written by the model worker only.
        self._loaded: tuple[tuple[str, str], Engine] | None = None

    @property
    def choice(self) -> tuple[str, str] | None:
        """Name and device of what was chosen last."""
        return self._choice

    @property
    def is_chosen(self) -> bool:
        """Whether any model was chosen yet."""
        return self._choice is not None

    @property
    def engine(self) -> Engine | None:
        """The engine of the chosen model, once it is loaded."""
        loaded = self._loaded
        return loaded[1] if loaded is not None and loaded[0] == self._choice else None

    def choose(self, name: str, device: str) -> bool:
        """Take another model; false if it is the one that was chosen before."""
        if self._choice == (name, device):
            return False
        self._choice = (name, device)
        return True

    def need_engine(self) -> Engine:
        """Return the chosen model's engine, loading it if need be; in the model worker's thread.

        Raises
        ------
        SafireError
            No model was chosen, or it cannot be loaded.
        """
        choice = self._choice
        if choice is None:
            raise SafireError("No model is chosen: choose one first.")
        if self._loaded is None or self._loaded[0] != choice:
            self._loaded = None  # two models at once may be more than the memory holds
            engine = self._load(*choice, self._notice)
            self._loaded = (choice, engine)
        return self._loaded[1]
