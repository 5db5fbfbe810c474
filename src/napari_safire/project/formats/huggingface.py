"""Hugging Face: a folder with ``metadata.jsonl``, or Parquet tables that hold everything.

The mask is a grey PNG of labels (0 for no source). `datasets` finds the columns ``file_name`` and
``mask_file_name`` of a folder and calls them ``image`` and ``mask``; each part needs metadata of
its own, with the same columns, beside its pictures, or they are silently dropped. It also turns
pictures by their EXIF orientation, and not masks: such pictures are refused.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_safire.atomic import rename
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.reading import write_image_atomic
from napari_safire.parquet_parts import batch_rows
from napari_safire.project.formats.about import read_json_lines, write_lines
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
from napari_safire.project.formats.label_files import import_labels, import_packed, png_bytes
from napari_safire.project.formats.labelled import (
    SPLITS,
    ExportSettings,
    LabelledPicture,
    Split,
    decode_facts,
    split_of_name,
)
from napari_safire.project.formats.mask_files import MaskFiles, Row
from napari_safire.project.formats.tables import digest, unpacked
from napari_safire.project.truth import decode_description
from napari_safire.text import brief

METADATA = "metadata.jsonl"
"""A name that `datasets` looks for."""
_GROUP_BYTES = 64 << 20  # of pictures in memory, and in one group of rows
_BATCH = 16  # rows read at once
_READING = (
    "`datasets` gives the columns `image` and `mask`; a mask's value is the number of its "
    "source, 0 no source."
)
_HOLDS = Holds(refers=False, turned=False)


def columns(picture: LabelledPicture) -> dict[str, Any]:
    """What a row says beside picture and mask: plain columns to filter by, and the whole as JSON.

    Every row has the same columns of the same types, as `datasets` demands.
    """
    return {
        "key": picture.key,
        "n_sources": len(picture.sources),
        "types": [picture.description.of(number).type for number in picture.sources],
        "description": json.dumps(picture.description.as_record()),
        "facts": json.dumps(picture.facts.as_record()),
    }


def with_columns(got: Imported, row: Any) -> Imported:
    """Give an imported picture what its row says of it."""
    picture = got.picture
    if picture is None or "description" not in row:
        return got
    try:
        whole = LabelledPicture(
            str(row.get("key", picture.key)),
            picture.path,
            picture.name,
            picture.labels,
            decode_description(json.loads(row["description"])),
            picture.split,
            decode_facts(json.loads(row["facts"])),
        )
    except (SafireError, ValueError, TypeError, KeyError, RecursionError) as error:
        said = (
            f"What is said of {brief(got.name)} is damaged ({brief(error, 120)}): its types are "
            "unknown."
        )
        return Imported(got.name, picture, (*got.sentences, said))
    return Imported(got.name, whole, got.sentences)


class HuggingFaceFolder(MaskFiles):
    """``imagefolder`` with metadata."""

    name = "huggingface"
    title = "Hugging Face (folder)"
    reading = _READING
    holds = _HOLDS

    def hub_files(self, splits: Sequence[str]) -> list[tuple[str, str]]:
        """Each part has its folder."""
        return [(_folder(split), f"{_folder(split)}/**") for split in SPLITS if split in splits]

    def folders(self, placed: Placed, coded: npt.NDArray[Any]) -> tuple[str, str]:
        """Those of the part."""
        part = _folder(placed.picture.split)
        return f"{part}/images", f"{part}/masks"

    def save_mask(self, path: Path, coded: npt.NDArray[Any], placed: Placed) -> None:
        """Grey, as numbers."""
        write_image_atomic(path, coded)

    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """See `Format.write`."""
        rows: dict[Split, list[dict[str, Any]]] = {}

        def noted() -> Iterator[Placed]:
            for one in placed:
                row = {
                    "file_name": f"images/{one.name}",
                    "mask_file_name": f"masks/{one.stem}{self.mask_suffix}",
                    **columns(one.picture),
                }
                rows.setdefault(one.picture.split, []).append(row)
                yield one

        written = super().write(noted(), place, settings)
        for split, of_split in rows.items():
            write_lines(place.folder / _folder(split) / METADATA, of_split)
        return written

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """None: the metadata names all."""

    def read_back(self, place: Place) -> Iterator[Seen]:
        """Pillow's values of the mask that a row names, both relative to the metadata."""
        for metadata in _metadata_files(place.folder):
            for row in read_json_lines(metadata):
                with Image.open(metadata.parent / row["mask_file_name"]) as image:
                    mask = np.asarray(image)
                listed = (metadata.parent / row["file_name"]).relative_to(place.folder)
                yield Seen(listed.as_posix(), mask)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Every ``metadata.jsonl`` below the folder that names masks."""
        folder = path.parent if path.is_file() else path
        files = [path] if path.is_file() else _metadata_files(path)
        if not files:
            raise DatasetError(f"{path} holds no {METADATA}: give the folder that does.")
        for metadata in files:
            for number, row in enumerate(read_json_lines(metadata), start=1):
                asked = row if isinstance(row, dict) else {}
                told = [asked.get(key) for key in ("file_name", "mask_file_name")]
                if not all(isinstance(one, str) for one in told):
                    raise DatasetError(
                        f"{metadata}, line {number}, lacks `file_name` or `mask_file_name`."
                    )
                picture, mask = (metadata.parent / str(one) for one in told)
                below = picture.is_relative_to(folder)
                name = (picture.relative_to(folder) if below else picture).as_posix()
                got = import_labels(name, picture, mask, split_of_name(metadata.parent.name))
                yield with_columns(got, row)


class HuggingFaceParquet(Format):
    """Tables ``data/<part>-00000-of-00001.parquet`` with pictures and masks inside."""

    name = "huggingface-parquet"
    title = "Hugging Face (Parquet)"
    reading = _READING
    holds = _HOLDS

    def hub_files(self, splits: Sequence[str]) -> list[tuple[str, str]]:
        """Each part has its tables."""
        named = [_folder(split) for split in SPLITS if split in splits]
        return [(name, f"data/{name}-*.parquet") for name in named]

    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """See `Format.write`. A name says how many tables there are, so it is given last."""
        written, folder = Written(), place.folder / "data"
        folder.mkdir()
        made: dict[Split, list[Path]] = {}
        for split, number, lot in in_parts(placed, settings.shard_size):
            path = folder / f"{_folder(split)}-{number:05d}"
            made.setdefault(split, []).append(path)
            _write_table(path, lot, written)
        for paths in made.values():
            for path in paths:
                rename(path, path.with_name(f"{path.name}-of-{len(paths):05d}.parquet"))
        return written

    def read_back(self, place: Place) -> Iterator[Seen]:
        """The bytes of each row's mask, as `datasets` hands them to Pillow."""
        for table in _tables(place.folder):
            for row in _rows(table, ["image", "mask"]):
                with Image.open(io.BytesIO(row["mask"]["bytes"])) as image:
                    yield Seen(row["image"]["path"], np.asarray(image))

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Unpack pictures beside the tables, where they are read from."""
        tables = [path] if path.is_file() else _tables(path)
        if not tables:
            raise DatasetError(f"{path} holds no Parquet table: give a table or its folder.")
        for table in tables:
            split = split_of_name(table.stem.split("-")[0])
            for row in _rows(table, None):
                yield _imported(table, split, row, unpack)


def _write_table(path: Path, lot: Iterator[Placed], written: Written) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = _schema()
    with parquet.ParquetWriter(path, schema, compression="snappy") as table:
        rows: list[dict[str, Any]] = []
        size = 0
        for one in lot:
            data = one.picture.path.read_bytes()
            mask = {"bytes": png_bytes(one.picture.labels), "path": f"{one.stem}.png"}
            rows.append(
                {
                    "image": {"bytes": data, "path": str(one.name)},
                    "mask": mask,
                    **columns(one.picture),
                }
            )
            written.pictures[one.picture.key] = str(one.name)
            size += len(data) + len(mask["bytes"])
            if size > _GROUP_BYTES:
                table.write_table(pyarrow.Table.from_pylist(rows, schema))
                rows, size = [], 0
        if rows:
            table.write_table(pyarrow.Table.from_pylist(rows, schema))


def _schema() -> Any:
    """Columns, and the note in which `datasets` finds which of them are pictures."""
    import pyarrow as pa

    picture = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    text = {"dtype": "string", "_type": "Value"}
    features = {
        "image": {"_type": "Image"},
        "mask": {"_type": "Image"},
        "key": text,
        "n_sources": {"dtype": "int32", "_type": "Value"},
        "types": {"feature": text, "_type": "Sequence"},
        "description": text,
        "facts": text,
    }
    note = json.dumps({"info": {"features": features}})
    return pa.schema(
        [
            ("image", picture),
            ("mask", picture),
            ("key", pa.string()),
            ("n_sources", pa.int32()),
            ("types", pa.list_(pa.string())),
            ("description", pa.string()),
            ("facts", pa.string()),
        ],
        metadata={"huggingface": note},
    )


def _rows(table: Path, wanted: list[str] | None) -> Iterator[dict[str, Any]]:
    """Rows of a table, a few at a time.

    Raises
    ------
    DatasetError
        It is no such table.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table) as file:
            if not {"image", "mask"} <= set(file.schema_arrow.names):
                raise DatasetError(f"{table} has no columns `image` and `mask`.")
            for batch in file.iter_batches(batch_rows(table, wanted, _BATCH), columns=wanted):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:  # text that is none
        raise DatasetError(f"{table} cannot be read as a table ({brief(error, 120)}).") from error


def _imported(table: Path, split: Split, row: dict[str, Any], unpack: Path | None) -> Imported:
    picture, mask = row["image"], row["mask"]
    if not (_packed(picture) and _packed(mask)):
        return Imported(table.name, None, (f"A row of {table.name} has no picture or no mask.",))
    name = str(picture.get("path") or f"{digest(picture['bytes'])}.png")
    path = unpacked(picture["bytes"], name, unpack, table)
    got = import_packed(name, path, mask["bytes"], split)
    return with_columns(got, row)


def _packed(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bytes"), bytes)


def _folder(split: Split) -> str:
    """Name of a part. `datasets` keeps "all" for itself."""
    return split or "undivided"


def _metadata_files(folder: Path) -> list[Path]:
    names = [_folder(split) for split in SPLITS]
    found = [folder / METADATA, *(folder / name / METADATA for name in names)]
    return [path for path in found if path.is_file()]


def _tables(folder: Path) -> list[Path]:
    return sorted({*folder.glob("*.parquet"), *folder.glob("data/*.parquet")})
