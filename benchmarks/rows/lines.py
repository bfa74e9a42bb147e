"""The file of figures: one JSON line a row, each with all that it depends on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

Entry = dict[str, Any]

# Another of these is another measurement: what was measured under one says nothing of the other.
KEY = ("variant", "row", "page_cache", "turn", "amount", "commit", "gpu", "host")


@dataclass
class Lines:
    """Figures of before and of now. `about`: what every line of now says."""

    path: Path
    about: Entry
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            texts = self.path.read_text(encoding="utf-8").splitlines()
            self.entries = [json.loads(text) for text in texts]

    def has(self, **values: Any) -> bool:
        """Whether that was measured before: the same commit, machine, page cache and amount."""
        wanted = self._key(self.about | values)
        return any(self._key(each) == wanted and "error" not in each for each in self.entries)

    def add(self, **values: Any) -> Entry:
        """Appends a line; medians and worst of its samples are added."""
        entry = {**values, **self.about}
        if samples := {name: got for name, got in values.get("samples", {}).items() if got}:
            entry["median"] = {name: round(median(got), 4) for name, got in samples.items()}
            entry["worst"] = {name: round(max(got), 4) for name, got in samples.items()}
        self.entries.append(entry)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        return entry

    @staticmethod
    def _key(entry: Entry) -> tuple[Any, ...]:
        return tuple(entry.get(name) for name in KEY)
