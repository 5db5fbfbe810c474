"""The published data sets by name: where their pictures and masks lie, and what a mask means.

Layouts and rules are facts read from public data readers: those of SAFIRE (ForensicsEval, with its
lists), CAT-Net, TruFor and photoholmes. ``docs/datasets.md`` tells them set by set. What no public
source confirms:

- that the number at the end of a CASIA name belongs to one tampered picture alone. It is used only
  for files that the published corrections of names have not reached, and only where one picture and
  one mask are left over with the same number;
- which of COVERAGE's masks have another size than their picture (SAFIRE resizes all of them, so it
  is done where needed);
- the values inside FantasticReality's archives beyond "above 0 is forged".
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from napari_safire.datasets.pairing import Pairing, Part, pair_parts
from napari_safire.errors import DatasetError
from napari_safire.images.files import DiskNames, why_unreadable
from napari_safire.images.lists import ListEntry, on_disk, path_inside
from napari_safire.images.mask_pairs import (
    FolderPair,
    PairedPictures,
    find_folder_pairs,
    pair_pictures,
)
from napari_safire.images.masks import MaskRule

_NC16_TABLE = "reference/manipulation/NC2016-manipulation-ref.csv"
_NC16_KINDS = {"Removal": "RM", "Splice": "SP", "CopyClone": "CM"}


@dataclass(frozen=True, slots=True)
class PublishedSet:
    """A data set that many share.

    Parameters
    ----------
    name : str
    rule : MaskRule
    parts : tuple of str
        May be asked for alone, as ``name/part``.
    pairs : callable
        ``pairs(root, parts)`` finds pictures and masks of some parts in the set's own folder.
    """

    name: str
    rule: MaskRule
    parts: tuple[str, ...]
    pairs: Callable[[Path, Sequence[str]], PairedPictures]


# ------------------------------------------------------------------------- finding pictures


def _by_names(parts: Sequence[Part], root: Path, wanted: Sequence[str]) -> PairedPictures:
    return pair_parts(root, [part for part in parts if part.name in wanted])


def _by_folders(root: Path, wanted: Sequence[str]) -> PairedPictures:
    """Folder pairs of SafireMS in the root, or in its subfolders of the parts' names."""
    folders = [root / part for part in wanted] or [root]
    pairs = [pair for folder in folders for pair in find_folder_pairs(folder)]
    return _merged(pairs)


def _expert(root: Path, wanted: Sequence[str]) -> PairedPictures:
    pairs = [FolderPair(root / f"{part}_images", root / f"{part}_masks") for part in wanted]
    return _merged([pair for pair in pairs if pair.images.is_dir()])


def _merged(pairs: Sequence[FolderPair]) -> PairedPictures:
    found = [pair_pictures(pair) for pair in pairs]
    return PairedPictures(
        tuple(entry for paired in found for entry in paired.entries),
        tuple(picture for paired in found for picture in paired.without_mask),
    )


def _nc16(root: Path, wanted: Sequence[str]) -> PairedPictures:
    """Pictures and masks of NIST's reference table, as the published lists were made from it."""
    table = root / _NC16_TABLE
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, delimiter="|"))
        entries = [entry for row in rows if (entry := _nc16_entry(row, root, wanted)) is not None]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"NC16's table {table} cannot be read: {error}.") from error
    except (KeyError, ValueError) as error:
        raise DatasetError(f"{table} is not NC16's reference table: {error}.") from error
    names = DiskNames()
    entries = [on_disk(entry, names) for entry in entries]
    there = [entry.mask is None or why_unreadable(entry.mask) is None for entry in entries]
    return PairedPictures(
        tuple(entry for entry, whole in zip(entries, there, strict=True) if whole),
        tuple(entry.image for entry, whole in zip(entries, there, strict=True) if not whole),
    )


def _nc16_entry(row: Mapping[str, str], root: Path, wanted: Sequence[str]) -> ListEntry | None:
    picture = path_inside(row["ProbeFileName"], root)
    if row["IsTarget"] != "Y":
        return ListEntry(picture) if "auth" in wanted else None
    if "tamp" not in wanted:
        return None
    kinds = [
        short for name, short in _NC16_KINDS.items() if row.get(f"IsManipulationType{name}") == "Y"
    ]
    extra = (row.get("BaseFileName") or "", *kinds[:1])
    return ListEntry(picture, path_inside(row["ProbeMaskFileName"], root), extra)


# -------------------------------------------------------------------------------- the sets


def _tampcoco(name: str, saved: str, masks: str) -> Part:
    """``<quality>_<id>.jpg_<id>.jpg[_RT<angle>|_RS<factor>].jpg``; masks say ``.png`` instead."""
    how = r"(_R[ST]-?[\d.]*\d)?"
    return Part(
        name,
        rf"{name}_images/(\d+_\d+){saved}\.jpg_(\d+){saved}\.jpg{how}{saved}\.jpg",
        (
            Pairing(
                r"\1 \2 \3",
                rf"{masks}_masks/(\d+_\d+)\.png_(\d+)\.png{how}\.png",
                r"\1 \2 \3",
            ),
        ),
    )


