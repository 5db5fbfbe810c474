"""ForensicHub: a JSON of ``{"path", "mask", "label"}`` for each part.

In this form a mask is read softly, grey over 255, so masks are 0 and 255 and nothing between; an
authentic picture has the mask "Negative" and the label 0. Paths are those of IMDLBenCo's JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_safire.errors import DatasetError
from napari_safire.project.formats.format import Imported, Place, Seen, split_lists
from napari_safire.project.formats.imdlbenco import NEGATIVE, RULE, ImdlBenCoJson, json_lists
from napari_safire.project.formats.labelled import ExportSettings, split_of_name
from napari_safire.project.formats.mask_files import Row, black, each_list, import_binary
from napari_safire.project.formats.tables import read_json, within
from napari_safire.text import brief


class ForensicHub(ImdlBenCoJson):
    """See the module."""

    name = "forensichub"
    title = "ForensicHub (JSON)"
    reading = (
        "Each part is a JSON of `path`, `mask` and `label`; a mask is read as grey over 255, and "
        "`Negative` is an authentic picture."
    )

    def write_lists(self, rows: Sequence[Row], place: Place, settings: ExportSettings) -> None:
        """ASCII, as IMDLBenCo's."""
        for split, name in split_lists((row.split for row in rows), ".json").items():
            records = [
                {
                    "path": row.picture,
                    "mask": row.mask or NEGATIVE,
                    "label": int(row.mask is not None),
                }
                for row in rows
                if row.split == split
            ]
            (place.folder / name).write_text(json.dumps(records, indent=0) + "\n", encoding="ascii")

    def read_back(self, place: Place) -> Iterator[Seen]:
        """Softly, grey over 255; values between 0 and 1 are kept, and differ from any mask."""
        for path in each_list(place.folder, "*.json"):
            for record in json.loads(path.read_text(encoding="ascii")):
                picture, mask = record["path"], record["mask"]
                if mask == NEGATIVE:
                    yield Seen(picture, black(place.found(picture)))
                    continue
                with Image.open(place.found(mask)) as image:
                    soft = np.asarray(image.convert("L"), np.float32) / 255
                if bool(soft.any()) != bool(record["label"]):
                    soft = 1 - soft  # the label contradicts the mask, so it is no good
                yield Seen(picture, soft)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Records, or pairs as IMDLBenCo has them, which ForensicHub reads as well."""
        for list_file in json_lists(path):
            records = read_json(list_file)
            if records and isinstance(records[0], list):
                yield from super().read(list_file)
                continue
            for number, record in enumerate(records, start=1):
                yield self._record(list_file, number, record)

    def _record(self, list_file: Path, number: int, record: Any) -> Imported:
        try:
            picture, mask = str(record["path"]), record.get("mask")
        except (TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"{list_file}, entry {number}, has no `path`: this is no list of ForensicHub."
            ) from error
        if mask is None and record.get("label"):
            label = brief(record["label"], 40)
            sentence = f"{brief(picture)} is labelled {label} but has no mask."
            return Imported(picture, None, (sentence,))
        none = mask is None or mask == NEGATIVE
        return import_binary(
            picture,
            within(list_file, picture),
            None if none else within(list_file, str(mask)),
            split_of_name(list_file.stem),
            RULE,
        )
