"""`hearth.check` and the command `hearth check` on real files."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest

from tests.python.checkpoint_files import entry, file_bytes, good_file

pytest.importorskip("hearth._core", reason="needs the native module: ./dev build")

from hearth import _core
from hearth.check import check_file, find_files, refuse_if_corrupt
from hearth.cli import main
from hearth.errors import CheckpointCorruptError, CheckpointNotFoundError

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with good, bad and foreign files, one of them below it."""
    (tmp_path / "good.safetensors").write_bytes(good_file())
    (tmp_path / "cut.sft").write_bytes(good_file()[:-1])
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x02never unpickled")
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pointer.safetensors").write_bytes(LFS_POINTER)
    return tmp_path


def bytes_read() -> int:
    """What this process has read from files so far."""
    line = next(x for x in Path("/proc/self/io").read_text().splitlines() if x.startswith("rchar"))
    return int(line.split()[1])


def run_check(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, list[dict[str, object]]]:
    """`hearth check --json`; exit code and one object a file."""
    code = main(["check", "--json", *arguments])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


class TestRefuseIfCorrupt:
    def test_good_file_passes(self, models: Path) -> None:
        refuse_if_corrupt(str(models / "good.safetensors"))

    def test_bad_file_is_refused_with_name_byte_and_remedy(self, models: Path) -> None:
        with pytest.raises(CheckpointCorruptError, match=r"cut\.sft.*1 byte is missing") as caught:
            refuse_if_corrupt(models / "cut.sft")
        assert caught.value.file_name == "cut.sft"
        assert caught.value.byte_offset == len(good_file()) - 1
        assert "complete file" in caught.value.expected
        assert str(models) not in str(caught.value)

    def test_capitals_in_the_suffix_hide_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "X.SafeTensors").write_bytes(LFS_POINTER)
        with pytest.raises(CheckpointCorruptError, match="Git LFS pointer"):
            refuse_if_corrupt(tmp_path / "X.SafeTensors")

    def test_other_formats_are_left_alone_even_when_they_are_missing(self, models: Path) -> None:
        refuse_if_corrupt(models / "old.ckpt")
        refuse_if_corrupt(models / "none.pt")
        refuse_if_corrupt(models / "none.gguf")

    def test_missing_file_is_not_found(self, models: Path) -> None:
        with pytest.raises(CheckpointNotFoundError):
            refuse_if_corrupt(models / "none.safetensors")

    def test_name_that_is_no_text_is_a_name(self, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/\xff.safetensors"
        with open(path, "wb") as file:
            file.write(good_file())
        refuse_if_corrupt(os.fsdecode(path))

    def test_link_out_of_the_roots_is_refused(self, tmp_path: Path) -> None:
        inside = tmp_path / "models"
        inside.mkdir()
        (tmp_path / "x.safetensors").write_bytes(good_file())
        (inside / "x.safetensors").symlink_to(tmp_path / "x.safetensors")
        refuse_if_corrupt(inside / "x.safetensors")
        with pytest.raises(CheckpointCorruptError, match="outside the model folders"):
            refuse_if_corrupt(inside / "x.safetensors", [str(inside)])

    def test_large_file_is_not_read(self, tmp_path: Path) -> None:
        size = 12 << 30
        header = file_bytes({"x": entry("U8", [size], [0, size])})
        with open(tmp_path / "x.safetensors", "wb") as file:
            file.write(header)
            file.truncate(len(header) + size)
        before = bytes_read()
        refuse_if_corrupt(tmp_path / "x.safetensors")
        assert bytes_read() - before < 1 << 20


class TestReport:
    def test_good_file_tells_tensors_types_and_size(self, tmp_path: Path) -> None:
        header = {"__metadata__": {"format": "pt"}, "a": entry(), "b": entry("BF16", [2], [4, 8])}
        (tmp_path / "x.safetensors").write_bytes(file_bytes(header, bytes(8)))
        report = check_file(tmp_path / "x.safetensors")
        assert (report.status, report.tensors) == ("good", 2)
        assert report.dtypes == {"F32": 4, "BF16": 4}
        assert report.metadata == {"format": "pt"}
        assert report.size == (tmp_path / "x.safetensors").stat().st_size

    def test_index_tells_where_each_tensor_lies(self, tmp_path: Path) -> None:
        header = {"b": entry("BF16", [1, 2], [4, 8]), "a": entry()}
        path = tmp_path / "x.safetensors"
        path.write_bytes(file_bytes(header, b"aaaabbbb"))
        tensors = _core.Checkpoint(path).tensors
        assert [(t.name, t.dtype, t.shape) for t in tensors] == [
            ("a", "F32", [1]),
            ("b", "BF16", [1, 2]),
        ]
        content = path.read_bytes()
        assert [content[t.offset : t.offset + t.size] for t in tensors] == [b"aaaa", b"bbbb"]

    def test_deep_reads_every_byte(self, tmp_path: Path) -> None:
        nan, infinite = struct.pack("<f", float("nan")), struct.pack("<f", float("-inf"))
        content = good_file("F32", nan * 3 + infinite + bytes(40 << 20))
        path = tmp_path / "x.safetensors"
        path.write_bytes(content)
        seen: list[int] = []
        deep = check_file(path, deep=True, on_progress=seen.append).deep
        assert deep is not None
        assert deep.sha256 == hashlib.sha256(content).hexdigest()
        assert sum(seen) == len(content)
        assert len(seen) > 1
        assert (deep.nan, deep.infinite) == ({"F32": 3}, {"F32": 1})
        assert deep.worst == [("x", 3, 1)]

    def test_interrupted_deep_check_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        path.write_bytes(good_file("U8", bytes(64 << 20)))

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            check_file(path, deep=True, on_progress=interrupt)

    def test_sharded_set_is_checked_as_a_whole(self, tmp_path: Path) -> None:
        (tmp_path / "m-1.safetensors").write_bytes(good_file())
        index = tmp_path / "m.safetensors.index.json"
        index.write_text('{"weight_map": {"x": "m-1.safetensors"}}')
        assert check_file(index).status == "good"
        index.write_text('{"weight_map": {"y": "m-1.safetensors"}}')
        report = check_file(index)
        assert report.status == "bad"
        assert "m-1.safetensors does not hold this tensor" in report.error
        index.write_text('{"weight_map": {"x": "m-2.safetensors"}}')
        assert "m-2.safetensors: there is no such file" in check_file(index).error


class TestCommand:
    def test_folder_is_searched_and_every_file_has_one_object(
        self, models: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, reports = run_check(capsys, str(models))
        status = {Path(str(r["path"])).name: r["status"] for r in reports}
        assert status == {
            "good.safetensors": "good",
            "cut.sft": "bad",
            "old.ckpt": "unchecked",
            "pointer.safetensors": "bad",
        }
        assert code == 1

    def test_exit_code_is_0_only_when_something_was_checked_and_all_is_good(
        self, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good, old = str(models / "good.safetensors"), str(models / "old.ckpt")
        assert run_check(capsys, good)[0] == 0
        assert run_check(capsys, old)[0] == 1
        assert run_check(capsys, good, str(models / "none.safetensors"))[0] == 1
        empty = tmp_path / "empty"
        empty.mkdir()
        assert run_check(capsys, str(empty))[0] == 1

    def test_what_cannot_be_checked_counts_where_it_is_named_and_not_where_it_is_found(
        self, models: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (models / "cut.sft").unlink()
        (models / "sub" / "pointer.safetensors").unlink()
        assert run_check(capsys, str(models))[0] == 0
        for named in ([str(models)], [str(models / "good.safetensors")]):
            assert main(["check", *named, str(models / "old.ckpt")]) == 1
            told = capsys.readouterr().err.splitlines()
            assert len(told) == 1
            assert "old.ckpt was not checked" in told[0]

    def test_a_file_that_is_named_and_found_is_checked_once(
        self, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good = models / "good.safetensors"
        monkeypatch.chdir(models)
        _, reports = run_check(capsys, str(good), str(models), "good.safetensors", ".")
        paths = [str(report["path"]) for report in reports]
        assert sum(path.endswith("good.safetensors") for path in paths) == 1
        assert len(paths) == 4

    def test_deep_reads_every_file_of_a_set(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        index, contents = sharded_set(tmp_path)
        code, [report] = run_check(capsys, "--deep", str(index))
        deep = report["deep"]
        assert code == 0 and isinstance(deep, dict)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        assert deep["shards"] == digests
        assert (deep["nan"], deep["infinite"]) == ({"F32": 3}, {"F32": 0})
        assert deep["worst"][0] == ["x2", 2, 0]
        main(["check", "--deep", str(index)])
        shown = capsys.readouterr().out
        assert "3 NaN" in shown and "sharded set of 2 files" in shown
        assert all(f"sha256 {digest} {name}" in shown for name, digest in digests.items())

    def test_a_set_whose_files_are_checked_as_well_is_not_read_twice(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sharded_set(tmp_path)
        _, reports = run_check(capsys, "--deep", str(tmp_path))
        assert {r["kind"]: r["deep"] is not None for r in reports} == {
            "safetensors": True,
            "sharded set of 2": False,
        }

    def test_a_set_of_one_file_is_not_called_files(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "m-1.safetensors").write_bytes(good_file())
        index = tmp_path / "m.safetensors.index.json"
        index.write_text('{"weight_map": {"x": "m-1.safetensors"}}')
        assert main(["check", str(index)]) == 0
        assert "sharded set of 1 file\n" in capsys.readouterr().out

    @pytest.mark.parametrize("has_rich", [True, False])
    def test_a_terminal_shows_how_far_a_deep_check_is(self, models: Path, has_rich: bool) -> None:
        if has_rich:
            pytest.importorskip("rich", reason="needs the package rich")
        else:
            (models / "rich.py").write_text("raise ImportError")
        path = os.pathsep.join([str(models), *filter(None, sys.path)])
        terminal, other_end = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "hearth", "check", "--deep", str(models / "good.safetensors")],
            env={**os.environ, "PYTHONPATH": path, "TERM": "xterm", "COLUMNS": "80"},
            stdout=subprocess.PIPE,
            stderr=other_end,
        ) as running:
            os.close(other_end)
            shown = "".join(iter(lambda: read_terminal(terminal), ""))
            assert running.stdout is not None
            assert b"1 good, 0 bad." in running.stdout.read()
        os.close(terminal)
        assert running.returncode == 0
        size = len(good_file())
        assert (f"{size}/{size} bytes" if has_rich else f"reading {size} B: 100 %") in shown

    def test_pipe_in_a_folder_does_not_stop_it(
        self, models: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        os.mkfifo(models / "pipe.safetensors")
        _, reports = run_check(capsys, str(models), "--deep")
        errors = {Path(str(r["path"])).name: str(r["error"]) for r in reports}
        assert "a named pipe" in errors["pipe.safetensors"]
        assert len(reports) == 5

    # Root may search everything, so somebody else does it, in a process of his own.
    def test_a_folder_that_may_not_be_searched_is_not_passed_over(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            Path(folder, "good.safetensors").write_bytes(good_file())
            closed = Path(folder, "closed")
            closed.mkdir(mode=0)
            child = os.fork()
            if child == 0:
                if os.getuid() == 0:
                    os.setuid(65534)
                found = [(check_file(file).status, file) for file in find_files([folder])]
                os._exit(0 if ("bad", closed) in found and len(found) == 2 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_an_empty_argument_is_not_the_folder_one_is_in(
        self, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (models / "cut.sft").unlink()
        (models / "sub" / "pointer.safetensors").unlink()
        monkeypatch.chdir(models)
        with pytest.raises(SystemExit) as ended:
            run_check(capsys, "")
        assert ended.value.code == 2

    def test_links_in_a_circle_are_walked_once(self, models: Path) -> None:
        (models / "sub" / "up").symlink_to(models)
        assert len(list(find_files([models]))) == 4

    def test_people_read_what_is_wrong_and_what_to_do(
        self, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("rich", reason="needs the package rich")
        monkeypatch.setenv("COLUMNS", "200")
        assert main(["check", str(models)]) == 1
        shown = capsys.readouterr().out
        assert "1 good, 2 bad, 1 not checked." in shown
        assert "git lfs pull" in shown
        assert "1 byte is missing" in shown
        assert "left to ComfyUI" in shown
        assert os.path.join("sub", "pointer.safetensors") in shown

    def test_hostile_names_do_not_drive_the_terminal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("rich", reason="needs the package rich")
        (tmp_path / "x\x1b]0;owned\x07[red].safetensors").write_bytes(
            file_bytes({"\x1b[2J": entry("f32")}, bytes(4))
        )
        main(["check", str(tmp_path)])
        shown = capsys.readouterr().out
        assert "\x1b]" not in shown
        assert "\x1b[2J" not in shown

    def test_it_runs_as_a_module_of_its_own(self, models: Path) -> None:
        done = run_module("check", "--json", str(models / "good.safetensors"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "good"

    def test_a_terminal_without_our_letters_gets_the_report_all_the_same(
        self, models: Path
    ) -> None:
        pytest.importorskip("rich", reason="needs the package rich")
        done = run_module("check", str(models / "good.safetensors"), PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert "1 good, 0 bad." in done.stdout

    def test_a_report_that_cannot_be_written_is_told_in_one_line(self, models: Path) -> None:
        with open("/dev/full", "w") as full:
            done = run_module("check", "--json", str(models / "good.safetensors"), stdout=full)
        assert done.returncode == 1
        assert done.stderr == "hearth: No space left on device\n"

    def test_a_reader_that_stops_early_is_no_error_to_tell(self, models: Path) -> None:
        read_end, write_end = os.pipe()
        os.close(read_end)
        with open(write_end, "w") as pipe:
            done = run_module("check", "--json", str(models / "good.safetensors"), stdout=pipe)
        assert done.returncode == 1
        assert done.stderr == ""


def read_terminal(descriptor: int) -> str:
    try:
        return os.read(descriptor, 1 << 16).decode(errors="replace")
    except OSError:  # the other end is closed
        return ""


def sharded_set(folder: Path) -> tuple[Path, dict[str, bytes]]:
    """Two files with one and two NaN, and their index."""
    nan = struct.pack("<f", float("nan"))
    contents = {
        f"m-{n}.safetensors": file_bytes(
            {f"x{n}": entry("F32", [n + 1], [0, 4 * (n + 1)])}, nan * n + bytes(4)
        )
        for n in (1, 2)
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    index = folder / "m.safetensors.index.json"
    names = {f"x{n}": f"m-{n}.safetensors" for n in (1, 2)}
    index.write_text(json.dumps({"weight_map": names}))
    return index, contents


def run_module(
    *arguments: str, stdout: IO[str] | int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`python -m hearth` in a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", "hearth", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
