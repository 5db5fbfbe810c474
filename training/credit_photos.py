"""Write who took the photographs that a model was trained on.

python training/credit_photos.py training/lite.toml -o docs/models/safire-lite-photographs.md
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from settings import read_settings

from napari_safire.synthesis.photos import divide, read_photo_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="the TOML file the model was trained with")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    data = read_settings(options.config)["data"]
    table = Path(data["photos_csv"])
    photos = [photo for photo in read_photo_table(table) if photo.split == "train"]
    trained, held_out = divide(photos, data["held_out_groups"])
    with table.open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    lines = [
        "# Photographs behind safire-lite",
        "",
        f"Trained on {len(trained)} photographs; {len(held_out)} more, by photographers held out "
        "of training, settled its thresholds. None of them is part of the package.",
        f"Made by `python training/credit_photos.py {options.config} -o {options.output}`.",
    ]
    for title, chosen in (("Training", trained), ("Thresholds only", held_out)):
        by_source: dict[tuple[str, str], list[str]] = defaultdict(list)
        for photo in chosen:
            row = rows[photo.path.name]
            author = f" ({row['author']})" if row["author"] else ""
            by_source[row["source_repo"], row["licence"]].append(f"{row['path']}{author}")
        lines += ["", f"## {title}"]
        for (source, licence), files in sorted(by_source.items()):
            lines += ["", f"**github.com/{source}**, {licence}: " + "; ".join(sorted(files)) + "."]
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
