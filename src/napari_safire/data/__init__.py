"""Mask encodings, dataset readers and the synthesis of multi-source forgeries; NumPy only."""
