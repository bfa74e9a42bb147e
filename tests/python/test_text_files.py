"""Text that people name: bounded, and nobody waits for a pipe or a device."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from hearth.headless import graph, settings  # noqa: E402
from hearth.headless.faults import RefusedError  # noqa: E402
from hearth.text_files import read_text  # noqa: E402


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """One that nobody writes to."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null", "/"])
def test_devices_and_folders_are_refused_unread(place: str, pipes: bool) -> None:
    with pytest.raises(ValueError, match="no regular file"):
        read_text(Path(place), 100, pipes=pipes)


def test_a_pipe_is_refused_where_a_file_is_wanted_and_empty_without_a_writer(pipe: Path) -> None:
    with pytest.raises(ValueError, match="no regular file"):
        read_text(pipe, 100)
    assert read_text(pipe, 100, pipes=True) == ""


def test_what_another_program_writes_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    text = "a line\n" * 50_000  # more than a pipe holds
    writer = threading.Thread(target=lambda: Path(f"/proc/self/fd/{writing}").write_text(text))
    writer.start()
    found: list[str] = []
    reader = threading.Thread(
        target=lambda: found.append(
            read_text(Path(f"/proc/self/fd/{reading}"), 1 << 20, pipes=True)
        )
    )
    reader.start()
    writer.join()
    os.close(writing)
    reader.join()
    os.close(reading)
    assert found == [text]


def test_a_text_of_just_the_size_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * (1 << 20))
    assert len(read_text(file, 1 << 20)) == 1 << 20
    file.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(ValueError, match="more than 1 MiB"):
        read_text(file, 1 << 20)


def test_workflows_and_prompts_are_not_waited_for(pipe: Path) -> None:
    for read in (graph.read, settings.read_prompts):
        with pytest.raises(RefusedError):
            read(pipe)
        with pytest.raises(RefusedError):
            read(Path("/dev/zero"))
