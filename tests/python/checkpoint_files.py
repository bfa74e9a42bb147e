"""Builds safetensors files byte by byte: good ones, and any kind of bad one."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any


def file_bytes(header: Mapping[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A file with this header, as JSON or as it is given."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    """A tensor as the header tells it; the defaults are one F32 of four bytes."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def good_file(dtype: str = "F32", data: bytes = b"\0\0\x80\x3f") -> bytes:
    """One tensor `x` of these bytes."""
    sizes = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1}
    count = len(data) // sizes[dtype]
    return file_bytes({"x": entry(dtype, [count], [0, len(data)])}, data)
