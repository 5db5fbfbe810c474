"""Forensic views of a picture, one after the other: what each found, as a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_safire.errors import Cancelled, sentence
from napari_safire.forensics import Evidence, EvidenceView, views
from napari_safire.forensics.cache import array_sha256
from napari_safire.forensics.export import drawn_legend, parameters_record
from napari_safire.forensics.picture import Picture
from napari_safire.forensics.thumbnails import thumbnail
from napari_safire.progress import Cancel, Progress, report, within
from napari_safire.review.identity import named_only
from napari_safire.review.settings import AnalysisSettings
from napari_safire.text import printable

STAGE = "looking through forensic views"
THUMBNAIL = 240
"""Pixels of a thumbnail's longer side, at most."""
_FAILED = "failed: "


def chosen_views(
    picture: Picture, settings: AnalysisSettings, reference: Picture | None = None
) -> dict[str, EvidenceView]:
    """Return the views that settings ask for, with their parameters.

    Parameters
    ----------
    picture : Picture
    settings : AnalysisSettings
    reference : Picture, optional
        Another picture of the scene, for the view "comparison".

    Returns
    -------
    dict of str to EvidenceView
        In the order in which an expert goes through them.
    """
    known = views(picture)
    chosen = {}
    for name, view in known.items():
        if settings.views is not None and name not in settings.views:
            continue
        parameters = dict(settings.view_parameters.get(name, {}))
        if reference is not None and "reference" in view.view.needs:
            parameters["reference"] = reference
        chosen[name] = view.with_parameters(**parameters) if parameters else view
    return chosen


def look_through(
    chosen: Mapping[str, EvidenceView],
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> tuple[tuple[dict[str, Any], ...], dict[str, npt.NDArray[np.uint8]]]:
    """Make every view that applies, and tell what it found.

    Arrays stay in the views' cache as long as there is room; a record holds their hashes. A view
    that fails is told as one that does not apply, with what went wrong: the others shall not be
    lost with it.

    Parameters
    ----------
    chosen : mapping of str to EvidenceView
    progress, cancel : callable, optional

    Returns
    -------
    records : tuple of dict
        JSON values, a view each.
    thumbnails : dict of str to (h, w, 3) uint8 array
        Of the views that have links, or a map that says something, by name; at most `THUMBNAIL`
        pixels a side.

    Raises
    ------
    Cancelled
    """
    records, thumbnails = [], dict[str, npt.NDArray[np.uint8]]()
    for number, (name, view) in enumerate(chosen.items()):
        begin, end = (100 * n // len(chosen) for n in (number, number + 1))
        report(progress, cancel, begin, 100, f"{STAGE}: {name}")
        found, why_not = None, view.why_not
        if not why_not:
            try:
                found = view.compute(progress=within(progress, begin, end), cancel=cancel)
            except Cancelled:
                raise
            except Exception as error:  # whatever a view makes of a file that somebody has made
                why_not = f"{_FAILED}{printable(sentence(error))}"
        records.append(_record(view, found, why_not))
        if found is not None and _shows_something(found):
            small = thumbnail(found, view.picture.rgb, THUMBNAIL)
            thumbnails |= {} if small is None else {name: small}
    return tuple(records), thumbnails


def _shows_something(found: Evidence) -> bool:
    """Whether a map, if that is what a view gives, says anything anywhere."""
    return found.map is None or not bool(np.isnan(found.map.values).all())


def failed_views(records: tuple[dict[str, Any], ...]) -> tuple[str, ...]:
    """Names of views that should have applied, but failed."""
    return tuple(one["name"] for one in records if one["why_not"].startswith(_FAILED))


def _record(view: EvidenceView, found: Evidence | None, why_not: str) -> dict[str, Any]:
    table = found.table if found is not None else ()
    score = found.score if found is not None else None
    known = score is not None and math.isfinite(score)
    return {
        "name": view.view.name,
        "applicable": found is not None,
        "why_not": named_only(view.picture, why_not),
        "shows": view.view.shows,
        "finding": found.finding if found is not None else "",
        "score": round(float(score), 6) if score is not None and known else None,
        "score_means": view.view.score_means,
        "caveat": " ".join(found.caveats) if found is not None else "",
        "misleads": view.view.misleads,
        "source": view.view.source,
        "algorithm": view.view.algorithm,
        "legend": "" if found is None else drawn_legend(found),
        "parameters": parameters_record(view),
        "rows": [
            {"name": row.name, "value": row.value, "remark": row.remark, "level": row.level}
            for row in table
        ],
        "arrays": {} if found is None else _hashes(found),
    }


def _hashes(found: Evidence) -> dict[str, str]:
    """SHA-256 of each array that a view gave."""
    arrays: dict[str, np.ndarray[Any, Any] | None] = {
        "map": None if found.map is None else found.map.values,
        "links": None if found.links is None else found.links.regions,
        "regions": found.regions,
    }
    return {name: array_sha256(one) for name, one in arrays.items() if one is not None}
