"""Which picture was analysed, how its pixels were decoded, and by which model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_safire.errors import CheckpointError
from napari_safire.examination.export import describe_model
from napari_safire.forensics.picture import Picture
from napari_safire.forgery import Calibration
from napari_safire.images.pixels import PictureReader
from napari_safire.text import printable

if TYPE_CHECKING:
    from napari_safire.engine import Engine

_SUMMARY = 40  # lines of metadata; the view "metadata" has all of them
_TOLD_FIRST = (
    "Image Make", "Image Model", "EXIF LensModel", "Image Software", "XMP xmp:CreatorTool",
    "EXIF DateTimeOriginal", "EXIF DateTimeDigitized", "Image DateTime", "Colour profile",
)  # fmt: skip


def picture_record(picture: Picture, evidence: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Tell one picture file from all others, and say what became of it on its way to pixels.

    Parameters
    ----------
    picture : Picture
        With its file.
    evidence : iterable of mapping
        Records of its views: of "metadata" a summary is told.

    Returns
    -------
    dict
        JSON values, without name and place of the file.
    """
    file = picture.file
    assert file is not None  # analyses begin with a file
    decoded = not picture.why_no_pixels
    decoding = file.decoding
    return {
        "bytes": len(picture.data),
        "file_sha256": file.sha256,
        "pixels_sha256": PictureReader(file.pixels).sha256 if decoded else None,
        "format": file.format,
        "shape": list(picture.shape) if decoded else None,
        "dtype": str(file.pixels.dtype) if decoded else None,
        "orientation": decoding.orientation,
        "decoder": decoding.decoder,
        "decoding": decoding_sentences(picture),
        "why_no_pixels": named_only(picture, picture.why_no_pixels),
        "metadata": metadata_summary(evidence),
    }


def decoding_sentences(picture: Picture) -> list[str]:
    """How the pixels of a file came about: what another expert has to do to have the same.

    Parameters
    ----------
    picture : Picture

    Returns
    -------
    list of str
        Sentences; empty where the pixels cannot be read.
    """
    if picture.file is None or picture.why_no_pixels:
        return []
    decoding = picture.file.decoding
    stored = f"{decoding.colour}, {decoding.bits} bits ({decoding.sample})"
    told = [
        f"{decoding.format} decoded by {decoding.decoder}: {stored}, compression "
        f"{decoding.compression}.",
        "Rows and columns are those stored; no orientation and no colour profile was applied.",
    ]
    told += [f"Converted: {what}." for what in decoding.converted]
    told += [f"Assumed: {what}." for what in decoding.assumed]
    told += [f"Not read: {what}." for what in decoding.besides]
    told += [f"The file {sentence}" for sentence in decoding.sentences()]
    if str(picture.file.pixels.dtype) != "uint8":
        told.append(
            "Forensic views look at 8 bits a channel; the model scaled the values as its warnings "
            "say."
        )
    return [printable(sentence) for sentence in told]


def metadata_summary(evidence: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Choose the lines of metadata that a reader looks for first, and all with a remark.

    Parameters
    ----------
    evidence : iterable of mapping
        Records of views; empty without "metadata" among them.

    Returns
    -------
    list of dict
        ``name``, ``value`` and ``remark``.
    """
    rows = [row for one in evidence if one["name"] == "metadata" for row in one["rows"]]
    by_name = {row["name"]: row for row in rows}
    first = [by_name[name] for name in _TOLD_FIRST if name in by_name]
    noticed = [row for row in rows if row["remark"] and row not in first]
    return [
        {key: row[key] for key in ("name", "value", "remark")}
        for row in [*first, *noticed][:_SUMMARY]
    ]


def model_record(engine: Engine, name: str, calibration: Calibration | None) -> dict[str, Any]:
    """Tell one model from all others, and say what its numbers rest on.

    Parameters
    ----------
    engine : Engine
    name : str
        Of a registered model, or its file, of which only the name is told.
    calibration : Calibration or None
        Of the verdict that was asked for.

    Returns
    -------
    dict
        JSON values; the device is left out, as it is no part of the result.
    """
    from napari_safire.basis import ALGORITHM

    about = describe_model(engine, name)
    return {
        "name": printable(about["name"]),
        "sha256": engine.model.checkpoint_sha256,
        "algorithm": ALGORITHM,
        "architecture": about["architecture"],
        "precision": about["precision"],
        "card": _card(engine, name),
        "calibration": None if calibration is None else _calibration_record(calibration),
    }


def _calibration_record(calibration: Calibration) -> dict[str, Any]:
    return {**asdict(calibration), "likelihood_bounds": list(calibration.likelihood_bounds)}


def _card(engine: Engine, name: str) -> list[dict[str, str]]:
    """Lines of the model's card, from the catalogue or its own file; rates stand in calibration."""
    from napari_safire.model.catalogue.registry import model_entry

    facts: dict[str, str] = {}
    try:
        entry = model_entry(name)
    except CheckpointError:  # a file of the user's own: all that is known lies in it
        entry = None
    if entry is not None and entry.sha256 == engine.model.checkpoint_sha256:
        facts["What it is"] = entry.description
        facts["Licence"], facts["Trained on"] = entry.licence, entry.trained_on
    else:
        for key, what in (("licence", "Licence"), ("trained_on", "Trained on")):
            facts[what] = str(engine.model.metadata.get(key, "not stated"))
    return [{"name": key, "value": printable(value)} for key, value in facts.items()]


def named_only(picture: Picture, text: str) -> str:
    """Take the folder out of a sentence that names a picture's file: folders may name the user.

    Parameters
    ----------
    picture : Picture
    text : str

    Returns
    -------
    str
    """
    if picture.file is None:
        return text
    path = picture.file.path
    return text.replace(printable(path), printable(path.name))
