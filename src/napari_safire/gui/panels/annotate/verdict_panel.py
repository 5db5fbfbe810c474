"""The verdict: one coloured line, one sentence, and the details, folded."""

from __future__ import annotations

from qtpy.QtCore import Qt

from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.annotate.verdict_words import (
    contributions,
    details,
    headline,
    so_far,
    why,
)
from napari_safire.gui.panels.section import ControllerSection, FoldedSection, wrapped
from napari_safire.gui.preferences import EVEN_ODDS
from napari_safire.session.blind_look import HIDDEN, WHY_HIDDEN
from napari_safire.session.planes import PlaneKey
from napari_safire.session.weighing import WEIGHING

# White text has a contrast of 5.8 at least on each. No forgery found is no green light.
_GROUNDS = {"forged": "#b3261e", "no forgery found": "#2f6690", "inconclusive": "#5f6672"}
_SO_FAR = "#5f6672"  # no colour of a verdict
SO_FAR = "Other evidence is being weighed …"
_LINE = "QLabel {{ {ground} border-radius: 3px; padding: 5px {side}px; font-weight: bold; }}"


class VerdictPanel(ControllerSection):
    """What is said of the picture that is worked on."""

    def __init__(self, controller: ViewerController) -> None:
        super().__init__(controller)
        self._prior = EVEN_ODDS
        self.line = wrapped()
        font = self.line.font()
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.line.setFont(font)
        self.line.setAccessibleName("Verdict")
        self.reason = wrapped()
        self.reason.setAccessibleName("Why this verdict")
        self.details = FoldedSection("Details", "What the verdict rests on.", quiet=True)
        self.whole = wrapped()
        self.whole.setAccessibleName("What the verdict rests on")
        self.counted = FoldedSection(
            "Contributions", "What each kind of evidence adds to the verdict.", quiet=True
        )
        self.contributions = wrapped()
        self.contributions.setAccessibleName("What each kind of evidence adds")
        for label in (self.line, self.reason, self.whole, self.contributions):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.details.body.addWidget(self.whole)
        self.counted.body.addWidget(self.contributions)
        for widget in (self.line, self.reason, self.counted, self.details):
            self.body.addWidget(widget)
        for signal, slot in (
            (controller.plane_changed, self._show),
            (controller.shown, self._show),
            (controller.session.model_changed, self._show),
            (controller.session.blind.changed, self._show),
            (controller.session.partitioned, self._partitioned),
            (controller.session.evidence.progress, self._progressed),
        ):
            self.connections.connect(signal, slot)
        self._show()

    @property
    def prior(self) -> float:
        """Probability of forgery before the picture was seen; see Preferences."""
        return self._prior

    @prior.setter
    def prior(self, prior: float) -> None:
        self._prior = prior
        self._show()

    @property
    def is_hidden(self) -> bool:
        """Whether it waits for a reviewer's own verdict."""
        return self._controller.session.blind.hides(self._controller.key)

    def _partitioned(self, key: PlaneKey) -> None:
        if key == self._controller.key:
            self._show()

    def _progressed(self, key: PlaneKey, name: str, done: int, total: int, stage: str) -> None:
        hidden = self._controller.session.blind.hides(key)
        if key == self._controller.key and name == WEIGHING and total and not hidden:
            self.reason.setText(f"{SO_FAR} ({100 * done // total} %)")

    def _show(self, _: object = None) -> None:
        plane, hidden = self._controller.plane, self.is_hidden
        forgery = None if plane is None or hidden else plane.forgery
        if hidden:
            self._say(HIDDEN, _SO_FAR)
            self.reason.setText(WHY_HIDDEN)
        elif plane is None or forgery is None:
            self._say("No verdict yet", "")
            nothing = self._controller.picture is None
            self.reason.setText(
                "Open a picture, or drop one here." if nothing else "Partition the picture."
            )
        elif plane.weighing is not None and forgery is plane.network:
            self._say(so_far(forgery), _SO_FAR)
            self.reason.setText(SO_FAR)
            self.whole.setText(details(forgery, self._prior))
        else:
            self._say(headline(forgery), _GROUNDS[forgery.verdict])
            self.reason.setText(why(forgery))
            self.whole.setText(details(forgery, self._prior))
        self.details.setVisible(forgery is not None)
        self.contributions.setText("" if forgery is None else contributions(forgery))
        self.counted.setVisible(bool(self.contributions.text()))

    def _say(self, text: str, ground: str) -> None:
        style = _LINE.format(
            ground=f"background: {ground}; color: white;" if ground else "", side=8 if ground else 0
        )
        if self.line.styleSheet() != style:
            self.line.setStyleSheet(style)
        self.line.setText(text)
