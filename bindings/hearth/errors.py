"""What hearth raises. Each class also is the builtin exception that callers expect."""

from __future__ import annotations


class HearthError(Exception):
    """The root of everything hearth raises on purpose."""


class ConfigError(HearthError, ValueError):
    """A configuration value that is missing, of the wrong type or out of range.

    `pointer` is the JSON pointer of the offending value.
    """

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


class CheckpointNotFoundError(HearthError, FileNotFoundError):
    """A name that is not in the list of known checkpoints."""


class CheckpointCorruptError(HearthError, ValueError):
    """A file that is not what its name promises.

    Carries the file's name, the byte, the tensor ("" when in none) and what would be right.
    """

    def __init__(
        self,
        message: str,
        file_name: str = "",
        byte_offset: int = 0,
        tensor: str = "",
        expected: str = "",
    ) -> None:
        super().__init__(message)
        self.file_name = file_name
        self.byte_offset = byte_offset
        self.tensor = tensor
        self.expected = expected


class CheckpointMismatchError(HearthError, ValueError):
    """A sound file that is another model than the one asked for, or lacks a part of it.

    Carries the first tensor that is missing or has another shape, and what the file looks like.
    """

    def __init__(self, message: str, tensor: str = "", looks_like: str = "") -> None:
        super().__init__(message)
        self.tensor = tensor
        self.looks_like = looks_like


class DeviceOutOfMemoryError(HearthError, MemoryError):
    """Device memory did not suffice, after one trim and one retry."""


class CacheBusyError(HearthError, RuntimeError):
    """Every resident model is in use or pinned, so no room could be made."""


class CacheClosedError(HearthError, RuntimeError):
    """The cache was shut down; nothing is loaded any more."""


class CudaError(HearthError, RuntimeError):
    """A CUDA call failed; the message names the call and the place."""


class KeeperError(HearthError, ConnectionError):
    """No keeper is running, or it does not do what it was asked."""


class NoKeeperError(KeeperError):
    """No keeper is running."""


class NativeUnavailable(HearthError, ImportError):
    """The native module is missing or was built from another version of hearth."""

    def __init__(self, message: str) -> None:
        # With the package's name `python -m hearth` ends in a line, not in a traceback.
        super().__init__(message, name="hearth")
