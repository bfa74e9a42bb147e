"""docs/tutorial.md does what it says: every block is run, and prints what stands under it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.live_comfy import LiveComfy

pytest.importorskip("hearth.client", reason="NOT RUN, needs hearth's native module: ./dev build")

pytestmark = pytest.mark.older_too

_ADDRESS = "http://127.0.0.1:8188"
_MODELS = "../../models"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the tutorial."""
    text = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return [(language, body) for language, body in _BLOCK.findall(text)]


class Reader:
    """Somebody who follows the tutorial in a folder of his own."""

    def __init__(self, live: LiveComfy, folder: Path) -> None:
        self._live = live
        self._folder = folder
        self._names: dict[str, Any] = {}
        self.printed = ""

    def follow(self, language: str, body: str) -> None:
        """Runs a block, or compares what the one before has printed."""
        body = body.replace(_ADDRESS, self._live.server.url).replace(_MODELS, str(self._folder))
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(body, "docs/tutorial.md", "exec"), self._names)
            self.printed = out.getvalue()
        elif language == "sh":
            self._shell(body)
        else:
            assert language == "text"
            assert self.printed == body

    def _shell(self, body: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", body],
            cwd=self._folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.printed = done.stdout


def test_the_tutorial_runs_from_top_to_bottom(
    hearth: LiveComfy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("benchmarks", "bindings", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    reader = Reader(hearth, tmp_path)
    for language, body in blocks():
        reader.follow(language, body)
    assert (tmp_path / "checkpoints" / "toy_sd3_a.safetensors").is_file()
    assert len(list((tmp_path / "out").glob("*.png"))) >= 2


def test_every_block_says_what_it_is() -> None:
    assert {language for language, _ in blocks()} == {"python", "sh", "text"}
