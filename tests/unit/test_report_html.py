"""The report as a page: no text from outside is obeyed, nothing is missing, in every language."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_documents import HOSTILE, changed, figures_of, full_document, png

from napari_safire.errors import SafireError
from napari_safire.forensics import catalogue as forensic_views
from napari_safire.review.report import catalogue
from napari_safire.review.report.catalogue import ENGLISH, Texts, languages
from napari_safire.review.report.html import render_html
from napari_safire.review.scale import SUPPORTS
from napari_safire.review.values import (
    ANSWERS,
    CHECKLIST,
    FINDING_KINDS,
    FINDING_STATUSES,
    MANIPULATIONS,
    STANCES,
    VERDICTS,
)

EMPTY = ("br", "col", "img", "meta")
TERMS = {
    "verdict": VERDICTS,
    "type": MANIPULATIONS,
    "support": SUPPORTS,
    "kind": FINDING_KINDS,
    "kind_meaning": FINDING_KINDS,
    "status": FINDING_STATUSES,
    "stance": STANCES,
    "countersigned": STANCES,
    "checklist": tuple(CHECKLIST),
    "answer": ANSWERS,
    "program_verdict": ("forged", "no forgery found", "inconclusive"),
    "weight": ("strong", "weak", "nothing", "against"),
    "units": ("patches", "prompts"),
    "measure": (
        "noise", "residual", "sharpness", "saturation", "clipping", "JPEG grid", "JPEG history",
        "JPEG ghosts", "resampling",
    ),
    "view": (
        "picture", "sources", "partition", "forgery map", "uncertainty", "network",
        *(view.name for view in forensic_views.VIEWS),
    ),
}  # fmt: skip


class Page(HTMLParser):
    """Which elements a page has, what they say, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[tuple[str, str]] = set()
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(document: dict[str, Any], language: str = ENGLISH) -> str:
    return render_html(document, figures_of(document), language)


def test_page_holds_everything_and_asks_for_nothing() -> None:
    text = page_of(full_document())
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(page.tags)
    assert not [name for _, name in page.attributes if name.startswith("on")]
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import", text)
    for anchor in (link for link in page.links if link.startswith("#")):
        assert f'id="{anchor[1:]}"' in text


def test_standards_order_findings_before_their_meaning() -> None:
    text = Page(page_of(full_document())).text
    parts = ("3 The picture", "6 Evidence views", "7 Findings", "8 Interpretation", "9 Limitations")
    places = [text.rindex(part) for part in parts]
    assert places == sorted(places)
    for told in (
        "Was anything pasted into the picture?",
        "manipulated (splice), strong support; signed by Ben Second",
        "forged; likelihood ratio 32: moderate support for a manipulation",
        "cannot be determined; disputed by Ben Second",
        "8 bits a sample, RGB, deflated.",
        "rows 300 to 599, columns 350 to 749",
        "observed, withdrawn",
        "▲ 0.71 [0.55 to 0.83]",
        "768 rows, 1,024 columns (0.79 megapixels)",
        "29 November 2026, 09:40:00 UTC",
        "napari-safire report verify report.json",
        full_document()["head"],
    ):
        assert told in text


def test_headings_are_in_order_and_tables_and_pictures_are_named() -> None:
    text = page_of(full_document())
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert [place for place, level in enumerate(levels) if level == 1] == [0]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert text.count("<table>") == text.count("<caption>")
    assert not re.search(r"<th(?! scope=| class|ead)", text)
    assert len(re.findall(r'<img [^>]*alt="Figure \d+\. [^"]+"', text)) == 5
    assert '<html lang="en" dir="ltr">' in text


@pytest.mark.parametrize(
    "document", [{}, dict.fromkeys(full_document()), {"case": 7, "figures": 1}]
)
def test_what_is_missing_is_said_to_be_missing(document: dict[str, Any]) -> None:
    text = Page(render_html(document, {})).text
    assert "not recorded" in text
    assert "No examiner has given a verdict." in text


@pytest.mark.parametrize(
    "leaf",
    [lambda _: None, lambda _: [1, {"a": 2}], lambda _: 1e300, lambda _: 10**400, lambda _: -3],
)
def test_documents_of_another_kind_are_drawn_as_far_as_they_go(leaf: Any) -> None:
    Page(render_html(changed(full_document(), leaf), {}))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=40) | st.just(HOSTILE) | st.just('"><img src=x onerror=1>\u2066'))
