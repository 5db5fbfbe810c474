"""The section *Evidence*: views that do not rest on the network."""
