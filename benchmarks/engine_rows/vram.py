"""The device's memory while something runs."""

from __future__ import annotations

import shutil
import subprocess
import threading
from types import TracebackType

_EVERY_MS = 200


class VramWatch:
    """Notes the most that was in use on the first GPU, by all processes, five times a second; a
    context manager. One nvidia-smi for all the time: starting one would disturb what is timed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._peak_mib = 0

    def __enter__(self) -> VramWatch:
        if shutil.which("nvidia-smi") is not None:
            query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
            # A line must not wait in a buffer until the row that it belongs to is over.
            by_line = ["stdbuf", "-oL"] if shutil.which("stdbuf") is not None else []
            command = [*by_line, "nvidia-smi", *query, f"--loop-ms={_EVERY_MS}"]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._thread.join()

    def take_peak_gib(self) -> float | None:
        """The most since the last call; None without a GPU."""
        peak, self._peak_mib = self._peak_mib, 0
        return round(peak / 1024, 2) if peak else None

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip().isdigit():
                self._peak_mib = max(self._peak_mib, int(line))
