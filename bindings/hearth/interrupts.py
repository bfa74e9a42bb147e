"""Ctrl-C while modules are still being imported."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""The exit code."""


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """While the block runs, Ctrl-C ends the process: one line, exit code 130.

    An import lets no KeyboardInterrupt through unharmed: C++ that imports Python aborts at it, and
    what catches errors of an optional import swallows it. Nothing may be half written meanwhile,
    as nothing is cleaned up. Where the signal is ignored, or someone else's, it stays so.
    """
    mine = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not mine:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    # Not by print(): whatever was at work may be in the middle of it.
    with contextlib.suppress(OSError):
        os.write(2, b"hearth: interrupted\n")
    os._exit(INTERRUPTED)
