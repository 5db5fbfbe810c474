"""What users chose for one picture: how to partition it, and which source they work on.

Nothing of it is carried over to the next picture: three sources of one are no reason to force
three on another, and a stroke meant for its first source must not land in its third.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import asdict, replace

from napari_safire.gui.controllers.mode import Mode
from napari_safire.session.planes import PlaneKey
from napari_safire.settings import PartitionSettings


class PictureChoices:
    """Settings of the partition and the mode of each plane.

    Parameters
    ----------
    mode : Mode
        Of the present plane; it is set anew wherever the user goes.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._key: PlaneKey | None = None
        self._start = PartitionSettings()  # of the preferences
        self._fresh = self._start  # what a plane begins with
        self._settings: dict[PlaneKey, PartitionSettings] = {}
        self._chosen: set[PlaneKey] = set()
        self._modes: dict[PlaneKey, tuple[int, bool]] = {}
        mode.changed.connect(self._remember)

    @property
    def settings(self) -> PartitionSettings:
        """How to partition the present plane."""
        return self._fresh if self._key is None else self._settings.get(self._key, self._fresh)

    @property
    def number_is_given(self) -> bool:
        """Whether the present plane has a number of sources that nobody chose for it."""
        return self.settings.n_sources is not None and self._key not in self._chosen

    def keep(self, settings: PartitionSettings, keys: Iterable[PlaneKey]) -> None:
        """Note by which settings planes are partitioned: they stay theirs."""
        for key in keys:
            self._settings[key] = settings

    def choose(self, settings: PartitionSettings) -> None:
        """Take settings for the present plane.

        What is a way of working (method, seed, grid) later planes begin with, too; the number of
        sources and eps, which are statements about one picture, stay with it.
        """
        if self._key is not None:
            self._settings[self._key] = settings
            self._chosen.add(self._key)
        start = self._start
        fresh = replace(settings, eps=start.eps)
        if settings.n_sources is not None:
            method = "auto" if start.method == "dbscan" else start.method
            fresh = replace(fresh, method=method, n_sources=start.n_sources)
        self._fresh = fresh

    def start_with(self, settings: PartitionSettings) -> bool:
        """Begin with other settings where nobody has chosen any yet; whether that differs.

        Only what differs from the last start: a preference that says nothing of the partition
        changes nothing.
        """
        before, now = asdict(self._start), asdict(settings)
        changed = {name: value for name, value in now.items() if before[name] != value}
        self._start = settings
        self._fresh = replace(self._fresh, **changed)
        return bool(changed)

    def go_to(self, key: PlaneKey | None) -> None:
        """Work on another plane, or on none: with what was chosen there before."""
        self._key = None
        if key is not None:
            self._mode.source, self._mode.exclude = self._modes.get(key, (1, False))
        self._key = key

    def forget(self, picture: Hashable) -> None:
        """Drop what was chosen for the planes of a picture."""
        for known in (self._settings, self._modes):
            for key in [key for key in known if key.picture == picture]:
                del known[key]
        self._chosen = {key for key in self._chosen if key.picture != picture}

    def _remember(self) -> None:
        if self._key is not None:
            self._modes[self._key] = (self._mode.source, self._mode.exclude)
