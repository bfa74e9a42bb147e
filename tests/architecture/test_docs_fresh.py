"""The pages say what is there: their links lead to files, their commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.dev.lint import source_files

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")
PAGES = sorted(path for path in source_files() if path.suffix == ".md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_commands_in_the_pages_exist() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    known = set(re.findall(r'add_parser\("(\w+)"', (ROOT / "tools/dev/main.py").read_text()))
    assert set(re.findall(r"\./dev ([a-z]+)", text)) <= known
