"""Use the installed plugin as a user does; called by .ci/installed with the folder of hand.py."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path


def main() -> None:
    """Open the sample and the widget, click the sky, partition, close; any fault ends it."""
    sys.path.insert(0, sys.argv[1])
    warnings.filterwarnings("error", module="napari_safire")
    with tempfile.TemporaryDirectory() as home:
        for name in ("CONFIG", "DATA", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(home) / name.lower())
        click()
    left = [thread.name for thread in threading.enumerate() if thread.name == "napari-safire"]
    if left:
        sys.exit(f"{len(left)} threads of the plugin are left after napari was closed.")


def click() -> None:
    """All that needs a window."""
    import napari
    from hand import Hand, pump, wait_until
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    import napari_safire

    inside = Path(napari_safire.__file__).resolve()
    if not inside.is_relative_to(Path(sys.prefix).resolve()):
        sys.exit(f"{inside} was imported, and not what was installed in {sys.prefix}.")

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.open_sample("napari-safire", "demo_composite")
    picture, truth = viewer.layers["demo composite"], viewer.layers["demo composite: true sources"]
    _, widget = viewer.window.add_plugin_dock_widget("napari-safire", "SAFIRE")
    hand = Hand(viewer)
    pump(0.2)

    QTest.mouseClick(widget.prompts.add, Qt.MouseButton.LeftButton)
    row, col = 120, 250
    hand.click(picture, row, col)
    wait_until(lambda: widget.controller.sources_layer is not None, 120, "the first region")
    wait_until(lambda: widget.controller.idle, 120, "the end of the jobs")
    pump(0.2)
    region = widget.controller.sources_layer.data == 1
    sky = truth.data == truth.data[row, col]
    share = (region & sky).sum() / max(1, region.sum())
    if not region[row, col]:
        sys.exit("The region of the click does not hold the place of the click.")
    if share < 0.8:
        sys.exit(f"Only {share:.0%} of the region of a click on the sky is sky.")
    print(f"click on the sky: {region.mean():.1%} of the picture, {share:.0%} of it sky")

    hand.press("Shift+G")
    wait_until(lambda: widget.controller.plane.partition is not None, 120, "the partition")
    wait_until(lambda: widget.controller.idle, 120, "the end of the jobs")
    pump(0.2)
    print(f"partition: {widget.controller.plane.partition.n_sources} sources")
    print(f"verdict: {widget.result.verdict.text()}")
    if not viewer.layers.selection.active.visible:
        sys.exit("The layer that is worked on is hidden.")
    viewer.close()
    pump(0.2)


if __name__ == "__main__":
    main()
