"""Pictures of the plugin, step by step, for docs/use.md and README.

xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py             # into docs/images
xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py --all /tmp  # every step

A real mouse clicks in a real window on the demo picture that ships with the package.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

    from napari_safire.gui.widget import SafireWidget

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "window"))  # for its hand

IMAGES = Path(__file__).parent / "images"
WINDOW = (1400, 900)
FLAT_COLOURS = 80  # of 256: buttons, text, swatches
LARGEST = 250_000  # bytes
WIDTH_OF_DOCK = 400
PIECE = 192  # pixels a side, to learn from

SKY, STREET, STATUE = (120, 250), (600, 700), (640, 340)  # rows and columns of the demo picture


class Tour:
    """One walk through the plugin; every step leaves the window as the next one finds it."""

    size: tuple[int, int] = WINDOW
    width_of_dock: int | None = WIDTH_OF_DOCK  # None: as wide as napari makes it

    def __init__(self) -> None:
        import napari
        from hand import Hand

        self.viewer = napari.Viewer()
        self.viewer.window.resize(*self.size)
        self.viewer.open_sample("napari-safire", "demo_composite")
        self.picture: Layer = self.viewer.layers["demo composite"]
        self.dock, widget = self.viewer.window.add_plugin_dock_widget("napari-safire", "SAFIRE")
        self.widget: SafireWidget = widget
        self.controller = self.widget.controller
        self.hand = Hand(self.viewer)
        self.shown: QWidget | None = None  # a dialog in front of the window
        if self.width_of_dock is not None:
            self._widen(self.width_of_dock)
        self.wait(lambda: self.controller.session.engine is not None)
        self.settle()
        self.viewer.reset_view()

    def close(self) -> None:
        """Close the window."""
        self.widget.close_work()
        self.viewer.close()

    # ---------------------------------------------------------------- steps

    def first_look(self) -> None:
        """The demo picture is open, and the dock has read its traces."""

    def first_click(self) -> None:
        """One prompt on the sky."""
        self.press(self.widget.prompts.add)
        self.click(*SKY)

    def exclude(self) -> None:
        """The statue is taken for much of the sky, too: the sky is taken away."""
        self.press(self.widget.prompts.discard)
        self.click(*STATUE)
        self.press(self.widget.prompts.exclude)
        self.click(*SKY)
        self.press(self.widget.prompts.exclude)

    def two_sources(self) -> None:
        """A second source."""
        self.hand.press("N")
        self.click(*STREET)

    def partition(self) -> None:
        """Three sources, with the plots."""
        self.press(self.widget.prompts.discard)
        self.press(self.widget.partition.run)
        self.widget.partition.count.setValue(3)
        self.settle()
        self.scroll_to(self.widget.partition)

    def linked_dots(self) -> None:
        """The dots of one source, shown on the picture."""
        plane = self.controller.plane
        assert plane is not None
        assert plane.partition is not None
        sources = plane.partition.prompt_sources
        self.widget.plots.dots.selected.emit(
            tuple(int(n) for n in range(len(sources)) if sources[n] == 1)
        )
        self.settle()

    def forgery_map(self) -> None:
        """The forgery map, over the sources, which are hidden meanwhile."""
        self.widget.plots.dots.selected.emit(())
        self.press(self.widget.view.buttons["forgery map"])
        self.scroll_to(self.widget.sources)

    def painting(self) -> None:
        """A stroke by hand, and then another partition, which leaves it alone."""
        self.press(self.widget.view.buttons["sources"])
        sources = self.controller.sources_layer
        assert sources is not None
        self.viewer.layers.selection.active = sources
        sources.selected_label = 3
        sources.brush_size = 40
        sources.mode = "paint"
        self.hand.drag(sources, (660, 120), (660, 620))
        self.settle()
        self.widget.partition.count.setValue(2)
        self.settle()
        self.scroll_to(self.widget.sources)

    def keys(self) -> None:
        """The panel of keys."""
        self.press(self.widget.show_keys)
        self.scroll_to(self.widget.keys)

    def diagnostics(self) -> None:
        """The panel of diagnostics."""
        self.press(self.widget.show_keys)
        self.press(self.widget.show_diagnostics)
        self.settle()
        self.scroll_to(self.widget.diagnostics)

    def light_theme(self) -> None:
        """The light theme."""
        self.press(self.widget.show_diagnostics)
        self.viewer.theme = "light"
        self.scroll_to(self.widget.model)
        self.settle()

    def light_theme_results(self) -> None:
        """The same, further down."""
        self.scroll_to(self.widget.sources)

    def preferences(self) -> None:
        """The Preferences of napari, at the page of the plugin."""
        from napari._app_model import get_app_model
        from qtpy.QtWidgets import QApplication, QDialog, QListWidget

        get_app_model().commands.execute_command("napari.window.file.show_preferences_dialog")
        self.settle()
        dialogs = [w for w in QApplication.topLevelWidgets() if isinstance(w, QDialog)]
        dialog = next(w for w in dialogs if type(w).__name__ == "PreferencesDialog")
        for pages in dialog.findChildren(QListWidget):
            found = [n for n in range(pages.count()) if "safire" in pages.item(n).text().lower()]
            if found:
                pages.setCurrentRow(found[0])
        self.settle()
        self.shown = dialog

    def stack(self) -> None:
        """The last slice of a stack, after All slices."""
        if self.shown is not None:
            self.shown.close()
        self.viewer.theme = "dark"
        self.viewer.layers.clear()
        self.viewer.open_sample("napari-safire", "demo_recompressed")
        self.picture = next(layer for layer in self.viewer.layers if "true" not in layer.name)
        self.viewer.layers.selection.active = self.picture
        self.settle()
        self.press(self.widget.partition.run_all)
        self.viewer.dims.set_current_step(0, 2)
        self.settle()
        self.scroll_to(self.widget.partition)

    def fine_tune(self) -> None:
        """Learning from pieces of the demo picture, so the figures mean nothing."""
        self.viewer.layers.clear()
        self.viewer.open_sample("napari-safire", "demo_composite")
        self.settle()
        pixels, sources = (np.asarray(layer.data) for layer in self.viewer.layers)
        folder = Path(tempfile.mkdtemp())
        section = self.widget.fine_tune
        section.choice.choose_list(_write_pieces(folder, pixels, sources))
        self.settle()
        section.choice.steps.setValue(40)
        self.press(section.heading)
        self.press(section.start)
        self.wait(lambda: "loss" in section.status.text() or not section.stop.isEnabled())
        self.scroll_to(section)

    def screenshot(self) -> Image.Image:
        """The window as it is, or the dialog in front of it."""
        from qtpy.QtGui import QImage
        from qtpy.QtWidgets import QApplication

        for widget in QApplication.allWidgets():
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()  # it would lie over the canvas
        if self.shown is None or not self.shown.isVisible():
            return Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False))
        image = self.shown.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
        size = image.width(), image.height()
        return Image.frombytes("RGBA", size, image.constBits().asstring(image.sizeInBytes()))

    # ---------------------------------------------------------------- the hand

    def click(self, row: float, col: float) -> None:
        """Click on the picture."""
        self.hand.click(self.picture, row, col)
        self.settle()

    def press(self, button: QWidget, *, wait: bool = True) -> None:
        """Press a button of the dock."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        dock_of(button).ensureWidgetVisible(button)
        if not button.isEnabled():
            sys.exit(f"The button {button.text()!r} is greyed out: the tour cannot go on.")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        if wait:
            self.settle()

    def scroll_to(self, widget: QWidget) -> None:
        """Bring a section to the top of the dock."""
        dock = dock_of(widget)
        self.settle(0.1)  # what was just shown has no place yet
        dock.verticalScrollBar().setValue(widget.mapTo(dock.widget(), widget.rect().topLeft()).y())
        self.settle(0.1)

    def settle(self, seconds: float = 0.4) -> None:
        """Until nothing is under way, and drawn."""
        from hand import pump

        pump(0.05)
        self.wait(lambda: self.controller.idle)
        pump(seconds)

    def wait(self, until: Callable[[], bool]) -> None:
        """Let Qt work until something holds."""
        from hand import pump

        end = time.perf_counter() + 300
        while not until():
            if time.perf_counter() > end:
                sys.exit("Waited five minutes for the plugin in vain.")
            pump(0.05)

    def _widen(self, width: int) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QMainWindow

        window = self.dock.window()
        assert isinstance(window, QMainWindow)
        window.resizeDocks([self.dock], [width], Qt.Orientation.Horizontal)


