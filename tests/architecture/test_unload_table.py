"""The table of docs/unload.md is the one that tests hold hearth to, and each row names tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "unload.md"
OF_THE_CACHE = ROOT / "tests" / "cpp" / "cache" / "unload_table_test.cc"
OF_VRAM = ROOT / "tests" / "python" / "test_unload_rows.py"

Rows = list[list[str]]


def tables_of_the_page() -> list[Rows]:
    """The rows of each table, without its head."""
    tables: list[Rows] = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line[:1] == "|":
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return [table[2:] for table in tables if table]


def rows_of_the_cpp_tests() -> Rows:
    source = OF_THE_CACHE.read_text(encoding="utf-8")
    words = dict(re.findall(r'constexpr char (k\w+)\[\] = "([^"]+)";', source))
    rows = re.findall(r'^    \{"([^"]+)", (k\w+), (k\w+), (k\w+), (k\w+), \w+\},$', source, re.M)
    return [[what, *(words[cell] for cell in cells)] for what, *cells in rows]


def rows_of_the_python_tests() -> Rows:
    source = OF_VRAM.read_text(encoding="utf-8")
    words = dict(re.findall(r'^([A-Z_]+) = "([^"]+)"$', source, re.M))
    (own,) = re.findall(r"^ROWS = \[(.*?)\]$", source, re.M | re.S)
    rows = re.findall(r'\("([^"]+)", (\w+), (\w+), (\w+), (\w+)\)', own)
    return [[what, *(words[cell] for cell in cells)] for what, *cells in rows]


def test_each_row_of_the_page_is_tested_and_each_tested_row_is_on_the_page() -> None:
    cpp, python = rows_of_the_cpp_tests(), rows_of_the_python_tests()
    assert len(cpp) > 10
    assert python
    assert tables_of_the_page()[0] == cpp + python


def test_each_row_of_the_page_names_tests_inside_comfyui_that_know_it() -> None:
    rows, shown = tables_of_the_page()
    assert [what for what, *_ in rows] == [what for what, _ in shown]
    for what, files in shown:
        for name in re.findall(r"`([^`]+)`", files):
            source = (ROOT / name).read_text(encoding="utf-8")
            if name.endswith("_rows.py"):
                parts = [what] if f'"{what}"' in source else what.split(", ")
                known = [part for part in parts if f'"{part}"' in source]
                assert known, f"{name} has no row {what}"
