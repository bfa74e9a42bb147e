"""What `hearth run` shows while it works, and what Ctrl-C leaves."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["headless_runs"]
pytest.importorskip("headless_runs")

from headless_runs import BINDINGS, SECOND, Run, options, resident_config  # noqa: E402
from hearth import cli  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.workflows import node  # noqa: E402

INTERRUPTIONS = {
    # When the first bytes of the image are on disk; the rest comes when all is being left.
    "writing": """
import threading
from hearth.headless import image_writer
write_new, leave = image_writer.write_new, image_writer.ImageWriter.__exit__
leaving = threading.Event()
def slow(paths, write):
    def interrupted(file):
        file.write(b"half"); file.flush()
        os.kill(os.getpid(), signal.SIGINT)
        assert leaving.wait(20)
        file.seek(0)
        write(file)
    return write_new(paths, interrupted)
def left(*args):
    leaving.set()
    leave(*args)
image_writer.write_new, image_writer.ImageWriter.__exit__ = slow, left
""",
    # After the first step.
    "sampling": """
from hearth.headless import nodes_sampling
update = nodes_sampling._Steps.update
def interrupted(self, steps=1):
    update(self, steps)
    os.kill(os.getpid(), signal.SIGINT)
nodes_sampling._Steps.update = interrupted
""",
}
# What is being written becomes whole.
LEFT = {"writing": ["toy_z_image_a_00001_.png"], "sampling": []}


@pytest.mark.parametrize("when", INTERRUPTIONS)
def test_ctrl_c_leaves_no_half_written_file(place: Path, models: Path, when: str) -> None:
    # A job in the background is started with the signal ignored, and so is all that it starts.
    listening = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = (
        f"import os, signal, sys\n{listening}{INTERRUPTIONS[when]}"
        "from hearth import cli; sys.exit(cli.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *options(models, [toy_zimage.graph()])],
        env={**os.environ, "PYTHONPATH": str(BINDINGS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("hearth: interrupted\n")
    files = list(Path("output").iterdir()) if Path("output").exists() else []
    assert [file.name for file in files] == LEFT[when]
    for file in files:
        Image.open(file).load()


def test_a_job_without_standard_streams_computes_all_the_same(place: Path, models: Path) -> None:
    command = [sys.executable, "-m", "hearth", *options(models, [toy_zimage.graph()])]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command],
        env={**os.environ, "PYTHONPATH": str(BINDINGS), "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0
    Image.open("output/toy_z_image_a_00001_.png").load()


# The process sends itself the signal when a module of this name is about to be imported.
AT_AN_IMPORT = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.{handler})
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
runpy.run_module("hearth", run_name="__main__", alter_sys=True)
"""


def interrupted_at(module: str, handler: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = AT_AN_IMPORT.format(module=module, handler=handler)
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(BINDINGS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "module",
    ["hearth.cli", "hearth.cli_run", "torch", "torch._C", "torch.nn", "hearth.headless.executor"],
)
def test_ctrl_c_while_modules_are_imported_ends_it_in_one_line(
    place: Path, models: Path, module: str
) -> None:
    arguments = options(models, [toy_zimage.graph()])
    done = interrupted_at(module, "default_int_handler", *arguments)
    assert (done.returncode, done.stderr) == (130, "hearth: interrupted\n")
    assert not Path("output").exists()


def test_a_job_in_the_background_hears_no_ctrl_c(place: Path, models: Path) -> None:
    done = interrupted_at("torch.nn", "SIG_IGN", *options(models, [toy_zimage.graph()]))
    assert done.returncode == 0, done.stderr
    assert Path("output/toy_z_image_a_00001_.png").exists()


def test_a_terminal_shows_node_and_steps(place: Path, models: Path) -> None:
    terminal, other_end = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "hearth", *options(models, [toy_zimage.graph(steps=7)])],
        env={**os.environ, "PYTHONPATH": str(BINDINGS), "OMP_NUM_THREADS": "1", "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=other_end,
    ) as running:
        os.close(other_end)
        shown = "".join(iter(lambda: read_terminal(terminal), ""))
        assert running.stdout is not None
        assert b"toy_z_image_a_00001_.png" in running.stdout.read()
    os.close(terminal)
    assert running.returncode == 0
    assert "sampler KSampler" in shown
    assert "7/7" in shown


def read_terminal(descriptor: int) -> str:
    try:
        return os.read(descriptor, 1 << 16).decode(errors="replace")
    except OSError:  # the other end is closed
        return ""


def test_the_trace_says_which_node_loaded_what(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(toy_zimage.graph())
    lines = capsys.readouterr().err.splitlines()
    opened = [line for line in lines if line.startswith(f"hearth: {toy_zimage.VAE} opened")]
    assert len(opened) == 1
    assert opened[0].endswith("node vae (VAELoader))")
    run(toy_zimage.graph(SECOND), further=["--config", resident_config(log={"trace_loads": False})])
    assert "hearth:" not in capsys.readouterr().err


def test_options_to_prewarm_that_come_by_a_link_are_looked_at_when_the_node_runs(
    models: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = toy_zimage.graph()
    graph["status"] = node("HearthCacheStatus")
    graph["warm"] = node("HearthPrewarm", model=toy_zimage.VAE, options=["status", 0])
    assert cli.main(options(models, [graph])) == 1
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert "node warm (HearthPrewarm): VAELoader has no input" in line