# In the order of the tour; those with True are kept in docs/images.
STEPS: tuple[tuple[Callable[[Tour], None], bool], ...] = (
    (Tour.first_look, True),
    (Tour.first_click, True),
    (Tour.exclude, True),
    (Tour.two_sources, False),
    (Tour.partition, True),
    (Tour.linked_dots, False),
    (Tour.forgery_map, True),
    (Tour.painting, True),
    (Tour.keys, True),
    (Tour.diagnostics, False),
    (Tour.light_theme, False),
    (Tour.light_theme_results, False),
    (Tour.preferences, False),
    (Tour.stack, True),
    (Tour.fine_tune, True),
)


def dock_of(widget: QWidget) -> Any:
    """The dock that a widget is in."""
    from napari_safire.gui.dock import WorkspaceDock

    around = widget
    while not isinstance(around, WorkspaceDock):
        around = around.parentWidget()
    return around


def _write_pieces(
    folder: Path, pixels: npt.NDArray[np.uint8], sources: npt.NDArray[np.uint8]
) -> Path:
    """Write pieces of a picture that hold several sources, and a list of them."""
    from napari_safire.images.lists import ListEntry, write_list
    from napari_safire.images.masks import encode_sources

    entries = []
    for row in range(0, pixels.shape[0] - PIECE, PIECE // 2):
        for col in range(0, pixels.shape[1] - PIECE, PIECE // 2):
            piece = np.s_[row : row + PIECE, col : col + PIECE]
            labels = sources[piece]
            if labels.min() != labels.max():
                entry = ListEntry(folder / f"{len(entries)}.png", folder / f"{len(entries)}_m.png")
                Image.fromarray(pixels[piece]).save(entry.image)
                Image.fromarray(encode_sources(labels - labels.min())).save(str(entry.mask))
                entries.append(entry)
    return write_list(folder / "my pictures.txt", entries)


def save(window: Image.Image, path: Path, largest: int = LARGEST) -> None:
    """Write a small PNG: the flat colours of the window exactly, those of the photograph by few."""
    pixels = np.asarray(window.convert("RGB"))
    codes = pixels.astype(np.int64) @ (65536, 256, 1)
    values, counts = np.unique(codes, return_counts=True)
    flat = values[np.argsort(counts)[::-1][:FLAT_COLOURS]]
    photograph = pixels[~np.isin(codes, flat)][None]
    n_colours = 256 - FLAT_COLOURS
    while True:
        few = Image.fromarray(photograph).quantize(n_colours, Image.Quantize.MAXCOVERAGE)
        exact = np.stack([flat >> 16, flat >> 8 & 255, flat & 255], axis=1).ravel().tolist()
        palette = Image.new("P", (1, 1))
        palette.putpalette((exact + (few.getpalette() or []))[: 3 * 256])
        small = Image.fromarray(pixels).quantize(palette=palette, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        size = path.stat().st_size
        if size <= largest:
            break
        if n_colours < 16:
            sys.exit(f"{path} has {size} bytes, more than the {largest} of docs/images.")
        n_colours = n_colours * 3 // 4
    print(f"{path}  {size / 1000:.0f} kB, {FLAT_COLOURS + n_colours} colours")


def take_tour(about: str | None, walk: Callable[[Path, bool], None]) -> None:
    """Read the options, and walk with settings of one's own.

    ``walk(folder, every)`` saves its pictures into the folder; of every step, or those that are
    kept.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every step, into this folder")
    options = parser.parse_args()
    folder: Path = options.all or IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name.lower())
        walk(folder, options.all is not None)


def walk(folder: Path, every: bool) -> None:
    """Take the tour."""
    tour = Tour()
    for number, (step, kept) in enumerate(STEPS, start=1):
        step(tour)
        if kept or every:
            name = f"{number:02d}-{step.__name__.replace('_', '-')}.png"
            save(tour.screenshot(), folder / name)
    tour.close()


if __name__ == "__main__":
    take_tour(__doc__, walk)
