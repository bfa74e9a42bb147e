"""Writes docs/config.md from config/schema.json.

`python -m tools.config_docs` writes it; with `--check` it compares, and exits 1 on a difference.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "config" / "schema.json"
PAGE = ROOT / "docs" / "config.md"

Schema = dict[str, Any]

_HEAD = """\
# Configuration

<!-- Made by `python -m tools.config_docs` from config/schema.json; do not edit. -->

hearth is configured by one JSON file. Every key is optional, and a key that is missing has its
default: `{"max_cached_models": 5}` is a whole config. hearth itself reads the file by
[`config/schema.json`](../config/schema.json) (JSON Schema, draft 2020-12); an editor that is given
it checks and completes.

## Where the file is

The first of these that exists counts, alone; they are not merged.

1. The file that the environment variable `HEARTH_CONFIG` names.
2. `hearth.json` in hearth's folder of ComfyUI's user directory: `user/__hearth/hearth.json`, or
   `user/hearth/hearth.json` in a ComfyUI too old for such folders.
3. The shipped [`config/hearth.json`](../config/hearth.json), which is exactly the defaults below.

A change is noticed within about a second and put in force between two prompts, without a restart.
Models that a smaller limit no longer allows are evicted then.

## A file with mistakes

A bad file never stops ComfyUI. None of it is used: the values in force stay, and at start those are
the defaults. The log and `/hearth/health` then name **every** fault at once, each with

- its place as a JSON pointer (`/unload/policy`) or, where the text is not JSON, line and column;
- what was found there, and what would be right;
- the key that was probably meant: `max_modles` is answered with `max_cached_models`.

The reader is strict, because a limit that is passed over in silence is worse than one that is
refused: no unknown keys, no key twice, no comments, no comma before a closing bracket, no NaN, no
byte-order mark; `true` is not a number, `"3"` is not 3, -1.9 is not -1. A file that cannot be read,
is no text in UTF-8, no regular file or larger than 1 MiB has one fault: that. If `HEARTH_CONFIG`
names a file that does not exist, that is a fault too, and the next place counts.

## Keys
"""

_NOT_YET = """
Keys with *not yet* in the last column are read and checked, and change nothing in this version;
one that is set is named in the log and under `not_acted_on` in `/hearth/health`.
"""

_TYPE_WORDS = {
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "array": "list of texts",
    "null": "null",
}


def page(schema: Schema) -> str:
    """The page as Markdown text."""
    parts = [_HEAD, _NOT_YET, "\n", _table(_leaves(schema), "")]
    for name, section in schema["properties"].items():
        if "properties" in section:
            parts.append(f"\n### {name}\n\n{section['description']}")
            parts.append(f"{_rule(section)}\n\n{_table(_leaves(section), f'{name}.')}")
    defaults = json.dumps(_defaults(schema), indent=2)
    parts.append(f"\n## All defaults\n\n```json\n{defaults}\n```\n")
    return "".join(parts)


def _leaves(schema: Schema) -> Iterator[tuple[str, Schema]]:
    return ((n, p) for n, p in schema["properties"].items() if "properties" not in p)


def _table(keys: Iterator[tuple[str, Schema]], prefix: str) -> str:
    lines = ["| key | type | default | unit | meaning | acted on |", "|---|---|---|---|---|---|"]
    for name, key in keys:
        acts = "yes" if key.get("x-acts", True) else "*not yet*"
        default = f"`{json.dumps(key['default'])}`"
        cells = [f"`{prefix}{name}`", _type(key), default, key.get("x-unit", "")]
        lines.append(f"| {' | '.join([*cells, key['description'], acts])} |")
    return "\n".join(lines) + "\n"


def _type(key: Schema) -> str:
    if "enum" in key:
        return " or ".join(f"`{json.dumps(word)}`" for word in key["enum"])
    types = [key["type"]] if isinstance(key["type"], str) else key["type"]
    first, *others = (_TYPE_WORDS[each] for each in types)
    return ", or ".join([first + _bounds(key), *others])


def _bounds(key: Schema) -> str:
    bounds = []
    if "minimum" in key:
        bounds.append(f"at least {key['minimum']}")
    if "exclusiveMinimum" in key:
        bounds.append(f"above {key['exclusiveMinimum']}")
    if "maximum" in key:
        bounds.append(f"at most {key['maximum']}")
    return f" ({', '.join(bounds)})" if bounds else ""


def _rule(section: Schema) -> str:
    if "if" not in section:
        return ""
    conditions = [
        f"`{k}` is `{json.dumps(v['const'])}`" for k, v in section["if"]["properties"].items()
    ]
    needed = ", ".join(f"`{name}`" for name in section["then"]["required"])
    return f" Where {' and '.join(conditions)}, {needed} must be given."


def _defaults(schema: Schema) -> Schema:
    return {
        name: _defaults(key) if "properties" in key else key["default"]
        for name, key in schema["properties"].items()
    }


def difference() -> str:
    """A diff of the committed page against the schema; "" when they agree."""
    committed = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    made = page(json.loads(SCHEMA.read_text(encoding="utf-8")))
    lines = difflib.unified_diff(
        committed.splitlines(True), made.splitlines(True), "docs/config.md", "config/schema.json"
    )
    return "".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Writes or checks the page; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.config_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare; 1 on a difference")
    if parser.parse_args(arguments).check:
        found = difference()
        if found:
            print(f"{found}\ndocs/config.md is behind: python -m tools.config_docs writes it anew")
        return 1 if found else 0
    PAGE.write_text(page(json.loads(SCHEMA.read_text(encoding="utf-8"))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
