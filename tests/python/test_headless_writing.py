"""Images of `hearth run` on their way to files, while the next run computes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["headless_runs"]
pytest.importorskip("headless_runs")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from headless_runs import BINDINGS, Run, options  # noqa: E402
from hearth import cli, png, zimage  # noqa: E402
from hearth.headless import image_writer, images, nodes_sampling  # noqa: E402
from hearth.headless.image_writer import ImageFile, ImageWriter  # noqa: E402
from hearth.headless.images import find_series  # noqa: E402
from hearth.headless.whole_files import write_new, write_whole  # noqa: E402
from PIL import Image  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402

PIXELS = np.zeros((4, 4, 3), np.uint8)


def image_file(*paths: Path) -> ImageFile:
    return ImageFile(lambda: paths, PIXELS, {})


def test_the_next_run_samples_while_an_image_is_written(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, encodings, sample = png.encode, [], nodes_sampling._sampled
    sampled_again = threading.Event()
    samplings = []

    def held(*args: Any) -> bytes:
        encodings.append(len(samplings))
        assert len(encodings) > 1 or sampled_again.wait(60)
        return encode(*args)

    def counted(*args: Any) -> Any:
        samplings.append(1)
        latents = sample(*args)
        if len(samplings) == 2:
            sampled_again.set()
        return latents

    monkeypatch.setattr(png, "encode", held)
    monkeypatch.setattr(nodes_sampling, "_sampled", counted)
    Path("prompts.txt").write_text("a cat\na dog\n")
    report = run(toy_zimage.graph(), further=["--prompts", "prompts.txt"])
    first, second = report["runs"]
    assert [first["prompt"], second["prompt"]] == ["a cat", "a dog"]
    assert 0 < first["computing_seconds"] < first["seconds"] < report["seconds"]
    assert report["seconds"] < first["seconds"] + second["seconds"]
    for each in (first, second):
        Image.open(each["files"][0]).load()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nothing is encoded before it is set."""
    go, encode = threading.Event(), png.encode

    def wait(*args: Any) -> bytes:
        assert go.wait(20)
        return encode(*args)

    monkeypatch.setattr(png, "encode", wait)
    return go


def test_a_third_image_waits_for_the_first(held: threading.Event, tmp_path: Path) -> None:
    files = [image_file(tmp_path / f"{number}.png") for number in range(3)]
    found: list[bool] = []
    with ImageWriter() as writer:
        for file in files[:2]:
            writer.begin(file)

        def third() -> None:
            writer.begin(files[2])
            found.append(held.is_set())

        assert not writer._free.acquire(blocking=False)
        waiting = threading.Thread(target=third)
        waiting.start()
        held.set()
        waiting.join(20)
    assert found == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png", "2.png"]


def test_the_number_of_an_image_under_way_is_taken(held: threading.Event, tmp_path: Path) -> None:
    with ImageWriter() as writer:
        first = find_series(tmp_path, "a", (4, 4), writer.names_in)
        path = next(first.paths(0))
        writer.begin(image_file(path))
        assert not path.exists()
        assert find_series(tmp_path, "a", (4, 4), writer.names_in).number == 2
        assert find_series(tmp_path, "b", (4, 4), writer.names_in).number == 1
        held.set()
    assert path.exists()


@pytest.mark.parametrize(
    ("file", "number"),
    [
        ("a_00007_.png", 8),
        ("a_7.png", 8),
        ("a_7", 8),
        ("a_00007_of_mine.txt", 8),
        ("A_00007_.png", 1),
        ("a_7y.png", 1),
        ("a_77y_.png", 1),
        ("ab_7_.png", 1),
        ("a7_.png", 1),
    ],
)
def test_files_count_where_they_count_in_comfyui_on_linux(
    tmp_path: Path, file: str, number: int
) -> None:
    (tmp_path / file).touch()
    assert find_series(tmp_path, "a", (4, 4), lambda folder: []).number == number


@pytest.mark.parametrize("links", [True, False])
def test_two_that_write_into_one_folder_at_once_take_nothing_from_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuses(*args: Any) -> None:
        raise PermissionError(errno.EPERM, "this file system has no links")

    if not links:
        monkeypatch.setattr(os, "link", refuses)
    numbered, written = threading.Barrier(2), [[Path()] * 3, [Path()] * 3]

    def work(who: int) -> None:
        series = find_series(tmp_path, "a", (4, 4), lambda folder: [])
        for index in range(3):
            numbered.wait(20)

            def filled(file: Any, index: int = index) -> None:
                numbered.wait(20)  # both have the same name in mind, and a whole file next
                file.write(bytes([who, index]))

            written[who][index] = write_new(series.paths(index), filled)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"a_{number:05}_.png" for number in range(1, 7)]
    for who, paths in enumerate(written):
        assert [path.read_bytes() for path in paths] == [bytes([who, i]) for i in range(3)]
        assert paths == sorted(paths)


