"""Who works here: a name chosen once a machine, and the machine's own."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Container
from pathlib import Path

from platformdirs import user_config_path

from napari_safire.atomic import atomic_path
from napari_safire.errors import SafireError
from napari_safire.text import printable

ANNOTATOR_VARIABLE = "NAPARI_SAFIRE_ANNOTATOR"
"""Environment variable that names the annotator for one program, whatever was chosen."""
LONGEST_NAME = 200


def annotator_name(file: Path | None = None) -> str:
    """Return the name under which work is kept: that of the environment, the chosen, the login.

    Parameters
    ----------
    file : Path, optional
        Where the chosen one is kept; default: ``annotator.txt`` in the user's configuration folder.
    """
    named = os.environ.get(ANNOTATOR_VARIABLE, "").strip()
    if named:
        return checked_name(named)
    try:
        chosen = (file or _file()).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # none was chosen
        chosen = ""
    return checked_name(chosen) if chosen else _login()


def choose_annotator_name(name: str, file: Path | None = None) -> str:
    """Keep another name for this machine.

    Parameters
    ----------
    name : str
    file : Path, optional
        As of `annotator_name`.

    Returns
    -------
    str
        As it is kept.

    Raises
    ------
    SafireError
        It is empty, too long or has control characters, or cannot be kept.
    """
    kept, file = checked_name(name), file or _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(file) as temporary:
            temporary.write_text(kept + "\n", encoding="utf-8")
    except OSError as error:
        raise SafireError(
            f"The name cannot be kept in {printable(file)} ({error.strerror}): give it by "
            f"{ANNOTATOR_VARIABLE} instead."
        ) from error
    return kept


def checked_name(name: str) -> str:
    """Return an annotator's name without spaces around it; refuse what would not show as one."""
    kept = name.strip()
    if not kept or len(kept) > LONGEST_NAME or printable(kept) != kept:
        raise SafireError(
            f"{printable(name)[:80]!r} cannot be an annotator's name: use 1 to {LONGEST_NAME} "
            "letters in one line."
        )
    return kept


def second_opinion_name(annotator: str, where: str, taken: Container[str]) -> str:
    """Name one's work beside other work under the same name.

    Parameters
    ----------
    annotator : str
    where : str
        The machine on which it was made.
    taken : container of str
        Names that others have.

    Examples
    --------
    >>> second_opinion_name("Anna", "lab", ["Anna", "Anna (lab)"])
    'Anna (lab 2)'
    """
    name, number = f"{annotator} ({where})", 2
    while name in taken:
        name, number = f"{annotator} ({where} {number})", number + 1
    return name


def machine_name() -> str:
    """Return the name of this machine, for the events."""
    return printable(socket.gethostname())[:LONGEST_NAME] or "unnamed"


def _login() -> str:
    try:
        return checked_name(getpass.getuser())
    except (OSError, KeyError, ImportError, SafireError):  # no such user is known
        return "annotator"


def _file() -> Path:
    return user_config_path("napari-safire") / "annotator.txt"
