"""What `hearth doctor` says of one thing, and how a look that fails becomes a sentence too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "warning", "problem"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing. `todo` is a command or a setting, empty when there is none.

    `check` is a fixed word, `subject` what of several things it is about (a folder, a flag, a JSON
    pointer); `facts` are the numbers behind the sentence, units in their names.
    """

    check: str
    level: Level
    what: str
    todo: str = ""
    subject: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


Look = Callable[[], Iterable[Finding]]


def look(check: str, into: Look, subject: str = "") -> list[Finding]:
    """What a look finds; one finding with the reason where it cannot be done. Never raises."""
    try:
        return list(into())
    except Exception as error:  # a strange machine is what this command is for
        reason = str(error) or type(error).__name__
        what = f"could not be looked at, because {reason.rstrip('.')}"
        return [Finding(check, "note", what, subject=subject)]


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / (1 << 30):.1f} GiB"