def test_an_image_whose_name_another_took_is_told_under_the_name_it_got(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    encode, theirs = png.encode, Path("output/toy_z_image_a_00001_.png")

    def slow(*args: Any) -> bytes:
        theirs.parent.mkdir()
        theirs.write_text("another's")
        return encode(*args)

    monkeypatch.setattr(png, "encode", slow)
    report = run(toy_zimage.graph())
    mine = "output/toy_z_image_a_00002_.png"
    assert report["runs"][0]["files"] == [mine]
    assert f"  {mine}\n" in capsys.readouterr().out
    assert theirs.read_text() == "another's"
    Image.open(mine).load()


def test_what_is_no_file_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, lambda file: file.write(b"x"))
    reader.join(20)
    assert got == [b"x"]
    assert pipe.is_fifo()


@pytest.fixture
def full(place: Path) -> Path:
    """A file that a full disk has no room for."""
    path = Path("full.safetensors")
    path.symlink_to("/dev/full")
    return path


def test_latents_that_a_disk_has_no_room_for_are_told_after_the_image(
    full: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    further = ["--latent-out", str(full)]
    assert cli.main(options(models, [toy_zimage.graph()], *further)) == 1
    told = capsys.readouterr()
    image = "output/toy_z_image_a_00001_.png"
    assert told.out.splitlines()[-1] == f"  {image}"
    last = told.err.splitlines()[-1]
    assert last == "hearth: --latent-out full.safetensors: No space left on device"
    assert json.loads(Path("report.json").read_text())["runs"][0]["files"] == [image]
    Image.open(image).load()


def test_a_report_that_cannot_be_written_is_told_with_its_option(
    full: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(options(models, [toy_zimage.graph()], "--json", str(full))) == 1
    told = capsys.readouterr()
    assert "  output/toy_z_image_a_00001_.png\n" in told.out
    assert told.err.splitlines()[-1] == f"hearth: --json {full}: No space left on device"


def test_a_failed_run_is_told_also_where_its_report_cannot_be_written(
    full: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    further = ["--latent-out", str(full), "--json", str(full)]
    assert cli.main(options(models, [toy_zimage.graph()], *further)) == 1
    lines = capsys.readouterr().err.splitlines()[-2:]
    assert [line.split(":")[1].split()[0] for line in lines] == ["--json", "--latent-out"]


def test_a_file_may_have_the_longest_name_that_there_is(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 255)
    write_whole(path, lambda file: file.write(b"x"))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("asks_the_kernel", [True, False])
def test_a_files_permissions_are_those_of_the_process(
    tmp_path: Path, asks_the_kernel: bool
) -> None:
    blind = "Path.read_text = lambda *a, **k: (_ for _ in ()).throw(FileNotFoundError())"
    program = f"""
import os, sys
from pathlib import Path
os.umask(0o026)
{"" if asks_the_kernel else blind}
from hearth.headless import whole_files
assert os.umask(0o026) == 0o026
def refuses(mask): raise AssertionError("changed for all threads")
os.umask = refuses
whole_files.write_whole(Path(sys.argv[1]), lambda file: None)
"""
    environment = {**os.environ, "PYTHONPATH": str(BINDINGS)}
    file = tmp_path / "a"
    subprocess.run([sys.executable, "-c", program, str(file)], env=environment, check=True)
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_image_that_cannot_be_written_fails_its_node(
    place: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sample = nodes_sampling._sampled

    def meanwhile(*args: Any) -> Any:
        Path("output").mkdir()
        Path("output/sub").write_text("a file where a folder is to be")
        return sample(*args)

    monkeypatch.setattr(nodes_sampling, "_sampled", meanwhile)
    further = ["--set", "save.filename_prefix=sub/a"]
    assert cli.main(options(models, [toy_zimage.graph()], *further)) == 1
    assert "node save (SaveImage): [Errno 17] File exists" in capsys.readouterr().err
    assert json.loads(Path("report.json").read_text())["runs"] == []


def test_a_later_runs_failure_leaves_the_earlier_runs_image_and_report(
    place: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing, write_new = threading.Event(), image_writer.write_new
    sample, samplings = nodes_sampling._sampled, []

    def late(*args: Any) -> Path:
        assert failing.wait(60)
        return write_new(*args)

    def fails(*args: Any) -> Any:
        samplings.append(1)
        if len(samplings) == 2:
            failing.set()
            raise RuntimeError("the device is gone")
        return sample(*args)

    monkeypatch.setattr(image_writer, "write_new", late)
    monkeypatch.setattr(nodes_sampling, "_sampled", fails)
    Path("prompts.txt").write_text("a cat\na dog\n")
    assert cli.main(options(models, [toy_zimage.graph()], "--prompts", "prompts.txt")) == 1
    (entry,) = json.loads(Path("report.json").read_text())["runs"]
    Image.open(entry["files"][0]).load()


def test_where_no_memory_can_be_pinned_the_bytes_come_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OnDevice:
        is_cuda, shape = True, (1, 2, 2, 3)

        def cpu(self) -> Any:
            return torch.full(self.shape, 7, dtype=torch.uint8)

    def refuses(*args: Any, **options: Any) -> Any:
        assert options["pin_memory"]
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(zimage, "as_bytes", lambda each: OnDevice())
    monkeypatch.setattr(images.torch, "empty", refuses)
    assert images.host_bytes(None).tolist() == np.full((1, 2, 2, 3), 7).tolist()
