"""Objects of a picture, found by SAM: shapes for the regions of composites.

As SAM's automatic masks ("Segment Anything", Kirillov et al., ICCV 2023, appendix B): prompts on a
grid, three masks each; kept are those that the model rates highly and that hardly move with the
threshold; of masks that overlap much the better rated one stays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from napari_safire.errors import CheckpointError
from napari_safire.images.files import file_sha256
from napari_safire.learning.sam import load_sam

Masks = npt.NDArray[np.bool_]

_BATCH = 64  # prompts decoded at once
_MOST = 256  # masks that are compared with each other


@dataclass(frozen=True, slots=True)
class ObjectSettings:
    """Which masks count as objects.

    Parameters
    ----------
    points_per_side : int
        Of the grid of prompts.
    predicted_iou : float
        Least rating by the model.
    stability : float
        Least IoU of the masks at thresholds `offset` above and below 0.
    offset : float
        In logits.
    overlap : float
        Of two masks with a larger IoU the worse one is dropped.
    smallest, largest : float
        Share of the picture.
    """

    points_per_side: int = 16
    predicted_iou: float = 0.88
    stability: float = 0.95
    offset: float = 1.0
    overlap: float = 0.7
    smallest: float = 0.005
    largest: float = 0.6


class SamObjectMasks:
    """Finds objects with SAM; an `napari_safire.synthesis.shapes.ObjectMasks`.

    The model is loaded at the first picture; pickled, the object is its path and settings. The
    masks of the last picture are kept, since shapes are drawn of one picture again and again.

    Parameters
    ----------
    path : Path
        A published SAM checkpoint.
    settings : ObjectSettings
    device : str
    """

    def __init__(
        self, path: Path, settings: ObjectSettings | None = None, device: str = "cpu"
    ) -> None:
        self.path = Path(path)
        self.settings = settings or ObjectSettings()
        self.device = device
        self._sam: nn.Module | None = None
        self._last: tuple[str, list[Masks]] = ("", [])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sam": None, "_last": ("", [])}

    @property
    def name(self) -> str:
        """What decides the masks: the hash of the weights and the settings."""
        try:
            sha256 = file_sha256(self.path)
        except OSError as error:
            raise CheckpointError(
                f"There is no SAM checkpoint {self.path} ({error.strerror}): check the name."
            ) from error
        return f"sam {sha256} {self.settings}"

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> list[Masks]:
        """Find objects.

        Parameters
        ----------
        pixels : (H, W, 3) uint8 array

        Returns
        -------
        list of (H, W) bool array
            Best rated first.

        Raises
        ------
        CheckpointError
            The file is no SAM checkpoint.
        """
        digest = hashlib.sha256(pixels.tobytes() + repr(pixels.shape).encode()).hexdigest()
        if digest != self._last[0]:
            if self._sam is None:
                self._sam = load_sam(self.path).to(self.device)
            self._last = digest, find_objects(self._sam, pixels, self.settings)
        return self._last[1]


def find_objects(sam: Any, pixels: npt.NDArray[np.uint8], settings: ObjectSettings) -> list[Masks]:
    """Masks of the objects in (H, W, 3) uint8 pixels, best rated first."""
    height, width = pixels.shape[:2]
    side = sam.image_encoder.img_size
    size = tuple(max(1, round(length * side / max(height, width))) for length in (height, width))
    with torch.inference_mode():
        features, cells = _embedded(sam, pixels, size)
        logits, ratings = _decoded(sam, features, _grid(size, settings.points_per_side))
        # Of the square frame only what shows the picture.
        shown = tuple(-(-length * logits.shape[-1] // side) for length in size)
        logits = logits[:, : shown[0], : shown[1]]
        chosen = _chosen(logits, ratings, settings)
        full = [_full_size(sam, cells, logits_of, size, (height, width)) for logits_of in chosen]
    return full


def _embedded(sam: Any, pixels: npt.NDArray[np.uint8], size: tuple[int, ...]) -> tuple[Tensor, int]:
    small = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    frame = torch.from_numpy(np.array(small)).permute(2, 0, 1).to(sam.device)
    features = sam.image_encoder(sam.preprocess(frame.float())[None])
    return features, 4 * features.shape[-1]


def _grid(size: tuple[int, ...], points_per_side: int) -> Tensor:
    """(N, 2) prompts as (x, y) in the frame."""
    steps = (torch.arange(points_per_side) + 0.5) / points_per_side
    rows, cols = torch.meshgrid(steps * size[0], steps * size[1], indexing="ij")
    return torch.stack([cols.flatten(), rows.flatten()], -1)


def _decoded(sam: Any, features: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """(M, h, w) logits at a quarter of the frame's size, and (M,) ratings, M = 3 a prompt."""
    masks, ratings = [], []
    for some in points.to(features.device).split(_BATCH):
        foreground = torch.ones(len(some), 1, dtype=torch.int, device=some.device)
        sparse, dense = sam.prompt_encoder(
            points=(some[:, None], foreground), boxes=None, masks=None
        )
        logits, rated = sam.mask_decoder(
            image_embeddings=features,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        masks.append(logits.flatten(0, 1))
        ratings.append(rated.flatten())
    return torch.cat(masks), torch.cat(ratings)


def stability(logits: Tensor, offset: float) -> Tensor:
    """IoU of each mask at thresholds `offset` above and below 0: (M, h, w) -> (M,)."""
    inner = (logits > offset).flatten(1).sum(1)
    outer = (logits > -offset).flatten(1).sum(1)
    return inner / outer.clamp(min=1)


def suppressed(masks: Tensor, overlap: float) -> list[int]:
    """Greedy non-maximum suppression of (M, h, w) bool masks, best first: indices that stay."""
    flat = masks.flatten(1).float()
    shared = flat @ flat.T
    areas = flat.sum(1)
    iou = shared / (areas[:, None] + areas[None] - shared).clamp(min=1)
    stay: list[int] = []
    for index in range(len(masks)):
        if not stay or float(iou[index, stay].max()) <= overlap:
            stay.append(index)
    return stay


def _chosen(logits: Tensor, ratings: Tensor, settings: ObjectSettings) -> Tensor:
    shares = (logits > 0).flatten(1).float().mean(1)
    good = (
        (ratings >= settings.predicted_iou)
        & (stability(logits, settings.offset) >= settings.stability)
        & (shares >= settings.smallest)
        & (shares <= settings.largest)
    )
    kept = torch.nonzero(good).flatten()
    kept = kept[torch.argsort(ratings[kept], descending=True, stable=True)][:_MOST]
    stay = suppressed(logits[kept] > 0, settings.overlap)
    return logits[kept[stay]]


def _full_size(
    sam: Any, cells: int, logits: Tensor, size: tuple[int, ...], shape: tuple[int, int]
) -> Masks:
    # The part beyond the picture repeats its border, so that nothing bleeds in.
    padding = (0, cells - logits.shape[1], 0, cells - logits.shape[0])
    frame = nn.functional.pad(logits[None, None], padding, mode="replicate")
    full = sam.postprocess_masks(frame, size, shape)[0, 0] > 0
    mask: Masks = full.cpu().numpy()
    return mask
