"""Evidence: what a picture shows that does not rest on the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_safire.forensics.catalogue import VIEWS
from napari_safire.gui.controllers.evidence import EvidenceController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.evidence.card import ViewActs, ViewCard
from napari_safire.gui.panels.section import FoldedSection, Rows, button, plain, tab_through
from napari_safire.session.evidence import PlaneEvidence, ViewState
from napari_safire.session.planes import PlaneKey
from napari_safire.text import printable

_INDENT = 8
_NOT = "not applicable: "


class EvidenceSection(FoldedSection):
    """The views of the picture that is worked on; nothing is made before one is chosen.

    Parameters
    ----------
    controller : ViewerController
    evidence : EvidenceController
        The workspace's.
    """

    def __init__(self, controller: ViewerController, evidence: EvidenceController) -> None:
        super().__init__("Evidence", "Views that do not rest on the network, each with its limits.")
        self._controller = controller
        self._evidence = evidence
        self.cards: dict[str, ViewCard] = {}  # made when they are first seen
        self.state = plain()
        self.state.setAccessibleName("State of the evidence")
        self.make_all = button(
            "Make all views", "Make every view that applies, one after the other.",
            self._evidence.make_all,
        )  # fmt: skip
        self.cancel = button("Cancel", "Stop all views.", self._evidence.cancel)
        self.others = FoldedSection(
            "Not applicable", "Views that this picture does not allow, and why.", quiet=True
        )
        self.why_not = plain()
        self.why_not.setAccessibleName("Why views are not applicable")
        self.others.body.addWidget(self.why_not)
        self.body.setContentsMargins(_INDENT, 0, 0, 0)
        self.counted = plain()
        self.counted.setAccessibleName("Views that the verdict counts")
        for widget in (
            self.state,
            self.counted,
            Rows([self.make_all, self.cancel], 2),
            self.others,
        ):
            self.body.addWidget(widget)
        self.unfolded.connect(self._look)
        views = controller.session.evidence
        for signal, slot in (
            (controller.plane_changed, self._look),
            (views.changed, self._changed),
            (views.progress, self._progressed),
            (controller.session.model_changed, self._show),
        ):
            self.connections.connect(signal, slot)

    def _look(self) -> None:
        """Show what is known of the present picture, and find out what is not."""
        if not self.heading.isChecked():
            return
        self._make_cards()
        for card in self.cards.values():
            card.drop_pending()
        self._evidence.look()
        self._show()

    def _make_cards(self) -> None:
        if self.cards:
            return
        own = self._evidence
        acts = ViewActs(own.make, own.cancel, own.open_as_layer, own.open_regions)
        for view in VIEWS:
            self.cards[view.name] = card = ViewCard(view, acts)
            self.body.insertWidget(self.body.count() - 1, card)
        made = [part for card in self.cards.values() for part in (card.heading, card.cancel)]
        tab_through(self.cancel, *made)

    def _changed(self, key: PlaneKey) -> None:
        if key == self._controller.key and self.heading.isChecked():
            if self._evidence.known is None:
                self._evidence.look()
            self._show()

    def _progressed(self, key: PlaneKey, name: str, done: int, total: int, stage: str) -> None:
        if key == self._controller.key and name in self.cards:
            self.cards[name].show_progress(done, total)

    def _show(self) -> None:
        known = self._evidence.known
        seen = known is not None and known.seen is not None
        self.state.setText(self._state(known))
        self.state.setVisible(bool(self.state.text()))
        states = known.views if known is not None and seen else {}
        for name, card in self.cards.items():
            state = states.get(name)
            card.setVisible(state is not None and not state.why_not)
            if state is not None:
                card.show_state(state)
        self._show_counted(states)
        asked = [state for state in states.values() if state.asked is not None]
        waiting = [s for s in states.values() if s.is_new and not s.needs_choice]
        self.make_all.setVisible(bool(waiting) and not asked)
        self.cancel.setVisible(bool(asked))
        lines = [
            f"{name}: {printable(state.why_not.removeprefix(_NOT))}"
            for name, state in states.items()
            if state.why_not
        ]
        self.why_not.setText("\n".join(lines))
        self.others.say_beside_title(str(len(lines)))
        self.others.setVisible(bool(lines))

    def _show_counted(self, states: Mapping[str, ViewState]) -> None:
        session = self._controller.session
        counted = session.weighing.counted(session.engine)
        names = [name for name, state in states.items() if name in counted and not state.why_not]
        choice = session.model_choice
        whose = "" if choice is None else f" {printable(Path(choice[0]).name)}"
        self.counted.setText(f"The verdict of the model{whose} counts: {', '.join(names)}.")
        self.counted.setVisible(bool(names))

    def _state(self, known: PlaneEvidence | None) -> str:
        if self._controller.key is None:
            return "Open a picture first."
        if known is not None and known.problem:
            return f"⚠ {printable(known.problem)}"
        return "" if known is not None and known.seen is not None else "Looking at the picture …"
