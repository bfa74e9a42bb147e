"""The host tier through its Python face, with real files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hearth import device, host_files
from hearth.errors import CheckpointCorruptError, CheckpointNotFoundError

DATA = os.urandom(1 << 20) * 9 + b"tail"


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "model.safetensors"
    path.write_bytes(DATA)
    yield path
    host_files.tier().give_way()


def test_a_view_has_the_files_bytes(model: Path) -> None:
    with host_files.tier().hold(model) as file:
        file.read_ahead(wait=True)
        assert file.progress["done_bytes"] == file.nbytes == len(DATA)
        assert bytes(memoryview(file.view())) == DATA
        assert bytes(memoryview(file.view(7, 100))) == DATA[7:107]
        assert file.view(7).address == file.address + 7


def test_a_file_held_twice_is_mapped_once(model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.safetensors"
    link.symlink_to(model)
    with host_files.tier().hold(model) as first, host_files.tier().hold(link) as second:
        assert first.address == second.address
        assert host_files.tier().stats()["mapped_bytes"] == len(DATA)


def test_a_held_file_is_found_by_an_open_descriptor(model: Path) -> None:
    with model.open("rb") as stream:
        assert host_files.find_open_file(stream.fileno()) is None
        with host_files.tier().hold(model) as file:
            found = host_files.find_open_file(stream.fileno())
            assert found is not None
            assert found.address == file.address


def test_a_view_outlives_the_file_it_is_of(model: Path) -> None:
    file = host_files.tier().hold(model)
    view = memoryview(file.view())
    file.close()
    assert file.closed
    assert host_files.tier().give_way() == 0
    assert bytes(view) == DATA
    view.release()
    assert host_files.tier().give_way() == len(DATA)


def test_a_view_cannot_leave_the_file(model: Path) -> None:
    with host_files.tier().hold(model) as file:
        for offset, nbytes in [(0, len(DATA) + 1), (len(DATA) + 1, None), (1, 2**64 - 1)]:
            with pytest.raises(IndexError):
                file.view(offset, nbytes)


def test_a_view_is_read_only(model: Path) -> None:
    with host_files.tier().hold(model) as file:
        assert memoryview(file.view()).readonly


def test_a_file_written_to_is_refused_and_its_next_holder_gets_the_new_bytes(model: Path) -> None:
    with host_files.tier().hold(model) as file:
        model.write_bytes(DATA[::-1])
        assert file.state == "poisoned"
        with pytest.raises(CheckpointCorruptError, match="model.safetensors"):
            file.view()
        with host_files.tier().hold(model) as again:
            assert bytes(memoryview(again.view())) == DATA[::-1]


def test_a_truncated_file_reads_as_zeros_and_is_refused(model: Path) -> None:
    with host_files.tier().hold(model) as file:
        view = memoryview(file.view())
        os.truncate(model, 4096)
        assert bytes(view[:4096]) == DATA[:4096]
        assert not any(view[-4096:])
        with pytest.raises(CheckpointCorruptError):
            file.require_sound()
        view.release()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match="gone.safetensors"):
        host_files.tier().hold(tmp_path / "gone.safetensors")


def test_a_closed_file_says_so(model: Path) -> None:
    file = host_files.tier().hold(model)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.view()


def test_torch_views_the_bytes_without_copying_them(model: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    with host_files.tier().hold(model) as file:
        tensor = torch.from_dlpack(file.view(16, 1 << 20))
        assert tensor.data_ptr() == file.address + 16
    assert host_files.tier().give_way() == 0, "the tensor keeps its bytes mapped"
    assert tensor.numpy().tobytes() == DATA[16 : 16 + (1 << 20)]


def test_without_a_gpu_registering_says_why(model: Path) -> None:
    found = device.probe()
    if found.devices:
        pytest.skip("this machine has a GPU")
    assert found.reason
    with host_files.tier().hold(model) as file:
        assert file.register() == 0
        assert found.reason in file.refusal
