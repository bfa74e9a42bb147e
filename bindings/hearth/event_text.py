"""The cache's events as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What users want to read of a model. Hits would be a line a request, and `fell_back` has told its
# own line where it happened.
_WORDS = {
    "opened": "opened",
    "weights_arrived": "weights arrived",
    "load_failed": "could not be loaded",
    "served_uncached": "is not kept",
    "reloaded": "was loaded anew",
    "evicted": "evicted",
    "demoted": "demoted",
    "erased": "dropped",
    "reclaimed": "taken back",
    "lingering": "lingers",
    "lingering_gone": "is gone",
}


def is_told(event: Mapping[str, Any]) -> bool:
    """Whether there is a line for this kind of event."""
    return event["kind"] in _WORDS


def describe(event: Mapping[str, Any]) -> str:
    """One line: what, which model, why, how big, how long, and who asked. REQUIRES: is_told()."""
    size = max(event["bytes"].values(), default=0)
    facts = [f"{size / 1e9:.2f} GB"] if size else []
    if event["ms"]:
        facts.append(f"{event['ms'] / 1000:.2f} s")
    if event["node"]:
        facts.append(f"node {event['node']}")
    details = f" ({', '.join(facts)})" if facts else ""
    reason = f": {event['reason']}" if event["reason"] else ""
    return one_line(f"{event['model']} {_WORDS[event['kind']]}{reason}{details}")


def one_line(text: str) -> str:
    """The text without what ends a line or drives a terminal: names of files may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
