"""Workers asked to stop by a file, which they can read whatever became of client and scheduler."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

_ASKED_EVERY = 0.1  # seconds, whether to stop


def new_run() -> str:
    """Name a run of a client."""
    return secrets.token_hex(6)


class StopFile:
    """Whether the client has asked its workers to stop; looked for now and then.

    Parameters
    ----------
    folder : Path
        That client and workers can reach.
    run : str
        Of the client, by `new_run`.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._path = folder / f".stop-{run}"
        self._looked = 0.0
        self._stopped = False

    def __call__(self) -> bool:
        """Whether to stop."""
        now = time.monotonic()
        if not self._stopped and now - self._looked > _ASKED_EVERY:
            self._looked, self._stopped = now, self._path.exists()
        return self._stopped

    def ask(self) -> None:
        """Ask the workers of this run to stop; in vain on a full disk, where they end their task.

        Why it stops must not be hidden by that.
        """
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()

    def remove(self) -> None:
        """Take the question back, when they have stopped."""
        with suppress(OSError):  # as on a disk that may not be written to any more
            self._path.unlink(missing_ok=True)
