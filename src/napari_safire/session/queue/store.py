"""Where pictures and what is made of them lie: what going through a queue asks of any store.

Two there are: a folder or list with masks beside the pictures (`folder`), and a project
(`project_pictures`). Whoever goes through pictures knows no more of them than this.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from napari_safire.annotation.annotation import Annotation, Labels
from napari_safire.annotation.completeness import Completeness
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.errors import SafireError
from napari_safire.images.reading import ReadImage
from napari_safire.project.queries import PictureQuery, PictureRow, RowState, SortKey
from napari_safire.project.truth import PictureDescription
from napari_safire.session.queue.listing import Listing

Action = Literal[
    "done", "authentic", "waive", "reject", "accept", "describe", "second opinion", "choose output"
]
"""What a store lets be said of a picture; "choose output": masks may go into another folder."""
BeginFrom = Literal["given", "nothing", "partition", "mask", "work"]


class NotDone(SafireError):
    """A picture cannot be saved as done, and why.

    Parameters
    ----------
    text : str
    missing : Completeness
    """

    def __init__(self, text: str, missing: Completeness) -> None:
        super().__init__(text)
        self.missing = missing


class ChangedMeanwhile(SafireError):
    """A picture was changed by somebody else since it was opened; nothing was written.

    Parameters
    ----------
    text : str
        Who changed it and what can be done.
    by : str
        Who; empty where that is not known.
    at : str
        When, as ISO 8601; empty where that is not known.
    theirs : AnnotatedPlane
    """

    def __init__(self, text: str, by: str, at: str, theirs: AnnotatedPlane) -> None:
        super().__init__(text)
        self.by, self.at, self.theirs = by, at, theirs


@dataclass(frozen=True, slots=True)
class Mark:
    """What the user says of the picture that is to be saved.

    Parameters
    ----------
    state : {"done", "rejected", "accepted"}
    authentic : bool
        All of it is one source, and nothing was put into it.
    reason : str
        Of "done": why pixels may be without a source; of "rejected": what is to be done. Empty:
        none.
    else_begun : bool
        It is saved in any case: as begun, if it is not complete.
    """

    state: Literal["done", "rejected", "accepted"] = "done"
    authentic: bool = False
    reason: str = ""
    else_begun: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """What the work on a picture begins from.

    Parameters
    ----------
    what : {"given", "nothing", "partition", "mask", "work"}
        "given": the mask that came with the picture, if there is one. "partition": the model's.
        "mask": a file. "work": what another annotator has made of it, if it may be seen.
    mask : Path or None
        For "mask".
    annotator : str
        For "work".
    """

    what: BeginFrom = "given"
    mask: Path | None = None
    annotator: str = ""

    @property
    def title(self) -> str:
        """What it is called among the steps that can be undone."""
        whose = {"work": self.annotator, "mask": "" if self.mask is None else self.mask.name}
        return f"begin from {self.what} {whose.get(self.what, '')}".strip()


class PictureWork(Protocol):
    """A picture that was opened, and a piece of work on it as it was read or written last.

    `save` and `keep` are called in the file worker, one after the other: each has to know of the
    one before. All else is read in the owner's thread.
    """

    @property
    def key(self) -> str:
        """Names the picture in its store."""

    @property
    def kept_at(self) -> Hashable:
        """Where it is kept: as `PictureStore.kept_at` gives it."""

    @property
    def name(self) -> str:
        """The picture's file name, fit for sentences."""

    @property
    def path(self) -> Path:
        """Where the picture lies."""

    @property
    def image(self) -> ReadImage:
        """The picture."""

    @property
    def made(self) -> AnnotatedPlane:
        """What the store holds; nothing, if nothing was made yet."""

    @property
    def is_new(self) -> bool:
        """Whether nothing is kept of it: it may begin from anything."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be told of it, in plain sentences."""

    @property
    def annotator(self) -> str:
        """Whose piece of work it is; empty where nobody is named."""

    @property
    def description(self) -> PictureDescription:
        """What is said of its sources."""

    @property
    def keeps_steps(self) -> bool:
        """Whether `keep` writes every step; where not, the autosave does."""

    def is_current(self) -> bool:
        """Look up whether it is still what the store holds; for the reading worker."""

    def describe(self, description: PictureDescription) -> None:
        """Say something else of its sources, with the next `save` or `keep`.

        Raises
        ------
        SafireError
            The store holds no descriptions.
        """

    def begin_from(self, beginning: Beginning) -> None:
        """Note what the work began from, with the next `save` or `keep`."""

    def keep(self, made: AnnotatedPlane, title: str, seconds: float) -> bool:
        """Write down a step, so that it outlives this program.

        Parameters
        ----------
        made : AnnotatedPlane
        title : str
            What was done.
        seconds : float
            Worked on it since the last time.

        Returns
        -------
        bool
            False where the store held it already.

        Raises
        ------
        ChangedMeanwhile
        SafireError
            It cannot be written.
        """

    def save(
        self,
        annotation: Annotation,
        predictions: Predictions,
        about: Mapping[str, Any],
        mark: Mark | None = None,
        seconds: float = 0.0,
    ) -> tuple[str, ...] | None:
        """Write what was made of it, where that says something new.

        Parameters
        ----------
        annotation : Annotation
        predictions : Predictions
            Of the model that is in use. What another model said once stays, until this one has said
            something.
        about : mapping
            What is known of picture and model.
        mark : Mark, optional
            What is said of the picture besides.
        seconds : float
            Worked on it since the last `save` or `keep`.

        Returns
        -------
        tuple of str or None
            Sentences that the user would not think of himself; None where nothing was to be
            written.

        Raises
        ------
        NotDone
            It is no complete annotation.
        ChangedMeanwhile
            Somebody else has changed it.
        SafireError
            It cannot be written.
        """

    def take_theirs(self, conflict: ChangedMeanwhile) -> None:
        """Go on from what somebody else made; for the file worker."""

    def keep_mine(self, conflict: ChangedMeanwhile) -> str:
        """Go on with one's own as a second opinion; for the file worker.

        Returns
        -------
        str
            Under which name it is kept from now on.

        Raises
        ------
        SafireError
            The store holds one opinion only.
        """


