"""Croissant: the same facts as the data card, as JSON-LD that machines read (MLCommons, 1.0)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_safire.images.files import file_sha256
from napari_safire.project.formats.about import CROISSANT, PICTURES
from napari_safire.project.formats.card import CardValues, Summary
from napari_safire.project.formats.format import Format

_SPECIFICATION = "http://mlcommons.org/croissant/1.0"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FIELDS = (
    ("key", "sc:Text", "What tells a picture from all others."),
    ("picture", "sc:Text", "Its file, or its name in a table or archive."),
    ("mask", "sc:Text", "The file of its mask; none where the format has no such file."),
    ("split", "sc:Text", "Part of the data set."),
    ("rows", "sc:Integer", "Rows of the picture."),
    ("cols", "sc:Integer", "Columns of the picture."),
    ("n_sources", "sc:Integer", "Sources that its pixels come from."),
    ("unassigned", "sc:Integer", "Pixels without a source."),
)


def write_croissant(folder: Path, form: Format, summary: Summary, values: CardValues) -> Path:
    """Write ``croissant.json`` of an export whose ``pictures.jsonl`` is there.

    Parameters
    ----------
    folder : Path
        Of the export.
    form : Format
        Its own; the rule of its readers becomes the description of the records.
    summary : Summary
    values : CardValues

    Returns
    -------
    Path
    """
    path = folder / CROISSANT
    record = _record(folder, form, summary, values)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="ascii", newline="\n")
    return path


def _record(folder: Path, form: Format, summary: Summary, values: CardValues) -> dict[str, Any]:
    record: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _SPECIFICATION,
        "name": values.title,
        "description": values.description or f"Pictures divided by source, as {form.title}.",
        "version": values.version,
        "datePublished": datetime.now(UTC).date().isoformat(),
        "license": values.licence or "not stated",
        "url": values.url or ".",
        "creator": [{"@type": "sc:Person", "name": name} for name in values.creators],
        "citeAs": values.title,
        "rai:dataAnnotationProtocol": _protocol(summary),
        "rai:dataAnnotationAnalysis": [
            f"{one.name} {one.value:.3f}, 95 % {one.low:.3f} to {one.high:.3f}, of {one.pictures} "
            "pictures"
            for one in values.agreement
        ]
        or "Agreement was not measured.",
        "rai:machineAnnotationTools": sorted(summary.models),
        "rai:dataBiases": _bias(summary),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": PICTURES,
                "name": PICTURES,
                "description": "A line for each picture.",
                "contentUrl": PICTURES,
                "encodingFormat": "application/jsonlines",
                "sha256": file_sha256(folder / PICTURES),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "pictures",
                "name": "pictures",
                "description": form.reading,
                "key": {"@id": "pictures/key"},
                "field": [_field(*one) for one in _FIELDS],
            }
        ],
    }
    return {name: value for name, value in record.items() if value not in ([], "", None)}


def _field(name: str, data_type: str, about: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"pictures/{name}",
        "name": name,
        "description": about,
        "dataType": data_type,
        "source": {"fileObject": {"@id": PICTURES}, "extract": {"column": name}},
    }


def _protocol(summary: Summary) -> str:
    people = ", ".join(summary.annotators) or "not stated"
    return f"Every pixel is given to a source by hand or from a model. Annotators: {people}."


def _bias(summary: Summary) -> str:
    if summary.model_share is None:
        return "No picture is said to be begun from a model's partition."
    return (
        f"{summary.assisted} of {summary.pictures} pictures were begun from a model's partition; "
        f"{summary.model_share:.1%} of their pixels were taken over unchanged."
    )
