"""Sentences that a report keeps by key and values: every language says them, and only them."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from report_cases import sample_document

from napari_safire.forensics.catalogue import VIEWS
from napari_safire.project.chain.events import KINDS
from napari_safire.project.upkeep.wording import WORDS, event_told
from napari_safire.review import limitations
from napari_safire.review.regions.measures import MEASURES
from napari_safire.review.report import document as documents
from napari_safire.review.report.catalogue import ENGLISH, Texts, languages
from napari_safire.review.report.html import render_html
from napari_safire.review.report.recorded import said_otherwise
from napari_safire.review.report.sentences import Sentence, said, said_again

FOLDER = Path(inspect.getfile(documents)).parent / "texts" / "recorded"
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


# -- sentences that are recorded in English --------------------------------------------------------


def test_what_views_and_measures_say_of_themselves_is_said_in_german() -> None:
    texts = [text for view in VIEWS for text in (view.shows, view.misleads, view.score_means)]
    texts += [text for of in MEASURES for text in (of.what, of.caveat, of.low_word, of.high_word)]
    for text in filter(None, texts):
        told = said_otherwise(Texts("de"), text)
        assert told is not None, text
        assert {run.kind for run in told} == {"own"}, text


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_recorded_sentences_keep_their_places(file: Path) -> None:
    assert file.stem in languages()
    for english, other in tomllib.loads(file.read_text("utf-8")).items():
        places = re.findall(r"\{[a-z]+\d*\}", english)
        assert sorted(places) == sorted(re.findall(r"\{[a-z]+\d*\}", other)), english
        assert len(set(places)) == len(places), english
        # Two that take anything at most: a text from anybody is looked up in no time.
        assert sum(place[1] in "td" for place in places) <= 2, english


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("not applicable: a PNG file, not a JPEG", "nicht anwendbar: eine PNG-Datei, kein JPEG"),
        ("Brighter: noisier than usual at this brightness, -2 to 0.5 log2.",
         "Heller: rauschiger als bei dieser Helligkeit üblich, -2 bis 0,5 log2."),
        ("slightly noisier than the rest (1.07 against 1,234 grey levels)",
         "etwas stärker rauschend als der Rest (1,07 gegenüber 1.234 Graustufen)"),
        ("Strong evidence of a forgery: copy-move, double compression; against one: network. "
         "At even odds, the probability of forgery is above 0.99.",
         "Starke Spuren einer Fälschung: kopierte Bereiche, doppelte Kompression; dagegen: Netz. "
         "Bei gleichen Chancen vorab ist die Wahrscheinlichkeit einer Fälschung größer als 0,99."),
        ('Saved as JPEG 95: The verdict is "inconclusive" (0.40) instead of "forged" (0.80). '
         "Something new.",
         "Gespeichert als JPEG 95: Die Bewertung ist „unentschieden“ (0,40) statt „gefälscht“ "
         "(0,80). Something new."),
    ],
)  # fmt: skip
def test_recorded_sentences_are_said_with_their_numbers(english: str, german: str) -> None:
    assert plain(said_otherwise(Texts("de"), english) or ()) == german
    assert said_otherwise(Texts(ENGLISH), english) is None


@settings(max_examples=30)
@given(strategies.text(max_size=60), strategies.sampled_from(["", "Saved as ", "not applicable: "]))
def test_text_from_anybody_stays_as_it_is(text: str, before: str) -> None:
    told = said_otherwise(Texts("de"), before + text)
    assert told is None or text.strip(".") in plain(told) or "own" in {run.kind for run in told}
