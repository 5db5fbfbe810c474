"""Documents of reports for the tests of HTML and PDF: full, empty, hostile, large."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

ANNA = "Anna Example"
HASH = "0123456789abcdef" * 4
AT = "2026-11-29T09:41:07.250+00:00"
HOSTILE = '<script>alert(1)</script>\u202egnp.\u0000\x1b[2J"\'&{{7*7}}#eval("1")*_`$x$\\'


def png(rows: int = 12, cols: int = 20) -> bytes:
    pixels = np.linspace(0, 255, rows * cols * 3).reshape(rows, cols, 3).astype(np.uint8)
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "PNG")
    return into.getvalue()


def figures_of(document: dict[str, Any]) -> dict[str, bytes]:
    return {figure["id"]: png() for figure in document["figures"]}


def full_document() -> dict[str, Any]:
    """Everything that a report may hold, and of each kind at least one."""
    return {
        "format": "napari-safire report",
        "version": 1,
        "language": "en",
        "digest": HASH,
        "made": _made(),
        "case": _case(),
        "custody": [_event("received", kind=None)],
        "picture": _picture(),
        "model": _model(),
        "settings": {"partition": {"method": "auto", "seed": 0, "eps": None}, "views": None},
        "model_verdict": _model_verdict(),
        "partition": _partition(),
        "regions": _regions(),
        "voting": _voting(),
        "stability": _stability(),
        "saved_again": _saved_again(),
        "evidence": _evidence(),
        "findings": [_finding(1), _finding(2)],
        "reviews": [_review(ANNA, "signs"), _review("Ben Second", "disputes")],
        "limitations": ["The file is a PNG: nothing is known of former compression."],
        "events": [_event("added the picture", kind="picture.added")],
        "head": HASH,
        "figures": [
            {"id": name, "caption": f"Shows {name}.", "caveat": "Texture misleads."}
            for name in ("picture", "partition", "forgery-map", "finding-1", "view-noise-level")
        ],
        "files": {},
    }


def _made() -> dict[str, Any]:
    return {
        "at": AT,
        "by": ANNA,
        "machine": "lab-3",
        "program": {"name": "napari-safire", "version": "0.1.0"},
        "versions": {"python": "3.12.1", "numpy": "2.3.0"},
    }


def _case() -> dict[str, Any]:
    return {
        "number": "17/26",
        "title": "Figure 3",
        "question": "Was anything pasted into the picture?",
        "organisation": "Office for Research Integrity",
        "requested_by": "The editor",
        "received": "2026-11-28, by e-mail",
        "notes": "First line.\nSecond line.",
    }


def _event(what: str, kind: str | None) -> dict[str, Any]:
    event = {"sequence": 3, "at": AT, "machine": "lab-3", "what": what, "sha256": HASH}
    return event | ({"by": ANNA} if kind is None else {"author": ANNA, "kind": kind})


def _picture() -> dict[str, Any]:
    return {
        "id": "abcd",
        "name": "figure3.png",
        "path": "figure3.png",
        "bytes": 1204117,
        "file_sha256": HASH,
        "pixels_sha256": HASH[::-1],
        "format": "PNG",
        "shape": [768, 1024],
        "dtype": "uint8",
        "orientation": 1,
        "decoder": "Pillow 12",
        "decoding": ["An embedded colour profile was not applied."],
        "metadata": [{"name": "Software", "value": "GIMP", "remark": "An editor."}],
        "why_no_pixels": "",
    }


def _model() -> dict[str, Any]:
    calibration = {
        "basis": "On 446 pictures.",
        "false_alarm_rate": 0.027,
        "highest_false_alarm_rate": 0.06,
        "miss_rate": 0.3,
        "n_authentic": 367,
        "n_forged": 79,
        "forged_above": 0.9,
        "clean_below": 0.3,
        "slope": 1.0,
        "intercept": 0.0,
    }
    return {
        "name": "safire-lite",
        "sha256": HASH,
        "algorithm": 4,
        "architecture": "lite",
        "precision": "float32",
        "device": "cpu",
        "card": [{"name": "Image AUC", "value": ".83"}],
        "calibration": calibration,
    }


def _model_verdict() -> dict[str, Any]:
    alone = {"verdict": "inconclusive", "likelihood_ratio": 3.0}
    return {
        "verdict": "forged",
        "score": 0.97,
        "likelihood_ratio": 32.3,
        "means": "A forgery looks like this more often.",
        "reason": "Network and copy-move speak for it.",
        "obstacle": "The picture is small.",
        "caveat": "If anything were pasted, most likely here.",
        "contributions": [
            {"name": "network", "log_odds": 2.9, "weight": "strong", "words": "two sources"}
        ],
        "network_alone": alone,
    }


def _partition() -> dict[str, Any]:
    source = {"colour": [0, 114, 178], "n_pixels": 393216, "share": 0.5, "confidence": 0.9}
    return {
        "method": "auto",
        "n_sources": 2,
        "parameters": {"radius": 1.5},
        "seed": 0,
        "number_probabilities": [{"n_sources": 2, "probability": 0.8}],
        "labels_sha256": HASH,
        "notices": ["One prompt had no region."],
        "sources": [
            source | {"number": number, "bounds": [0, 0, 384, 1024], "certainty": None}
            for number in (1, 2)
        ],
    }


def _regions() -> dict[str, Any]:
    row = {"source": 1, "measure": "noise", "inside": 4.1, "rest": 2.3, "effect": 0.71}
    told = {"interval": [0.55, 0.83], "why_not": "", "detail": "", "words": "noisier than the rest"}
    none = dict.fromkeys(("inside", "rest", "effect", "interval"))
    return {
        "level": 0.95,
        "sources": [1, 2],
        "notices": ["Flat cells were left out."],
        "measures": [
            {"name": "noise", "what": "N.", "unit": "levels", "caveat": "T.", "source": "X 2009"}
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


def _evidence() -> list[dict[str, Any]]:
    view = {
        "name": "noise level",
        "applicable": True,
        "why_not": "",
        "shows": "Noise.",
        "finding": "noisier in source 2",
        "score": 1.5,
        "score_means": "larger: noisier",
        "caveat": "The picture is small.",
        "misleads": "texture",
        "source": "Mahdian and Saic 2009",
        "parameters": {"cell": 16, "channels": [0, 1], "nested": {}},
        "rows": [
            {"name": "cells", "value": "12", "remark": "few", "level": 0},
            {"name": "mean", "value": "3", "remark": "", "level": 0},
        ],
    }
    plain = view | {"name": "file", "rows": view["rows"][1:], "score": None}
    return [
        view,
        plain,
        view | {"name": "ghosts", "applicable": False, "why_not": "no JPEG", "finding": ""},
    ]


def _finding(number: int) -> dict[str, Any]:
    return {
        "number": number,
        "id": f"f{number}",
        "kind": "observed",
        "status": "confirmed" if number == 1 else "withdrawn",
        "view": "noise level",
        "parameters": {"cell": 16},
        "viewport": [300, 350, 600, 750] if number == 1 else None,
        "source": number,
        "comment": "Noisier than the wall." if number == 1 else "",
        "by": ANNA,
        "at": AT,
        "revision": number,
        "figure": "finding-1" if number == 1 else None,
    }


def _review(name: str, stance: str) -> dict[str, Any]:
    ssh = {"signature": "-----BEGIN SSH SIGNATURE-----", "key": "SHA256:abc"}
    signature = {"by": "Carl", "at": AT, "stance": stance, "reason": "Seen.", "head": HASH}
    of_source = {"number": 2, "verdict": "cannot be determined", "types": [], "confidence": None}
    judgement = {
        "verdict": "manipulated",
        "types": ["splice"],
        "confidence": "strong support",
        "at": AT,
        "head": HASH,
        "sources": [of_source | {"note": "Blurred."}],
    }
    return {
        "reviewer": name,
        "blind": stance == "signs",
        "order": ["Judged before the program's verdict was shown."],
        "checklist": [{"question": "quality", "answer": "not known", "note": "Small."}],
        "judgement": judgement,
        "interpretation": "The statues are from elsewhere.",
        "countersignatures": [signature | (ssh if stance == "signs" else {})],
    }


def changed(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same document with every leaf replaced."""
    if isinstance(value, dict):
        return {key: changed(of, leaf) for key, of in value.items()}
    if isinstance(value, list):
        return [changed(of, leaf) for of in value]
    return leaf(value)
