"""The table of docs/unload.md is the one that the C++ tests hold the cache to."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "unload.md"
TESTS = ROOT / "tests" / "cpp" / "cache" / "unload_table_test.cc"


def rows_of_the_page() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def rows_of_the_tests() -> list[list[str]]:
    source = TESTS.read_text(encoding="utf-8")
    words = dict(re.findall(r'constexpr char (k\w+)\[\] = "([^"]+)";', source))
    rows = re.findall(r'^    \{"([^"]+)", (k\w+), (k\w+), (k\w+), (k\w+), \w+\},$', source, re.M)
    return [[what, *(words[cell] for cell in cells)] for what, *cells in rows]


def test_each_row_of_the_page_is_tested_and_each_tested_row_is_on_the_page() -> None:
    assert len(rows_of_the_tests()) > 10
    assert rows_of_the_page() == rows_of_the_tests()
