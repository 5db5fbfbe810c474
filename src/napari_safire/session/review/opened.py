"""A case as it was read last: what it says of its picture, and whether that is still the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_safire.images.files import file_sha256, why_unreadable
from napari_safire.project.pictures import ProjectPicture
from napari_safire.review.case import Case
from napari_safire.review.reading import PictureReview, Review
from napari_safire.review.values import CaseDescription
from napari_safire.session.planes import Pixels
from napari_safire.text import printable

Place = tuple[str, str, str]
"""Case, picture and reviewer: what belongs to one reviewer's work on one picture."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenCase:
    """The case of a picture, as it was read last.

    Parameters
    ----------
    case : Case
    description : CaseDescription
    picture : ProjectPicture
    path : Path
        Where the picture lies, if it was not moved.
    review : PictureReview
        Of everybody.
    problem : str
        Why nothing can be said of the picture now: it is gone, or another one.
    head : str
        SHA-256 of the last event.
    place : (str, str, str)
        Names the work: case, picture, reviewer.
    own : bool
        Whether the case was opened for this picture alone, and is closed with it; else it is the
        project of a queue.
    drafts : mapping
        What was typed before and not kept, by the names of the forms; read once, when it is opened.
    notices : tuple of str
        What else is to be told.
    """

    case: Case
    description: CaseDescription
    picture: ProjectPicture
    path: Path
    review: PictureReview
    problem: str
    head: str
    place: Place
    own: bool
    drafts: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def mine(self) -> Review:
        """What the reviewer did in whose name it is open."""
        return self.review.of(self.case.reviewer)

    @property
    def is_blind(self) -> bool:
        """Whether the model's verdict, and those of others, are to stay hidden now."""
        mine = self.mine
        return not mine.may_see_verdicts if mine.begun_at else self.description.blind

    @property
    def others(self) -> tuple[str, ...]:
        """Who else has reviewed the picture."""
        names = [review.reviewer for review in self.review.reviews]
        names += [noted.reviewer for noted in self.review.findings]
        return tuple(name for name in dict.fromkeys(names) if name != self.case.reviewer)


def place_of(case: Case) -> Place:
    """Name a reviewer's work on a picture; for the file worker."""
    return case.project.id, case.id, case.reviewer


def read_case_of(
    case: Case,
    pixels: Pixels | None,
    *,
    own: bool,
    drafts: Mapping[str, Any] | None = None,
    notices: tuple[str, ...] = (),
    problem: str | None = None,
) -> OpenCase:
    """Read a case anew; for the file worker.

    Parameters
    ----------
    case : Case
    pixels : Pixels or None
        Those that are on screen; None where they are one of several planes of a file.
    own, drafts, notices
        See `OpenCase`.
    problem : str, optional
        Where it was looked at a moment ago whether the picture is the same; default: look.

    Raises
    ------
    DatasetError
        The case is damaged.
    """
    picture, head = case.picture, case.project.head
    return OpenCase(
        case,
        case.description,
        picture,
        case.path,
        case.review(),
        why_another(picture, case.path, pixels) if problem is None else problem,
        "" if head is None else head.sha256,
        place_of(case),
        own,
        drafts or {},
        notices,
    )


def why_another(picture: ProjectPicture, path: Path, pixels: Pixels | None) -> str:
    """Say why a file, or what is on screen, is not the picture of a case; empty where it is.

    Parameters
    ----------
    picture : ProjectPicture
    path : Path
    pixels : Pixels or None
    """
    reason = why_unreadable(path)
    if reason:
        return f"The picture of this case is gone. {reason}"
    name = printable(path.name)
    try:
        if file_sha256(path) != picture.file_sha256:
            return f"{name} has changed since it came into this case: put the former file back."
        known = picture.pixels_sha256
        if pixels is not None and known is not None and pixels.identify() != known:
            return f"What is shown has other pixels than {name}: open the file anew."
    except (OSError, TypeError, ValueError) as error:
        return f"{name} cannot be read now: {error}"
    return ""
