"""Cut untouched pieces from photographs: authentic pictures of one source.

python training/authentic_crops.py ../shared/photos.csv -o runs/authentic --split val

One piece of each photograph, from its middle, at a corner that keeps the JPEG grid where it was;
photographs that are smaller stay whole. Recompress them by `napari-safire evaluate --degradation
jpeg-75`.

python training/authentic_crops.py ../shared/camera_originals.csv --split train \
    --unlike ../shared/photos.csv -o runs/originals

takes only the photographs that the second table does not have in any size (--like: only those that
it has; both look at the columns source_repo and path). training/calibrate.py uses the latter, so
that a test can rest on the former. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_safire.errors import DatasetError, SafireError
from napari_safire.images.lists import ListEntry, write_list
from napari_safire.images.reading import read_image, write_image_atomic
from napari_safire.synthesis.photos import Photo, divide_by_origin, read_photo_table

_GRID = 8


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, metavar="TABLE")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", default="1024x768", metavar="WxH")
    parser.add_argument("--limit", type=int)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--like", type=Path, metavar="TABLE", help="only its photographs")
    which.add_argument("--unlike", type=Path, metavar="TABLE", help="only others than its")
    options = parser.parse_args()
    try:
        width, height = (int(part) for part in options.size.lower().split("x"))
        if min(width, height) < 1:
            raise ValueError
    except ValueError:
        parser.error(f"--size is WIDTHxHEIGHT, such as 1024x768, not {options.size}.")
    try:
        photos = [p for p in _read(options.photos) if p.split == options.split]
        if options.like or options.unlike:
            shared, apart = divide_by_origin(photos, _read(options.like or options.unlike))
            photos = shared if options.like else apart
        if not photos:
            raise DatasetError(
                f"{options.photos} has no photographs of the split {options.split} that are asked "
                "for."
            )
        options.output.mkdir(parents=True, exist_ok=True)
        entries = []
        for photo in photos[: options.limit]:
            piece = cut(read_image(photo.path).pixels, (height, width))
            name = Path(photo.name).with_suffix(".png").as_posix().replace("/", "_")
            write_image_atomic(options.output / name, piece)
            entries.append(ListEntry(Path(name)))
        write_list(options.output / "list.txt", entries)
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{len(entries)} authentic pictures in {options.output}")
    return 0


def cut(
    pixels: npt.NDArray[np.uint8], shape: tuple[int, int], place: Sequence[float] = (0.5, 0.5)
) -> npt.NDArray[np.uint8]:
    """Cut a piece at a corner that keeps the JPEG grid where it was.

    Parameters
    ----------
    pixels : (H, W, ...) uint8 array
    shape : (int, int)
        Rows and columns of the piece; a picture that is smaller stays whole.
    place : (float, float)
        0: at the upper (left) border, 1: at the lower (right) one.

    Returns
    -------
    (h, w, ...) uint8 array
    """
    top, left = (
        int(max(0, have - want) * share) // _GRID * _GRID
        for have, want, share in zip(pixels.shape[:2], shape, place, strict=True)
    )
    return pixels[top : top + shape[0], left : left + shape[1]]


def _read(table: Path) -> list[Photo]:
    return read_photo_table(table, group="file")  # nothing here rests on groups


if __name__ == "__main__":
    sys.exit(main())
