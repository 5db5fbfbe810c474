"""What was made of a picture since it was read, and whether it can be said to be done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from napari_safire.annotation.annotation import Annotation, Labels, Mask
from napari_safire.annotation.completeness import Completeness, completeness
from napari_safire.annotation.predictions import AnnotatedPlane, Predictions
from napari_safire.session.queue.store import NotDone


def made_of(
    annotation: Annotation, predictions: Predictions, before: AnnotatedPlane
) -> AnnotatedPlane:
    """Put together what is to be kept of a picture.

    Parameters
    ----------
    annotation : Annotation
    predictions : Predictions
        Of the model that is in use.
    before : AnnotatedPlane
        What is kept so far: what another model said once stays, until this one has said something.
    """
    says = predictions.forgery or predictions.partition
    said = predictions if says else before.predictions
    known = replace(said, confidences=predictions.confidences)
    return AnnotatedPlane(annotation, known.of(annotation))


def says_more(predictions: Predictions, before: Predictions) -> bool:
    """Whether a model has said something new of a picture."""
    new_map = predictions.forgery is not None and predictions.forgery is not before.forgery
    return new_map or (
        predictions.partition is not None and predictions.partition != before.partition
    )


def shown_for_good(annotation: Annotation) -> Labels:
    """Labels for a mask: with the preview, unless that stands in for a result yet to come.

    Parameters
    ----------
    annotation : Annotation

    Returns
    -------
    (H, W) uint8 array
    """
    lasting = annotation.commit() if annotation.is_answered else annotation
    labels: Labels = lasting.settled.unpack()
    return labels


def not_done(annotation: Annotation, authentic: bool, waiver: str = "") -> NotDone | None:
    """Say why a picture is not done.

    Parameters
    ----------
    annotation : Annotation
    authentic : bool
        Somebody has said that all of it is one source.
    waiver : str
        Why pixels may be without a source; empty: they may not.

    Returns
    -------
    NotDone or None
        None where it is done: every pixel has a source, or the reason why not is given.
    """
    found = completeness(shown_for_good(annotation))
    if not annotation.is_answered:
        return NotDone("Prompts still wait for their regions.", found)
    if authentic and (found.n_sources != 1 or found.n_unassigned):
        return NotDone(
            f"{found.n_sources} sources are marked in it: take them back first, or it is not "
            "authentic.",
            Completeness(0, found.n_sources),
        )
    if waiver:
        return None
    if not found.n_sources:
        return NotDone(
            "Nothing is marked: give every pixel a source, or say that it is authentic.",
            Completeness(0, 0),
        )
    if found.n_unassigned:
        return NotDone(f"{found.n_unassigned:,} pixels have no source.", found)
    if found.n_sources == 1 and not authentic:
        return NotDone('All of it is one source: press "Authentic, next" if that is meant.', found)
    return None


def one_source(labels: Labels, protected: Mask) -> Labels:
    """Give all of a picture to one source, unless something else is marked in it."""
    first = labels.flat[0]
    if (labels == first).all():
        return np.full_like(labels, first or 1)
    return labels


def filled(number: int) -> Callable[[Labels, Mask], Labels]:
    """Return the edit that gives all pixels without a source to one."""

    def fill(labels: Labels, protected: Mask) -> Labels:
        return np.where(labels == 0, np.uint8(number), labels)

    return fill
