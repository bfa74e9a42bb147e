"""Text files that people name: read whole, within bounds, and without waiting for anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MOST_CONFIG_BYTES = 1 << 20


def read_config(path: Path) -> str:
    """The text of a hearth.json. Raises OSError, and ValueError with what is wrong with it."""
    return read_text(path, _MOST_CONFIG_BYTES)


def read_text(path: Path, most_bytes: int, *, pipes: bool = False) -> str:
    """The file's text.

    `pipes`: also what another program writes, as `<(jq … a.json)` and /dev/stdin are; one without
    a writer is empty. Raises OSError, and ValueError with what is wrong with the file.
    """
    # Not to wait for a pipe that nobody writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise ValueError("this is no regular file")
        os.set_blocking(descriptor, True)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes >> 20} MiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text at byte {error.start}") from error
