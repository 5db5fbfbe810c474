"""What is looked at when a finding is noted: view, parameters, the part on screen; and back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from napari.layers import Layer

from napari_safire.annotation.recorded import PART
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.evidence import EvidenceController
from napari_safire.gui.controllers.view_comparison import ViewComparison
from napari_safire.gui.controllers.view_switch import ViewSwitch
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.layer_group import View
from napari_safire.gui.layers.parts import METADATA, evidence_layers
from napari_safire.gui.layers.viewport import show_viewport, viewport_of
from napari_safire.review.values import Finding, Viewport
from napari_safire.review.voting import VOTES
from napari_safire.session.planes import PlaneKey
from napari_safire.text import printable

_NAMES: Mapping[View, str] = {
    "picture": "",
    "sources": "partition",
    "forgery map": "forgery map",
    "uncertainty": "uncertainty",
}
"""Views of the switch as findings name them."""
_VIEWS = {name: view for view, name in _NAMES.items()}
_OWN = frozenset(_NAMES)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is looked at.

    Parameters
    ----------
    view : str
        As a `Finding` names it.
    parameters : mapping
        JSON values.
    viewport : Viewport or None
    words : str
        How views are compared; empty where one is looked at alone.
    """

    view: str
    parameters: Mapping[str, Any]
    viewport: Viewport | None
    words: str = ""


@dataclass(slots=True)
class _Wanted:
    """A finding whose view is to be opened, once it is made."""

    key: PlaneKey
    finding: Finding
    is_asked: bool = False


