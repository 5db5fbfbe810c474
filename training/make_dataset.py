"""Make a data set of multi-source composites in the layout of SafireMS.

python training/make_dataset.py photos.csv -o runs/two --count 100 --split val --sources 2

An interrupted run is continued by the same command. Exit code 0: the data set is complete; 1: it
could not be made; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_safire.data.composites import CompositeSettings
from napari_safire.data.dataset_writer import DatasetPlan, write_dataset
from napari_safire.data.photos import Photo, divide, read_photo_table
from napari_safire.errors import DatasetError, SafireError


def main() -> int:
    """Run the script; return its exit code."""
    parser = _parser()
    options = parser.parse_args()
    if options.held_out and not options.held_out_groups:
        parser.error("--held-out needs --held-out-groups: which share of the groups is held out?")
    try:
        settings = CompositeSettings(same_photo=options.same_photo, final_jpeg=options.final_jpeg)
        plan = DatasetPlan(options.count, options.size, options.sources, options.seed, settings)
        if options.workers < 1:
            raise ValueError(f"--workers must be at least 1, not {options.workers}.")
        if not 0 <= options.held_out_groups < 1:
            raise ValueError(f"--held-out-groups is a share, not {options.held_out_groups}.")
    except ValueError as error:
        parser.error(str(error))
    try:
        made = write_dataset(
            _photos(options), options.output, plan, workers=options.workers, progress=_show
        )
    except (SafireError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: run the same command again to go on.", file=sys.stderr)
        return 1
    print(f"{options.output}: {plan.count} composites, {made} of them new")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("table", type=Path, help="CSV with file, group, split; X.csv describes the files in X/")
    add("-o", "--output", type=Path, required=True, metavar="FOLDER")
    add("--count", type=int, required=True, help="number of composites")
    add("--split", default="val", help="rows of the table to use: train or val (default: val)")
    add("--seed", type=int, default=0)
    add("--size", type=_size, default=(768, 1024), metavar="WxH", help="default: 1024x768")
    add(
        "--sources",
        type=_numbers,
        default=(2, 3, 4),
        metavar="N[,N...]",
        help="numbers of sources that take turns: 2 for two everywhere (default: 2,3,4)",
    )
    add("--same-photo", type=float, default=CompositeSettings().same_photo, metavar="SHARE")
    add("--final-jpeg", type=float, default=CompositeSettings().final_jpeg, metavar="SHARE")
    add(
        "--held-out-groups",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of the groups that is held out, as in training/lite.toml",
    )
    add("--held-out", action="store_true", help="use the held-out groups instead of the others")
    add("--workers", type=int, default=2)
    return parser


def _photos(options: argparse.Namespace) -> list[Photo]:
    photos = read_photo_table(options.table)
    chosen = [photo for photo in photos if photo.split == options.split]
    if not chosen:
        splits = ", ".join(sorted({photo.split for photo in photos})) or "none"
        raise DatasetError(
            f"{options.table} has no photographs of the split {options.split!r}, only: {splits}."
        )
    kept, held_out = divide(chosen, options.held_out_groups)
    photos = held_out if options.held_out else kept
    if not photos:
        raise DatasetError("No group of this split is left: choose another --held-out-groups.")
    return photos


def _size(text: str) -> tuple[int, int]:
    """Rows and columns of "WxH"."""
    width, height = (int(part) for part in text.lower().split("x"))
    return height, width


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _show(done: int, count: int) -> None:
    if done % 50 == 0 and done < count:
        print(f"{done}/{count}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