def test_no_text_becomes_markup(text: str) -> None:
    document = full_document()
    plain = Page(page_of(changed(document, lambda v: "x" if isinstance(v, str) else v)))
    made = page_of(changed(document, lambda v: text if isinstance(v, str) else v))
    page = Page(made)
    assert set(page.tags) <= {*plain.tags, "br"}
    assert page.attributes <= plain.attributes
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", made
    )


def test_printed_pages_are_headed_by_a_harmless_string() -> None:
    document = full_document()
    document["case"]["number"] = '"; } </style><script>alert(1)</script>\\'
    sheet = re.findall(r"<style>(.*?)</style>", page_of(document), re.DOTALL)
    assert len(sheet) == 1
    (string,) = re.findall(r'@top-left \{ content: "(.*?)"; font', sheet[0])
    assert re.fullmatch(r"(?:[A-Za-z0-9]|\\[0-9a-f]{6})*", string)


def test_long_comments_stand_whole_in_their_own_lines() -> None:
    document = full_document()
    comment = "A <b>line</b>.\r\n\n" + "unbreakable" * 2700
    document["findings"][0]["comment"] = comment
    text = page_of(document)
    assert "A &lt;b&gt;line&lt;/b&gt;.</bdi><br><br><bdi>unbreakable" in text
    assert "unbreakable" * 2700 in text


def test_figures_that_are_no_pictures_are_not_drawn_and_none_is_lost() -> None:
    document = full_document()
    document["figures"].append({"id": "extra", "caption": "Another one.", "caveat": ""})
    figures = figures_of(document) | {"partition": b"<svg onload=1>", "picture": png()[:60]}
    text = render_html(document, figures)
    assert text.count("<img ") == 4
    assert text.count("The picture of this figure is not at hand.") == 2
    assert "Another one." in text


def test_program_that_accuses_nothing_has_no_ratio_in_the_summary() -> None:
    document = full_document()
    document["model_verdict"] |= {"verdict": "no forgery found", "likelihood_ratio": 0.2}
    text = Page(page_of(document)).text
    summary, rest = text.split("Contents", 1)
    assert "no forgery found. The network and copy-move" in summary
    assert "likelihood ratio" not in summary
    assert "5 times as probable of an authentic picture" in rest
    assert "not to be relied on" in rest


def test_a_verdict_is_called_blind_only_if_it_was() -> None:
    document = full_document()
    document["reviews"] = document["reviews"][:1]
    assert document["reviews"][0]["blind"]
    assert "hidden until this one was given" in Page(page_of(document)).text
    document["reviews"][0]["judgement"]["blind"] = False
    text = Page(page_of(document)).text
    assert "hidden until this one was given" not in text
    assert "could be seen before this one was given" in text


def test_ones_own_signature_is_no_second_opinion() -> None:
    document = full_document()
    document["reviews"] = document["reviews"][:1]
    assert "Nobody else has countersigned" not in Page(page_of(document)).text
    for signed in document["reviews"][0]["countersignatures"]:
        signed["by"] = document["reviews"][0]["reviewer"]
    assert "Nobody else has countersigned" in Page(page_of(document)).text


def test_folders_of_a_user_are_not_printed() -> None:
    document = full_document()
    for path in ("../../../home/anna/a.jpg", "/home/anna/a.jpg", "~/home/anna/a.jpg"):
        document["picture"]["path"] = path
        assert "home/anna" not in page_of(document)
    document["picture"]["path"] = "../pictures/a.jpg"
    assert "../pictures/a.jpg" in page_of(document)


def test_long_tables_of_regions_show_what_stands_out() -> None:
    document = full_document()
    row = document["regions"]["rows"][1]
    document["regions"]["rows"] += [row | {"source": number} for number in range(3, 200)]
    text = Page(page_of(document)).text
    assert "Of 199 rows only 1 are shown, which stand out most" in text
    outlier = document["regions"]["rows"][0]
    document["regions"]["rows"] += [outlier | {"effect": 0.5 + n / 1000} for n in range(300)]
    page = Page(page_of(document)).text
    assert "Of 499 rows only 120 are shown" in page
    assert "▲ 0.8 " in page
    assert "▲ 0.5 " not in page  # the weakest


# -- the catalogue ---------------------------------------------------------------------------------


def test_same_document_same_page() -> None:
    assert page_of(full_document()) == page_of(full_document())


