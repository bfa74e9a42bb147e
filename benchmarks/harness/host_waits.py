"""Counts the operations at which the host waits for a device, also where there is no device."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

# Each gives the host a number of a tensor; which of them is seen depends on the mode torch is in.
_WAITS = ("aten.is_nonzero.default", "aten.item.default", "aten._local_scalar_dense.default")


class HostWaits(TorchDispatchMode):  # type: ignore[misc]
    """`with HostWaits() as counted: …` sees every tensor operation of this thread, C++'s too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen[str(function)] += 1
        return function(*args, **(kwargs or {}))

    @property
    def waits(self) -> int:
        """How often the host would have waited."""
        return sum(self.seen[name] for name in _WAITS)

    @property
    def operations(self) -> int:
        """Operations that give a device work; views of a tensor are none."""
        return sum(n for name, n in self.seen.items() if name not in {*_WAITS, *_VIEWS})


_VIEWS = (
    "aten.alias.default",
    "aten.detach.default",
    "aten.reshape.default",
    "aten.select.int",
    "aten.slice.Tensor",
    "aten.view.default",
)
