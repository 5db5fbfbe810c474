"""An export: all is looked at, written aside, read back by the reader's own rule, then named.

Nothing lies under the final name before every mask was compared pixel by pixel with what the
format's readers shall see. Whoever is killed on the way leaves a folder that nobody takes for an
export, and that the next one removes.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from napari_safire.atomic import remove_leftovers, rename, staging_folder
from napari_safire.errors import DatasetError, ImageReadError, SafireError
from napari_safire.images.files import file_sha256
from napari_safire.images.lists import enumerated
from napari_safire.images.reading import format_of, inspect_image
from napari_safire.progress import Cancel, Progress, report
from napari_safire.project.formats.about import (
    PICTURES,
    picture_line,
    read_export_kind,
    write_export_record,
    write_lines,
)
from napari_safire.project.formats.card import CardValues, summarise, write_card
from napari_safire.project.formats.catalogue import find_format
from napari_safire.project.formats.croissant import write_croissant
from napari_safire.project.formats.format import Format, Place, Placed, Seen, Written
from napari_safire.project.formats.labelled import SPLITS, ExportSettings, LabelledPicture
from napari_safire.project.formats.names import Wanted, export_names, published_names
from napari_safire.text import printable

_ASIDE = ".replaced"
_DEFAULT = ExportSettings()


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export did.

    Parameters
    ----------
    folder : Path
    kind : str
        Name of the format.
    pictures : int
        Written, each with a mask that was read back and compared.
    pixels : int
        Compared.
    changed : dict of str to int
        Pixels that differ, by key; always empty for formats that hold masks exactly.
    left_out : tuple of str
        Pictures that the format cannot hold and why, where leaving out was asked for.
    sentences : tuple of str
        What else a user must know.
    """

    folder: Path
    kind: str
    pictures: int
    pixels: int
    changed: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    @property
    def loss(self) -> float:
        """Share of the compared pixels that differ."""
        return sum(self.changed.values()) / max(1, self.pixels)


