"""A reviewer's own verdict, after a checklist; and what others say of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_safire.errors import DatasetError
from napari_safire.gui.controllers.review.controller import ReviewController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.curate.reason_line import ReasonLine
from napari_safire.gui.panels.review.checklist import ChecklistForm
from napari_safire.gui.panels.review.verdict_form import VerdictForm, judgement_of, values_of
from napari_safire.gui.panels.section import FoldedSection, Rows, button, elided_combo, plain
from napari_safire.review.reading import Judged, Review
from napari_safire.review.signatures import public_keys
from napari_safire.session.review.work import VERDICT
from napari_safire.text import isolated


class JudgementSection(FoldedSection):
    """Checklist, verdict and signature; the verdicts of others, to be signed or disputed.

    Parameters
    ----------
    controller : ViewerController
    review : ReviewController
    """

    def __init__(self, controller: ViewerController, review: ReviewController) -> None:
        super().__init__("Your verdict", "What you conclude, after a checklist; signed by you.")
        self._controller, self._review, self._work = controller, review, review.work
        self.checklist = FoldedSection(
            "Checklist", "Questions that come before any verdict.", quiet=True
        )
        self.questions = ChecklistForm()
        self.checklist.body.addWidget(self.questions)
        self.form = VerdictForm()
        self.why_not = plain()
        self.why_not.setAccessibleName("What is missing before it can be signed")
        self.key = elided_combo("Sign with", "Your name alone, or an SSH key of yours as well.")
        self.key.addItem("with my name", None)
        self.sign = button("Sign", "Give this verdict, in your name.", self._sign)
        self.given = plain()
        self.given.setAccessibleName("The verdict that you have given")
        self.others = QWidget()
        self._others = QVBoxLayout(self.others)
        self._others.setContentsMargins(0, 0, 0, 0)
        self._listed: tuple[Review, ...] = ()
        self.reason = ReasonLine()
        for widget in (
            self.checklist, self.form, self.why_not, Rows([self.key, self.sign], 2), self.given,
            self.others, self.reason,
        ):  # fmt: skip
            self.body.addWidget(widget)
        self.questions.edited.connect(self._typed)
        self.form.edited.connect(self._typed)
        self.unfolded.connect(self._look_for_keys)
        for signal, slot in (
            (review.work.changed, self._show),
            (review.work.opened_now, self._opened),
            (controller.shown, self._show_sources),
        ):
            self.connections.connect(signal, slot)
        self._show()

    # ---------------------------------------------------------------- what users do

    def _typed(self) -> None:
        values = self.form.values | {"checklist": self.questions.values}
        self._review.type_in(VERDICT, None if self._is_as_given(values) else values)
        self._show_missing()

    def _is_as_given(self, values: Mapping[str, Any]) -> bool:
        opened = self._work.opened
        if opened is None:
            return True
        mine = opened.mine
        before = {} if mine.verdict is None else values_of(mine.verdict.judgement)
        kept = {one.question: [one.answer, one.note] for one in mine.checklist}
        return values == before | {"checklist": kept}

    def _sign(self) -> None:
        values, labels = self.form.values, self._labels if self.form.speaks_of_sources else None
        try:
            answers = self.questions.answers
            judgement_of(values, "" if labels is not None else None)  # what is wrong is told now
        except DatasetError as error:
            self._controller.notice.emit(str(error), True, None)
            return
        self._work.judge(partial(judgement_of, values), labels, answers, self.key.currentData())

    @property
    def _labels(self) -> Any:
        plane = self._controller.plane
        snapshot = None if plane is None else plane.snapshot
        return None if snapshot is None else snapshot.labels

    def _look_for_keys(self) -> None:
        if self.key.count() == 1:
            self._controller.session.run(
                public_keys, self.connections.while_connected(self._show_keys)
            )

    def _show_keys(self, keys: tuple[Path, ...]) -> None:
        for key in keys if self.key.count() == 1 else ():
            self.key.addItem(f"and {isolated(key.stem)}", key)
        self.key.setVisible(self.key.count() > 1)

    def _dispute(self, reviewer: str) -> None:
        self.reason.ask(
            f"Why do you dispute the verdict of {isolated(reviewer)}?",
            "Dispute",
            lambda text: self._work.sign(reviewer, "disputes", text, self.key.currentData()),
        )

    # ---------------------------------------------------------------- what is shown

    def _opened(self) -> None:
        opened, typed = self._work.opened, self._work.typed(VERDICT)
        if opened is None:
            return
        mine = opened.mine
        given = {} if mine.verdict is None else values_of(mine.verdict.judgement)
        self.form.show_values(typed or given, self._sources)
        if typed:
            kept = typed.get("checklist")
            self.questions.show_values(kept if isinstance(kept, Mapping) else {})
        else:
            self.questions.show_answers(mine.checklist)
        self.checklist.heading.setChecked(bool(self.questions.n_open))
        self.reason.hide()
        self._show_missing()

    @property
    def _sources(self) -> list[int]:
        plane = self._controller.plane
        snapshot = None if plane is None else plane.snapshot
        return [] if snapshot is None else sorted(n for n, area in snapshot.areas.items() if n)

    def _show_sources(self, _: object = None) -> None:
        self.form.show_sources(self._sources)

    def _show(self) -> None:
        opened = self._work.opened
        for part in (self.checklist, self.form, self.why_not, self.sign, self.given, self.others):
            part.setVisible(opened is not None)
        self.key.setVisible(opened is not None and self.key.count() > 1)
        if opened is None:
            self.say_beside_title("")
            return
        verdict = opened.mine.verdict
        self.given.setText("" if verdict is None else f"Given: {given_words(verdict)}")
        self.given.setVisible(verdict is not None)
        self._show_missing()
        self._show_others(opened.review.reviews, opened.case.reviewer, hidden=opened.is_blind)

    def _show_missing(self) -> None:
        opened = self._work.opened
        if opened is None:
            return
        n_open, n_all = self.questions.n_open, len(self.questions.boxes)
        self.checklist.say_beside_title(f"{n_all - n_open} of {n_all} answered")
        missing = self._work.problem or (f"Answer the checklist: {n_open} open." if n_open else "")
        missing = missing or self.form.missing
        typed, verdict = bool(self._work.typed(VERDICT)), opened.mine.verdict
        signed = verdict is not None and any(
            s.by == opened.case.reviewer for s in verdict.signatures
        )
        self.why_not.setText(missing)
        self.why_not.setVisible(bool(missing))
        self.sign.setEnabled(not (missing or self._work.doing) and (typed or not signed))
        self.sign.setText("Sign" if verdict is None else "Sign anew")
        words = "" if verdict is None else verdict.judgement.verdict
        self.say_beside_title("not signed yet" if typed else words)

    def _show_others(self, reviews: tuple[Review, ...], own: str, *, hidden: bool) -> None:
        shown = tuple(r for r in reviews if r.reviewer != own and r.verdict and not hidden)
        if shown == self._listed:
            return
        self._listed = shown
        while (item := self._others.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        for review in shown:
            self._others.addWidget(self._other(review))

    def _other(self, review: Review) -> QWidget:
        judged = review.verdict
        assert judged is not None
        part = QWidget()
        lines = QVBoxLayout(part)
        lines.setContentsMargins(0, 0, 0, 0)
        words = [f"{isolated(review.reviewer)}: {given_words(judged)}"]
        if judged.judgement.interpretation:
            words.append(isolated(judged.judgement.interpretation[:300]))
        lines.addWidget(plain("\n".join(words)))
        agree = button(
            "Sign too",
            "Stand for this verdict as well, in your name.",
            partial(self._sign_too, review.reviewer),
        )
        dispute = button(
            "Dispute …",
            "Say why this verdict does not hold.",
            partial(self._dispute, review.reviewer),
        )
        lines.addWidget(Rows([agree, dispute], 2))
        return part

    def _sign_too(self, reviewer: str) -> None:
        self._work.sign(reviewer, key=self.key.currentData())


def given_words(judged: Judged) -> str:
    """Say what a verdict is, when it was given, and who signed or disputed it."""
    given = judged.judgement
    types = f" ({', '.join(given.types)})" if given.types else ""
    parts = [f"{given.verdict}{types}"]
    if given.confidence:
        parts.append(given.confidence)
    parts.append(f"{judged.at[:16].replace('T', ' ')} UTC")
    parts.append("before the model's was seen" if judged.blind else "the model's could be seen")
    for signed in judged.signatures:
        how = "signed" if signed.signature.stance == "signs" else "disputed"
        with_key = " with a key" if signed.signature.ssh_signature else ""
        reason = f": {isolated(signed.signature.comment)}" if signed.signature.comment else ""
        parts.append(f"{how} by {isolated(signed.by)}{with_key}{reason}")
    return ", ".join(parts)
