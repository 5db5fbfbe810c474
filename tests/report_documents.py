"""Documents of reports for the tests of HTML and PDF: full, changed, hostile."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from report_cases import sample_document

HOSTILE = '<script>alert(1)</script>\u202egnp.\u0000\x1b[2J"\'&{{7*7}}#eval("1")*_`$x$\\'


@cache
def png(rows: int = 12, cols: int = 20) -> bytes:
    """A small picture: figures in tests need not be more."""
    pixels = np.linspace(0, 255, rows * cols * 3).reshape(rows, cols, 3).astype(np.uint8)
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "PNG")
    return into.getvalue()


def figures_of(document: dict[str, Any]) -> dict[str, bytes]:
    return {figure["id"]: png() for figure in document["figures"]}


def full_document() -> dict[str, Any]:
    """Everything that a report may hold, and of each kind at least one."""
    document = sample_document()
    document["regions"] = _regions()
    document["voting"] = _voting()
    document["stability"] = _stability()
    document["saved_again"] = _saved_again()
    document["model_verdict"] |= {
        "obstacle": "The picture is small.",
        "caveat": "Most likely here.",
        "regions": [{"name": "copy-move", "share": 0.03}],
    }
    document["partition"] |= {
        "parameters": {"radius": 1.5},
        "seed": 0,
        "number_probabilities": [{"n_sources": 3, "probability": 0.8}],
        "notices": ["One prompt had no region."],
    }
    document["findings"][0] |= {
        "revision": 2,
        "file_sha256": "f" * 64,
        "status": "withdrawn",
        "plane": [3],
    }
    document["findings"][1]["comment"] = ""
    _second_review(document)
    _evidence(document)
    return document


def _second_review(document: dict[str, Any]) -> None:
    first = document["reviews"][0]
    signed = {
        "stance": "disputes",
        "signature": "SSH SIGNATURE",
        "key": "SHA256:abc",
        "reason": "No.",
    }
    judgement = first["judgement"] | {
        "verdict": "cannot be determined",
        "types": [],
        "confidence": None,
        "sources": [],
    }
    second = {
        "reviewer": "Ben Second",
        "blind": False,
        "judgement": judgement,
        "interpretation": "",
        "checklist": [],
        "countersignatures": [first["countersignatures"][0] | signed],
    }
    third = {"reviewer": "Carl", "judgement": None, "countersignatures": []}
    document["reviews"] += [first | second, first | third]


def _evidence(document: dict[str, Any]) -> None:
    noise, _, metadata = document["evidence"]
    noise |= {
        "shows": "Noise.",
        "score": 1.5,
        "score_means": "larger: noisier",
        "caveat": "The picture is small.",
        "parameters": {"cell": 16, "channels": list(range(80)), "nested": {}, "wide": True},
    }
    plain = {"name": "mean", "value": "3", "remark": "", "level": 0}
    metadata["rows"].append(plain)
    document["evidence"].append(metadata | {"name": "file", "rows": [plain]})


def _regions() -> dict[str, Any]:
    row = {"source": 1, "measure": "noise", "inside": 4.1, "rest": 2.3, "effect": 0.71}
    told = {"interval": [0.55, 0.83], "why_not": "", "detail": "", "words": "noisier than the rest"}
    none = dict.fromkeys(("inside", "rest", "effect", "interval"))
    return {
        "level": 0.95,
        "sources": [1, 2],
        "notices": ["Flat cells were left out."],
        "measures": [
            {
                "name": "noise",
                "what": "N.",
                "unit": "levels",
                "caveat": "T.",
                "source": "X 2009",
                "limit": 0.62,
            }
        ],
        "rows": [
            row | told | {"outlier": True},
            row | told | {"source": 2, "outlier": False, "detail": "in few cells"},
            row | none | {"measure": "JPEG grid", "outlier": False, "why_not": "a PNG file"},
        ],
    }


def _voting() -> dict[str, Any]:
    votes = {"votes": 130, "sure": 112, "between": 18, "nearest": 2, "median": 0.95}
    words = "112 of 130 patches are surely of this source."
    return {
        "units": "patches",
        "sure_from": 0.9,
        "between_from": 0.333,
        "no_vote": 12,
        "sources": [votes | {"number": 1, "words": words}],
        "words": "Most patches are sure.",
    }


def _run(name: str) -> dict[str, Any]:
    return {"name": name, "n_sources": 2, "ious": [0.9, None], "verdict": "forged", "score": 0.9}


def _stability() -> dict[str, Any]:
    kept = {"number": 1, "runs": 6, "kept": 5, "median_iou": 0.9, "least_iou": 0.4, "words": "kept"}
    return {
        "kept_from": 0.5,
        "reference": "window",
        "window": [0, 0, 100, 200],
        "runs": [_run("JPEG 85")],
        "sources": [kept],
        "words": "Both sources are kept.",
    }


def _saved_again() -> dict[str, Any]:
    copy = _run("JPEG 95") | {"differs": True, "differences": ["Source 2 is smaller."]}
    return {"copies": [copy], "words": "The PNG gives the same."}


def changed(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same document with every leaf replaced."""
    if isinstance(value, dict):
        return {key: changed(of, leaf) for key, of in value.items()}
    if isinstance(value, list):
        return [changed(of, leaf) for of in value]
    return leaf(value)
