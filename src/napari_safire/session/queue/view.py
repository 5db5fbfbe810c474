"""What the owner of a session shows of a queue of pictures."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from napari_safire.annotation.predictions import AnnotatedPlane
from napari_safire.session.planes import Plane
from napari_safire.session.queue.store import PictureWork


class QueueView(Protocol):
    """What shows the pictures of a queue, one at a time; called in the session's owner's thread."""

    @property
    def embeds_at_once(self) -> bool:
        """Whether the model reads a picture as soon as it is shown."""

    def read_strokes(self, picture: Hashable) -> None:
        """Hand the session all that was painted on a picture."""

    def facts(self, picture: Hashable, plane: Plane) -> dict[str, Any]:
        """What is known of a picture, for its record."""

    def show(self, work: PictureWork) -> Hashable:
        """Put a picture in the place of the last one, and give its name in the session."""

    def partition(self, picture: Hashable) -> None:
        """Ask the model for a partition of a picture, by the settings that are chosen."""

    def show_other(self, picture: Hashable, made: AnnotatedPlane, title: str) -> None:
        """Show what somebody else made of a picture beside one's own, without mixing them."""

    def clear(self) -> None:
        """Take the last picture away."""
