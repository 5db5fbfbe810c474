"""WebDataset: tar archives in which files of one name up to a dot are one sample.

``<name>.jpg`` (the picture as it is), ``<name>.mask.png`` (grey, numbers of sources, 0 for none)
and ``<name>.json`` (types, donors, what is known of the work). The same pictures give the same
bytes.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from napari_safire.corpus.inputs.shards import BoundedFile
from napari_safire.decoding.names import is_picture_name
from napari_safire.errors import DatasetError
from napari_safire.project.formats.format import (
    Format,
    Holds,
    Imported,
    Place,
    Placed,
    Seen,
    Written,
    in_parts,
)
from napari_safire.project.formats.huggingface import columns, with_columns
from napari_safire.project.formats.label_files import import_packed, png_bytes
from napari_safire.project.formats.labelled import ExportSettings, split_of_name
from napari_safire.project.formats.tables import unpacked
from napari_safire.text import brief

MASK = "mask.png"
_MOST_BYTES = 4 << 30  # of one file in an archive
_PART = re.compile(r"([A-Za-z]+)")


class WebDataset(Format):
    """See the module."""

    name = "webdataset"
    title = "WebDataset (tar)"
    reading = (
        "A sample is the picture, `mask.png` (value = number of its source, 0 none) and `json`."
    )
    holds = Holds(flat=True, refers=False)

    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """See `Format.write`."""
        written = Written()
        for split, number, lot in in_parts(placed, settings.shard_size):
            path = place.folder / f"{split or 'all'}-{number:06d}.tar"
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
                for one in lot:
                    facts = json.dumps(columns(one.picture)).encode("ascii")
                    _add(archive, str(one.name), one.picture.path.read_bytes())
                    _add(archive, f"{one.stem}.{MASK}", png_bytes(one.picture.labels))
                    _add(archive, f"{one.stem}.json", facts)
                    written.pictures[one.picture.key] = str(one.name)
        return written

    def read_back(self, place: Place) -> Iterator[Seen]:
        """Group by the name up to the first dot, as WebDataset does."""
        for path in sorted(place.folder.glob("*.tar")):
            for sample in _samples(path):
                with Image.open(io.BytesIO(sample.files[MASK])) as image:
                    yield Seen(sample.picture, np.asarray(image))

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Archives, each sample a picture with a mask of labels."""
        archives = [path] if path.is_file() else sorted(path.glob("*.tar"))
        if not archives:
            raise DatasetError(f"{path} holds no archive (.tar): give one, or its folder.")
        for archive in archives:
            part = _PART.match(archive.name)
            split = split_of_name(part[1] if part else "")
            for sample in _samples(archive):
                mask = sample.files.get(MASK)
                if not sample.picture or mask is None:
                    said = (
                        f"The sample {brief(sample.stem)} of {archive.name} has no picture or no "
                        f"{MASK}."
                    )
                    yield Imported(sample.stem, None, (said,))
                    continue
                data = sample.files[sample.picture.removeprefix(f"{sample.stem}.")]
                file = unpacked(data, sample.picture, unpack, archive)
                got = import_packed(sample.picture, file, mask, split)
                yield with_columns(got, _facts(sample.files.get("json")))


class _Sample:
    """Files of one sample, by what follows the first dot."""

    def __init__(self, stem: str) -> None:
        self.stem = stem
        self.files: dict[str, bytes] = {}

    @property
    def picture(self) -> str:
        """Name of the picture's file; empty where there is none."""
        pictures = [one for one in self.files if is_picture_name(f"x.{one}") and one != MASK]
        return f"{self.stem}.{pictures[0]}" if pictures else ""


def _samples(path: Path) -> Iterator[_Sample]:
    """Samples of an archive, whose files follow each other.

    Raises
    ------
    DatasetError
        It is no archive, is cut short, or holds a file that is too large.
    """
    sample: _Sample | None = None
    try:
        with (
            open(path, "rb") as whole,
            tarfile.open(fileobj=_bounded(whole), mode="r:") as archive,
        ):
            for member in archive:
                if not member.isfile():
                    continue
                stem, ending = _cut(member.name)
                if sample is None or sample.stem != stem:
                    if sample is not None:
                        yield sample
                    sample = _Sample(stem)
                if (
                    not 0 <= member.size <= _MOST_BYTES or member.issparse()
                ):  # which is large of nothing
                    shown = brief(member.name)
                    raise DatasetError(f"{shown} in {path} is too large to be a picture.")
                file = archive.extractfile(member)
                sample.files[ending] = b"" if file is None else file.read()
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise DatasetError(f"{path} cannot be read as an archive ({brief(error, 120)}).") from error
    if sample is not None:
        yield sample


def _bounded(file: BinaryIO) -> Any:
    return BoundedFile(file, _MOST_BYTES + tarfile.BLOCKSIZE)


def _cut(name: str) -> tuple[str, str]:
    folder, _, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return (f"{folder}/{stem}" if folder else stem), ending


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # of nobody, at no time
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _facts(data: bytes | None) -> dict[str, Any]:
    """What a sample says of itself; nothing where it is none of ours."""
    try:
        facts = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}
