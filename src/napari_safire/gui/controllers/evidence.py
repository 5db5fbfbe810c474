"""Evidence views of the picture that is worked on: asked for, and opened as layers."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from napari_safire.forensics import Evidence
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.layers.evidence_layers import KINDS
from napari_safire.session.evidence import Found, PlaneEvidence, SessionEvidence
from napari_safire.session.looked_at import Seen
from napari_safire.session.planes import PlaneKey


class EvidenceController:
    """Between the section *Evidence*, the session and the layers of views.

    Parameters
    ----------
    controller : ViewerController

    Attributes
    ----------
    evidence : SessionEvidence
    """

    def __init__(self, controller: ViewerController) -> None:
        self._controller = controller
        self.evidence: SessionEvidence = controller.session.evidence
        self._shown: dict[tuple[PlaneKey, str], Found] = {}
        self._seen: dict[PlaneKey, Seen] = {}
        self.connections = Connections()
        self.connections.connect(self.evidence.changed, self._update)

    @property
    def known(self) -> PlaneEvidence | None:
        """What is known of the views of the present plane."""
        key = self._controller.key
        return None if key is None else self.evidence.of(key)

    def look(self) -> None:
        """Find out which views apply to the present plane."""
        if self._controller.key is not None:
            self.evidence.look(self._controller.key)

    def make(self, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Make a view of the present plane."""
        if self._controller.key is not None:
            self.evidence.make(self._controller.key, name, parameters)

    def make_all(self) -> None:
        """Make all views of the present plane that apply."""
        if self._controller.key is not None:
            self.evidence.make_all(self._controller.key)

    def cancel(self, name: str = "") -> None:
        """Stop making a view of the present plane, or all of them."""
        if self._controller.key is not None:
            self.evidence.cancel(self._controller.key, name)

    def open_as_layer(self, name: str) -> None:
        """Lay a view's map, or its links, over the picture; later answers go into these layers."""
        key, known = self._controller.key, self.known
        if key is None or known is None:
            return
        found = known.views[name].found
        alone = found is not None and found.accuses  # regions of links open with these
        self._open(key, name, {"map"} if alone else KINDS)

    def open_regions(self, name: str) -> None:
        """Lay the regions that a view accuses over the picture, likewise."""
        if self._controller.key is not None:
            self._open(self._controller.key, name, {"regions"})

    def _open(self, key: PlaneKey, name: str, kinds: Container[str] = ()) -> None:
        known = self.evidence.of(key)
        found = None if known is None else known.views[name].found
        if found is None:
            return

        sha256 = "" if known is None or known.seen is None else known.seen.sha256

        self._shown[key, name] = found
        self.evidence.hand_over(
            key, name, lambda evidence: self.lay_over(key, name, evidence, sha256, kinds)
        )

    def lay_over(
        self,
        key: PlaneKey,
        name: str,
        evidence: Evidence,
        sha256: str = "",
        kinds: Container[str] = KINDS,
    ) -> None:
        """Lay something over a plane, if it is still there; see `EvidenceLayers.show`."""
        place = self._controller.place_of(key)
        if place is not None:
            below = place.layer_group.prompts
            place.evidence_layers.show(key.index, name, evidence, sha256, below, kinds)

    def _update(self, key: PlaneKey) -> None:
        """Put what was found anew into the layers that show what was found before."""
        known, place = self.evidence.of(key), self._controller.place_of(key)
        if known is None or place is None:
            self._shown = {at: found for at, found in self._shown.items() if at[0] != key}
            return
        if known.seen is not None and known.seen is not self._seen.get(key):
            self._seen = {key: known.seen}
            place.evidence_layers.drop_others(key.index, known.seen.sha256)
        for name, state in known.views.items():
            found = state.found
            if found is None or found.coarse or found is self._shown.get((key, name)):
                continue
            self._shown[key, name] = found
            if place.evidence_layers.of(key.index, name):
                self._open(key, name)
