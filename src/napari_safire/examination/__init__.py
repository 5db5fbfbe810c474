"""One picture, all questions, and the files that hold the answers."""

from napari_safire.examination.examination import (
    Evidence,
    Examination,
    ExaminationSettings,
    OutsidePicture,
    examine,
    examine_image,
    examine_whole,
)

__all__ = [
    "Evidence",
    "Examination",
    "ExaminationSettings",
    "OutsidePicture",
    "examine",
    "examine_image",
    "examine_whole",
]