def export(
    pictures: Sequence[LabelledPicture],
    folder: str | os.PathLike[str],
    kind: str,
    settings: ExportSettings = _DEFAULT,
    *,
    card: CardValues | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ExportReport:
    """Write pictures and their sources in a format, and prove that they can be read.

    Parameters
    ----------
    pictures : sequence of LabelledPicture
        Asked for one at a time, up to four times each: it may read them when they are asked for.
    folder : path-like
        Final name. Its parent must exist; it may only be there with ``settings.replace``, and then
        only as an earlier export.
    kind : str
        Name of a format, see `napari_safire.project.formats.catalogue.FORMATS`.
    settings : ExportSettings
    card : CardValues, optional
        What the data card says that pictures do not.
    progress, cancel : callable, optional
        Of three passes: looking at the pictures, writing, reading back.

    Returns
    -------
    ExportReport

    Raises
    ------
    DatasetError
        The format cannot hold some of the pictures, or their files changed: all of them at once,
        before anything is written. Or a mask was read back differently; then nothing was exported.
    SafireError
        The folder cannot be written, or has something else in it.
    Cancelled
    """
    final = Path(os.path.abspath(folder))
    form = find_format(kind)
    watch = _Watch(progress, cancel, len(pictures))
    settings, sentences = _fitting(form, settings)
    _require_free(final, settings)
    kept, left_out = _look_at(pictures, form, settings, watch)
    try:
        remove_leftovers(final.parent)
        with staging_folder(final.parent) as staging:
            place = Place(staging / "export", final)
            place.folder.mkdir()
            report_ = _make(kept, form, place, settings, card, watch)
            _give_name(place, settings)
    except OSError as error:
        raise SafireError(
            f"The export {printable(final)} cannot be written: {error.strerror or error}."
        ) from error
    return replace(report_, left_out=left_out, sentences=(*sentences, *report_.sentences))


@dataclass(frozen=True, slots=True)
class _Watch:
    progress: Progress | None
    cancel: Cancel | None
    total: int

    def __call__(self, done: int, stage: str) -> None:
        report(self.progress, self.cancel, done, self.total, stage)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Pictures that are exported, in order of their parts, each with its name."""

    pictures: Sequence[LabelledPicture]
    places: tuple[int, ...]
    names: tuple[PurePosixPath, ...]
    people: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.places)

    def placed(self) -> Iterator[Placed]:
        for place, name in zip(self.places, self.names, strict=True):
            picture = self.pictures[place]
            called = tuple(self.people[one] for one in picture.facts.annotators)
            facts = replace(picture.facts, annotators=called)
            yield Placed(replace(picture, facts=facts), name)


def _fitting(form: Format, settings: ExportSettings) -> tuple[ExportSettings, tuple[str, ...]]:
    """Settings as the format can follow them, and what is said of the others."""
    if form.holds.refers:
        return settings, ()
    if settings.pictures == "refer":
        raise DatasetError(f"{form.title} needs the pictures inside its folder: copy or link them.")
    if settings.absolute_paths:
        said = f"{form.title} names files from its own folder on, whatever was asked for."
        return replace(settings, absolute_paths=False), (said,)
    return settings, ()


def _require_free(final: Path, settings: ExportSettings) -> None:
    _bring_back(final)
    if not final.parent.is_dir():
        raise SafireError(f"The folder {printable(final.parent)} does not exist: create it first.")
    if not os.path.lexists(final):
        return
    if not final.is_dir() or read_export_kind(final) is None:
        raise SafireError(
            f"{printable(final)} is there and is no export, so it is not touched: choose another "
            "name."
        )
    if not settings.replace:
        raise SafireError(
            f"{printable(final)} holds an export: choose another name, or ask to replace it."
        )


def _look_at(
    pictures: Sequence[LabelledPicture], form: Format, settings: ExportSettings, watch: _Watch
) -> tuple[_Kept, tuple[str, ...]]:
    """Find what cannot be exported, of all pictures, before anything is written."""
    if not len(pictures):
        raise DatasetError("There are no pictures to export: choose some that are done.")
    order, unfit, broken = [], [], []
    paths: set[Path] = set()
    people: set[str] = set()
    for place in range(len(pictures)):
        watch(place, "looking at the pictures")
        picture = pictures[place]
        shown = printable(picture.name)
        try:
            reasons = form.why_not(picture, settings)
            wanted = Wanted(picture.key, _named(picture))
            changed = _why_changed(picture)
        except (SafireError, OSError) as error:
            changed = str(error).rstrip(".")
        if settings.pictures == "refer" and picture.path in paths:
            reasons.append("has the file of another picture, which a list cannot name twice")
        paths.add(picture.path)
        people.update(picture.facts.annotators)
        if changed:
            broken.append(f"{shown}: {changed}")
        elif reasons:
            unfit.append(f"{shown} {', '.join(reasons)}")
        else:
            order.append((SPLITS.index(picture.split), place, wanted))
    if broken:
        raise DatasetError(
            f"{len(broken)} pictures are not what was annotated: {enumerated(broken)}. Find the "
            "right files first; nothing was written."
        )
    if unfit and (settings.unfit == "refuse" or not order):
        raise DatasetError(
            f"{form.title} cannot hold {len(unfit)} of {len(pictures)} pictures: "
            f"{enumerated(unfit)}. Mend or leave them out; nothing was written."
        )
    order.sort(key=lambda one: one[:2])
    names = export_names([one[2] for one in order], flat=form.holds.flat)
    called = published_names(people, settings.annotators)
    places = tuple(one[1] for one in order)
    return _Kept(pictures, places, tuple(names), called), tuple(unfit)


def _why_changed(picture: LabelledPicture) -> str:
    """What differs from the picture that was annotated; empty where nothing does."""
    shape = inspect_image(picture.path).shape
    if shape != picture.shape:
        return (
            f"its file has {shape[0]} x {shape[1]} pixels, its labels {picture.shape[0]} x "
            f"{picture.shape[1]}"
        )
    known = picture.facts.file_sha256
    if known and file_sha256(picture.path) != known:
        return "its file has another content than when it was annotated"
    return ""


def _named(picture: LabelledPicture) -> str:
    """Its name, with a suffix that says what it is, for readers go by that."""
    name = picture.name or picture.path.name
    if os.path.splitext(name)[1]:
        return name
    found = format_of(picture.path)
    if found is None:
        raise ImageReadError(f"{printable(picture.path)} is no picture.")
    return f"{name}.{found.lower()}"


def _make(
    kept: _Kept,
    form: Format,
    place: Place,
    settings: ExportSettings,
    card: CardValues | None,
    watch: _Watch,
) -> ExportReport:
    """Write everything, compare it, and say so."""
    written = form.write(_told(kept.placed(), watch), place, settings)
    changed, pixels = _compare(kept, form, place, settings, written, watch)
    values = card or CardValues(place.final.name)
    groups = values.division.get("pictures", {})
    lines = (
        picture_line(
            one.picture,
            written.pictures[one.picture.key],
            written.masks.get(one.picture.key),
            form.numbers(one.picture),
            groups.get(one.picture.key, {}).get("group"),
        )
        for one in kept.placed()
    )
    write_lines(place.folder / PICTURES, lines)
    counts = {
        "pictures": len(kept),
        "compared_pixels": pixels,
        "changed_pixels": sum(changed.values()),
        "division": {key: one for key, one in values.division.items() if key != "pictures"},
    }
    summary = summarise((one.picture for one in kept.placed()), sum(changed.values()))
    write_card(place.folder, form, summary, values)
    write_croissant(place.folder, form, summary, values)
    write_export_record(place.folder, form.name, settings, counts)
    sentences: tuple[str, ...] = ()
    if changed:
        sentences = (_loss_sentence(form, changed, pixels, len(kept)),)
    return ExportReport(place.final, form.name, len(kept), pixels, changed, sentences=sentences)


def _told(placed: Iterator[Placed], watch: _Watch) -> Iterator[Placed]:
    for done, one in enumerate(placed):
        watch(done, "writing")
        yield one


def _compare(
    kept: _Kept,
    form: Format,
    place: Place,
    settings: ExportSettings,
    written: Written,
    watch: _Watch,
) -> tuple[dict[str, int], int]:
    """Read every mask as the format's readers do: pixels that differ by key, pixels compared.

    Raises
    ------
    DatasetError
        A picture is missing, comes twice, or (in exact formats) has another mask.
    """
    where = {
        written.pictures[one.picture.key]: number for number, one in zip(
            kept.places, kept.placed(), strict=True)
    }  # fmt: skip
    changed: dict[str, int] = {}
    pixels = 0
    waiting = set(where)
    for done, seen in enumerate(_read_back(form, place)):
        watch(done, "reading back")
        if seen.picture not in waiting:
            raise DatasetError(_failed(form, f"{seen.picture} stands in it that was not written"))
        waiting.remove(seen.picture)
        picture = kept.pictures[where[seen.picture]]
        wanted = form.coded(picture, settings)
        if seen.mask.shape != wanted.shape:
            raise DatasetError(_failed(form, f"the mask of {picture.name!r} has another size"))
        differ = int(np.count_nonzero(seen.mask != wanted))
        pixels += wanted.size
        if differ and form.exact:
            raise DatasetError(
                _failed(form, f"{differ:,} pixels of the mask of {picture.name!r} differ")
            )
        if differ:
            changed[picture.key] = differ
    if waiting:
        raise DatasetError(
            _failed(form, f"{min(waiting)} and {len(waiting) - 1} others are missing")
        )
    return changed, pixels


def _read_back(form: Format, place: Place) -> Iterator[Seen]:
    try:
        yield from form.read_back(place)
    except Image.DecompressionBombError as error:  # Pillow's limit, which its users meet as well
        raise DatasetError(
            f"Readers of {form.title} refuse a mask that was written ({error}): leave out pictures "
            "of that size."
        ) from error


def _failed(form: Format, what: str) -> str:
    return (
        f"The export was read back and is wrong ({printable(what)}), so it was thrown away: export "
        f"{form.title} again, and report it if that repeats."
    )


def _loss_sentence(form: Format, changed: Mapping[str, int], pixels: int, pictures: int) -> str:
    lost = sum(changed.values())
    return (
        f"{form.title} changed {lost:,} of {pixels:,} pixels ({lost / pixels:.3%}), in "
        f"{len(changed)} of {pictures} pictures."
    )


def _give_name(place: Place, settings: ExportSettings) -> None:
    """Rename the whole folder; an earlier export goes aside first, and away at the very end."""
    final = place.final
    if not os.path.lexists(final):
        rename(place.folder, final)
        return
    if not settings.replace:
        raise SafireError(
            f"{printable(final)} was made by somebody else meanwhile: choose another name."
        )
    aside = final.with_name(f".{final.name[:100]}.{secrets.token_hex(4)}{_ASIDE}")
    rename(final, aside)
    rename(place.folder, final)
    shutil.rmtree(aside, ignore_errors=True)


def _bring_back(final: Path) -> None:
    """An export that was moved aside by a program killed before the new one had its name."""
    if not final.parent.is_dir():
        return
    for aside in sorted(final.parent.glob(f".{_literal(final.name[:100])}.*{_ASIDE}")):
        if os.path.lexists(final):
            shutil.rmtree(aside, ignore_errors=True)
        elif read_export_kind(aside) is not None:
            rename(aside, final)


def _literal(name: str) -> str:
    """A name as a pattern that it alone fits."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
