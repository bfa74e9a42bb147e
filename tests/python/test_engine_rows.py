"""The benchmark of the engine's page, with a maker that needs neither ComfyUI nor a GPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NOT RUN, needs torch")
pytest.importorskip("tokenizers", reason="NOT RUN, needs tokenizers")

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.engine_rows import __main__ as engine_rows  # noqa: E402
from benchmarks.engine_rows import makers, report  # noqa: E402
from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.workflows import z_image_turbo_graph  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy_zimage.write_all(tmp_path_factory.mktemp("models"))
    (folder / "graph.json").write_text(json.dumps(toy_zimage.graph()), encoding="utf-8")
    return folder


def measure(place: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    given = ["--models", str(place), "--workflow", str(place / "graph.json"), "--out", str(out)]
    given += ["--tokenizer", str(place / toy_zimage.TOKENIZER), "--cpu", "--size", "64", *more]
    assert engine_rows.main(given) == 0
    return [json.loads(line) for line in (out / "rows.jsonl").read_text("utf-8").splitlines()]


def test_every_row_is_measured_once_and_makes_a_line_of_the_table(
    place: Path, tmp_path: Path
) -> None:
    wish = ["--variants", "headless", "--count", "2", "--seconds", "2"]
    entries = measure(place, tmp_path, *wish)
    assert len(entries) == len({entry["row"] for entry in entries}) == 7
    assert measure(place, tmp_path, *wish) == entries  # nothing is measured again
    found = {entry["row"]: entry["samples"] for entry in entries}
    assert [len(found[row]["seconds"]) for row in ("new_prompt", "small", "open_loop")] == [2] * 3
    assert found["new_prompt"]["parts"]["KSampler"] > 0
    (tmp_path / "stock.png").write_bytes((tmp_path / "headless.png").read_bytes())
    heading, *lines = report.table(entries, tmp_path)
    assert heading == ["seconds", "headless", "wanted"]
    assert len(lines) == 8
    assert ["distance of an image from stock's", "inf dB", ""] in lines


def test_a_maker_that_cannot_work_is_named(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "wrong.json").write_text('{"1": {"class_type": "Nothing", "inputs": {}}}', "utf-8")
    given = ["--models", str(place), "--workflow", str(place / "wrong.json"), "--cpu"]
    given += ["--variants", "headless", "--rows", "new_prompt", "--out", str(tmp_path)]
    assert engine_rows.main(given) == 1
    assert "headless: FAILED: a request failed" in capsys.readouterr().out


def test_the_compiled_graph_has_the_node_behind_the_loader() -> None:
    graph = z_image_turbo_graph()
    changed = makers.compiled(graph)
    assert changed["compiled"]["inputs"] == {"model": ["unet", 0], "backend": "inductor"}
    assert changed["shift"]["inputs"]["model"] == ["compiled", 0]
    assert changed["unet"] == graph["unet"] and "compiled" not in graph
