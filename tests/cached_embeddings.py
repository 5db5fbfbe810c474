"""Embeddings that follow from a name, and a process that keeps and finds them.

By itself, and without torch: a process that is started anew imports what its function lies in.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from napari_safire.engine.cache import EmbeddingCache
from napari_safire.geometry import Geometry
from napari_safire.types import Embedding

MODEL = "c" * 64


def sha(text: object) -> str:
    return hashlib.sha256(str(text).encode()).hexdigest()


def made(name: object, cells: int = 4) -> Embedding:
    """An embedding whose features follow from the name of its picture."""
    seed = int(sha(name)[:8], 16)
    features = np.random.default_rng(seed).normal(size=(8, cells, cells)).astype(np.float32)
    geometry = Geometry((61, 90), (16 * cells, 16 * cells), (30.5, 64 / 3))
    return Embedding(features, geometry, sha(name), MODEL, (f"Sätze über {name}.",))


def assert_same(first: Embedding | None, second: Embedding) -> None:
    assert first is not None
    assert first.features.dtype == np.float32
    assert first.features.shape == second.features.shape
    assert first.features.tobytes() == second.features.tobytes()
    for name in ("geometry", "image_sha256", "checkpoint_sha256", "warnings"):
        assert getattr(first, name) == getattr(second, name)


def use_at_random(folder: str, max_bytes: int, seed: int, answers: Any) -> None:
    """Put, get, evict and now and then clear; answers how many hits there were, or what failed."""
    try:
        cache = EmbeddingCache(Path(folder), max_bytes)
        rng = np.random.default_rng(seed)
        hits = 0
        for step in range(250):
            name = int(rng.integers(12))
            found = cache.get(sha(name), MODEL)
            if found is None:
                assert cache.put(made(name)), cache.problem
            else:
                hits += 1
                assert_same(found, made(name))
            if step % 100 == 50:
                cache.clear()
        cache.put(made("last"))
        answers.put(hits)
    except BaseException as error:
        answers.put(repr(error))
