"""What a stored result rests on, so that it is never taken for the answer to another question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from napari_safire.text import brief

_NAMED = 10  # settings in one sentence
ALGORITHM = 4
"""Number of the arithmetic from pixels to labels, scores and verdicts: raise it with every change
that may move a digit of a result (``tests/unit/test_golden_labels.py`` holds labels of this
number)."""


@dataclass(frozen=True, slots=True)
class RunBasis:
    """What a stored result rests on.

    Parameters
    ----------
    checkpoint_sha256 : str
        Of the model's file.
    settings : mapping
        Everything that was asked for, precision included: names to JSON values.
    picture_sha256 : str or None
        Of the picture's file; None where the basis is that of many pictures.
    algorithm : int
        `ALGORITHM` of the version that made it.

    Examples
    --------
    >>> basis = RunBasis("ab" * 32, {"method": "auto"}, "cd" * 32)
    >>> RunBasis.from_record(basis.as_record()) == basis
    True
    >>> basis.differences(RunBasis("ef" * 32, {"method": "kmeans"}, "cd" * 32))
    ('model', 'settings (method)')
    """

    checkpoint_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    picture_sha256: str | None = None
    algorithm: int = ALGORITHM

    def __post_init__(self) -> None:
        # As JSON gives them back: tuples are lists, keys are text.
        settings = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        object.__setattr__(self, "settings", MappingProxyType(settings))

    def __hash__(self) -> int:
        return hash(self.digest)

    def as_record(self) -> dict[str, Any]:
        """Return JSON values from which `from_record` makes the same basis."""
        return {
            "algorithm": self.algorithm,
            "checkpoint_sha256": self.checkpoint_sha256,
            "picture_sha256": self.picture_sha256,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_record(cls, record: Any) -> RunBasis | None:
        """Read what `as_record` gave; None for anything else."""
        try:
            picture = record["picture_sha256"]
            basis = cls(
                str(record["checkpoint_sha256"]),
                record["settings"],
                None if picture is None else str(picture),
                int(record["algorithm"]),
            )
        except (ArithmeticError, KeyError, TypeError, ValueError, RecursionError):
            return None
        return basis

    @property
    def digest(self) -> str:
        """SHA-256 of the whole, in hexadecimal digits."""
        text = json.dumps(self.as_record(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: RunBasis) -> tuple[str, ...]:
        """Name what differs from another basis, in words for a sentence; empty if nothing does."""
        found = []
        if self.picture_sha256 != other.picture_sha256:
            found.append("picture")
        if self.checkpoint_sha256 != other.checkpoint_sha256:
            found.append("model")
        if self.algorithm != other.algorithm:
            found.append(
                f"algorithm ({brief(self.algorithm, 20)} and {brief(other.algorithm, 20)})"
            )
        names = sorted(self.settings.keys() | other.settings.keys())
        missing = object()
        changed = [
            name
            for name in names
            if self.settings.get(name, missing) != other.settings.get(name, missing)
        ]
        if changed:
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            named = ", ".join(brief(name, 60) for name in changed[:_NAMED])
            found.append(f"settings ({named}{more})")
        return tuple(found)
