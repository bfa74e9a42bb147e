"""Which places of ComfyUI hearth could take hold of in this process."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Seams:
    """Found or not found, per seam; what is not found is done without."""

    found: dict[str, bool] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    _have_stand_ins: set[str] = field(default_factory=set)

    def record(self, name: str, found: bool, note: str = "") -> bool:
        """Remembers one seam; returns `found`, so that it can stand in a condition."""
        self.found[name] = found
        if note:
            self.notes[name] = note
        return found

    def prefer(self, name: str, found: bool) -> bool:
        """The same for a place that another one stands in for where it is not found: nothing is
        done without it."""
        self._have_stand_ins.add(name)
        return self.record(name, found)

    def note(self, name: str, text: str) -> None:
        """Remembers what people should know beside the seams."""
        self.notes[name] = text

    @property
    def missing(self) -> list[str]:
        """Names of the seams that this ComfyUI does not have, nor anything that stands in."""
        lacking = [name for name, found in self.found.items() if not found]
        return [name for name in lacking if name not in self._have_stand_ins]
