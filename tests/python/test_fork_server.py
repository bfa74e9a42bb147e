"""Programs forked from a process that has imported libraries: as if they had been started."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness import fork_server
from benchmarks.harness.comfy_server import ServerSpec
from benchmarks.harness.fork_server import (
    SCRIPT,
    ForkServer,
    NotForkedError,
    ServerProcess,
    fork_process,
    start_process,
)
from benchmarks.harness.hearth_face import wait_until

pytestmark = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="NOT RUN, needs handles of processes"
)

_REPOSITORY = Path(__file__).resolve().parents[2]
ENV = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
_SECONDS = 60  # nothing is measured: a hang is to fail, not to hang

FOUND = """
import gc, json, logging, os, resource, signal, sys
print(json.dumps({
    "arguments": [sys.argv, sys.orig_argv], "path": sys.path, "environment": dict(os.environ),
    "folder": os.getcwd(), "main": [__name__, __file__, __spec__, sys.modules["__main__"].__file__],
    "signals": {int(each): str(signal.getsignal(each)).split(" at ")[0]
                for each in signal.valid_signals()},
    "masks": [line for line in open("/proc/self/status") if line.startswith("Sig")],
    "group": [os.getpgid(0), os.getsid(0)], "stdin": sys.stdin.read(),
    "files": sorted(os.listdir("/proc/self/fd")), "collector": [gc.isenabled(), gc.get_threshold()],
    "limits": [resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name.startswith("RLIMIT_")],
    "log": [logging.root.level, logging.root.handlers],
    "output": [sys.stdout.line_buffering, sys.stdout.encoding, sys.stderr.errors],
    "flags": [sys.flags.dont_write_bytecode, sys.dont_write_bytecode, sys.pycache_prefix],
}))
"""

ENDINGS = {
    "its last line": "print('the end')",
    "an exit code": "import sys; sys.exit(7)",
    "a reason": "import sys; sys.exit('that is why')",
    "a fault": "1 / 0",
    "an interrupt": "raise KeyboardInterrupt",
    "an exit at once": "import os; print('said', flush=True); os._exit(9)",
    "a crash": "import os; os.abort()",
    "a fault of the script": "this is no Python",
    "handlers and a thread": """
import atexit, threading
NAME = "module"
ending = threading.Event()
def at_the_end():
    print("the", NAME, "is there")
def wait():
    ending.wait()
    print("and so is the", NAME, "of the thread")
atexit.register(at_the_end)
threading.Thread(target=wait).start()
threading._register_atexit(ending.set)
""",
}


@pytest.fixture(scope="module", autouse=True)
def _interrupts_are_accepted() -> Iterator[None]:
    """As ComfyServer sees to: a shell's background job passes SIGINT on as ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """A fork server with few libraries."""
    server = ForkServer(sys.executable, ENV, ("numpy.random", "not_installed_anywhere", "random"))
    yield server
    server.close()


def command(folder: Path, text: str, *arguments: str) -> list[str]:
    """Writes a script into a folder; how to run it."""
    script = folder / "program" / "script.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(text, encoding="utf-8")
    return [sys.executable, str(script), *arguments]


def forked(server: ForkServer, folder: Path, text: str, **env: str) -> tuple[ServerProcess, Path]:
    """The process of a script, and where its output goes."""
    output = folder / "output"
    with output.open("wb") as log:
        return server.start(command(folder, text, "one", "two"), folder, ENV | env, log), output


def ended(server: ForkServer, folder: Path, text: str, **env: str) -> tuple[int, str]:
    """Exit code and output of a forked script."""
    process, output = forked(server, folder, text, **env)
    return process.wait(_SECONDS), output.read_text(encoding="utf-8")


def ended_in_its_own(folder: Path, text: str, **env: str) -> tuple[int, str]:
    """The same of a started one."""
    output = folder / "output"
    with output.open("wb") as log:
        process = start_process(command(folder, text, "one", "two"), folder, ENV | env, log)
    return process.wait(_SECONDS), output.read_text(encoding="utf-8")


