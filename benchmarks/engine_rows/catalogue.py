"""What is measured: each row takes a session and returns its samples, in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engine_rows.makers import Made, Maker, Wish
from benchmarks.engine_rows.prompts import prompt

Samples = dict[str, list[float]]
_SECONDS_TO_BEGIN = 0.1
# After it a GPU is no longer slowed down by the power that the image before took.
_SECONDS_OF_REST = 1.0
_SAME = "a lighthouse in the snow, the same every time"


@dataclass(frozen=True)
class Amounts:
    """How much of everything."""

    count: int = 5
    size: int = 1024
    small: int = 512
    loop_seconds: float = 100.0
    seeds: int = 10
    """Images that are compared between variants."""
    overloaded: bool = False
    """Whether who cannot keep pace gets the open loops all the same."""


@dataclass
class Session:
    """One ready maker; no two of its wishes are the same."""

    maker: Maker
    amounts: Amounts
    kept: Path
    """Folder for what is compared between variants."""
    pace: float | None = None
    """Seconds an image in a row of them, once that is known."""
    _number: int = field(default=0)

    def wish(self, size: int, text: str = "", *, with_parts: bool = False) -> Wish:
        """A new one; a new prompt unless `text` is given."""
        self._number += 1
        return Wish(text or prompt(self._number), 1000 + self._number, size, with_parts)

    def make(self, wish: Wish) -> Made:
        """One image, alone."""
        return self.maker.wait(self.maker.send(wish))

    def latencies(self, wishes: Sequence[Wish]) -> list[float]:
        """Seconds of images of which each is asked for when the one before is there."""
        return [self.make(wish).seconds for wish in wishes]


@dataclass(frozen=True)
class Row:
    """One measured thing."""

    name: str
    measure: Callable[[Session], Samples]


def first(session: Session) -> Samples:
    """Images until nothing is new: both lengths of prompts, twice. Goes before any other row."""
    seconds = session.latencies([session.wish(session.amounts.size) for _ in range(4)])
    return {"ready": [session.maker.start_seconds], "seconds": seconds}


def _same_prompt(session: Session) -> Samples:
    size = session.amounts.size
    session.make(session.wish(size, _SAME))
    wishes = [session.wish(size, _SAME) for _ in range(session.amounts.count)]
    return {"seconds": session.latencies(wishes)}


def _parts(session: Session) -> Samples:
    found: Samples = {}
    for _ in range(session.amounts.count):
        made = session.make(session.wish(session.amounts.size, with_parts=True))
        for name, seconds in made.parts.items():
            found.setdefault(name, []).append(seconds)
    return found


def _new_prompt(session: Session) -> Samples:
    wishes = [session.wish(session.amounts.size) for _ in range(session.amounts.count)]
    return {"seconds": session.latencies(wishes)}


def _rested(session: Session) -> Samples:
    seconds = []
    for _ in range(session.amounts.count):
        time.sleep(_SECONDS_OF_REST)
        seconds += session.latencies([session.wish(session.amounts.size)])
    return {"seconds": seconds}


def _sustained(session: Session) -> Samples:
    wishes = [session.wish(session.amounts.size) for _ in range(2 * session.amounts.count)]
    tickets = [session.maker.send(wish) for wish in wishes]
    made = [session.maker.wait(ticket) for ticket in tickets]
    ends = [each.finished for each in made]
    session.pace = (ends[-1] - made[0].sent) / len(made)
    apart = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    return {"an_image": [session.pace], "apart": apart}


def _small(session: Session) -> Samples:
    size = session.amounts.small
    session.latencies([session.wish(size) for _ in range(4)])
    return {
        "seconds": session.latencies([session.wish(size) for _ in range(session.amounts.count)])
    }


def _paced(session: Session) -> Samples:
    return _open_loop(session, together=1)


def _paired(session: Session) -> Samples:
    return _open_loop(session, together=2)


def _open_loop(session: Session, together: int) -> Samples:
    """Requests come at their moments, whether or not those before are done: one a second."""
    if session.pace is not None and session.pace > 1.0 and not session.amounts.overloaded:
        return {"falls_behind": [session.pace]}
    turns = max(1, round(session.amounts.loop_seconds / together))
    begin = time.time() + _SECONDS_TO_BEGIN
    tickets: list[tuple[float, str]] = []
    for turn in range(turns):
        due = begin + turn * together
        time.sleep(max(0.0, due - time.time()))
        for _ in range(together):
            tickets.append((due, session.maker.send(session.wish(session.amounts.size))))
    made = [(due, session.maker.wait(ticket)) for due, ticket in tickets]
    return {
        "seconds": [each.finished - due for due, each in made],
        "sent_late": [max(each.sent - due for due, each in made)],
    }


def _distance(session: Session) -> Samples:
    """Compared when all variants have made them, with those that were made before."""
    for seed in range(1, session.amounts.seeds + 1):
        session.maker.keep(Wish(_SAME, seed, session.amounts.size), session.kept / str(seed))
    return {}


ROWS = (
    Row("first", first),
    Row("new_prompt", _new_prompt),
    Row("rested", _rested),
    Row("parts", _parts),
    Row("sustained", _sustained),
    Row("small", _small),
    Row("same_prompt", _same_prompt),
    Row("paced", _paced),
    Row("paired", _paired),
    Row("distance", _distance),
)
