"""Each source of a partition against the rest of its picture: what differs, how surely."""

from napari_safire.review.regions.measures import MEASURES
from napari_safire.review.regions.table import region_table
from napari_safire.review.regions.values import RegionMeasure, RegionRow, RegionTable

__all__ = ["MEASURES", "RegionMeasure", "RegionRow", "RegionTable", "region_table"]
