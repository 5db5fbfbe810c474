"""What is refused is refused in one sentence that users can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def refusal(
    kind: type[Exception],
    call: Callable[..., object],
    *arguments: Any,
    match: str | None = None,
    **named: Any,
) -> str:
    """The sentence of the error that a call must raise; ``match`` as `pytest.raises` takes it."""
    with pytest.raises(kind, match=match) as caught:
        call(*arguments, **named)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert "0x" not in text, "an address of an object"
    return text
