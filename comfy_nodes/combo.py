"""The inputs of ComfyUI's node classes: their lists of choices, in either of ComfyUI's forms."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def inputs_of(owner: Any) -> dict[str, Any]:
    """Name and spec of every input that a workflow can set; `owner` is a node class."""
    types = owner.INPUT_TYPES()
    return {**types.get("required", {}), **types.get("optional", {})}


def choices(spec: Any) -> list[Any]:
    """The list of a combo; empty for any other input."""
    if not spec:
        return []
    if isinstance(spec[0], (list, tuple)):
        return list(spec[0])
    options = spec[1].get("options", []) if len(spec) > 1 else []
    return list(options)


def did_you_mean(name: str, known: Iterable[Any]) -> str:
    """A hint at the nearest known name, to be appended to a sentence; "" when none is near."""
    near = difflib.get_close_matches(name, [str(each) for each in known], n=1)
    return f"; did you mean {near[0]}?" if near else ""
