"""What figures depend on, for every line of them. Neither imports torch nor touches the GPU."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess

from benchmarks.harness.comfy_server import REPOSITORY


def machine() -> dict[str, str]:
    """Commit, GPU with its driver, and the versions of what computes."""
    commit = _said(["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"])
    stamp = REPOSITORY / "COMMIT"  # of a tree without its repository
    if not commit and stamp.exists():
        commit = stamp.read_text(encoding="ascii").strip()
    query = ["--query-gpu=name,driver_version", "--format=csv,noheader"]
    gpu = _said(["nvidia-smi", *query]).partition("\n")[0] or "none"
    return {
        "commit": commit,
        "gpu": gpu,
        "host": platform.node(),
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "cpu": platform.machine(),
    }


def _said(command: list[str]) -> str:
    """What a command prints; nothing where it is not installed or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
