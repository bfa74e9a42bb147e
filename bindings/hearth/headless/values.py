"""A value of a workflow, or of `--set`, as the type that its input has."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

from hearth.headless.faults import hint, quoted, wrong_letters
from hearth.headless.node_table import Input

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class WrongValueError(ValueError):
    """A value that the input does not take; the text says what it takes."""


def converted(input_: Input, value: Any) -> Any:
    """The value as ComfyUI would use it. Throws WrongValueError.

    Texts that are numbers count as numbers, as in ComfyUI. What ComfyUI would silently bend is
    refused: 8.7 and true as a whole number, not-a-number, a text as true or false.
    """
    wrong = wrong_letters(value) if isinstance(value, str) else ""
    if wrong:
        raise WrongValueError(wrong)
    made = _CONVERSIONS[input_.type](value)
    if input_.min is not None and made < input_.min:
        raise WrongValueError(f"{quoted(made)} is too small; the smallest is {_number(input_.min)}")
    if input_.max is not None and made > input_.max:
        raise WrongValueError(f"{quoted(made)} is too large; the largest is {_number(input_.max)}")
    return made


def from_text(input_: Input, text: str) -> Any:
    """What stands behind the `=` of `--set`, as it would stand in the file."""
    if input_.type in ("STRING", "COMBO"):
        return text
    if input_.type == "BOOLEAN":
        if text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        raise WrongValueError(f"{quoted(text)} is neither true nor false")
    if input_.type in ("INT", "FLOAT"):
        return _as_in_a_file(text, whole=input_.type == "INT")
    if not input_.is_link:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise WrongValueError(
            f'{quoted(text)} is no link; a link is written ["NODE", OUTPUT]'
        ) from None


def _as_in_a_file(text: str, *, whole: bool) -> Any:
    """The number, for the workflow goes into images; what is none is refused as the text it is."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        if not whole and math.isfinite(float(text)):
            return float(text)
    return text


def check_choice(value: Any, choices: list[str], what: str) -> None:
    """Throws WrongValueError for what is not in the list."""
    if not isinstance(value, str):
        raise WrongValueError(f"{quoted(value)} is not {what}")
    if value not in choices:
        raise WrongValueError(f"{quoted(value)} is not {what}{hint(value, choices)}")


def _whole(value: Any) -> int:
    number = _as_number(value, "a whole number", int)
    if isinstance(number, float) and not number.is_integer():
        raise WrongValueError(f"{quoted(value)} is not a whole number")
    return int(number)


def _real(value: Any) -> float:
    number = _as_number(value, "a number", float)
    try:
        return float(number)
    except OverflowError:
        raise WrongValueError(f"{quoted(number)} is too large for a number") from None


def _as_number(value: Any, what: str, parse: type) -> Any:
    if isinstance(value, str):
        try:
            value = parse(value)
        except ValueError:
            raise WrongValueError(f"{quoted(value)} is not {what}") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongValueError(f"{quoted(value)} is not {what}")
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongValueError(f"{value} is not {what}")
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise WrongValueError(f"{quoted(value)} is not a text")
    return str(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise WrongValueError(f"{quoted(value)} is neither true nor false")


def _same(value: Any) -> Any:
    return value


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


_CONVERSIONS = {"INT": _whole, "FLOAT": _real, "STRING": _text, "BOOLEAN": _flag, "COMBO": _same}
