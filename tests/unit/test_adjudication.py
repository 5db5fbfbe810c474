"""Adjudication: regions keep their names, steps rebuild the same labels, questions stay open."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from test_agreement import SEEDS, SHAPES, renumbered, works

from napari_safire.annotation.annotation import Stroke
from napari_safire.errors import DatasetError
from napari_safire.project.team.adjudication import (
    AGREED,
    FIRST_WORK,
    NEITHER,
    NO_STEP,
    PAINTED,
    UNDECIDED,
    PaintStep,
    RegionStep,
    RestStep,
    after,
    agreed,
    carried,
    compare,
    resolve,
)
from napari_safire.project.team.adjudication_record import (
    Adjudication,
    WorkReference,
    decode_adjudication,
)
from napari_safire.project.team.alignment import align
from napari_safire.project.team.disagreement import disagreements
from napari_safire.project.team.merged_descriptions import (
    Question,
    merged_descriptions,
    still_open,
)
from napari_safire.project.truth import Donor, Note, PictureDescription, SourceDescription

WHO = {"adjudicator": "cy", "at": "2026-11-29T15:00:00Z"}
A, B = FIRST_WORK, FIRST_WORK + 1

# Both see 1 | 2 (B calls them 7 and 3), but B draws the border two columns further left, and has a
# third source in the upper right corner.
FIRST = np.array([[1, 1, 1, 1, 2, 2]] * 4, np.uint8)
SECOND = np.array([[7, 7, 3, 3, 3, 9]] + [[7, 7, 3, 3, 3, 3]] * 3, np.uint8)


def stroke(top: int, left: int, labels: list[list[int]]) -> PaintStep:
    """Paints everything but -1."""
    values = np.array(labels)
    return PaintStep(**WHO, stroke=Stroke(top, left, values >= 0, values))


def test_regions_by_hand():
    found = disagreements([FIRST, SECOND])
    border, corner = found.regions
    assert (border.area, border.sources) == (8, (1, 3))
    assert (border.top, border.left, border.bottom, border.right) == (0, 2, 4, 4)
    assert (corner.area, corner.sources, corner.row, corner.col) == (1, (2, 9), 0, 5)
    assert found.area == 9
    assert found.map().tolist() == [[0, 0, 1, 1, 0, 2]] + [[0, 0, 1, 1, 0, 0]] * 3
    assert border.address("ab" * 32) == "ab" * 32 + "/" + border.name
    limited = disagreements([FIRST, SECOND], smallest=2)
    assert limited.regions == (border,)
    assert (limited.n_small, limited.small_area) == (1, 1)
    assert (limited.map() == found.map()).all()


def test_nothing_to_decide():
    comparison = compare([FIRST, renumbered(FIRST, 1)])
    assert comparison.disagreements.regions == ()
    assert not comparison.disagreements.map().any()
    assert (agreed(comparison).labels == FIRST).all()
    empty = np.zeros((3, 5), np.uint8)
    nobody = compare([empty, empty])
    assert nobody.disagreements.area == 0
    assert agreed(nobody).n_open == 15
    with pytest.raises(DatasetError, match="two are needed"):
        compare([FIRST])


@given(SEEDS, SHAPES, st.integers(2, 3))
@settings(max_examples=30, deadline=None)
def test_regions_cover_what_differs(seed, shape, n):
    labels = works(n, shape, seed)
    found = disagreements(labels)
    common = align(labels).renumbered(labels)
    differs = np.any([other != common[0] for other in common[1:]], axis=0)
    drawn = found.map()
    assert ((drawn > 0) == differs).all()
    areas = [region.area for region in found.regions]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == found.area
    eight = np.ones((3, 3))
    for k, region in enumerate(found.regions):
        place = drawn == k + 1
        assert place.sum() == region.area
        assert place[region.row, region.col]
        rows, cols = np.nonzero(place)
        assert (found.pixels(k) == np.flatnonzero(place)).all()
        assert (rows.min(), cols.min()) == (region.top, region.left)
        assert (rows.max() + 1, cols.max() + 1) == (region.bottom, region.right)
        assert ndimage.label(place, eight)[1] == 1  # connected, and nothing like it beside it
        same = np.all([w == w[region.row, region.col] for w in labels], axis=0)
        around = ndimage.binary_dilation(place, eight) & ~place
        assert not (same & around).any()
        assert region.sources == tuple(int(w[region.row, region.col]) for w in labels)


@given(SEEDS, SHAPES, SEEDS)
@settings(max_examples=20, deadline=None)
def test_names_outlive_other_numbers_and_changes_elsewhere(seed, shape, numbering):
    a, b = works(2, shape, seed, least=1)
    names = {region.name for region in disagreements([a, b]).regions}
    assert len(names) == len(disagreements([a, b]).regions)
    # Of equally good ways to match, numbers may choose: the sources are marked, so that none is.
    marks = np.repeat(np.arange(1, 5, dtype=np.uint8), 200).reshape(4, -1)
    wide = [np.pad(w, ((4, 0), (0, 200)))[: 4 + shape[0]] for w in (a, b)]
    for w in wide:
        w[:4, -200:] = marks
        w[w == 0] = 5
    before = disagreements(wide)
    turned = disagreements([renumbered(wide[0], numbering), renumbered(wide[1], numbering + 1)])
    assert [r.name for r in before.regions] == [r.name for r in turned.regions]
    wide[1][0, -1] = 5  # one more disagreement, far from all others
    assert {r.name for r in before.regions} < {r.name for r in disagreements(wide).regions}


def test_names_are_of_pixels_and_of_the_size():
    one = np.ones((4, 6), np.uint8)
    other = one.copy()
    other[1, 2] = 2
    (region,) = disagreements([one, other]).regions
    moved = np.roll(other, 1)
    assert disagreements([one, moved]).regions[0].name != region.name
    # The same flat index in another shape.
    turned = disagreements([one.reshape(6, 4), other.reshape(6, 4)]).regions[0]
    assert turned.name != region.name


def test_decisions_by_hand():
    comparison = compare([FIRST, SECOND])
    border, corner = comparison.disagreements.regions
    start = agreed(comparison)
    assert start.counts() == {UNDECIDED: 9, AGREED: 15}
    assert start.open_regions(comparison) == [0, 1]
    found = after(comparison, start, [RegionStep(**WHO, region=border.name, choice=1)])
    assert (found.labels[:, 2:4] == 2).all()  # B's 3 is A's 2
    assert found.counts() == {UNDECIDED: 1, AGREED: 15, B: 8}
    found = after(comparison, found, [RegionStep(**WHO, region=corner.name, choice="neither")])
    assert found.counts() == {NEITHER: 1, AGREED: 15, B: 8}
    assert found.n_open == 1
    assert found.open_regions(comparison) == [1]
    # What neither has right is not given away with the rest.
    assert after(comparison, found, [RestStep(**WHO, choice=0)]).n_open == 1
    found = after(comparison, found, [stroke(0, 4, [[-1, 12], [12, -1]])])
    assert found.labels[0].tolist() == [1, 1, 2, 2, 2, 12]
    assert found.labels[1, 4] == 12
    assert found.counts() == {AGREED: 14, PAINTED: 2, B: 8}
    assert found.steps[0].tolist() == [NO_STEP, NO_STEP, 0, 0, NO_STEP, 2]
    # The later of two steps counts; painting nothing opens a pixel again.
    again = after(comparison, found, [RegionStep(**WHO, region=corner.name, choice=1)])
    assert again.labels[0, 5] == 3
    assert again.origins[0, 5] == B
    assert after(comparison, again, [stroke(0, 5, [[0]])]).origins[0, 5] == UNDECIDED
    assert comparison.free_number() == 4
    assert comparison.free_number([4, 5]) == 6


def test_a_pixel_that_one_left_open():
    a = np.array([[1, 1, 0, 0]], np.uint8)
    b = np.array([[1, 1, 1, 0]], np.uint8)
    comparison = compare([a, b])
    (region,) = comparison.disagreements.regions
    assert (region.sources, region.area) == ((0, 1), 1)
    with pytest.raises(DatasetError, match="has no source there"):
        resolve(comparison, [RegionStep(**WHO, region=region.name, choice=0)])
    assert resolve(comparison, [RestStep(**WHO, choice=0)]).labels.tolist() == [[1, 1, 0, 0]]
    found = resolve(comparison, [RestStep(**WHO, choice=1)])
    assert found.labels.tolist() == [[1, 1, 1, 0]]  # the last pixel nobody has
    assert found.counts() == {UNDECIDED: 1, AGREED: 2, B: 1}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (RegionStep(**WHO, region="0123456789abcdef", choice=0), "no region 0123456789abcdef"),
        (RestStep(**WHO, choice=2), "choose 0 to 1"),
        (stroke(3, 5, [[1, 1]]), r"to \(4, 7\), beyond the picture's 4 x 6"),
        (stroke(0, 0, [[300]]), "paints sources 300 to 300"),
    ],
)
def test_steps_that_cannot_be_taken(step, words):
    comparison = compare([FIRST, SECOND])
    start = agreed(comparison)
    with pytest.raises(DatasetError, match=words):
        after(comparison, start, [step])
    assert start.counts() == {UNDECIDED: 9, AGREED: 15}  # what was there is not touched


@st.composite
def adjudications(draw: st.DrawFn) -> tuple[list[np.ndarray], Adjudication]:
    """Works of two or three, and any sequence of steps on them."""
    labels = works(draw(st.integers(2, 3)), draw(SHAPES), draw(SEEDS))
    height, width = labels[0].shape
    regions = disagreements(labels).regions
    steps: list[object] = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["region", "rest", "paint"]))
        choice = draw(st.integers(0, len(labels) - 1))
        if kind == "rest":
            steps.append(RestStep(**WHO, choice=choice))
        elif kind == "region" and regions:
            region = draw(st.sampled_from(regions))
            none = draw(st.booleans()) or not region.sources[choice]
            chosen = "neither" if none else choice
            steps.append(RegionStep(**WHO, region=region.name, choice=chosen))
        else:
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            values = np.random.default_rng(draw(SEEDS)).integers(
                -1, 20, (draw(st.integers(1, height - top)), draw(st.integers(1, width - left)))
            )
            steps.append(stroke(top, left, values.tolist()))
    references = tuple(WorkReference(f"person {k}", k + 1, f"{k:064x}") for k in range(len(labels)))
    return labels, Adjudication((height, width), references, tuple(steps))


@given(adjudications())
@settings(max_examples=50, deadline=None)
def test_records_rebuild_the_same(case):
    labels, adjudication = case
    comparison = compare(labels)
    one_by_one = agreed(comparison)
    for step in adjudication.steps:
        one_by_one = after(comparison, one_by_one, [step])
    record = json.loads(json.dumps(adjudication.as_record()))
    read = decode_adjudication(record)
    assert read.works == adjudication.works
    assert read.shape == adjudication.shape
    assert read.as_record() == adjudication.as_record()
    rebuilt = resolve(compare(labels), read.steps)
    for found in (rebuilt, resolve(comparison, adjudication.steps)):
        assert (found.labels == one_by_one.labels).all()
        assert (found.origins == one_by_one.origins).all()
        assert (found.steps == one_by_one.steps).all()
    # A pixel has a source exactly where somebody decided it, and steps decide all that is not
    # agreed on; what an origin says is what that annotator has.
    open_ = np.isin(rebuilt.origins, (UNDECIDED, NEITHER))
    assert ((rebuilt.labels == 0) == open_).all()
    assert (rebuilt.steps[np.isin(rebuilt.origins, (NEITHER, PAINTED))] >= 0).all()
    assert (rebuilt.steps[rebuilt.origins == AGREED] == NO_STEP).all()
    for k, work in enumerate(comparison.works):
        taken = rebuilt.origins == FIRST_WORK + k
        assert (rebuilt.labels[taken] == work[taken]).all()
        assert (rebuilt.steps[taken] >= 0).all()


def record_of_a_case() -> dict[str, object]:
    border = disagreements([FIRST, SECOND]).regions[0]
    steps = (
        RegionStep(**WHO, region=border.name, choice=0),
        RestStep(**WHO, choice=1),
        stroke(0, 0, [[1, -1], [2, 3]]),
    )
    references = (WorkReference("ann", 2, "0" * 64), WorkReference("bo", 1, "1" * 64))
    return Adjudication((4, 6), references, steps, ((2, 3), (3, 2))).as_record()


def test_numbers_are_kept():
    record = json.loads(json.dumps(record_of_a_case()))
    assert decode_adjudication(record).numbers == ((2, 3), (3, 2))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["format"], "napari-safire adjudication 9", "another version"),
        (["shape"], [4], "shape has not 2 values"),
        (["works"], [], "between 0 works"),
        (["works", 0, "mask"], "../../x", "no SHA-256"),
        (["works", 0, "revision"], 0, "no whole number from 1"),
        (["steps"], "none", "steps is no list"),
        (["steps", 0, "kind"], "guess", "none of region, rest, paint"),
        (["steps", 0, "choice"], 2, "no whole number from 0 to 1"),
        (["steps", 1, "choice"], "neither", "no whole number from 0 to 1"),
        (["steps", 2, "top"], 4, "no whole number from 0 to 3"),
        (["steps", 2, "shape"], [5, 2], "no whole number from 1 to 4"),
        (["steps", 2, "mask"], "AAAA", "cannot be unpacked"),
        (["steps", 2, "labels"], 3, "is no text"),
        (["numbers", 0], [0, 3], "no whole number from 1 to 255"),
        (["numbers", 0], [3], "has not 2 values"),
    ],
)
def test_damaged_records_are_refused_in_a_sentence(path, value, words):
    record = copy.deepcopy(record_of_a_case())
    *outer, last = path
    place = record
    for key in outer:
        place = place[key]
    place[last] = value
    with pytest.raises(DatasetError, match=words):
        decode_adjudication(record)


def test_steps_after_a_revision():
    before = compare([FIRST, SECOND])
    border, corner = before.disagreements.regions
    steps = (
        RegionStep(**WHO, region=border.name, choice=1),
        RegionStep(**WHO, region=corner.name, choice=0),
        RestStep(**WHO, choice=0),
        stroke(0, 0, [[1]]),
    )
    assert carried(steps, before, before) == ((*steps[:2], steps[3]), (steps[2],))
    revised = SECOND.copy()
    revised[0, 5] = 3  # the corner is settled; 9 is gone, and with it a number
    kept, dropped = carried(steps, before, compare([FIRST, revised]))
    assert kept == steps[:1]
    assert dropped == steps[1:]
    revised = SECOND.copy()
    revised[:, 2:4] = 9  # the same pixels, but B says something else of them
    kept, _ = carried(steps, before, compare([FIRST, revised]))
    assert steps[0] not in kept


def described(number: int, **said: object) -> SourceDescription:
    return SourceDescription(number, **said)


def test_descriptions_are_brought_together():
    alignment = align([FIRST, SECOND])  # 7 is 1, 3 is 2, 9 is 3
    one = PictureDescription(
        (
            described(1, name="street", type="authentic background", tags=("a",)),
            described(2, type="splice", donor=Donor("file", "x.png"), order=1),
            described(77, type="text"),  # without a pixel
        ),
        (Note("here", 2, 1.0, 4.0), Note("lost", 77)),
    )
    other = PictureDescription(
        (
            described(7, name="road", certainty="possible", tags=("b", "a")),
            described(3, type="generated", donor=Donor("file", "x.png"), order=2),
            described(9, type="text"),
        ),
        (Note("there", 9),),
        waiver="too dark",
    )
    merged, questions = merged_descriptions(alignment, (one, other))
    assert merged.sources == (
        described(
            1,
            name="street",
            type="authentic background",
            certainty="possible",
            tags=("a", "b"),
        ),
        described(2, donor=Donor("file", "x.png")),
        described(3, type="text"),
    )
    assert questions == (
        Question(2, "type", ("splice", "generated")),
        Question(2, "order", (1, 2)),
    )
    assert merged.notes == (Note("here", 2, 1.0, 4.0), Note("lost"), Note("there", 3))
    assert merged.waiver == ""
    assert still_open(questions, merged) == questions
    answered = merged.with_source(described(2, type="splice", donor=Donor("file", "x.png")))
    assert still_open(questions, answered) == questions[1:]


@given(SEEDS, SHAPES)
@settings(max_examples=20, deadline=None)
def test_equal_descriptions_raise_no_question(seed, shape):
    (labels,) = works(1, shape, seed)
    turned = renumbered(labels, seed)
    alignment = align([labels, turned])
    kinds = ("splice", "removal", "generated", "text")
    numbers = dict(alignment.matched(0, 1))
    mine = PictureDescription(tuple(described(n, type=kinds[n - 1]) for n in numbers))
    merged, questions = merged_descriptions(alignment, (mine, mine.renumbered(numbers)))
    assert merged == mine
    assert questions == ()