class ReviewSight:
    """Tells what is looked at, and looks at what a finding is about.

    Parameters
    ----------
    controller : ViewerController
    evidence : EvidenceController
    switch : ViewSwitch
    comparison : ViewComparison
    """

    def __init__(
        self,
        controller: ViewerController,
        evidence: EvidenceController,
        switch: ViewSwitch,
        comparison: ViewComparison,
    ) -> None:
        self._controller, self._evidence, self._switch = controller, evidence, switch
        self._comparison = comparison
        self._wanted: _Wanted | None = None
        self.connections = Connections()
        self.connections.connect(evidence.evidence.changed, self._made)

    # ---------------------------------------------------------------- what is looked at

    def now(self) -> Sight | None:
        """Tell what is looked at; None where there is no picture."""
        controller, picture = self._controller, self._controller.picture
        if picture is None or controller.key is None:
            return None
        viewport = viewport_of(controller.viewer, picture, controller.key.index)
        name = self._compared_view or self._open_view or self._switch.view
        words = self._comparison.words
        view = _NAMES[name] if name in _OWN else name
        if view == VOTES or name in _OWN:
            settings = plain(asdict(controller.settings)) if view else {}
            return Sight(view, settings, viewport, words)
        return Sight(name, self._parameters(name), viewport, words)

    @property
    def _compared_view(self) -> str:
        """The view in front while several are compared; of those side by side the last."""
        if not self._comparison.mode:
            return ""
        name = self._comparison.shown or self._comparison.chosen[-1]
        known = self._evidence.known
        views = () if known is None else known.views
        return name if name in (*_OWN, *views, VOTES) else "picture"  # somebody's own layer

    @property
    def _open_view(self) -> str:
        """Name of the forensic view whose layer is uppermost of those that are seen."""
        layer = next((layer for layer in reversed(self._layers) if layer.visible), None)
        return "" if layer is None else str(layer.metadata[METADATA][PART][2])

    @property
    def _layers(self) -> list[Layer]:
        """Layers of views of the present plane, the uppermost last."""
        image, key = self._controller.image, self._controller.key
        if image is None or key is None:
            return []
        layers = evidence_layers(self._controller.viewer.layers, image)
        return [layer for layer in layers if layer.metadata[METADATA][PART][-1] == key.index]

    def _parameters(self, name: str) -> dict[str, Any]:
        known = self._evidence.known
        found = None if known is None or name not in known.views else known.views[name].found
        return {} if found is None else plain(found.parameters)

    # ---------------------------------------------------------------- back to it

    def look_at(self, finding: Finding) -> None:
        """Show the view of a finding, with its parameters, and the part that was on screen."""
        controller, picture = self._controller, self._controller.picture
        self._wanted = None
        if picture is None:
            return
        if finding.viewport is not None:
            show_viewport(controller.viewer, picture, finding.viewport)
        if finding.source is not None:
            controller.mode.source = finding.source
        if finding.view in _VIEWS:
            self._hide_views()
            self._switch.show(_VIEWS[finding.view])
        elif finding.view == VOTES and not any(map(_is_of_votes, self._layers)):
            self._tell("The votes are not open: press Analyse, then Votes as layer.")
        elif finding.view == VOTES:
            self._open(VOTES, drawn=False)
        elif controller.key is not None:
            self._ask_for(controller.key, finding)

    def show_part(self, bounds: tuple[int, int, int, int]) -> None:
        """Bring a part of the picture on screen, with some room around it.

        Parameters
        ----------
        bounds : (int, int, int, int)
            First row and column, and those behind the last.
        """
        picture, key = self._controller.picture, self._controller.key
        if picture is None or key is None:
            return
        top, left, bottom, right = bounds
        room = 0.15 * max(bottom - top, right - left)
        rows, cols = picture.shape
        first = max(top - room, -0.5), max(left - room, -0.5)
        last = min(bottom + room, rows - 0.5), min(right + room, cols - 0.5)
        part = Viewport(*first, last[0] - first[0], last[1] - first[1], tuple(key.index))
        show_viewport(self._controller.viewer, picture, part)

    def _ask_for(self, key: PlaneKey, finding: Finding) -> None:
        known = self._evidence.known
        self._wanted = _Wanted(key, finding)
        if known is None or known.seen is None:
            self._evidence.look()
            return
        self._wanted.is_asked = True
        state = known.views.get(finding.view)
        if state is None or state.why_not:
            why = "this version has no such view" if state is None else state.why_not
            self._tell(f"{printable(finding.view)} cannot be shown: {printable(why)}.")
            self._wanted = None
            return
        usual = plain(state.view.parameters)
        given = {n: v for n, v in finding.parameters.items() if n in usual}
        if state.found is None or plain(state.found.parameters) != usual | given:
            chosen = {name: value for name, value in given.items() if value != usual[name]}
            self._evidence.make(finding.view, chosen)
        else:
            self._open(finding.view, drawn=state.found.drawn)

    def _made(self, key: PlaneKey) -> None:
        """Open the view that was waited for, unless it was stopped."""
        wanted, known = self._wanted, self._evidence.known
        if wanted is None or known is None or not key == wanted.key == self._controller.key:
            return
        if known.seen is None:
            return
        if not wanted.is_asked:
            self._ask_for(wanted.key, wanted.finding)
            return
        state = known.views.get(wanted.finding.view)
        if state is None or state.asked is not None:
            return
        self._wanted = None
        if state.found is not None:
            self._open(wanted.finding.view, drawn=state.found.drawn)

    def _open(self, name: str, *, drawn: bool) -> None:
        self._wanted = None
        self._hide_views()
        self._switch.show("picture")
        for layer in self._layers:
            layer.visible = layer.metadata[METADATA][PART][2] == name
        if drawn:
            self._evidence.open_as_layer(name)

    def _hide_views(self) -> None:
        for layer in self._layers:
            layer.visible = False

    def _tell(self, sentence: str) -> None:
        self._controller.notice.emit(sentence, True, None)


def _is_of_votes(layer: Layer) -> bool:
    return bool(layer.metadata[METADATA][PART][2] == VOTES)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as JSON has them; paths as text."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(values), default=_as_text))
    return plain


def _as_text(value: object) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)
