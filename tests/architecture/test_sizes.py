"""Files, functions and lists of parameters stay small: proven on planted giants, then on all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.dev.lint import source_files
from tools.sizes import CPP_SUFFIXES, MAX_FILE_LINES, MAX_FUNCTION_LINES, too_big

ROOT = Path(__file__).resolve().parents[2]
LONG_BODY = "  ++x;\n" * MAX_FUNCTION_LINES
GIANTS = {
    "function.cc": f"void Room::Walk(int x) {{\n{LONG_BODY}}}\n",
    "annotated.cc": f"int Walk(int x) const noexcept {{\n{LONG_BODY}}}\n",
    "constructor.cc": f"Room::Room(int x)\n    : x_(x), y_(0) {{\n{LONG_BODY}}}\n",
    "lambda.cc": f"auto walk = [&](int x) {{\n{LONG_BODY}}};\n",
    "test.cc": f"TEST(Room, Walks) {{\n{LONG_BODY}}}\n",
    "parameters.cc": "void F(int a, std::map<int, int> b, int c, int d, int e, int f) {\n}\n",
    "kernel.cu": f"__global__ void Walk(int x) {{\n{LONG_BODY}}}\n",
    "device.cuh": "__device__ int F(int a, int b, int c, int d, int e, int f) {\n}\n",
    "function.py": "def walk(x):\n" + "    x += 1\n" * MAX_FUNCTION_LINES,
    "parameters.py": "def walk(a, b, c, *, d, e, f):\n    pass\n",
    "file.cc": "\n" * (MAX_FILE_LINES + 1),
    "file.py": "\n" * (MAX_FILE_LINES + 1),
}
SMALL = """
#define BODY(x) { if (x) { \\
  }
// A brace in a comment: {
const char* kText = "{ (";
template <typename T, typename U, typename V>
void F(std::map<int, int> a, int b, int c, int d, int e) {
  for (int i = 0; i < a; ++i) {
    if (b) {
"""


@pytest.mark.parametrize("name", GIANTS)
def test_a_planted_giant_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(GIANTS[name])
    assert len(too_big(tmp_path / name)) == 1


def test_small_code_passes(tmp_path: Path) -> None:
    blocks = "    ++x;\n" * (MAX_FUNCTION_LINES // 2)
    (tmp_path / "small.cc").write_text(SMALL + blocks + "    }\n  }\n}\n")
    assert too_big(tmp_path / "small.cc") == []


def test_nothing_in_the_repository_is_too_big() -> None:
    code = [p for p in source_files() if p.suffix in CPP_SUFFIXES | {".py"} or p == ROOT / "dev"]
    assert len(code) > 50
    assert [found for path in code for found in too_big(path)] == []
