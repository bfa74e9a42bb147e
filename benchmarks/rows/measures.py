"""How each row is measured: from a running ComfyUI to samples in seconds or GiB.

`same`: further images of a model that had just been used, taken in between. A GPU that is never
idle slows down under its power limit; what a switch adds is over images of the same minute.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.rows.amounts import Amounts
from benchmarks.rows.session import Samples, Session, ballast
from benchmarks.rows.steps import step_seconds

Action = Callable[[], None]

_FREE_GIB_UNDER_PRESSURE = 20.0
_FIFTH = 5


def first_image(session: Session, _: Amounts) -> Samples:
    """Process start to HTTP, to ready, the first image and the fifth."""
    seconds = [session.request("A", seed) for seed in range(1, 1 + _FIFTH)]
    return {
        "start": [session.start_seconds],
        "ready": [session.ready_seconds],
        "seconds": seconds[:1],
        "fifth": seconds[-1:],
    }


def same_model(session: Session, amounts: Amounts) -> Samples:
    """Images of one model, after one that does not count."""
    session.request("A", 10)
    return {"seconds": [session.request("A", 11 + turn) for turn in range(amounts.count)]}


def first_use(session: Session, amounts: Amounts) -> Samples:
    """The first image of B on this server, and further ones."""
    seconds = [session.request("B", 100)]
    return {"seconds": seconds, "same": _further(session, "B", amounts)}


def _further(session: Session, letter: str, amounts: Amounts) -> list[float]:
    return [session.request(letter, 110 + turn) for turn in range(amounts.count)]


def memory(session: Session, _: Amounts) -> Samples:
    """What the process holds now."""
    return {name: [value] for name, value in session.memory().items()}


def switch_fits(session: Session, amounts: Amounts) -> Samples:
    """A, A again, B, B again, A …, nothing in between."""
    return _switched(session, amounts, 200, lambda: None)


def switch_moves(session: Session, amounts: Amounts) -> Samples:
    """The same; before each switch the transformers leave VRAM."""
    return _switched(session, amounts, 300, session.force_out_transformers)


def switch_cold(session: Session, amounts: Amounts) -> Samples:
    """The same; before each switch they leave the page cache, too, as far as nobody has them
    mapped."""

    def leave() -> None:
        session.force_out_transformers()
        session.drop_pages()

    return _switched(session, amounts, 600, leave)


def switch_pressed(session: Session, amounts: Amounts) -> Samples:
    """The same, while another process leaves 20 GiB of VRAM; the first two do not count."""
    session.give_vram_back()  # what ComfyUI holds now would be left to it besides
    with ballast(_FREE_GIB_UNDER_PRESSURE):
        first = [session.request(letter, 400) for letter in ("A", "B")]
        return {**_switched(session, amounts, 401, lambda: None), "first": first}


def _switched(session: Session, amounts: Amounts, seed: int, before: Action) -> Samples:
    """Two switches a turn but for the very first, which may have been none."""
    seconds, same = [], []
    for turn in range(amounts.count):
        for letter in ("A", "B"):
            before()
            seconds.append(session.request(letter, seed + turn))
            same.append(session.request(letter, seed + 50 + turn))
    return {"seconds": seconds[1:], "same": same, **memory(session, amounts)}


def lora(session: Session, amounts: Amounts) -> Samples:
    """A twice without and once with a LoRA in turn; what counts is with, over the second."""
    session.request("A", 500)
    first = session.request(session.with_lora("A"), 501)
    seconds, same = [], []
    for turn in range(amounts.count):
        session.request("A", 510 + turn)
        same.append(session.request("A", 530 + turn))
        seconds.append(session.request(session.with_lora("A"), 550 + turn))
    return {"seconds": seconds, "same": same, "first": [first], **memory(session, amounts)}


def prefetch(session: Session, _: Amounts) -> Samples:
    """Steps of A alone, and while the file of a model that waits is read from the disk."""
    waiting = session.unused_letter()
    alone = step_seconds(session, "A", 700)
    session.drop_pages()
    return {"alone": alone, "seconds": step_seconds(session, "A", 701, waiting=waiting)}


def closed_loop(session: Session, amounts: Amounts) -> Samples:
    """One client, one request after the other."""
    return {"seconds": [session.request("A", 1000 + turn) for turn in range(amounts.loop)]}


def round_robin(session: Session, amounts: Amounts) -> Samples:
    """All workflows in turn; after each round the last one again, which does not count."""
    seconds, same = [], []
    for turn in range(amounts.rounds):
        seconds += [session.request(letter, 2000 + turn) for letter in session.letters]
        same.append(session.request(session.letters[-1], 2500 + turn))
    total = {"seconds": seconds, "total": [sum(seconds)], "same": same}
    return {**total, **memory(session, amounts)}
