"""How long jobs report and how they are stopped."""

from __future__ import annotations

from collections.abc import Callable

from napari_safire.errors import Cancelled

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, stage)``."""

Cancel = Callable[[], bool]
"""Asked between batches; true stops the job with `Cancelled`."""


def report(
    progress: Progress | None, cancel: Cancel | None, done: int, total: int, stage: str
) -> None:
    """Tell how far the job is, and stop it if asked."""
    if cancel is not None and cancel():
        raise Cancelled(f"Stopped at {done} of {total} while {stage}.")
    if progress is not None:
        progress(done, total, stage)


def once(tell: Callable[[str], None] | None) -> Callable[[str], None]:
    """Return what passes each sentence on the first time only; nothing where nobody listens."""
    told: set[str] = set()

    def tell_once(text: str) -> None:
        if tell is not None and text not in told:
            told.add(text)
            tell(text)

    return tell_once
