"""What a `filename_prefix` names: before anything is computed and when a file is written."""

from __future__ import annotations

import os
import time

_ENDING = "_00001_.png"
PREVIEWS = "temp"
"""The folder for them, in that for images."""
MAX_NAME_BYTES = 255
"""Of one name in a folder, on every file system that is usual on Linux."""


def filled(prefix: str, size: tuple[int, int]) -> str:
    """With `%width%`, `%height%`, `%year%` … `%second%` replaced as ComfyUI does."""
    now = time.localtime()
    words = {
        "width": str(size[0]),
        "height": str(size[1]),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for word, text in words.items():
        prefix = prefix.replace(f"%{word}%", text)
    return prefix


def leaves_folder(prefix: str) -> bool:
    """Whether a file's prefix names a place outside of the folder it is meant for."""
    normal = os.path.normpath(prefix)
    return os.path.isabs(normal) or normal.split(os.sep)[0] == ".." or "\0" in prefix


def bytes_too_many(prefix: str, size: tuple[int, int]) -> int:
    """By how much the longest name that a prefix leads to, of a folder or of the first file, is too
    long for a file system; 0 for none."""
    *folders, name = os.path.normpath(filled(prefix, size)).split(os.sep)
    file = name.replace("%batch_num%", "0") + _ENDING
    longest = max(len(each.encode(errors="replace")) for each in (*folders, file))
    return max(0, longest - MAX_NAME_BYTES)
