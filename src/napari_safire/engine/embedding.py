"""From picture to embedding: squashed for the ViT, in native overlapping tiles for lite."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from napari_safire.engine.memory import MemoryGuard
from napari_safire.engine.response import require_finite
from napari_safire.engine.tiling import tile_axis
from napari_safire.geometry import Geometry
from napari_safire.images.pixels import PictureReader
from napari_safire.model import SafireModel
from napari_safire.partitioning.silence import silence_of
from napari_safire.partitioning.uninformative import Reasons, pool_reasons, uninformative_patches
from napari_safire.progress import Cancel, Progress, report
from napari_safire.types import Embedding, FloatImage

Step = Callable[[int], None]
"""Called as ``step(n)`` before block n of the encoder, n from 1; may raise `Cancelled`."""

READING = "reading the picture's traces"
_STRIDE = 16
_TILE_OVERLAP = 8  # patches, at most a quarter of a tile


def embed_picture(
    memory: MemoryGuard, picture: PictureReader, progress: Progress | None, cancel: Cancel | None
) -> Embedding:
    """Run the encoder over one picture; see `napari_safire.engine.Engine.embed`."""
    model = memory.model
    embed = _embed_native if model.config.native_resolution else _embed_squashed
    features, geometry, uninformative = embed(memory, picture, progress, cancel)
    embedding = Embedding(
        features,
        geometry,
        picture.sha256,
        model.checkpoint_sha256,
        picture.warnings,
        uninformative,
    )
    if silence := silence_of(embedding):
        return replace(embedding, warnings=(*embedding.warnings, silence))
    return embedding


def _encode(memory: MemoryGuard, pixels: FloatImage, step: Step) -> FloatImage:
    """(H, W, 3) pixels in 0..255 to (C, h, w) features.

    Calls `step` before every block, so that it can be watched and stopped there: one pass of a ViT
    takes many seconds on a CPU.
    """
    # Colours stay last in memory, as NumPy has them: convolutions on a CPU are a fifth faster so.
    batch = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]

    def encode(model: SafireModel, _: int) -> FloatImage:
        with torch.inference_mode():
            features = model.encode(batch.to(model.device), step)[0].float()
            require_finite([features], model, READING)
            return features.cpu().numpy()

    return memory.attempt(encode, READING)


def _n_blocks(model: SafireModel) -> int:
    return len(model.image_encoder.blocks)  # type: ignore[arg-type]


def _embed_squashed(
    memory: MemoryGuard, picture: PictureReader, progress: Progress | None, cancel: Cancel | None
) -> tuple[FloatImage, Geometry, Reasons]:
    side, total = memory.model.config.image_size, _n_blocks(memory.model) + 1

    def step(done: int) -> None:
        report(progress, cancel, done, total, READING)

    step(0)
    pixels = picture.squashed(side)
    features = _encode(memory, pixels, step)
    step(total)
    geometry = Geometry(picture.shape, (side, side), (float(side), float(side)))
    return features, geometry, uninformative_patches(pixels)


def _embed_native(
    memory: MemoryGuard, picture: PictureReader, progress: Progress | None, cancel: Cancel | None
) -> tuple[FloatImage, Geometry, Reasons]:
    # The decoder's frame has at most `max_cells` a side: features of larger pictures are averaged
    # over `pool` x `pool` patches once every trace has been read at full resolution.
    config = memory.model.config
    patches = [math.ceil(length / _STRIDE) for length in picture.shape]
    pool = math.ceil(max(patches) / config.max_cells)
    patches = [math.ceil(n / pool) * pool for n in patches]
    largest = config.image_size // _STRIDE
    overlap = min(_TILE_OVERLAP, largest // 4)
    rows, cols = (tile_axis(n, largest, overlap) for n in patches)
    steps = _n_blocks(memory.model) + 1  # of a tile
    total = len(rows.starts) * len(cols.starts) * steps
    pooled_shape = (patches[0] // pool, patches[1] // pool)
    sums = np.zeros((config.prompt_dim, *pooled_shape), dtype=np.float32)
    weights = np.zeros(pooled_shape, dtype=np.float32)
    reasons = np.zeros([math.ceil(length / _STRIDE) for length in picture.shape], dtype=np.uint8)
    done = 0
    for i in range(len(rows.starts)):
        for j in range(len(cols.starts)):

            def step(n: int, done: int = done) -> None:
                report(progress, cancel, done + n, total, READING)

            step(0)
            shape = (rows.size * _STRIDE, cols.size * _STRIDE)
            piece = _tile_piece(picture, shape, rows.starts[i], cols.starts[j])
            found = uninformative_patches(piece)
            reasons[
                rows.starts[i] : rows.starts[i] + found.shape[0],
                cols.starts[j] : cols.starts[j] + found.shape[1],
            ] = found
            tile = _encode(memory, _padded(piece, shape), step)
            share = rows.weights(i)[:, None] * cols.weights(j)
            _add_pooled(sums, tile * share, rows.starts[i], cols.starts[j], pool)
            _add_pooled(weights[None], share[None], rows.starts[i], cols.starts[j], pool)
            done += steps
    report(progress, cancel, done, total, READING)
    geometry = Geometry(
        picture.shape,
        (pooled_shape[0] * _STRIDE, pooled_shape[1] * _STRIDE),
        (picture.shape[0] / pool, picture.shape[1] / pool),
    )
    return sums / weights, geometry, pool_reasons(reasons, picture.shape, pool)


def _tile_piece(picture: PictureReader, shape: tuple[int, int], row: int, col: int) -> FloatImage:
    """What there is of the picture in a tile of this shape that begins at patch (row, col)."""
    top, left = row * _STRIDE, col * _STRIDE
    return picture.crop(slice(top, top + shape[0]), slice(left, left + shape[1]))


def _padded(piece: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Pixels of a tile; what lies beyond the picture mirrors it."""
    missing = (shape[0] - piece.shape[0], shape[1] - piece.shape[1])
    return np.pad(piece, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


def _add_pooled(target: FloatImage, tile: FloatImage, row: int, col: int, pool: int) -> None:
    """Add a (C, h, w) tile that begins at (row, col) to sums over squares of ``pool`` patches."""
    if pool == 1:
        target[:, row : row + tile.shape[1], col : col + tile.shape[2]] += tile
        return
    for axis, start in ((1, row), (2, col)):
        lead = start % pool
        trail = -(lead + tile.shape[axis]) % pool
        padding = [(0, 0)] * 3
        padding[axis] = (lead, trail)
        tile = np.add.reduceat(
            np.pad(tile, padding), np.arange(0, lead + tile.shape[axis] + trail, pool), axis=axis
        )
    target[
        :,
        row // pool : row // pool + tile.shape[1],
        col // pool : col // pool + tile.shape[2],
    ] += tile
