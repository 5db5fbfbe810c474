"""COCO: one annotation for each source, as run lengths or as polygons; categories are types.

Run lengths (pycocotools) are exact. Polygons follow the edges of pixels (`polygons`), which
pycocotools fills without a loss; simplified ones lose what `export` measures. Other programs fill
polygons by rules of their own. Sources and pixels without one are told by what lies on them: in
files of others objects may overlap, and pixels that several claim get no source.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire import __version__
from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.reading import image_shape
from napari_safire.project.formats.about import OWN_FILES
from napari_safire.project.formats.format import (
    Format,
    Holds,
    Imported,
    Place,
    Placed,
    Seen,
    Written,
    place_picture,
    split_lists,
)
from napari_safire.project.formats.labelled import (
    ExportSettings,
    LabelledPicture,
    Labels,
    Split,
    split_of_name,
)
from napari_safire.project.formats.polygons import coco_ring, region_polygons
from napari_safire.project.formats.tables import read_any_json, within
from napari_safire.project.truth import (
    SOURCE_TYPES,
    PictureDescription,
    SourceDescription,
    decode_description,
)
from napari_safire.text import brief

_LONGEST_OUTLINE = 50_000_000  # pixels; of a picture of 200 megapixels, around each third row

_FOLDER = "annotations"
_CATEGORIES = [
    {"id": number, "name": name, "supercategory": "source"}
    for number, name in enumerate(SOURCE_TYPES, start=1)
]
Record = dict[str, Any]


class Coco(Format):
    """Run lengths."""

    name = "coco"
    title = "COCO (run lengths)"
    reading = (
        "One annotation for each source, whose number is `source`; categories are types. Pixels "
        "of several annotations have no source."
    )
    holds = Holds()

    def write(self, placed: Iterable[Placed], place: Place, settings: ExportSettings) -> Written:
        """See `Format.write`."""
        written = Written()
        images: dict[Split, list[Record]] = defaultdict(list)
        annotations: dict[Split, list[Record]] = defaultdict(list)
        number = 0
        for image_id, one in enumerate(placed, start=1):
            picture = one.picture
            name = place_picture(one, place, f"images/{one.name}", settings)
            written.pictures[picture.key] = name
            images[picture.split].append(_image_record(image_id, name, picture))
            for annotation in self._annotations(picture, settings):
                number += 1
                ids = {"id": number, "image_id": image_id}
                annotations[picture.split].append(ids | annotation)
        (place.folder / _FOLDER).mkdir()
        for split, name in split_lists(images, ".json").items():
            record = {
                "info": {"description": "Sources of pictures", "version": __version__},
                "licenses": [],
                "images": images[split],
                "annotations": annotations[split],
                "categories": _CATEGORIES,
            }
            path = place.folder / _FOLDER / name
            path.write_text(json.dumps(record), encoding="ascii")  # readers assume any encoding
        return written

    def _annotations(self, picture: LabelledPicture, settings: ExportSettings) -> Iterator[Record]:
        from pycocotools import mask as run_lengths

        segments = self.segments(picture.labels, settings)
        for number, segmentation in segments.items():
            whole = run_lengths.encode(np.asfortranarray(picture.labels == number, np.uint8))
            about = picture.description.of(number)
            yield {
                "category_id": SOURCE_TYPES.index(about.type) + 1,
                "segmentation": segmentation,
                "area": int(run_lengths.area(whole)),
                "bbox": [float(value) for value in run_lengths.toBbox(whole)],
                "iscrowd": 0,
                "source": number,
                "about": about.as_record(),
            }

    def segments(self, labels: Labels, settings: ExportSettings) -> dict[int, Any]:
        """What says where each source is."""
        from pycocotools import mask as run_lengths

        found: dict[int, Any] = {}
        for number in np.unique(labels[labels > 0]).tolist():
            packed = run_lengths.encode(np.asfortranarray(labels == number, np.uint8))
            found[number] = {"size": list(labels.shape), "counts": packed["counts"].decode("ascii")}
        return found

    def read_back(self, place: Place) -> Iterator[Seen]:
        """With pycocotools' own class."""
        from pycocotools.coco import COCO

        for path in sorted((place.folder / _FOLDER).glob("*.json")):
            with contextlib.redirect_stdout(io.StringIO()):  # it prints how long it took
                coco = COCO(str(path))
            for image_id, image in coco.imgs.items():
                layers = (
                    (annotation["source"], coco.annToMask(annotation))
                    for annotation in coco.imgToAnns[image_id]
                )
                labels, _ = overlaid(layers, (image["height"], image["width"]))
                yield Seen(image["file_name"], labels)

    def read(self, path: Path, unpack: Path | None = None) -> Iterator[Imported]:
        """Instances, of whoever's making."""
        files = [path] if path.is_file() else sorted((path / _FOLDER).glob("*.json"))
        if not files and path.is_dir():
            files = [one for one in sorted(path.glob("*.json")) if one.name not in OWN_FILES]
        if not files:
            raise DatasetError(f"{path} holds no {_FOLDER}/*.json: give a file of COCO.")
        for file in files:
            yield from _read_file(file)


