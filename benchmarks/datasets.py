"""Composites and training crops a second on one core, and the cores that feed a GPU.

python benchmarks/datasets.py ../shared/photos
python benchmarks/datasets.py ../shared/photos --rate 40 --tflops 989

First table: what ``training/make_dataset.py`` makes in one process, 1024 x 768, by operation, with
its PNG files. Second: crops of the training stream (`napari_safire.learning.streams`) on one core,
photographs in memory. Seconds are those of the processor, so that other programs do not count.
From these the worker cores for ``--rate`` images a second:

    cores = rate / (crops a second on one core)

``--tflops`` gives a rate that no training step can pass on a device of that many TFLOP/s:

    images a second <= TFLOP/s * 1000 / (3 * GFLOP of the encoder, forward)

(backward counted as twice forward, decoder and everything else as nothing). It is an upper bound
and no measurement.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_safire import load_model
from napari_safire.learning.prompts import PromptedCrops, PromptSettings
from napari_safire.learning.streams import CompositeDataset, CropPlan, stream
from napari_safire.synthesis.composite_settings import OPERATIONS, CompositeSettings
from napari_safire.synthesis.dataset_plan import DatasetPlan
from napari_safire.synthesis.dataset_writer import write_dataset
from napari_safire.synthesis.photos import Photo, bank_of, read_photo_folder

VIT_B_GFLOP = 983  # encoder at 1024 x 1024, counted by benchmarks/roofline.py
SIDES = (256, 352, 384, 512, 1024)  # of training/lite.toml, and the published side


def composites_a_second(photos: list[Photo], operation: str, count: int) -> float:
    settings = CompositeSettings(operations={operation: 1.0})
    with tempfile.TemporaryDirectory() as folder:
        # Libraries load, and files come into the system's cache.
        write_dataset(photos, Path(folder) / "first", DatasetPlan(count=3, settings=settings))
        begin = time.process_time()
        write_dataset(photos, Path(folder) / "timed", DatasetPlan(count, settings=settings))
        return count / (time.process_time() - begin)


def crops_a_second(photos: list[Photo], side: int, settings: CompositeSettings) -> float:
    bank = bank_of(photos)
    for index in range(len(bank)):
        bank[index]
    plan = CropPlan((side,), max(8 * 256 * 256, 2 * side**2))
    crops_with_prompts = PromptedCrops(CompositeDataset(bank, settings, 0), PromptSettings(), 0)
    batches = stream(crops_with_prompts, plan, workers=0)
    next(batches)
    crops, begin = 0, time.process_time()
    for pixels, *_ in itertools.islice(batches, 4):
        crops += len(pixels)
    return crops / (time.process_time() - begin)


def lite_gflop(side: int) -> float:
    """Counted work of safire-lite's encoder on one image, forward."""
    model = load_model("safire-lite", device="cpu")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.encode(torch.zeros(1, 3, side, side))
    return counter.get_total_flops() / 1e9


def bound(tflops: float, forward_gflop: float) -> float:
    """Images a second that a device cannot pass."""
    return 1e3 * tflops / (3 * forward_gflop)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=16, help="composites of each operation")
    parser.add_argument("--most-photos", type=int, default=40)
    parser.add_argument("--rate", type=float, default=20.0, help="images a second to feed")
    parser.add_argument("--tflops", type=float, help="counted rate of a device, for the bound")
    options = parser.parse_args()
    torch.set_num_threads(1)
    photos = read_photo_folder(options.photos)[: options.most_photos]
    print(f"{len(photos)} photographs, one core\n")
    print("| make_dataset, 1024 x 768, two sources | composites a second |\n|---|---|")
    for operation in OPERATIONS:
        rate = composites_a_second(photos, operation, options.count)
        print(f"| {operation} | {rate:.2f} |", flush=True)
    mixed = CompositeSettings(operations=dict.fromkeys(OPERATIONS, 1 / len(OPERATIONS)))
    more = " bound of safire-lite, images a second | cores for it |" if options.tflops else ""
    print(
        f"\n| crops of the training stream | splicing, a second | all operations, a second | cores "
        f"for {options.rate:g} a second |{more}\n|---|---|---|---|{'---|---|' * bool(more)}"
    )
    for side in SIDES:
        rates = [crops_a_second(photos, side, s) for s in (CompositeSettings(), mixed)]
        row = (
            f"| {side} x {side} | {rates[0]:.1f} | {rates[1]:.1f} | {options.rate / rates[0]:.1f} |"
        )
        if options.tflops:
            most = bound(options.tflops, lite_gflop(side))
            row += f" {most:.0f} | {most / rates[0]:.0f} |"
        print(row, flush=True)
    if options.tflops:
        most = bound(options.tflops, VIT_B_GFLOP)
        print(f"\nViT-B at 1024 x 1024: {most:.0f} images a second, {most / rates[0]:.0f} cores")


if __name__ == "__main__":
    main()
