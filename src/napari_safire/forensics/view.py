"""A forensic view: what it shows, when it misleads, what it needs, what makes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from napari_safire.errors import SafireError
from napari_safire.forensics.cache import RESULTS, fingerprint, size_of
from napari_safire.forensics.coarse import coarse
from napari_safire.forensics.evidence import Evidence
from napari_safire.forensics.picture import Picture
from napari_safire.progress import Cancel, Progress

Need = Literal["bytes", "file", "jpeg", "size", "reference"]
LEAST_SIDE = 64
"""Pixels: smaller pictures hold too few blocks and cells to compare."""

_NOT_PARAMETERS = ("picture", "progress", "cancel")


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at a picture.

    Parameters
    ----------
    name : str
        Short, lower case: "copy-move".
    shows : str
        One sentence.
    misleads : str
        When not to trust it.
    source : str
        The paper or format it follows.
    function : callable
        ``function(picture, *, progress, cancel, **parameters) -> Evidence``. Its annotations give
        the parameters' limits and units, as magicgui reads them.
    needs : tuple of {"bytes", "file", "jpeg", "size", "reference"}
        "bytes": a file, whether or not its pixels can be read; "size": at least 64 pixels a side;
        "reference": a parameter of this name.
    score_means : str
        What the score counts; empty where there is none.
    algorithm : int
        Number of what makes it; raised when results differ from those before.
    square : int
        Pixels a side of the squares that a coarse view is made of, a multiple of 8; 0 where there
        is none (`napari_safire.forensics.coarse`).
    lasting : bool
        A result may be kept: nothing counts but picture, file and parameters.
    of_pixels : bool
        It never looks at the file: the same pixels give the same result, whatever holds them.
    """

    name: str
    shows: str
    misleads: str
    source: str
    function: Callable[..., Evidence]
    needs: tuple[Need, ...] = ()
    score_means: str = ""
    algorithm: int = 1
    square: int = 0
    lasting: bool = True
    of_pixels: bool = False

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Parameters with their defaults."""
        signature = inspect.signature(self.function).parameters
        return MappingProxyType(
            {name: p.default for name, p in signature.items() if name not in _NOT_PARAMETERS}
        )

    def why_not(self, picture: Picture, parameters: Mapping[str, Any] | None = None) -> str:
        """Say why this view cannot be made of a picture; empty if it can."""
        if picture.why_no_pixels and "bytes" not in self.needs:
            return f"not applicable: {picture.why_no_pixels.removesuffix('.')}"
        if "reference" in self.needs and (parameters or {}).get("reference") is None:
            return "not applicable: no reference is given"
        if "size" in self.needs and min(picture.shape) < LEAST_SIDE:
            height, width = picture.shape
            return f"not applicable: {height} x {width} pixels are too few, it needs {LEAST_SIDE}"
        if {"bytes", "file", "jpeg"}.intersection(self.needs):
            if picture.file is None:
                return f"not applicable: {picture.why_no_file}"
            if "jpeg" in self.needs and not picture.is_jpeg:
                article = "an" if picture.file.format == "AVIF" else "a"
                return f"not applicable: {article} {picture.file.format} file, not a JPEG"
            if "jpeg" in self.needs:
                try:
                    _ = picture.coefficients
                except ValueError as error:
                    return f"not applicable: {str(error).removesuffix('.')}"
        return ""


class NotApplicable(SafireError):
    """A view was asked of a picture that it cannot be made of."""


@dataclass(frozen=True, eq=False)
class EvidenceView:
    """A view of one picture; computed when it is first asked for.

    Parameters
    ----------
    view : View
    picture : Picture
    parameters : mapping of str to value
        Those that differ from the view's defaults.
    """

    view: View
    picture: Picture
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.parameters) - set(self.view.parameters))
        if unknown:
            raise ValueError(
                f"The view {self.view.name!r} has no parameter {unknown[0]!r}: it has "
                f"{', '.join(self.view.parameters) or 'none'}."
            )

    @cached_property
    def why_not(self) -> str:
        """Why the view does not apply: "not applicable: …"; empty if it does."""
        return self.view.why_not(self.picture, self.parameters)

    @property
    def applicable(self) -> bool:
        """Whether the view can be made of this picture."""
        return not self.why_not

    @property
    def cached(self) -> Evidence | None:
        """What the view found, if it is known already."""
        own: Evidence | None = self.__dict__.get("_whole")
        return own if own is not None else RESULTS.known(self._key)

    @property
    def result(self) -> Evidence:
        """What the view found; made when it is asked for, if it is not kept (`RESULTS`).

        Raises
        ------
        NotApplicable
            See `why_not`.
        """
        known = self.cached
        return known if known is not None else self.compute()

    @property
    def score(self) -> float | None:
        """Larger speaks more for a manipulation; None where the view has none or does not apply."""
        return self._told().score if self.applicable else None

    @property
    def finding(self) -> str:
        """What the view found in plain words; empty where it does not apply."""
        return self._told().finding if self.applicable else ""

    @property
    def caveat(self) -> str:
        """When not to trust what it shows, with what limits this very result."""
        own = self._told().caveats if self.applicable else ()
        return " ".join([self.view.misleads, *own])

    def _told(self) -> Evidence:
        """The result without its arrays: kept here, so that asking twice never computes twice."""
        if "_words" not in self.__dict__:
            self._note(self.result)
        words: Evidence = self.__dict__["_words"]
        return words

    def _note(self, found: Evidence) -> None:
        words = replace(found, map=None, links=None, regions=None)
        self.__dict__["_words"] = words
        if size_of(found) == 0:
            self.__dict__["_whole"] = found

    @cached_property
    def _key(self) -> tuple[Hashable, ...]:
        """All that a result rests on; the file as well, unless a view never looks into it."""
        file = None if self.view.of_pixels else self.picture.file
        return (
            self.picture.pixels_sha256,
            "" if file is None else file.sha256,
            self.view.name,
            self.view.algorithm,
            fingerprint({**self.view.parameters, **self.parameters}),
        )

    def compute(
        self, *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Evidence:
        """Return what is kept, or make the view, so that it can be followed and stopped.

        Parameters
        ----------
        progress : callable, optional
            Called as ``progress(done, total, stage)``.
        cancel : callable, optional
            Asked between parts of the work.

        Returns
        -------
        Evidence

        Raises
        ------
        NotApplicable
            See `why_not`.
        Cancelled
        """

        def make() -> Evidence:
            return self._made_of(self.picture, progress, cancel)

        self._check()
        found = RESULTS.obtain(self._key, make, cancel) if self.view.lasting else make()
        self._note(found)
        return found

    def coarse(
        self, *, progress: Progress | None = None, cancel: Cancel | None = None
    ) -> Evidence | None:
        """Make a first picture of a large picture: of squares of it, at full resolution.

        Parameters
        ----------
        progress, cancel : callable, optional
            As of `compute`.

        Returns
        -------
        Evidence or None
            A map alone, with a caveat that begins with "coarse: ". None where the view has no
            coarse form, and for pictures so small or narrow that the whole is as quick.

        Raises
        ------
        NotApplicable
            See `why_not`.
        Cancelled
        """
        self._check()
        if not self.view.square:
            return None
        return coarse(
            lambda picture: self._made_of(picture, progress, cancel),
            self.picture,
            self.view.square,
        )

    def _check(self) -> None:
        if self.why_not:
            raise NotApplicable(f"{self.view.name}: {self.why_not}.")

    def _made_of(
        self, picture: Picture, progress: Progress | None, cancel: Cancel | None
    ) -> Evidence:
        return self.view.function(
            picture, progress=progress, cancel=cancel, **dict(self.parameters)
        )

    def with_parameters(self, **parameters: Any) -> EvidenceView:
        """Return the same view with other parameters.

        Raises
        ------
        ValueError
            The view has no such parameter.
        """
        return EvidenceView(self.view, self.picture, {**self.parameters, **parameters})
