"""Sentences that a report keeps by key and values: every language says them, and only them."""

from __future__ import annotations

import inspect
import re

import pytest
from report_cases import sample_document

from napari_safire.project.chain.events import KINDS
from napari_safire.project.upkeep.wording import WORDS, event_told
from napari_safire.review import limitations
from napari_safire.review.report import document as documents
from napari_safire.review.report.catalogue import ENGLISH, Texts, languages
from napari_safire.review.report.html import render_html
from napari_safire.review.report.sentences import Sentence, said, said_again

SAID = [key for key in Texts().keys if key.split(".")[0] in ("limitation", "order", "event")]
PLACES = {"question": "quality", "answer": "no", "view": "noise level", "support": "weak support",
          "verdict": "authentic", "program_verdict": "forged"}  # fmt: skip


def values_of(key: str) -> dict[str, str | int]:
    places = re.findall(r"\{(\w+)\}", Texts().line(key))
    return {name: PLACES.get(name, f"<{name}>") for name in places}


def plain(words: object) -> str:
    return "".join(run.text for run in words)  # type: ignore[attr-defined]


def test_every_sentence_is_used_by_the_program() -> None:
    source = inspect.getsource(limitations) + inspect.getsource(documents)
    for key in SAID:
        group, name = key.split(".", 1)
        if group == "order":
            assert all(f"{part}" in source for part in name.split("_")) or name == "line", key
        if group == "limitation":
            assert f'"{name}"' in source or f'"limitation.{name}"' in source, key
    assert {key.removeprefix("event.") for key in SAID if key.startswith("event.")} == set(WORDS)
    assert {key.split("_")[0] for key in WORDS} >= KINDS - {
        "case.described", "review.begun", "review.signed",
    }  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_every_sentence_is_said_in_every_language(language: str) -> None:
    english = Texts(ENGLISH)
    for key in SAID:
        values = values_of(key)
        words = plain(said(english, key, values))
        told = said_again(Texts(language), words, key, values)
        assert told is not None, key
        for name, value in values.items():  # names and comments stand as they are
            assert name in PLACES or str(value) in plain(told), key
        if language != ENGLISH and key != "order.line":
            assert plain(told) != words, key


def test_words_that_are_not_those_of_the_key_stand_as_they_are() -> None:
    german = Texts("de")
    one = Sentence("limitation.small", {"height": 1200, "width": 90}).as_record()
    told = said_again(german, one["words"], one["key"], one["values"])
    assert plain(told) == (
        "Das Bild ist klein, 1.200 x 90 Bildpunkte: Ein größeres Original zeigt mehr."
    )
    for change in (
        {"words": "The picture is large."}, {"values": {}}, {"values": {"height": [], "width": 1}},
        {"key": "nothing"}, {"values": {"height": 1, "width": 2}},
    ):  # fmt: skip
        other = one | change
        assert said_again(german, other["words"], other["key"], other["values"]) is None


def test_german_pages_say_limitations_order_and_events_in_german() -> None:
    document = sample_document()
    document["limitations"] = [
        Sentence("limitation.no_camera").as_record(),
        {"key": "limitation.no_camera", "values": {}, "words": "All is well."},
        "In English alone.",
    ]
    document["reviews"][0]["order"] = [
        {"at": "2026-11-29T09:40:00+00:00", **Sentence("order.first_blind").as_record()}
    ]
    document["events"][3]["what"] = "answered the checklist"
    document["custody"][0]["what"] = "received: by e-mail"
    page = render_html(document, {}, "de")
    for text in (
        "Die Metadaten nennen keine Kamera",
        "All is well.",
        "In English alone.",
        "ohne die des Modells zu sehen.",
        "Prüfliste beantwortet",
        "eingegangen: <bdi>by e-mail</bdi>",
    ):
        assert text in page


def test_events_of_any_body_are_said_or_refused() -> None:
    assert event_told("review.begun", {"blind": True})[0] == "review.begun_blind"
    assert event_told("picture.flagged", {"problem": ""})[0] == "picture.usable"
    document = sample_document()
    document["events"][5] |= {"kind": "review.judged", "body": {"judgement": [], "revision": {}}}
    document["events"][6] |= {"kind": "of another program", "body": None}
    assert "judged: manipulated (splice)" in render_html(document, {}, "de")
