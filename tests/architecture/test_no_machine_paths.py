"""Nothing in the repository names one machine's folders or a package index."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.dev.lint import source_files

ROOT = Path(__file__).resolve().parents[2]
# Put together here, so that this file does not name them either.
FOLDERS = "|".join(("root", "work", "tmp", "home/[a-z]"))
INDEXES = "|".join(("py" + "pi.org", "python" + "hosted", "npm" + "js.org", "debian" + ".org"))
FOREIGN = re.compile(rf"(?<![\w.$}}~*-])/(?:{FOLDERS})\b/?|(?:{INDEXES})")


def foreign_names(text: str) -> list[str]:
    """What in a text belongs to one machine or to an index."""
    return [match.group() for match in FOREIGN.finditer(text)]


@pytest.mark.parametrize("folder", ["root", "work", "tmp"])
def test_a_planted_path_is_found(folder: str) -> None:
    assert foreign_names(f'open("/{folder}/models/a.safetensors")')
    assert foreign_names(f"cd /{folder}/models")
    assert not foreign_names(f"${{sourceDir}}/{folder}/models and a.b/{folder}/c")


def test_a_planted_index_is_found() -> None:
    assert foreign_names("https://" + "py" + "pi.org/simple")


def test_no_file_names_a_machine() -> None:
    found = []
    for path in source_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {name}" for name in foreign_names(text)]
    assert found == []
