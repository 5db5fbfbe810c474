"""Pictures are added to a project: by hash and place, with what came with them."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_safire.errors import ImageReadError, SafireError
from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.images.lists import ListEntry
from napari_safire.images.reading import image_shape, read_image
from napari_safire.images.records.paths import near_path, recorded_path
from napari_safire.images.truth import read_label_truth
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.chain.events import Draft
from napari_safire.project.pictures import picture_identity
from napari_safire.project.store import Project

_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Added:
    """What became of pictures that were to be added.

    Parameters
    ----------
    ids : tuple of str
        Of those that are new.
    known : int
        How many were in the project already.
    duplicates : tuple of (str, str)
        Names of new ones and of those whose pixels, or bytes, they share.
    problems : tuple of str
        Why others were left out, in sentences.
    n_returned : int
        How many had been removed, and are back with all that was made of them.
    """

    ids: tuple[str, ...]
    known: int = 0
    duplicates: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()
    n_returned: int = 0


def add_pictures(
    project: Project,
    pictures: Iterable[ListEntry],
    *,
    tags: Sequence[str] = (),
    decode: bool = True,
    near: bool = False,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Added:
    """Add pictures, each with the mask that it has as where the work begins.

    Parameters
    ----------
    project : Project
    pictures : iterable of ListEntry
        See `napari_safire.project.collecting`.
    tags : sequence of str
        For all of them.
    decode : bool
        Read their pixels now, so that damage and duplicates are told at once. Else when they are
        opened: ten times as fast.
    near : bool
        Tell of a picture that lies elsewhere its name only (`near_path`).
    progress, cancel : callable, optional

    Returns
    -------
    Added
    """
    entries = list(pictures)
    seen = _Seen.of(project)
    drafts: list[Draft] = []
    duplicates: list[tuple[str, str]] = []
    problems: list[str] = []
    known = 0
    for number, entry in enumerate(entries):
        report(progress, cancel, number, len(entries), "looking at the pictures")
        try:
            draft = _addition(project, entry, tags, decode, near)
        except (SafireError, OSError) as error:
            problems.append(str(error))
            continue
        if draft.picture in seen.removed:
            seen.removed.remove(draft.picture)
            drafts.append(Draft("picture.returned", draft.picture))
            continue
        if draft.picture in seen.ids:
            known += 1
            continue
        same = seen.same_as(draft)
        if same:
            duplicates.append((draft.body["path"], same))
        seen.take(draft)
        drafts.append(draft)
    taken = _append(project, drafts)
    report(progress, cancel, len(entries), len(entries), "looking at the pictures")
    new = tuple(d.picture for d in drafts if d.kind == "picture.added" and d.picture not in taken)
    n_returned = sum(draft.kind == "picture.returned" for draft in drafts)
    return Added(new, known + len(taken), tuple(duplicates), tuple(problems), n_returned)


def _append(project: Project, drafts: Sequence[Draft]) -> set[str]:
    """Write them, but for pictures that another process has added meanwhile: gives those."""
    taken: set[str] = set()

    def still(connection: sqlite3.Connection, draft: Draft) -> bool:
        row = connection.execute("SELECT removed FROM picture WHERE id = ?", (draft.picture,))
        found = row.fetchone()
        if draft.kind == "picture.returned":
            return bool(found and found[0])
        if found is not None:
            taken.add(draft.picture)
        return found is None

    project.append_many(drafts, still=still)
    return taken


class _Seen:
    """What a project has, by id and by hashes."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self.ids: set[str] = set()
        self.removed: set[str] = set()
        self._paths: dict[str, str] = {}
        for picture, path, file, pixels, removed in rows:
            self._take(picture, json.loads(path), file, pixels)
            if removed:
                self.removed.add(picture)

    @classmethod
    def of(cls, project: Project) -> _Seen:
        return cls(project.ask("SELECT id, path, file_sha256, pixels_sha256, removed FROM picture"))

    def same_as(self, draft: Draft) -> str:
        """Path of a picture with the same bytes or pixels; empty where there is none."""
        body = draft.body
        found = self._paths.get(body["file_sha256"])
        return found or self._paths.get(body.get("pixels_sha256") or "", "")

    def take(self, draft: Draft) -> None:
        body = draft.body
        self._take(draft.picture, body["path"], body["file_sha256"], body.get("pixels_sha256"))

    def _take(self, picture: str, path: str, file: str, pixels: str | None) -> None:
        self.ids.add(picture)
        self._paths.setdefault(file, path)
        if pixels:
            self._paths.setdefault(pixels, path)


def _addition(
    project: Project, entry: ListEntry, tags: Sequence[str], decode: bool, near: bool
) -> Draft:
    reason = why_unreadable(entry.image)
    if reason:
        raise ImageReadError(reason)
    write = near_path if near else recorded_path
    body: dict[str, Any] = {"path": write(entry.image, project.folder), "tags": list(tags)}
    if decode:
        image = read_image(entry.image)
        body |= {"file_sha256": image.sha256} | picture_identity(image)
        shape = image.pixels.shape[:2]
    else:
        shape = image_shape(entry.image)
        body |= {"file_sha256": file_sha256(entry.image), "shape": list(shape)}
    if entry.mask is not None:
        truth = read_label_truth(entry, shape=(shape[0], shape[1]))
        body["begin"] = project.objects.put_labels(truth.labels + np.uint8(1))
    # The same file at the same place is the same picture, in whichever copy of the project.
    digest = hashlib.sha256(
        f"{body['file_sha256']} {body['path']}".encode("utf-8", "surrogatepass")
    )
    return Draft("picture.added", digest.hexdigest()[:_ID_DIGITS], body)
