"""Where annotators disagree, one region after the other, and who is right."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QPushButton

from napari_safire.gui.controllers.adjudication import (
    RESULT,
    SIDE_BY_SIDE,
    AdjudicationController,
)
from napari_safire.gui.layers.adjudication_layers import letters
from napari_safire.gui.panels.section import Rows, Section, beside, button, elided_combo, plain
from napari_safire.project.team.merged_descriptions import Question
from napari_safire.project.truth import Donor
from napari_safire.text import isolated


class AdjudicationSection(Section):
    """Regions to jump to, whose sources to take, and what is open. Hidden where nothing waits.

    Parameters
    ----------
    adjudication : AdjudicationController
        Does it.
    """

    def __init__(self, adjudication: AdjudicationController) -> None:
        super().__init__("Adjudication")
        self._adjudication, self.work = adjudication, adjudication.work
        self._n_works = 0
        self.progress = plain()
        self.progress.setAccessibleName("How far the adjudication is")
        self.region = plain()
        self.region.setAccessibleName("Region of disagreement")
        self.open_questions = plain()
        self.open_questions.setAccessibleName("What annotators say differently of sources")
        self._make_steps()
        self._make_choices()
        for widget in (
            self.progress,
            Rows([self.back, self.forward], 2),
            self.region,
            self.choices,
            beside(self.view, self.blink),
            beside(self.rest, self.begin_again),
            self.open_questions,
        ):
            self.body.addWidget(widget)
        self.connections.connect(adjudication.changed, self._show)
        self._show()

    def _make_steps(self) -> None:
        adjudication = self._adjudication
        self.back = button(
            "Previous region", "Look at the region before that is open.", adjudication.go_back
        )
        self.forward = button(
            "Next region", "Look at the next region that is open.", adjudication.go_on
        )
        self.view = elided_combo("View of the annotators", "Whose sources are looked at.")
        self.view.activated.connect(lambda row: adjudication.show(int(self.view.itemData(row))))
        self.blink = button(
            "Blink", "Look at A's sources, then at B's, at each press.", adjudication.blink
        )
        self.rest = elided_combo(
            "All that is open", "Give all that is undecided to one annotator; Undo takes it back."
        )
        self.rest.activated.connect(self._take_rest)
        self.begin_again = button(
            "All agreed",
            "Begin again from all that everybody agrees on; Undo brings back what was.",
            self.work.take_agreed,
        )

    def _make_choices(self) -> None:
        adjudication = self._adjudication
        self.first = button("Take A", "This region is as A has it.", adjudication.take_first)
        self.second = button("Take B", "This region is as B has it.", adjudication.take_second)
        self.others: list[QPushButton] = []
        self.neither = button(
            "Neither", "Nobody has this region right: paint it.", adjudication.take_neither
        )
        self.choices = Rows([self.first, self.second, self.neither], 3)

    def _take_rest(self, row: int) -> None:
        chosen = self.rest.itemData(row)
        with QSignalBlocker(self.rest):
            self.rest.setCurrentIndex(0)
        if chosen is not None:
            self.work.choose_rest(int(chosen))

    # ---------------------------------------------------------------- what is shown

    def _show(self) -> None:
        work, opened = self.work, self.work.opened
        self.setVisible(opened is not None or bool(work.problem))
        is_open = opened is not None and work.standing is not None
        for control in (
            self.back, self.forward, self.choices, self.view, self.blink, self.rest,
            self.begin_again,
        ):  # fmt: skip
            control.setVisible(opened is not None)
            control.setEnabled(is_open)
        if opened is None:
            self.progress.setText(work.problem)
            self.region.hide()
            self.open_questions.hide()
            return
        if len(opened.works) != self._n_works:
            self._fill(len(opened.works))
        for place, name in enumerate(opened.names):
            self.view.setItemText(place + 1, f"{letters(place + 1)[-1]}: {isolated(name)}")
        with QSignalBlocker(self.view):
            self.view.setCurrentIndex(self.view.findData(self._adjudication.view))
        self.progress.setText(self._progress())
        self.region.setText(self._region())
        self.region.show()
        self.choices.setEnabled(is_open and work.region is not None)
        asked = "\n".join(_asked(question) for question in work.questions)
        self.open_questions.setText(asked)
        self.open_questions.setVisible(bool(asked))

    def _fill(self, n_works: int) -> None:
        """Offer as many annotators as there are."""
        self._n_works = n_works
        with QSignalBlocker(self.view), QSignalBlocker(self.rest):
            self.view.clear()
            self.rest.clear()
            self.view.addItem("Result", RESULT)
            self.rest.addItem("All that is open …", None)
            for place, name in enumerate(letters(n_works)):
                self.view.addItem(name, place)
                self.rest.addItem(f"is as {name} has it", place)
            self.view.addItem(f"Side by side: {', '.join(letters(n_works))}", SIDE_BY_SIDE)
        for other in self.others:
            other.deleteLater()
        self.others = [
            button(
                f"Take {name}",
                f"This region is as {name} has it.",
                partial(self._adjudication.take, place),
            )
            for place, name in enumerate(letters(n_works))
            if place > 1
        ]
        if self.others:
            self.body.insertWidget(self.body.indexOf(self.choices) + 1, Rows([*self.others], 3))

    def _progress(self) -> str:
        work, standing = self.work, self.work.standing
        n_regions = len(work.regions)
        if standing is None or work.opened is None:
            return "Comparing …"
        if not n_regions and not standing.n_undecided:
            return "All agree on every pixel."
        listed = work.opened.comparison.disagreements
        n_pixels = listed.shape[0] * listed.shape[1]
        if standing.n_undecided == n_pixels:
            share = 1 - listed.area / n_pixels
            return f"{n_regions:,} regions. All agree on {share:.1%}: press All agreed to begin."
        told = f"{standing.n_open:,} of {n_regions:,} regions open"
        if standing.n_undecided:
            told += f", {standing.n_undecided:,} pixels undecided"
        if standing.n_neither:
            told += f", {standing.n_neither:,} to paint"
        if listed.n_small:
            told += f"\n{listed.n_small:,} regions are too small to be listed."
        return told

    def _region(self) -> str:
        work, region = self.work, self.work.region
        if region is None or work.opened is None:
            return "Outlined in yellow is what they disagree on."
        said = [
            f"{name} says {f'source {work.says(place)}' if work.says(place) else 'nothing'}"
            for place, name in enumerate(letters(len(work.opened.works)))
        ]
        return (
            f"Region {work.place + 1:,} of {len(work.regions):,}, {region.area:,} pixels: "
            f"{', '.join(said)}."
        )


def _asked(question: Question) -> str:
    said = ", ".join(
        f"{name} says {_word(value)}"
        for name, value in zip(letters(len(question.values)), question.values, strict=True)
        if value is not None
    )
    field = {"order": "place in the order of edits"}.get(question.field, question.field)
    return f"The {field} of source {question.source} is open: {said}."


def _word(value: object) -> str:
    if not isinstance(value, Donor):
        return str(value)
    named = f" {isolated(value.name)}" if value.name else ""
    return f"{'a region of this picture' if value.kind == 'region' else value.kind}{named}"
