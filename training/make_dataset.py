"""Make a data set of multi-source composites, in a layout of SafireMS, of any photographs.

python training/make_dataset.py photos.csv -o runs/two --count 100 --split val --sources 2
python training/make_dataset.py my_photos/ -o runs/auto --count 900 --layout safirems \\
    --operations splicing,copy-move,removal,reconstruction --sources 2,3,4,5

Of a folder all pictures are used, those of subfolders too; each subfolder is one group
(photographer, camera), each file of the top folder a group of its own.

An interrupted run is continued by the same command. Exit code 0: the data set is complete; 1: it
could not be made; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_safire.errors import DatasetError, SafireError
from napari_safire.synthesis.composite_settings import OPERATIONS, CompositeSettings
from napari_safire.synthesis.dataset_plan import DatasetPlan
from napari_safire.synthesis.dataset_writer import write_dataset
from napari_safire.synthesis.photos import Photo, divide, read_photo_folder, read_photo_table

_DEFAULTS = CompositeSettings()


def main() -> int:
    """Run the script; return its exit code."""
    parser = _parser()
    options = parser.parse_args()
    if options.held_out and not options.held_out_groups:
        parser.error("--held-out needs --held-out-groups: which share of the groups is held out?")
    if options.split and options.photos.is_dir():
        parser.error("--split chooses rows of a table, and a folder was given: leave it out.")
    try:
        plan = _plan(options)
        if options.workers < 1:
            raise ValueError(f"--workers must be at least 1, not {options.workers}.")
        if not 0 <= options.held_out_groups < 1:
            raise ValueError(f"--held-out-groups is a share, not {options.held_out_groups}.")
    except ValueError as error:
        parser.error(str(error))
    unreadable: list[str] = []

    def tell(problem: str) -> None:
        unreadable.append(problem)
        print(f"Warning: {problem} Others take its place.", file=sys.stderr, flush=True)

    try:
        objects = _objects(options.sam)
        if objects is not None:
            plan = replace(plan, objects=objects.name)
        made = write_dataset(
            _photos(options),
            options.output,
            plan,
            objects=objects,
            workers=options.workers,
            progress=_show,
            on_problem=tell,
        )
    except (SafireError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: run the same command again to go on.", file=sys.stderr)
        return 1
    lost = f"; {len(unreadable)} photographs could not be read" if unreadable else ""
    print(f"{options.output}: {plan.count} composites, {made} of them new{lost}")
    return 0


def _plan(options: argparse.Namespace) -> DatasetPlan:
    settings = CompositeSettings(
        same_photo=options.same_photo,
        final_jpeg=options.final_jpeg,
        operations={name: 1 / len(options.operations) for name in options.operations},
        inpainters=options.inpainter or _DEFAULTS.inpainters,
        reconstructors=options.reconstructor or _DEFAULTS.reconstructors,
    )
    return DatasetPlan(
        options.count, options.size, options.sources, options.seed, settings, options.layout
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "photos",
        type=Path,
        metavar="TABLE|FOLDER",
        help="CSV with file, group, split (X.csv describes the files in X/), or a folder",
    )
    add("-o", "--output", type=Path, required=True, metavar="FOLDER")
    add("--count", type=int, required=True, help="number of composites")
    add("--split", help="rows of the table to use: train or val (default: val)")
    add("--seed", type=int, default=0)
    add("--size", type=_size, default=(768, 1024), metavar="WxH", help="default: 1024x768")
    add(
        "--sources",
        type=_numbers,
        default=(2, 3, 4),
        metavar="N[,N...]",
        help="numbers of sources that take turns: 2 for two everywhere (default: 2,3,4); with "
        "--layout safirems parts of their own, 'none' for none",
    )
    add(
        "--operations",
        type=_names,
        default=("splicing",),
        metavar="NAME[,NAME...]",
        help=f"of {', '.join(OPERATIONS)} (default: splicing)",
    )
    add("--layout", choices=("plain", "safirems"), default="plain")
    for kind, known in (
        ("inpainter", _DEFAULTS.inpainters),
        ("reconstructor", _DEFAULTS.reconstructors),
    ):
        add(
            f"--{kind}",
            type=_names,
            metavar="NAME[,NAME...]",
            help=f"{' or '.join(known)}, or package.module:name (default: {', '.join(known)})",
        )
    add(
        "--sam", type=Path, metavar="FILE", help="SAM checkpoint: a fifth of the shapes are objects"
    )
    add("--same-photo", type=float, default=_DEFAULTS.same_photo, metavar="SHARE")
    add("--final-jpeg", type=float, default=_DEFAULTS.final_jpeg, metavar="SHARE")
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


def _objects(sam: Path | None) -> Any:
    if sam is None:
        return None
    # torch is loaded only where it is needed.
    from napari_safire.learning.object_masks import SamObjectMasks

    return SamObjectMasks(sam)


def _photos(options: argparse.Namespace) -> list[Photo]:
    if options.photos.is_dir():
        photos = read_photo_folder(options.photos)
        if options.output.resolve().is_relative_to(options.photos.resolve()):
            raise DatasetError(
                f"{options.output} lies in the folder of the photographs, whose pictures would be "
                "taken for photographs the next time: give a folder outside it."
            )
    else:
        photos = _of_split(options.photos, options.split or "val")
    kept, held_out = divide(photos, options.held_out_groups)
    photos = held_out if options.held_out else kept
    if not photos:
        raise DatasetError("No group is left: choose another --held-out-groups.")
    return photos


def _of_split(table: Path, split: str) -> list[Photo]:
    photos = read_photo_table(table)
    chosen = [photo for photo in photos if photo.split == split]
    if not chosen:
        splits = ", ".join(sorted({photo.split for photo in photos})) or "none"
        raise DatasetError(f"{table} has no photographs of the split {split!r}, only: {splits}.")
    return chosen


def _size(text: str) -> tuple[int, int]:
    """Rows and columns of "WxH"."""
    width, height = (int(part) for part in text.lower().split("x"))
    return height, width


def _numbers(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(int(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",")))


def _show(done: int, count: int) -> None:
    if done % 50 == 0 and done < count:
        print(f"{done}/{count}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
