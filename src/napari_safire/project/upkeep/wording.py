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
    what = _said(*event_told(event.kind, event.body))
    return f"{event.sequence}  {when} UTC  {isolated(event.made_by)}  {where}{what}{joined}"


def event_words(event: Event) -> str:
    """Say what an event did, in plain characters; without who, when and to which picture."""
    # `isolated` escapes such marks that a name brings along: these are its own.
    told = _said(*event_told(event.kind, event.body))
    return told.translate({0x2068: None, 0x2069: None})


def event_told(kind: str, body: _Body) -> tuple[str, Mapping[str, Any]]:
    """Choose what is said of an event.

    Parameters
    ----------
    kind : str
    body : mapping
        Of the event.

    Returns
    -------
    key : str
        Of `WORDS`.
    values : mapping
        For its places, as they stand in the event.
    """
    told = _TOLD[kind](body)
    return told if isinstance(told, tuple) else (kind, told)


def _said(key: str, values: Mapping[str, Any]) -> str:
    shown = {
        name: f"{value:,}" if isinstance(value, int) else isolated(value)
        for name, value in values.items()
    }
    return WORDS[key].format(**shown)


def _why(key: str, body: _Body, name: str, **values: Any) -> tuple[str, Mapping[str, Any]]:
    """With a reason, where one is given."""
    given = body.get(name)
    return (f"{key}_why", {**values, name: given}) if given else (key, values)


def _saved(body: _Body) -> tuple[str, Mapping[str, Any]]:
    basis, title = body.get("basis"), body.get("title")
    values = {
        "revision": body["revision"],
        "annotator": f"{body['annotator']} ({title})" if title else body["annotator"],
        "sources": body["n_sources"],
        "without": body["n_unassigned"],
        "version": body.get("version", "?"),
    }
    if not basis:
        return "work.saved", values
    return "work.saved_model", {**values, "model": basis["checkpoint_sha256"][:12]}


def _compared(body: _Body) -> Mapping[str, Any]:
    first, *others = sorted(body["revisions"])
    value = body["p_miou"]
    told = "?" if value is None else f"{value:.3f}"
    return {"first": first, "second": " and ".join(others), "value": told}


def _noted(body: _Body) -> tuple[str, Mapping[str, Any]]:
    finding, changed = body["finding"], body["revision"] > 1
    done = "withdrew" if finding.get("status") == "withdrawn" else "changed" if changed else "noted"
    return f"review.{done}", {
        "finding": finding["id"],
        "view": finding.get("view") or "picture",
    }


def _judged(body: _Body) -> tuple[str, Mapping[str, Any]]:
    judgement = body["judgement"]
    values = {"revision": body["revision"], "verdict": judgement.get("verdict")}
    confidence = judgement.get("confidence")
    if not confidence:
        return "review.judged", values
    return "review.judged_support", {**values, "support": confidence}


def _signed(body: _Body) -> tuple[str, Mapping[str, Any]]:
    signature = body["signature"]
    key = "_key" if signature.get("ssh_signature") else ""
    return f"review.{signature['stance']}{key}", {"reviewer": signature.get("reviewer")}


def _annotator(body: _Body) -> Mapping[str, Any]:
    return {"annotator": body["annotator"]}


