"""Proof of a report: its bytes, its events, its case, and the analysis made again."""