class CocoPolygons(Coco):
    """Polygons, cut through their holes."""

    name = "coco-polygons"
    title = "COCO (polygons)"
    reading = (
        "One annotation for each source, whose number is `source`; its polygons have no holes and "
        "are filled by pycocotools. Other programs may fill them differently."
    )
    exact = False

    def segments(self, labels: Labels, settings: ExportSettings) -> dict[int, Any]:
        """Rings; a source that simplifying would lose keeps the edges of its pixels."""
        outlines = region_polygons(labels, settings.tolerance)
        if not all(outlines.values()):
            exact = region_polygons(labels)
            outlines = {number: rings or exact[number] for number, rings in outlines.items()}
        return {number: [coco_ring(ring) for ring in rings] for number, rings in outlines.items()}


def overlaid(
    layers: Iterable[tuple[int, npt.NDArray[Any]]], shape: tuple[int, int]
) -> tuple[Labels, int]:
    """Lay masks of sources over each other.

    Parameters
    ----------
    layers : iterable of (int, (H, W) array)
        Number of the source, and where it is.
    shape : (int, int)

    Returns
    -------
    labels : (H, W) uint8 array
        0 where none is, or several are.
    overlapping : int
        Pixels that several claimed.
    """
    labels = np.zeros(shape, np.uint8)
    several = np.zeros(shape, bool)
    for number, mask in layers:
        here = mask.astype(bool)
        several |= here & (labels > 0)
        labels[here] = number
    labels[several] = 0
    return labels, int(np.count_nonzero(several))


def _image_record(image_id: int, name: str, picture: LabelledPicture) -> Record:
    described = picture.description.as_record()
    return {
        "id": image_id,
        "file_name": name,
        "height": picture.shape[0],
        "width": picture.shape[1],
        "notes": described["notes"],
        "waiver": described["waiver"],
    }


