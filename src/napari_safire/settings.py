"""How a picture is to be divided into its sources: one value, from the viewer to the engine."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["kmeans", "dbscan", "auto"]
METHODS: tuple[str, ...] = get_args(Method)
_MOST_SOURCES = 255
_MOST_POINTS_PER_SIDE = 128
_SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """What to ask of `napari_safire.engine.Engine.partition`.

    They may be incomplete while somebody still chooses: `check` says so.

    Parameters
    ----------
    method : {"auto", "kmeans", "dbscan"}
        "auto" finds the number of sources itself, one included; "kmeans" needs ``n_sources``;
        "dbscan" counts what lies apart.
    n_sources : int, optional
        Number of sources, for "kmeans" alone.
    eps : float, optional
        Distance for "dbscan" alone; None: chosen by a rule.
    seed : int
        Of k-means; the same seed gives the same partition.
    points_per_side : int
        Of the grid of prompts.
    """

    method: str = "auto"
    n_sources: int | None = None
    eps: float | None = None
    seed: int = 0
    points_per_side: int = 16

    def check(self) -> None:
        """Refuse what cannot be asked.

        Raises
        ------
        TypeError
            A count is no whole number, or ``eps`` no number.
        ValueError
            Something is missing, out of range, or not for this method; the message says which.
        """
        self._check_types()
        method, count, eps = self.method, self.n_sources, self.eps
        if method not in METHODS:
            raise ValueError(f"Unknown method {method!r}: use one of {', '.join(METHODS)}.")
        if method == "kmeans" and count is None:
            raise ValueError('Method "kmeans" needs n_sources; "auto" finds the number itself.')
        if count is not None and not 1 <= count <= _MOST_SOURCES:
            raise ValueError(f"n_sources is {count}, but must lie between 1 and {_MOST_SOURCES}.")
        if method != "kmeans" and count is not None:
            raise ValueError(
                f'n_sources is for method "kmeans"; {method!r} finds the number itself.'
            )
        if not 0 <= self.seed < _SEEDS:
            raise ValueError(f"seed is {self.seed}, but must lie between 0 and {_SEEDS - 1}.")
        if method == "dbscan" and eps is not None and not 0 < eps < math.inf:
            raise ValueError(f"eps is {eps}, but must be positive; None chooses it by a rule.")
        if not 1 <= self.points_per_side <= _MOST_POINTS_PER_SIDE:
            raise ValueError(
                f"points_per_side is {self.points_per_side}, but must lie between 1 and "
                f"{_MOST_POINTS_PER_SIDE}."
            )

    def _check_types(self) -> None:
        for name in ("n_sources", "seed", "points_per_side"):
            value = getattr(self, name)
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not (whole or (name == "n_sources" and value is None)):
                raise TypeError(f"{name} is {value!r}, but must be a whole number.")
        if self.eps is not None and not isinstance(self.eps, numbers.Real):
            raise TypeError(
                f"eps is {self.eps!r}, but must be a number; None chooses it by a rule."
            )
