"""The rows of a manifest: one a picture, with what was found or why nothing was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_safire.forgery import NETWORK, SCORED_VIEWS

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST_VERSION = 1
KEY_BYTES = 16


def contribution_column(name: str) -> str:
    """Return the column that holds what a kind of evidence adds to the verdict, in log odds.

    Examples
    --------
    >>> contribution_column("copy-move")
    'contribution_copy_move'
    """
    return "contribution_" + "".join(c if c.isalnum() else "_" for c in name.lower())


CONTRIBUTIONS = {name: contribution_column(name) for name in (NETWORK, *SCORED_VIEWS)}
"""Columns of the combined verdict's parts, by their names."""


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """What is known of one picture of a corpus.

    Parameters
    ----------
    key : bytes
        Of the picture and its state: `CorpusPicture.key`, 16 bytes.
    picture : str
        Its name, as it can be shown.
    place : bytes
        Its name as the file system has it, from the output folder; or its address.
    attempt : int
        From 0; the row with the highest counts.
    file_sha256 : str
        Empty where the bytes could not be read.
    same_as : str
        The picture whose bytes, examined before, are the same; empty where there is none.
    format : str
    height, width : int
        0 where the pixels could not be read.
    verdict : str
        Empty where there is none.
    score, likelihood_ratio, smallest_source : float or None
        Of the verdict; share of the picture that the smallest source covers.
    contributions : dict of str to float
        Log odds by `CONTRIBUTIONS`' names.
    n_sources : int
    number_probabilities : tuple of float
        Of 1, 2, … sources.
    warnings : tuple of str
    seconds : dict of str to float
        By stage.
    error_class, error : str
        Empty where all went well; else the exception's class, and a sentence.
    outputs : tuple of str
        Files, from the output folder.
    """

    key: bytes
    picture: str
    place: bytes
    attempt: int = 0
    file_sha256: str = ""
    same_as: str = ""
    format: str = ""
    height: int = 0
    width: int = 0
    verdict: str = ""
    score: float | None = None
    likelihood_ratio: float | None = None
    smallest_source: float | None = None
    contributions: dict[str, float] = field(default_factory=dict)
    n_sources: int = 0
    number_probabilities: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    error_class: str = ""
    error: str = ""
    outputs: tuple[str, ...] = ()

    def as_columns(self) -> dict[str, Any]:
        """Return the values of the row's columns."""
        return {
            "key": self.key,
            "picture": self.picture,
            "place": self.place,
            "attempt": self.attempt,
            "file_sha256": self.file_sha256,
            "same_as": self.same_as,
            "format": self.format,
            "height": self.height,
            "width": self.width,
            "verdict": self.verdict,
            "score": self.score,
            "likelihood_ratio": self.likelihood_ratio,
            "smallest_source": self.smallest_source,
            "n_sources": self.n_sources,
            "number_probabilities": list(self.number_probabilities),
            "warnings": list(self.warnings),
            "seconds": list(self.seconds.items()),
            "error_class": self.error_class,
            "error": self.error,
            "outputs": list(self.outputs),
            **{column: self.contributions.get(n) for n, column in CONTRIBUTIONS.items()},
        }

    @classmethod
    def from_columns(cls, values: dict[str, Any]) -> ManifestRow:
        """Make a row of what `as_columns` gave, as pyarrow gives it back."""
        values = dict(values)
        contributions = {n: values.pop(column) for n, column in CONTRIBUTIONS.items()}
        return cls(
            **{
                **values,
                "contributions": {n: v for n, v in contributions.items() if v is not None},
                "number_probabilities": tuple(values["number_probabilities"]),
                "warnings": tuple(values["warnings"]),
                "seconds": dict(values["seconds"]),
                "outputs": tuple(values["outputs"]),
            }
        )


def manifest_schema() -> pa.Schema:
    """Return the columns of a part, and of the manifest."""
    import pyarrow as pa

    text, real, number = pa.string(), pa.float64(), pa.int32()
    return pa.schema(
        [
            ("key", pa.binary(KEY_BYTES)),
            ("picture", text),
            ("place", pa.binary()),
            ("attempt", number),
            ("file_sha256", text),
            ("same_as", text),
            ("format", text),
            ("height", number),
            ("width", number),
            ("verdict", text),
            ("score", real),
            ("likelihood_ratio", real),
            ("smallest_source", real),
            ("n_sources", number),
            ("number_probabilities", pa.list_(pa.float32())),
            ("warnings", pa.list_(text)),
            ("seconds", pa.map_(text, pa.float32())),
            ("error_class", text),
            ("error", text),
            ("outputs", pa.list_(text)),
            *((column, real) for column in CONTRIBUTIONS.values()),
        ]
    )
