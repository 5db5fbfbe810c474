"""How much faster than the published algorithm: every ratio measured in one run.

python benchmarks/speed.py                  # everything; exit 1 if a ratio fell by more than 20 %
python benchmarks/speed.py vit lite         # some parts only
python benchmarks/speed.py --record         # write the ratios of this run into bounds.toml

Baseline and package run one after the other, each in a process of its own (so that the peak
memory is its own), on the same weights and the same picture: `published.py` is the baseline. The
bounds in `bounds.toml` are ratios, not seconds, so that they hold on other machines as well.

Parts: "vit" (ViT-B, 1024 x 1024, 256 prompts), "lite" (the shipped model, 1024 x 768, against the
arithmetic of SAM's own modules), "training" (a step of the ViT at 512 x 512), "modes" (approximate
modes against float32), "megapixels" (the shipped model at 1, 4, 16, 64 and 100 megapixels; slow,
only when named).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

BOUNDS = Path(__file__).with_name("bounds.toml")
TOLERATED = 0.8  # of the recorded ratio
NEAR_ZERO = 1e-3  # a logit this small may fall on either side
DEFAULT_PARTS = ("vit", "lite", "training", "modes")

Figures = dict[str, Any]


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds of some runs, and the last answer."""
    seconds, answer = [], None
    for _ in range(repeats):
        begin = time.perf_counter()
        answer = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), answer


def peak_gib() -> float:
    """Largest memory of this process so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def photograph(width: int, height: int) -> np.ndarray:
    """The composite that ships with the package, at another size: (H, W, 3) uint8."""
    from napari_safire.images.demo import demo_composite

    picture = Image.fromarray(demo_composite()[0])
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def vit_b() -> Any:
    """ViT-B of the published layout; random weights, the relative positions not zero either."""
    from napari_safire.model import ModelConfig, SafireModel

    torch.manual_seed(0)
    model = SafireModel(ModelConfig.vit_b())
    for name, value in model.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(value, std=0.02)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.checkpoint_sha256 = "0" * 64
    return model.eval().to(device)


# ------------------------------------------------------------------- ViT-B


def vit_plain(folder: Path) -> Figures:
    import published

    model = vit_b()
    pixels = torch.from_numpy(photograph(1024, 1024).copy()).permute(2, 0, 1)[None].float()
    pixels = pixels.to(model.device)
    with torch.inference_mode():
        embed, feats = timed(lambda: published.encode(model, pixels), 1)
        grid, (logits, confidence) = timed(lambda: published.decode_grid(model, feats), 1)
        resize, full = timed(lambda: published.full_size(logits), 1)
        records, masks = timed(lambda: published.generator_records(full), 1)
        rest, _ = timed(lambda: published.divide(feats, full, masks, confidence, 3), 1)
        point = torch.tensor([[300.0, 500.0]], device=feats.device)
        click, _ = timed(lambda: published.decode(model, feats, point), 5)
    np.savez(folder / "plain.npz", logits=logits.cpu().numpy())
    return {
        "embed": embed,
        "decoder": grid,
        "click": click,
        "partition": embed + grid + resize + records + rest,
        "without records": embed + grid + resize + rest,
        "peak": peak_gib(),
    }


def vit_ours(folder: Path) -> Figures:
    from napari_safire import Engine

    picture = photograph(1024, 1024)
    engine = Engine(vit_b())
    figures = engine_figures(engine, picture, 3)
    with np.load(folder / "plain.npz") as stored:
        plain = torch.from_numpy(stored["logits"])
    ours = torch.from_numpy(engine.grid(engine.embed(picture)).low_res_logits)
    figures["logits differ by"] = float((plain - ours).abs().max())
    figures["pixels on another side"] = _pixels_apart(plain, ours)
    return figures


def _pixels_apart(plain: torch.Tensor, ours: torch.Tensor) -> int:
    """Pixels of all full-size masks that differ although the logit is not near zero."""
    count = 0
    for one, other in zip(plain, ours, strict=True):
        large = torch.nn.functional.interpolate(
            torch.stack([one, other])[:, None], scale_factor=4, mode="bilinear"
        )[:, 0]
        differ = (large[0] > 0) != (large[1] > 0)
        count += int((differ & (large[0].abs() > NEAR_ZERO)).sum())
    return count


def engine_figures(engine: Any, picture: np.ndarray, repeats: int) -> Figures:
    """Medians of some whole partitions and clicks of an engine's model, and the peak memory."""
    from napari_safire import Engine

    height, width = picture.shape[:2]
    times: dict[str, list[float]] = {"embed": [], "decoder": [], "partition": [], "click": []}
    for _ in range(repeats):
        engine = Engine(engine.model)  # grids are kept
        embed, embedding = timed(lambda engine=engine: engine.embed(picture), 1)
        rest, _ = timed(lambda: engine.partition(embedding, "kmeans", 3), 1)  # noqa: B023
        # A partition asks less of each prompt than the grid that the viewer shows.
        decoder, _ = timed(lambda: Engine(engine.model).grid(embedding), 1)  # noqa: B023
        times["embed"].append(embed)
        times["decoder"].append(decoder)
        times["partition"].append(embed + rest)
        for place in range(5):
            point = (height * (place + 1) / 7, width / 3)
            click, _ = timed(lambda: engine.segment(embedding, [point])[0].mask, 1)  # noqa: B023
            times["click"].append(click)
    return {name: statistics.median(values) for name, values in times.items()} | {
        "peak": peak_gib()
    }


