"""A report's document with everything in it, and its figures, made without a model."""

from __future__ import annotations

import copy
import hashlib
from functools import cache
from typing import Any

import numpy as np

from napari_safire.forgery import ForgeryMap
from napari_safire.images.demo import demo_composite
from napari_safire.palette import source_colour
from napari_safire.review.report import drawing
from napari_safire.review.report.document import figure_file, identified

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
EVENTS = [
    ("2026-11-29T09:00:00.000+00:00", "project.created", "created the project Case 17/26", 1),
    ("2026-11-29T09:00:00.010+00:00", "case.described", "described the case", 2),
    ("2026-11-29T09:01:00.000+00:00", "picture.added", "added, file aaaaaaaaaaaa", 3),
    ("2026-11-29T09:20:00.000+00:00", "review.checked", "answered the checklist", 4),
    ("2026-11-29T09:30:00.000+00:00", "review.noted", "noted finding 1: noise level", 5),
    ("2026-11-29T09:40:00.000+00:00", "review.judged", "judged: manipulated (splice)", 6),
    ("2026-11-29T10:00:00.000+00:00", "review.countersigned", "signs the judgement", 7),
]


@cache
def sample_figures() -> dict[str, bytes]:
    """PNG or JPEG bytes by the id of a figure."""
    rgb, labels = (image[::2, ::2] for image in demo_composite())
    rows = np.linspace(0, 1, rgb.shape[0], dtype=np.float32)[:, None]
    heatmap = np.where(labels == 2, np.float32(0.9), 0.1 * rows).astype(np.float32)
    forgery = ForgeryMap(heatmap, 0.97, "forged", "")
    window = (150, 175, 300, 375)
    cut = rgb[window[0] : window[2], window[1] : window[3]]
    noise = np.repeat((cut.std(axis=2, keepdims=True) * 3).clip(0, 255).astype(np.uint8), 3, axis=2)
    made = {
        "picture": drawing.resized(rgb, drawing.fitted_size(rgb.shape)),
        "partition": drawing.contours(rgb, labels),
        "forgery-map": drawing.forgery_map(rgb, forgery),
        "finding-1": drawing.side_by_side(
            [drawing.framed(drawing.resized(rgb, (300, 400)), window, rgb.shape), cut, noise]
        ),
        "view-noise-level": drawing.resized(noise, drawing.fitted_size(noise.shape, 240)),
    }
    return {name: drawing.encoded(pixels) for name, pixels in made.items()}


def sample_document() -> dict[str, Any]:
    """A whole document; its "files" are still empty, as HTML and PDF are made of it."""
    return copy.deepcopy(_document())


