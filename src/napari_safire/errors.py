"""Errors that a user can do something about; each message names the value and the way out."""

from __future__ import annotations


class SafireError(Exception):
    """Base of all errors raised for what lies outside the program: files, models, data."""


class CheckpointError(SafireError):
    """A model file is missing, damaged, unsafe, or does not fit its architecture."""


class ImageReadError(SafireError):
    """An image file cannot be read as a picture."""


class DatasetError(SafireError):
    """A list file, mask or data-set folder breaks the rules of its format."""


class Cancelled(SafireError):
    """The caller asked a running job to stop; nothing was written."""


class ModelFailure(SafireError):
    """A model gave numbers that no answer can rest on: its file is damaged, or its device fails."""


class OutOfMemory(SafireError):
    """A job does not fit into memory, not even in the smallest steps on the CPU."""


class NotWritten(SafireError):
    """Results cannot be written: no fault of what was examined, and the next fares no better."""


def sentence(error: Exception) -> str:
    """Say what an error means: those for users as they are, others with their type.

    Parameters
    ----------
    error : Exception

    Returns
    -------
    str
    """
    known = isinstance(error, SafireError | OSError | ValueError | TypeError)
    return str(error) if known and str(error) else f"{type(error).__name__}: {error}"
