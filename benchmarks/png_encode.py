"""How long a PNG takes, best of seven: `python -m benchmarks.png_encode [SIZE]` prints a table."""

from __future__ import annotations

import functools
import importlib
import io
import sys
import time
from collections.abc import Callable
from typing import Any

from hearth import png

_REPEAT = 7
_SIZE = 1024
_TEXTS = {"prompt": "{}"}
Pixels = Any


def main() -> None:
    """Each encoder with each image; strips side by side as far as there are cores."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else _SIZE
    images = _images(size)
    print("| encoder | " + " | ".join(f"{name}, ms (MB)" for name in images) + " |")
    print("|---" * (len(images) + 1) + "|")
    for level in (4, 1):
        _row(f"PIL level {level}", images, functools.partial(_by_pil, level=level))
    for compressor in ("isal", "zlib"):
        if compressor == "zlib":
            sys.modules["isal.isal_zlib"] = None  # type: ignore[assignment]
        png._deflate.cache_clear()
        for count in (1, 2, 4, 8):
            name = f"hearth, {compressor}, {count} strip" + "s" * (count > 1)
            _row(name, images, functools.partial(png.encode, texts=_TEXTS, strips=count))


def _images(size: int) -> dict[str, Pixels]:
    """Uniform noise, and waves of colour under a sensor's noise of 3 of 255; size x size x 3."""
    np = importlib.import_module("numpy")
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size]
    waves = [80 * np.sin(x / 90 + y / 200), 90 * np.cos(y / 70), 60 * np.sin((x + y) / 150)]
    photo = 127 + np.stack(waves, 2) + random.normal(0, 3, (size, size, 3))
    noise = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    return {"noise": noise, "photograph-like": photo.clip(0, 255).astype(np.uint8)}


def _row(name: str, images: dict[str, Pixels], encode: Callable[[Pixels], bytes]) -> None:
    cells = []
    for pixels in images.values():
        seconds, size = [], 0
        for _ in range(_REPEAT):
            began = time.perf_counter()
            size = len(encode(pixels))
            seconds.append(time.perf_counter() - began)
        cells.append(f"{min(seconds) * 1000:.0f} ({size / 1e6:.2f})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _by_pil(pixels: Pixels, level: int) -> bytes:
    file = io.BytesIO()
    image = importlib.import_module("PIL.Image")
    image.fromarray(pixels).save(file, "PNG", compress_level=level)
    return file.getvalue()


if __name__ == "__main__":
    main()