WORDS: Mapping[str, str] = {
    "project.created": "created the project {name}",
    "settings.changed": "changed the settings",
    "picture.added": "added, file {file}",
    "picture.moved": "found at {path}",
    "picture.identified": "read for the first time",
    "picture.flagged": "cannot be used: {problem}",
    "picture.usable": "can be used again",
    "picture.tagged": "tagged: {tags}",
    "picture.untagged": "tagged: nothing",
    "picture.removed": "taken out of the list",
    "picture.removed_why": "taken out of the list: {reason}",
    "picture.returned": "put back into the list",
    "picture.scored": "scored by a model: {program_verdict}",
    "picture.compared": "{first} and {second} agree to p_mIoU {value}",
    "picture.controlled": "made a hidden control",
    "picture.uncontrolled": "no control any more",
    "work.assigned": "assigned to {annotator}",
    "work.withdrawn": "taken from {annotator}",
    "work.saved": (
        "saved revision {revision} of {annotator}: {sources} sources, {without} pixels without, "
        "version {version}"
    ),
    "work.saved_model": (
        "saved revision {revision} of {annotator}: {sources} sources, {without} pixels without, "
        "model {model}, version {version}"
    ),
    "work.done": "{annotator} is done",
    "work.done_why": "{annotator} is done: {waiver}",
    "work.authentic": "{annotator} is authentic",
    "work.authentic_why": "{annotator} is authentic: {waiver}",
    "work.reopened": "work of {annotator} taken up again",
    "work.rejected": "work of {annotator} sent back",
    "work.rejected_why": "work of {annotator} sent back: {note}",
    "work.accepted": "work of {annotator} accepted",
    "case.described": "described the case",
    "case.numbered": "described the case: {number}",
    "review.begun_blind": "began a review, not seeing the model's verdict",
    "review.begun_seeing": "began a review, seeing the model's verdict",
    "review.shown": "was shown the model's verdict",
    "review.analysed": "had it analysed: {program_verdict}, model {model}",
    "review.checked": "answered the checklist",
    "review.noted": "noted finding {finding} in {view}",
    "review.changed": "changed finding {finding} in {view}",
    "review.withdrew": "withdrew finding {finding} in {view}",
    "review.judged": "gave verdict {revision}: {verdict}",
    "review.judged_support": "gave verdict {revision}: {verdict}, {support}",
    "review.signs": "signs the verdict of {reviewer}",
    "review.signs_key": "signs the verdict of {reviewer} with an SSH key",
    "review.disputes": "disputes the verdict of {reviewer}",
    "review.disputes_key": "disputes the verdict of {reviewer} with an SSH key",
    "review.reported": "wrote a report: {files}",
}
"""In English; reports in other languages have the same keys in a table of their own."""

_TOLD: Mapping[
    str, Callable[[_Body], Mapping[str, Any] | tuple[str, Mapping[str, Any]]]
] = {
    "project.created": lambda body: {"name": body["name"]},
    "settings.changed": lambda body: {},
    "picture.added": lambda body: {"file": body["file_sha256"][:12]},
    "picture.moved": lambda body: {"path": body["path"]},
    "picture.identified": lambda body: {},
    "picture.flagged": lambda body: (
        {"problem": body["problem"]} if body["problem"] else ("picture.usable", {})
    ),
    "picture.tagged": lambda body: (
        {"tags": ", ".join(body["tags"])} if body["tags"] else ("picture.untagged", {})
    ),
    "picture.removed": lambda body: _why("picture.removed", body, "reason"),
    "picture.returned": lambda body: {},
    "picture.scored": lambda body: {"program_verdict": body.get("verdict", "")},
    "picture.compared": _compared,
    "picture.controlled": lambda body: {} if body.get("labels") else ("picture.uncontrolled", {}),
    "work.assigned": _annotator,
    "work.withdrawn": _annotator,
    "work.saved": _saved,
    "work.done": lambda body: _why(
        "work.authentic" if body.get("authentic") else "work.done",
        body, "waiver", annotator=body["annotator"],
    ),
    "work.reopened": _annotator,
    "work.rejected": lambda body: _why(
        "work.rejected", body, "note", annotator=body["annotator"]
    ),
    "work.accepted": _annotator,
    "case.described": lambda body: (
        ("case.numbered", {"number": body["case"]["number"]}) if body["case"].get("number") else {}
    ),
    "review.begun": lambda body: (
        "review.begun_blind" if body["blind"] else "review.begun_seeing", {}
    ),
    "review.shown": lambda body: {},
    "review.analysed": lambda body: {
        "program_verdict": body["verdict"],
        "model": body["basis"]["checkpoint_sha256"][:12],
    },
    "review.checked": lambda body: {},
    "review.noted": _noted,
    "review.judged": _judged,
    "review.signed": _signed,
    "review.reported": lambda body: {"files": ", ".join(sorted(body["files"]))},
}  # fmt: skip
