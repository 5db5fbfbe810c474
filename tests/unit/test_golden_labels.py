"""The number of the algorithm stands for what it computes (`napari_safire.basis.ALGORITHM`)."""

from __future__ import annotations

from collections import defaultdict

import golden_labels
import numpy as np
import pytest
from golden_labels import COMMAND, QUESTIONS, Answer

from napari_safire.basis import ALGORITHM

CHANGED = (
    "Results are not those of algorithm {}: {}. If that is wanted, raise ALGORITHM in "
    "src/napari_safire/basis.py and make golden data anew with: {}"
)


@pytest.fixture(scope="module")
def golden() -> dict[tuple[str, str], Answer]:
    try:
        pictures, answers = golden_labels.read()
    except FileNotFoundError:
        pytest.fail(f"There is no golden data of algorithm {ALGORITHM}: make it with: {COMMAND}")
    shown = golden_labels.digests()
    changed = [name for name in pictures if pictures[name] != shown.get(name)]
    assert not changed, f"The pictures {changed} are others than before, it is not the engine."
    return answers


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Answer]]:
    by_question: dict[str, dict[str, Answer]] = defaultdict(dict)
    for of, asked, answer in golden_labels.answers():
        by_question[asked][of] = answer
    return by_question


@pytest.mark.parametrize("asked", QUESTIONS)
def test_results_are_those_of_this_algorithm(
    asked: str, golden: dict[tuple[str, str], Answer], found: dict[str, dict[str, Answer]]
) -> None:
    assert {of for of, question in golden if question == asked} == set(found[asked])
    told = [
        f"{of}, {asked}: {', '.join(differs)}"
        for of, answer in found[asked].items()
        if (differs := golden_labels.differences(asked, golden[of, asked], answer))
    ]
    assert not told, CHANGED.format(ALGORITHM, "; ".join(told), COMMAND)


def test_golden_answers_tell_something(golden: dict[tuple[str, str], Answer]) -> None:
    # One source everywhere would agree with whatever an engine that says nothing answers.
    for asked in QUESTIONS:
        mixed = [
            len(np.unique(one["labels"])) > 1 for (_, asks), one in golden.items() if asks == asked
        ]
        assert sum(mixed) >= 2, asked
    verdicts = {one["verdict"] for (_, asked), one in golden.items() if asked == "localize"}
    assert len(verdicts) >= 2


def test_a_change_of_arithmetic_is_seen(golden: dict[tuple[str, str], Answer]) -> None:
    for (_, asked), one in golden.items():
        assert golden_labels.differences(asked, one, one) == []
    one = golden["safire-lite, demo", "kmeans"]
    labels = one["labels"].copy()
    labels.flat[: labels.size // 500] += 1
    assert (
        "99.80% of the labels"
        in golden_labels.differences("kmeans", one, one | {"labels": labels})[0]
    )
    scores = [score + 2e-4 for score in one["scores"]]
    assert "scores" in golden_labels.differences("kmeans", one, one | {"scores": scores})[0]
    assert (
        "2 sources instead of"
        in golden_labels.differences("kmeans", one, one | {"n_sources": 2})[0]
    )
