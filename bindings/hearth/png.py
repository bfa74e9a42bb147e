"""PNG files as ComfyUI's SaveImage writes them, in a tenth of the time.

The time of a PNG is in two places: PIL tries five filters for each row, and zlib searches long, on
one core. Here every row has the filter that suits photographs, ISA-L searches, where the package
`isal` is there, else zlib's fastest level, and strips of the image are filtered and packed side by
side: numpy and both compressors let other threads run meanwhile.
"""

from __future__ import annotations

import functools
import importlib
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

Chunks = list[tuple[bytes, bytes]]
Array = Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}  # RGB, RGBA
_AVERAGE = 3
_ISAL_LEVEL = 2
_ZLIB_LEVEL = 1
_RAW = -15
"""Deflate without a header, with the largest window."""
_ZLIB_HEADER = b"\x78\x01"
_MAX_STRIPS = 8
# Below this a thread costs more than it brings.
_MIN_STRIP_BYTES = 256 << 10


@dataclass(frozen=True)
class Rows:
    """Some rows of an image: from `first` to before `end`."""

    first: int
    end: int


def encode(pixels: Array, texts: Mapping[str, str], strips: int | None = None) -> bytes:
    """A whole file. `pixels`: height x width x 3 (RGB) or 4 (RGBA) of uint8, in C order. `texts`:
    in this order, as PIL's PngInfo takes them. `strips`: how many are packed side by side; None: as
    many as this process has cores, up to 8, and fewer for a small image. Equal arguments give equal
    bytes. From any thread. Raises ValueError for other pixels."""
    height, width, channels = pixels.shape
    if channels not in _COLOUR_TYPES:
        raise ValueError(f"a PNG holds RGB or RGBA, and these images have {channels} channels")
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    wanted = _strips_for(pixels.nbytes) if strips is None else strips
    data = _compressed(pixels, max(1, min(wanted, height)))
    chunks = [(b"IHDR", header), *_text_chunks(texts), (b"IDAT", data), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _strips_for(size: int) -> int:
    return min(_cores(), _MAX_STRIPS, size // _MIN_STRIP_BYTES)


def _compressed(pixels: Array, count: int) -> bytes:
    """The filtered rows as one zlib stream: every strip but the last ends on a whole byte, so that
    the next one can follow it."""
    numpy = importlib.import_module("numpy")
    height, width, channels = pixels.shape
    filtered = numpy.empty((height, width * channels + 1), numpy.uint8)

    def pack(rows: Rows) -> bytes:
        _filter(pixels, rows, filtered)
        packer = _deflate().compressobj(_level(), zlib.DEFLATED, _RAW)
        last = rows.end == height
        body = packer.compress(filtered[rows.first : rows.end])
        return bytes(body + packer.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH))

    edges = [height * number // count for number in range(count + 1)]
    strips = [Rows(first, end) for first, end in zip(edges, edges[1:], strict=False)]
    packed = _side_by_side(pack, strips)
    check = struct.pack(">I", _deflate().adler32(filtered))
    return b"".join((_ZLIB_HEADER, *packed, check))


def _filter(pixels: Array, strip: Rows, found: Array) -> None:
    """Puts each row of a strip behind the number of its filter: the difference to the mean, rounded
    down, of what is to the left and above (PNG specification, 9.2, type 3)."""
    numpy = importlib.import_module("numpy")
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)[strip.first : strip.end]
    left, above = numpy.zeros_like(rows), numpy.zeros_like(rows)
    left[:, channels:] = rows[:, :-channels]
    above[1:] = rows[:-1]
    if strip.first:
        above[0] = pixels[strip.first - 1].reshape(-1)
    # The mean of two bytes without a ninth bit.
    mean = left & above
    left ^= above
    left >>= 1
    mean += left
    found[strip.first : strip.end, 0] = _AVERAGE
    numpy.subtract(rows, mean, out=found[strip.first : strip.end, 1:])


def _side_by_side(pack: Callable[[Rows], bytes], strips: list[Rows]) -> list[bytes]:
    if len(strips) == 1:
        return [pack(strips[0])]
    try:
        futures = [_threads(os.getpid()).submit(pack, strip) for strip in strips[1:]]
    except RuntimeError:  # the interpreter ends, and this image is still to be whole
        return [pack(strip) for strip in strips]
    return [pack(strips[0]), *(future.result() for future in futures)]


@functools.cache
def _threads(process: int) -> ThreadPoolExecutor:
    """By process: a fork has none of its parent's threads."""
    return ThreadPoolExecutor(min(_cores(), _MAX_STRIPS), thread_name_prefix="hearth png")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@functools.cache
def _deflate() -> Any:
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib


def _level() -> int:
    return _ZLIB_LEVEL if _deflate() is zlib else _ISAL_LEVEL


def _text_chunks(texts: Mapping[str, str]) -> Chunks:
    info = importlib.import_module("PIL.PngImagePlugin").PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return [(kind, body) for kind, body, *_ in info.chunks]


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = _deflate().crc32(body, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)))
