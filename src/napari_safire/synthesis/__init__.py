"""Composites with known sources: camera pipelines, scenes, manipulations, degradations."""
