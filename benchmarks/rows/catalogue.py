"""What is measured: one entry a row, in the order in which a session goes through them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.rows import measures
from benchmarks.rows.amounts import Amounts
from benchmarks.rows.session import Samples, Session

Shown = Literal["seconds", "added", "start", "memory", "steps", "tail", "total"]


@dataclass(frozen=True)
class Row:
    """One measured thing.

    `uses`: workflows that must have run on the server before, by letter. `amount`: the field of
    Amounts that says how often. `at_start`: measured in every state of the page cache, and not in
    the first alone. "Added" is over further images of the same model on the same server, taken in
    between: `same` among the samples.
    """

    name: str
    what: str
    measure: Callable[[Session, Amounts], Samples]
    shown: Shown = "added"
    uses: str = "AB"
    amount: str = "count"
    at_start: bool = False
    hearth_only: bool = False
    wanted: str = ""


ROWS = (
    Row(
        "first_image",
        "process start to HTTP, then the first image",
        measures.first_image,
        shown="start",
        uses="",
        amount="",
        at_start=True,
        wanted="HTTP: stock's + 0.5; ready: stock's HTTP + 3.5; first / fifth: 1.1",
    ),
    Row(
        "same_model",
        "another image of the same model",
        measures.same_model,
        shown="seconds",
        uses="A",
    ),
    Row(
        "memory_one",
        "anonymous RAM, one transformer used",
        measures.memory,
        shown="memory",
        uses="A",
        amount="",
        wanted="2 GiB",
    ),
    Row(
        "first_use",
        "first use of a second transformer",
        measures.first_use,
        uses="A",
        amount="",
        at_start=True,
        wanted="0.25",
    ),
    Row(
        "memory_two",
        "anonymous RAM, two transformers used",
        measures.memory,
        shown="memory",
        amount="",
        wanted="2 GiB",
    ),
    Row(
        "switch_fits",
        "switch, both transformers fit in VRAM",
        measures.switch_fits,
        wanted="0.03",
    ),
    Row(
        "switch_moves",
        "switch, the transformer must move to VRAM; page cache as it is",
        measures.switch_moves,
        wanted="0.15",
    ),
    Row(
        "switch_pressed",
        "switch, 20 GiB of VRAM left by another process",
        measures.switch_pressed,
        wanted="0.20",
    ),
    Row("lora", "a LoRA switched on", measures.lora, uses="A", wanted="0.20"),
    Row(
        "prefetch",
        "a sampling step while a waiting prompt's files are read",
        measures.prefetch,
        shown="steps",
        uses="A",
        amount="",
        hearth_only=True,
        wanted="+1 %",
    ),
    Row(
        "round_robin",
        "all workflows in turn",
        measures.round_robin,
        shown="total",
        amount="rounds",
        wanted="as many of one model + 1 s",
    ),
    Row(
        "closed_loop",
        "one client, one request after the other",
        measures.closed_loop,
        shown="tail",
        uses="A",
        amount="loop",
        wanted="P95 / P50 1.05, worst / P50 1.15",
    ),
    Row(
        "switch_cold",  # last: it leaves the page cache empty
        "such a switch, files dropped from the page cache before each",
        measures.switch_cold,
        wanted="0.15",
    ),
)
