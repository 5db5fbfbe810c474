"""Comparing views: which ones, how, and a loupe on both."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSlider,
    QWidget,
)

from napari_safire.gui.controllers.compared_views import MODES, CompareMode
from napari_safire.gui.controllers.view_comparison import FASTEST, SLOWEST, TITLES, ViewComparison
from napari_safire.gui.layers.loupe import cut_out
from napari_safire.gui.panels.review.loupe_view import LoupeView
from napari_safire.gui.panels.section import (
    FoldedSection,
    Rows,
    button,
    elided_combo,
    plain,
)
from napari_safire.text import printable

_HELP: dict[CompareMode, str] = {
    "grid": "Give each view a cell; all of them move and zoom together.",
    "blink": "Look at one view after the other, by its key or by itself.",
    "swipe": "A lies on one side of a line, B on the other; drag the line.",
    "opacity": "Lay B over A, and choose how much of it is seen.",
}
_ROWS_OF_LIST = 4
_LOUPE_PIXELS = {"5 times": 29, "10 times": 15, "20 times": 7}  # of the picture a side
_LOUPE_MS = 15  # the pointer moves more often than anybody sees
_NAME = Qt.ItemDataRole.UserRole


class CompareSection(FoldedSection):
    """Views against each other on the canvas, and under the pointer.

    Parameters
    ----------
    comparison : ViewComparison
        It ends when the section is closed.
    """

    def __init__(self, comparison: ViewComparison) -> None:
        super().__init__("Compare", "Look at views against each other.")
        self.comparison = comparison
        self._names: tuple[str, ...] = ()  # on offer
        self.combos = [self._combo("A"), self._combo("B")]
        self.swap = button("Swap", "Let A be B, and B be A.", comparison.swap)
        self.modes: dict[CompareMode, QPushButton] = {
            mode: button(TITLES[mode], _HELP[mode], partial(self._toggle, mode)) for mode in MODES
        }
        for made in self.modes.values():
            made.setCheckable(True)
        self.more = self._more_views()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.valueChanged.connect(lambda percent: comparison.move(percent / 100))
        self.across = QCheckBox("Line lies across")
        self.across.setToolTip("A above the line and B below it; else left and right.")
        self.across.toggled.connect(lambda across: comparison.turn_line(not across))
        self.alone = QCheckBox("By itself")
        self.alone.setToolTip("Views take turns by themselves, that often a second.")
        self.alone.toggled.connect(comparison.blink_alone)
        self.rate = QDoubleSpinBox()
        self.rate.setRange(SLOWEST, FASTEST)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setSuffix(" / s")
        self.rate.setValue(comparison.rate)
        self.rate.setAccessibleName("Changes a second")
        self.rate.valueChanged.connect(comparison.set_rate)
        self.state = plain()
        self.state.setAccessibleName("What is compared")
        self._lay_out()
        self._loupe_timer = QTimer(self)
        self._loupe_timer.setSingleShot(True)
        self._loupe_timer.setInterval(_LOUPE_MS)
        self._loupe_timer.timeout.connect(self._look_through)
        for signal, slot in (
            (comparison.changed, self._show),
            (comparison.controller.viewer.cursor.events.position, self._pointed),
            (self.unfolded, self._show),
        ):
            self.connections.connect(signal, slot)

    def close_section(self) -> None:
        """End the comparison, and let go of the viewer."""
        super().close_section()
        self.comparison.end()

    # ---------------------------------------------------------------- widgets

    def _combo(self, letter: str) -> QComboBox:
        combo = elided_combo(f"View {letter}", f"The view that is {letter}.")
        combo.activated.connect(self._chosen)
        return combo

    def _more_views(self) -> QListWidget:
        listed = QListWidget()
        listed.setAccessibleName("Further views")
        listed.setToolTip("Views that take part in the grid and in blinking, besides A and B.")
        listed.setFixedHeight(_ROWS_OF_LIST * listed.fontMetrics().lineSpacing() + 12)
        listed.itemChanged.connect(self._chosen)
        return listed

    def _lay_out(self) -> None:
        pair = QWidget()
        line = QHBoxLayout(pair)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        for letter, combo in zip("AB", self.combos, strict=True):
            line.addWidget(QLabel(letter))
            line.addWidget(combo, 1)
        self.further = FoldedSection(
            "Further views", "Views for the grid and for blinking.", quiet=True
        )
        self.further.body.addWidget(self.more)
        self.loupe_box = QCheckBox("Loupe")
        self.loupe_box.setToolTip("Enlarge A and B around the pointer, and tell their values.")
        self.loupe_box.toggled.connect(self._show)
        self.enlarged = elided_combo("Enlarged", "How large a pixel of the picture is drawn.")
        self.enlarged.addItems(list(_LOUPE_PIXELS))
        self.enlarged.setCurrentIndex(1)
        self.loupe = LoupeView()
        self.opacity_row = Rows([self.slider, self.across], 2)
        self.blink_row = Rows([self.alone, self.rate], 2)
        for widget in (
            pair,
            Rows(list(self.modes.values()), 4),
            self.opacity_row,
            self.blink_row,
            self.state,
            self.further,
            Rows([self.swap, self.loupe_box, self.enlarged], 3),
            self.loupe,
        ):
            self.body.addWidget(widget)

    # ---------------------------------------------------------------- what users do

    def _toggle(self, mode: CompareMode) -> None:
        self.comparison.toggle(mode)
        self._show()  # also where nothing came of it

    def _chosen(self, _: object = None) -> None:
        pair = [combo.currentData() for combo in self.combos]
        if pair[0] == pair[1]:  # what was chosen takes the other's place
            before = self.comparison.chosen
            pair = [pair[0], before[0]] if self.sender() is self.combos[0] else [before[1], pair[1]]
            pair = pair if pair[0] != pair[1] else list(before[1::-1])
        further = [
            item.data(_NAME)
            for item in map(self.more.item, range(self.more.count()))
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]
        self.comparison.choose([name for name in (*pair, *further) if name])

    # ---------------------------------------------------------------- what is shown

    def _show(self, _: object = None) -> None:
        if not self.heading.isChecked():
            return
        comparison = self.comparison
        chosen = comparison.chosen
        self._offer(tuple(view.name for view in comparison.views), chosen)
        can = len(self._names) > 1
        for mode, made in self.modes.items():
            with QSignalBlocker(made):
                made.setChecked(mode == comparison.mode)
            made.setEnabled(can)
        self.swap.setEnabled(can)
        swiping = comparison.mode == "swipe"
        self.opacity_row.setVisible(comparison.mode in ("swipe", "opacity"))
        self.across.setVisible(swiping)
        self.blink_row.setVisible(comparison.mode == "blink")
        at = comparison.line.position if swiping else comparison.share
        for widget, value in (
            (self.across, not comparison.line.upright),
            (self.alone, comparison.blinks_alone),
        ):
            with QSignalBlocker(widget):
                widget.setChecked(value)
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(100 * at))
        name = "Where the line lies" if swiping else "How much of B is seen"
        self.slider.setAccessibleName(name)
        self.slider.setToolTip(name + ", in percent.")
        self.state.setText(self._words())
        self.state.setVisible(bool(self.state.text()))
        seen = self.loupe_box.isChecked()
        self.loupe.setVisible(seen)
        self.enlarged.setVisible(seen)
        self._pointed()
        self.say_beside_title(printable(comparison.words))

    def _words(self) -> str:
        comparison = self.comparison
        if len(self._names) < 2:
            return (
                "Open a view as a layer, or partition the picture: then there is what to compare."
            )
        if comparison.mode == "blink":
            return f"Now: {printable(comparison.shown)}"
        return ""

    def _offer(self, names: tuple[str, ...], chosen: tuple[str, ...]) -> None:
        """List the views, and mark those that are chosen."""
        if names != self._names:
            self._names = names
            for combo in self.combos:
                with QSignalBlocker(combo):
                    combo.clear()
                    for name in names:
                        combo.addItem(printable(name), name)
        for number, combo in enumerate(self.combos):
            with QSignalBlocker(combo):
                held = chosen[number] if number < len(chosen) else None
                combo.setCurrentIndex(names.index(held) if held is not None else -1)
            combo.setEnabled(len(names) > 1)
        others = [name for name in names if name not in chosen[:2]]
        with QSignalBlocker(self.more):
            self.more.clear()
            for name in others:
                item = QListWidgetItem(printable(name))
                item.setData(_NAME, name)
                item.setCheckState(
                    Qt.CheckState.Checked if name in chosen[2:] else Qt.CheckState.Unchecked
                )
                self.more.addItem(item)
        self.further.setVisible(bool(others))
        n_checked = len(chosen[2:])
        self.further.say_beside_title(f"{n_checked} chosen" if n_checked else "")

    def _pointed(self, event: object = None) -> None:
        wanted = self.loupe_box.isChecked() and self.heading.isChecked()
        if wanted and not self._loupe_timer.isActive():
            self._loupe_timer.start()

    def _look_through(self) -> None:
        comparison = self.comparison
        controller = comparison.controller
        picture, key = controller.picture, controller.key
        if picture is None or key is None or not self.loupe_box.isChecked():
            return
        views = {view.name: view for view in comparison.views}
        place = picture.layer.world_to_data(controller.viewer.cursor.position)[-2:]
        n = _LOUPE_PIXELS[self.enlarged.currentText()]
        self.loupe.show_cut_outs(
            [
                (printable(name), cut_out(picture, views[name].layers, (*key.index, *place), n))
                for name in comparison.chosen[:2]
            ]
        )
