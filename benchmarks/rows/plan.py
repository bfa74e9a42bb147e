"""Which server is started when, and which rows it is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.rows.amounts import Amounts
from benchmarks.rows.catalogue import Row
from benchmarks.rows.lines import Lines
from benchmarks.rows.starting import PageCache
from benchmarks.rows.variants import Variant

_STARTS = "first_image"


@dataclass(frozen=True)
class Server:
    """One process start, and what is still to be measured on it, in order."""

    variant: Variant
    page_cache: PageCache
    turn: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    rows: tuple[Row, ...]
    variants: tuple[Variant, ...]
    caches: tuple[PageCache, ...]
    amounts: Amounts
    starts: int = 1

    def servers(self) -> Iterator[Server]:
        """Variants take turns in starting, each time the other way round: what changes on the
        machine with time falls on all of them. The last start of each is used for the rest."""
        for cache in self.caches:
            for turn in range(self.starts):
                order = self.variants if turn % 2 == 0 else tuple(reversed(self.variants))
                for variant in order:
                    rows = self._rows(variant, cache, turn)
                    if rows:
                        yield Server(variant, cache, turn, rows)

    def _rows(self, variant: Variant, cache: PageCache, turn: int) -> tuple[Row, ...]:
        if cache == "kept" and not variant.has_hearth:
            return ()
        last, first_cache = turn == self.starts - 1, cache == self.caches[0]
        return tuple(
            row
            for row in self.rows
            if (row.name == _STARTS or last)
            and (row.at_start or first_cache)
            and (variant.has_hearth or not row.hearth_only)
        )


def missing(server: Server, amounts: Amounts, lines: Lines) -> Sequence[Row]:
    """Rows that were not measured before."""
    return [row for row in server.rows if not lines.has(**key_of(server, row, amounts))]


def key_of(server: Server, row: Row, amounts: Amounts) -> dict[str, object]:
    """What tells a line of this server and row from others of this run; which start it was matters
    to the row about starts alone."""
    return {
        "variant": server.variant.name,
        "row": row.name,
        "page_cache": server.page_cache,
        "turn": server.turn if row.name == _STARTS else 0,
        "amount": amounts.of(row.amount),
    }
