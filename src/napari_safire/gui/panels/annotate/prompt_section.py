"""Prompts: place points, say what they are for, keep or drop what they find."""

from __future__ import annotations

from napari.layers import Points
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QSpinBox

from napari_safire.annotation.annotation import MOST_SOURCES
from napari_safire.gui.controllers.connections import Connections
from napari_safire.gui.controllers.next_click import NextClickController
from napari_safire.gui.controllers.viewer import ViewerController
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    Section,
    button,
    elided_combo,
    wrapped,
)
from napari_safire.session.planes import Snapshot


class PromptSection(Section):
    """Arm the prompt tool, choose source and kind of new prompts, commit, undo.

    Parameters
    ----------
    controller : ViewerController
    next_click : NextClickController
    """

    def __init__(self, controller: ViewerController, next_click: NextClickController) -> None:
        super().__init__("Clicks")
        self._controller = controller
        self.propose = button(
            "Next best click",
            "Mark where a click settles most uncertain pixels. Pressed again, the current source "
            "gets a prompt there, and the next place is marked.",
            next_click.take,
        )
        self._armed: Points | None = None
        self._of_layer = Connections()
        self._make_buttons()
        self._make_fields()
        self.confidence = wrapped()
        self.confidence.setAccessibleName("What the prompts found")
        self.more = FoldedSection("Points layer", "Take points of your own as prompts.", quiet=True)
        self.more.body.addWidget(self.layer)
        self.body.addWidget(Rows([self.add, self.undo, self.redo], 3))
        self.body.addWidget(self.segment)
        self.body.addWidget(self.propose)
        self.body.addWidget(Rows([self.source, self.next, self.exclude], 3))
        self.body.addWidget(Rows([self.commit, self.discard, self.preview, self.paint], 4))
        self.body.addWidget(self.confidence)
        self.body.addWidget(self.more)
        layers, session = controller.viewer.layers.events, controller.session
        for signal, slot in (
            (layers.inserted, self._show_layers),
            (layers.removed, self._show_layers),
            (controller.plane_changed, self._show_layers),
            (controller.plane_changed, self._show_mode),
            (controller.plane_changed, self._show_armed),
            (controller.viewer.layers.selection.events.active, self._show_armed),
            (controller.mode_changed, self._show_mode),
            (controller.shown, self._show_snapshot),
            (session.embedded, self._show_need),
            (session.progress, self._show_need),
        ):
            self.connections.connect(signal, slot)
        self.source.valueChanged.connect(self._source_chosen)
        self.exclude.toggled.connect(self._exclude_chosen)
        self.layer.activated.connect(self._layer_chosen)
        self._show_layers()
        self._show_mode()
        self._show_armed()

    def close_section(self) -> None:
        """Let go of the layer, too."""
        super().close_section()
        self._of_layer.disconnect()

    def _make_buttons(self) -> None:
        controller = self._controller
        self.add = button(
            "Place prompts",
            "Arm the prompt tool. Every click on the picture then is a prompt and shows the source "
            "region that contains it. Drag a point to move it, Delete removes it. Pressed again, "
            "clicks move the picture as before.",
            self._add_pressed,
        )
        self.add.setCheckable(True)
        self.segment = button(
            "Run prompts",
            "Answer the prompts now: after a cancelled job, or when pictures are not read as soon "
            "as they are selected (Preferences).",
            controller.segment,
        )
        self.next = button(
            "Next source", "New prompts belong to the next source.", controller.mode.next_source
        )
        self.paint = button(
            "Paint",
            "Take the brush of the current source: what is painted is yours, and protected.",
            controller.edits.paint,
        )
        self.commit = button(
            "Commit",
            "Settle what is previewed: later predictions of other sources are laid over it only "
            "where you ask for them.",
            controller.edits.commit,
        )
        self.discard = button(
            "Discard", "Drop the preview and its prompts.", controller.edits.discard
        )
        self.preview = button(
            "Preview", "Show or hide what is not committed yet.", controller.toggle_preview
        )
        self.preview.setCheckable(True)
        self.undo = button(
            "Undo", "Take back the last prompt, prediction or edit.", controller.edits.undo
        )
        self.redo = button("Redo", "Do again what was taken back.", controller.edits.redo)

    def _make_fields(self) -> None:
        self.source = QSpinBox()
        self.source.setRange(1, MOST_SOURCES)
        self.source.setPrefix("Source ")
        self.source.setAccessibleName("Source of new prompts")
        self.source.setToolTip(
            "The source that new prompts, and the brush, belong to. Regions of prompts of one "
            "source are united."
        )
        self.exclude = QCheckBox("Exclude")
        self.exclude.setToolTip(
            "The region of a new prompt is subtracted from its source. SAFIRE has no negative "
            "prompts: the model finds the region that contains the point, as always, and that "
            "region is then taken away."
        )
        self.layer = elided_combo(
            "Points layer with the prompts",
            "The Points layer with the prompts; you may take one of your own.",
        )

    def _add_pressed(self) -> None:
        self._controller.toggle_prompts()
        self._show_armed()  # also where nothing came of it

    def _show_armed(self, event: object = None) -> None:
        """Show whether a click is a prompt: napari's own buttons change that, too."""
        group = self._controller.layer_group
        layer = None if group is None else group.prompts
        if layer is not self._armed:
            self._of_layer.disconnect()
            self._armed = layer
            if layer is not None:
                for signal in (layer.events.mode, layer.events.visible):
                    self._of_layer.connect(signal, self._show_armed)
        self.add.setChecked(self._controller.is_armed)

    def _source_chosen(self, number: int) -> None:
        self._controller.mode.source = number

    def _exclude_chosen(self, exclude: bool) -> None:
        self._controller.mode.exclude = exclude

    def _layer_chosen(self, _: object = None) -> None:
        layer = self.layer.currentData()
        if isinstance(layer, Points):
            self._controller.use_prompts(layer)
        self._show_layers()

    def _show_layers(self, event: object = None) -> None:
        layer_group = self._controller.layer_group
        own = None if layer_group is None else layer_group.prompts
        ours = () if layer_group is None else (layer_group.grid_prompts,)
        found = [
            layer
            for layer in self._controller.viewer.layers
            if isinstance(layer, Points) and layer not in ours
        ]
        with QSignalBlocker(self.layer):
            self.layer.clear()
            if own not in found:
                self.layer.addItem("made with the first prompt", None)
            for layer in found:
                self.layer.addItem(layer.name, layer)
            place = next((i for i in range(self.layer.count()) if self.layer.itemData(i) is own), 0)
            self.layer.setCurrentIndex(place)

    def _show_mode(self) -> None:
        controller = self._controller
        with QSignalBlocker(self.source), QSignalBlocker(self.exclude):
            self.source.setValue(controller.mode.source)
            self.exclude.setChecked(controller.mode.exclude)
        plane = controller.plane
        hidden = plane is not None and not plane.with_preview
        self.preview.setChecked(not hidden)
        if plane is None:
            for widget in (self.commit, self.discard, self.preview, self.undo, self.redo):
                widget.setEnabled(False)
            self._say("")
        self._show_need()

    def _show_need(self, text: str = "", *_: object) -> None:
        """Offer to run the prompts where they do not run by themselves."""
        plane = self._controller.plane if not isinstance(text, str) or not text else None
        snapshot = None if plane is None else plane.snapshot
        waits = snapshot is not None and not snapshot.annotation.is_answered
        self.segment.setVisible(plane is not None and (plane.embedding is None or waits))

    def _show_snapshot(self, snapshot: Snapshot) -> None:
        self._show_mode()
        self._show_layers()
        annotation = snapshot.annotation
        has_preview = annotation.preview is not None
        self.commit.setEnabled(has_preview)
        self.preview.setEnabled(has_preview)
        self.discard.setEnabled(has_preview or bool(annotation.live_prompts))
        for widget, title, what in (
            (self.undo, snapshot.undo_title, "Undo"),
            (self.redo, snapshot.redo_title, "Redo"),
        ):
            widget.setEnabled(title is not None)
            widget.setToolTip(f"{what}: {title}" if title else f"Nothing to {what.lower()}.")
        self._say(_describe_prompts(snapshot))

    def _say(self, text: str) -> None:
        self.confidence.setText(text)
        self.confidence.setVisible(bool(text))