@cache
def _document() -> dict[str, Any]:
    figures = sample_figures()
    captions = {
        "picture": ("The picture as it was received.", ""),
        "partition": ("3 sources, each outlined in its colour and numbered.", ""),
        "forgery-map": ("Where the model places a forgery; scale from 0 to 1.", ""),
        "finding-1": (
            "Finding 1: noise level. Where it lies, the picture, the view.",
            "Texture, denoising and blur look like other noise.",
        ),
        "view-noise-level": ("noise level", "Texture, denoising and blur look like other noise."),
    }
    document = {
        "format": "napari-safire report",
        "version": 1,
        "language": "en",
        "made": {
            "at": "2026-11-29T10:05:00+00:00",
            "by": "Anna Example",
            "machine": "lab-3",
            "device": "cpu",
            "program": {"name": "napari-safire", "version": "0.1.0"},
            "versions": {"napari-safire": "0.1.0", "python": "3.11.2", "torch": "2.9.0",
                         "numpy": "2.3.0", "typst": "0.15.0", "platform": "Linux"},
        },
        "case": {
            "number": "17/26",
            "title": "Figure 3 of a submitted article",
            "question": "Was anything pasted into the picture?",
            "organisation": "Office for Research Integrity",
            "requested_by": "Editor of the journal",
            "received": "2026-11-28, by e-mail",
            "notes": "The authors' original was asked for and not sent.",
        },
        "custody": [
            {"sequence": 3, "at": EVENTS[2][0], "by": "Anna Example", "machine": "lab-3",
             "what": "Received as figure3.png and added to the case.", "sha256": A},
        ],
        "picture": {
            "id": "aaaaaaaaaaaaaaaa", "name": "figure3.png", "path": "figure3.png",
            "bytes": 1_204_117, "file_sha256": A, "pixels_sha256": B, "format": "PNG",
            "shape": [768, 1024], "orientation": 1, "decoder": "Pillow 12.0",
            "decoding": ["8 bits a sample, RGB, deflated.", "No orientation was applied."],
            "metadata": [{"name": "Software", "value": "GIMP 2.10", "remark": "An editor."}],
        },
        "model": {
            "name": "safire-lite", "sha256": C, "algorithm": 4, "architecture": "lite",
            "precision": "float32",
            "card": [{"name": "Image AUC, forgeries of others", "value": ".83 (.77 to .89)"}],
            "calibration": {
                "basis": "367 authentic pictures and 79 forgeries.", "forged_above": 0.9,
                "clean_below": 0.3, "false_alarm_rate": 0.027, "miss_rate": 0.3,
                "highest_false_alarm_rate": 0.06, "n_authentic": 367, "n_forged": 79,
                "slope": 1.0, "intercept": 0.0,
            },
        },
        "settings": {"method": "auto", "n_sources": None, "eps": None, "seed": 0,
                     "points_per_side": 16, "evidence": "all", "precision": "float32"},
        "model_verdict": {
            "verdict": "forged", "score": 0.97, "likelihood_ratio": 32.3,
            "means": "Such a score is 32 times as likely of a forgery as of an authentic picture.",
            "reason": "The network and copy-move speak for a forgery.", "obstacle": "",
            "caveat": "",
            "contributions": [
                {"name": "network", "log_odds": 2.9, "weight": "strong", "words": "two sources"},
                {"name": "copy-move", "log_odds": 0.0, "weight": "nothing",
                 "words": "no copies were found"},
            ],
            "network_alone": {"verdict": "forged", "score": 0.95, "likelihood_ratio": 19.0,
                              "reason": "", "obstacle": ""},
        },
        "partition": {
            "method": "auto", "n_sources": 3, "labels_sha256": B, "notices": [],
            "sources": [
                {"number": k + 1, "colour": list(source_colour(k)), "n_pixels": n,
                 "share": n / (768 * 1024), "bounds": bounds, "confidence": 0.9,
                 "certainty": 0.8}
                for k, (n, bounds) in enumerate([
                    (400_000, [0, 0, 768, 1024]), (286_432, [0, 0, 400, 1024]),
                    (100_000, [300, 350, 600, 750]),
                ])
            ],
        },
        "regions": None,
        "voting": None,
        "stability": None,
        "saved_again": None,
        "evidence": [
            {"name": "noise level", "applicable": True, "why_not": "",
             "finding": "source 3 is noisier than the rest", "score": None, "score_means": "",
             "caveat": "texture, denoising, blur", "misleads": "texture, denoising, blur",
             "source": "Mahdian and Saic 2009", "parameters": {"cell": 32}, "rows": []},
            {"name": "double compression", "applicable": False,
             "why_not": "not applicable: a PNG file, not a JPEG", "finding": "", "score": None,
             "score_means": "", "caveat": "", "misleads": "", "source": "", "parameters": {},
             "rows": []},
            {"name": "metadata", "applicable": True, "why_not": "", "finding": "1 remark",
             "score": None, "score_means": "", "caveat": "it can be edited",
             "misleads": "it can be edited", "source": "Exif 2.32", "parameters": {},
             "rows": [{"name": "Software", "value": "GIMP 2.10", "remark": "An editor.",
                       "level": 0}]},
        ],
        "findings": [
            {"number": 1, "id": "f1", "kind": "observed", "status": "confirmed",
             "view": "noise level", "parameters": {"cell": 16}, "source": 3,
             "viewport": [300, 350, 600, 750],
             "comment": "The statues are noisier than the wall behind them.",
             "by": "Anna Example", "at": EVENTS[4][0], "first_at": EVENTS[4][0], "revision": 1,
             "file_sha256": A, "plane": [], "figure": "finding-1"},
            {"number": 2, "id": "f2", "kind": "not available", "status": "open",
             "view": "double compression", "parameters": {}, "viewport": None, "source": None,
             "comment": "No JPEG history: the file is a PNG.", "by": "Anna Example",
             "at": EVENTS[4][0], "first_at": EVENTS[4][0], "revision": 1, "file_sha256": A,
             "plane": [], "figure": None},
        ],
        "reviews": [
            {
                "reviewer": "Anna Example", "blind": True,
                "order": ["Judged at 09:40, before the model's verdict was shown."],
                "checklist": [
                    {"question": "question", "answer": "yes", "note": ""},
                    {"question": "quality", "answer": "yes",
                     "note": "768 x 1024 pixels."},
                    {"question": "original", "answer": "yes", "note": ""},
                    {"question": "best copy", "answer": "not known",
                     "note": "The original was asked for."},
                ],
                "judgement": {
                    "verdict": "manipulated", "types": ["splice"], "confidence": "strong support",
                    "at": EVENTS[5][0], "sha256": C, "revision": 1, "blind": True,
                    "labels": B,
                    "sources": [
                        {"number": 1, "verdict": "authentic", "types": [],
                         "confidence": "strong support", "note": ""},
                        {"number": 3, "verdict": "manipulated", "types": ["splice"],
                         "confidence": "strong support", "note": "Pasted from elsewhere."},
                    ],
                },
                "interpretation": "The statues come from another photograph.",
                "countersignatures": [
                    {"by": "Ben Second", "at": EVENTS[6][0], "stance": "signs", "reason": "",
                     "head": C, "judgement": C, "signature": "", "key": ""},
                ],
            }
        ],
        "limitations": ["The file is a PNG: nothing is known of former compression."],
        "events": [
            {"sequence": n, "at": at, "author": "Anna Example", "machine": "lab-3", "kind": kind,
             "what": what, "picture": "a" * 16, "body": {}, "origin": None, "previous": A,
             "sha256": hashlib.sha256(what.encode()).hexdigest()}
            for at, kind, what, n in EVENTS
        ],
        "head": hashlib.sha256(EVENTS[-1][2].encode()).hexdigest(),
        "figures": [
            {"id": name, "caption": caption, "caveat": caveat,
             "file": figure_file(name, figures[name]),
             "sha256": hashlib.sha256(figures[name]).hexdigest()}
            for name, (caption, caveat) in captions.items()
        ],
        "files": {},
    }  # fmt: skip
    return identified(document)