# ------------------------------------------------------------------- safire-lite


def lite_plain(folder: Path) -> Figures:
    """The shipped model with SAM's own decoder; its encoder has no published counterpart."""
    import published

    from napari_safire import Engine, load_model

    picture = photograph(1024, 768)
    model = load_model("safire-lite")
    engine = Engine(model)
    embedding = engine.embed(picture)
    feats = torch.from_numpy(embedding.features)[None].to(model.device)
    with torch.inference_mode():
        grid, _ = timed(lambda: published.decode_grid(model, feats), 3)
        point = torch.tensor([[300.0, 500.0]], device=feats.device)
        click, _ = timed(lambda: published.decode(model, feats, point), 5)
    return {"decoder": grid, "click": click, "peak": peak_gib()}


def lite_ours(folder: Path) -> Figures:
    from napari_safire import Engine, load_model

    engine = Engine(load_model("safire-lite"))
    picture = photograph(1024, 768)
    engine.embed(picture[:64, :64])
    return engine_figures(engine, picture, 5)


# ------------------------------------------------------------------- training

SIDE, IMAGES, PROMPTS = 512, 2, 8


def _batch() -> tuple[Any, torch.Tensor, torch.Tensor, torch.Tensor]:
    import dataclasses

    from napari_safire.model import ModelConfig, SafireModel

    torch.manual_seed(0)
    model = SafireModel(dataclasses.replace(ModelConfig.vit_b(), image_size=SIDE))
    model.to("cuda" if torch.cuda.is_available() else "cpu").train()
    pixels = torch.rand(IMAGES, 3, SIDE, SIDE, device=model.device) * 255
    points = torch.rand(IMAGES, PROMPTS, 2, device=model.device) * SIDE
    targets = (torch.rand(IMAGES, PROMPTS, SIDE // 4, SIDE // 4, device=model.device) > 0.5).float()
    return model, pixels, points, targets


def _loss(logits: torch.Tensor, confidence: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    from napari_safire.learning.losses import area_adaptive_loss, confidence_loss

    return area_adaptive_loss(logits, targets) + confidence_loss(confidence, logits, targets)


def training_plain(folder: Path) -> Figures:
    """One decoder pass per prompt, float32, SAM's blocks, a plain optimiser."""
    import published

    model, pixels, points, targets = _batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False, fused=False)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for image, places, wanted in zip(pixels, points, targets, strict=True):
            feats = published.encode(model, image[None])
            for place, mask in zip(places, wanted, strict=True):
                logits, confidence = published.decode(model, feats, place[None])
                losses.append(_loss(logits, confidence, mask[None]))
        torch.stack(losses).mean().backward()
        optimizer.step()

    step()
    seconds, _ = timed(step, 2)
    return {"step": seconds, "images a second": IMAGES / seconds, "peak": peak_gib()}


def _training_ours(*, bf16: bool, checkpointing: bool = False) -> Figures:
    model, pixels, points, targets = _batch()
    model.image_encoder.checkpointing = checkpointing
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits, confidence = model.decode(model.encode(pixels), points)
        _loss(logits.flatten(0, 1), confidence.flatten(), targets.flatten(0, 1)).backward()
        optimizer.step()

    step()
    seconds, _ = timed(step, 2)
    return {"step": seconds, "images a second": IMAGES / seconds, "peak": peak_gib()}


def training_ours(folder: Path) -> Figures:
    return _training_ours(bf16=True)


def training_float32(folder: Path) -> Figures:
    return _training_ours(bf16=False)


def training_checkpointing(folder: Path) -> Figures:
    return _training_ours(bf16=True, checkpointing=True)


# ------------------------------------------------------------------- approximate modes


def _mode(model: Any, picture: np.ndarray) -> Figures:
    """The whole way in bfloat16 against float32, and how alike the masks of the grid are."""
    from napari_safire import Engine

    figures: Figures = {}
    logits = []
    for precision in ("float32", "bf16"):
        engine = Engine(model, precision=precision)

        def whole(engine: Engine = engine) -> np.ndarray:
            embedding = engine.embed(picture)
            engine.partition(embedding, "kmeans", 3)
            return engine.grid(embedding).low_res_logits

        figures[f"{precision}, s"], found = timed(whole, 1)
        logits.append(found > 0)
    both = (logits[0] & logits[1]).sum((1, 2))
    either = (logits[0] | logits[1]).sum((1, 2))
    ratios = both[either > 0] / either[either > 0]
    figures |= {
        "IoU mean": float(ratios.mean()),
        "IoU lowest tenth": float(np.quantile(ratios, 0.1)),
    }
    return figures


def modes_vit(folder: Path) -> Figures:
    return _mode(vit_b(), photograph(1024, 1024))


def modes_lite(folder: Path) -> Figures:
    from napari_safire import load_model

    return _mode(load_model("safire-lite"), photograph(1024, 768))


# ------------------------------------------------------------------- more pixels


def megapixels(folder: Path) -> Figures:
    """Seconds a megapixel of the whole way from picture to partition, and the peak so far."""
    from napari_safire import Engine, load_model

    engine = Engine(load_model("safire-lite"))
    small = photograph(1024, 1024)
    engine.partition(engine.embed(small), "kmeans", 3)
    figures: Figures = {}
    for million in (1, 4, 16, 64, 100):
        side = int(million**0.5)
        picture = np.tile(small, (side, side, 1))
        picture[::7, ::5] ^= 1  # another hash than that of its tiles
        begin = time.perf_counter()
        engine.partition(engine.embed(picture), "kmeans", 3)
        seconds = time.perf_counter() - begin
        figures[f"{million} MP, s"] = seconds
        figures[f"{million} MP, peak"] = peak_gib()
    return figures


# ------------------------------------------------------------------- the run

# Baseline and ours, and the figures to compare; "a / b" compares figure a of the baseline with b.
RATIOS: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "vit": (
        ("vit_plain", "vit_ours"),
        # No click: one small product, whose ratio says more of the machine's neighbours.
        ("partition", "without records / partition", "embed", "decoder"),
    ),
    "lite": (("lite_plain", "lite_ours"), ("decoder",)),
    "training": (("training_plain", "training_ours"), ("step",)),
}
ALONE = {
    "training": ("training_float32", "training_checkpointing"),
    "modes": ("modes_vit", "modes_lite"),
    "megapixels": ("megapixels",),
}


def run_part(name: str, folder: Path) -> Figures:
    """Measure in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, "--folder", str(folder)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    print(f"{name:24s} " + "   ".join(f"{k} {v:.4g}" for k, v in figures.items()), flush=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(DEFAULT_PARTS))
    parser.add_argument("--record", action="store_true", help="write the ratios into bounds.toml")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in RATIOS | ALONE]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}: there are {', '.join(RATIOS | ALONE)}")
    if options.measure:
        print(json.dumps(globals()[options.measure](options.folder)))
        return 0
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; seconds, GiB")
    bounds = tomllib.loads(BOUNDS.read_text()) if BOUNDS.is_file() else {}
    found: dict[str, dict[str, float]] = {}
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts:
            if part in RATIOS:
                (plain, ours), stages = RATIOS[part]
                before, after = run_part(plain, folder), run_part(ours, folder)
                found[part] = {}
                for stage in stages:
                    first, _, second = stage.partition(" / ")
                    found[part][stage] = before[first] / after[second or first]
                if after.get("pixels on another side"):
                    failed.append(f"{part}: masks differ from the baseline's")
            for more in ALONE.get(part, ()):
                run_part(more, folder)
    print()
    for part, ratios in found.items():
        for stage, ratio in ratios.items():
            bound = bounds.get(part, {}).get(stage)
            low = bound is not None and ratio < TOLERATED * bound
            print(
                f"{part:9s} {stage:10s} {ratio:6.1f} x" + (f"  (recorded {bound})" if bound else "")
            )
            if low:
                failed.append(f"{part} {stage}: {ratio:.1f} x, recorded were {bound}")
    if options.record:
        text = "# Ratios to the baseline; written by: python benchmarks/speed.py --record\n"
        for part, ratios in (bounds | found).items():
            rows = "".join(f'"{stage}" = {ratio:.1f}\n' for stage, ratio in ratios.items())
            text += f"\n[{part}]\n{rows}"
        BOUNDS.write_text(text)
    for line in failed:
        print(f"FAILED {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
