"""Pictures of the dock SAFIRE Curate, step by step, for docs/curate.md.

xvfb-run -a -s "-screen 0 1280x800x24" python docs/curate_tour.py             # into docs/images
xvfb-run -a -s "-screen 0 1280x800x24" python docs/curate_tour.py --all /tmp  # every step

Two annotators, Anna and Berta, work on pieces of the demo picture that ships with the package.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from screenshots import Tour, save, take_tour

PIECE = (430, 520)  # rows and columns of each picture
CORNERS = {
    "houses 1.png": (0, 0),
    "houses 2.png": (0, 500),
    "roofs.png": (20, 250),
    "statue.png": (330, 80),
    "street 1.png": (300, 480),
    "street 2.png": (340, 520),
}
LARGEST = 200_000  # bytes


class CurateTour(Tour):
    """One walk through a project; every step leaves the window as the next one finds it."""

    size = (1280, 800)
    width_of_dock = 380

    def __init__(self, folder: Path) -> None:
        self._name("Anna")
        super().__init__()
        from napari_safire.gui.curate import CurateWidget
        from napari_safire.gui.dock import bring_forward

        sample = self.viewer.layers
        self.photos, self.project = folder / "photos", folder / "old town"
        write_pictures(self.photos, np.asarray(sample["demo composite"].data))
        sample.clear()
        self.settle()
        self.curate = bring_forward(self.viewer, CurateWidget)
        self.work = self.curate.workspace.queue.work
        self.settle()

    def close(self) -> None:
        """Close the window."""
        self.curate.close_work()
        super().close()

    # ---------------------------------------------------------------- steps

    def new_project(self) -> None:
        """A project is made of a folder; two annotators see each picture."""
        opening = self.curate.opening
        self.press(opening.new)
        opening.form.source.setText(str(self.photos))
        opening.form.folder.setText(str(self.project))
        opening.form.annotators.setValue(2)

    def queue(self) -> None:
        """The queue, its first picture begun from the model's partition."""
        self.press(self.curate.opening.form.create_button)
        self.wait(lambda: self.work.opened is not None and not self.work.doing)
        self.curate.workspace.messages.clear()
        self._begin_from("the model's partition")

    def refused(self) -> None:
        """Done is refused while pixels have no source."""
        self._erase_corner()
        self.press(self.curate.queue.done)

    def waived(self) -> None:
        """It is waived, with a reason."""
        self.press(self.curate.queue.waive)
        self.curate.queue.reason.line.setText("The corner was torn off before scanning.")

    def described(self) -> None:
        """What each source is, and a note pinned to a place."""
        self.curate.queue.reason.hide()
        self.curate.controller.edits.undo()
        self.settle()
        self.curate.workspace.messages.clear()
        descriptions, notes = self.curate.descriptions, self.curate.notes
        descriptions.unfold()
        notes.unfold()
        self.choose(descriptions.type, "authentic background")
        self.curate.controller.mode.source = 2
        self.choose(descriptions.type, "splice")
        descriptions.order.setValue(1)
        self.choose(descriptions.donor, "other file")
        descriptions.donor_name.setText("archive/statue.jpg")
        descriptions.donor_name.editingFinished.emit()
        notes.text.setText("soft edge, sky shows through")
        notes._take_place((150.0, 200.0))
        self.press(notes.add)
        self.scroll_to(self.curate.queue)

    def filtered(self) -> None:
        """Berta works on them as well; the list shows what is left to do for her."""
        for folded in (self.curate.descriptions, self.curate.notes):
            folded.heading.setChecked(False)
        self.curate.verticalScrollBar().setValue(0)
        self._finish_all("Anna")
        self._finish_all("Berta", most=4, shift=30)
        self.choose(self.curate.list.state, "to do")

    def adjudicated(self) -> None:
        """Carla decides where both disagree, region by region."""
        self._name("Carla")
        self.work.open_queue(self.project)
        self.settle()
        self.choose(self.curate.list.stage, "adjudicate")
        self.work.go_to(self.curate.list.model.key(0))
        self.settle()
        self.press(self.curate.adjudication.begin_again)
        self.press(self.curate.adjudication.forward)
        self.scroll_to(self.curate.queue)

    def accepted(self) -> None:
        """What is decided is done, and accepted; the light theme."""
        adjudication = self.curate.adjudication
        self.choose(adjudication.rest, adjudication.rest.itemText(1))
        first = self.work.key
        self.press(self.curate.queue.done)
        self.choose(self.curate.list.stage, "all stages")
        self.work.go_to(first)
        self.settle()
        self.viewer.theme = "light"
        self.viewer.reset_view()
        self.curate.workspace.messages.clear()
        self.curate.verticalScrollBar().setValue(0)

    # ---------------------------------------------------------------- the hand

    def choose(self, box: object, text: str) -> None:
        """Choose an entry of a box."""
        box.setCurrentText(text)
        box.activated.emit(box.currentIndex())
        self.settle()

    def settle(self, seconds: float = 0.4) -> None:
        """Until no picture is being opened or saved, too."""
        super().settle(0.05)
        if hasattr(self, "work"):
            self.wait(lambda: not self.work.doing)
        super().settle(seconds)
        image = self.controller.image
        if image is not None:
            self.picture = image

    def _begin_from(self, what: str) -> None:
        self.choose(self.curate.queue.begin, what)

    def _erase_corner(self) -> None:
        def erased(labels: np.ndarray, protected: np.ndarray) -> np.ndarray:
            changed = labels.copy()
            changed[:70, :120] = 0
            return changed

        key = self.controller.key
        assert key is not None
        self.controller.session.annotations.edit(key, erased, "erase")
        self.settle()

    def _finish_all(self, name: str, most: int = len(CORNERS), shift: int = 0) -> None:
        """Let somebody take the model's partition of each picture for the truth, or nearly so."""
        self._name(name)
        self.work.open_queue(self.project)
        self.settle()
        for _ in range(most):
            self._begin_from("the model's partition")
            plane = self.controller.plane
            assert plane is not None
            assert plane.snapshot is not None
            whole = len(plane.snapshot.areas) > 1
            if shift:
                self.controller.session.annotations.edit(
                    plane.key, lambda labels, protected: np.roll(labels, shift, axis=1), "shift"
                )
                self.settle(0.1)
            queue = self.curate.workspace.queue
            (queue.finish if whole else queue.finish_as_authentic)()
            self.settle(0.1)
        self.curate.workspace.messages.clear()

    @staticmethod
    def _name(annotator: str) -> None:
        os.environ["NAPARI_SAFIRE_ANNOTATOR"] = annotator


