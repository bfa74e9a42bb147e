"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from hearth.errors import HearthError

_STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))

Write = Callable[[IO[bytes]], object]
"""Fills a file."""


def write_whole(path: Path, write: Write) -> None:
    """Has `write` fill a file of another name beside it, and renames that when it is done.

    What is interrupted or fails leaves nothing, and what lay there before stays. What is no file,
    as /dev/null and /dev/stdout, is written to as it is.
    """
    if is_stream(path):
        with path.open("wb") as stream:
            write(stream)
        return
    with _partial(path.parent, write) as partial:
        os.replace(partial, path)


def is_stream(path: Path) -> bool:
    """Whether it is no file of a folder but there to be written to, as /dev/stdout."""
    return (
        os.path.exists(path)
        and not os.path.isdir(path)
        and (not os.path.isfile(path) or path.parent in _STREAMS)
    )


@contextlib.contextmanager
def said_of(option: str, path: Path) -> Iterator[None]:
    """An OSError in the block becomes a HearthError with the option that named the file."""
    try:
        yield
    except OSError as error:
        raise HearthError(f"{option} {path}: {error.strerror or error}") from error


def write_new(paths: Iterable[Path], write: Write) -> Path:
    """As `write_whole`, under the first of these names, all of one folder, that nothing has; the
    name. Nobody's file is replaced, whoever else writes there meanwhile."""
    names = iter(paths)
    path = next(names)
    with _partial(path.parent, write) as partial:
        while not _given(partial, path):
            path = next(names)
    return path


def _given(partial: Path, path: Path) -> bool:
    """Gives a file its name; False when that is taken."""
    try:
        os.link(partial, path)
        return True
    except FileExistsError:
        return False
    except OSError:  # no links in this file system; if it is anything else it is said below
        return _renamed(partial, path)


def _renamed(partial: Path, path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours by this
    except FileExistsError:
        return False
    try:
        os.replace(partial, path)
    except BaseException:
        path.unlink()
        raise
    return True


@contextlib.contextmanager
def _partial(folder: Path, write: Write) -> Iterator[Path]:
    """A whole file under a name that nobody looks for; gone when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    # Not with the file's name in it, which may be as long as a name can be.
    descriptor, name = tempfile.mkstemp(prefix=".hearth.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        os.chmod(name, 0o666 & ~_UMASK)
        yield Path(name)
    finally:  # after Ctrl-C, too
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """What the process leaves out of a new file's permissions.

    Asking by os.umask() sets it for a moment, and what another thread makes in that moment is
    open to everyone. So the kernel is asked, and os.umask() only where it does not say.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


_UMASK = _umask()
"""Read once, before threads write."""
