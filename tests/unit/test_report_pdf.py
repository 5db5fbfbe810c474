"""The report as PDF: the same bytes every time, whatever the text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_documents import HOSTILE, changed, figures_of, full_document, png

from napari_safire.errors import SafireError
from napari_safire.review.report import fonts, pdf
from napari_safire.review.report.fonts import EMBEDDED, Fonts, choose_fonts, not_shown
from napari_safire.review.report.pdf import render_pdf

HAN = "\u6f22\u5b57"


def made(document: dict[str, Any]) -> bytes:
    return render_pdf(document, figures_of(document) if document.get("figures") else {})


def described(data: bytes) -> dict[str, str]:
    """What the file says of itself (XMP, which an archive's PDF keeps uncompressed)."""
    told = data[data.index(b"<x:xmpmeta") : data.index(b"</x:xmpmeta>")].decode()
    found = dict(re.findall(r"<(\w+:\w+)>([^<]*)</\1>", told))
    found["title"] = re.findall(r"<dc:title>.*?>([^<>]+)</rdf:li>", told)[0]
    found["creator"] = re.findall(r"<dc:creator>.*?>([^<>]+)</rdf:li>", told)[0]
    return found


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_installed", tuple)


def test_same_document_same_bytes_named_tagged_and_dated_by_it() -> None:
    document = full_document()
    first = made(document)
    assert first == made(full_document())
    told = described(first)
    assert told["title"].startswith("Report on the examination of a picture, Case 17/26 · Report ")
    assert told["creator"] == "Anna Example"
    assert told["xmp:CreateDate"].startswith("2026-11-29T10:05:00")
    assert (told["pdfuaid:part"], told["pdfaid:part"], told["pdfaid:conformance"]) == (
        "1",
        "2",
        "A",
    )
    assert 6 <= int(told["xmpTPg:NPages"]) <= 14
    document["made"]["at"] = "2026-11-30T10:05:00+00:00"
    assert made(document) != first


def test_every_language_is_set() -> None:
    told = described(render_pdf(full_document(), {}, "de"))
    assert told["title"].startswith("Bericht über die Untersuchung eines Bildes, Fall 17/26")


@pytest.mark.parametrize("document", [{}, dict.fromkeys(full_document()), {"made": {"at": "1815"}}])
def test_empty_documents_are_set(document: dict[str, Any]) -> None:
    assert made(document).startswith(b"%PDF")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=30) | st.just(HOSTILE) | st.just("#panic()\\ $ [ ] <a> @b"))
@pytest.mark.usefixtures("no_fonts")
def test_no_text_becomes_markup(text: str) -> None:
    document = changed(full_document(), lambda v: text if isinstance(v, str) else v)
    assert render_pdf(document, {}).startswith(b"%PDF")


def test_much_is_set() -> None:
    document = full_document()
    finding = document["findings"][0]
    document["findings"] = [finding | {"number": n, "comment": "Words. " * 60} for n in range(40)]
    document["findings"][3]["comment"] = "x" * 30_000
    document["events"] = [document["events"][0] | {"sequence": n} for n in range(500)]
    document["partition"]["sources"] *= 70
    document["reviews"][0]["checklist"][0]["note"] = "long " * 5_000  # more than a page in one cell
    assert int(described(made(document))["xmpTPg:NPages"]) > 40


def test_pieces_of_long_words_lose_nothing() -> None:
    word = "abcdefghij" * 50
    pieces = list(pdf._pieces(f"before {word} after", 40))
    assert "".join(pieces) == f"before {word} after"
    assert max(map(len, pieces)) < 60
    assert list(pdf._pieces("short words only", 40)) == ["short words only"]


# -- fonts -----------------------------------------------------------------------------------------


def test_typst_brings_fonts_for_european_scripts_and_some_more() -> None:
    found = choose_fonts(["Ærø ζωή Жизнь שלום سلام \u201c\u2026\u2013\u25b2\u201d \u2068\u2069"])
    assert found == Fonts(EMBEDDED, (), frozenset())


@pytest.mark.usefixtures("no_fonts")
def test_characters_without_a_font_stand_as_code_points() -> None:
    found = choose_fonts([f"a {HAN} \ue000"])
    assert found == Fonts(EMBEDDED, (), frozenset(HAN + "\ue000"))
    setter = pdf._Setter(found.missing)
    assert setter.line(f"a {HAN}{HAN} b") == "a \u2066[U+6F22 U+5B57 U+6F22 U+5B57]\u2069 b"
    assert setter.line(HAN * 5000).endswith("U+5B57 … +9900]\u2069")
    document = full_document()
    document["case"]["notes"] = HAN * 5000
    assert made(document).startswith(b"%PDF")


def test_fonts_of_the_machine_are_taken_only_where_they_are_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shows = {"Alpha": "a", "Kana": HAN[0], "Noto Sans Han": HAN}
    asked: list[tuple[str, ...]] = []

    def answer(characters: Any, families: Any, *, machine: bool = False) -> set[str]:
        asked.append(tuple(families))
        return set(characters) - set("".join(shows.get(name, "") for name in families))

    monkeypatch.setattr(fonts, "not_shown", answer)
    monkeypatch.setattr(fonts, "_installed", lambda: tuple(shows))
    assert choose_fonts([HAN + "\ue000"]) == Fonts(
        (*EMBEDDED, "Noto Sans Han"), ("Noto Sans Han",), frozenset("\ue000")
    )
    asked.clear()
    monkeypatch.setattr(fonts, "_installed", lambda: pytest.fail("nothing was needed"))
    assert choose_fonts(["plain"]).of_machine == ()


def test_typst_says_what_it_cannot_show() -> None:
    assert not_shown(f"é{HAN}\ue000", EMBEDDED) == set(HAN + "\ue000")
    assert not_shown("", EMBEDDED) == set()


def test_fonts_that_show_less_than_they_say_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "choose_fonts", lambda texts: Fonts(EMBEDDED, (), frozenset()))
    document = full_document()
    document["case"]["question"] = HAN
    assert made(document).startswith(b"%PDF")


def test_failure_of_typst_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "choose_fonts", lambda texts: Fonts((), (), frozenset()))
    with pytest.raises(SafireError, match="cannot be made as PDF: typst says"):
        made({})


def test_figures_that_are_no_pictures_are_not_drawn() -> None:
    document = full_document()
    figures = figures_of(document) | {"partition": b"no picture", "picture": png()[:70]}
    assert len(render_pdf(document, figures)) < len(made(document))
