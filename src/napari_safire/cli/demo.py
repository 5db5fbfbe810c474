"""``napari-safire demo``: the whole path once, on the picture that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_safire.cli.options import DeviceOption, ModelOption
from napari_safire.cli.terminal import open_engine, print_table, progress_bar, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_safire.examination import Examination

_BASE = "composite"


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures.")
    ] = Path("safire-demo"),
    model: ModelOption = "safire-lite",
    device: DeviceOption = "auto",
) -> None:
    """Partition a picture made of three photographs and say how well that went."""
    from napari_safire.corpus.run import Batch, begin, uninterrupted
    from napari_safire.corpus.task import InTheWay
    from napari_safire.images.demo import demo_composite, demo_path

    _, truth = demo_composite()
    try:
        with begin(Batch([demo_path()], output, overwrite=True)) as run:
            engine = open_engine(model, device)
            (outcome,) = run.outcomes(engine, model, watch=progress_bar)
            if outcome.error is not None:
                raise outcome.error
            assert outcome.found is not None  # nothing is passed where all is overwritten
            found = outcome.found
            with uninterrupted():
                pictures = _write_pictures(found, truth, output)
    except InTheWay as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error
    _print_summary(found, truth)
    for title, paths in (("Look at:", pictures), ("All results:", outcome.files)):
        say()
        say(title)
        for path in paths:
            say(f"  {path.resolve()}")


def _write_pictures(found: Examination, truth: npt.NDArray[np.uint8], folder: Path) -> list[Path]:
    """The picture, its true sources and its heatmap for the eye; the overlay is there already."""
    from napari_safire.atomic import atomic_files
    from napari_safire.examination.overlay import render_heatmap, render_sources
    from napari_safire.images.reading import write_image_atomic

    assert found.forgery is not None  # the whole image was asked
    pixels = found.image.pixels
    captions = ["true: the street", "another sky", "statues"]
    heat = f"forgery heatmap: {found.forgery.verdict}."
    pictures = {
        f"{_BASE}.png": pixels,
        f"{_BASE}_truth.png": render_sources(pixels, truth, captions),
        f"{_BASE}_heatmap.png": render_heatmap(pixels, found.forgery, heat),
    }
    with atomic_files(folder, f"{_BASE}_heatmap.png") as place:
        for name, picture in pictures.items():
            write_image_atomic(place / name, picture)
    shown = list(pictures)
    shown.insert(2, f"{_BASE}_overlay.png")  # there already, among the results
    return [folder / name for name in shown]


def _print_summary(found: Examination, truth: npt.NDArray[np.uint8]) -> None:
    from napari_safire.evaluation import partition_scores

    assert found.partition is not None  # the whole image was asked
    assert found.forgery is not None
    scores = partition_scores(truth, found.partition)
    found_number, true_number = int(scores["n_sources_found"]), int(scores["n_sources_true"])
    print_table(
        [
            ("sources found", f"{found_number} (true: {true_number})"),
            ("p_mIoU (hungarian)", f"{scores['p_miou_hungarian']:.3f}"),
            ("p_mIoU of one source", f"{scores['p_miou_floor']:.3f}"),
            ("score at even odds", f"{found.forgery.score:.3f}"),
            ("verdict", found.forgery.verdict),
            *((f"seconds: {stage}", f"{value:.2f}") for stage, value in found.seconds.items()),
        ]
    )
    say()
    say(found.forgery.reason)
