"""What the body of each kind of event must hold, checked before any of it is believed.

A database may come from anywhere: another version, a damaged disk, somebody's own program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_safire.annotation import checked_values as checked
from napari_safire.project.chain.events import Event
from napari_safire.project.settings import read_settings
from napari_safire.project.truth import decode_description

_Check = Callable[[Any, str], object]
_LARGEST = 2**63 - 1  # of a whole number in SQLite
_MOST_PIXELS_A_SIDE = 2**31
_SCORES = ("p_miou", "p_ari", "boundary_f", "alpha")


def refuse_damaged(event: Event) -> None:
    """Raise what is wrong with an event of a known kind.

    Parameters
    ----------
    event : Event

    Raises
    ------
    checked_values.Damaged
        A part of a sentence: what is missing, or of another type.
    DatasetError
        Its settings or its description are damaged.
    """
    needed, possible = _BODIES[event.kind]
    body = checked.mapping(event.body, "its body")
    for name, check in needed.items():
        if name not in body:
            raise checked.Damaged(f"it does not say {name!r}")
        check(body[name], repr(name))
    for name, check in possible.items():
        if name in body and (body[name] is not None or name not in _MAY_BE_UNKNOWN):
            check(body[name], repr(name))
    if event.kind.split(".")[0] in ("picture", "work", "review") and not event.picture:
        raise checked.Damaged("it names no picture")
    if event.origin is not None:
        _whole(event.origin.get("sequence"), "the number in its origin")
        for name in ("at", "author", "machine", "sha256"):
            _text(event.origin.get(name), f"{name!r} of its origin")


def _text(value: Any, name: str) -> None:
    try:
        checked.words(value, name).encode()
    except UnicodeEncodeError as error:
        raise checked.Damaged(f"{name} has characters that are none") from error


def _path(value: Any, name: str) -> None:
    # Bytes that are no UTF-8 may be in it; what no file can be called may not.
    if not checked.words(value, name) or "\0" in value:
        raise checked.Damaged(f"{name} is no path")


def _texts(value: Any, name: str) -> None:
    checked.each({name: value}, name, lambda text: _text(text, f"an entry of {name}"))


def _hash(value: Any, name: str) -> None:
    if len(checked.words(value, name)) != 64 or set(value) - set("0123456789abcdef"):
        raise checked.Damaged(f"{name} is no SHA-256")


def _whole(value: Any, name: str) -> None:
    checked.whole(value, name, 0, _LARGEST)


def _shape(value: Any, name: str) -> None:
    for length in checked.row(value, name, 2):
        checked.whole(length, f"a side of {name}", 1, _MOST_PIXELS_A_SIDE)


def _description(value: Any, name: str) -> None:
    if value:
        decode_description(value)


def _basis(value: Any, name: str) -> None:
    _text(checked.mapping(value, name).get("checkpoint_sha256"), "the model's hash")


def _settings(value: Any, name: str) -> None:
    read_settings(checked.mapping(value, name))


def _role(value: Any, name: str) -> None:
    checked.one_of(value, name, ("annotator", "adjudicator"))


def _score(value: Any, name: str) -> None:
    if value is not None:
        checked.number(value, name)


def _mappings(value: Any, name: str) -> None:
    checked.each({name: value}, name, lambda entry: checked.mapping(entry, f"an entry of {name}"))


def _named_finding(value: Any, name: str) -> None:
    _text(checked.mapping(value, name).get("id"), "the id of a finding")


def _judgement(value: Any, name: str) -> None:
    labels = checked.mapping(value, name).get("labels")
    if labels is not None:
        _hash(labels, "the labels of a judgement")


def _hashes(value: Any, name: str) -> None:
    for file, digest in checked.mapping(value, name).items():
        _text(file, f"a file in {name}")
        _hash(digest, f"the hash of a file in {name}")


_MAY_BE_UNKNOWN = frozenset(
    {
        "pixels_sha256", "shape", "orientation", "begin", "score", "uncertainty", "basis", "labels",
        "annotation", "decisions", "description",
    }
)  # fmt: skip
_IDENTITY: Mapping[str, _Check] = {
    "pixels_sha256": _hash, "shape": _shape, "orientation": _whole, "decoder": _text,
    "format": _text,
}  # fmt: skip
_OF_WORK: Mapping[str, _Check] = {"annotator": _text}
_REVISED: Mapping[str, _Check] = {"revision": _whole}
_BODIES: Mapping[str, tuple[Mapping[str, _Check], Mapping[str, _Check]]] = {
    "project.created": ({"name": _text, "id": _text}, {}),
    "settings.changed": ({"settings": _settings}, {}),
    "picture.added": (
        {"path": _path, "file_sha256": _text},
        {**_IDENTITY, "tags": _texts, "begin": _hash},
    ),
    "picture.moved": ({"path": _path}, {}),
    "picture.identified": ({"pixels_sha256": _hash, "shape": _shape}, _IDENTITY),
    "picture.flagged": ({"problem": _text}, {}),
    "picture.tagged": ({"tags": _texts}, {}),
    "picture.removed": ({}, {"reason": _text}),
    "picture.returned": ({}, {}),
    "picture.scored": ({}, {"score": checked.number, "uncertainty": checked.number,
                            "verdict": _text, "basis": _basis}),
    "picture.compared": (
        {"revisions": checked.mapping, **dict.fromkeys(_SCORES, _score)}, {},
    ),
    "picture.controlled": ({}, {"labels": _hash}),
    "work.assigned": (_OF_WORK, {"role": _role}),
    "work.withdrawn": (_OF_WORK, {}),
    "work.saved": (
        {**_OF_WORK, "revision": _whole, "labels": _hash, "n_sources": _whole,
         "n_unassigned": _whole},
        {"role": _role, "annotation": _hash, "decisions": _hash, "description": _description,
         "basis": _basis, "seconds": checked.number, "title": _text, "begun_from": _text,
         "version": _text},
    ),
    "work.done": (_OF_WORK, {**_REVISED, "waiver": _text}),
    "work.reopened": (_OF_WORK, _REVISED),
    "work.rejected": (_OF_WORK, {**_REVISED, "note": _text}),
    "work.accepted": (_OF_WORK, _REVISED),
    "case.described": ({"case": checked.mapping}, {}),
    "review.begun": ({"blind": checked.flag}, {}),
    "review.shown": ({}, {}),
    "review.analysed": ({"record": _hash, "basis": _basis, "verdict": _text}, {"labels": _hash}),
    "review.checked": ({"answers": _mappings}, {}),
    "review.noted": (
        {"finding": _named_finding, "revision": _whole, "file_sha256": _text}, {},
    ),
    "review.judged": ({"judgement": _judgement, "revision": _whole}, {}),
    "review.signed": ({"signature": checked.mapping}, {}),
    "review.reported": ({"files": _hashes, "head": _hash}, {}),
}  # fmt: skip
