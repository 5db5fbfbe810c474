"""The review of the picture that is selected: its case, and every step of the reviewer.

Everything that touches a file is done in the session's file worker; closing waits for it. What a
step left is read anew and shown, also where somebody else was quicker.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_safire.errors import sentence
from napari_safire.project.store import Project
from napari_safire.review.case import Case, case_folder_of
from napari_safire.review.values import (
    CaseDescription,
    Checked,
    Finding,
    Judgement,
    Signature,
    Stance,
)
from napari_safire.session.messages import ANYWHERE, Topic
from napari_safire.session.planes import PlaneKey
from napari_safire.session.review.cases import Cases, Selected
from napari_safire.session.review.drafts import Drafts
from napari_safire.session.review.opened import OpenCase, read_case_of
from napari_safire.session.review.steps import by_name, do_step, with_key
from napari_safire.session.review.typed import Typed
from napari_safire.session.session import Session

if TYPE_CHECKING:
    from napari_safire.review.analysis import Analysis

Then = Callable[[], None]
LOOKING = "Looking for the case …"
OPENING = "Opening the case …"
KEEPING = "Keeping it …"
SIGNING = "Signing …"
FINDING, CASE, VERDICT = "finding", "case", "verdict"
"""Forms."""


class ReviewWork:
    """Keeps what a reviewer says of one picture after the other.

    Parameters
    ----------
    session : Session
    drafts : Drafts, optional

    Attributes
    ----------
    selected : Selected or None
    doing : str
        What is waited for, for people.
    changed : Signal()
        Another picture is selected, or its case is another, or is read anew.
    opened_now : Signal()
        A case was opened, or another picture with a case is selected: forms show what was typed.
    """

    changed = Signal()
    opened_now = Signal()

    def __init__(self, session: Session, drafts: Drafts | None = None) -> None:
        self._session = session
        self._typed = Typed(session, drafts or Drafts(), self._failed)
        self._cases = Cases(session, self._typed)
        self.selected: Selected | None = None
        self.doing = ""
        self._silent = False

    # ---------------------------------------------------------------- what is open

    @property
    def opened(self) -> OpenCase | None:
        """The case of the selected picture."""
        return self._cases.of(self.selected)

    @property
    def problem(self) -> str:
        """Why nothing can be said of the selected picture now, in a sentence."""
        opened = self.opened
        if self.selected is None:
            return "Open a picture first."
        if opened is None:
            return "Open or make the case of this picture first."
        if opened.case.project.read_only:
            return "This case may only be read: its folder cannot be written to."
        return opened.problem

    @property
    def suggested(self) -> Path | None:
        """Where the case of the selected picture lies if nothing else is said."""
        file = None if self.selected is None else self.selected.file
        return None if file is None else case_folder_of(file)

    def select(self, selected: Selected | None) -> None:
        """Turn to another picture; its case is opened, if it has one."""
        before, self.selected = self.selected, selected
        another = _picture(before) != _picture(selected)
        if another:
            self.flush()
        if selected is not None and self._cases.is_to_be_looked_for(selected):
            plane = self._session.planes.find(selected.key)
            if plane is not None and plane.forgery is None:
                # Nobody has seen a verdict yet: none comes in between.
                self._session.blind.hide(selected.key)
            self._begin(LOOKING)
            self._cases.look_for(selected, lambda *found: self._opened(selected, *found))
            return
        self._hide()
        if another and self.opened is not None:
            self.opened_now.emit()
        self.changed.emit()

    def open_case(
        self, folder: Path, description: CaseDescription | None = None, then: Then | None = None
    ) -> None:
        """Open the case of the selected picture in a folder, or make it.

        Parameters
        ----------
        folder : Path
        description : CaseDescription, optional
            Of a case that is made; without, it has to be there.
        then : callable, optional
            Called once it is open.
        """
        selected = self.selected
        if selected is None:
            self._tell("Open a picture first.", failed=True)
        elif selected.file is None:
            self._tell("A case is about a picture file: save this picture first.", failed=True)
        else:
            self._begin(OPENING)
            self._cases.open(
                selected,
                folder,
                description,
                lambda opened, problem: self._opened(selected, opened, problem, then),
            )

    def choose_reviewer(self, name: str) -> None:
        """Review in another name from now on, on this machine."""
        selected = self.selected
        if selected is not None:
            self.flush()
            self._begin(OPENING)
            self._cases.review_as(selected, name, lambda *found: self._opened(selected, *found))

    def _opened(
        self, selected: Selected, opened: OpenCase | None, problem: str, then: Then | None = None
    ) -> None:
        self.doing = ""
        if problem:
            self._tell(problem, failed=True, key=selected.key)
        if self._cases.of(selected) is None:
            self._session.blind.hide(selected.key, hidden=False)
        for notice in () if opened is None else opened.notices:
            self._tell(notice, key=selected.key)
        if _picture(self.selected) == _picture(selected):
            self._hide()
            if opened is not None:
                self.opened_now.emit()
        self.changed.emit()
        if opened is not None and then is not None:
            then()

    def read_anew(self) -> None:
        """Look at the case and its picture again: others may have changed either."""
        if self.opened is not None:
            self._act(lambda case: None, begins=False)

    # ---------------------------------------------------------------- the model's verdict

    def reveal(self) -> None:
        """Show the model's verdict before one's own; that is noted."""
        self._act(lambda case: case.show_verdict())

    def verdict_came(self, key: PlaneKey) -> None:
        """The model says something else of a plane: note that it was shown, where it is."""
        if self.selected is not None and key == self.selected.key:
            self._note_shown()

    def _note_shown(self) -> None:
        opened = self.opened
        if opened is None or not self._is_seen() or self.problem:
            return
        if opened.mine.begun_at and not opened.mine.shown_at:
            self._act(lambda case: case.show_verdict())

    def _is_seen(self) -> bool:
        """Whether the model's verdict on the selected picture is on screen."""
        key = None if self.selected is None else self.selected.key
        plane = None if key is None else self._session.planes.find(key)
        hidden = self._session.blind.hides(key)
        return plane is not None and plane.forgery is not None and not hidden

    def _hide(self) -> None:
        """Hide the model's verdict on the selected picture, or show it, as its case has it."""
        opened, selected = self.opened, self.selected
        if opened is None or selected is None:
            return
        if opened.is_blind and self._is_seen() and not opened.mine.begun_at:
            return  # it was on screen before: no first look is blind any more
        self._session.blind.hide(selected.key, opened.is_blind)
        self._note_shown()

    # ---------------------------------------------------------------- steps

    def describe(self, description: CaseDescription, then: Then | None = None) -> None:
        """Say what the case is about."""
        self._act(lambda case: case.describe(description), then, begins=False, form=CASE)

    def note(self, finding: Finding, revision: int, then: Then, otherwise: Then) -> None:
        """Note a finding, or another revision of it.

        Parameters
        ----------
        finding : Finding
        revision : int
            That it goes on from; 0: it is new.
        then, otherwise : callable
            Called once it is kept, or could not be.
        """
        self._act(
            lambda case: case.note(finding, revision),
            then,
            otherwise,
            form=FINDING,
        )

    def judge(
        self,
        judgement: Callable[[str | None], Judgement],
        labels: npt.NDArray[np.integer[Any]] | None,
        answers: Sequence[Checked],
        key: Path | None = None,
        then: Then | None = None,
    ) -> None:
        """Give a verdict and sign it.

        Parameters
        ----------
        judgement : callable
            Takes the SHA-256 of the labels, or None.
        labels : (H, W) integer array or None
            The sources that it speaks of, from 1.
        answers : sequence of Checked
            The checklist, as it was answered for this verdict.
        key : Path, optional
            Public key of an SSH key to sign with; default: by name alone.
        then : callable, optional
            Called once it is kept.
        """
        opened = self.opened
        before = None if opened is None else opened.mine.verdict
        revision = 0 if before is None else before.revision

        def act(case: Case) -> None:
            if tuple(answers) != case.review().of(case.reviewer).checklist:
                case.check(answers)
            kept = None if labels is None else case.keep_labels(labels)
            judged = case.judge(judgement(kept), revision)
            if key is None:
                case.sign(by_name(case, case.reviewer, judged.sha256))

        def given() -> None:
            now = self.opened
            if key is not None and now is not None:
                self.sign(now.case.reviewer, key=key)
            if then is not None:
                then()

        self._act(act, given, form=VERDICT)

    def sign(
        self,
        reviewer: str,
        stance: Stance = "signs",
        comment: str = "",
        key: Path | None = None,
        then: Then | None = None,
    ) -> None:
        """Sign the verdict of a reviewer, or dispute it.

        Parameters
        ----------
        reviewer : str
        stance : {"signs", "disputes"}
        comment : str
        key : Path, optional
            As of `judge`.
        then : callable, optional
        """
        opened = self.opened
        judged = None if opened is None else opened.review.of(reviewer).verdict
        if opened is None or judged is None:
            self._tell("There is no verdict to sign.", failed=True)
            return
        case, sha256, selected = opened.case, judged.sha256, self.selected

        def keep(signature: Signature) -> None:
            if _picture(self.selected) == _picture(selected):
                self._act(lambda case: case.sign(signature), then)
            else:
                self._tell("Not signed: another picture was selected meanwhile.", failed=True)

        def refused(error: Exception) -> None:
            self.doing = ""
            self._failed(error)
            self.changed.emit()

        def make() -> Signature:
            signature = by_name(case, reviewer, sha256, stance, comment)
            return signature if key is None else with_key(case, signature, key)

        # Not in the file worker: a passphrase may have to be typed, and no autosave waits for it.
        self._begin(SIGNING)
        self._session.run(make, keep, refused)

    def keep_analysis(self, analysis: Analysis) -> None:
        """Keep what model and views said of the selected picture with its case."""

        def act(case: Case) -> None:
            from napari_safire.review.report.making import keep_analysis

            keep_analysis(case, analysis)

        self._act(act)

    def _act(
        self,
        act: Callable[[Case], object],
        then: Then | None = None,
        otherwise: Then | None = None,
        *,
        begins: bool = True,
        form: str = "",
    ) -> None:
        """Do a step in the file worker, then show what the case says.

        Once it is kept, what was typed into its form is none any more, unless one went on typing.
        """
        opened, selected = self.opened, self.selected
        if opened is None or selected is None or (begins and self.problem):
            self._tell(self.problem, failed=True)
            if otherwise is not None:
                otherwise()
            return
        case, own, seen = opened.case, opened.own, self._is_seen()
        typed = self.typed(form)
        pixels = self._cases.pixels(selected.key)

        def work() -> tuple[OpenCase, str]:
            before = read_case_of(case, pixels, own=own)
            problem = before.problem if begins else ""
            problem = problem or do_step(case, before, act, begins=begins, seen=seen)
            return read_case_of(case, pixels, own=own, problem=before.problem), problem

        def done(answer: tuple[OpenCase, str]) -> None:
            now, problem = answer
            self.doing = ""
            if problem:
                self._tell(problem, failed=True, key=selected.key)
            elif form:
                self._typed.drop(selected.key.picture, form, typed)
            if self._cases.renew(selected, now) and _picture(self.selected) == _picture(selected):
                self._hide()
            self.changed.emit()
            self._call(otherwise if problem else then)

        def failed(error: Exception) -> None:
            self.doing = ""
            self._failed(error)
            self.changed.emit()
            self._call(otherwise)

        self._begin(KEEPING)
        self._session.keep(work, done, failed)

    # ---------------------------------------------------------------- what is typed

    def typed(self, form: str) -> Mapping[str, Any]:
        """What was typed into a form for the selected picture, and is not kept yet."""
        return {} if self.selected is None else self._typed.of(self.selected.key.picture, form)

    def type_in(self, form: str, values: Mapping[str, Any] | None) -> None:
        """Note what is typed into a form for the selected picture; None: nothing any more."""
        if self.opened is not None and self.selected is not None:
            self._typed.note(self.selected.key.picture, form, values)

    def flush(self) -> None:
        """Write down what was typed since."""
        self._typed.flush()

    # ---------------------------------------------------------------- the end

    def forget(self, picture: Hashable) -> None:
        """A picture is closed: what was typed is kept, its case let go."""
        self._cases.forget(picture)
        if _picture(self.selected) == picture:
            self.selected = None
            self.changed.emit()

    def let_go(self, project: Project | None) -> None:
        """Another project, or none, is that of the queue: cases of the last one are none."""
        self._cases.let_go(project)

    def fall_silent(self) -> None:
        """Keep what was typed, and tell nobody anything from now on."""
        self.flush()
        self._silent = True
        self.changed.block()
        self.opened_now.block()

    def close(self) -> None:
        """Let go of all cases."""
        self._cases.close()
        self.selected = None

    # ---------------------------------------------------------------- helpers

    def _begin(self, doing: str) -> None:
        self.doing = doing
        self.changed.emit()

    def _call(self, then: Then | None) -> None:
        if then is not None and not self._silent:
            then()

    def _failed(self, error: Exception) -> None:
        self._tell(sentence(error), failed=True)

    def _tell(self, text: str, *, failed: bool = False, key: PlaneKey | None = None) -> None:
        if not self._silent:
            self._session.notice.emit(text, failed, ANYWHERE if key is None else Topic(key))


def _picture(selected: Selected | None) -> Hashable:
    return None if selected is None else selected.key.picture
