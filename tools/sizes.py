"""The limits that keep code readable: lines of files, lines and parameters of functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

CPP_SUFFIXES = frozenset({".h", ".cc", ".cu", ".cuh"})
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_PARAMETERS = 5

_NOISE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    r"|^[ \t]*#(?:\\\n|[^\n])*",
    re.DOTALL | re.MULTILINE,
)
_CONTROL = re.compile(r"(?:else|if|for|while|switch|catch|do|try|return|namespace|enum|extern)\b")
_LABEL = re.compile(r"^(?:(?:public|private|protected|default|case\b[^:]*)\s*:(?!:)\s*)+")
_TEMPLATE = re.compile(r"^template\s*<[^{}]*?>\s+(?=\w)", re.DOTALL)
_AFTER_PARAMETERS = re.compile(r"(?:\s|const|noexcept|override|final|mutable|&|->[\w:<>&*\s]+)*$")
_OPENING, _CLOSING = "([<{", ")]>}"


def too_big(path: Path) -> list[str]:
    """What in a file passes a limit, as `name:line what`."""
    text = path.read_text(encoding="utf-8")
    found = []
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        found.append(f"{path.name}: {lines} lines, more than {MAX_FILE_LINES}")
    functions = _cpp_functions(text) if path.suffix in CPP_SUFFIXES else _python_functions(text)
    for name, line, length, parameters in functions:
        if length > MAX_FUNCTION_LINES:
            found.append(f"{path.name}:{line} {name}: {length} lines")
        if parameters > MAX_PARAMETERS:
            found.append(f"{path.name}:{line} {name}: {parameters} parameters")
    return found


def _python_functions(text: str) -> Iterator[tuple[str, int, int, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = node.args
            names = [
                a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            ]
            counted = [name for name in names if name not in {"self", "cls"}]
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            yield node.name, node.lineno, length, len(counted)


def _cpp_functions(text: str) -> Iterator[tuple[str, int, int, int]]:
    """Name, line, lines and parameters of every body whose opening looks like a function's."""
    code = _NOISE.sub(_blank, text)
    boundary, parentheses = 0, 0
    open_bodies: list[tuple[str, int, int]] = []
    for at, char in enumerate(code):
        if char in "()":
            parentheses += 1 if char == "(" else -1
        elif char == "{":
            open_bodies.append((code[boundary:at], boundary, parentheses))
            boundary, parentheses = at + 1, 0
        elif char == "}" and open_bodies:
            opening, start, parentheses = open_bodies.pop()
            boundary = at + 1
            function = _function_of(opening)
            if function is not None:
                first = start + len(opening) - len(opening.lstrip())
                yield (
                    function[0],
                    code.count("\n", 0, first) + 1,
                    code.count("\n", first, at) + 1,
                    function[1],
                )
        elif char == ";" and parentheses == 0:
            boundary = at + 1


def _blank(match: re.Match[str]) -> str:
    # Line numbers must stay, and a string in a list of arguments must stay an argument.
    return (
        "0" + "\n" * match.group().count("\n")
        if match.group()[0] in "R\"'"
        else "\n" * match.group().count("\n")
    )


def _function_of(opening: str) -> tuple[str, int] | None:
    """The name and the number of parameters, or None when the opening is not a function's."""
    text = _TEMPLATE.sub("", _LABEL.sub("", opening.strip()))
    text = text.replace("operator()", "operator_call")
    closed = text.rfind(")")
    if _CONTROL.match(text) or closed < 0 or not _AFTER_PARAMETERS.match(text[closed + 1 :]):
        return None
    is_lambda = re.search(r"\]\s*\(", text)
    start = is_lambda.end() - 1 if is_lambda else text.find("(")
    named = re.search(r"([\w:~]+)\s*$", text[:start])
    name = "a lambda" if is_lambda or named is None else named.group(1)
    # A lambda's parameters are its caller's choice.
    return name, 0 if is_lambda else _parameter_count(text[start:])


def _parameter_count(text: str) -> int:
    """How many parameters the list that `text` begins with has."""
    depth, commas, empty = 0, 0, True
    for at, char in enumerate(text):
        if char in _OPENING:
            depth += 1
        elif char in _CLOSING and not text[:at].endswith("-"):
            depth -= 1
            if depth == 0:
                break
        elif char == "," and depth == 1:
            commas += 1
        if depth >= 1 and at > 0 and not char.isspace():
            empty = False
    return 0 if empty else commas + 1