def _read_file(file: Path) -> Iterator[Imported]:
    record = read_any_json(file)
    of_image: dict[Any, list[Record]] = defaultdict(list)
    try:
        for annotation in record["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        names = {one["id"]: str(one["name"]) for one in record.get("categories", [])}
        images = [
            (str(image["file_name"]), image, of_image.get(image["id"], []))
            for image in record["images"]
        ]
    except (TypeError, KeyError, AttributeError) as error:
        raise DatasetError(
            f"{file} is no file of COCO: its images and annotations cannot be told ({error!r})."
        ) from error
    for name, image, objects in images:
        try:
            yield _read_image(file, name, image, objects, names)
        except SafireError as error:
            yield Imported(name, None, (str(error),))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            said = f"Objects of {brief(name)} are damaged ({brief(repr(error), 120)}): mend them."
            yield Imported(name, None, (said,))


def _read_image(
    file: Path, name: str, image: Record, annotations: list[Record], names: Mapping[Any, str]
) -> Imported:
    path = _picture_of(file, name)
    shape, told = image_shape(path), (image.get("height"), image.get("width"))
    if told != shape:
        height, width = (brief(value, 20) for value in told)
        raise DatasetError(
            f"{brief(name)} has {shape[0]} x {shape[1]} pixels, but {file.name} says "
            f"{height} x {width}: it is another picture, or was turned."
        )
    if len(annotations) > MOST_SOURCES:
        raise DatasetError(
            f"{brief(name)} has {len(annotations)} objects, more than the {MOST_SOURCES} sources a "
            "picture may have: merge some."
        )
    ours = all("source" in annotation for annotation in annotations) and bool(annotations)
    numbers = [one["source"] if ours else n for n, one in enumerate(annotations, start=1)]
    if not all(type(number) is int and 1 <= number <= MOST_SOURCES for number in numbers):
        raise DatasetError(
            f"{brief(name)} has a source that is no number from 1 to {MOST_SOURCES}: mend it."
        )
    described = PictureDescription(
        tuple(_described(n, one, names) for n, one in zip(numbers, annotations, strict=True))
    )
    if ours:
        record = described.as_record()
        record |= {key: image.get(key, record[key]) for key in ("notes", "waiver")}
        described = decode_description(record)
    layers = (
        (number, _mask(name, annotation, shape))
        for number, annotation in zip(numbers, annotations, strict=True)
    )
    labels, overlapping = overlaid(layers, shape)
    said = []
    if overlapping:
        said.append(
            f"Objects of {brief(name)} overlap in {overlapping:,} pixels, which therefore have no "
            "source."
        )
    if not ours and not labels.all():
        empty = np.count_nonzero(labels == 0) - overlapping
        said.append(f"{empty:,} pixels of {brief(name)} lie in no object and have no source.")
    picture = LabelledPicture(name, path, name, labels, described, split_of_name(file.stem))
    return Imported(name, picture, tuple(said), overlapping)


def _picture_of(file: Path, name: str) -> Path:
    path = within(file, name)
    if os.path.isfile(path):
        return path
    folders = ("images", split_of_name(file.stem) or "images")
    tried = [
        root / folder / name for root in (file.parent, file.parent.parent) for folder in folders
    ]
    return next((one for one in tried if os.path.isfile(one)), path)


def _described(number: Any, annotation: Record, names: Mapping[Any, str]) -> SourceDescription:
    if "about" in annotation:
        whole = decode_description({"sources": [annotation["about"]], "notes": []})
        return whole.sources[0]
    called = names.get(annotation.get("category_id"), "")
    if called in SOURCE_TYPES:
        return SourceDescription(number, type=called)
    return SourceDescription(number, name=called)


def _mask(name: str, annotation: Record, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    from pycocotools import mask as run_lengths

    said = annotation.get("segmentation")
    try:
        if isinstance(said, list):
            rings = [[float(value) for value in ring] for ring in said]
            if not rings or any(len(ring) < 6 or len(ring) % 2 for ring in rings):
                raise ValueError("a polygon needs three points or more")
            _refuse_endless(rings, shape)
            packed = run_lengths.merge(run_lengths.frPyObjects(rings, *shape))
        else:
            size, counts = said["size"], said["counts"]  # type: ignore[index]
            runs = counts if isinstance(counts, list) else _runs(counts)
            if tuple(size) != shape or sum(runs) != shape[0] * shape[1] or min(runs) < 0:
                raise ValueError("its run lengths are those of another size")
            packed = run_lengths.frPyObjects({"size": size, "counts": runs}, *shape)
        return np.asarray(run_lengths.decode(packed), bool)
    except Exception as error:  # whatever C makes of what somebody wrote
        raise DatasetError(
            f"Object {brief(annotation.get('id'), 20)} of {brief(name)} cannot be drawn "
            f"({brief(error, 120)}): mend its segmentation."
        ) from error


def _refuse_endless(rings: list[list[float]], shape: tuple[int, int]) -> None:
    """Raise a ValueError for polygons that pycocotools would follow for minutes, or to nowhere."""
    around = 0.0
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        if not (np.abs(points) <= 2 * max(shape) + 100).all():  # nor is a nan
            raise ValueError("a point lies far outside of the picture")
        around += float(np.abs(np.diff(points, axis=0)).sum())
    if around > _LONGEST_OUTLINE:
        raise ValueError("its outline goes round and round")


def _runs(counts: str) -> list[int]:
    """Unpack the text of run lengths, which pycocotools takes on trust and reads beyond its end.

    Five bits a character, the lowest first; from the third run on, differences to the last but one.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{character!r} is no part of run lengths")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
