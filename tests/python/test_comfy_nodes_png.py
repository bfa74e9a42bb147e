"""hearth's PNG files against PIL's: the same pixels and the same metadata."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN, needs numpy")
Image = pytest.importorskip("PIL.Image", reason="NOT RUN, needs pillow")
PngInfo = pytest.importorskip("PIL.PngImagePlugin").PngInfo
pytest.importorskip("isal", reason="NOT RUN, needs isal: pip install isal")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as arrays  # noqa: E402

from comfy_nodes import image_files, png  # noqa: E402
from comfy_nodes.image_files import ImageFiles, ImageRequest, texts_of  # noqa: E402

PIXELS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4])).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape)
)
NAMES = st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1, max_size=20)


@pytest.fixture(params=["isal", "zlib"])
def compressor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With the package and without it."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    png._compressor.cache_clear()
    yield request.param
    png._compressor.cache_clear()


def by_pil(pixels: Any, texts: dict[str, str]) -> Any:
    """The image that PIL writes, read again."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_level=4)
    return Image.open(file)


def assert_equal(pixels: Any, texts: dict[str, str]) -> None:
    ours, theirs = Image.open(io.BytesIO(png.encode(pixels, texts))), by_pil(pixels, texts)
    assert np.array_equal(np.asarray(ours), pixels)
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    ours.load()
    theirs.load()
    assert (ours.text, list(ours.info)) == (theirs.text, list(theirs.info))


@settings(max_examples=60, deadline=None)
@given(pixels=PIXELS, texts=st.dictionaries(NAMES, st.text(max_size=50), max_size=3))
def test_any_pixels_and_texts_are_read_as_pils_are(pixels: Any, texts: dict[str, str]) -> None:
    assert_equal(pixels, texts)


def test_without_isal_the_image_is_the_same(compressor: str) -> None:
    ramp = np.add.outer(np.arange(300), np.arange(200)).astype(np.uint8)
    assert_equal(np.stack([ramp, ramp.T[:1].repeat(300, 0)[:, :200], 255 - ramp], 2), {"a": "雪"})


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_are_refused_in_words(channels: int) -> None:
    with pytest.raises(ValueError, match=f"these images have {channels} channels"):
        png.encode(np.zeros((2, 2, channels), np.uint8), {})


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


def batch(count: int = 1) -> Images:
    values = np.random.default_rng(1).random((count, 6, 5, 3), np.float32) * 1.2 - 0.1
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
        assert os.listdir(output) == ["x_00001_.png.partial"]
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
