"""What is wrong with a request, said before anything is loaded: one line for each fault."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hearth.errors import HearthError

_SHOWN_NAMES = 12
_SHOWN_LETTERS = 60


@dataclass(frozen=True)
class Fault:
    """One fault: where it is, and what would be right."""

    text: str
    node: str | None = None
    class_name: str = ""
    input: str = ""

    def line(self) -> str:
        """For people; never more than one line, whatever the workflow holds."""
        where = "" if self.node is None else f"node {self.node or quoted('')}"
        where += f" ({self.class_name})" if where and self.class_name else ""
        where += f", {self.input}" if where and self.input else ""
        text = f"{where}: {self.text}" if where else self.text
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


class RefusedError(HearthError):
    """A request that is not begun; carries every fault of it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(fault.line() for fault in faults))
        self.faults = list(faults)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that was probably meant; "" when none is near. Capitals do not count."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def hint(word: str, known: Iterable[str], *, list_all: bool = True) -> str:
    """The end of a sentence about an unknown name: the nearest one, else what there is."""
    names = list(known)
    near = nearest(word, names)
    if near:
        return f"; did you mean {quoted(near)}?"
    if not list_all or not names:
        return ""
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return f"; there is {', '.join(names[:_SHOWN_NAMES])}{more}"


def wrong_letters(text: str) -> str:
    """What is wrong with a text that UTF-8 cannot write; "" for any other.

    JSON can hold half of a character: tokenizers, file names and the native side cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        return f"holds half of a character, {half}, which is none in UTF-8; take it out"
    return ""


def quoted(value: object) -> str:
    """A value as a message shows it: cut off when it is long."""
    text = value if isinstance(value, str) else repr(value)
    shown = text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…"
    return f'"{shown}"' if isinstance(value, str) else shown
