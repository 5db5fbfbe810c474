"""A picture's verdict by all evidence: the network's and that of the forensic views."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from napari_safire.forensics import Picture, views
from napari_safire.forensics.view import EvidenceView
from napari_safire.forgery import NETWORK, Contribution, ForgeryMap
from napari_safire.partitioning.combination import CombinationRule, Finding, combine
from napari_safire.progress import Cancel, Progress, within


def weigh(
    forgery: ForgeryMap,
    picture: Picture,
    rule: CombinationRule | None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> ForgeryMap:
    """Weigh a network's answer together with what forensic views say of the picture.

    Parameters
    ----------
    forgery : ForgeryMap
        Of the network alone.
    picture : Picture
        The same pixels; views of files need its file as well.
    rule : CombinationRule or None
        Of the model (`napari_safire.engine.rules.read_rules`, which refuses views that do not
        exist). None: the network stays alone, which its contribution says.
    progress, cancel : callable, optional
        As in `napari_safire.examination.examine_image`.

    Returns
    -------
    ForgeryMap
        See `napari_safire.partitioning.combination.combine`.

    Raises
    ------
    Cancelled
    """
    if rule is None:
        alone = Contribution(0.0, "alone: this model has no weights for other evidence")
        return replace(forgery, contributions=MappingProxyType({NETWORK: alone}))
    known = views(picture)
    findings = {}
    for number, name in enumerate(rule.views):
        low, high = (100 * n // len(rule.views) for n in (number, number + 1))
        findings[name] = finding_of(known[name], within(progress, low, high), cancel)
    return combine(forgery, findings, rule)


def finding_of(
    view: EvidenceView, progress: Progress | None = None, cancel: Cancel | None = None
) -> Finding:
    """Compute a view and take what is weighed of it.

    Parameters
    ----------
    view : EvidenceView
    progress, cancel : callable, optional

    Returns
    -------
    Finding
        Without a score where the view does not apply; 0 where it accuses no region, so that nothing
        counts that nobody can be shown.
    """
    if not view.applicable:
        return Finding(None, view.why_not)
    found = view.compute(progress=progress, cancel=cancel)
    score = 0.0 if found.regions is None and found.score is not None else found.score
    return Finding(score, found.finding, found.regions)
