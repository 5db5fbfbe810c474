"""The cases that are open, each of one picture; all their files are the file worker's."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_safire.errors import SafireError, sentence
from napari_safire.project.people import choose_annotator_name
from napari_safire.project.store import Project, is_project
from napari_safire.review.case import Case, case_folder_of, open_case
from napari_safire.review.placing import known_picture
from napari_safire.review.values import CaseDescription
from napari_safire.session.planes import Pixels, PlaneKey
from napari_safire.session.review.opened import OpenCase, place_of, read_case_of
from napari_safire.session.review.typed import Typed
from napari_safire.session.session import Session
from napari_safire.text import isolated

Answer = Callable[[OpenCase | None, str], None]
"""Takes the case that was opened, or None; and why it could not be, in a sentence."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The picture that is worked on.

    Parameters
    ----------
    key : PlaneKey
    file : Path or None
        That it comes from.
    project : Project or None
        That of a queue whose picture it is.
    picture : str
        Its id there.
    """

    key: PlaneKey
    file: Path | None = None
    project: Project | None = None
    picture: str = ""


class Cases:
    """Opens, reads and closes cases.

    Parameters
    ----------
    session : Session
    typed : Typed
        Begins with what was typed before into the forms of a case that is opened.
    """

    def __init__(self, session: Session, typed: Typed) -> None:
        self._session, self._typed = session, typed
        self._open: dict[Hashable, OpenCase] = {}
        self._looked: dict[Hashable, Project | None] = {}  # and as whose picture

    def of(self, selected: Selected | None) -> OpenCase | None:
        """The open case of a picture."""
        return None if selected is None else self._open.get(selected.key.picture)

    def is_to_be_looked_for(self, selected: Selected) -> bool:
        """Whether nobody has looked yet if a picture has a case, or it is that of another queue."""
        opened = self.of(selected)
        if opened is None:
            name = selected.key.picture
            return name not in self._looked or self._looked[name] is not selected.project
        return selected.project is not None and opened.case.project is not selected.project

    def look_for(self, selected: Selected, answer: Answer) -> None:
        """Open the case of a picture, if it has one.

        Parameters
        ----------
        selected : Selected
        answer : callable
        """
        self._looked[selected.key.picture] = selected.project

        def look() -> Case | None:
            if selected.project is not None:
                return Case(selected.project, selected.picture)
            if selected.file is None or not is_project(case_folder_of(selected.file)):
                return None
            return open_case(case_folder_of(selected.file), selected.file)

        self._read(selected, look, answer, own=selected.project is None)

    def open(
        self,
        selected: Selected,
        folder: Path,
        description: CaseDescription | None,
        answer: Answer,
    ) -> None:
        """Open the case of a picture in a folder, or make it.

        Parameters
        ----------
        selected : Selected
            With a file.
        folder : Path
        description : CaseDescription or None
            None: a case has to be there.
        answer : callable
        """
        file = selected.file
        assert file is not None

        came: list[str] = []

        def look() -> Case:
            if description is None and not is_project(folder):
                raise SafireError(f"{isolated(folder.name)} holds no case: make one, or choose it.")
            if is_project(folder) and not _has(folder, file):
                came.append(f"{isolated(file.name)} is in the case {isolated(folder.name)} now.")
            return open_case(folder, file, description=description)

        self._read(selected, look, answer, own=True, notices=came)

    def review_as(self, selected: Selected, name: str, answer: Answer) -> None:
        """Keep another name for this machine, and open the case of a picture in it."""
        opened = self.of(selected)

        def look() -> Case | None:
            kept = choose_annotator_name(name)
            if opened is None or not opened.own:
                return None
            return Case(Project.open(opened.case.project.folder, author=kept), opened.picture.id)

        self._read(selected, look, answer, own=True)

    def _read(
        self,
        selected: Selected,
        look: Callable[[], Case | None],
        answer: Answer,
        *,
        own: bool,
        notices: Sequence[str] = (),
    ) -> None:
        pixels = self.pixels(selected.key)

        def work() -> OpenCase | None:
            case = look()
            if case is None:
                return None
            try:
                drafts, problems = self._typed.read(place_of(case))
                told = (*notices, *problems)
                return read_case_of(case, pixels, own=own, drafts=drafts, notices=told)
            except BaseException:
                if own:
                    case.project.close()
                raise

        def done(opened: OpenCase | None) -> None:
            if opened is not None and not self._take(selected, opened):
                opened = None
            answer(opened, "")

        self._session.keep(work, done, lambda error: answer(None, sentence(error)))

    def _take(self, selected: Selected, opened: OpenCase) -> bool:
        """Note a case as open; false where its picture was closed meanwhile."""
        name = selected.key.picture
        if self._session.planes.find(selected.key) is None:
            self._close(opened)
            return False
        before = self._open.get(name)
        if before is not None:
            self._typed.flush()
            self._close(before)
        self._open[name] = opened
        self._typed.begin(name, opened.drafts, opened.place)
        return True

    def renew(self, selected: Selected, now: OpenCase) -> bool:
        """Take a case as it was read anew; false where another one, or none, is open by now."""
        before = self.of(selected)
        if before is None or before.case is not now.case:
            return False
        self._open[selected.key.picture] = now
        return True

    def pixels(self, key: PlaneKey) -> Pixels | None:
        """Pixels by which a picture is known; None for a plane of a stack."""
        plane = self._session.planes.find(key)
        return None if plane is None or key.index else plane.pixels

    def forget(self, picture: Hashable) -> None:
        """A picture is closed: its case is let go."""
        self._typed.forget(picture)
        self._looked.pop(picture, None)
        opened = self._open.pop(picture, None)
        if opened is not None:
            self._close(opened)

    def let_go(self, project: Project | None) -> None:
        """Another project, or none, is that of the queue: cases of the last one are none."""
        gone = [
            name
            for name, opened in self._open.items()
            if not opened.own and opened.case.project is not project
        ]
        for name in gone:
            self.forget(name)

    def close(self) -> None:
        """Let go of all."""
        for name in list(self._open):
            self.forget(name)

    def _close(self, opened: OpenCase) -> None:
        if not opened.own:
            return  # it is the queue's
        close = opened.case.project.close
        try:
            self._session.keep(close, ignore, ignore)  # behind what is still to be written
        except RuntimeError:  # the session has ended: all of it is written
            with suppress(SafireError):
                close()


def _has(folder: Path, picture: Path) -> bool:
    """Whether a project has a picture already."""
    with Project.open(folder, read_only=True) as project:
        return known_picture(project, Path(os.path.abspath(picture))) is not None


def ignore(_: object) -> None:
    """Take an answer that nobody waits for."""
