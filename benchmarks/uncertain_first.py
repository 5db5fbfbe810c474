"""Does "most uncertain first" bring the pictures that need work? Uncertainty against error.

python training/make_dataset.py ../shared/photos.csv -o runs/clicks60 --split val --sources 2,3,4 \\
    --size 1024x768 --count 60 --seed 7
python benchmarks/uncertain_first.py runs/clicks60/list.txt

For each composite: the uncertainty by which a project's queue is sorted (`project score`), and the
error of the model's own partition, 1 - p_mIoU. Told are Spearman's correlation and the share of all
error that lies in the first quarter of the queue, most uncertain first, against .25 of any order by
chance; intervals 95 % by bootstrap over pictures. This says whether people get to the model's
mistakes sooner. It does not say that a model learns more from them: see docs/lab-notes.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from napari_safire import Engine, load_model
from napari_safire.annotation.region_labels import partition_uncertainty
from napari_safire.images.lists import read_list
from napari_safire.images.reading import read_image
from napari_safire.images.truth import read_mask
from napari_safire.metrics import confusion_matrix, miou_of_counts


def first_quarter(uncertainty: np.ndarray, error: np.ndarray) -> float:
    """Share of all error in the most uncertain quarter."""
    order = np.argsort(-uncertainty, kind="stable")
    return float(error[order[: len(order) // 4]].sum() / error.sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("--model", default="safire-lite")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    engine = Engine(load_model(given.model))
    found = []
    for entry in read_list(given.list)[: given.count]:
        truth = read_mask(entry, "sources")
        partition = engine.partition(engine.embed(read_image(entry.image).pixels))
        counts = confusion_matrix(truth, partition.labels)
        found.append((partition_uncertainty(partition).mean(), 1 - miou_of_counts(counts)))
    uncertainty, error = np.array(found).T
    rng = np.random.default_rng(given.seed)
    draws = [rng.integers(0, len(error), len(error)) for _ in range(2000)]
    for name, score in (
        ("Spearman's correlation", lambda u, e: spearmanr(u, e).statistic),
        ("error in the first quarter", first_quarter),
    ):
        low, high = np.percentile([score(uncertainty[d], error[d]) for d in draws], [2.5, 97.5])
        print(f"{name}: {score(uncertainty, error):.2f} ({low:.2f} to {high:.2f})")
    print(f"{len(error)} composites, mean error {error.mean():.3f}")


if __name__ == "__main__":
    main()
