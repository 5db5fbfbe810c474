"""The panels of the docks."""
