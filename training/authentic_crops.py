"""Cut untouched pieces from photographs: authentic pictures of one source.

python training/authentic_crops.py ../shared/photos.csv -o runs/authentic --split val

One piece of each photograph, from its middle, at a corner that keeps the JPEG grid where it was;
photographs that are smaller stay whole. Recompress them by `napari-safire evaluate --degradation
jpeg-75`. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_safire.data.images import read_image, write_image_atomic
from napari_safire.data.lists import ListEntry, write_list
from napari_safire.data.photos import read_photo_table
from napari_safire.errors import DatasetError, SafireError

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
    options = parser.parse_args()
    try:
        width, height = (int(part) for part in options.size.lower().split("x"))
        if min(width, height) < 1:
            raise ValueError
    except ValueError:
        parser.error(f"--size is WIDTHxHEIGHT, such as 1024x768, not {options.size}.")
    try:
        photos = [p for p in read_photo_table(options.photos) if p.split == options.split]
        if not photos:
            raise DatasetError(f"{options.photos} has no photographs of the split {options.split}.")
        options.output.mkdir(parents=True, exist_ok=True)
        entries = []
        for photo in photos[: options.limit]:
            pixels = read_image(photo.path).pixels
            top, left = (
                max(0, have - want) // 2 // _GRID * _GRID
                for have, want in zip(pixels.shape[:2], (height, width), strict=True)
            )
            name = Path(photo.name).with_suffix(".png").as_posix().replace("/", "_")
            write_image_atomic(
                options.output / name, pixels[top : top + height, left : left + width]
            )
            entries.append(ListEntry(Path(name)))
        write_list(options.output / "list.txt", entries)
    except (SafireError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"{len(entries)} authentic pictures in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
