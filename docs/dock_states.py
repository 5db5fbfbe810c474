"""Every state of the dock on one page, to be looked at: docs/images/dock-states.png.

xvfb-run -a -s "-screen 0 1280x800x24" python docs/dock_states.py

The dock stands in a real window of 1280 x 800 at its usual width; pictures are those that ship with
the package.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from screenshots import IMAGES, SKY, STREET, Tour, save

WINDOW = (1280, 800)
COLUMNS = 7
TITLE = 30  # pixels over each state
GAP = 12
INK, PAPER = (20, 20, 24), (246, 246, 248)


class States(Tour):
    """The dock, led from state to state."""

    size = WINDOW
    width_of_dock = None

    def grab(self) -> Image.Image:
        """The dock as it is seen, without what is scrolled away."""
        if self.controller.idle:
            self.settle(0.2)
        window = self.screenshot()
        corner = self.dock.mapTo(self.dock.window(), self.dock.rect().topLeft())
        left, top = corner.x(), corner.y()
        return window.crop((left, top, left + self.dock.width(), top + self.dock.height()))

    # ---------------------------------------------------------------- states, in this order

    def no_picture(self) -> None:
        """Nothing is open."""
        self.viewer.layers.clear()
        self.settle()

    def read(self) -> None:
        """A picture was read."""
        self.open("demo_composite")

    def click_once(self) -> None:
        """A click: preview."""
        self.press(self.widget.prompts.add)
        self.click(*SKY)

    def two_sources(self) -> None:
        """Two sources, one excludes."""
        self.hand.press("N")
        self.click(*STREET)
        self.press(self.widget.prompts.exclude)
        self.click(700, 700)
        self.press(self.widget.prompts.exclude)

    def committed(self) -> None:
        """Committed."""
        self.press(self.widget.prompts.commit)

    def busy(self) -> None:
        """At work."""
        self.press(self.widget.partition.run, wait=False)
        self.wait(lambda: self.widget.status.progress.isVisible())

    def forged(self) -> None:
        """Partitioned: forged."""
        self.settle()

    def details(self) -> None:
        """Details of the verdict."""
        self.press(self.widget.verdict.details.heading)
        if self.widget.verdict.counted.isVisible():  # of models that weigh evidence
            self.press(self.widget.verdict.counted.heading)
            self.widget.verticalScrollBar().setValue(0)

    def forgery_map(self) -> None:
        """Forgery map."""
        for folded in (self.widget.verdict.details, self.widget.verdict.counted):
            folded.heading.setChecked(False)
        self.press(self.widget.view.buttons["forgery map"])

    def uncertainty(self) -> None:
        """Uncertainty."""
        self.press(self.widget.view.buttons["uncertainty"])

    def selected(self) -> None:
        """A source is selected: tools."""
        self.press(self.widget.view.buttons["sources"])
        self.widget.sources.table.selectRow(1)

    def plots(self) -> None:
        """Further down."""
        self.widget.sources.table.clearSelection()
        self.scroll_to(self.widget.plots)

    def evidence(self) -> None:
        """Evidence: views that were made."""
        section = self.widget.evidence
        self.press(section.heading)
        self.settle()
        self.press(section.make_all)
        self.settle()
        self.scroll_to(section)

    def evidence_view(self) -> None:
        """A view, opened as layer."""
        card = self.widget.evidence.cards["noise level"]
        self.press(card.heading)
        for folded in (card.misleads, card.parameters):
            self.press(folded.heading)
        self.press(card.layer_button)
        self.settle()
        self.scroll_to(card)

    def evidence_not_applicable(self) -> None:
        """Views that do not apply."""
        section = self.widget.evidence
        section.cards["noise level"].heading.setChecked(False)
        section.others.unfold()
        self.settle()
        self.widget.ensureWidgetVisible(section.others)

    def advanced(self) -> None:
        """Advanced: DBSCAN."""
        self.widget.evidence.heading.setChecked(False)
        self.widget.verticalScrollBar().setValue(0)
        self.press(self.widget.partition.advanced.heading)
        self.method.setCurrentText("DBSCAN")

    def no_forgery(self) -> None:
        """No forgery found."""
        self.method.setCurrentText("k-means")
        self.press(self.widget.partition.advanced.heading)
        self.open("demo_authentic")
        self.press(self.widget.partition.run)

    def muted_map(self) -> None:
        """A map that accuses nobody."""
        self.press(self.widget.view.buttons["forgery map"])

    def inconclusive(self) -> None:
        """Inconclusive, and a name from right to left."""
        pixels = self.picture.data[:120, :120]
        self.viewer.layers.clear()
        self.viewer.add_image(np.asarray(pixels), name="صورة من الأرشيف (2)")
        self.settle()
        self.press(self.widget.partition.run)

    def stack(self) -> None:
        """A stack."""
        self.open("demo_recompressed")
        self.press(self.widget.partition.run)

    def messages(self) -> None:
        """Messages, and what was saved."""
        notice = self.controller.notice
        notice.emit("demo composite was closed. What was made of it is saved.", False, None)
        notice.emit(
            "The picture stays open, because it could not be saved. There is no space left on the "
            "disk: free some, or choose another folder for the masks.",
            True,
            None,
        )

    def queue(self) -> None:
        """A queue, one picture not done."""
        self.widget.workspace.messages.clear()
        self.viewer.layers.clear()
        folder = Path(tempfile.mkdtemp()) / "photos"
        folder.mkdir()
        demo = Path(__file__).parent / "images" / "demo.jpg"
        for name in ("harbour.jpg", "street.jpg", "square.jpg"):
            shutil.copy(demo, folder / name)
        queue = self.widget.workspace.queue
        queue.work.open_queue(folder)
        self.settle()
        self.picture = self.controller.image
        self.click_in(0.3, 0.3)
        queue.finish()
        self.settle()
        self.widget.verticalScrollBar().setValue(0)

    def model(self) -> None:
        """Model, fine-tune."""
        self.widget.model.unfold()
        self.widget.fine_tune.unfold()
        self.scroll_to(self.widget.model)

    def keys(self) -> None:
        """Keys."""
        for section in (self.widget.model, self.widget.fine_tune):
            section.heading.setChecked(False)
        self.press(self.widget.show_keys)
        self.scroll_to(self.widget.keys)

    def light(self) -> None:
        """Light theme."""
        self.press(self.widget.show_keys)
        self.viewer.theme = "light"
        self.open("demo_composite")
        self.press(self.widget.partition.run)
        self.widget.verticalScrollBar().setValue(0)

    def light_selected(self) -> None:
        """Light theme, keyboard on Commit."""
        self.widget.sources.table.selectRow(0)
        self.viewer.window.activate()
        self.widget.prompts.commit.setFocus()

    def large(self) -> None:
        """Letters of 16 points."""
        from napari.settings import get_settings

        self.viewer.theme = "dark"
        get_settings().appearance.font_size = 16
        self.widget.sources.table.clearSelection()

    # ---------------------------------------------------------------- the hand

    @property
    def method(self) -> object:
        """The box of the partition's method."""
        return self.widget.partition.form.field("method")

    def open(self, sample: str) -> None:
        """Open a sample alone."""
        self.viewer.layers.clear()
        self.viewer.open_sample("napari-safire", sample)
        self.picture = next(x for x in self.viewer.layers if "true" not in x.name)
        self.viewer.layers.selection.active = self.picture
        self.settle()

    def click_in(self, row: float, col: float) -> None:
        """Click at shares of the picture's height and width."""
        rows, cols = self.picture.data.shape[:2]
        if not self.widget.prompts.add.isChecked():
            self.press(self.widget.prompts.add)
        self.hand.click(self.picture, row * rows, col * cols)
        self.settle()


