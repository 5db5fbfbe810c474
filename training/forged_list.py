"""Write the list of real forgeries that `napari-safire evaluate` reads.

python training/forged_list.py ../shared/forged.csv -o runs/forged.txt
napari-safire evaluate runs/forged.txt --root ../shared/forged --kind binary -o runs/forged.csv

Some of these masks mark the copied region as well as its origin; where the table has a mask of the
pasted region alone, that one is used. Untouched originals are listed as authentic (mask None).
Evaluation only: most of these pictures may neither be trained on for a shipped model nor shared.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from napari_safire.images.lists import ListEntry, write_list


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if not options.table.is_file():
        print(f"There is no table {options.table}.", file=sys.stderr)
        return 1
    root = options.table.with_suffix("")
    with options.table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    entries = [
        ListEntry(Path(row["image"]), Path(row["pasted_mask"] or row["mask"])) for row in rows
    ]
    authentic = sorted({row["authentic"] for row in rows if row["authentic"]})
    entries += [ListEntry(Path(name), None) for name in authentic]
    write_list(options.output, entries, root=root)
    print(f"{len(rows)} forgeries and {len(authentic)} originals in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
