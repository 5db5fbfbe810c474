"""The state of the work on a picture and what may be done to it; neither Qt nor napari."""
