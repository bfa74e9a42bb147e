"""Starts a real ComfyUI without a browser, in a base directory of its own, and stops it again.

Nothing is written into the ComfyUI checkout: models, outputs, user data and custom nodes live in
the base directory, the database in memory, Python's byte code in this repository's build folder.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from benchmarks.harness.fork_server import ServerProcess, fork_process, start_process

SPY_PACK = Path(__file__).resolve().parent / "spy_pack"
REPOSITORY = Path(__file__).resolve().parents[2]

# Of the whole of ComfyUI and its libraries: the first start compiles for twenty seconds.
BYTE_CODE = REPOSITORY / "build" / "bytecode"

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_LOG_TAIL_LINES = 40


class ComfyNotFoundError(RuntimeError):
    """No ComfyUI checkout where one is looked for."""


class ComfyStartError(RuntimeError):
    """ComfyUI ended or stayed silent instead of becoming ready; carries the end of its log."""


def find_older_comfy() -> Path:
    """A ComfyUI of a year ago: COMFYUI_PATH_OLD, or a `ComfyUI-0.3…` in the home folder."""
    named = os.environ.get("COMFYUI_PATH_OLD")
    candidates = [Path(named)] if named else sorted(Path.home().glob("ComfyUI-0.3*"))
    for candidate in candidates:
        if _is_comfy(candidate):
            return candidate.resolve()
    raise ComfyNotFoundError("Set COMFYUI_PATH_OLD to a checkout of ComfyUI 0.3.64.")


def find_comfy() -> Path:
    """The ComfyUI to use: COMFYUI_PATH, the checkout that hearth sits in, or the home folder's."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        candidates = [Path(named)]
    else:
        candidates = [REPOSITORY.parent.parent, Path.home() / "ComfyUI", Path.home() / "comfyui"]
    for candidate in candidates:
        if _is_comfy(candidate):
            return candidate.resolve()
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise ComfyNotFoundError(
        f"No ComfyUI found (looked at: {looked}).\n"
        "Get one: git clone https://github.com/comfyanonymous/ComfyUI ~/ComfyUI, "
        "or set COMFYUI_PATH to yours."
    )


@dataclass(frozen=True)
class ServerSpec:
    """How to start one ComfyUI. `forked`: from a process that has imported torch and the other
    libraries already, which saves most of the start; only with --cpu, as CUDA outlives no fork."""

    comfy: Path
    base: Path
    models: Path
    python: str = sys.executable
    packs: Mapping[str, Path] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    forked: bool = False

    def __post_init__(self) -> None:
        if self.forked and "--cpu" not in self.flags:
            raise ValueError("a forked ComfyUI is one with --cpu")


@dataclass(frozen=True)
class HostMemory:
    """What the process holds in RAM, in bytes: all of it, and the part no file backs."""

    resident: int
    anonymous: int


class ComfyServer:
    """A running ComfyUI; a context manager. Owns the process and nothing else."""

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self.port = 0
        self.exit_code: int | None = None
        self.log_path = spec.base / "comfyui.log"
        self.spy_log = spec.base / "reads.jsonl"
        self.barriers = spec.base / "barriers"
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process; REQUIRES: running."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> ComfyServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process and returns when it answers; throws ComfyStartError."""
        self._prepare_base()
        _accept_sigint()
        self.port = _free_port()
        launch = fork_process if self.spec.forked else start_process
        with self.log_path.open("wb") as log:
            self._process = launch(self._command(), self.spec.base, self._environment(), log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int | None:
        """Asks the server to end (SIGINT), then kills it; returns and keeps its exit code."""
        process = self._process
        if process is None:
            return self.exit_code
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.exit_code = process.returncode
        self._process = None
        return self.exit_code

    def log_text(self) -> str:
        """All that ComfyUI has printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def reads(self) -> list[str]:
        """Names of the model files read so far, in order, as the spy wrote them down."""
        return [str(line["file"]) for line in self._spy_lines()]

    def read_files(self) -> list[str]:
        """The same with ComfyUI's name of the folder: two of one name are told apart."""
        return [str(line["path"]) for line in self._spy_lines()]

    def _spy_lines(self) -> list[dict[str, object]]:
        if not self.spy_log.exists():
            return []
        lines = self.spy_log.read_text(encoding="utf-8").splitlines()
        return [dict(json.loads(line)) for line in lines]

    def host_memory(self) -> HostMemory:
        """RAM of the process now."""
        fields: dict[str, int] = {}
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "RssAnon"):
                fields[name] = int(rest.split()[0]) * 1024
        return HostMemory(fields["VmRSS"], fields["RssAnon"])

    def _prepare_base(self) -> None:
        base = self.spec.base
        for folder in ("custom_nodes", "input", "output", "temp", "user", "barriers"):
            (base / folder).mkdir(parents=True, exist_ok=True)
        self.spy_log.unlink(missing_ok=True)
        (base / "no_front_end").mkdir(exist_ok=True)
        (base / "no_front_end" / "index.html").touch()
        _link(base / "models", self.spec.models)
        for name, source in self.spec.packs.items():
            _link(base / "custom_nodes" / name, source)
        # Older versions do not start without this folder, which today's package lacks.
        templates = base / "stand_ins" / "comfyui_workflow_templates"
        for package in (templates, templates / "templates"):
            package.mkdir(parents=True, exist_ok=True)
            (package / "__init__.py").touch()

    def _command(self) -> list[str]:
        command = [self.spec.python, str(self.spec.comfy / "main.py")]
        command += ["--base-directory", str(self.spec.base), "--port", str(self.port)]
        command += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        if not _is_installed("comfyui_frontend_package", self.spec.python):
            command += ["--front-end-root", str(self.spec.base / "no_front_end")]
        return [*command, *self.spec.flags]

    def _environment(self) -> dict[str, str]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HEARTH_") and name != "PYTHONDONTWRITEBYTECODE"
        }
        environment |= {
            "PYTHONPYCACHEPREFIX": str(BYTE_CODE),
            "HEARTH_SPY_LOG": str(self.spy_log),
            "HEARTH_SPY_BARRIERS": str(self.barriers),
        }
        if _serves_a_folder_of_templates(self.spec.comfy):
            places = [str(self.spec.base / "stand_ins"), environment.get("PYTHONPATH")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, places))
        return environment | dict(self.spec.env)

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ComfyStartError(
                    f"ComfyUI ended with code {self._process.returncode} while starting:\n"
                    + self._log_tail()
                )
            try:
                with urllib.request.urlopen(f"{self.url}/queue", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise ComfyStartError(
            f"ComfyUI did not answer within {_START_SECONDS:.0f} s:\n" + self._log_tail()
        )

    def _log_tail(self) -> str:
        return "\n".join(self.log_text().splitlines()[-_LOG_TAIL_LINES:])


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target.resolve(), target_is_directory=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accept_sigint() -> None:
    """A shell that runs jobs in the background passes SIGINT on as ignored, from us to ComfyUI too.

    Python then never turns it into KeyboardInterrupt, and ComfyUI could not be stopped cleanly.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_comfy(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy" / "sd.py").is_file()


def _serves_a_folder_of_templates(comfy: Path) -> bool:
    source = (comfy / "app" / "frontend_management.py").read_text(encoding="utf-8")
    return "from comfyui_workflow_templates import" not in source


@functools.cache
def _is_installed(package: str, python: str) -> bool:
    question = f"import importlib.util as u, sys; sys.exit(not u.find_spec({package!r}))"
    return subprocess.run([python, "-c", question], check=False).returncode == 0
