"""Which picture's results get which names, among all that go into one folder.

A picture's results begin with its name without the suffix, ``a_sources.png``. Where two pictures
would share that (``a.jpg`` and ``a.png``, ``IMG_2.jpg`` and ``img_2.jpg``), each gets its whole
name, as in a queue: ``a.jpg_sources.png``; and where these are alike too (pictures of two
folders), a hash of where it lies. What was made once keeps its names when such a neighbour comes
later, because records say whose they are.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from napari_safire.corpus.naming import folded, marked, result_base
from napari_safire.corpus.output_folder import OutputFolder, RecordHead
from napari_safire.images.records.paths import found_path

_LEVELS = 3  # name without suffix, whole name, whole name with a hash


def assign_names(
    images: Mapping[str, Path],
    folder: OutputFolder,
    *,
    ignore_case: bool,
    others: Collection[str] = (),
) -> dict[str, str]:
    """Give each picture whose results go into a folder the begin of their names.

    Parameters
    ----------
    images : mapping of str to Path
        Pictures by their absolute paths.
    folder : OutputFolder
    ignore_case : bool
        Its file system takes names for one that differ in case only.
    others : collection of str
        Absolute paths of the whole batch's pictures: results of these are not taken over.

    Returns
    -------
    dict of str to str
        By absolute path. Two are the same only where hashes of eight digits are.
    """
    naming = _Naming(images, folder, ignore_case, others)
    naming.keep_names_of_saved_results()
    naming.name_others()
    return naming.given


@dataclass(slots=True)
class _Naming:
    images: Mapping[str, Path]
    folder: OutputFolder
    ignore_case: bool
    others: Collection[str]
    given: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def keep_names_of_saved_results(self) -> None:
        """First those whose results lie there already."""
        for exact in (True, False):
            for key, image in self.images.items():
                if key in self.given:
                    continue
                for level in range(_LEVELS):
                    base, compared = self._names(image, level)
                    if self._owns(key, base, exact) and compared not in self.taken:
                        self.given[key] = base
                        self.taken.add(compared)
                        break

    def name_others(self) -> None:
        """Then the others; those that share a name all get a longer one, until none do."""
        levels = {key: n for key, n in self._first_levels().items() if key not in self.given}
        while True:
            sharing: defaultdict[str, list[str]] = defaultdict(list)
            for key, level in levels.items():
                self.given[key], compared = self._names(self.images[key], level)
                sharing[compared].append(key)
            up = [
                key
                for compared, group in sharing.items()
                for key in group
                if levels[key] < _LEVELS - 1
                and (
                    len(group) > 1
                    or compared in self.taken
                    or _of_another(self.images[key], self.folder.record(self.given[key]))
                )
            ]
            if not up:
                return
            for key in up:
                levels[key] += 1

    def _first_levels(self) -> dict[str, int]:
        """The shortest name that no other picture has, done already or not.

        Else names would depend on how far a run came before it was killed.
        """
        names = {
            key: [self._names(image, level)[1] for level in range(_LEVELS - 1)]
            for key, image in self.images.items()
        }
        alike = [
            Counter(of_key[level] for of_key in names.values()) for level in range(_LEVELS - 1)
        ]
        return {
            key: next((n for n, name in enumerate(of_key) if alike[n][name] == 1), _LEVELS - 1)
            for key, of_key in names.items()
        }

    def _names(self, image: Path, level: int) -> tuple[str, str]:
        """The begin of names on one level, and what of it is compared."""
        base = name_at(image, self.folder.path, level)
        return base, folded(base) if level == 0 or self.ignore_case else base

    def _owns(self, key: str, base: str, exact: bool) -> bool:
        """Whether a record is that of a picture: by its path, or by its name if it was moved."""
        record = self.folder.record(base)
        if record is None or record.owner is None:
            return False
        found = found_path(record.owner, self.folder.path / f"{base}.json")
        if found is not None and os.path.abspath(found) == key:
            return True
        if exact or PurePath(record.owner).name != self.images[key].name:
            return False
        return found is None or os.path.abspath(found) not in self.others


def name_at(image: Path, folder: Path, level: int = 0) -> str:
    """Return the begin of names: 0 without the suffix, 1 the whole name, 2 with a hash besides."""
    if level == 0:
        return result_base(image.stem)
    whole = result_base(image.name)
    if level == 1:
        return whole
    where = os.path.abspath(image)
    with suppress(ValueError):  # on another drive of Windows
        where = os.path.relpath(where, folder)  # moves along with the results
    return marked(whole, PurePath(where).as_posix())


def _of_another(image: Path, record: RecordHead | None) -> bool:
    return (
        record is not None
        and record.owner is not None
        and PurePath(record.owner).name != image.name
    )
