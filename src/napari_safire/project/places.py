"""Where pictures lie on this machine: known to its user alone, told by no project and no report.

A case beside its picture needs nothing of this. Of a picture that lies elsewhere, events hold the
name only, since folders may name people; where it lay is kept here, by the hash of its file.
"""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from napari_safire.atomic import atomic_path


def remember(file_sha256: str, path: Path) -> None:
    """Keep where a picture lies; where nothing can be kept, it has to be named again."""
    place = _place(file_sha256)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as temporary:
            temporary.write_bytes(os.fsencode(os.path.abspath(path)))
    except OSError:
        return


def remembered(file_sha256: str) -> Path | None:
    """Return where a picture lay when it was last named; None where nobody knows, or it is gone."""
    try:
        path = Path(os.fsdecode(_place(file_sha256).read_bytes()))
    except OSError:
        return None
    return path if os.path.isfile(path) else None


def _place(file_sha256: str) -> Path:
    return user_data_path("napari-safire") / "places" / file_sha256[:2] / file_sha256
