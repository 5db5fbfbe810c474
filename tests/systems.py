"""What not every system has."""

from __future__ import annotations

import os

import pytest

posix = pytest.mark.skipif(
    os.name != "posix", reason="needs fork, signals, pipes with names, a umask or limits"
)
