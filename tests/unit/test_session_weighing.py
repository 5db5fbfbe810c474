"""The network's verdict comes first; the one that counts all evidence takes its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from fakes import FakeEngine, hold_view
from test_forensics import photograph
from test_session import KEY, SHAPE, Owner

from napari_safire.engine.rules import ModelRules
from napari_safire.forgery import Calibration, ForgeryMap
from napari_safire.partitioning.combination import CombinationRule, Term
from napari_safire.session.autosave import Autosave
from napari_safire.settings import PartitionSettings

COUNTED = "compression grid"
RULE = CombinationRule(
    MappingProxyType({"network": Term(1.0, 0.0, -5, 5), COUNTED: Term(1.0, 0.0, 0, 20)}),
    Calibration(1.0, 5.0, 0.68, 0.27, 0.05, "Made up."),
)
SETTINGS = PartitionSettings("kmeans", 2, points_per_side=4)


class Counting(FakeEngine):
    rules = ModelRules(combination=RULE)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    made = Owner(Counting(), Autosave(tmp_path / "kept.sqlite"))
    made.pixels = photograph(6, SHAPE).copy()  # type: ignore[attr-defined]
    made.session.open(KEY, SHAPE, lambda: made.pixels)  # type: ignore[attr-defined]
    made.session.reread(KEY.picture)
    made.verdicts = []  # type: ignore[attr-defined]
    plane = made.session.planes[KEY]
    made.session.partitioned.connect(
        lambda key: made.verdicts.append((plane.forgery, plane.weighing is not None))  # type: ignore[attr-defined]
    )
    yield made
    made.session.close()
    assert made.session.join(10)


def verdict(owner: Owner) -> ForgeryMap:
    found = owner.session.planes[KEY].forgery
    assert found is not None
    return found


def test_the_networks_comes_first_and_the_combined_one_stands(owner: Owner) -> None:
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    told = owner.verdicts  # type: ignore[attr-defined]
    assert [(found.verdict, bool(found.contributions), waits) for found, waits in told] == [
        ("inconclusive", False, False), ("inconclusive", False, True), ("forged", True, False),
    ]  # fmt: skip
    assert set(verdict(owner).contributions) == {"network", COUNTED}
    owner.session.annotations.undo(KEY)
    owner.settle()
    assert verdict(owner).verdict == "forged"
    owner.session.partitions.run(KEY, PartitionSettings("kmeans", 3, points_per_side=4))
    owner.settle()
    assert verdict(owner) is told[-1][0]  # nothing is weighed again for another number of sources
    assert owner.engine.calls.count("localize") == 1


def test_the_one_that_stands_is_kept(owner: Owner, tmp_path: Path) -> None:
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    sha256 = owner.session.planes[KEY].pixels.sha256
    kept = Autosave(tmp_path / "kept.sqlite").find(sha256, SHAPE, [])
    assert kept is not None
    forgery = kept.made.predictions.forgery
    assert forgery is not None
    assert forgery.verdict == "forged"
    assert dict(forgery.contributions) == dict(verdict(owner).contributions)


def test_a_verdict_that_is_stopped_is_the_networks_until_the_next_partition(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    hold_view(monkeypatch, COUNTED, go)
    owner.session.partitions.run(KEY, SETTINGS)
    owner.until(lambda: owner.session.planes[KEY].weighing is not None)
    owner.session.cancel()
    owner.settle()
    assert verdict(owner).contributions == {}
    assert owner.session.planes[KEY].weighing is None
    go.set()
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    assert verdict(owner).verdict == "forged"


def test_evidence_can_be_left_out_and_counted_again(owner: Owner) -> None:
    owner.session.weighing.count(False)
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    network = verdict(owner)
    assert network.contributions == {}
    owner.session.weighing.count(True)
    owner.settle()
    combined = verdict(owner)
    assert combined.verdict == "forged"
    owner.session.weighing.count(False)
    assert verdict(owner) is network
    owner.session.weighing.count(True)
    assert verdict(owner) is combined


def test_evidence_of_other_pixels_is_not_counted(owner: Owner) -> None:
    owner.session.embed(KEY)
    owner.settle()
    owner.pixels[:20] = 0  # type: ignore[attr-defined]  # in place, after the model read them
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    assert verdict(owner).contributions == {}
    assert any("evidence is not counted" in text for text, failed in owner.notices if failed)


def test_nothing_is_weighed_where_the_model_does_not_know_how(owner: Owner) -> None:
    owner.engine.rules = ModelRules()
    owner.session.partitions.run(KEY, SETTINGS)
    owner.settle()
    assert verdict(owner).contributions == {}
    assert not np.isnan(verdict(owner).score)