class PictureStore(Protocol):
    """Pictures, and what is made of them.

    All but `kept_at` and the properties read files: they are called in the reading worker.
    """

    @property
    def title(self) -> str:
        """What the queue is called, fit for a screen."""

    @property
    def place(self) -> Path:
        """The folder or file that it was opened from."""

    @property
    def annotator(self) -> str:
        """In whose name work is kept; empty where nobody is named."""

    @property
    def opened_with(self) -> Mapping[str, str]:
        """What it was opened with besides its place: see `Queues.resume`."""

    @property
    def states(self) -> tuple[RowState, ...]:
        """In which a picture can be, in the order in which it goes through them."""

    @property
    def open_states(self) -> tuple[RowState, ...]:
        """Those in which there is something to do."""

    @property
    def sorts(self) -> tuple[SortKey, ...]:
        """What the pictures can be sorted by; the first one is the queue's own order."""

    @property
    def actions(self) -> frozenset[Action]:
        """What can be said of a picture."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told of it once, in plain sentences."""

    def listing(self, query: PictureQuery) -> Listing:
        """Put the pictures in an order; states are those last looked up."""

    def kept_at(self, key: str) -> Hashable:
        """Return where one's work on a picture is kept; the same for two stores of one place."""

    def look_up(self, keys: Sequence[str]) -> tuple[PictureRow, ...]:
        """Look up how far some pictures are; those that are gone are left out."""

    def read(self, key: str) -> PictureWork:
        """Read a picture with what was made of it.

        Raises
        ------
        SafireError
            It cannot be read, or something of it is damaged.
        """

    def locate(self, key: str) -> Path:
        """Return where a picture lies."""

    def people(self) -> tuple[str, ...]:
        """Return the names of all who work on any picture."""

    def tags(self) -> tuple[str, ...]:
        """Return all tags of pictures."""

    def tag(self, key: str, tags: Collection[str]) -> None:
        """Give a picture these tags in place of those that it had.

        Raises
        ------
        SafireError
            The store holds no tags, or they cannot be written.
        """

    def given(self, key: str) -> Labels | None:
        """Read the labels that came with a picture: (H, W) uint8, 0 where there is no source."""

    def annotators(self, key: str) -> tuple[str, ...]:
        """Whose work on a picture may be seen and begun from, besides one's own."""

    def other_work(self, key: str, annotator: str) -> AnnotatedPlane:
        """Read what another annotator has made of a picture.

        Raises
        ------
        SafireError
            There is none, or it may not be seen yet.
        """

    def close(self) -> None:
        """Let go of its files; called once nothing is read or written any more."""
