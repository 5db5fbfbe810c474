"""What the owner of a session shows of a queue of pictures."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, Protocol

from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.corpus.queue import EntryContents
from napari_safire.session.planes import Plane


class QueueView(Protocol):
    """What shows the pictures of a queue, one at a time; called in the session's owner's thread."""

    def read_strokes(self, picture: Hashable) -> None:
        """Hand the session all that was painted on a picture."""

    def facts(self, picture: Hashable, plane: Plane) -> dict[str, Any]:
        """What is known of a picture, for its record."""

    def show(self, picture: Path, contents: EntryContents, made: AnnotatedPlane) -> Hashable:
        """Put a picture in the place of the last one, and give its name in the session."""

    def clear(self) -> None:
        """Take the last picture away."""
