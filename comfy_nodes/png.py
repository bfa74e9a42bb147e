"""PNG files as ComfyUI's SaveImage writes them, in a tenth of the time.

The time of a PNG is in two places: PIL tries five filters for each row, and zlib searches long.
Here every row has the filter that suits photographs, and ISA-L searches, where the package `isal`
is there, else zlib's fastest level.
"""

from __future__ import annotations

import functools
import importlib
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

Chunks = list[tuple[bytes, bytes]]
Array = Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {3: 2, 4: 6}  # RGB, RGBA
_AVERAGE = 3
_ISAL_LEVEL = 2


def encode(pixels: Array, texts: Mapping[str, str]) -> bytes:
    """A whole file. `pixels`: height x width x 3 (RGB) or 4 (RGBA) of uint8, in C order. `texts`:
    in this order, as PIL's PngInfo takes them. Raises ValueError for other pixels."""
    height, width, channels = pixels.shape
    if channels not in _COLOUR_TYPES:
        raise ValueError(f"a PNG holds RGB or RGBA, and these images have {channels} channels")
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    data = _compressor()(filtered(pixels))
    chunks = [(b"IHDR", header), *_text_chunks(texts), (b"IDAT", data), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def filtered(pixels: Array) -> Array:
    """Each row behind the number of its filter: the difference to the mean, rounded down, of what
    is to the left and above (PNG specification, 9.2, type 3)."""
    numpy = importlib.import_module("numpy")
    height, width, channels = pixels.shape
    rows = pixels.reshape(height, width * channels)
    found = numpy.empty((height, width * channels + 1), numpy.uint8)
    found[:, 0] = _AVERAGE
    left, above = numpy.zeros_like(rows), numpy.zeros_like(rows)
    left[:, channels:] = rows[:, :-channels]
    above[1:] = rows[:-1]
    # The mean of two bytes without a ninth bit.
    mean = (left & above) + ((left ^ above) >> 1)
    numpy.subtract(rows, mean, out=found[:, 1:])
    return found


@functools.cache
def _compressor() -> Callable[[Array], bytes]:
    try:
        isal = importlib.import_module("isal.isal_zlib")
    except ImportError:
        return lambda rows: zlib.compress(rows, 1)
    return lambda rows: bytes(isal.compress(rows, _ISAL_LEVEL))


def _text_chunks(texts: Mapping[str, str]) -> Chunks:
    info = importlib.import_module("PIL.PngImagePlugin").PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return [(kind, body) for kind, body, *_ in info.chunks]


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(body, zlib.crc32(kind))
    return b"".join((struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)))
