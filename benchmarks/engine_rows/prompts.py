"""Prompts that are all different, of two lengths in turn."""

from __future__ import annotations

_WHAT = ("a lighthouse", "an old tram", "a fox", "two violins", "a greenhouse", "a glass harbour")
_WHERE = ("in the snow", "at the edge of a salt lake", "under a viaduct", "above the clouds")
_LONGER = (
    ", seen from far away at dusk, with long shadows on wet ground, a few small lanterns, thin fog "
    "between the hills, and soft grain"
)


def prompt(number: int) -> str:
    """Every second one has 45 to 55 of Qwen's tokens, the others 17 to 25: who prepares for a
    length, in whole 32s, meets two of them, and no third one when all is said to be warm."""
    what, where = _WHAT[number % len(_WHAT)], _WHERE[number // 2 % len(_WHERE)]
    return f"{what} {where}, picture {number}{_LONGER if number % 2 else ''}"
