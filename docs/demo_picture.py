"""Draw what `make demo` finds, for README.

python docs/demo_picture.py

The picture that ships with the package, the sources found in it without their number given, and its
forgery heatmap. Prints how good they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from napari_safire import Engine, load_model
from napari_safire.examination.overlay import render_heatmap, render_sources
from napari_safire.images.demo import demo_composite
from napari_safire.metrics import multi_source_scores

TARGET = Path(__file__).parent / "images" / "demo.jpg"
SIZE = (480, 372)
GAP = 8


def main() -> None:
    """Draw the picture."""
    image, truth = demo_composite()
    engine = Engine(load_model("safire-lite", device="cpu"))
    embedding = engine.embed(image)
    partition = engine.partition(embedding)
    forgery = engine.localize(embedding)
    sources = [f"source {number}" for number in range(1, partition.n_sources + 1)]
    panels = (
        image,
        render_sources(image, partition.labels, sources),
        render_heatmap(image, forgery, f"{forgery.verdict} ({forgery.score:.2f})"),
    )
    sheet = Image.new("RGB", (3 * SIZE[0] + 2 * GAP, SIZE[1]), "white")
    for place, panel in enumerate(panels):
        shown = Image.fromarray(np.asarray(panel))
        shown.thumbnail(SIZE)
        sheet.paste(shown, (place * (SIZE[0] + GAP), 0))
    sheet.save(TARGET, quality=88)
    print(multi_source_scores(truth, partition.labels), forgery.verdict, forgery.score)


if __name__ == "__main__":
    main()
