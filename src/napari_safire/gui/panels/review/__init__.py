"""The panels for an expert's review of a picture."""
