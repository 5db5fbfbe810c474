"""Forensic views of a picture that do not rest on the network.

Each is a pure function of pixels, or of a file's own coefficients, and says when it misleads.
"""

from napari_safire.forensics.catalogue import views
from napari_safire.forensics.evidence import Evidence, EvidenceMap, Links, Row
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.view import EvidenceView, NotApplicable, View

__all__ = [
    "Evidence",
    "EvidenceMap",
    "EvidenceView",
    "Links",
    "NotApplicable",
    "Picture",
    "Row",
    "View",
    "views",
]
