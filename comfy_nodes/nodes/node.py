"""A node as data: what ComfyUI shows of it, and the function that it runs.

Both of ComfyUI's node APIs are served from it: `v3.py` and `v1.py` only translate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CATEGORY = "hearth"
WRITES = "HEARTH_WRITES"
"""Of a class of ours: whether its node leaves files."""
RUNS_AGAIN = "HEARTH_RUNS_AGAIN"
"""Of a class of ours: whether its node may run again after it has failed for want of memory, though
it is an output node."""


class _AnyType(str):
    """Fits every type, also where ComfyUI knows no wildcard and compares types by `!=`."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = _AnyType("*")

# "required" and "optional", each from an input's name to (type, settings): the form in which
# ComfyUI's own classes state their inputs.
Inputs = dict[str, dict[str, tuple[Any, dict[str, Any]]]]


@dataclass(frozen=True)
class Output:
    """One output."""

    type: str
    name: str
    tooltip: str


@dataclass(frozen=True)
class Result:
    """What a node hands on, and what the editor shows on it: a text, or images by the places of
    their files, in the words of ComfyUI's own nodes."""

    outputs: tuple[Any, ...] = ()
    text: str | None = None
    images: Sequence[Mapping[str, str]] | None = None

    @property
    def ui(self) -> dict[str, Any] | None:
        """What goes to the editor; None: nothing."""
        if self.images is not None:
            return {"images": list(self.images)}
        return None if self.text is None else {"text": [self.text]}


@dataclass(frozen=True)
class Node:
    """One node. All functions take the service first and then the inputs by name.

    `inputs` is called whenever ComfyUI asks, because lists of files change. `fault` says what is
    wrong with the inputs named in `checked`, or ""; ComfyUI leaves these unchecked then. `hidden`
    names what ComfyUI itself adds to the inputs. One that `writes` leaves files, so that a prewarm
    leaves it out; one that `runs_again` does all or nothing, so that it may be tried once more
    though it is an output. While an async `run` waits, other nodes run.
    """

    id: str
    title: str
    description: str
    inputs: Callable[[], Inputs]
    outputs: tuple[Output, ...]
    run: Callable[..., Result | Awaitable[Result]]
    fingerprint: Callable[..., Any] | None = None
    fault: Callable[..., str] | None = None
    checked: tuple[str, ...] = ()
    is_output: bool = False
    writes: bool = False
    runs_again: bool = False
    hidden: tuple[str, ...] = ()
    is_async: bool = False


def spec(type_: Any, tooltip: str, **settings: Any) -> tuple[Any, dict[str, Any]]:
    """One input; a list as its type is a combo."""
    return type_, {"tooltip": tooltip, **settings}


def always_anew(service: Any, **inputs: Any) -> float:
    """The fingerprint of a node that runs in every prompt: no value equals it, not even itself."""
    return float("nan")


def picked(inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Only the inputs of these names."""
    return {name: inputs[name] for name in names if name in inputs}
