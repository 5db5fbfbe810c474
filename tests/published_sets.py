"""The published data sets in miniature, written as their folders are laid out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from synthetic import photograph

from napari_safire.images.masks import encode_sources

SHAPE = (24, 32)
Pairs = dict[str, str | None]
"""Picture -> mask, relative to the root; None: authentic."""


def picture(path: Path, seed: int = 0, shape: tuple[int, int] = SHAPE) -> None:
    save(path, photograph(seed, shape))


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in (".tif", ".tiff"):
        tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    else:
        Image.fromarray(pixels).save(path, **options)


def truth(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Forged: a block that is neither central nor half of the picture."""
    mask = np.zeros(shape, bool)
    mask[shape[0] // 4 : shape[0] // 2, shape[1] // 8 : shape[1] // 2] = True
    return mask


def grey(mask: np.ndarray, forged: int = 255, other: int = 0) -> np.ndarray:
    return np.where(mask, np.uint8(forged), np.uint8(other)).astype(np.uint8)


def three_sources(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    labels = truth(shape).astype(np.uint8)
    labels[-3:] = 2
    return labels


def edge_mask(mask: np.ndarray) -> np.ndarray:
    """Columbia: green inside, red around, with two brighter tones along the edge."""
    colours = np.zeros((*mask.shape, 3), np.uint8)
    colours[mask, 1], colours[~mask, 0] = 200, 200
    colours[0, 0] = (255, 100, 100)
    return colours


def _write_masks(root: Path, pairs: Pairs, mask: np.ndarray, **options: object) -> Pairs:
    for seed, (name, where) in enumerate(pairs.items()):
        picture(root / name, seed)
        if where is not None:
            save(root / where, mask, **options)
    return pairs


def safirems_auto(root: Path) -> Pairs:
    copies = "cm/copy-move_post_processing_0_1"
    splices = "sp/splicing_post_processing_0_1"
    drawn, masks = "gn/inpainting_pp_sd/198", "gn/inpainting_pp_sd_mask/198"
    return _write_masks(
        root,
        {
            f"{copies}_imgs/000003_1_2.jpg.png.png": f"{copies}_masks/000003_1_2.jpg.png.png",
            f"{splices}_imgs/002423_316_3.jpg.png.png": f"{splices}_masks/002423_26_8.jpg.png.png",
            f"{splices}_imgs/002440_460_5.jpg.png.png": f"{splices}_masks/002440_34_0.jpg.png.png",
            "rm/inpainting/266/14_03.jpg.png": "rm/inpainting_mask/266/14_03.jpg.png",
            "rm/inpainting_pp/006/01_08.jpg.png": "rm/inpainting_pp_mask/006/01_08.jpg.png",
            f"{drawn}/0.2_75_15.jpg.png": f"{masks}/75_15.jpg.png",
            f"{drawn}/0.95_75_15.jpg.png": f"{masks}/75_15.jpg.png",
        },
        grey(truth()),
    )


def safirems_expert(root: Path) -> Pairs:
    return _write_masks(
        root,
        {
            f"{part}_images/0100_DPR.jpg.png_sp.png": f"{part}_masks/0100_DPR.jpg.png_sp.png"
            for part in ("ms2", "ms3", "ms4")
        },
        encode_sources(three_sources()),
    )


def casia(root: Path) -> Pairs:
    masks = "CASIA 2 Groundtruth"
    pairs = _write_masks(
        root,
        {
            "CASIA 2.0/Tp/Tp_D_NRN_S_N_nat00013_ani00058_11416.jpg": (
                f"{masks}/Tp_D_NRN_S_N_nat00013_ani00058_11416_gt.png"
            ),
            "CASIA 2.0/Tp/Tp_S_NNN_S_N_art20054_art20054_02331.tif": (
                f"{masks}/Tp_S_NNN_S_N_art20054_art20054_02331_gt.png"
            ),
            # known: the one mask that is called _gt3
            "CASIA 2.0/Tp/Tp_D_NRD_S_N_cha10002_cha10001_20094.jpg": (
                f"{masks}/Tp_D_NRD_S_N_cha10002_cha10001_20094_gt3.png"
            ),
            # a picture whose name was not corrected: only the number is the mask's
            "CASIA 2.0/Tp/Tp_D_CND_M_N_ani00018_sec00096_00138.tif": (
                f"{masks}/Tp_D_CND_M_N_ani00019_sec00096_00138_gt.png"
            ),
            "CASIA 2.0/Au/Au_ani_30389.jpg": None,
            "CASIA 2.0/Au/Au_arc_10125.bmp": None,
        },
        grey(truth()),
    )
    # what lies beside it and is none of it
    picture(root / "CASIA 1.0 dataset/Au/Au_ani_0001.jpg")
    picture(root / "CASIA 2.0/jpg/Tp_S_NNN_S_N_art20054_art20054_02331.jpg")
    (root / "CASIA 2.0/Tp/Thumbs.db").write_bytes(b"x")
    return pairs


def fantastic_reality(root: Path) -> Pairs:
    pairs: Pairs = {
        "dataset/ColorFakeImages/IMG_0003_IMG_0008.jpg": (
            "dataset/SegmentationFake/IMG_0003_IMG_0008.npz"
        ),
        "dataset/ColorRealImages/IMG_0001.jpg": None,
    }
    for seed, name in enumerate(pairs):
        picture(root / name, seed)
    archive = root / "dataset/SegmentationFake/IMG_0003_IMG_0008.npz"
    archive.parent.mkdir()
    np.savez_compressed(archive, (truth() * 7)[..., None].astype(np.int64))
    return pairs


def imd2020(root: Path) -> Pairs:
    pairs = _write_masks(
        root,
        {
            "1bza2v/c9bldch_0.jpg": "1bza2v/c9bldch_0_mask.png",
            "1dqcce/c9szyfw_0.png": "1dqcce/c9szyfw_0_mask.png",
            "1bza2v/1bza2v_orig.jpg": None,
        },
        grey(truth()),
    )
    picture(root / "0jpg/c9szyfw_0.jpg")
    return pairs


def tampcoco(root: Path) -> Pairs:
    name = "82_000000190150{0}.{1}_000000190150{0}.{1}_RT-13.8{0}.{1}"
    plain = "90_000000262009{0}.{1}_000000262009{0}.{1}{0}.{1}"
    pairs: Pairs = {
        f"{part}_images/{name.format('', 'jpg')}": f"{part}_masks/{name.format('', 'png')}"
        for part in ("cm", "sp", "bcm")
    }
    for form, saved in ((name, "_aligned_Q100"), (plain, "_aligned_Q60")):
        pairs[f"bcmc_images/{form.format(saved, 'jpg')}"] = f"bcm_masks/{form.format('', 'png')}"
    return _write_masks(root, pairs, grey(truth(), forged=1))


def columbia(root: Path) -> Pairs:
    return _write_masks(
        root,
        {
            "4cam_splc/canong3_canonxt_sub_01.tif": (
                "4cam_splc/edgemask/canong3_canonxt_sub_01_edgemask.jpg"
            ),
            "4cam_auth/canong3_02_sub_01.tif": None,
        },
        edge_mask(truth()),
        quality=100,
        subsampling=0,
    )


def coverage(root: Path) -> Pairs:
    pairs = _write_masks(
        root,
        {"image/1t.tif": "mask/1forged.tif", "image/1.tif": None},
        grey(truth((48, 64)), other=120),  # twice the size; 120 is not forged
    )
    save(root / "mask/1copy.tif", grey(truth()))
    save(root / "mask/1paste.tif", grey(truth()))
    return pairs


def cocoglide(root: Path) -> Pairs:
    return _write_masks(
        root,
        {
            "fake/glide_inpainting_val2017_446207_up.png": "mask/cell phone_446207_mask.png",
            "real/cell phone_446207.png": None,
        },
        grey(truth()),
    )


def nc16(root: Path) -> Pairs:
    masks = "reference/manipulation/mask"
    pairs = _write_masks(
        root,
        {
            "probe/NC2016_4962.jpg": f"{masks}/NC2016_9866.png",
            "probe/NC2016_0001.jpg": None,
        },
        grey(truth(), forged=179, other=180),
    )
    picture(root / "probe/NC2016_0002.jpg")
    header = (
        "TaskID|ProbeFileName|ProbeMaskFileName|IsTarget|BaseFileName|IsManipulationTypeRemoval"
    )
    rows = [
        f"m|probe/NC2016_4962.jpg|{masks}/NC2016_9866.png|Y|world/NC2016_8410.jpg|Y",
        "m|probe/NC2016_0001.jpg||N||",
        f"m|probe/NC2016_0002.jpg|{masks}/lost.png|Y|world/NC2016_8410.jpg|N",
    ]
    table = root / "reference/manipulation/NC2016-manipulation-ref.csv"
    table.write_text("\n".join([header, *rows]))
    return pairs


def real_tamper(root: Path) -> Pairs:
    pairs: Pairs = {
        "data-images/Sony_A57/tampered-realistic/DSC05635.TIF": (
            "data-images/Sony_A57/ground-truth/DSC05635.PNG"
        ),
        "data-images/Sony_A57/pristine/DSC07193.TIF": None,
    }
    return _write_masks(root, pairs, grey(truth(), forged=60))


def default(root: Path) -> Pairs:
    return _write_masks(root, {"x_imgs/a.png": "x_masks/a.png"}, grey(truth(), forged=1))


def half(root: Path) -> Pairs:
    """As JPEG makes masks: nearly black around the edge, nearly white inside it."""
    noisy = grey(truth(), forged=250)
    noisy[:, ::3] += np.uint8(3)
    noisy[::5] += np.uint8(1)
    return _write_masks(root, {"x_imgs/a.png": "x_masks/a.png"}, noisy)


def sources(root: Path) -> Pairs:
    return _write_masks(root, {"x_imgs/a.png": "x_masks/a.png"}, encode_sources(three_sources()))


WRITERS = {
    "SafireMS-Auto": safirems_auto,
    "SafireMS-Expert": safirems_expert,
    "CASIAv2": casia,
    "FantasticReality": fantastic_reality,
    "IMD2020": imd2020,
    "tampCOCO": tampcoco,
    "Columbia": columbia,
    "COVERAGE": coverage,
    "CocoGlide": cocoglide,
    "RealTamper": real_tamper,
    "NC16": nc16,
    "default": default,
    "half": half,
    "sources": sources,
}