def test_every_key_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()
    monkeypatch.setattr(Texts, "line", _noting(used, Texts.line))
    document = full_document()
    few = full_document()
    few["regions"]["rows"] = []
    few["model_verdict"] |= {"likelihood_ratio": 1.2, "verdict": "forged"}
    few["picture"] |= {"why_no_pixels": "cut short", "decoding": [], "metadata": []}
    few["evidence"] = few["evidence"][3:]
    few["reviews"][0]["countersignatures"] = []
    few["custody"][0]["what"] = "received: by e-mail"
    many = full_document()
    many["regions"]["rows"] *= 100
    many["model_verdict"] |= {"likelihood_ratio": 0.01, "verdict": "inconclusive", "obstacle": ""}
    many["settings"]["x"] = float("nan")
    many["partition"]["sources"][0]["confidence"] = float("nan")
    for made in (document, few, many, {}, changed(document, lambda _: None)):
        render_html(made, {})
    from napari_safire.review.report.pdf import render_pdf

    document["case"]["question"] = "\ue000 \u5b57"
    render_pdf(document, {}, languages()[0])
    terms = {f"{group}.{value}" for group, values in TERMS.items() for value in values}
    said = {key for key in Texts().keys if key.startswith(("limitation.", "order.", "event."))}
    unused = Texts().keys - used - terms - said  # these by test_report_sentences
    assert unused <= {"format.not_finite", "page.fonts"}  # of other tests


def _noting(used: set[str], line: Any) -> Any:
    def noted(self: Texts, key: str) -> str:
        used.add(key)
        return line(self, key)

    return noted


def test_every_word_that_the_program_uses_is_in_the_catalogue() -> None:
    keys = Texts().keys
    assert {f"{group}.{value}" for group, values in TERMS.items() for value in values} <= keys


@pytest.mark.parametrize("language", [name for name in languages() if name != ENGLISH])
def test_translations_fill_the_same_places(language: str) -> None:
    english, translated = catalogue._texts(ENGLISH), catalogue._texts(language)
    assert set(translated) == set(english)
    free = ("format.moment", "format.short")
    for key, text in translated.items():
        assert key in free or sorted(re.findall(r"\{\w+\}", text)) == sorted(
            re.findall(r"\{\w+\}", english[key])
        ), key
        assert text.strip(), key


def test_what_a_translation_leaves_out_is_said_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"en": catalogue._texts("en"), "de": {"title": "Gutachten"}}
    monkeypatch.setattr(catalogue, "_texts", texts.__getitem__)
    text = page_of(full_document(), "de")
    assert "<h1>Gutachten</h1>" in text
    assert ">Summary</h2>" in text


def test_language_that_is_not_there_is_refused() -> None:
    with pytest.raises(SafireError, match=r"'\.\./en': choose one of de, en"):
        render_html({}, {}, "../en")


def test_german_writes_numbers_and_dates_its_own_way_and_data_as_they_are() -> None:
    text = page_of(full_document(), "de")
    plain = Page(text).text
    assert "29. November 2026, 09:40:00 UTC" in plain
    assert "1.024 Spalten" in plain
    assert "2,7 %" in plain
    assert "radius 1.5" in plain  # a parameter is typed as it stands
    assert '<html lang="de" dir="ltr">' in text
    assert '<span lang="en"><bdi>Most patches are sure.</bdi></span>' in text


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        (0, "0", "0"),
        (1234567, "1.23e+06", "1,23e+06"),
        (12345, "12,345", "12.345"),
        (1234.5, "1,234", "1.234"),
        (0.9, "0.9", "0,9"),
        (-32.34, "-32.3", "-32,3"),
        (2e-7, "2.00e-07", "2,00e-07"),
        (float("inf"), "not a number", "keine Zahl"),
    ],
)
def test_numbers(value: float, english: str, german: str) -> None:
    assert Texts("en").number(value) == english
    assert Texts("de").number(value) == german


def test_moments_that_are_none_stay_as_they_are() -> None:
    texts = Texts()
    assert texts.moment("2026-11-29T10:00:00+01:00").text == "29 November 2026, 09:00:00 UTC"
    assert texts.moment("2026-11-29T10:00:00+01:00", "short").text == "2026-11-29 09:00:00"
    assert texts.moment("yesterday").text == "yesterday"
    assert texts.moment("0001-01-01T00:00:00+23:59").text.startswith("0001")
    assert [texts.share(value) for value in (0, 0.004, 0.51, 0.999, 1)] == [
        "0 %", "0.4 %", "51 %", "99.9 %", "100 %",
    ]  # fmt: skip
    assert [texts.size(n) for n in (999, 1_204_117)] == ["999 bytes", "1.2 MB"]
