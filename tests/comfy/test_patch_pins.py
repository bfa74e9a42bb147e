"""hearth's pins of a LoRA have the bytes that ComfyUI itself would read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.toy_models import write_lora

CASES = Path(__file__).with_name("patch_cases.py")


def test_comfyuis_transfer_takes_hearths_pins_of_a_lora(comfy: Path, tmp_path: Path) -> None:
    lora = write_lora(tmp_path / "lora.safetensors", 8, depth=3)
    command = [sys.executable, str(CASES), str(comfy), str(lora)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["sources"] > 2
    assert counts["pins"] == counts["equal"] == counts["sources"]
