"""A small case with findings and verdicts, and an analysis that no model is needed for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from report_cases import sample_document

from napari_safire.forensics import EvidenceView, Picture, views
from napari_safire.forensics.thumbnails import thumbnail
from napari_safire.forgery import ForgeryMap
from napari_safire.palette import source_colour
from napari_safire.review.case import Case, open_case
from napari_safire.review.report.sentences import Sentence
from napari_safire.review.values import (
    CaseDescription,
    Checked,
    Finding,
    Judgement,
    Signature,
    SourceVerdict,
    Viewport,
)

SHAPE = (96, 128)


def small_picture(path: Path, seed: int = 0) -> Path:
    """A picture with a noisy right half."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pixels = np.stack([rows * 2, cols, (rows + cols) % 256], axis=-1).astype(np.int64)
    noise = np.random.default_rng(seed).integers(-20, 20, pixels.shape)
    pixels[:, 64:] += noise[:, 64:]
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def small_labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 64:] = 1
    return labels


@dataclass(frozen=True)
class Basis:
    """The part of settings that is asked for a basis."""

    def basis(self, checkpoint: str, precision: str, picture: str) -> Any:
        from napari_safire.basis import RunBasis

        return RunBasis(checkpoint, {"precision": precision}, picture)


@dataclass(frozen=True)
class Settings:
    examination: Basis = field(default_factory=Basis)


@dataclass(frozen=True)
class SmallAnalysis:
    """What `make_figures`, `make_document` and `report_on` take of an analysis."""

    picture: Picture
    labels: np.ndarray
    forgery: ForgeryMap
    views: Mapping[str, EvidenceView]
    thumbnails: Mapping[str, np.ndarray]
    settings: Settings = field(default_factory=Settings)
    partition: None = None
    votes: None = None
    evidence: tuple[Mapping[str, str], ...] = (
        {"name": "noise level", "legend": "Brighter: noisier, -2 to 2 log2."},
    )
    limitations: tuple[Sentence, ...] = (Sentence("limitation.no_jpeg", {"format": "PNG"}),)

    def as_record(self) -> dict[str, Any]:
        sample = sample_document()
        file = self.picture.file
        assert file is not None
        identity = {k: v for k, v in sample["picture"].items() if k not in ("id", "name", "path")}
        identity |= {
            "file_sha256": file.sha256,
            "pixels_sha256": self.picture.pixels_sha256,
            "shape": list(self.picture.shape),
            "bytes": 1_000,
        }
        partition = {
            **sample["partition"],
            "n_sources": 2,
            "sources": [
                {"number": k + 1, "colour": list(source_colour(k)), "n_pixels": 6144, "share": 0.5,
                 "bounds": [0, 64 * k, 96, 64 * k + 64], "confidence": None, "certainty": None}
                for k in range(2)
            ],
        }  # fmt: skip
        names = ("model", "settings", "model_verdict", "evidence", "regions", "voting", "stability",
                 "saved_again")  # fmt: skip
        return {
            **{name: sample[name] for name in names},
            "picture": identity,
            "partition": partition,
            "limitations": [one.as_record() for one in self.limitations],
            "versions": {"python": "3"},
        }


def small_analysis(path: Path) -> SmallAnalysis:
    picture = Picture.read(path)
    heatmap = small_labels().astype(np.float32)
    known = views(picture)
    small = thumbnail(known["noise level"].result, picture.rgb, 240)
    assert small is not None
    return SmallAnalysis(
        picture,
        small_labels(),
        ForgeryMap(heatmap, 0.97, "forged", ""),
        known,
        {"noise level": small},
    )


def finding(number: int, **values: Any) -> Finding:
    return Finding(id=f"{number:016x}", comment=f"what was seen {number}", **values)


def begun_case(folder: Path, path: Path) -> Case:
    """A case by Anna, signed by Ben: two findings, a checklist, a verdict."""
    described = CaseDescription(number="17/26", question="Is it?", received="by e-mail")
    case = open_case(folder, path, description=described, reviewer="Anna")
    case.begin(blind=True)
    cut = Viewport(10.5, 40.0, 30.0, 50.0)
    case.note(finding(1, view="noise level", parameters={"cell": 16}, viewport=cut, source=2))
    case.note(finding(2, kind="not available", view="double compression"))
    case.note(finding(3, in_report=False))
    case.check([Checked("quality", "no", "96 rows"), Checked("original", "yes")])
    labels = case.keep_labels(small_labels() + 1)
    case.judge(
        Judgement(
            "manipulated",
            ("splice",),
            "moderate support",
            (SourceVerdict(2, "manipulated", ("splice",), "moderate support"),),
            "Two cameras.",
            labels,
        )
    )
    case.show_verdict()
    return case


def signed_by(folder: Path, path: Path, name: str, **values: Any) -> None:
    """Let somebody sign Anna's verdict."""
    case = open_case(folder, path, reviewer=name)
    judged = case.review().of("Anna").verdict
    head = case.project.head
    assert judged is not None
    assert head is not None
    case.sign(Signature("signs", "Anna", judged.sha256, head.sha256, **values))
    case.project.close()