_CASIA_PICTURE = r"(?!CASIA ?1)(?:[^/]+/)?Tp/([^/]+_(\d+))\.(?:jpe?g|tiff?|bmp|png)"
_CASIA_MASK = r"(?!CASIA ?1)(?:[^/]+/)?(?:[^/]*groundtruth|gt)/"
_PARTS: dict[str, tuple[MaskRule, tuple[Part, ...]]] = {
    "CASIAv2": (
        MaskRule(),
        (
            Part(
                "Tp",
                _CASIA_PICTURE,
                (
                    Pairing(r"\1", rf"{_CASIA_MASK}([^/]+)_gt\.png"),
                    Pairing(r"\1", rf"{_CASIA_MASK}([^/]+)_gt\d+\.png"),
                    Pairing(r"\2", rf"{_CASIA_MASK}[^/]+_(\d+)_gt\d*\.png"),
                ),
            ),
            Part("Au", r"(?!CASIA ?1)(?:[^/]+/)?Au/[^/]+\.(?:jpe?g|bmp|tiff?|png)"),
        ),
    ),
    "FantasticReality": (
        MaskRule(key="arr_0"),
        (
            Part(
                "tamp",
                r"(?:dataset/)?ColorFakeImages/([^/]+)\.jpe?g",
                (Pairing(r"\1", r"(?:dataset/)?SegmentationFake/([^/]+)\.npz"),),
            ),
            Part("auth", r"(?:dataset/)?ColorRealImages/[^/]+\.jpe?g"),
        ),
    ),
    "IMD2020": (
        MaskRule(),
        (
            Part(
                "tamp",
                # CAT-Net keeps JPEG copies in 0jpg
                r"(?!0jpg/)([^/]+)/(?![^/]*_(?:mask|orig)\.)([^/]+)\.(?:jpe?g|png)",
                (Pairing(r"\1/\2", r"([^/]+)/([^/]+)_mask\.png", r"\1/\2"),),
            ),
            Part("auth", r"[^/]+/[^/]+_orig\.(?:jpe?g|png)"),
        ),
    ),
    "tampCOCO": (
        MaskRule(),
        (
            *(_tampcoco(name, "", name) for name in ("cm", "sp", "bcm")),
            _tampcoco("bcmc", r"(?:_aligned_Q\d+)?", "bcm"),
        ),
    ),
    "Columbia": (
        MaskRule(above=120, channel="green"),
        (
            Part(
                "splc",
                r"4cam_splc/([^/]+)\.tiff?",
                (Pairing(r"\1", r"4cam_splc/edgemask/([^/]+)_edgemask\.jpe?g"),),
            ),
            Part("auth", r"4cam_auth/[^/]+\.tiff?"),
        ),
    ),
    "COVERAGE": (
        MaskRule(above=120, nearest=True),
        (
            Part("tamp", r"image/(\d+)t\.tiff?", (Pairing(r"\1", r"mask/(\d+)forged\.tiff?"),)),
            Part("auth", r"image/\d+\.tiff?"),
        ),
    ),
    "CocoGlide": (
        MaskRule(),
        (
            Part(
                "fake",
                r"fake/glide_inpainting_val2017_(\d+)_up\.png",
                (Pairing(r"\1", r"mask/[^/]+_(\d+)_mask\.png"),),
            ),
            Part("real", r"real/[^/]+\.png"),
        ),
    ),
    "RealTamper": (
        MaskRule(),
        (
            Part(
                "tamp",
                r"(?:data-images/)?([^/]+)/tampered-realistic/([^/]+)\.tiff?",
                (
                    Pairing(
                        r"\1/\2", r"(?:data-images/)?([^/]+)/ground-truth/([^/]+)\.png", r"\1/\2"
                    ),
                ),
            ),
            Part("auth", r"(?:data-images/)?[^/]+/pristine/[^/]+\.tiff?"),
        ),
    ),
}

SETS: Mapping[str, PublishedSet] = {
    published.name: published
    for published in (
        PublishedSet("SafireMS-Auto", MaskRule(), ("cm", "sp", "rm", "gn"), _by_folders),
        PublishedSet("SafireMS-Expert", MaskRule("sources"), ("ms2", "ms3", "ms4"), _expert),
        *(
            PublishedSet(name, rule, tuple(p.name for p in parts), partial(_by_names, parts))
            for name, (rule, parts) in _PARTS.items()
        ),
        PublishedSet("NC16", MaskRule(below=180), ("tamp", "auth"), _nc16),
        PublishedSet("default", MaskRule(), (), _by_folders),
        PublishedSet("half", MaskRule(above=127), (), _by_folders),
        PublishedSet("sources", MaskRule("sources"), (), _by_folders),
    )
}
"""By name. "default" (grey above 0 is forged), "half" (above 127, for masks that were in a JPEG or
smoothed) and "sources" are the rules alone, for other data."""
