"""Make the composite that ships with the package: one street, another sky, and a statue.

python training/make_demo.py ../shared/photos src/napari_safire/images/demo

Three photographs of the validation split, whose licences allow it (see CREDITS.md beside the
result). Outlines were drawn by hand. Each source has its own history, and nothing was compressed
after pasting.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from napari_safire.images.masks import encode_sources
from napari_safire.images.reading import read_image, write_image_atomic
from napari_safire.synthesis.camera import Pipeline, develop, jpeg

SHAPE = (768, 1024)
STREET = "mapillary_01_5fb7a1.jpg"
SUNSET = "drewnoakes_sony-cybershot-1_516e6f.jpg"
CATHEDRAL = "mapillary_01_e53c53.jpg"

# The sky between the roofs, (col, row) in the street's pixels.
SKY = [
    (38, -1),
    (38, 66),
    (48, 80),
    (174, 74),
    (204, 75),
    (242, 122),
    (235, 126),
    (234, 161),
    (285, 160),
    (304, 190),
    (299, 194),
    (299, 234),
    (350, 232),
    (360, 248),
    (356, 251),
    (357, 272),
    (402, 272),
    (409, 290),
    (405, 292),
    (406, 301),
    (425, 301),
    (428, 316),
    (438, 316),
    (441, 331),
    (449, 332),
    (450, 343),
    (460, 345),
    (461, 373),
    (475, 376),
    (486, 390),
    (508, 399),
    (512, 388),
    (540, 384),
    (548, 380),
    (565, 380),
    (567, 393),
    (574, 393),
    (576, 379),
    (584, 374),
    (591, 377),
    (594, 396),
    (606, 398),
    (614, 378),
    (616, 346),
    (627, 334),
    (631, 317),
    (647, 315),
    (650, 304),
    (658, 302),
    (661, 288),
    (679, 287),
    (677, 262),
    (682, 258),
    (716, 259),
    (714, 225),
    (722, 202),
    (766, 203),
    (764, 155),
    (776, 121),
    (821, 120),
    (818, 76),
    (836, 46),
    (863, 16),
    (984, 16),
    (984, -1),
]
SKY_PIPELINE = Pipeline(
    scale=1.15,
    resampler="bicubic",
    gamma=0.85,
    jpeg_quality=70,
    jpeg_subsampling=2,
    jpeg_offset=(3, 5),
)
SKY_FROM = (0, 0)

# One of the groups of statues, (col, row) in the cathedral's pixels times five, from STATUE_FROM.
STATUE_FROM = (250, 850)
STATUE_DRAWN_AT = 5.0
STATUE = [
    (202, 272),
    (206, 252),
    (235, 244),
    (264, 253),
    (270, 277),
    (262, 312),
    (258, 343),
    (284, 350),
    (304, 350),
    (318, 342),
    (336, 335),
    (331, 300),
    (331, 264),
    (346, 242),
    (375, 236),
    (400, 246),
    (405, 270),
    (399, 310),
    (402, 335),
    (440, 352),
    (456, 372),
    (461, 356),
    (487, 364),
    (481, 385),
    (490, 405),
    (490, 446),
    (515, 456),
    (521, 463),
    (580, 469),
    (581, 486),
    (560, 545),
    (545, 562),
    (506, 555),
    (490, 566),
    (503, 640),
    (486, 720),
    (488, 800),
    (540, 803),
    (545, 830),
    (556, 842),
    (562, 908),
    (196, 908),
    (186, 882),
    (152, 862),
    (149, 832),
    (165, 740),
    (151, 690),
    (148, 620),
    (125, 575),
    (98, 487),
    (96, 460),
    (111, 410),
    (141, 350),
    (170, 338),
    (205, 331),
    (209, 300),
]
STATUE_PIPELINE = Pipeline(
    scale=2.3, resampler="bicubic", shot_noise=0.03, read_noise=3.0, jpeg_quality=None
)
STATUE_TO = (372, 196)  # row, col of the street where STATUE_FROM lands


def outline(points: list[tuple[float, float]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels inside a polygon of (col, row) corners."""
    canvas = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(canvas).polygon(points, fill=1)
    return np.array(canvas)


def paste(
    pixels: npt.NDArray[np.uint8], patch: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Lay the patch over the pixels with an anti-aliased edge; all of one size."""
    alpha = ndimage.gaussian_filter(mask.astype(np.float32), 0.7)[..., None]
    return np.rint(alpha * patch + (1 - alpha) * pixels).astype(np.uint8)


def make(photos: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The composite and its labels: 0 the street, 1 the sky, 2 the statue."""
    rng = np.random.default_rng(0)
    pixels = jpeg(read_image(photos / STREET).pixels[: SHAPE[0], : SHAPE[1]], 85, 2)
    labels = np.zeros(SHAPE, dtype=np.uint8)

    sky = outline(SKY, SHAPE)
    rows = int(np.flatnonzero(sky.any(axis=1)).max()) + 1
    patch = np.zeros_like(pixels)
    patch[:rows] = develop(
        read_image(photos / SUNSET).pixels, SKY_FROM, (rows, SHAPE[1]), SKY_PIPELINE, rng
    )
    pixels = paste(pixels, patch, sky)
    labels[sky] = 1

    zoom = STATUE_PIPELINE.scale / STATUE_DRAWN_AT
    top, left = STATUE_TO
    statue = outline([(left + x * zoom, top + y * zoom) for x, y in STATUE], SHAPE)
    place_rows, place_cols = ndimage.find_objects(statue.astype(np.int8))[0]
    # two pixels more for the soft edge; `develop` begins eight pixels inside what it takes
    box = tuple(
        slice(max(0, part.start - 2), min(length, part.stop + 2))
        for part, length in zip((place_rows, place_cols), SHAPE, strict=True)
    )
    corner = tuple(
        round(start + (part.start - to - 8) / STATUE_PIPELINE.scale)
        for start, part, to in zip(STATUE_FROM, box, STATUE_TO, strict=True)
    )
    patch = np.zeros_like(pixels)
    patch[box] = develop(
        read_image(photos / CATHEDRAL).pixels,
        corner,
        (box[0].stop - box[0].start, box[1].stop - box[1].start),
        STATUE_PIPELINE,
        rng,
    )
    pixels = paste(pixels, patch, statue)
    labels[statue] = 2
    return pixels, labels


def main() -> None:
    """Write composite.png and mask.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("output", type=Path, help="folder of the demo data")
    options = parser.parse_args()
    pixels, labels = make(options.photos)
    write_image_atomic(options.output / "composite.png", pixels)
    write_image_atomic(options.output / "mask.png", encode_sources(labels))
    shares = np.bincount(labels.ravel()) / labels.size
    print(f"{options.output}: shares {', '.join(f'{share:.1%}' for share in shares)}")


if __name__ == "__main__":
    main()
