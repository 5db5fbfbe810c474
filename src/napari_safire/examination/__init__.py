"""One picture, all questions, and the files that hold the answers."""

from napari_safire.examination.examination import (
    Examination,
    ExaminationSettings,
    OutsidePicture,
    examine,
    examine_whole,
)

__all__ = ["Examination", "ExaminationSettings", "OutsidePicture", "examine", "examine_whole"]
