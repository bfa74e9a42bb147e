"""Errors of both sides, and the rules that hearth's are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.engine_parity import cases

_RATIO = 1.1
"""How much more than ComfyUI's own bfloat16 hearth's may err against ComfyUI's float32."""
_TEXT_IN_BFLOAT16 = 3e-2
_BFLOAT16 = 1e-3
"""At least as much whatever computes in bfloat16 through a whole model."""
_FLOAT32 = 1e-5
Tensors = Mapping[str, Any]


@dataclass
class Row:
    """One part on one case: relative L2 errors by way of computing, and the rules they break."""

    part: str
    case: str
    errors: dict[str, float]
    against: float | None = None
    """The error of ComfyUI's own bfloat16; None where ComfyUI computes in float32."""
    equal: dict[str, float] = field(default_factory=dict)
    """Share of values that are ComfyUI's to the bit."""
    broken: list[str] = field(default_factory=list)

    def ratio(self, way: str) -> float | None:
        """By how much a way errs more than ComfyUI's own."""
        return None if not self.against else self.errors[way] / self.against


def judge(comfy: Tensors, hearth: Tensors, *, toy: bool) -> list[Row]:
    """All parts and cases. `toy`: on a CPU, where there are no kernels, and float32 is held to."""
    rows = [_tokens(number, comfy, hearth) for number in range(len(cases.PROMPTS))]
    rows += [_text(number, comfy, hearth) for number in range(len(cases.PROMPTS))]
    steps = [str(step) for step in cases.STEPS]
    images = [cases.shape_text(*shape) for shape in cases.IMAGES]
    for part, names in (("transformer", steps), ("VAE", images)):
        for number, case in enumerate(names):
            rows.append(_part(f"{part}/{number}", case, comfy, hearth, toy=toy))
    return rows


def _tokens(number: int, comfy: Tensors, hearth: Tensors) -> Row:
    name = f"tokens/{number}"
    are_equal = torch.equal(comfy[name], hearth[name])
    row = Row("tokens", _prompt(number), {}, equal={"hearth": float(are_equal)})
    if not are_equal:
        row.broken.append("tokens are not ComfyUI's")
    return row


def _text(number: int, comfy: Tensors, hearth: Tensors) -> Row:
    right = comfy[f"text/{number}/ComfyUI"]
    own = {way: hearth[f"text/{number}/{way}"] for way in ("fast", "parity")}
    row = Row("text encoder", _prompt(number), {way: _error(own[way], right) for way in own})
    row.equal["parity"] = _equal_share(own["parity"], right)
    _hold(row, "fast", _TEXT_IN_BFLOAT16)
    _hold(row, "parity", _FLOAT32)
    return row


def _part(name: str, case: str, comfy: Tensors, hearth: Tensors, *, toy: bool) -> Row:
    right = comfy[f"{name}/float32"]
    against = _error(comfy[f"{name}/ComfyUI"], right)
    own = {way: hearth[f"{name}/{way}"] for way in ("fast", "parity", "hearth float32")}
    row = Row(name.partition("/")[0], case, {"ComfyUI": against}, against)
    row.errors |= {way: _error(own[way], right) for way in own}
    row.equal["parity"] = _equal_share(own["parity"], comfy[f"{name}/ComfyUI"])
    if against < _BFLOAT16:
        row.broken.append(f"ComfyUI errs {against:.1e} only: that was not bfloat16")
    for way in ("fast", "parity"):
        _hold(row, way, _RATIO * against)
    if toy:
        _hold(row, "hearth float32", _FLOAT32)
    elif torch.equal(own["fast"], own["parity"]):
        row.broken.append("fast gives parity's very numbers: no kernels ran")
    return row


def _hold(row: Row, way: str, limit: float) -> None:
    error = row.errors[way]
    if not error <= limit:  # a NaN is no success
        row.broken.append(f"{way} errs {error:.3e}, more than {limit:.3e}")


def _error(found: Any, right: Any) -> float:
    """L2 of the difference over L2 of what is right, in float64."""
    if found.shape != right.shape:
        return float("nan")
    return float((found.double() - right.double()).norm() / right.double().norm())


def _equal_share(found: Any, other: Any) -> float:
    return float((found == other).double().mean()) if found.shape == other.shape else 0.0


def _prompt(number: int) -> str:
    return repr(cases.PROMPTS[number][:24])


_WAYS = ("ComfyUI", "fast", "parity", "hearth float32")


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| part | case | ComfyUI bf16 | fast | ratio | parity | ratio | hearth float32 | rules |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    cells = [row.part, row.case]
    for way in _WAYS:
        cells.append(f"{row.errors[way]:.3e}" if way in row.errors else "–")
        if way in ("fast", "parity"):
            ratio = row.ratio(way) if way in row.errors else None
            cells.append("–" if ratio is None else f"{ratio:.3f}")
    cells.append("; ".join(row.broken) or "kept")
    return "| " + " | ".join(cells) + " |"
