"""Pictures of the dock SAFIRE Review, step by step, for docs/review.md.

xvfb-run -a -s "-screen 0 1280x800x24" python docs/review_tour.py             # into docs/images
xvfb-run -a -s "-screen 0 1280x800x24" python docs/review_tour.py --all /tmp  # every step

An examiner reviews the demo picture that ships with the package; `ReviewTour` takes any other, too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from screenshots import Tour, save, take_tour

LARGEST = 150_000  # bytes
VIEW = "noise level"


class ReviewTour(Tour):
    """One review, from the case to the report; every step leaves the window for the next one."""

    size = (1280, 800)
    width_of_dock = 390

    def __init__(self, photo: Path, reviewer: str = "Anna") -> None:
        import napari
        from hand import Hand

        from napari_safire.gui.dock import bring_forward, dock_around
        from napari_safire.gui.review import ReviewWidget

        os.environ["NAPARI_SAFIRE_ANNOTATOR"] = reviewer
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*self.size)
        self.picture = self.viewer.open(str(photo))[0]
        self.review = bring_forward(self.viewer, ReviewWidget)
        self.controller = self.review.controller
        self.work = self.review.workspace.review.work
        self.dock = dock_around(self.review)
        self.hand = Hand(self.viewer)
        self.shown = None
        self._widen(self.width_of_dock)
        self.wait(lambda: self.controller.session.engine is not None)
        self.settle()
        self.viewer.reset_view()

    def close(self) -> None:
        """Close the window."""
        self.review.close_work()
        self.viewer.close()

    # ---------------------------------------------------------------- steps

    def case(self) -> None:
        """A case is made beside the picture, and what is asked is written down."""
        case = self.review.case
        self.press(case.make)
        self.type(case.form.lines["number"], "2026-117")
        self.type(case.form.lines["title"], "Letter to the editor")
        self.type(case.form.boxes["question"], "Was anything put into this picture?")
        self.press(case.form.keep)

    def finding(self) -> None:
        """A finding of an open view: what is seen, and where."""
        evidence = self.review.evidence
        self.press(self.review.case.heading)
        self.press(evidence.heading)
        self.press(evidence.cards[VIEW].heading)
        self.press(evidence.cards[VIEW].layer_button)
        self.viewer.layers.selection.active = self.picture
        self.hand.press("Shift+B")
        self.settle()
        self.type(self.review.findings.form.comment, "Noisier here than around it.")

    def regions(self) -> None:
        """Each source against the rest, and what stands out."""
        self.press(self.review.findings.form.keep)
        self.press(self.review.evidence.heading)
        self.viewer.layers[f"{self.picture.name} \N{EN DASH} {VIEW}"].visible = False
        self.controller.partition()
        self.settle()
        regions = self.review.regions
        self.press(regions.heading)
        self.press(regions.compare)
        if regions.table.rowCount():
            regions.table.selectRow(0)
            self.settle()
        self.review.verticalScrollBar().setValue(0)

    def analysed(self) -> None:
        """Why a source is one, and whether changed copies keep it."""
        regions = self.review.regions
        self.press(regions.why.heading)
        self.press(regions.analyse)
        self.scroll_to(regions)

    def verdict(self) -> None:
        """The checklist is answered; a verdict, how strongly it is supported, what it means."""
        judgement = self.review.judgement
        self.press(self.review.regions.heading)
        self.press(judgement.heading)
        for name, box in judgement.questions.boxes.items():
            self.choose(box, "no" if name == "unmodified" else "yes")
        self.type(judgement.questions.notes["unmodified"], "saved again by a messenger")
        self.give("manipulated", "moderate support", ("splice",))
        self.type(judgement.form.interpretation, "One source was put into a photograph.")
        self.scroll_to(judgement)

    def signed(self) -> None:
        """Signed; from now on the model's verdict is shown."""
        self.press(self.review.judgement.sign)
        self.press(self.review.judgement.heading)
        self.review.verticalScrollBar().setValue(0)

    def report(self) -> None:
        """The report is written."""
        report = self.review.report
        self.press(report.heading)
        self.press(report.write)
        self.wait(lambda: not self.review.workspace.review.reports.is_asked)
        self.settle()
        self.viewer.theme = "light"
        self.scroll_to(report)

    # ---------------------------------------------------------------- the hand

    def give(self, verdict: str, support: str = "", types: tuple[str, ...] = ()) -> None:
        """Choose a verdict on the picture."""
        choice = self.review.judgement.form.picture
        self.choose(choice.verdict, verdict)
        if support:
            self.choose(choice.support, support)
        for box in choice.types:
            box.setChecked(box.text() in types)

    def choose(self, box: object, text: str) -> None:
        """Choose an entry of a box."""
        box.setCurrentText(text)
        box.activated.emit(box.currentIndex())

    def type(self, field: object, text: str) -> None:
        """Type into a field."""
        from qtpy.QtTest import QTest

        field.setFocus()
        QTest.keyClicks(field, text)

    def settle(self, seconds: float = 0.3) -> None:
        """Until no step is being kept, too."""
        super().settle(0.05)
        self.wait(lambda: not self.work.doing and self.controller.idle)
        super().settle(seconds)


# In the order of the tour; those with True are kept in docs/images.
STEPS: tuple[tuple[Callable[[ReviewTour], None], bool], ...] = (
    (ReviewTour.case, True),
    (ReviewTour.finding, True),
    (ReviewTour.regions, True),
    (ReviewTour.analysed, False),
    (ReviewTour.verdict, True),
    (ReviewTour.signed, False),
    (ReviewTour.report, True),
)


def walk(folder: Path, every: bool) -> None:
    """Take the tour."""
    from napari_safire.images.demo import demo_composite

    with tempfile.TemporaryDirectory() as pictures:
        photo = Path(pictures) / "square.png"
        Image.fromarray(np.asarray(demo_composite()[0])).save(photo)
        tour = ReviewTour(photo)
        for number, (step, kept) in enumerate(STEPS, start=1):
            step(tour)
            tour.settle()
            if kept or every:
                save(
                    tour.screenshot(), folder / f"review-{number}-{step.__name__}.png",
                    largest=LARGEST,
                )  # fmt: skip
        tour.close()


if __name__ == "__main__":
    take_tour(__doc__, walk)
