"""From the document of a report to what is drawn, in the order that ENFSI and SWGDE ask for."""

from napari_safire.review.report.content.making import make_content

__all__ = ["make_content"]
