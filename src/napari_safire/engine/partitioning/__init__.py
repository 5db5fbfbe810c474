"""From features to sources: grids of prompts, the spectral cut, the number of sources."""
