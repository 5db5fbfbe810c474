"""Losses, sampling and loops of SAFIRE's two training stages."""
