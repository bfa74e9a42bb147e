"""Files of LoRAs in the host tier: found by the descriptor that ComfyUI reads them through."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.comfy_fakes import Management, Torch  # noqa: E402
from fakes.comfy_host import wait_for_registering  # noqa: E402
from hearth import host_files  # noqa: E402
from hearth.errors import CheckpointCorruptError  # noqa: E402

from comfy_nodes.adapter import ComfyAdapter  # noqa: E402
from comfy_nodes.file_work import FileWork  # noqa: E402
from comfy_nodes.patch_files import PatchFiles  # noqa: E402

_SIZE = 3 * 4096


class Lora:
    """A file as ComfyUI has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(os.urandom(_SIZE))
        self.descriptor = os.open(path, os.O_RDONLY)

    def is_held(self) -> bool:
        wait_for_registering()
        place = (os.fstat(self.descriptor).st_dev, os.fstat(self.descriptor).st_ino)
        files = host_files.tier().stats()["files"]
        return any(
            (each["identity"].device, each["identity"].inode) == place and each["held"]
            for each in files
        )


@pytest.fixture
def files() -> Iterator[PatchFiles]:
    """Nothing is left in the process's one tier: other tests count what is mapped there."""
    adapter: Any = ComfyAdapter(Management(), Torch())
    made = PatchFiles(adapter, host_files.tier(), FileWork())
    yield made
    for _ in range(2):
        made.end_prompt()
    wait_for_registering()
    host_files.tier().give_way()


@pytest.fixture
def lora(tmp_path: Path) -> Iterator[Lora]:
    made = Lora(tmp_path / "lora.safetensors")
    yield made
    os.close(made.descriptor)


def test_a_file_is_held_while_prompts_use_it(files: PatchFiles, lora: Lora) -> None:
    files.find(lora.descriptor)
    assert lora.is_held()
    files.end_prompt()
    assert lora.is_held()
    files.end_prompt()  # a prompt that did not use it
    assert not lora.is_held()


def test_a_file_without_a_name_is_left_to_comfyui(files: PatchFiles, lora: Lora) -> None:
    lora.path.unlink()
    assert files.find(lora.descriptor) is None
    assert not lora.is_held()


def test_a_file_that_another_has_replaced_is_left_to_comfyui(
    files: PatchFiles, lora: Lora, tmp_path: Path
) -> None:
    other = Lora(tmp_path / "other")
    other.path.rename(lora.path)
    assert files.find(lora.descriptor) is None
    os.close(other.descriptor)


def test_bytes_that_are_gone_end_the_prompt_that_has_used_them(
    files: PatchFiles, lora: Lora
) -> None:
    files.find(lora.descriptor)
    files.check()
    os.truncate(lora.path, 10)
    with pytest.raises(CheckpointCorruptError, match=r"lora\.safetensors"):
        files.check()
    files.check()
    assert not lora.is_held()


def test_a_file_that_was_written_to_is_read_by_comfyui(files: PatchFiles, lora: Lora) -> None:
    files.find(lora.descriptor)
    lora.path.write_bytes(os.urandom(_SIZE))
    os.utime(lora.path, ns=(1, 1))
    files.check()
    assert not lora.is_held()


def test_a_file_that_was_cut_while_it_is_asked_for_again_still_ends_the_prompt(
    files: PatchFiles, lora: Lora
) -> None:
    files.find(lora.descriptor)
    os.truncate(lora.path, 10)
    assert files.find(lora.descriptor) is None
    with pytest.raises(CheckpointCorruptError):
        files.check()


def test_a_file_as_large_as_a_checkpoint_is_left_to_comfyui(files: PatchFiles, lora: Lora) -> None:
    os.truncate(lora.path, (4 << 30) + 1)
    assert files.find(lora.descriptor) is None
    assert not lora.is_held()


def test_a_file_that_was_cut_between_prompts_ends_none(files: PatchFiles, lora: Lora) -> None:
    files.find(lora.descriptor)
    files.end_prompt()
    os.truncate(lora.path, 10)
    files.check()
    assert files.find(lora.descriptor) is None
    assert not lora.is_held()