def _describe_prompts(snapshot: Snapshot) -> str:
    live = snapshot.annotation.live_prompts
    if not live:
        return _describe_commit(snapshot)
    count = f"{len(live)} prompt{'s' if len(live) > 1 else ''}"
    if not snapshot.annotation.is_answered:
        return f"{count}, being answered …"
    excluded = {p.source for p in live if p.exclude}
    empty = [p.source for p in live if not p.exclude and not snapshot.areas.get(p.source)]
    if empty and snapshot.with_preview:
        gone = next((source for source in empty if source in excluded), None)
        if gone is not None:
            return f"{count}. What was excluded is all of source {gone}: Undo brings it back."
        count += f", {len(empty)} of them without a region"
    last = snapshot.confidences.get(live[-1].point)
    return count if last is None else f"{count}; confidence of the last region: {last:.2f}"


def _describe_commit(snapshot: Snapshot) -> str:
    """What was settled, if that was the last step."""
    if snapshot.undo_title != "commit" or snapshot.annotation.preview is not None:
        return ""
    if not snapshot.areas:
        return "Committed, but no prompt had a region: no source is there."
    count, share = len(snapshot.areas), sum(snapshot.areas.values()) / snapshot.labels.size
    return f"✓ Committed: {count} source{'' if count == 1 else 's'}, {share:.0%} of the picture."
