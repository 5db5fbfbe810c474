"""The next picture of a queue, looked up and read; for the reading worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from napari_safire.errors import SafireError, sentence
from napari_safire.project.queries import PictureRow
from napari_safire.session.queue.store import PictureStore, PictureWork


@dataclass(frozen=True, slots=True, eq=False)
class FoundPicture:
    """What was read of a picture; a problem where it cannot be opened.

    Parameters
    ----------
    key : str
        Empty: none of the pictures is in a wanted state any more.
    looked_up : tuple of PictureRow
        All that was learned on the way.
    work : PictureWork or None
    problem : str
        Why it cannot be opened; empty where it can.
    """

    key: str
    looked_up: tuple[PictureRow, ...]
    work: PictureWork | None = None
    problem: str = ""


def find_picture(
    store: PictureStore,
    keys: Sequence[str],
    wanted: Collection[str],
    read_before: Callable[[str], PictureWork | None],
) -> FoundPicture:
    """Read the first picture that is still in a wanted state, whatever was known of it.

    Parameters
    ----------
    store : PictureStore
    keys : sequence of str
        Pictures in the order in which they are tried.
    wanted : collection of str
        States; empty: any.
    read_before : callable
        Gives the work of a picture that was read ahead, or None.

    Returns
    -------
    FoundPicture
    """
    looked_up: list[PictureRow] = []
    for key in keys:
        rows = store.look_up([key])
        looked_up.extend(rows)
        if not rows or (wanted and rows[0].state not in wanted):
            continue
        work = read_before(key)
        try:
            if work is None or not work.is_current():
                work = store.read(key)
        except (SafireError, MemoryError) as error:
            return FoundPicture(key, tuple(looked_up), problem=sentence(error))
        return FoundPicture(key, tuple(looked_up), work)
    return FoundPicture("", tuple(looked_up))
