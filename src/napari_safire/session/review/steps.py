"""Steps of a review, as the workers do them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_safire.project.revisions import Changed
from napari_safire.review.case import Case
from napari_safire.review.signatures import sign, signed_message
from napari_safire.review.values import Signature, Stance
from napari_safire.session.review.opened import OpenCase
from napari_safire.text import isolated


def do_step(
    case: Case,
    before: OpenCase,
    act: Callable[[Case], object],
    *,
    begins: bool,
    seen: bool,
) -> str:
    """Do a step of a review, which begins with the first one; gives why it was not done."""
    if begins and not before.mine.begun_at:
        case.begin(blind=before.description.blind)
        if seen:
            case.show_verdict()
    try:
        act(case)
    except Changed as changed:
        at = changed.at[:16].replace("T", " ")
        return (
            f"{isolated(changed.by)} was quicker ({at} UTC): theirs is shown. What you typed is "
            "still in the form; keep it again to go on from theirs."
        )
    return ""


def by_name(
    case: Case, reviewer: str, judgement: str, stance: Stance = "signs", comment: str = ""
) -> Signature:
    """Make the signature of a name alone, over all that is there now."""
    head = case.project.head
    assert head is not None  # there is a verdict
    return Signature(stance, reviewer, judgement, head.sha256, comment)


def with_key(case: Case, signature: Signature, key: Path) -> Signature:
    """Add the signature of an SSH key; raises as `napari_safire.review.signatures.sign`."""
    message = signed_message(signature.head, case.id, signature.judgement, signature.stance)
    return replace(
        signature,
        ssh_signature=sign(message, key),
        ssh_key=key.read_text(encoding="utf-8").strip(),
    )
