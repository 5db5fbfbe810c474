"""Published data sets by name, their integrity, and which pictures belong to one group."""
