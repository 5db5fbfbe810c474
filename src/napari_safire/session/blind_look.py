"""Whose verdict comes first: a model's can stay hidden until a reviewer has given theirs."""

from __future__ import annotations

from collections.abc import Hashable

from psygnal import Signal

from napari_safire.session.planes import PlaneKey

HIDDEN = "Hidden until you have given your own verdict"
"""Where the model's verdict would stand."""
WHY_HIDDEN = "This is a blind first look: sign your verdict first, or show the model's."


class BlindLook:
    """Planes of which the model's verdict and forgery map are not shown.

    Whoever shows either asks here first. Nothing is withheld from files or the session.

    Attributes
    ----------
    changed : Signal(PlaneKey)
        They are hidden, or may be shown from now on.
    """

    changed = Signal(PlaneKey)

    def __init__(self) -> None:
        self._hidden: set[PlaneKey] = set()

    def hides(self, key: PlaneKey | None) -> bool:
        """Whether the model's verdict on a plane is not to be shown."""
        return key in self._hidden

    def hide(self, key: PlaneKey, hidden: bool = True) -> None:
        """Hide what the model says of a plane, or show it again."""
        if hidden == self.hides(key):
            return
        (self._hidden.add if hidden else self._hidden.discard)(key)
        self.changed.emit(key)

    def forget(self, picture: Hashable) -> None:
        """Drop the planes of a picture."""
        self._hidden = {key for key in self._hidden if key.picture != picture}
