"""Pictures that a command is given, and how the names of their results begin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_safire.cli.terminal import warn


def named_pictures(images: Iterable[Path]) -> list[tuple[Path, str]]:
    """Find pictures and how their results' names begin.

    Parameters
    ----------
    images : iterable of Path
        Picture files, and folders of them, without their subfolders; empty ones are told.

    Returns
    -------
    list of (Path, str)
        Two of one name get a hash of their place.
    """
    from napari_safire.corpus.naming import folded, marked, result_base
    from napari_safire.images.files import is_picture_file

    found: list[tuple[Path, str]] = []
    taken: set[str] = set()
    for given in images:
        inside = (
            sorted(path for path in given.iterdir() if is_picture_file(path))
            if given.is_dir()
            else [given]
        )
        if not inside:
            warn(f"{given} holds no pictures.")
        for path in inside:
            base = result_base(path.name)
            if folded(base) in taken:
                base = marked(base, str(path.absolute()))
            taken.add(folded(base))
            found.append((path, base))
    return found
