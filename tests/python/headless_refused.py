"""Runs `hearth run` on requests that must be refused: fixtures that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth._core", reason="NOT RUN, not built: ./dev build")

import headless_graphs as graphs  # noqa: E402
from hearth import cli, qwen_tokenizer, runtime  # noqa: E402

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models of next to nothing, where no tokenizer is but a stand-in."""
    graphs.hollow_models(tmp_path / "models")
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(qwen_tokenizer, "load", lambda path: StandIn())
    return tmp_path


LOAD = qwen_tokenizer.load


class StandIn:
    """Takes every prompt; what real ones refuse has tests of its own."""

    def encode(self, prompt: str) -> list[int]:
        return [0] * len(prompt)


@pytest.fixture
def refused(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a workflow that must be refused: exit code and the lines of the answer."""

    def run(workflow: Any, *options: str) -> tuple[int, list[str]]:
        file = place / "workflow.json"
        if isinstance(workflow, bytes):
            file.write_bytes(workflow)
        elif workflow is not None:
            file.write_text(workflow if isinstance(workflow, str) else json.dumps(workflow))
        begin = events()
        code = cli.main(["run", str(file), "--tokenizer", "tokenizer.json", *options])
        written = capsys.readouterr()
        assert written.out == ""
        assert events() == begin, "something was asked of the cache"
        assert not (place / "output").exists()
        return code, written.err.splitlines()

    return run


def events() -> int:
    """The number of the last event of this process's cache."""
    return max((event["sequence"] for event in runtime().cache.events(0, 10_000)), default=0)