def server_with(folder: Path, module: str) -> ForkServer:
    """A fork server that imports a module of this text."""
    (folder / "imported_ahead.py").write_text(module, encoding="utf-8")
    script = folder / "starts.py"
    script.write_text(
        f"import runpy, sys\n"
        f"sys.path.insert(1, {str(folder)!r})\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    return ForkServer(sys.executable, ENV, ["imported_ahead"], script)


def is_gone(process: int) -> bool:
    """Whether it runs no more; who has inherited it may not have noticed yet."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@pytest.fixture
def another_limit(server: ForkServer) -> Iterator[None]:
    """This process has one that it had not when the server started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0 if soft else hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("another_limit")
def test_a_forked_program_finds_what_a_started_one_finds(
    server: ForkServer, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(tmp_path / "first"), "relative", "", str(tmp_path / "first")])
    fork = ended(server, tmp_path, FOUND, PYTHONPATH=path, HEARTH_WORD="só")
    own = ended_in_its_own(tmp_path, FOUND, PYTHONPATH=path, HEARTH_WORD="só")
    assert own[0] == fork[0] == 0
    assert json.loads(fork[1]) == json.loads(own[1])


@pytest.mark.parametrize("text", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_forked_program_ends_as_a_started_one_does(
    server: ForkServer, tmp_path: Path, text: str
) -> None:
    code, said = ended(server, tmp_path, text)
    own_code, own_said = ended_in_its_own(tmp_path, text)
    assert code == own_code
    # A traceback begins with two lines of the fork server.
    assert said.splitlines()[-2:] == own_said.splitlines()[-2:]


def test_a_program_that_runs_has_no_exit_code_and_is_interrupted_like_any_other(
    server: ForkServer, tmp_path: Path
) -> None:
    text = """
import signal
print("begun")
try:
    while True:
        signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""
    process, output = forked(server, tmp_path, text)
    wait_until(lambda: "begun" in output.read_text(), "the program to begin")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(_SECONDS) == 0
    assert output.read_text() == "begun\ninterrupted\n"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_that_ends_a_program_is_its_exit_code(
    server: ForkServer, tmp_path: Path, ending: signal.Signals
) -> None:
    process, _ = forked(server, tmp_path, "import signal\nwhile True: signal.pause()")
    os.kill(process.pid, ending)
    assert process.wait(_SECONDS) == -ending
    assert process.poll() == process.returncode == -ending
    process.kill()  # of nobody: the number may be another's by now


def test_a_program_that_has_ended_unnoticed_is_signalled_in_vain(
    server: ForkServer, tmp_path: Path
) -> None:
    process, _ = forked(server, tmp_path, "import sys; sys.exit(3)")
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), "the program to end")
    process.send_signal(signal.SIGINT)
    assert process.wait(_SECONDS) == 3


def test_several_programs_at_once_end_each_by_itself(server: ForkServer, tmp_path: Path) -> None:
    waiting = "import signal\nwhile True: signal.pause()"
    first, _ = forked(server, tmp_path, waiting)
    second, _ = forked(server, tmp_path, waiting)
    second.kill()
    assert second.wait(_SECONDS) == -signal.SIGKILL
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    assert first.wait(_SECONDS) == -signal.SIGTERM


def test_no_two_programs_draw_the_same_numbers(server: ForkServer, tmp_path: Path) -> None:
    text = """
import importlib.util, random
print(random.random())
if importlib.util.find_spec("numpy"):
    import numpy.random
    print(numpy.random.random())
"""
    first, second = (ended(server, tmp_path, text)[1].split() for _ in range(2))
    assert first
    assert not {*first} & {*second}


def test_what_libraries_put_into_the_environment_is_there(tmp_path: Path) -> None:
    server = server_with(tmp_path, "import os\nos.environ['OF_THE_LIBRARY'] = 'kept'")
    text = "import os; print(os.environ['OF_THE_LIBRARY'], 'DO_NOT_TRACK' in os.environ)"
    assert ended(server, tmp_path, text) == (0, "kept False\n")
    server.close()


def test_a_server_with_a_second_thread_forks_nothing(tmp_path: Path) -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()"
    server = server_with(tmp_path, thread)
    with pytest.raises(NotForkedError, match="2 threads"):
        forked(server, tmp_path, "")
    server.close()


def test_a_server_whose_libraries_have_set_up_the_log_forks_nothing(tmp_path: Path) -> None:
    server = server_with(tmp_path, "import logging\nlogging.basicConfig()")
    with pytest.raises(NotForkedError, match="root logger"):
        forked(server, tmp_path, "")
    server.close()


def test_another_value_of_what_a_library_may_read_is_refused(
    server: ForkServer, tmp_path: Path
) -> None:
    with pytest.raises(NotForkedError, match=r"read HF_HOME, OMP_NUM_THREADS differently"):
        forked(server, tmp_path, "", OMP_NUM_THREADS="2", HF_HOME="elsewhere")


def test_a_module_that_would_hide_one_that_is_imported_already_is_refused(
    server: ForkServer, tmp_path: Path
) -> None:
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "json.py").write_text("", encoding="utf-8")
    with pytest.raises(NotForkedError, match="another json"):
        forked(server, tmp_path, "", PYTHONPATH="places")


def test_a_comfyui_that_may_use_a_gpu_is_never_forked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--cpu"):
        ServerSpec(tmp_path, tmp_path, tmp_path, flags=("--lowvram",), forked=True)


def test_what_cannot_be_forked_is_started_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fork_server, "LIBRARIES", ())
    monkeypatch.setattr(fork_server, "_servers", {})
    ending = command(tmp_path, "import sys; sys.exit(5)")
    with (tmp_path / "output").open("wb") as log:
        first = fork_process(ending, tmp_path, ENV, log)
        with pytest.warns(UserWarning, match="not forked: .* HF_HOME"):
            second = fork_process(ending, tmp_path, ENV | {"HF_HOME": "elsewhere"}, log)
    assert (first.wait(_SECONDS), second.wait(_SECONDS)) == (5, 5)
    assert not isinstance(first, subprocess.Popen)
    assert isinstance(second, subprocess.Popen)


def test_a_server_that_is_gone_has_taken_its_programs_along(tmp_path: Path) -> None:
    server = ForkServer(sys.executable, ENV)
    process, _ = forked(server, tmp_path, "import signal\nwhile True: signal.pause()")
    os.kill(server.pid, signal.SIGKILL)
    assert process.wait(_SECONDS) == -signal.SIGKILL
    wait_until(lambda: is_gone(process.pid), "the program to end")
    with pytest.raises(NotForkedError, match="it has ended"):
        forked(server, tmp_path, "")
    server.close()


def test_nothing_is_left_of_a_server_whose_user_is_killed(tmp_path: Path) -> None:
    waiting = command(tmp_path, "import signal\nwhile True: signal.pause()")
    text = f"""
import signal, sys
from pathlib import Path
from benchmarks.harness.fork_server import ForkServer
server = ForkServer(sys.executable, {ENV!r})
with open("log", "wb") as log:
    process = server.start({waiting!r}, Path.cwd(), {ENV!r}, log)
print(server.pid, process.pid, flush=True)
while True: signal.pause()
"""
    user = subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env=ENV | {"PYTHONPATH": str(_REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout is not None
    with user, user.stdout:
        left = [int(each) for each in user.stdout.readline().split()]
        assert len(left) == 2
        assert not any(is_gone(each) for each in left)
        user.kill()
    wait_until(lambda: all(is_gone(each) for each in left), "both processes to end")
