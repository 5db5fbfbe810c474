"""Where the time goes: counted work of every stage, its time, and its share of this machine's rate.

python benchmarks/roofline.py vit-b
python benchmarks/roofline.py safire-lite

GFLOP are counted by PyTorch's own counter on the meta device (nothing is computed), two for each
multiply-add; GB are what all operations read and write if no cache helps, so that they are an upper
bound. Rates are the best of some runs on this machine: a product of 2048 x 2048 float32 matrices by
the package's `linear`, and a copy of 256 MiB. The share is counted GFLOP over time over the rate.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest import mock

import torch
from speed import photograph, vit_b
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from napari_safire import Engine, load_model
from napari_safire.model.decoder import decode_prompts
from napari_safire.model.linear import linear


class ByteCounter(TorchDispatchMode):
    """Adds up what operations read and write; views of memory count nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            for value in torch.utils._pytree.tree_leaves((args, kwargs, out)):
                if isinstance(value, Tensor):
                    self.bytes += value.numel() * value.element_size()
        return out


def counted(work: Callable[[], Any]) -> tuple[float, float]:
    """GFLOP and GB of some work on the meta device."""
    no_autocast = mock.patch.object(torch, "autocast", return_value=nullcontext())
    with torch.no_grad(), no_autocast:  # which the meta device does not know
        with FlopCounterMode(display=False) as flops:
            work()
        with ByteCounter() as bytes_:
            work()
    return flops.get_total_flops() / 1e9, bytes_.bytes / 1e9


def best(work: Callable[[], Any], repeats: int) -> float:
    """Shortest time in seconds."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def machine_rates(device: torch.device) -> tuple[float, float]:
    """GFLOP/s of products and GB/s of copies."""
    side = 2048
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    large = torch.empty(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(large)
    with torch.inference_mode():
        product = best(lambda: linear(a, b), 10)
        copied = best(lambda: target.copy_(large), 5)
    return 2 * side**3 / product / 1e9, 2 * large.numel() / copied / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=["vit-b", "safire-lite"])
    options = parser.parse_args()
    if options.model == "vit-b":
        model, picture = vit_b(), photograph(1024, 1024)
    else:
        model, picture = load_model("safire-lite"), photograph(1024, 768)
    height, width = picture.shape[:2]
    empty = copy.deepcopy(model).to("meta")
    pixels = torch.empty(1, 3, height, width, device="meta")
    feats = torch.empty(1, model.config.prompt_dim, height // 16, width // 16, device="meta")
    points = torch.empty(1, 256, 2, device="meta")

    def decode() -> None:
        decode_prompts(
            empty.prompt_encoder, empty.mask_decoder, feats, points, empty.prompt_projection
        )

    engine = Engine(model)
    embedding = engine.embed(picture)
    engine.segment(embedding, [(10, 10)])
    rate, copying = machine_rates(model.device)
    print(f"{options.model}, {width} x {height}, {torch.get_num_threads()} threads")
    print(f"this machine: {rate:.0f} GFLOP/s in products, {copying:.0f} GB/s in copies\n")
    print("| stage | GFLOP | GB | s | GFLOP/s | share of the product rate |")
    print("|---|---|---|---|---|---|")
    stages = {
        "encoder": (
            counted(lambda: empty.encode(pixels)),
            best(lambda: engine.embed(picture), 2),
        ),
        "decoder, 256 prompts": (
            counted(decode),
            best(lambda: Engine(model).grid(embedding), 2),
        ),
    }
    for name, ((gflop, gbytes), seconds) in stages.items():
        print(
            f"| {name} | {gflop:.0f} | {gbytes:.0f} | {seconds:.2f} | {gflop / seconds:.0f} | "
            f"{gflop / seconds / rate:.0%} |"
        )


if __name__ == "__main__":
    main()
