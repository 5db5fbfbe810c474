"""Reviewing pictures: the case that is open, what was typed and not kept yet, and reports."""
