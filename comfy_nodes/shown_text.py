"""Texts as they may be shown over HTTP: whoever reads them learns the name of a file, and not in
which folders of this machine it lies."""

from __future__ import annotations

import re
from typing import Any

# hearth's own addresses, which error messages send people to.
_ROUTES = r"hearth/(?:health|ready|models|events|metrics|prewarm|evict|pin|config)\b"
# What ends a path although folders may have spaces: a file's suffix with more text behind it.
_SUFFIX = r"\.(?:safetensors|sft|ckpt|pth?|pt2|bin|pkl|gguf|json|py|so)\s"
_LETTER = rf"(?!{_SUFFIX})(?:[^/\n\"':;,]|(?<=\w)'(?=\w)|[:;,](?![\s/]))"
_FOLDER = rf"(?:(?!\s)(?:{_LETTER})*(?<!\s)/)"
_UNQUOTED = re.compile(rf"(?:(?<![\w/.~)\]}}+!@#%&-])|(?<=file://))/(?!/|{_ROUTES}){_FOLDER}+")
_QUOTED = re.compile(
    r"(?P<quote>[\"'])/(?:(?!(?P=quote)(?!\w))(?:[^\n/]|/(?!/)))*?/(?P<name>[^\n/]*?)(?P=quote)(?!\w)"
)
_MOST_LETTERS = 4000
# Values of the config are named by JSON pointers, which look like paths and are none.
_NOT_PATHS = ("pointer",)


def without_folders(text: str) -> str:
    """The text, of every absolute path in it the last part only.

    Where it cannot be told how far a path with spaces in it goes, words behind it go as well:
    better those than a folder's name.
    """
    text = _QUOTED.sub(_quoted_name, text)
    return _UNQUOTED.sub("", text)


def brief(text: str) -> str:
    """The text's beginning: what a request says of megabytes comes back in errors, and ComfyUI's
    server stands still while they are looked through."""
    # With a slash, so that a path that is cut ends with a folder, which is not shown.
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}/…"


def shown(value: Any) -> Any:
    """The answer with every text in it so treated, and brief, however deep it lies."""
    if isinstance(value, str):
        return without_folders(brief(value))
    if isinstance(value, dict):
        return {name: each if name in _NOT_PATHS else shown(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(each) for each in value]
    return value


def _quoted_name(found: re.Match[str]) -> str:
    quote = found["quote"]
    return f"{quote}{found['name']}{quote}"
