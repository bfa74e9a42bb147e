"""What is measured: each row takes a session and returns its samples.

"Added" is over a request of the same model on the same server: the median of `same_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks.rows.session import Session, ballast

Samples = dict[str, list[float]]

_FREE_GIB_UNDER_PRESSURE = 20.0


@dataclass(frozen=True)
class Row:
    """One measured thing. Rows of a session run in the catalogue's order, each on what the former
    left behind."""

    name: str
    what: str
    measure: Callable[[Session, int], Samples]


def _first_image(session: Session, _: int) -> Samples:
    first = session.request("A", 1)
    return {"start": [session.start_seconds], "ready": [session.ready_seconds], "seconds": [first]}


def _same_model(session: Session, count: int) -> Samples:
    session.request("A", 10)
    return {"seconds": [session.request("A", 11 + turn) for turn in range(count)]}


def _first_use(session: Session, _: int) -> Samples:
    return {"seconds": [session.request("B", 100)]}


def _lora(session: Session, count: int) -> Samples:
    session.request("A", 500)
    first = session.request(session.with_lora("A"), 501)
    seconds = []
    for turn in range(count):
        session.request("A", 510 + turn)
        seconds.append(session.request(session.with_lora("A"), 550 + turn))
    return {"seconds": seconds, "first": [first], **_now(session)}


def _switch_fits(session: Session, count: int) -> Samples:
    seconds = [
        session.request(letter, 200 + turn) for turn in range(count) for letter in ("A", "B")
    ]
    return {"seconds": seconds[1:], **_now(session)}


def _switch_moves(session: Session, count: int) -> Samples:
    seconds = []
    for turn in range(count):
        for letter in ("A", "B"):
            session.force_out_transformers()
            seconds.append(session.request(letter, 300 + turn))
    return {"seconds": seconds[1:], **_now(session)}


def _switch_under_pressure(session: Session, count: int) -> Samples:
    # What ComfyUI holds now would be left to it besides.
    session.give_vram_back()
    with ballast(_FREE_GIB_UNDER_PRESSURE):
        return _switch_pressed(session, count)


def _switch_pressed(session: Session, count: int) -> Samples:
    seconds = [
        session.request(letter, 400 + turn) for turn in range(count + 1) for letter in ("A", "B")
    ]
    return {"seconds": seconds[2:], "first": seconds[:2], **_now(session)}


def _closed_loop(session: Session, count: int) -> Samples:
    return {"seconds": [session.request("A", 1000 + turn) for turn in range(20 * count)]}


def _round_robin(session: Session, count: int) -> Samples:
    letters = sorted(letter for letter in session.graphs if "+" not in letter)
    seconds = [
        session.request(letter, 2000 + turn) for turn in range(4 * count) for letter in letters
    ]
    return {"seconds": seconds, "total": [sum(seconds)], **_now(session)}


def _now(session: Session) -> Samples:
    return {name: [value] for name, value in session.memory().items()}


ROWS = (
    Row("first_image", "process start to HTTP ready, then the first image", _first_image),
    Row("same_model", "another image of the same model", _same_model),
    Row("first_use", "first use of a second transformer", _first_use),
    Row("switch_fits", "switch, both transformers fit in VRAM", _switch_fits),
    Row("switch_moves", "switch, the transformer must move to VRAM", _switch_moves),
    Row("switch_pressed", "switch, 20 GiB of VRAM left by others", _switch_under_pressure),
    Row("lora", "a LoRA switched on", _lora),
    Row("round_robin", "all workflows in turn", _round_robin),
    Row("closed_loop", "one client, one request after the other", _closed_loop),
)


ADDED = {"first_use", "switch_fits", "switch_moves", "switch_pressed", "lora"}


def added(seconds: list[float], same_model: list[float]) -> tuple[float, float]:
    """Median and worst of what a request takes longer than one of the same model."""
    base = median(same_model)
    return median(seconds) - base, max(seconds) - base
