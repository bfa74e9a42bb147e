"""`hearth bench load` with real files; the GPU is one that keeps its bytes in host memory."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from hearth import cli_bench, device, host_files, load_bench
from hearth.cli import main

HEADER = json.dumps({"a": {"dtype": "U8", "shape": [6 << 20], "data_offsets": [0, 6 << 20]}})
NO_GPU = device.DeviceProbe(0, "no driver")
HAS_GPU = device.DeviceProbe(13000, "", [device.DeviceFacts(0, "made up", 1 << 34)])


class Arena:
    """Device memory of a machine that has none."""

    spoiled = False

    def __init__(self, devices: object, index: int, nbytes: int) -> None:
        self.bytes = bytearray(nbytes)

    def read_back(self, offset: int, nbytes: int) -> bytes:
        return bytes(self.bytes[offset : offset + nbytes])


class Uploader:
    """Copies a held file into such an arena."""

    def __init__(self, devices: object, index: int, reads: str = "auto") -> None: ...

    def run(self, file: host_files.HostFile, arena: Arena) -> dict[str, Any]:
        arena.bytes[:] = bytes(memoryview(file.view()))
        if Arena.spoiled:
            arena.bytes[-1] ^= 1
        return {}


class Devices:
    """The GPUs, as far as they are asked."""

    def copies_span_ranges(self) -> bool:
        return True


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(HEADER)) + HEADER.encode() + os.urandom(6 << 20))
    monkeypatch.setattr(device, "probe", lambda: NO_GPU)
    yield path
    host_files.tier().give_way()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DeviceArena": Arena, "Uploader": Uploader, "devices": Devices}.items():
        monkeypatch.setattr(device, name, value)
    monkeypatch.setattr(device, "probe", lambda: HAS_GPU)
    monkeypatch.setattr(device, "open_device", lambda index: None)
    monkeypatch.setattr(load_bench, "_register_slice", lambda file, slices: slices.append(0.0))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["bench", "load", "--json", "--repeat", "2", *words])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_without_a_gpu_the_hosts_part_is_measured_and_the_rest_says_why(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (machine, *rows) = run(capsys, str(model))
    assert (code, machine["row"], machine["no_gpu"]) == (0, "machine", "no driver")
    left_out = {row["row"]: row["left_out"] for row in rows if "left_out" in row}
    for name in ("bus", "map_register_upload", "upload_ring"):
        assert left_out[name] == "no GPU: no driver" or "--cold" in left_out[name]
    (read,) = [r for r in rows if r["row"] == "read_ahead" and "left_out" not in r]
    assert read["cache"] == "warm" and read["repeats"] == 2
    assert read["bytes"] == model.stat().st_size
    assert read["worst_seconds"] >= read["seconds"] > 0
    assert {row["threads"] for row in rows if row["row"] == "host"} == {1, 16}


def test_of_a_large_file_the_disk_reads_a_part(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hearth.load_bench._DISK_BYTES", 4096)
    _, (_, *rows) = run(capsys, str(model))
    disk = [row for row in rows if row["row"] == "disk" and "left_out" not in row]
    if not disk:
        pytest.skip("NOT RUN, this file system refuses O_DIRECT")
    assert {row["bytes"] for row in disk} == {4096}
    assert model.stat().st_size > 4096


def test_cold_rows_are_measured_only_when_asked_for(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def cold(*words: str) -> set[str]:
        _, rows = run(capsys, str(model), *words)
        return {r["row"] for r in rows if r.get("cache") == "cold" and "left_out" not in r}

    assert cold() == set()
    assert "read_ahead" in cold("--cold")


def test_what_arrived_on_the_gpu_is_compared(
    model: Path, gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = run(capsys, str(model), "--cold")
    equal = [(r["row"], r["cache"]) for r in rows if r.get("bytes_equal")]
    assert code == 0
    assert equal == [
        ("map_register_upload", "warm"),
        ("upload_registered", "host tier"),
        ("upload_ring", "warm"),
        ("upload_ring", "cold"),
        ("upload_ring", "cold"),
    ]


def test_another_byte_on_the_gpu_ends_it_with_one(
    model: Path, gpu: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Arena, "spoiled", True)
    assert main(["bench", "load", "--repeat", "1", str(model)]) == 1
    shown = capsys.readouterr()
    assert "model.safetensors: other bytes on the device" in shown.err
    assert "all included" not in shown.out


def test_a_missing_file_is_named_and_the_others_are_measured(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "load", "--repeat", "1", str(tmp_path / "none"), str(model)]) == 1
    shown = capsys.readouterr()
    assert "none: there is no such file" in shown.err
    assert "none, 0.00" not in shown.out
    assert "model.safetensors, 0.01 GB, median and worst" in shown.out
    assert "not measured: no GPU: no driver" in shown.out


def test_every_row_has_words() -> None:
    bench = load_bench.LoadBench(Path("a"), gpu_reason="none")
    assert {"bus", "read_ahead", "upload_ring", "safetensors"} <= set(cli_bench._WORDS)
    row = bench.left_out("disk", "past it", "O_DIRECT is refused", threads=16)
    assert cli_bench._cells(row)[0] == "disk, 16 threads"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--repeat", "0"], "--repeat: 1 or more"),
        (["--device", "-5"], "--device: 0 or more"),
        (["--repeat", "x"], "--repeat: invalid number value: 'x'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "load", *words, "a.safetensors"])
    assert told in capsys.readouterr().err
