"""What the next prompt, and the brush, are for."""

from __future__ import annotations

import numpy as np
from psygnal import Signal

from napari_safire.annotation.annotation import MOST_SOURCES


class Mode:
    """The source that is worked on, and whether prompts add to it or take away.

    Attributes
    ----------
    changed : Signal()
        Another source, or include instead of exclude.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._source, self._exclude = 1, False

    @property
    def source(self) -> int:
        """The source that new prompts, and the brush, belong to."""
        return self._source

    @source.setter
    def source(self, number: int) -> None:
        number = int(np.clip(number, 1, MOST_SOURCES))
        if number != self._source:
            self._source = number
            self.changed.emit()

    @property
    def exclude(self) -> bool:
        """Whether new prompts take their region away."""
        return self._exclude

    @exclude.setter
    def exclude(self, exclude: bool) -> None:
        if exclude != self._exclude:
            self._exclude = exclude
            self.changed.emit()

    def next_source(self) -> None:
        """Count the source up."""
        self.source += 1

    def previous_source(self) -> None:
        """Count the source down."""
        self.source -= 1

    def toggle_exclude(self) -> None:
        """Let new prompts take their region away, or add it again."""
        self.exclude = not self.exclude