STATES: tuple[Callable[[States], None], ...] = (
    States.no_picture,
    States.read,
    States.click_once,
    States.two_sources,
    States.committed,
    States.busy,
    States.forged,
    States.details,
    States.forgery_map,
    States.uncertainty,
    States.selected,
    States.plots,
    States.evidence,
    States.evidence_view,
    States.evidence_not_applicable,
    States.advanced,
    States.no_forgery,
    States.muted_map,
    States.inconclusive,
    States.stack,
    States.messages,
    States.queue,
    States.model,
    States.keys,
    States.light,
    States.light_selected,
    States.large,
)


def page(states: list[tuple[str, Image.Image]]) -> Image.Image:
    """All states side by side, each under its name."""
    font = ImageFont.load_default(15)
    width = max(image.width for _, image in states)
    height = max(image.height for _, image in states)
    rows = -(-len(states) // COLUMNS)
    step, down = width + GAP, height + TITLE + GAP
    whole = Image.new("RGB", (COLUMNS * step + GAP, rows * down + GAP), PAPER)
    draw = ImageDraw.Draw(whole)
    for number, (name, image) in enumerate(states):
        left, top = GAP + number % COLUMNS * step, GAP + number // COLUMNS * down
        draw.text((left, top + 6), f"{number + 1}  {name}", INK, font)
        whole.paste(image.convert("RGB"), (left, top + TITLE))
    return whole


def main() -> None:
    """Lead the dock through its states and write the page."""
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name.lower())
        tour = States()
        shown = []
        for state in STATES:
            state(tour)
            shown.append(((state.__doc__ or "").removesuffix("."), tour.grab()))
        tour.close()
    save(page(shown), IMAGES / "dock-states.png", largest=900_000)


if __name__ == "__main__":
    main()
