"""Model files: read without running code, checked, written whole."""
