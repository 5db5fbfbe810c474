"""Two programs save one picture of a series again and again, at the same moment.

    python tests/robustness/two_writers.py [ROUNDS]

After each round the record and the mask have to be of one writer, and nothing temporary may be
left. It must print "300 rounds, 0 with the mask of one and the record of the other" (it was 54).
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from napari_safire.gui.io.writer import write_labels
from napari_safire.images.files import file_sha256
from napari_safire.images.records.head import FROM_ONE

NAME = "a.jpg"


def save(folder: str, n_columns: int, rounds: int, meet: multiprocessing.Barrier) -> None:
    labels = np.ones((400, 400), np.int32)
    labels[:, : 20 * n_columns] = 2
    attributes = {"metadata": {"napari_safire": {"numbering": FROM_ONE}}}
    for _ in range(rounds):
        meet.wait(60)
        write_labels(f"{folder}/{NAME}.json", labels, attributes)
        meet.wait(60)  # until both have saved
        meet.wait(60)  # until it was looked at


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    context = multiprocessing.get_context("spawn")
    meet = context.Barrier(3)
    mixed = 0
    with TemporaryDirectory() as folder:
        writers = [context.Process(target=save, args=(folder, n, rounds, meet)) for n in (2, 5)]
        for writer in writers:
            writer.start()
        for _ in range(rounds):
            meet.wait(60)
            meet.wait(60)
            record = json.loads(Path(folder, f"{NAME}.json").read_text())
            mask = Path(folder, f"{NAME}_sources.png")
            values, counts = np.unique(np.asarray(Image.open(mask)), return_counts=True)
            told = {source["grey_value"]: source["pixels"] for source in record["sources"]}
            same = told == dict(zip(values.tolist(), counts.tolist(), strict=True))
            same &= record["files_sha256"] == {mask.name: file_sha256(mask)}
            same &= sorted(p.name for p in Path(folder).iterdir()) == [
                f"{NAME}.json",
                mask.name,
            ]
            mixed += not same
            meet.wait(60)
        for writer in writers:
            writer.join()
    print(f"{rounds} rounds, {mixed} with the mask of one and the record of the other")
    sys.exit(bool(mixed))


if __name__ == "__main__":
    main()
