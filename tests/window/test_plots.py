"""The two plots of the dock, with mouse and keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import napari
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, Qt, SignalInstance
from qtpy.QtGui import QColor, QHelpEvent, QImage, QKeyEvent, QPalette
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QToolTip, QWidget

from napari_safire.gui.panels.feature_plot import FeaturePlot
from napari_safire.gui.panels.number_plot import NumberPlot
from napari_safire.gui.panels.plot import Plot

from .hand import pump, wait_until

W = TypeVar("W", bound=QWidget)
LEFT = Qt.MouseButton.LeftButton
SHIFT = Qt.KeyboardModifier.ShiftModifier
PLAIN = Qt.KeyboardModifier.NoModifier
RED, GREEN, HOLLOW = (1, 0, 0, 1), (0, 0.6, 0, 1), (0, 0, 0, 0)
# two on the left, three on the right, y upwards
XY = np.array([[0, 0], [0, 1], [3, 0], [3, 1], [3, 0.5]])
NAMES = ["a", "b", "c", "d", "e"]
CURVE = {2: 0.31, 3: 0.62, 4: 0.4}


@pytest.fixture
def dots(qtbot: QtBot) -> Iterator[FeaturePlot]:
    plot = shown(qtbot, FeaturePlot(), 360, 200)
    plot.set_dots(XY, [RED] * 5, name=NAMES.__getitem__)
    pump()
    yield plot
    QToolTip.hideText()


@pytest.fixture
def curve(qtbot: QtBot) -> Iterator[NumberPlot]:
    plot = shown(qtbot, NumberPlot(), 360, 120)
    plot.set_values(CURVE, 2)
    pump()
    yield plot
    QToolTip.hideText()


def shown(qtbot: QtBot, plot: W, width: int, height: int) -> W:
    qtbot.addWidget(plot)
    plot.resize(width, height)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def heard(signal: SignalInstance) -> list[Any]:
    values: list[Any] = []
    signal.connect(values.append)
    return values


def place(plot: FeaturePlot | NumberPlot, index: int) -> QPoint:
    if isinstance(plot, NumberPlot):
        return list(plot.positions().values())[index].toPoint()
    x, y = plot.positions()[index]
    return QPoint(round(x), round(y))


def heights(plot: NumberPlot) -> np.ndarray:
    return np.array([top.y() for top in plot.positions().values()])


def click(plot: Plot, where: QPoint, keys: Qt.KeyboardModifier = PLAIN) -> None:
    QTest.mouseClick(plot.viewport(), LEFT, keys, where)
    pump()


def drag(
    plot: Plot, begin: QPoint, end: QPoint, keys: Qt.KeyboardModifier = PLAIN, drop: bool = True
) -> None:
    QTest.mousePress(plot.viewport(), LEFT, keys, begin)
    for step in range(1, 6):
        QTest.mouseMove(plot.viewport(), begin + (end - begin) * step / 5)
        pump(0.02)
    if drop:
        QTest.mouseRelease(plot.viewport(), LEFT, keys, end)
        pump()


def picture(plot: QWidget) -> np.ndarray:
    """(H, W, 3) uint8: what the widget looks like."""
    image = plot.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    memory = image.constBits().asarray(image.sizeInBytes())
    lines = np.asarray(memory, dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return lines[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def colour_at(plot: QWidget, where: QPoint) -> tuple[int, ...]:
    return tuple(plot.grab().toImage().pixelColor(where).getRgb()[:3])


def tooltip_at(plot: Plot, where: QPoint) -> str:
    QToolTip.hideText()
    wait_until(lambda: not QToolTip.isVisible(), what="the last tooltip to go")
    event = QHelpEvent(QEvent.Type.ToolTip, where, plot.mapToGlobal(where))
    QApplication.sendEvent(plot.viewport(), event)
    wait_until(QToolTip.isVisible, what="a tooltip")
    return QToolTip.text()


# -- prompts: what is drawn ----------------------------------------------------------------------


def test_dots_have_their_colours_and_places(dots: FeaturePlot) -> None:
    dots.set_dots(XY, [RED, GREEN, RED, GREEN, RED])
    assert colour_at(dots, place(dots, 0)) == (255, 0, 0)
    assert colour_at(dots, place(dots, 1)) == (0, 153, 0)
    positions = dots.positions()
    assert positions[1, 1] < positions[0, 1], "y points upwards"
    assert positions[2, 0] > positions[0, 0]


@pytest.mark.parametrize("size", [(360, 140), (160, 400), (700, 200)])
def test_both_axes_share_one_scale_and_all_dots_are_inside(
    dots: FeaturePlot, size: tuple[int, int]
) -> None:
    dots.resize(*size)
    pump()
    positions = dots.positions()
    scales = np.linalg.norm(positions[[1, 2]] - positions[0], axis=1) / (1, 3)
    assert scales[0] == pytest.approx(scales[1])
    assert (positions > 5).all()
    assert (positions < np.array(size) - 5).all()


@pytest.mark.parametrize("xy", [[[2.0, 3.0]], [[1e-9, 0.0]] * 3, [[0.0, 0.0], [5.0, 0.0]]])
def test_dots_on_one_place_or_line_are_drawn_in_the_middle(
    dots: FeaturePlot, xy: list[list[float]]
) -> None:
    dots.set_dots(xy, [RED] * len(xy))
    np.testing.assert_allclose(dots.positions().mean(axis=0), [180, 100])
    assert colour_at(dots, place(dots, 0)) == (255, 0, 0)


def test_the_confident_are_larger(dots: FeaturePlot) -> None:
    def reds(confidence: float) -> int:
        dots.set_dots([[0, 0]], [RED], [confidence])
        return int((picture(dots) == (255, 0, 0)).all(axis=2).sum())

    assert reds(0.0) < reds(0.5) < reds(1.0) == reds(1.7)
    assert reds(np.nan) == reds(-1.0) == reds(0.0) > 0


def test_a_prompt_in_no_source_is_a_hollow_dot(dots: FeaturePlot) -> None:
    ground = colour_at(dots, QPoint(180, 100))
    dots.set_dots([[0, 0]], [HOLLOW])
    assert colour_at(dots, place(dots, 0)) == ground
    x, y = (round(v) for v in dots.positions()[0])
    assert (picture(dots)[y - 7 : y + 8, x - 7 : x + 8] != ground).any()


def test_prompts_without_features_are_counted_not_drawn(dots: FeaturePlot) -> None:
    dots.set_dots(np.append(XY, [[np.nan, np.nan], [1, np.inf]], axis=0), [RED] * 7)
    assert np.isnan(dots.positions()[5:]).all()
    assert dots.accessibleDescription() == "7 prompts, 2 without features, 0 selected"
    chosen = heard(dots.selected)
    drag(dots, QPoint(3, 3), QPoint(356, 196))
    assert chosen == [(0, 1, 2, 3, 4)]


def test_no_region_at_all_is_said(dots: FeaturePlot) -> None:
    dots.set_dots(np.full((3, 2), np.nan), [RED] * 3)
    assert dots.hint == "No prompt has features"
    click(dots, QPoint(180, 100))
    QTest.keyClick(dots, Qt.Key.Key_Right)


def test_a_hint_takes_the_place_of_the_dots(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    with_dots = picture(dots)
    where = place(dots, 0)
    dots.set_selected([0])
    dots.show_hint("Run the partition first")
    assert (picture(dots) != with_dots).any()
    assert dots.accessibleDescription() == "Run the partition first"
    click(dots, where)
    assert chosen == []
    dots.set_dots(XY, [RED] * 5)
    assert (picture(dots) == with_dots).all(), "neither hint nor selection is left"


def test_colours_follow_the_palette(dots: FeaturePlot, curve: NumberPlot) -> None:
    for plot in (dots, curve):
        for ground, ink in (("#101010", "#f0f0f0"), ("#f0f0f0", "#101010")):
            palette = QPalette()
            palette.setColor(QPalette.ColorRole.Window, QColor(ground))
            palette.setColor(QPalette.ColorRole.WindowText, QColor(ink))
            plot.setPalette(palette)
            dots.set_selected([0])
            pump()
            colours = {tuple(c) for c in picture(plot).reshape(-1, 3)}
            assert QColor(ink).getRgb()[:3] in colours
            assert QColor(ground).getRgb()[:3] in colours


# -- prompts: mouse and keys ---------------------------------------------------------------------


@pytest.mark.parametrize("index", range(5))
def test_a_click_selects_the_dot(dots: FeaturePlot, index: int) -> None:
    chosen = heard(dots.selected)
    before = picture(dots)
    click(dots, place(dots, index))
    assert chosen == [(index,)]
    assert (picture(dots) != before).any(), "the selection shows"


def test_a_click_near_a_dot_means_it(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    click(dots, place(dots, 1) + QPoint(6, 5))
    click(dots, place(dots, 0) + QPoint(9, 8))
    assert chosen == [(1,), ()]


def test_shift_adds_and_takes_out(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    click(dots, place(dots, 2))
    click(dots, place(dots, 0), SHIFT)
    click(dots, QPoint(180, 20), SHIFT)
    click(dots, place(dots, 2), SHIFT)
    assert chosen == [(2,), (0, 2), (0,)]


def test_a_band_selects_what_is_inside(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    corner, opposite = place(dots, 3) - QPoint(15, 15), place(dots, 2) + QPoint(15, 15)
    drag(dots, opposite, corner)
    drag(dots, place(dots, 1) - QPoint(14, 14), place(dots, 1) + QPoint(14, 14), SHIFT)
    drag(dots, QPoint(170, 30), QPoint(190, 60))
    assert chosen == [(2, 3, 4), (1, 2, 3, 4), ()]


def test_the_band_shows_while_it_is_drawn_and_then_goes(dots: FeaturePlot) -> None:
    before = picture(dots)
    drag(dots, QPoint(150, 40), QPoint(210, 120), drop=False)
    assert (picture(dots) != before).any()
    QTest.mouseRelease(dots.viewport(), LEFT, PLAIN, QPoint(210, 120))
    assert (picture(dots) == before).all()


def test_escape_gives_up_a_drag_and_keeps_the_selection(dots: FeaturePlot) -> None:
    dots.set_selected([0])
    before = picture(dots)
    chosen = heard(dots.selected)
    drag(dots, QPoint(3, 3), QPoint(356, 196), drop=False)
    QTest.keyClick(dots, Qt.Key.Key_Escape)
    assert (picture(dots)[10:-10, 10:-10] == before[10:-10, 10:-10]).all()
    QTest.mouseRelease(dots.viewport(), LEFT, PLAIN, QPoint(356, 196))
    assert chosen == []
    QTest.keyClick(dots, Qt.Key.Key_Escape)
    assert chosen == [()]


def test_a_click_beside_the_dots_selects_none_once(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    click(dots, QPoint(180, 20))
    click(dots, place(dots, 4))
    click(dots, QPoint(180, 20))
    click(dots, QPoint(180, 20))
    assert chosen == [(4,), ()]


def test_only_the_left_button_selects(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    QTest.mouseClick(dots.viewport(), Qt.MouseButton.RightButton, PLAIN, place(dots, 0))
    assert chosen == []


def test_escape_goes_on_to_the_window_when_nothing_is_selected(qtbot: QtBot) -> None:
    keys: list[int] = []

    class Window(QWidget):
        def keyPressEvent(self, event: QKeyEvent) -> None:
            keys.append(event.key())

    window = shown(qtbot, Window(), 400, 300)
    plot = FeaturePlot(window)
    plot.resize(360, 200)
    plot.show()
    plot.set_dots(XY, [RED] * 5)
    plot.set_selected([1])
    QTest.keyClick(plot, Qt.Key.Key_Escape)
    assert keys == []
    QTest.keyClick(plot, Qt.Key.Key_Escape)
    assert keys == [Qt.Key.Key_Escape]


def test_arrow_keys_walk_from_dot_to_dot(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    right, up, left = Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Left
    # e lies between c and d; above d there is nothing
    dots.set_selected([0])
    for key in (right, up, up, up, left):
        QTest.keyClick(dots, key)
    assert chosen == [(2,), (4,), (3,), (1,)]


@pytest.mark.parametrize(
    ("key", "column"), [(Qt.Key.Key_Right, {0, 1}), (Qt.Key.Key_Left, {2, 3, 4})]
)
def test_the_first_arrow_key_starts_at_the_edge(
    dots: FeaturePlot, key: Qt.Key, column: set[int]
) -> None:
    chosen = heard(dots.selected)
    QTest.keyClick(dots, key)
    assert len(chosen) == 1
    assert chosen[0][0] in column


def test_highlighting_from_outside_shows_and_emits_nothing(dots: FeaturePlot) -> None:
    chosen = heard(dots.selected)
    before = picture(dots)
    dots.set_selected(np.array([1, 3]))
    assert (picture(dots) != before).any()
    assert dots.accessibleDescription() == "5 prompts, 2 selected"
    click(dots, place(dots, 0), SHIFT)
    assert chosen == [(0, 1, 3)]
    dots.set_selected(())
    assert (picture(dots)[10:-10, 10:-10] == before[10:-10, 10:-10]).all()


def test_patches_are_called_so(dots: FeaturePlot) -> None:
    dots.set_dots(XY, [RED] * 5, noun=("patch", "patches"))
    assert dots.accessibleDescription() == "5 patches, 0 selected"


def test_all_patches_of_a_large_picture_are_drawn_at_once(dots: FeaturePlot) -> None:
    generator = np.random.default_rng(0)
    xy, colours = generator.normal(size=(9216, 2)), generator.random((9216, 4))
    begin = time.process_time()
    dots.set_dots(xy, colours, noun=("patch", "patches"))
    assert time.process_time() - begin < 0.5
    dots.set_selected(range(0, 9216, 7))
    assert len(np.unique(picture(dots).reshape(-1, 3), axis=0)) > 1000


def test_the_selection_outlives_new_colours_but_not_new_places(dots: FeaturePlot) -> None:
    dots.set_selected([1])
    dots.set_dots(XY, [GREEN] * 5)
    assert dots.accessibleDescription() == "5 prompts, 1 selected"
    dots.set_dots(XY[::-1], [GREEN] * 5)
    assert dots.accessibleDescription() == "5 prompts, 0 selected"


def test_hovering_names_the_dot(dots: FeaturePlot) -> None:
    assert tooltip_at(dots, place(dots, 3) + QPoint(3, 0)) == "d"
    assert tooltip_at(dots, QPoint(180, 20)) == dots.toolTip()
    dots.set_dots(XY, [RED] * 5)
    assert tooltip_at(dots, place(dots, 3)) == dots.toolTip()


def test_a_mouse_at_rest_brings_the_name(dots: FeaturePlot) -> None:
    # Xvfb has no window manager that would make the window the active one
    dots.setAttribute(Qt.WidgetAttribute.WA_AlwaysShowToolTips)
    QTest.mouseMove(dots.viewport(), place(dots, 3) - QPoint(30, 0))
    QTest.mouseMove(dots.viewport(), place(dots, 3))
    wait_until(lambda: QToolTip.isVisible() and QToolTip.text() == "d", what="the name")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.set_dots(XY[:, :1], [RED] * 5), r"shape \(5, 1\)"),
        (lambda p: p.set_dots([], []), r"shape \(0,\)"),
        (lambda p: p.set_dots(XY, [RED] * 4), r"Colours of shape \(4, 4\) for 5 dots"),
        (lambda p: p.set_dots(XY, [RED[:3]] * 5), r"one RGBA"),
        (lambda p: p.set_dots(XY, [(255, 0, 0, 255)] * 5), "divide 8-bit values by 255"),
        (lambda p: p.set_dots(XY, [(np.nan, 0, 0, 1)] * 5), "outside 0 .. 1"),
        (lambda p: p.set_dots(XY, [RED] * 5, [1, 2]), r"Weights of shape \(2,\)"),
        (lambda p: p.set_selected([0, 5]), "Dot 5 cannot be selected: the plot has 5"),
        (lambda p: p.set_selected([-1]), "Dot -1 cannot"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    dots: FeaturePlot, change: Callable[[FeaturePlot], None], message: str
) -> None:
    dots.set_selected([1])
    before = picture(dots)
    with pytest.raises(ValueError, match=message):
        change(dots)
    assert (picture(dots) == before).all()


# -- quality curve -------------------------------------------------------------------------------


@pytest.mark.parametrize(("index", "number"), [(0, 2), (1, 3), (2, 4)])
def test_a_click_asks_for_a_number_of_sources(curve: NumberPlot, index: int, number: int) -> None:
    chosen = heard(curve.chosen)
    before = picture(curve)
    x = place(curve, index).x()
    for y in (15, 60, 110):
        click(curve, QPoint(x + 8, y))
    assert chosen == [number] * 3
    assert (picture(curve)[10:-10, 10:-10] == before[10:-10, 10:-10]).all(), "the owner decides"


def test_the_curve_rises_with_the_silhouette(curve: NumberPlot) -> None:
    y = heights(curve)
    assert y[1] < y[2] < y[0]
    inside = curve.rect()
    assert all(inside.contains(place(curve, index)) for index in range(3))


def test_small_differences_look_small(curve: NumberPlot) -> None:
    curve.set_values({2: 0.951, 3: 0.952}, None)
    y = heights(curve)
    assert 0 < y[0] - y[1] < 1


@pytest.mark.parametrize("values", [(1.0, 1.0), (-0.3, -0.1), (0.0, 0.0), (-1.0, 1.0)])
def test_any_silhouettes_lie_in_the_field(curve: NumberPlot, values: tuple[float, ...]) -> None:
    curve.set_values(dict(enumerate(values, start=2)), 2)
    for height in (90, 120, 300):
        curve.resize(360, height)
        pump()
        y = heights(curve)
        assert (y > 15).all()
        assert (y < height - 15).all()


def test_the_current_number_is_marked(curve: NumberPlot) -> None:
    pictures = []
    for current in (2, 3, 4, None):
        curve.set_values(CURVE, current)
        pictures.append(picture(curve))
    columns = [slice(place(curve, i).x() - 8, place(curve, i).x() + 9) for i in range(3)]
    for marked in range(3):
        changed = [(pictures[marked][:, c] != pictures[3][:, c]).any() for c in columns]
        assert changed == [index == marked for index in range(3)]
    curve.set_values(CURVE, 1)
    assert (picture(curve) == pictures[3]).all(), "one source is not on the curve"


def test_arrow_keys_ask_for_the_neighbours(curve: NumberPlot) -> None:
    chosen = heard(curve.chosen)
    curve.chosen.connect(lambda number: curve.set_values(CURVE, number))
    for key in (Qt.Key.Key_Left, *[Qt.Key.Key_Right] * 4, Qt.Key.Key_Left):
        QTest.keyClick(curve, key)
    assert chosen == [3, 4, 3]
    curve.set_values(CURVE, None)
    QTest.keyClick(curve, Qt.Key.Key_Right)
    assert chosen == [3, 4, 3]


def test_probabilities_are_percent_and_one_source_has_a_bar(curve: NumberPlot) -> None:
    chosen = heard(curve.chosen)
    curve.set_values({1: 0.61, 2: 0.3, 3: 0.09}, 1, percent=True)
    assert curve.accessibleDescription() == "1 source: 61%; 2 sources: 30%; 3 sources: 9%, 1 chosen"
    assert tooltip_at(curve, place(curve, 0)) == "1 source: probability 61%"
    click(curve, place(curve, 2))
    assert chosen == [3]


def test_hovering_tells_the_value(curve: NumberPlot) -> None:
    assert tooltip_at(curve, place(curve, 1)) == "3 sources: separation 0.62"
    assert tooltip_at(curve, QPoint(4, 60)) == curve.toolTip()


def test_the_description_reads_the_curve_aloud(curve: NumberPlot) -> None:
    assert curve.accessibleDescription() == (
        "2 sources: 0.31; 3 sources: 0.62; 4 sources: 0.40, 2 chosen"
    )


@pytest.mark.parametrize("points", [{}, None])
def test_without_a_curve_there_is_a_hint_and_no_choice(
    curve: NumberPlot, points: dict[int, float] | None
) -> None:
    chosen = heard(curve.chosen)
    where = place(curve, 1)
    if points is None:
        curve.show_hint("Run the partition first")
        assert curve.hint == "Run the partition first"
    else:
        curve.set_values(points, 2)
        assert curve.hint.startswith("Too little to compare")
    click(curve, where)
    QTest.keyClick(curve, Qt.Key.Key_Right)
    assert tooltip_at(curve, where) == curve.toolTip()
    assert chosen == []
    curve.set_values({2: 0.31}, 2)
    click(curve, where)
    assert chosen == [2]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({2: float("nan")}, "value of 2 sources is nan"),
    ],
)
def test_a_curve_that_is_none_is_refused(
    curve: NumberPlot, points: dict[int, float], message: str
) -> None:
    before = picture(curve)
    with pytest.raises(ValueError, match=message):
        curve.set_values(points, 2)
    assert (picture(curve) == before).all()


# -- in napari -----------------------------------------------------------------------------------


def test_in_a_dock_of_napari_they_answer_and_follow_the_theme(viewer: napari.Viewer) -> None:
    dots, curve = FeaturePlot(), NumberPlot()
    dots.set_dots(XY, [RED] * 5)
    curve.set_values(CURVE, 3)
    for plot in (dots, curve):
        viewer.window.add_dock_widget(plot, area="right")
    pump(0.2)
    selected, chosen = heard(dots.selected), heard(curve.chosen)
    click(dots, place(dots, 2))
    click(curve, place(curve, 0))
    assert (selected, chosen) == ([(2,)], [2])
    for plot in (dots, curve):
        assert plot.height() >= plot.minimumSizeHint().height()
        grounds = []
        for theme in ("dark", "light"):
            viewer.theme = theme
            pump(0.1)
            seen = picture(plot).reshape(-1, 3).astype(int)
            ground = np.median(seen, axis=0)
            grounds.append(ground.mean())
            assert np.abs(seen - ground).max() > 120, "text stands out"
        assert grounds[0] < 80 < 180 < grounds[1]
