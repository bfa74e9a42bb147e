"""Images by `hearth run`'s executor, in a process that stays: see `headless_driver`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.engine_rows.makers import Deadline, Made, Wish, changes
from benchmarks.harness.comfy_server import REPOSITORY, find_comfy
from benchmarks.rows.starting import Setting

_SECONDS_TO_LOOK = 0.5
_SECONDS_TO_END = 20.0
_READY = "ready"
_PARITY = "parity"


class HeadlessMaker:
    """One driver process; a context manager."""

    def __init__(
        self, setting: Setting, workflow: Path, tokenizer: Path | None, deadline: Deadline
    ) -> None:
        self.start_seconds = 0.0
        self.numbers = "fast"
        self._setting, self._workflow = setting, workflow
        self._tokenizer, self._deadline = tokenizer, deadline
        self._log = setting.out / "headless.log"
        self._answers: dict[str, dict[str, Any]] = {}
        self._sent: dict[str, float] = {}
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> HeadlessMaker:
        started = time.monotonic()
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=REPOSITORY,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._reader.start()
        try:
            self._wait(_READY)
        except BaseException:
            self._end()
            raise
        self.start_seconds = time.monotonic() - started
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def send(self, wish: Wish) -> str:
        """Writes the request's line."""
        return self._send(wish, self.numbers)

    def wait(self, ticket: str) -> Made:
        """From the line that was written to the file that is there."""
        answer = self._wait(ticket)
        return Made(self._sent[ticket], answer["finished"], answer["parts"])

    def keep(self, wish: Wish, folder: Path) -> None:
        """By the numbers asked for, and besides with parity, in a folder of its own."""
        for numbers in dict.fromkeys((self.numbers, _PARITY)):
            kept = folder / ("headless" if numbers == "fast" else f"headless_{numbers}")
            kept.mkdir(parents=True, exist_ok=True)
            latents = (kept / "latents.safetensors").resolve()
            answer = self._wait(self._send(wish, numbers, latents=str(latents)))
            shutil.copy(answer["files"][0], kept / "image.png")

    def _command(self) -> list[str]:
        setting = self._setting
        driver = [sys.executable, "-m", "benchmarks.engine_rows.headless_driver"]
        command = [
            *driver,
            str(self._workflow.resolve()),
            "--models",
            str(setting.models.resolve()),
        ]
        command += ["--out", str((setting.out / "headless" / "output").resolve())]
        if self._tokenizer is not None:
            command += ["--tokenizer", str(self._tokenizer.resolve())]
        return [*command, *(("--device", "cpu") if setting.cpu else ())]

    def _environment(self) -> dict[str, str]:
        paths = [str(REPOSITORY), str(REPOSITORY / "bindings"), os.environ.get("PYTHONPATH", "")]
        found = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        if self._tokenizer is None:  # then a ComfyUI has it
            found["COMFYUI_PATH"] = str(find_comfy())
        return found

    def _send(self, wish: Wish, numbers: str, **further: str) -> str:
        ticket = str(len(self._sent))
        settings = [f"{node}.{name}={value}" for node, name, value in changes(self._graph, wish)]
        line = {"id": ticket, "set": settings, "numbers": numbers, "parts": wish.with_parts}
        assert self._process.stdin is not None
        self._sent[ticket] = time.time()
        self._process.stdin.write(json.dumps(line | further) + "\n")
        self._process.stdin.flush()
        return ticket

    @property
    def _graph(self) -> dict[str, Any]:
        return self._setting.graphs["A"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._changed:
                self._answers[answer["id"]] = answer
                self._changed.notify_all()

    def _wait(self, ticket: str) -> dict[str, Any]:
        with self._changed:
            while ticket not in self._answers:
                left = self._deadline.left()
                if not self._reader.is_alive():
                    raise RuntimeError(f"the driver ended: {self._last_words()}")
                self._changed.wait(min(left, _SECONDS_TO_LOOK))
            answer = self._answers[ticket]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def _end(self) -> None:
        """It ends with its input; what does not is killed."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(_SECONDS_TO_END)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._reader.join()
