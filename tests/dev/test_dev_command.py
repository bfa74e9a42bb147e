"""`./dev` as a person meets it when something is missing, and what it counts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import toolchain
from tools.dev.main import main
from tools.dev.steps import Progress, Step, StepFailed, run_step
from tools.dev.tally import broken, not_run, read_junit, read_programs, summary

ROOT = Path(__file__).resolve().parents[2]
PYTEST_REPORT = """<testsuites><testsuite>
<testcase classname="t" name="good"/>
<testcase classname="t" name="bad"><failure message="no"/></testcase>
<testcase classname="t" name="left"><skipped message="NOT RUN, needs a GPU"/></testcase>
</testsuite></testsuites>"""
CTEST_REPORT = """<testsuite>
<testcase name="cache.Good" classname="cache" status="run"/>
<testcase name="cache.Bad" classname="cache" status="fail"><failure message=""/></testcase>
<testcase name="cache.Left" classname="cache" status="notrun"><skipped message="off"/></testcase>
</testsuite>"""


@pytest.fixture
def bare_checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    shutil.copy(ROOT / "dev", tmp_path / "dev")
    return tmp_path


def dev(checkout: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(checkout / "dev"), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_run_without_comfyui_says_how_to_get_one_and_makes_nothing(bare_checkout: Path) -> None:
    done = dev(bare_checkout, "run", COMFYUI_PATH=str(bare_checkout / "nowhere"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "git clone" in done.stderr
    assert str(bare_checkout / "nowhere") in done.stderr
    assert sorted(path.name for path in bare_checkout.iterdir()) == ["dev", "tools"]


def test_an_unknown_option_is_refused(bare_checkout: Path) -> None:
    done = dev(bare_checkout, "test", "--quick")
    assert done.returncode == 2
    assert "--quick" in done.stderr


def test_an_old_compiler_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++-9"
    compiler.write_text("#!/bin/sh\necho 9.4.0\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(StepFailed) as failed:
        toolchain.check_compiler()
    assert "is version 9.4.0, hearth needs 12 or newer" in str(failed.value)
    assert "CXX=g++-12" in str(failed.value)


def test_a_failed_step_says_which_its_last_lines_and_what_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.dev.steps.LOGS", tmp_path)
    program = "import sys; print(*range(100), sep='\\n'); sys.exit(3)"
    step = Step("count to a hundred", [sys.executable, "-c", program], "count to ten")
    with pytest.raises(StepFailed) as failed:
        run_step(step)
    lines = str(failed.value).splitlines()
    assert lines[0] == "Step failed: count to a hundred (exit code 3)."
    assert [line.strip() for line in lines[2:-1]] == [str(number) for number in range(85, 100)]
    assert lines[-1] == "What to try: count to ten"


def test_sigterm_ends_what_was_started_too(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"""
import signal
from pathlib import Path
from tools.dev.steps import Step, end_all, run_step
signal.signal(signal.SIGTERM, end_all)
run_step(Step("wait", ["sh", "-c", "echo $$ > {child}; sh -c 'sleep 300'"], "nothing"))
"""
    step = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (child.exists() and child.read_text().endswith("\n")):
        assert step.poll() is None
        time.sleep(0.01)
    step.terminate()
    assert step.wait(30) == 128 + signal.SIGTERM
    # Its parent gone, nobody reads its end: the kernel lists it, if at all, as a zombie of init's.
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    wait_until(lambda: not state.exists() or ") Z" in state.read_text())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_check_uses_what_was_built_for_another_python(bare_checkout: Path) -> None:
    shutil.copytree(ROOT / "bindings" / "hearth", bare_checkout / "bindings" / "hearth")
    cache = bare_checkout / "build" / "release-cpython" / "CMakeCache.txt"
    cache.parent.mkdir(parents=True)
    cache.write_text(f"Python_EXECUTABLE:UNINITIALIZED={sys.executable}\n")
    (bare_checkout / "empty.safetensors").touch()
    done = dev(bare_checkout, "check", str(bare_checkout / "empty.safetensors"))
    assert done.returncode == 1, done.stderr
    assert "empty" in done.stdout
    assert not (bare_checkout / ".venv").exists()


@pytest.mark.parametrize("report", [PYTEST_REPORT, CTEST_REPORT])
def test_both_kinds_of_report_are_counted(report: str, tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(report)
    outcome = read_junit("runner", tmp_path / "report.xml")
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 1, 1)
    assert "ad" in outcome.failures[0]


@pytest.mark.parametrize("report", [None, "", "<testsuite/>", "<testsuite><testcase"])
def test_a_runner_that_ran_nothing_has_failed(report: str | None, tmp_path: Path) -> None:
    if report is not None:
        (tmp_path / "report.xml").write_text(report)
    assert read_junit("runner", tmp_path / "report.xml").failed == 1


def test_cases_of_programs_are_counted_and_one_that_ended_early_has_failed(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(
        '<testsuite><testcase name="base" status="run"/>'
        '<testcase name="cache" status="fail"><failure/></testcase></testsuite>'
    )
    (tmp_path / "cases").mkdir()
    odd = CTEST_REPORT.replace("<failure", "\x01\x7f<failure").encode().replace(b"\x7f", b"\xff")
    (tmp_path / "cases" / "base_test.xml").write_bytes(odd)
    outcome = read_programs("runner", tmp_path / "report.xml", tmp_path / "cases")
    assert (outcome.passed, outcome.failed, outcome.skipped) == (1, 2, 1)
    assert outcome.failures[-1] == "cache ended before it wrote its report"


def test_a_skip_of_googletest_is_told_without_the_place_of_its_line(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    skip = "/somewhere/a_test.cc:72&#x0A;NOT RUN, needs a CUDA device (none)"
    report.write_text(
        f'<testsuite><testcase name="a" status="run"><skipped message="{skip}"/></testcase>'
        '<testcase name="b" status="run"/></testsuite>'
    )
    assert read_junit("runner", report).skips == {"NOT RUN, needs a CUDA device (none)": 1}


def test_the_summary_closes_with_the_sum_and_says_every_skip() -> None:
    text = summary([broken("C++ asan", "does not build"), not_run("ComfyUI", "no ComfyUI found")])
    assert text.splitlines()[-1] == "0 passed, 1 failed, 1 skipped"
    assert "SKIPPED ComfyUI: 1 x no ComfyUI found" in text
    assert "FAILED C++ asan: does not build" in text


def test_run_falls_back_to_the_headless_job_where_no_comfyui_is_named_or_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []

    def run(command: list[str], env: dict[str, str]) -> int:
        started.append(command)
        return 0

    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr("tools.dev.main.find_comfyui", lambda: None)
    monkeypatch.setattr("tools.dev.environment.ensure_full", lambda: None)
    monkeypatch.setattr("tools.dev.native.build_module", lambda: None)
    monkeypatch.setattr("tools.dev.main._in_front", run)
    assert main(["run", "--repeat", "2"]) == 0
    assert started[0][1:] == ["-m", "benchmarks.headless_job", "--repeat", "2"]
    with pytest.raises(SystemExit):
        main(["run", "--workflow", "a.json"])
    assert "no ComfyUI was found, and without one there is no --workflow" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "--bogus"])
    assert "unrecognized arguments: --bogus" in capsys.readouterr().err
    assert len(started) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no file "),
        ("{", "not a workflow that can be read: Expecting property name"),
        ("{}", "not in API format. In ComfyUI: Workflow > Export (API)"),
        ('{"nodes": [], "links": []}', "not in API format"),
        ('{"1": {"class_type": "X"}}', "--models nosuch: there is no such folder"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is_made(
    text: str | None,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tools.dev.main.find_comfyui", lambda: tmp_path)
    monkeypatch.setattr("tools.dev.environment.ensure_full", lambda: pytest.fail("made"))
    workflow = tmp_path / "mine.json"
    if text is not None:
        workflow.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["run", "--models", "nosuch", "--workflow", str(workflow)])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_workflow_is_looked_for_where_the_job_will_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("tools.dev.main.find_comfyui", lambda: tmp_path)
    with pytest.raises(SystemExit):
        main(["run", "--workflow", "mine.json"])
    assert str(ROOT / "mine.json") in capsys.readouterr().err


def test_what_ctrl_c_means_is_said_by_the_program_in_front() -> None:
    program = (
        "import sys, time\n"
        "try:\n print('ready', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n print('ended as I like'); sys.exit(9)\n"
    )
    dev_itself = (
        # A job in a shell's background begins with Ctrl-C ignored, and so would this.
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from tools.dev.main import _in_front\n"
        f"sys.exit(_in_front([sys.executable, '-c', {program!r}], dict(os.environ)))"
    )
    command = [sys.executable, "-c", dev_itself]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        os.killpg(started.pid, signal.SIGINT)
        assert started.stdout.read() == "ended as I like\n"
    assert started.returncode == 9


def test_beside_a_programs_own_output_steps_are_told_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress()
    progress.stand_aside()
    with progress.running("build"):
        pass
    told = capsys.readouterr()
    assert told.out == ""
    assert "build: done" in told.err
