"""Expert review of pictures: what was seen, what it means, who says so, and the report of it.

A review is a run of events in a project (`napari_safire.project`); a *case folder* is a small
project made for it.
"""
