"""A picture against another one of the same scene: an earlier version, the original."""
