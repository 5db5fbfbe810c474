"""Evidence views in the session: what is asked, what is dropped, and who never waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEngine, hold_view
from PIL import Image
from test_forensics import photograph
from test_session import KEY, SHAPE, Owner

from napari_safire.forensics import Evidence, EvidenceMap, Links
from napari_safire.forensics.thumbnails import SIDE, thumbnail
from napari_safire.session.evidence import PLANES_KEPT, SessionEvidence
from napari_safire.session.looked_at import picture_of
from napari_safire.session.planes import PlaneKey


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner(FakeEngine())
    made.pixels = photograph(5, SHAPE).copy()  # type: ignore[attr-defined]
    show(made, made.pixels)  # type: ignore[attr-defined]
    yield made
    made.session.close()
    assert made.session.join(10)


def show(owner: Owner, pixels: np.ndarray, file: Path | None = None) -> None:
    path = None if file is None else str(file)
    owner.session.open(KEY, pixels.shape[:2], lambda: pixels, file=path)
    owner.session.reread(KEY.picture)


def evidence(owner: Owner) -> SessionEvidence:
    return owner.session.evidence


def test_what_applies_is_told_before_anything_is_made(owner: Owner) -> None:
    evidence(owner).look(KEY)
    owner.settle()
    known = evidence(owner).of(KEY)
    assert known.views["noise level"].why_not == ""
    assert known.views["file"].why_not == "not applicable: the pixels come from no file"
    assert all(state.found is None for state in known.views.values())


def test_a_view_is_made_with_its_parameters(owner: Owner) -> None:
    evidence(owner).make(KEY, "noise level", {"cell": 16})
    owner.settle()
    found = evidence(owner).of(KEY).views["noise level"].found
    assert found.drawn
    assert found.words.map is None  # arrays lie in the cache of the views
    assert found.parameters == {"cell": 16}
    assert found.thumbnail.shape == (7, 10, 3)  # of whole cells
    assert found.caveat.startswith("Texture")


def test_a_map_that_knows_nothing_is_not_offered(owner: Owner) -> None:
    owner.pixels[:] = 0  # type: ignore[attr-defined]
    evidence(owner).make(KEY, "noise level")
    owner.settle()
    found = evidence(owner).of(KEY).views["noise level"].found
    assert (found.drawn, found.thumbnail) == (False, None)


def test_wrong_parameters_are_a_sentence(owner: Owner) -> None:
    evidence(owner).make(KEY, "ghosts", {"lowest": 90, "highest": 60})
    owner.settle()
    state = evidence(owner).of(KEY).views["ghosts"]
    assert "90 to 60" in state.problem
    assert state.asked is None


def test_a_file_counts_only_while_it_holds_the_pixels(owner: Owner, tmp_path: Path) -> None:
    pixels = owner.pixels.copy()  # type: ignore[attr-defined]
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    show(owner, pixels, path)
    evidence(owner).make(KEY, "file")
    owner.settle()
    assert evidence(owner).of(KEY).views["file"].found is not None
    pixels[3, 4] += 1  # in place: no event tells of it
    evidence(owner).make(KEY, "residual")
    owner.settle()
    states = evidence(owner).of(KEY).views
    assert states["file"].why_not == "not applicable: photo.png holds other pixels than are shown"
    assert states["file"].found is None
    assert states["residual"].found is not None
    assert any("changed" in text for text, _ in owner.notices)


def test_what_is_no_picture_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "picture.npy"
    path.write_bytes(b"no picture")
    picture = picture_of(np.zeros(SHAPE, np.uint8), str(path))
    assert picture.file is None
    assert picture.why_no_file.startswith("picture.npy cannot be read as a picture file")


def test_a_result_is_handed_over_only_for_its_own_pixels(owner: Owner) -> None:
    given = []
    evidence(owner).make(KEY, "noise level", {"cell": 16})
    owner.settle()
    evidence(owner).hand_over(KEY, "noise level", given.append)
    owner.settle()
    assert [(found.map.cell, found.map.values.shape) for found in given] == [(16, (7, 10))]
    owner.pixels[:9] = 0  # type: ignore[attr-defined]
    evidence(owner).hand_over(KEY, "noise level", given.append)
    owner.settle()
    assert len(given) == 1
    assert evidence(owner).of(KEY).views["noise level"].found is None


def test_pixels_that_change_while_a_view_is_made_make_it_none(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    hold_view(monkeypatch, "residual", go)
    begun = []
    evidence(owner).progress.connect(lambda *args: begun.append(args))
    evidence(owner).make(KEY, "residual")
    owner.until(lambda: any(args[2:] == (2, 5, "held") for args in begun))
    owner.pixels[:9] = 0  # type: ignore[attr-defined]
    go.set()
    owner.settle()
    state = evidence(owner).of(KEY).views["residual"]
    assert state.found is None
    assert "edited meanwhile" in state.problem


def test_nobody_waits_for_a_view_and_cancel_stops_it(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_view(monkeypatch, "residual", threading.Event())
    evidence(owner).make(KEY, "residual")
    evidence(owner).make(KEY, "sharpness")
    owner.paint(np.ones(SHAPE, np.uint8))
    owner.until(lambda: bool(owner.snapshots) and owner.last.labels.all())
    owner.session.annotations.undo(KEY)
    owner.until(lambda: not owner.last.labels.any())
    owner.session.embed(KEY)
    owner.until(lambda: owner.session.planes[KEY].embedding is not None)
    assert evidence(owner).of(KEY).views["residual"].asked is not None
    evidence(owner).cancel(KEY, "residual")
    owner.settle()
    states = evidence(owner).of(KEY).views
    assert states["residual"].asked is None
    assert states["residual"].found is None
    assert states["sharpness"].found is not None


def test_only_the_last_planes_keep_what_was_found(owner: Owner) -> None:
    keys = [PlaneKey("stack", (n,)) for n in range(PLANES_KEPT + 1)]
    for n, key in enumerate(keys):
        pixels = np.full(SHAPE, 40 * n, np.uint8)
        owner.session.open(key, SHAPE, lambda pixels=pixels: pixels)
        evidence(owner).look(key)
    owner.settle()
    assert [evidence(owner).of(key) is not None for key in keys] == [False, True, True, True]
    owner.session.forget("stack")
    assert [evidence(owner).of(key) for key in keys] == [None] * len(keys)


def test_thumbnails_are_small_and_show_links() -> None:
    values = np.zeros((400, 900), np.float32)
    drawn = thumbnail(Evidence(EvidenceMap(values)), np.zeros((400, 900, 3), np.uint8))
    assert max(drawn.shape) <= SIDE
    regions = np.zeros((400, 900), np.uint8)
    regions[:100, :100] = 1
    links = Links(np.array([[50.0, 50]]), np.array([[300.0, 800]]), regions, np.array([1]))
    drawn = thumbnail(Evidence(links=links), np.zeros((400, 900, 3), np.uint8))
    assert drawn[:10, :10].any(axis=-1).all()
    assert not drawn[-3:].any()
    assert thumbnail(Evidence(), np.zeros((4, 4, 3), np.uint8)) is None
