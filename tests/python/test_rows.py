"""The measured rows, without a ComfyUI: who starts when, what is skipped, and the tables."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

for package in ("comfy_api_simplified", "websockets", "PIL"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")

from benchmarks.rows import __main__ as rows  # noqa: E402
from benchmarks.rows import file_loads, page_cache, report  # noqa: E402
from benchmarks.rows.amounts import Amounts  # noqa: E402
from benchmarks.rows.catalogue import ROWS  # noqa: E402
from benchmarks.rows.lines import Lines  # noqa: E402
from benchmarks.rows.plan import Plan, missing  # noqa: E402
from benchmarks.rows.variants import VARIANTS  # noqa: E402
from tests.page_cache import all_in_ram, require_droppable  # noqa: E402

BY_NAME = {row.name: row for row in ROWS}


def plan(*names: str, caches: Any = ("warm",), starts: int = 1) -> Plan:
    variants = (VARIANTS["stock"], VARIANTS["hearth"])
    return Plan(tuple(BY_NAME[name] for name in names), variants, caches, Amounts(), starts)


def servers(of: Plan) -> list[tuple[str, str, list[str]]]:
    return [
        (each.variant.name, each.page_cache, [row.name for row in each.rows])
        for each in of.servers()
    ]


def test_variants_take_turns_in_starting_and_the_last_start_is_used_for_the_rest() -> None:
    first, all_ = ["first_image"], ["first_image", "lora"]
    assert servers(plan("first_image", "lora", starts=3)) == [
        ("stock", "warm", first),
        ("hearth", "warm", first),
        ("hearth", "warm", first),
        ("stock", "warm", first),
        ("stock", "warm", all_),
        ("hearth", "warm", all_),
    ]


def test_only_rows_about_the_start_are_measured_in_every_state_of_the_page_cache() -> None:
    found = servers(plan("first_image", "lora", caches=("warm", "cold")))
    assert [names for _, cache, names in found if cache == "cold"] == [["first_image"]] * 2
    assert [names for _, cache, names in found if cache == "warm"] == [["first_image", "lora"]] * 2


def test_only_a_variant_with_hearth_has_pages_kept_and_reads_ahead() -> None:
    assert [name for name, *_ in servers(plan("first_image", caches=("kept",)))] == ["hearth"]
    assert [name for name, *_ in servers(plan("prefetch"))] == ["hearth"]


ABOUT = {"commit": "c", "gpu": "g", "host": "h", "command": "x", "torch": "2"}


def lines(folder: Path, **about: str) -> Lines:
    return Lines(folder / "rows.jsonl", ABOUT | about)


def measured(folder: Path, *, cache: str = "warm", amount: int = 5, **about: str) -> list[str]:
    """Rows that are missing after `same_model` was measured like this."""
    lines(folder, **about).add(
        variant="stock",
        row="same_model",
        page_cache=cache,
        turn=0,
        amount=amount,
        samples={"seconds": [1.0]},
    )
    server = next(plan("same_model").servers())
    return [row.name for row in missing(server, Amounts(), lines(folder))]


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    assert measured(tmp_path) == []


@pytest.mark.parametrize(
    "other",
    [{"cache": "cold"}, {"amount": 3}, {"commit": "d"}, {"gpu": "another"}, {"host": "another"}],
)
def test_what_was_measured_otherwise_is_no_measurement_of_this(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    assert measured(tmp_path, **other) == ["same_model"]


def test_more_starts_ask_for_no_other_row_again(tmp_path: Path) -> None:
    assert measured(tmp_path) == []
    *_, last = plan("first_image", "same_model", starts=3).servers()
    first = next(plan("first_image", "same_model").servers())
    for server in (first, replace(last, variant=first.variant)):
        found = [row.name for row in missing(server, Amounts(), lines(tmp_path))]
        assert found == ["first_image"]


def test_a_file_that_is_filled_in_is_in_ram(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.safetensors"
    file.parent.mkdir()
    file.write_bytes(os.urandom(20 << 20))
    require_droppable(file)
    page_cache.drop(tmp_path)
    assert not all_in_ram(file)
    page_cache.fill(tmp_path)
    assert all_in_ram(file)


def test_a_failure_is_tried_again(tmp_path: Path) -> None:
    key = {"variant": "stock", "row": "same_model", "page_cache": "warm", "turn": 0, "amount": 5}
    lines(tmp_path).add(**key, error="no room")
    server = next(plan("same_model").servers())
    assert len(missing(server, Amounts(), lines(tmp_path))) == 1


def test_a_line_says_what_it_depends_on_its_medians_and_its_worst(tmp_path: Path) -> None:
    lines(tmp_path).add(variant="stock", row="lora", samples={"seconds": [1.0, 2.0, 4.0]})
    [line] = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert (entry["median"], entry["worst"]) == ({"seconds": 2.0}, {"seconds": 4.0})
    assert ABOUT.items() <= entry.items()


class Server:
    """A ComfyUI that answers in a second, in two where it changes models."""

    def reads(self) -> list[str]:
        return []


class Session:
    start_seconds, ready_seconds = 3.0, 4.0

    def __init__(self) -> None:
        self.server = Server()
        self.pixels: dict[str, str] = {}
        self.asked: list[str] = []

    def prepare(self, letters: str) -> None:
        self.asked += [letter for letter in letters if letter not in self.asked]

    def request(self, letter: str, seed: int) -> float:
        changed = self.asked[-1:] != [letter]
        self.asked.append(letter)
        self.pixels[f"{letter}/{seed}"] = "p"
        return 2.0 if changed else 1.0

    def memory(self) -> dict[str, float]:
        return {"anonymous_gib": 1.5}


def command(tmp_path: Path, *more: str) -> list[str]:
    workflow = tmp_path / "w.json"
    workflow.write_text("{}", encoding="utf-8")
    given = ["--models", str(tmp_path), "--workflow", str(workflow), "--out", str(tmp_path)]
    return [*given, "--variants", "stock,hearth", *more]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch, uncounted: list[int]) -> list[Session]:
    made: list[Session] = []

    @contextmanager
    def running(setting: Any, variant: Any) -> Any:
        made.append(Session())
        yield made[-1]

    monkeypatch.setattr(rows, "running", running)
    monkeypatch.setattr(rows, "start_once", lambda *_: uncounted.append(len(made)))
    return made


@pytest.fixture
def uncounted() -> list[int]:
    """How many servers had been measured when one was started that does not count."""
    return []


def test_what_is_added_is_over_images_of_the_same_model_in_between(
    tmp_path: Path, sessions: list[Session]
) -> None:
    assert rows.main(command(tmp_path, "--rows", "switch_fits", "--count", "2")) == 0
    entries = report.read([tmp_path / "rows.jsonl"])
    assert entries[0]["samples"]["same"] == [1.0] * 4
    assert entries[0]["samples"]["seconds"] == [2.0] * 3
    [_, cells] = report.table(entries)
    assert cells[2] == "+1.00 (worst +1.00); 1.5 GiB"


def test_a_second_run_adds_what_is_missing(tmp_path: Path, sessions: list[Session]) -> None:
    assert rows.main(command(tmp_path, "--rows", "same_model", "--quick")) == 0
    with pytest.raises(SystemExit):
        rows.main(command(tmp_path, "--rows", "same_model", "--quick"))
    more = command(tmp_path, "--rows", "same_model,memory_one", "--quick", "--append")
    assert rows.main(more) == 0
    measured = [entry["row"] for entry in report.read([tmp_path / "rows.jsonl"])]
    assert measured == ["same_model"] * 2 + ["memory_one"] * 2
    assert rows.main(more) == 0
    assert len(sessions) == 4


@pytest.mark.parametrize("option", ["--rows", "--variants", "--page-cache"])
def test_what_is_not_there_is_refused_with_what_there_is(
    tmp_path: Path, sessions: list[Session], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        rows.main(command(tmp_path, option, "nosuch"))
    assert ended.value.code == 2
    assert "unknown: nosuch; there are " in capsys.readouterr().err
    assert sessions == []


def test_when_the_time_is_over_no_row_begins(tmp_path: Path, sessions: list[Session]) -> None:
    assert rows.main(command(tmp_path, "--rows", "same_model", "--limit", "0")) == 1
    assert sessions == []


def test_a_row_that_fails_is_told_and_the_next_is_measured(
    tmp_path: Path, sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "with_lora", lambda *_: 1 / 0, raising=False)
    assert rows.main(command(tmp_path, "--rows", "lora,closed_loop", "--quick")) == 1
    entries = report.read([tmp_path / "rows.jsonl"])
    assert [entry.get("error") for entry in entries] == ["division by zero", None] * 2
    [_, failed, looped] = report.table(entries)
    assert failed[2] == "failed" and "P95 / P50 1.00" in looped[2]


def test_the_first_image_is_told_beside_the_fifth_of_the_same_start(
    tmp_path: Path, sessions: list[Session], uncounted: list[int]
) -> None:
    assert rows.main(command(tmp_path, "--rows", "first_image", "--starts", "3")) == 0
    assert len(sessions) == 6
    assert uncounted == [0, 1]
    [_, cells] = report.table(report.read([tmp_path / "rows.jsonl"]))
    assert cells[2].startswith("3.0 (worst 3.0), ready 4.0")
    assert cells[2].endswith("2.00 x the fifth")


def test_a_file_s_way_to_the_gpu_is_measured_without_a_server(
    tmp_path: Path, sessions: list[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "diffusion_models").mkdir()
    (tmp_path / "diffusion_models" / "z.safetensors").write_bytes(b"0" * 8)
    answer = {"row": "map_register_upload", "cache": "warm", "seconds": 0.5}
    answer |= {"worst_seconds": 0.75, "gb_per_s": 24.6}
    left_out = {"row": "safetensors", "cache": "cold", "device": "cuda:0", "left_out": "no GPU"}
    done = SimpleNamespace(
        returncode=0, stdout="\n".join(map(json.dumps, (answer, left_out))), stderr=""
    )
    monkeypatch.setattr("benchmarks.rows.file_loads.subprocess.run", lambda *_, **__: done)
    assert rows.main(command(tmp_path, "--rows", "file_to_gpu")) == 0
    assert sessions == []
    [entry] = report.read([tmp_path / "rows.jsonl"])
    [_, ours, theirs] = file_loads.table(entry["bench"])
    assert ours[1:] == ["warm", "24.6", "0.500 (0.750)", "22 GB/s"]
    assert "not measured: no GPU" in theirs


def test_figures_of_two_machines_are_two_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for host, seconds in (("one", 1.0), ("two", 9.0)):
        lines(tmp_path, host=host).add(
            variant="stock",
            row="same_model",
            page_cache="warm",
            turn=0,
            amount=5,
            samples={"seconds": [seconds]},
            pixels={"A/1": "same"},
        )
    assert report.main([str(tmp_path / "rows.jsonl")]) == 0
    said = capsys.readouterr().out
    assert said.count("| what | page cache | stock | wanted |") == 2
    assert "1.00 (worst 1.00)" in said and "9.00 (worst 9.00)" in said


def test_a_line_of_an_earlier_rule_is_not_put_beside_those_of_this(tmp_path: Path) -> None:
    key = {"variant": "stock", "row": "switch_fits", "page_cache": "warm", "base": [1.0]}
    lines(tmp_path).add(**key, samples={"seconds": [3.0]})
    [_, cells] = report.table(report.read([tmp_path / "rows.jsonl"]))
    assert cells[2] == "by an earlier rule"


def test_pixels_that_differ_are_told(tmp_path: Path) -> None:
    for variant, pixels in (("stock", "a"), ("hearth", "b")):
        key = {"variant": variant, "row": "same_model", "page_cache": "warm"}
        lines(tmp_path).add(**key, samples={"seconds": [1.0]}, pixels={"A/11": pixels})
    assert report.main([str(tmp_path / "rows.jsonl")]) == 1
