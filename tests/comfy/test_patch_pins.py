"""hearth's pins of LoRAs have the bytes that ComfyUI itself would read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.safetensors_file import TensorSpec, write_safetensors

CASES = Path(__file__).with_name("patch_cases.py")
# One of each kind that ComfyUI knows, and of each the tensors that it packs.
KINDS = {
    "lora": {"lora_up.weight": (64, 7), "lora_down.weight": (7, 96), "alpha": ()},
    "dora": {"lora_up.weight": (64, 7), "lora_down.weight": (7, 96), "dora_scale": (64, 1)},
    "middle": {
        "lora_up.weight": (64, 7, 1, 1),
        "lora_mid.weight": (7, 7, 3, 3),
        "lora_down.weight": (7, 32, 1, 1),
    },
    "loha": {
        "hada_w1_a": (64, 5),
        "hada_w1_b": (5, 96),
        "hada_w2_a": (64, 5),
        "hada_w2_b": (5, 96),
    },
    "lokr": {"lokr_w1": (8, 8), "lokr_w2_a": (8, 3), "lokr_w2_b": (3, 12)},
    "glora": {
        "a1.weight": (4, 96),
        "a2.weight": (96, 4),
        "b1.weight": (4, 96),
        "b2.weight": (64, 4),
    },
    "oft": {"oft_blocks": (8, 8, 8), "rescale": (64, 1)},
    "diff": {"diff": (64, 96), "diff_b": (100,)},
    "set": {"set_weight": (33, 3)},
}


def test_comfyuis_transfer_takes_hearths_pins_of_every_kind_of_lora(
    comfy: Path, tmp_path: Path
) -> None:
    tensors = [
        TensorSpec(f"{kind}{dtype}.{name}", shape, dtype, std=0.1)
        for kind, names in KINDS.items()
        for dtype in ("F32", "BF16")
        for name, shape in names.items()
    ]
    file = write_safetensors(tmp_path / "loras.safetensors", tensors, 8)
    command = [sys.executable, str(CASES), str(comfy), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["sources"] == 2 * (len(KINDS) + 1) + 1  # a bias, and two on one weight
    assert counts["pins"] == counts["equal"] == counts["sources"]
