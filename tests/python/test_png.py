"""hearth's PNG files against PIL's: the same pixels and the same metadata."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import threading
import zlib
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="NOT RUN, needs numpy")
Image = pytest.importorskip("PIL.Image", reason="NOT RUN, needs pillow")
PngInfo = pytest.importorskip("PIL.PngImagePlugin").PngInfo
pytest.importorskip("isal", reason="NOT RUN, needs isal: pip install isal")

from hearth import png  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as arrays  # noqa: E402

PIXELS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([3, 4])).flatmap(
    lambda shape: arrays.arrays(np.uint8, shape)
)
NAMES = st.text(st.characters(codec="latin-1", exclude_characters="\0"), min_size=1, max_size=20)


@pytest.fixture(params=["isal", "zlib"])
def compressor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """With the package and without it."""
    if request.param == "zlib":
        monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    png._deflate.cache_clear()
    yield request.param
    png._deflate.cache_clear()


def by_pil(pixels: Any, texts: dict[str, str]) -> Any:
    """The image that PIL writes, read again."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, compress_level=4)
    return Image.open(file)


def assert_strict(file: bytes, pixels: Any) -> None:
    """As a reader that forgives nothing: checks of all chunks, one zlib stream and no byte more,
    and each row from its filter (PNG specification, 9.2), which has to be type 3."""
    found, at = [], 8
    while at < len(file):
        size = int.from_bytes(file[at : at + 4], "big")
        kind_and_body, check = file[at + 4 : at + 8 + size], file[at + 8 + size : at + 12 + size]
        assert zlib.crc32(kind_and_body) == int.from_bytes(check, "big")
        found.append((kind_and_body[:4], kind_and_body[4:]))
        at += 12 + size
    assert [found[0][0], found[-1]] == [b"IHDR", (b"IEND", b"")]
    stream = zlib.decompressobj()
    rows = stream.decompress(b"".join(body for kind, body in found if kind == b"IDAT"))
    assert (stream.eof, stream.unused_data) == (True, b"")
    height, width, channels = pixels.shape
    filtered = np.frombuffer(rows, np.uint8).reshape(height, width * channels + 1)
    assert (filtered[:, 0] == 3).all()
    row = pixels.reshape(height, width * channels).astype(int)
    left = np.pad(row, ((0, 0), (channels, 0)))[:, :-channels]
    above = np.pad(row, ((1, 0), (0, 0)))[:-1]
    assert ((filtered[:, 1:] + (left + above) // 2) % 256 == row).all()


def assert_equal(pixels: Any, texts: dict[str, str], strips: int | None = None) -> None:
    file = png.encode(pixels, texts, strips)
    assert_strict(file, pixels)
    ours, theirs = Image.open(io.BytesIO(file)), by_pil(pixels, texts)
    assert np.array_equal(np.asarray(ours), pixels)
    assert (ours.mode, ours.size) == (theirs.mode, theirs.size)
    ours.load()
    theirs.load()
    assert (ours.text, list(ours.info)) == (theirs.text, list(theirs.info))


@settings(max_examples=60, deadline=None)
@given(
    pixels=PIXELS,
    texts=st.dictionaries(NAMES, st.text(max_size=50), max_size=3),
    strips=st.integers(1, 9) | st.none(),
)
def test_any_pixels_and_texts_are_read_as_pils_are_whatever_the_strips(
    pixels: Any, texts: dict[str, str], strips: int | None
) -> None:
    assert_equal(pixels, texts, strips)


def test_without_isal_the_image_is_the_same(compressor: str) -> None:
    ramp = np.add.outer(np.arange(300), np.arange(200)).astype(np.uint8)
    assert_equal(np.stack([ramp, ramp.T[:1].repeat(300, 0)[:, :200], 255 - ramp], 2), {"a": "雪"})


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_other_channels_are_refused_in_words(channels: int) -> None:
    with pytest.raises(ValueError, match=f"these images have {channels} channels"):
        png.encode(np.zeros((2, 2, channels), np.uint8), {})


def noise(*shape: int) -> Any:
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("strips", range(1, 10))
@pytest.mark.parametrize("shape", [(1, 4000, 3), (301, 257, 4), (7, 3, 3)])
def test_strips_make_one_stream_with_each_compressor(
    compressor: str, shape: tuple[int, ...], strips: int
) -> None:
    assert_equal(noise(*shape), {"prompt": "{}"}, strips)
    flat = np.zeros(shape, np.uint8)
    assert_equal(flat, {}, strips)


def test_a_large_image_is_packed_by_several_threads_and_a_small_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(png, "_cores", lambda: 4)
    small, large = noise(64, 64, 3), noise(512, 1024, 3)
    assert png.encode(small, {}) == png.encode(small, {}, 1)
    assert png.encode(large, {}) == png.encode(large, {}, 4) != png.encode(large, {}, 1)


def test_bytes_do_not_depend_on_which_thread_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, pack = noise(200, 300, 3), png._filter
    expected = png.encode(pixels, {}, 4)
    last_done = threading.Event()

    def last_first(image: Any, rows: png.Rows, found: Any) -> None:
        if rows.end == 200:
            last_done.set()
        else:
            assert rows.first != 0 or last_done.wait(20)
        pack(image, rows, found)

    monkeypatch.setattr(png, "_filter", last_first)
    assert png.encode(pixels, {}, 4) == expected


def test_a_fork_has_threads_of_its_own() -> None:
    pixels = noise(200, 300, 3)
    expected = png.encode(pixels, {}, 4)
    child = multiprocessing.get_context("fork").Pool(1)
    with child:
        assert child.apply_async(png.encode, (pixels, {}, 4)).get(60) == expected


def test_while_the_interpreter_ends_the_image_is_still_whole() -> None:
    program = """if True:
        import sys, threading, numpy
        from hearth import png
        pixels = numpy.zeros((200, 300, 3), numpy.uint8)
        def work():
            threading.main_thread().join()
            sys.stdout.buffer.write(png.encode(pixels, {}, 4))
            sys.stdout.flush()
        threading.Thread(target=work).start()
    """
    paths = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert_strict(done.stdout, np.zeros((200, 300, 3), np.uint8))


@pytest.mark.parametrize("strips", [1, 2, 9])
def test_libpng_reads_what_was_written(compressor: str, strips: int) -> None:
    torch = pytest.importorskip("torch", reason="NOT RUN, needs torch and torchvision's libpng")
    libpng = pytest.importorskip("torchvision.io", reason="NOT RUN, needs torchvision's libpng")
    for pixels in (noise(1, 500, 3), noise(333, 257, 4), np.zeros((9, 1, 3), np.uint8)):
        file = bytearray(png.encode(pixels, {"a": "雪"}, strips))
        data = torch.frombuffer(file, dtype=torch.uint8)
        found = libpng.decode_png(data, libpng.ImageReadMode.UNCHANGED)
        assert np.array_equal(found.permute(1, 2, 0).numpy(), pixels)
