"""One view of a picture: what it found in one line, the rest folded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_safire.forensics import View
from napari_safire.gui.panels.evidence.parameters import as_form
from napari_safire.gui.panels.evidence.table import EvidenceTable
from napari_safire.gui.panels.parameter_form import ParameterForm
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    plain,
    progress_bar,
    show_progress,
    tab_through,
)
from napari_safire.session.evidence import Found, ViewState
from napari_safire.text import printable

_PAUSE_MS = 1000
_THUMBNAIL = 64  # pixels a side, at most
_BY_TAB = Qt.FocusPolicy.TabFocus
_INDENT = 14  # under the text of a heading
FOR_THE_EYE = "for the eye"


@dataclass(frozen=True, slots=True)
class ViewActs:
    """What can be done with a view.

    Parameters
    ----------
    make : callable
        Takes its name and the parameters that differ from its defaults.
    cancel, open_as_layer, open_regions : callable
        Take its name.
    """

    make: Callable[[str, Mapping[str, Any]], None]
    cancel: Callable[[str], None]
    open_as_layer: Callable[[str], None]
    open_regions: Callable[[str], None]


class ViewCard(FoldedSection):
    """A view; to unfold it makes it.

    Parameters
    ----------
    view : View
    acts : ViewActs
    """

    def __init__(self, view: View, acts: ViewActs) -> None:
        super().__init__(view.name, view.shows, quiet=True)
        self.view = view
        self._acts = acts
        self._state = ViewState(view)
        self._shown: tuple[Found | None, str, bool] = (None, "", False)
        self._running = False
        self._content_is_there = False
        self.form: ParameterForm | None = None  # made when it is first unfolded
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self.apply)
        self._add_summary()
        self.unfolded.connect(self._open_up)

    # ---------------------------------------------------------------- widgets

    def _add_summary(self) -> None:
        """What is seen while the card is folded: thumbnail and finding, or how far it is."""
        self.thumbnail, self.finding = QLabel(), plain()
        self.thumbnail.setAccessibleName(f"Thumbnail of {self.view.name}")
        self.finding.setAccessibleName(f"What {self.view.name} found")
        self.progress = progress_bar(f"How far {self.view.name} is")
        self.cancel = button("Cancel", "Stop this view.", self._cancel)
        self.cancel.setFixedWidth(64)
        self.summary, self.busy = QWidget(), QWidget()
        for row, widgets in (
            (self.summary, (self.thumbnail, self.finding)),
            (self.busy, (self.progress, self.cancel)),
        ):
            line = QHBoxLayout(row)
            line.setContentsMargins(_INDENT, 0, 0, 0)
            line.setSpacing(6)
            for widget in widgets:
                line.addWidget(widget, int(widget in (self.finding, self.progress)))
            row.hide()
        outer = self.layout()
        assert outer is not None
        for at, row in enumerate((self.summary, self.busy), start=1):
            outer.insertWidget(at, row)  # type: ignore[attr-defined]

    def _add_content(self) -> None:
        self.body.setContentsMargins(_INDENT, 0, 0, 6)
        self.about = plain(self.view.shows)
        self.misleads = FoldedSection(
            "When it misleads", "When not to trust this view, and its source.", quiet=True
        )
        self.caveat = plain()
        self.misleads.body.addWidget(self.caveat)
        self.parameters = FoldedSection("Parameters", "Change how this view is made.", quiet=True)
        self.apply_button = button("Apply", "Make this view with these parameters.", self.apply)
        self.parameters.unfolded.connect(self._make_form)
        self.parameters.setVisible(bool(self.view.parameters))
        self.legend = plain()
        self.legend.setAccessibleName(f"What the colours of {self.view.name} mean")
        self.table = EvidenceTable(self.view.name)
        self.layer_button = button(
            "Open as layer", "Lay what this view found over the picture.", self._open
        )
        self.regions_button = button(
            "Open regions", "Lay the regions that this view accuses over the picture.",
            self._open_regions,
        )  # fmt: skip
        row = Rows([self.layer_button, self.regions_button, self.table.copy], 2)
        for widget in (
            self.about, row, self.table, self.misleads, self.parameters, self.legend,
        ):  # fmt: skip
            self.body.addWidget(widget)
        tab_through(
            self.heading, self.cancel, self.layer_button, self.regions_button, self.table.copy,
            self.table.text, self.misleads.heading, self.parameters.heading,
        )  # fmt: skip
        self._content_is_there = True

    def _make_form(self) -> None:
        if self.form is None:
            self.form = ParameterForm(as_form(self.view))
            self.form.changed.connect(self._pause.start)
            self.parameters.body.addWidget(self.form)
            self.parameters.body.addWidget(self.apply_button)
            fields = [w for w in self.form.findChildren(QWidget) if w.focusPolicy() & _BY_TAB]
            tab_through(self.parameters.heading, *fields, self.apply_button)
            self._show_parameters()

    # ---------------------------------------------------------------- what is done

    def apply(self) -> None:
        """Make the view with the parameters of the form."""
        self._pause.stop()
        self._acts.make(self.view.name, self._chosen)

    @property
    def _chosen(self) -> dict[str, Any]:
        values = {} if self.form is None else self.form.values
        usual = self.view.parameters
        return {name: value for name, value in values.items() if value != usual[name]}

    def _open_up(self) -> None:
        if not self._content_is_there:  # twenty cards of it would take long
            self._add_content()
            self._show_content()
        self._make()

    def _make(self) -> None:
        if self._state.is_new and not self._state.problem:
            if self._state.needs_choice:
                self.parameters.unfold()
            else:
                self._acts.make(self.view.name, {})

    def drop_pending(self) -> None:
        """Do not apply parameters that were changed a moment ago: they were for another picture."""
        self._pause.stop()

    def _cancel(self) -> None:
        self._pause.stop()
        self._acts.cancel(self.view.name)

    def _open(self) -> None:
        self._acts.open_as_layer(self.view.name)

    def _open_regions(self) -> None:
        self._acts.open_regions(self.view.name)

    # ---------------------------------------------------------------- what is shown

    def show_state(self, state: ViewState) -> None:
        """Show what is known of the view; an open card whose view was not made makes it."""
        before, old = self._shown, self._state
        found, problem, asked = now = state.found, state.problem, state.asked is not None
        self._state, self._shown = state, now
        if state is old and now == before:
            return
        stopped = state is old and before[2] and not (asked or found or problem)
        self._running = self._running and asked and state is old
        self.busy.setVisible(self._running)
        self._say_beside_title()
        if found is not before[0] or problem != before[1] or state.needs_choice:
            self._show_summary()
            self._show_content()
        if stopped:
            self.heading.setChecked(False)
        elif self.heading.isChecked():
            self._make()

    def show_progress(self, done: int, total: int) -> None:
        """Show how far it is."""
        show_progress(self.progress, done, total)
        if self._shown[2] and not self._running:
            self._running = True
            self.busy.show()
            self._say_beside_title()

    def _say_beside_title(self) -> None:
        found, _, asked = self._shown
        words = "waits" if asked and not self._running else score_words(found)
        self.say_beside_title(words)

    def _show_summary(self) -> None:
        found, problem, _ = self._shown
        words = f"⚠ {printable(problem)}" if problem else finding_words(found)
        if self._state.needs_choice and self._state.is_new and not problem:
            words = "needs another picture: choose it under Parameters"
        self.finding.setText(words)
        small = None if found is None else found.thumbnail
        self.thumbnail.setVisible(small is not None)
        if small is not None:
            self.thumbnail.setPixmap(_pixmap(small))
        self.summary.setVisible(bool(words) or small is not None)

    def _show_content(self) -> None:
        if not self._content_is_there:
            return
        found = self._shown[0]
        caveat = self.view.misleads if found is None else found.caveat
        means = f"The score is the {self.view.score_means}." if self.view.score_means else ""
        source = f"Source: {self.view.source}."
        self.caveat.setText("\n".join(filter(None, (printable(caveat), means, source))))
        self.table.show_rows(() if found is None else found.words.table)
        self.legend.setText("" if found is None else printable(found.legend))
        self.legend.setVisible(bool(self.legend.text()))
        self.layer_button.setVisible(found is not None and found.drawn)
        self.regions_button.setVisible(found is not None and found.accuses)
        self._show_parameters()

    def _show_parameters(self) -> None:
        if self.form is not None and not self._pause.isActive():
            found = self._shown[0]
            self.form.show_values(**(self.view.parameters if found is None else found.parameters))


def score_words(found: Found | None) -> str:
    """Score of what a view found, in a few characters; empty where it has none."""
    if found is None:
        return ""
    score = found.words.score
    if found.coarse:
        return "first look"
    if score is None or not math.isfinite(score):
        return FOR_THE_EYE if found.drawn else ""
    return f"score {score:.2f}"


def finding_words(found: Found | None) -> str:
    """What a view found, in one line; of one for the eye what its map means."""
    if found is None:
        return ""
    words = found.words.finding
    return printable(found.means if words == FOR_THE_EYE else words)


def _pixmap(pixels: npt.NDArray[np.uint8]) -> QPixmap:
    height, width = pixels.shape[:2]
    coarse = max(height, width) < _THUMBNAIL  # cells stay cells
    mode = Qt.TransformationMode
    image = QImage(
        np.ascontiguousarray(pixels).tobytes(),
        width,
        height,
        3 * width,
        QImage.Format.Format_RGB888,
    )
    return QPixmap.fromImage(image).scaled(  # which copies it
        _THUMBNAIL, _THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio,
        mode.FastTransformation if coarse else mode.SmoothTransformation,
    )  # fmt: skip
