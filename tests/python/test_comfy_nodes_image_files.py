"""Images written beside a prompt: names, numbers, and what is there when."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN, needs numpy")
Image = pytest.importorskip("PIL.Image", reason="NOT RUN, needs pillow")

from hearth import png  # noqa: E402

from comfy_nodes import image_files  # noqa: E402
from comfy_nodes.image_files import ImageFiles, ImageRequest, texts_of  # noqa: E402


class Images:
    """A batch, as far as saving needs it of a tensor."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __getitem__(self, index: int) -> Any:
        return self._values[index]

    def __mul__(self, factor: float) -> Images:
        return Images(self._values * np.float32(factor))

    def clamp(self, low: float, high: float) -> Images:
        return Images(self._values.clip(low, high))

    def byte(self) -> Images:
        return Images(self._values.astype(np.uint8))

    def cpu(self) -> Images:
        return self

    contiguous = cpu

    def numpy(self) -> Any:
        return self._values


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI's output folder, with its way to count files by their names."""

    def place(prefix: str, folder: str, width: int, height: int) -> tuple[Any, ...]:
        taken = [int(name.split("_")[1]) for name in os.listdir(folder)]
        return folder, prefix, max(taken, default=0) + 1, "", prefix

    fake = SimpleNamespace(get_save_image_path=place, get_output_directory=lambda: str(tmp_path))
    monkeypatch.setitem(sys.modules, "folder_paths", fake)  # type: ignore[arg-type]
    return tmp_path


def batch(count: int = 1, channels: int = 3) -> Images:
    values = np.random.default_rng(1).random((count, 6, 5, channels), np.float32) * 1.2 - 0.1
    return Images(values)


def test_a_batch_is_there_when_its_names_are(output: Path) -> None:
    request = ImageRequest(batch(3), "x", texts_of({"1": {}}, {"workflow": [1]}))
    answers = asyncio.run(ImageFiles().save(request))
    assert [each["filename"] for each in answers] == [f"x_0000{i}_.png" for i in (1, 2, 3)]
    assert sorted(os.listdir(output)) == [each["filename"] for each in answers]
    image = Image.open(output / "x_00002_.png")
    expected = np.clip(np.float32(255.0) * request.images[1], 0, 255).astype(np.uint8)
    assert np.array_equal(np.asarray(image), expected)
    assert image.text == {"prompt": '{"1": {}}', "workflow": "[1]"}


def test_while_a_file_is_written_its_number_is_taken_and_its_name_is_not_there(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go = threading.Event(), threading.Event()
    encode = png.encode

    def held(*args: Any) -> bytes:
        written.set()
        assert go.wait(20)
        return encode(*args)

    monkeypatch.setattr(png, "encode", held)
    files, folders = ImageFiles(), sys.modules["folder_paths"]

    async def work() -> None:
        first = asyncio.create_task(files.save(ImageRequest(batch(), "x", {})))
        await asyncio.get_running_loop().run_in_executor(None, written.wait, 20)
        (unfinished,) = os.listdir(output)
        assert unfinished.startswith("x_00001_.~")
        assert len(unfinished) == len("x_00001_.png")
        assert folders.get_save_image_path("x", str(output), 5, 6)[2] == 2
        assert not first.done()
        go.set()
        await first

    asyncio.run(work())
    assert os.listdir(output) == ["x_00001_.png"]


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_files.Path, "write_bytes", full)
    with pytest.raises(OSError, match="x_00001_.png could not be written .* No space left"):
        asyncio.run(ImageFiles().save(ImageRequest(batch(), "x", {})))
    assert os.listdir(output) == []


def test_a_name_as_long_as_the_folder_takes_is_no_longer_while_it_is_written(output: Path) -> None:
    prefix = "x" * (os.pathconf(output, "PC_NAME_MAX") - len("_00001_.png"))
    asyncio.run(ImageFiles().save(ImageRequest(batch(), prefix, {})))
    assert os.listdir(output) == [f"{prefix}_00001_.png"]
    with pytest.raises(OSError, match="could not be written .* too long"):
        asyncio.run(ImageFiles().save(ImageRequest(batch(), f"{prefix}x", {})))


def test_two_saves_to_one_name_at_once_leave_one_whole_file(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, encode = threading.Barrier(2, timeout=20), png.encode

    def together(*args: Any) -> bytes:
        both.wait()
        data = encode(*args)
        both.wait()
        return data

    monkeypatch.setattr(png, "encode", together)
    numbered = sys.modules["folder_paths"].get_save_image_path
    first = numbered("x", str(output), 5, 6)
    monkeypatch.setattr(sys.modules["folder_paths"], "get_save_image_path", lambda *_: first)
    files, request = ImageFiles(), ImageRequest(batch(), "x", {})

    async def work() -> None:
        await asyncio.gather(files.save(request), files.save(request))

    asyncio.run(work())
    assert os.listdir(output) == ["x_00001_.png"]
    Image.open(output / "x_00001_.png").load()


def test_two_channels_are_grey_and_alpha_as_in_comfyui(output: Path) -> None:
    request = ImageRequest(batch(channels=2), "x", {"prompt": "{}"})
    asyncio.run(ImageFiles().save(request))
    image = Image.open(output / "x_00001_.png")
    expected = np.clip(np.float32(255.0) * request.images[0], 0, 255).astype(np.uint8)
    assert (image.mode, image.text) == ("LA", {"prompt": "{}"})
    assert np.array_equal(np.asarray(image), expected)
