"""Pictures worth looking at: the worst and best of a set, false alarms, missed forgeries."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.optimize import linear_sum_assignment

from napari_safire.atomic import atomic_path
from napari_safire.errors import Cancelled, SafireError
from napari_safire.evaluation.entries import EvaluatedEntry
from napari_safire.evaluation.scoring import (
    ScoredPicture,
    ScoringSettings,
    basis_of,
    examine_entry,
)
from napari_safire.examination.overlay import RgbImage, render_heatmap, render_sources
from napari_safire.images.masks import resize_nearest
from napari_safire.images.pixels import PictureReader
from napari_safire.metrics import confusion_matrix
from napari_safire.types import LabelImage

if TYPE_CHECKING:
    from napari_safire.engine import Engine

# By which score pictures are ranked.
RANKING = {"sources": "p_miou_hungarian", "binary": "f1_fixed_above_floor"}
WORST, MISSED, FALSE_ALARM, BEST = "worst", "missed forgery", "false alarm", "best"
VIEWS = {
    "picture": "the picture",
    "truth": "the truth",
    "sources": "sources found",
    "heatmap": "forgery map",
}
_N_BEST = 3
_LONGEST_SIDE = 420  # pixels of a thumbnail


@dataclass(frozen=True, slots=True)
class Example:
    """A picture of a gallery.

    Parameters
    ----------
    result : EvaluatedEntry
    reasons : tuple of str
        Why it is shown, the most telling first: `WORST`, `MISSED`, `FALSE_ALARM`, `BEST`.
    files : mapping of str to Path
        Thumbnails by view (see `VIEWS`); empty where they could not be made.
    missing : str
        Why they could not be made; "" where they are there.
    """

    result: EvaluatedEntry
    reasons: tuple[str, ...]
    files: Mapping[str, Path]
    missing: str = ""


def choose_examples(
    results: Iterable[EvaluatedEntry], score: str, count: int
) -> list[tuple[EvaluatedEntry, tuple[str, ...]]]:
    """Choose what a gallery shows.

    Parameters
    ----------
    results : iterable of EvaluatedEntry
    score : str
        The higher the better.
    count : int
        Of the worst, of false alarms and of missed forgeries, each; of the best up to three.

    Returns
    -------
    list of (EvaluatedEntry, tuple of str)
        Each picture once, with all its reasons; by the first of them, the most striking first.
    """
    good = [result for result in results if result.error is None]
    ranked = [
        result
        for result in good
        if not result.authentic and not math.isnan(result.scores.get(score, math.nan))
    ]
    ranked.sort(key=lambda r: (r.scores[score], r.number))
    certain = sorted(good, key=lambda r: (r.scores.get("score", 0.0), r.number))
    worst = ranked[: min(count, math.ceil(len(ranked) / 2))]
    best = ranked[len(worst) :][-min(count, _N_BEST) :] if count else []
    groups = {
        WORST: worst,
        MISSED: [r for r in certain if not r.authentic and r.verdict == "no forgery found"][:count],
        FALSE_ALARM: [r for r in certain[::-1] if r.authentic and r.verdict == "forged"][:count],
        BEST: best[::-1],
    }
    reasons: dict[int, list[str]] = {}
    chosen: dict[int, EvaluatedEntry] = {}
    for reason, group in groups.items():
        for result in group:
            chosen.setdefault(result.number, result)
            reasons.setdefault(result.number, []).append(reason)
    return [(result, tuple(reasons[number])) for number, result in chosen.items()]


def make_examples(
    engine: Engine,
    results: Sequence[EvaluatedEntry],
    settings: ScoringSettings,
    folder: Path,
    count: int,
    *,
    on_picture: Callable[[str], None] = lambda _: None,
) -> list[Example]:
    """Ask the model once more for the pictures of a gallery, and draw what it found.

    Parameters
    ----------
    engine : Engine
    results : sequence of EvaluatedEntry
        Of undegraded pictures.
    settings : ScoringSettings
        As in the evaluation.
    folder : Path
        For thumbnails, named by the pictures' hashes; those that lie there and rest on the same
        model and settings are taken.
    count : int
        As in `choose_examples`.
    on_picture : callable
        Called with the name of each picture before it is asked.

    Returns
    -------
    list of Example
    """
    examples = []
    basis = basis_of(engine, settings).digest
    for result, reasons in choose_examples(results, RANKING[settings.kind], count):
        missing = ""
        files = {view: folder / f"{result.content[:16]}-{view}.jpg" for view in VIEWS}
        if not all(_drawn(path, basis) for path in files.values()):
            on_picture(result.entry.image.name)
            try:
                shown = examine_entry(engine, result.entry, settings)
            except Cancelled:
                raise
            except Exception as error:  # changed since it was scored, or memory ran out meanwhile
                files, missing = {}, f"It could not be drawn: {error}"
            else:
                _write_views(files, render_views(shown, settings), basis)
        examples.append(Example(result, reasons, files, missing))
    return examples


def render_views(shown: ScoredPicture, settings: ScoringSettings) -> dict[str, RgbImage]:
    """Draw a picture, its truth and the model's answers, small.

    Parameters
    ----------
    shown : ScoredPicture
    settings : ScoringSettings

    Returns
    -------
    dict of str to (h, w, 3) uint8 array
        By the names of `VIEWS`; all but the picture have a legend below.
    """
    found = shown.found
    assert found.partition is not None  # examine_entry asks for both
    assert found.forgery is not None
    picture = _thumbnail(found.image.pixels)
    height, width = picture.shape[:2]
    truth = resize_nearest(shown.truth, (height, width)).astype(np.uint8)
    labels = resize_nearest(found.partition.labels, (height, width))
    if settings.kind == "sources":
        labels = _numbered_like(truth, labels)
    heatmap = np.asarray(
        Image.fromarray(found.forgery.heatmap.astype(np.float32)).resize((width, height))
    ).clip(0, 1)
    names = ("authentic", "forged") if settings.kind == "binary" else _captions(int(truth.max()))
    return {
        "picture": picture,
        "truth": render_sources(picture, truth, names),
        "sources": render_sources(picture, labels, _captions(int(labels.max()))),
        "heatmap": render_heatmap(
            picture,
            replace(found.forgery, heatmap=heatmap),
            f"{found.forgery.verdict}: score {found.forgery.score:.2f}.",
        ),
    }


def _numbered_like(truth: LabelImage, labels: LabelImage) -> LabelImage:
    """Number what was found like the true sources it overlaps most, for the same colours."""
    shared = confusion_matrix(truth, labels)
    true, found = linear_sum_assignment(shared, maximize=True)
    numbers = np.full(shared.shape[1], -1)
    numbers[found] = true
    free = [n for n in range(sum(shared.shape)) if n not in true]
    numbers[numbers < 0] = free[: np.count_nonzero(numbers < 0)]
    return numbers[labels]


def _captions(highest: int) -> list[str]:
    return [f"source {k}" for k in range(highest + 1)]


def _thumbnail(pixels: npt.NDArray[Any]) -> RgbImage:
    height, width = pixels.shape[:2]
    # Thinned out first: a picture of 200 megapixels need not become floats for this.
    step = max(1, max(height, width) // (2 * _LONGEST_SIDE))
    rgb = PictureReader(pixels).crop(slice(0, None, step), slice(0, None, step))
    image = Image.fromarray(np.rint(rgb).astype(np.uint8))
    factor = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.asarray(image.resize(size))


def _drawn(path: Path, basis: str) -> bool:
    """Whether a thumbnail is there, whole, and of the same model and settings."""
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            image.load()
            return image.info.get("comment") == basis.encode()
    except (OSError, SyntaxError, ValueError):
        return False


def _write_views(files: Mapping[str, Path], views: Mapping[str, RgbImage], basis: str) -> None:
    for view, path in files.items():
        # In memory first: on a full disk, Pillow's JPEG encoder ends without a word and leaves a
        # part of the file.
        encoded = io.BytesIO()
        Image.fromarray(views[view]).save(encoded, "JPEG", quality=88, comment=basis.encode())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary:
                temporary.write_bytes(encoded.getvalue())
        except OSError as error:
            raise SafireError(f"{path} cannot be written: {error.strerror or error}.") from error
