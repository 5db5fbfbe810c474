"""Golden results of `napari_safire.basis.ALGORITHM`: what every part of the engine answers.

``python tests/golden_labels.py`` makes them anew, after the number was raised. They are compared
with tolerance (`differences`), because processors round differently; see the lab notes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from synthetic import photograph

from napari_safire import Embedding, Engine, load_model
from napari_safire.basis import ALGORITHM
from napari_safire.forgery import ForgeryMap
from napari_safire.images.demo import demo_composite
from napari_safire.model import ModelConfig
from napari_safire.types import FloatImage, SourcePartition, SourceRegion

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "golden"
COMMAND = "python tests/golden_labels.py"
LEAST_AGREEMENT = 0.999  # of pixels
MOST_APART = 1e-4  # scores and confidences
# Shares of repetitions, which one prompt or cell on a border changes by more than that.
COUNTED = {"dbscan": 0.02, "dbscan, eps given": 0.02, "stability": 0.02}
POINTS_PER_SIDE = 8

# Where two sources of the others are chance, so is how often they are found again: another
# processor's rounding changes it by a fifth.
STEADY = ("demo", "parity")

Answer = dict[str, Any]


def pictures() -> dict[str, np.ndarray]:
    """Small pictures by name: three made on the spot, one of the demo, that of the parity data."""
    rng = np.random.default_rng(17)
    plain = photograph(3, (192, 256))
    pasted = plain.copy()  # a smooth region: its noise is another camera's
    smooth = np.asarray(
        Image.fromarray(photograph(4, (96, 128))).resize((256, 192), Image.Resampling.BICUBIC)
    )
    pasted[48:144, 96:208] = smooth[48:144, 96:208]
    three = pasted.copy()
    noisy = photograph(5, (192, 256)) + rng.integers(-40, 41, (192, 256, 3))
    three[:, :64] = np.clip(noisy, 0, 255).astype(np.uint8)[:, :64]
    with Image.open(DATA / "parity" / "image.png") as image:
        parity = np.asarray(image.convert("RGB"))
    return {
        "plain": plain,
        "pasted": pasted,
        "three": three,
        "demo": np.ascontiguousarray(demo_composite()[0][256:768, 160:672]),
        "parity": parity,
    }


def engines() -> dict[str, Engine]:
    """The model that is shipped, and the small published one that goes by prompts."""
    folder = DATA / "parity"
    published = load_model(
        folder / "checkpoint.pth",
        config=ModelConfig.from_json(folder / "config.json"),
        device="cpu",
    )
    return {
        "safire-lite": Engine(load_model("safire-lite", device="cpu")),
        "prompts": Engine(published),
    }


def _of_partition(found: SourcePartition) -> Answer:
    confidences = [region.confidence for region in found.representatives]
    return {"labels": found.labels, "n_sources": found.n_sources, "scores": confidences}


def _of_map(found: ForgeryMap) -> Answer:
    labels = (found.heatmap > 0.5).astype(np.uint8)
    return {"labels": labels, "verdict": found.verdict, "scores": [found.score]}


def _of_click(found: list[SourceRegion]) -> Answer:
    return {"labels": found[0].mask.astype(np.uint8), "scores": [found[0].confidence]}


def _of_stability(found: FloatImage) -> Answer:
    return {"labels": (found > 0.75).astype(np.uint8), "scores": [float(found.mean())]}


def _partition(*arguments: Any, **how: Any) -> Callable[[Engine, Embedding], Answer]:
    how = {"points_per_side": POINTS_PER_SIDE} | how
    return lambda engine, embedding: _of_partition(engine.partition(embedding, *arguments, **how))


QUESTIONS: dict[str, Callable[[Engine, Embedding], Answer]] = {
    "auto": _partition("auto"),
    "kmeans": _partition("kmeans", 3),
    "dbscan": _partition("dbscan"),
    "dbscan, eps given": _partition("dbscan", eps=0.5),
    "localize": lambda engine, embedding: _of_map(
        engine.localize(embedding, points_per_side=POINTS_PER_SIDE)
    ),
    "click": lambda engine, embedding: _of_click(engine.segment(embedding, [(96, 128)])),
    "stability": lambda engine, embedding: _of_stability(
        engine.stability(
            embedding,
            engine.partition(embedding, "kmeans", 2, points_per_side=POINTS_PER_SIDE),
            8,
        )
    ),
}


def answers() -> Iterator[tuple[str, str, Answer]]:
    """Model and picture, question, answer."""
    shown = pictures()
    for model, engine in engines().items():
        for name in ("plain", "pasted", "three", "demo") if model == "safire-lite" else ("parity",):
            embedding = engine.embed(shown[name])
            for question, ask in QUESTIONS.items():
                if question == "stability" and name not in STEADY:
                    continue
                yield f"{model}, {name}", question, ask(engine, embedding)


def differences(asked: str, golden: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Say what differs in the answers to a question by more than rounding explains."""
    told = []
    most = COUNTED.get(asked, MOST_APART)
    if golden.get("n_sources") != found.get("n_sources"):
        told.append(f"{found.get('n_sources')} sources instead of {golden.get('n_sources')}")
    if golden.get("verdict") != found.get("verdict"):
        told.append(f"{found.get('verdict')!r} instead of {golden.get('verdict')!r}")
    if golden["labels"].shape != found["labels"].shape:
        told.append(f"labels of {found['labels'].shape} instead of {golden['labels'].shape}")
    elif (agreement := float((golden["labels"] == found["labels"]).mean())) <= LEAST_AGREEMENT:
        told.append(f"{agreement:.2%} of the labels are the same")
    scores = np.array(golden["scores"]), np.array(found["scores"])
    if scores[0].shape == scores[1].shape and np.abs(scores[0] - scores[1]).max() > most:
        told.append(
            f"scores {scores[1].round(5).tolist()} instead of {scores[0].round(5).tolist()}"
        )
    return told


def digests() -> dict[str, str]:
    """Hashes of the pictures: if one of these differs, it is not the engine that changed."""
    return {
        name: hashlib.sha256(pixels.tobytes()).hexdigest() for name, pixels in pictures().items()
    }


def read(number: int = ALGORITHM) -> tuple[dict[str, str], dict[tuple[str, str], Answer]]:
    """Read the golden answers of an algorithm: digests of the pictures, and answers.

    Raises
    ------
    FileNotFoundError
    """
    stored = json.loads((GOLDEN / f"algorithm-{number}.json").read_text(encoding="utf-8"))
    with np.load(GOLDEN / f"algorithm-{number}.npz") as labels:
        for place, one in enumerate(stored["answers"]):
            one["labels"] = labels[f"{place}"]
    return stored["pictures"], {(one.pop("of"), one.pop("asked")): one for one in stored["answers"]}


def make() -> None:
    """Write the golden answers of this algorithm."""
    GOLDEN.mkdir(exist_ok=True)
    found = [{"of": of, "asked": asked, **answer} for of, asked, answer in answers()]
    labels = {f"{place}": one.pop("labels") for place, one in enumerate(found)}
    text = json.dumps({"pictures": digests(), "answers": found}, indent=1)
    for old in GOLDEN.glob("algorithm-*"):
        old.unlink()
    (GOLDEN / f"algorithm-{ALGORITHM}.json").write_text(text + "\n", encoding="utf-8")
    np.savez_compressed(GOLDEN / f"algorithm-{ALGORITHM}.npz", **labels)
    print(f"{len(found)} golden answers of algorithm {ALGORITHM} are in {GOLDEN}.")


if __name__ == "__main__":
    make()
