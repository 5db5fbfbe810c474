"""The stable contract: what the public names are called with, that all is typed and described."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import napari_safire
import napari_safire.examination
import napari_safire.metrics
import napari_safire.model
from napari_safire import Engine, load_model
from napari_safire.model import ModelConfig, SafireModel

ROOMS = (napari_safire, napari_safire.model, napari_safire.metrics, napari_safire.examination)
PUBLIC = {
    name: getattr(room, name) for room in ROOMS for name in room.__all__ if name != "__version__"
}


def functions(value: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """A public function, or the methods and properties of a public class and its bases of ours."""
    if inspect.isfunction(value):
        yield value.__name__, value
    if not inspect.isclass(value):
        return
    ours = [base for base in reversed(value.__mro__) if base.__module__.startswith("napari_safire")]
    for name, member in {k: v for base in ours for k, v in vars(base).items()}.items():
        function = member.fget if isinstance(member, property) else inspect.unwrap(member)
        function = getattr(function, "__func__", function)  # of a classmethod
        if inspect.isfunction(function) and (not name.startswith("_") or name == "__init__"):
            yield f"{value.__name__}.{name}", function


FUNCTIONS = dict(sorted(pair for value in PUBLIC.values() for pair in functions(value)))
CLASSES = {
    name: value
    for name, value in PUBLIC.items()
    if inspect.isclass(value) and not issubclass(value, Exception)
}


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    found = dict(inspect.signature(function).parameters)
    return {name: one for name, one in found.items() if name not in ("self", "cls")}


def section(text: str, title: str) -> str:
    """A section of a numpydoc docstring; empty if it has none."""
    body = rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+\n|\Z)"
    found = re.search(body, text, flags=re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def described(text: str) -> set[str]:
    """Names that the sections of parameters and attributes describe."""
    lines = [*section(text, "Parameters").splitlines(), *section(text, "Attributes").splitlines()]
    heads = [line.split(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


def test_the_contract_is_looked_at() -> None:
    assert {"Engine.embed", "load_model", "p_miou", "examine", "SafireModel.decode"} <= {*FUNCTIONS}
    assert len(FUNCTIONS) > 60


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (load_model, ["name_or_path", "device", "config"]),
        (Engine, ["model"]),
        (Engine.embed, ["image"]),
        (Engine.segment, ["embedding", "prompts"]),
        (Engine.partition, ["embedding", "method", "n_sources"]),
        (Engine.localize, ["embedding"]),
        (SafireModel.encode, ["pixels"]),
        (SafireModel.decode, ["feats", "points_xy"]),
        (ModelConfig.from_json, ["path"]),
    ],
)
def test_arguments_keep_their_names_and_order(function, names) -> None:
    assert list(parameters(function))[: len(names)] == names


def test_a_partition_takes_seed_and_side_by_name() -> None:
    assert {"seed", "points_per_side"} <= {*parameters(Engine.partition)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_everything_public_is_typed(name: str) -> None:
    signature = inspect.signature(FUNCTIONS[name])
    assert signature.return_annotation is not signature.empty
    untyped = [one for one, of in parameters(FUNCTIONS[name]).items() if of.annotation is of.empty]
    assert untyped == []


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if not name.endswith("__init__")])
def test_every_public_function_describes_its_parameters_and_result(name: str) -> None:
    function = FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    assert text.split("\n")[0].endswith((".", "?")), text
    assert {*parameters(function)} <= described(text)
    returned = inspect.signature(function).return_annotation
    if parameters(function) and returned not in ("None", None):
        assert section(text, "Returns"), f"{name} returns {returned}"


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_class_describes_what_it_is_made_of(name: str) -> None:
    text = inspect.getdoc(CLASSES[name]) or ""
    assert text.split("\n")[0].endswith(".")
    assert {*parameters(CLASSES[name])} <= described(text)
