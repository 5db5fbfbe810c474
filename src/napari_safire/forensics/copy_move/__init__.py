"""Regions of a picture that show the same pixels twice."""
