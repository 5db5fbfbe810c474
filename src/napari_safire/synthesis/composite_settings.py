"""The distribution that composites are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_safire.synthesis.degradations import Degradation

OPERATIONS = ("splicing", "copy-move", "removal", "reconstruction")


@dataclass(frozen=True, slots=True)
class CompositeSettings:
    """The distribution that composites are drawn from.

    Parameters
    ----------
    source_counts : tuple of float
        Probability of 1, 2, 3 ... sources; they sum to one.
    same_photo : float
        Share of composites whose spliced sources all come from one photograph.
    untouched : float
        Share of composites whose background is a piece of the photograph as it is, without a
        processing of its own. Of one source they are authentic pictures.
    final_jpeg : float
        Share of composites that are compressed once more as a whole.
    final_quality : (int, int)
        Range of the quality of that compression (inclusive).
    degraded : float
        Share of composites that are degraded as a whole before that.
    degradations : tuple of str
        What by, drawn with equal probability: names of `napari_safire.synthesis.degradations`, all
        but "social". Of "resize" the composite is made larger (smaller) before.
    smallest : float
        No source is smaller than this share of the picture.
    operations : mapping of str to float
        Probability of "splicing", "copy-move", "removal" and "reconstruction", drawn for each
        region; they sum to one.
    inpainters : tuple of str
        What removals are filled by, drawn with equal probability: "biharmonic", "clone", or
        ``package.module:name``.
    reconstructors : tuple of str
        "patch-autoencoder", or ``package.module:name``.
    strengths : tuple of float
        Of reconstructions, 0 to 1, drawn with equal probability.
    """

    source_counts: tuple[float, ...] = (0.1, 0.45, 0.3, 0.15)
    same_photo: float = 0.4
    untouched: float = 0.0
    final_jpeg: float = 0.5
    final_quality: tuple[int, int] = (75, 98)
    degraded: float = 0.0
    degradations: tuple[str, ...] = ("blur-3", "noise-3", "noise-7", "gamma-0.85", "gamma-1.15")
    smallest: float = 0.02
    operations: Mapping[str, float] = field(default_factory=lambda: {"splicing": 1.0})
    inpainters: tuple[str, ...] = ("biharmonic", "clone")
    reconstructors: tuple[str, ...] = ("patch-autoencoder",)
    strengths: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 0.95)

    def __post_init__(self) -> None:
        if abs(sum(self.source_counts) - 1) > 1e-6 or min(self.source_counts, default=-1) < 0:
            raise ValueError(
                f"source_counts must be probabilities that sum to one, not {self.source_counts}."
            )
        if not 0 < self.smallest <= 0.2:
            raise ValueError(f"smallest must lie in (0, 0.2], not {self.smallest}.")
        for name in ("same_photo", "untouched", "final_jpeg", "degraded"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, not {getattr(self, name)}.")
        low, high = self.final_quality
        if not 1 <= low <= high <= 100:
            raise ValueError(
                f"final_quality must be 1 <= lowest <= highest <= 100, not {self.final_quality}."
            )
        self._check_operations()
        self._check_degradations()

    def _check_operations(self) -> None:
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown:
            raise ValueError(
                f"operations must be of {', '.join(OPERATIONS)}, not {', '.join(unknown)}."
            )
        shares = list(self.operations.values())
        if abs(sum(shares) - 1) > 1e-6 or min(shares, default=-1) < 0:
            raise ValueError(
                f"operations must be probabilities that sum to one, not {dict(self.operations)}."
            )
        for name in ("inpainters", "reconstructors", "strengths"):
            if isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"{name} must list one or more, not {getattr(self, name)!r}.")
        if not all(0 <= strength <= 1 for strength in self.strengths):
            raise ValueError(f"strengths must lie in 0 to 1, not {self.strengths}.")

    def _check_degradations(self) -> None:
        if isinstance(self.degradations, str) or not self.degradations:
            raise ValueError(f"degradations must list one or more, not {self.degradations!r}.")
        for name in self.degradations:
            if Degradation.parse(name).kind == "social":
                raise ValueError(
                    f"{name} gives pictures a size of its own: name other degradations, such as "
                    "resize-0.75 or jpeg-75."
                )
