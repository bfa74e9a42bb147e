"""How much of everything is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Amounts:
    """As in issue and table; `QUICK` for a look."""

    count: int = 5
    """Samples of most rows; switches come twice as often, less one."""
    loop: int = 100
    """Requests on end."""
    rounds: int = 20
    """Rounds over all workflows in turn."""

    def of(self, name: str) -> int:
        """The amount of that name; 0 for a row that has none."""
        return int(getattr(self, name)) if name else 0


QUICK = Amounts(count=3, loop=20, rounds=4)
