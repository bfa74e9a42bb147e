"""A pin for ComfyUI that has no memory of its own: its bytes lie in several places of a file.

ComfyUI moves the weight and the bias of a module in one copy from one pinned buffer, each starting
at an aligned place. In a file they lie elsewhere. Packing them would cost a second copy in RAM, so
the pin only says how large it is, and fetches its parts when it is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class PinPart:
    """Bytes (uint8, one dimension) and where in the packed buffer they belong."""

    source: torch.Tensor
    offset: int


class GatheredPin(torch.Tensor):  # type: ignore[misc]
    """Looks like a packed uint8 buffer of one dimension; only copying from it works as from one."""

    hearth_parts: tuple[PinPart, ...]

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Intercepts `destination.copy_(pin)`; everything else sees an ordinary tensor."""
        if func is torch.Tensor.copy_ and isinstance(args[1], GatheredPin):
            return _gather(args[0], args[1].hearth_parts, dict(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs or {})


def make_pin(parts: Sequence[PinPart], size: int) -> torch.Tensor:
    """A pin of `size` bytes; the part itself where one part is all of it."""
    if len(parts) == 1 and parts[0].offset == 0:
        return parts[0].source
    # One byte seen `size` times: a buffer's geometry without a buffer.
    geometry = torch.empty(1, dtype=torch.uint8).expand(size)
    pin: GatheredPin = torch.Tensor._make_subclass(GatheredPin, geometry)
    pin.hearth_parts = tuple(parts)
    return pin


def _gather(
    destination: torch.Tensor, parts: Sequence[PinPart], options: dict[str, Any]
) -> torch.Tensor:
    for part in parts:
        end = part.offset + part.source.numel()
        destination[part.offset : end].copy_(part.source, **options)
    return destination
