"""Fit what tells a copied region from a thing that looks alike, and say how well it does.

python training/fit_copy_move.py runs/evidence/pictures.csv -o runs/copy_move --copies 300

Negatives are the candidates of authentic pictures of the table (training/evidence_pictures.py);
positives those of copies that are planted here in its photographs: turned, resized, smooth and
textured, saved again. Real forgeries are never learned from. The fit rests on fold 0 alone; both
folds are reported. Prints the constants of forensics/copy_move/scoring.py. Candidates are kept in
the folder, so that a second fit takes seconds. Exit code 0: done; 1: it failed; 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from evidence_pictures import Known, read_pictures
from PIL import Image
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.optimize import minimize

from napari_safire.errors import SafireError
from napari_safire.forensics.copy_move.geometry import Move, moved
from napari_safire.forensics.copy_move.scoring import (
    CALLED,
    DRAWN,
    INPUTS,
    drawn,
    inputs_of,
    log_odds,
    score_of,
)
from napari_safire.forensics.copy_move.search import candidates
from napari_safire.forensics.copy_move.verification import Traits
from napari_safire.forensics.picture import LUMINANCE, Picture

PLANTED_IN = ("photographs", "camera originals", "saved as PNG")
RIDGE = 0.005  # of weights of standardised inputs
FALSE_ALARMS = 3.0  # count so much more than copies that are missed
NEAR = 4.0  # pixels between a found map and the planted one


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="pictures.csv of training/evidence_pictures.py")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--copies", type=int, default=300, help="that are planted")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        known = read_pictures(options.table)
        with ProcessPoolExecutor(options.workers) as pool:
            untouched = _kept(options.output / "pictures.json", known, _of_picture, pool)
            places = [one for one in known if one.kind in PLANTED_IN]
            jobs = [(places[n % len(places)], (options.seed, n)) for n in range(options.copies)]
            planted = _kept(options.output / "planted.json", jobs, _of_planted, pool)
    except (SafireError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    bias, weights = fit(untouched, planted, fold=0)
    print(f"BIAS = {bias:.2f}\nWEIGHTS = {{")
    for name, weight in weights.items():
        print(f'    "{name}": {weight:.2f},')
    print("}")
    _report(untouched, planted, bias, weights)
    return 0


def _kept(path: Path, jobs: Sequence[Any], function: Any, pool: ProcessPoolExecutor) -> Any:
    if not path.is_file():
        path.write_text(json.dumps(list(pool.map(function, jobs, chunksize=4))), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _of_picture(known: Known) -> dict[str, Any]:
    found = candidates(Picture.read(known.path).luminance)
    traits = [asdict(one.traits) for one in found.verified]
    return {
        "kind": known.kind,
        "fold": known.fold,
        "forged": known.forged,
        "traits": traits,
        "path": str(known.path),
    }


def _of_planted(job: tuple[Known, tuple[int, int]]) -> dict[str, Any]:
    known, seed = job
    rng = np.random.default_rng(seed)
    with Image.open(known.path) as opened:
        image = opened.convert("RGB")
    side = int(rng.integers(400, 1025))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    pixels, truth = plant(np.asarray(image), rng)
    quality = int(rng.choice([0, 0, 95, 90, 80, 75]))
    if quality:
        file = BytesIO()
        Image.fromarray(pixels).save(file, format="JPEG", quality=quality)
        pixels = np.asarray(Image.open(file))
    found = candidates((pixels @ LUMINANCE).astype(np.float32))
    traits = [
        asdict(one.traits) | {"right": _is_planted(one.move, truth)} for one in found.verified
    ]
    said = {key: value for key, value in truth.items() if key not in ("affine", "centre")}
    return {
        "kind": "planted here",
        "fold": known.fold,
        "traits": traits,
        "quality": quality,
        **said,
    }


def plant(
    pixels: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """Copy a region to another place, turned and resized or not.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 array
    rng : numpy.random.Generator

    Returns
    -------
    pixels : (H, W, 3) uint8 array
    truth : dict
        ``affine`` (from the source to the copy), ``centre`` of the source, ``turn``, ``zoom``,
        ``area`` and ``contrast`` of the copy.
    """
    height, width = pixels.shape[:2]
    turn = 0.0 if rng.random() < 0.5 else float(rng.uniform(-45, 45))
    zoom = 1.0 if rng.random() < 0.6 else float(rng.uniform(0.75, 1.4))
    radius = np.sqrt(height * width * np.exp(rng.uniform(np.log(0.004), np.log(0.06))) / np.pi)
    aspect = float(rng.uniform(0.6, 1.6))
    half = np.array([radius * np.sqrt(aspect), radius / np.sqrt(aspect)])
    reach = 1.5 * max(half) * max(1.0, zoom)
    low, high = np.full(2, min(reach, 0.3 * min(height, width))), np.array([height, width])
    centres = rng.uniform(low, high - low, (12, 2))
    contrast = np.array([_contrast(pixels, at, radius) for at in centres])
    smooth = rng.random() < 0.35
    centre = centres[contrast.argmin() if smooth else 0]
    ends = rng.uniform(low, high - low, (40, 2))
    end = (
        ends[np.linalg.norm(ends - centre, axis=1).argmax()]
        if rng.random() < 0.2
        else next((e for e in ends if np.linalg.norm(e - centre) > 1.6 * radius), ends[0])
    )
    if turn == 0 and zoom == 1:
        end = centre + np.rint(end - centre)
    angle = np.radians(turn)
    linear = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = end - linear @ centre
    back = np.linalg.inv(linear)
    rows, cols = np.mgrid[:height, :width]
    at = np.stack([rows - end[0], cols - end[1]], axis=-1) @ back.T / half
    mask = ((np.abs(at) ** rng.choice([2.0, 2.0, 8.0])).sum(axis=-1) < 1).astype(np.float32)
    soft = gaussian_filter(mask, float(rng.choice([0.0, 0.5, 1.5])))[..., None]
    gain = 1.0 if rng.random() < 0.8 else float(rng.uniform(0.85, 1.15))
    copy = np.stack(
        [
            affine_transform(
                pixels[..., c].astype(float),
                back,
                -back @ shift,
                order=3 if turn or zoom != 1 else 0,
                mode="mirror",
            )
            for c in range(3)
        ],
        axis=-1,
    )
    made = pixels * (1 - soft) + np.clip(copy * gain, 0, 255) * soft
    truth = {
        "affine": np.column_stack([linear, shift]).tolist(),
        "centre": centre.tolist(),
        "turn": turn,
        "zoom": zoom,
        "area": float(mask.sum()),
        "contrast": _contrast(pixels, centre, radius),
    }
    return np.clip(np.rint(made), 0, 255).astype(np.uint8), truth


def _contrast(pixels: npt.NDArray[np.uint8], at: npt.NDArray[np.float64], radius: float) -> float:
    low = np.maximum(at - radius, 0).astype(int)
    part = pixels[low[0] : int(at[0] + radius), low[1] : int(at[1] + radius), 1].astype(float)
    return float((part - gaussian_filter(part, 2)).std())


def _is_planted(move: Move, truth: dict[str, Any]) -> bool:
    affine, centre = np.array(truth["affine"]), np.array([truth["centre"]])
    end = moved(affine, centre)
    there = np.linalg.norm(moved(move.affine, centre) - end)
    back = np.linalg.norm(moved(move.affine, end) - centre)
    return bool(min(there, back) < NEAR)


def fit(
    untouched: list[dict[str, Any]], planted: list[dict[str, Any]], fold: int
) -> tuple[float, dict[str, float]]:
    """Fit a logistic whose weights have the sign that physics gives them.

    Parameters
    ----------
    untouched, planted : list of dict
        As this script keeps them.
    fold : int
        That is learned from.

    Returns
    -------
    bias : float
    weights : dict
        By the names of `INPUTS`.
    """
    authentic = [p for p in untouched if p["fold"] == fold and not p["forged"]]
    wrong = [t for p in authentic for t in p["traits"]]
    share = np.array([1 / len(p["traits"]) for p in authentic for _ in p["traits"]])
    right = [t for p in planted if p["fold"] == fold for t in p["traits"] if t["right"]]
    x = np.array([inputs_of(_traits(t)) for t in wrong + right])
    given = DRAWN * np.array([drawn(_traits(t)) for t in wrong + right])
    y = np.r_[np.zeros(len(wrong)), np.ones(len(right))]
    # a picture counts once, however many things look alike in it
    weight = np.r_[FALSE_ALARMS * share / share.sum(), np.full(len(right), 1 / len(right))]
    weight /= weight.sum()
    print(
        f"fold {fold}: {len(wrong)} candidates of authentic pictures, {len(right)} planted copies"
    )
    scale = np.maximum(x.std(axis=0), 1e-6)

    def loss(p: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = given + p[0] + (x / scale) @ p[1:]
        off = weight * (1 / (1 + np.exp(-np.clip(z, -50, 50))) - y)
        value = (weight * (np.logaddexp(0, z) - y * z)).sum() + RIDGE * (p[1:] ** 2).sum()
        return float(value), np.r_[off.sum(), (x / scale).T @ off + 2 * RIDGE * p[1:]]

    bounds = [(None, None), *((0, None) if sign > 0 else (None, 0) for sign in INPUTS.values())]
    tight = {"ftol": 1e-13, "gtol": 1e-9, "maxiter": 5000, "maxfun": 50000}
    start = np.zeros(1 + len(INPUTS))
    fitted = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=tight)
    found = fitted.x
    return float(found[0]), dict(zip(INPUTS, (found[1:] / scale).tolist(), strict=True))


def _traits(kept: dict[str, Any]) -> Traits:
    return Traits(**{name: kept[name] for name in Traits.names()})


def _score(kept: dict[str, Any], bias: float, weights: dict[str, float]) -> float:
    odds = [log_odds(_traits(t), bias, weights) for t in kept["traits"]]
    return score_of(max(odds)) if odds else 0.0


def _report(
    untouched: list[dict[str, Any]],
    planted: list[dict[str, Any]],
    bias: float,
    weights: dict[str, float],
) -> None:
    """Share of each kind that is called a copy, and the area under the curve."""
    every = untouched + planted
    scores = np.array([_score(one, bias, weights) for one in every])
    called = scores > score_of(CALLED)
    kinds = np.array([one["kind"] for one in every])
    folds = np.array([one["fold"] for one in every])
    authentic = np.array([one.get("forged") == 0 for one in every])
    print(f"{'kind':32s}   fold 0        fold 1      AUC against all authentic")
    for kind in dict.fromkeys(kinds.tolist()):
        cells = []
        for fold in (0, 1):
            of_it = (kinds == kind) & (folds == fold)
            cells.append(f"{called[of_it].sum():3d} of {of_it.sum():3d}")
        of_it = kinds == kind
        area = ""
        if not authentic[of_it].all():
            apart = scores[of_it][:, None] - scores[authentic][None]
            area = f"{(apart > 0).mean() + 0.5 * (apart == 0).mean():.3f}"
        print(f"{kind:32s} {cells[0]:>12s}  {cells[1]:>12s}   {area}")


if __name__ == "__main__":
    sys.exit(main())
