"""Events in words: who did what, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari_safire.project.chain.events import Event
from napari_safire.text import isolated

_Body = Mapping[str, Any]


def event_sentence(event: Event, picture: str = "") -> str:
    """Tell of an event in one line.

    Parameters
    ----------
    event : Event
    picture : str
        Name of its picture.

    Returns
    -------
    str
        Number, time, who, and what; "joined" where it was made in another copy.
    """
    where = f"{isolated(picture)}: " if picture else ""
    joined = "" if event.origin is None else f" (joined by {isolated(event.author)})"
    when = event.made_at[:19].replace("T", " ")
    what = _WORDS[event.kind](event.body)
    return f"{event.sequence}  {when} UTC  {isolated(event.made_by)}  {where}{what}{joined}"


def event_words(event: Event) -> str:
    """Say what an event did, in plain characters; without who, when and to which picture."""
    # `isolated` escapes such marks that a name brings along: these are its own.
    return _WORDS[event.kind](event.body).translate({0x2068: None, 0x2069: None})


def _said(text: Any) -> str:
    return f": {isolated(text)}" if text else ""


def _saved(body: _Body) -> str:
    basis = body.get("basis")
    model = f", model {basis['checkpoint_sha256'][:12]}" if basis else ""
    whose = isolated(body["annotator"])
    title = f" ({isolated(body['title'])})" if body.get("title") else ""
    return (
        f"saved revision {body['revision']} of {whose}{title}: {body['n_sources']} sources, "
        f"{body['n_unassigned']:,} pixels without{model}, version {body.get('version', '?')}"
    )


def _flagged(body: _Body) -> str:
    return f"cannot be used{_said(body['problem'])}" if body["problem"] else "can be used again"


def _done(body: _Body) -> str:
    what = "authentic" if body.get("authentic") else "done"
    return f"{isolated(body['annotator'])} is {what}{_said(body.get('waiver'))}"


def _compared(body: _Body) -> str:
    names = " and ".join(isolated(name) for name in sorted(body["revisions"]))
    value = body["p_miou"]
    return f"{names} agree to p_mIoU {'?' if value is None else f'{value:.3f}'}"


def _noted(body: _Body) -> str:
    finding, changed = body["finding"], body["revision"] > 1
    name, view = isolated(finding["id"]), isolated(finding.get("view") or "picture")
    done = "withdrew" if finding.get("status") == "withdrawn" else "changed" if changed else "noted"
    return f"{done} finding {name} in {view}"


def _judged(body: _Body) -> str:
    judgement = body["judgement"]
    confidence = judgement.get("confidence")
    how = f", {isolated(confidence)}" if confidence else ""
    return f"gave verdict {body['revision']}: {isolated(judgement.get('verdict'))}{how}"


def _signed(body: _Body) -> str:
    signature = body["signature"]
    key = " with an SSH key" if signature.get("ssh_signature") else ""
    whose = isolated(signature.get("reviewer"))
    return f"{isolated(signature.get('stance'))} the verdict of {whose}{key}"


_WORDS: Mapping[str, Callable[[_Body], str]] = {
    "project.created": lambda body: f"created the project {isolated(body['name'])}",
    "settings.changed": lambda body: "changed the settings",
    "picture.added": lambda body: f"added, file {body['file_sha256'][:12]}",
    "picture.moved": lambda body: f"found at {isolated(body['path'])}",
    "picture.identified": lambda body: "read for the first time",
    "picture.flagged": _flagged,
    "picture.tagged": lambda body: f"tagged{_said(', '.join(body['tags'])) or ': nothing'}",
    "picture.removed": lambda body: f"taken out of the list{_said(body.get('reason'))}",
    "picture.returned": lambda body: "put back into the list",
    "picture.scored": lambda body: f"scored by a model: {isolated(body.get('verdict', ''))}",
    "picture.compared": _compared,
    "picture.controlled": lambda body: (
        "made a hidden control" if body.get("labels") else "no control any more"
    ),
    "work.assigned": lambda body: f"assigned to {isolated(body['annotator'])}",
    "work.withdrawn": lambda body: f"taken from {isolated(body['annotator'])}",
    "work.saved": _saved,
    "work.done": _done,
    "work.reopened": lambda body: f"work of {isolated(body['annotator'])} taken up again",
    "work.rejected": lambda body: (
        f"work of {isolated(body['annotator'])} sent back{_said(body.get('note'))}"
    ),
    "work.accepted": lambda body: f"work of {isolated(body['annotator'])} accepted",
    "case.described": lambda body: f"described the case{_said(body['case'].get('number'))}",
    "review.begun": lambda body: (
        f"began a review, {'not seeing' if body['blind'] else 'seeing'} the model's verdict"
    ),
    "review.shown": lambda body: "was shown the model's verdict",
    "review.analysed": lambda body: (
        f"had it analysed: {isolated(body['verdict'])}, model "
        f"{body['basis']['checkpoint_sha256'][:12]}"
    ),
    "review.checked": lambda body: "answered the checklist",
    "review.noted": _noted,
    "review.judged": _judged,
    "review.signed": _signed,
    "review.reported": lambda body: (
        f"wrote a report: {', '.join(isolated(name) for name in sorted(body['files']))}"
    ),
}
