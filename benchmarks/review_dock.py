"""The dock SAFIRE Review on a large picture, in a real napari window: time to the first view.

xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/review_dock.py ../shared/photos
xvfb-run -a -s "-screen 0 1280x800x24" python benchmarks/review_dock.py ../shared/photos --report

A JPEG of 12 megapixels is laid together from photographs and opened; a model that answers at once
stands for the network, so that the figures are those of dock and views (with --report it is
safire-lite). Beside each time stand the processors' seconds of the whole program and the longest
pause of the viewer's thread; at the end stand the longest calls of ours in it, in seconds of
its own processor: those hardly change on a busy machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evidence import mosaic
from gui_calls import GuiCalls
from PIL import Image

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "window"), str(TESTS)]  # for its hand and its engine

GIVE_UP_S = 300.0
FIRST, MAP = "histogram", "noise level"


class Clock:
    """Times what is done in a window, and the longest time in which it took no event."""

    def step(self, what: str, act: Callable[[], Any], until: Callable[[], bool]) -> None:
        """Do something, and pump events until it is done."""
        from qtpy.QtWidgets import QApplication

        begun, worked, longest = time.perf_counter(), time.process_time(), 0.0
        last = begun
        act()
        called = time.perf_counter() - begun
        while not until():
            QApplication.processEvents()
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
            if now - begun > GIVE_UP_S:
                sys.exit(f"{what}: waited in vain.")
            time.sleep(0.001)
        wall, processors = time.perf_counter() - begun, time.process_time() - worked
        print(
            f"{what:<42} {wall:6.2f} s by the clock, {processors:6.2f} s of processors, "
            f"call {1000 * called:4.0f} ms, longest pause {1000 * longest:4.0f} ms",
            flush=True,
        )


def measure(path: Path, *, report: bool) -> None:
    """Open the picture, then the dock, its first views, and, if wanted, a report."""
    import napari
    from fakes import FakeEngine
    from hand import pump, wait_idle

    from napari_safire.gui.review import ReviewWidget

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1280, 800)
    viewer.open(str(path), plugin="napari")
    pump(2)
    made: list[ReviewWidget] = []

    def dock() -> None:
        fake = {} if report else {"load_engine": lambda name, device, notice: FakeEngine()}
        made.append(ReviewWidget(viewer, **fake))
        viewer.window.add_dock_widget(made[0], name="SAFIRE Review", area="right")

    clock = Clock()
    clock.step("the dock", dock, lambda: made[0].case.make.isVisible())
    review = made[0]
    wait_idle(review.controller, GIVE_UP_S)
    known = review.workspace.evidence
    clock.step(
        "list of views, each applicable or not",
        review.evidence.unfold,
        lambda: known.known is not None and known.known.seen is not None,
    )
    cards = review.evidence.cards
    name = next(n for n in (FIRST, *cards) if n in cards and not known.known.views[n].why_not)

    def there(name: str) -> bool:
        return known.known is not None and known.known.views[name].found is not None

    for view in (name, MAP):
        clock.step(f"view: {view}", cards[view].unfold, lambda v=view: there(v))
    layers = len(viewer.layers)
    clock.step(f"{MAP} as a layer", lambda: known.open_as_layer(MAP),
               lambda: len(viewer.layers) > layers)  # fmt: skip
    work, reports = review.workspace.review.work, review.workspace.review.reports
    clock.step("a case is made", review.case.make.click,
               lambda: work.opened is not None and not work.doing)  # fmt: skip
    if report:
        clock.step("partition", review.controller.partition,
                   lambda: review.controller.plane.partition is not None)  # fmt: skip
        wait_idle(review.controller, GIVE_UP_S)
        review.report.unfold()
        clock.step("analysis and report", review.report.write.click,
                   lambda: reports.written is not None)  # fmt: skip
    review.close_work()
    viewer.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, help="folder to lay a picture together from")
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--report", action="store_true", help="with safire-lite, up to its report")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, GuiCalls().watching() as calls:
        path = Path(folder) / "picture.jpg"
        found = sorted(one for one in given.photographs.iterdir() if one.is_file())
        Image.fromarray(mosaic(found, given.megapixels)).save(path, quality=92)
        measure(path, report=given.report)
        calls.print()


if __name__ == "__main__":
    main()
