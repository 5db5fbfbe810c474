"""Who has to know that labels were saved: work that files hold need not be kept any longer."""

from __future__ import annotations

from psygnal import SignalInstance

labels_written = SignalInstance((object,), name="labels_written")
"""Emitted with the very array that was written, whole and to the end."""