# In the order of the tour; those with True are kept in docs/images.
STEPS: tuple[tuple[Callable[[CurateTour], None], bool], ...] = (
    (CurateTour.new_project, True),
    (CurateTour.queue, True),
    (CurateTour.refused, True),
    (CurateTour.waived, False),
    (CurateTour.described, True),
    (CurateTour.filtered, False),
    (CurateTour.adjudicated, True),
    (CurateTour.accepted, True),
)


def write_pictures(folder: Path, pixels: np.ndarray) -> None:
    """Write pieces of a picture."""
    folder.mkdir(parents=True)
    for name, (row, col) in CORNERS.items():
        piece = pixels[row : row + PIECE[0], col : col + PIECE[1]]
        Image.fromarray(np.ascontiguousarray(piece)).save(folder / name)


def walk(folder: Path, every: bool) -> None:
    """Take the tour."""
    with tempfile.TemporaryDirectory() as pictures:
        tour = CurateTour(Path(pictures))
        for number, (step, kept) in enumerate(STEPS, start=1):
            step(tour)
            tour.settle()
            if kept or every:
                name = f"curate-{number}-{step.__name__.replace('_', '-')}.png"
                save(tour.screenshot(), folder / name, largest=LARGEST)
        tour.close()


if __name__ == "__main__":
    take_tour(__doc__, walk)
