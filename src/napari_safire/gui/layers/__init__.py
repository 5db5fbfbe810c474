"""napari layers as prompts, sources and maps."""
