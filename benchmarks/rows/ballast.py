"""Takes the first device's memory but for so many GiB, says so, and holds it until killed."""

from __future__ import annotations

import sys

import torch

_CHUNK = 256 << 20


def main() -> int:
    """Command line: GiB to leave free."""
    leave = int(float(sys.argv[1]) * (1 << 30))
    held = []
    while torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > leave + _CHUNK:
        held.append(torch.empty(_CHUNK, dtype=torch.uint8, device="cuda"))
    print(f"holding {len(held) * _CHUNK >> 30} GiB", flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
