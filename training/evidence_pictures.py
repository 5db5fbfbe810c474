"""Lay out pictures whose truth is known, to develop and weigh evidence views on.

python training/evidence_pictures.py ../shared -o runs/evidence

Writes the pictures that have to be made, and ``pictures.csv``: path, forged (0 or 1), kind, group
(what has a common origin), fold (0 or 1; no group is in both), mask (empty: none). Real forgeries,
network edits, hard scenes and camera originals are named where they lie; recompressed, resized and
converted photographs, pages of text and planted manipulations are made from the seed. Most of these
pictures may neither be shared nor shipped. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from napari_safire.errors import DatasetError, SafireError
from napari_safire.synthesis.composite_settings import CompositeSettings
from napari_safire.synthesis.composites import Composite, PhotoBank, compose
from napari_safire.synthesis.photos import bank_of, read_photo_table
from napari_safire.synthesis.retries import draw_until_made

N_FOLDS = 2
SHAPES = ((768, 1024), (768, 512), (640, 960))
PLANTED = {
    "planted copies": CompositeSettings(operations={"copy-move": 1.0}, untouched=1, final_jpeg=0.6),
    "planted splices": CompositeSettings(untouched=1, final_jpeg=0.6),
}
EDITED = {"yes": "network edits, saved whole", "no": "network edits, pasted"}


@dataclass(frozen=True, slots=True)
class Known:
    """A picture and the truth about it.

    Parameters
    ----------
    path : Path
    forged : int
        1 or 0.
    kind : str
    group : str
        Pictures of one group share an origin.
    fold : int
    mask : Path or str
        Of what was changed; empty where nothing was.
    """

    path: Path
    forged: int
    kind: str
    group: str
    fold: int
    mask: Path | str = ""


def read_pictures(table: Path) -> list[Known]:
    """Read what `main` wrote.

    Raises
    ------
    DatasetError
        There is no such table.
    """
    if not table.is_file():
        raise DatasetError(f"There is no table {table}: make it by training/evidence_pictures.py.")
    return [
        Known(Path(r["path"]), int(r["forged"]), r["kind"], r["group"], int(r["fold"]), r["mask"])
        for r in _rows(table)
    ]


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shared", type=Path, help="folder with the tables and their pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--photographs", type=int, default=48, help="of each kind that is made")
    parser.add_argument("--planted", type=int, default=24, help="of each manipulation")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shared, output = options.shared.resolve(), options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    try:
        known = [
            *_found(shared),
            *_made_of_photographs(shared, output, options.photographs, options.seed),
            *_pages(output),
            *_planted(shared, output, options.planted, options.seed),
        ]
    except (SafireError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    with (output / "pictures.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Known)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in known)
    print(f"{len(known)} pictures, {sum(one.forged for one in known)} forged, in {output}")
    return 0


def _found(shared: Path) -> Iterator[Known]:
    """Pictures that lie there as they are."""
    root = shared / "forged"
    originals: dict[str, str] = {}
    for row in _rows(shared / "forged.csv"):
        group = row["near_duplicate_of"] or row["authentic"] or row["image"]
        mask = root / (row["pasted_mask"] or row["mask"])
        yield _known(root / row["image"], 1, f"forged: {row['dataset']}", group, mask)
        if row["authentic"]:
            originals[row["authentic"]] = group
    for name, group in originals.items():
        yield _known(root / name, 0, "originals of forgeries", group)
    root = shared / "edited_by_networks"
    originals = {}
    for row in _rows(shared / "edited_by_networks.csv"):
        group = row["original"] or row["image"]
        kind = EDITED["no" if row["whole_reencoded"] == "no" else "yes"]
        yield _known(root / row["image"], 1, kind, group, root / row["mask"])
        if row["original"]:
            originals[row["original"]] = group
    for name, group in originals.items():
        yield _known(root / name, 0, "originals of network edits", group)
    for row in _rows(shared / "authentic_hard.csv"):
        kind = "screenshots" if row["set"] == "screenshot" else "repetitive scenes and text"
        yield _known(shared / "authentic_hard" / row["image"], 0, kind, row["image"])
    groups = {row["file"]: row["group"] for row in _rows(shared / "photos.csv")}
    for row in _rows(shared / "camera_originals.csv"):
        group = groups.get(row["photo_file"], row["file"])
        yield _known(shared / "camera_originals" / row["file"], 0, "camera originals", group)


def _made_of_photographs(shared: Path, output: Path, count: int, seed: int) -> Iterator[Known]:
    """Photographs as they were published, and saved again in the ways services and people do."""
    photos = read_photo_table(shared / "photos.csv")
    order = np.random.default_rng(seed).permutation(len(photos))
    for number, kind in enumerate(_SAVED):
        folder = output / kind.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        for at in order[(np.arange(count) + number * count // 2) % len(order)]:
            photo = photos[at]
            path = photo.path
            if kind != "photographs":
                with Image.open(photo.path) as opened:
                    path = _SAVED[kind](opened.convert("RGB"), folder / photo.path.stem)
            yield _known(path, 0, kind, photo.group)


def _jpeg(image: Image.Image, stem: Path, quality: int) -> Path:
    image.save(stem.with_suffix(".jpg"), quality=quality)
    return stem.with_suffix(".jpg")


def _png(image: Image.Image, stem: Path) -> Path:
    image.save(stem.with_suffix(".png"))
    return stem.with_suffix(".png")


def _resized(image: Image.Image, stem: Path, factor: float) -> Path:
    size = (round(image.width * factor), round(image.height * factor))
    return _jpeg(image.resize(size, Image.Resampling.LANCZOS), stem, 90)


_SAVED = {
    "photographs": _png,  # as they are: nothing is written
    "saved as PNG": _png,
    "saved at JPEG 90": partial(_jpeg, quality=90),
    "saved at JPEG 75": partial(_jpeg, quality=75),
    "made smaller": partial(_resized, factor=0.6),
    "made larger": partial(_resized, factor=1.4),
}


def _pages(output: Path) -> Iterator[Known]:
    """Text as screens and printers show it, which repeats to the pixel."""
    folder = output / "pages"
    folder.mkdir(exist_ok=True)
    words = Path(__file__).read_text(encoding="utf-8").split()
    for number in range(12):
        rng = np.random.default_rng(number)
        dark = number % 3 == 2
        page = Image.new("RGB", (900, 700), (28, 30, 34) if dark else (255, 255, 255))
        draw = ImageDraw.Draw(page)
        font = ImageFont.load_default(size=int(rng.integers(11, 22)))
        for row in range(20, 670, int(font.size * 1.4)):
            line = " ".join(rng.choice(words, 12))
            draw.text((30, row), line, font=font, fill=(220, 220, 220) if dark else (20, 20, 20))
        stem = folder / f"page-{number}"
        path = _png(page, stem) if number % 2 else _jpeg(page, stem, 85)
        yield _known(path, 0, "pages of text", f"page {number}")


def _planted(shared: Path, output: Path, count: int, seed: int) -> Iterator[Known]:
    photos = read_photo_table(shared / "photos.csv")
    banks = [bank_of([p for p in photos if fold_of(p.group) == fold]) for fold in range(N_FOLDS)]
    for turn, (kind, settings) in enumerate(PLANTED.items()):
        folder = output / kind.replace(" ", "-")
        folder.mkdir(exist_ok=True)
        for number in range(count):
            fold = number % N_FOLDS
            draw = partial(_composite, settings=settings)
            made, problems = draw_until_made(draw, banks[fold], (seed, turn, number))
            if problems:
                raise DatasetError(f"{problems[0]} Take it out of the table.")
            path, mask = folder / f"{number:03d}.png", folder / f"{number:03d}-mask.png"
            Image.fromarray(made.pixels).save(path)
            Image.fromarray((made.labels > 0).astype(np.uint8) * 255).save(mask)
            yield Known(path, 1, kind, f"{kind} {fold}", fold, mask)


def _composite(bank: PhotoBank, rng: np.random.Generator, settings: CompositeSettings) -> Composite:
    return compose(bank, SHAPES[rng.integers(len(SHAPES))], settings, rng, n_sources=2)


def _known(path: Path, forged: int, kind: str, group: str, mask: Path | str = "") -> Known:
    if not path.is_file():
        raise DatasetError(f"{path} is named in a table, but is not there.")
    return Known(path, forged, kind, group, fold_of(group), mask)


def fold_of(group: str) -> int:
    """Fold of a group, by its name alone, so that no table is needed to know it."""
    return hashlib.sha256(group.encode()).digest()[0] % N_FOLDS


def _rows(table: Path) -> Sequence[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


if __name__ == "__main__":
    sys.exit(main())
