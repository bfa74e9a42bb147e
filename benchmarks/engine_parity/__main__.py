"""Computes on both sides and compares; see `--help`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from benchmarks.engine_parity import cases, verdict
from benchmarks.harness import toy_zimage
from benchmarks.harness.comfy_server import REPOSITORY, find_comfy
from benchmarks.harness.safetensors_file import write_safetensors
from benchmarks.harness.zimage_models import files, text_encoder_tensors
from benchmarks.rows.machine import machine

_TOY_PACK = REPOSITORY / "tests" / "comfy" / "toy_zimage_pack"
_WORDS = 151936


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; ends the process with 2 and a line saying what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine_parity",
        description="Errors of hearth's transformer, text encoder and VAE, and of ComfyUI's own "
        "bfloat16, against ComfyUI's modules in float32 on the same files. Ends with 1 when hearth "
        "errs more than it may.",
    )
    add = parser.add_argument
    add("--models", type=Path, help="models folder, as benchmarks.harness.zimage_models writes it")
    add("--toy", action="store_true", help="toy models, made for it, on the CPU")
    add("--out", type=Path, help="JSON lines are added to this file")
    given = parser.parse_args(arguments)
    if (given.models is None) != given.toy:
        parser.error("give --models or --toy")
    return given


def _true_job(models: Path) -> cases.Job:
    transformer, text_encoder, vae, *_ = (str((models / name).resolve()) for name in files())
    return cases.Job(str(find_comfy()), transformer, text_encoder, vae, toy=False)


def _toy_job(models: Path) -> cases.Job:
    """With as many words as ComfyUI's tokenizer has."""
    toy_zimage.write_all(models)
    text_encoder = models / "text_encoders" / toy_zimage.TEXT_ENCODER
    specs = text_encoder_tensors(replace(toy_zimage.TOY, vocabulary=_WORDS))
    write_safetensors(text_encoder, list(toy_zimage.scaled(specs)), 4)
    transformer = str(models / "diffusion_models" / toy_zimage.TRANSFORMERS[0])
    places = transformer, str(text_encoder), str(models / "vae" / toy_zimage.VAE)
    return cases.Job(str(find_comfy()), *places, toy=True, pack=str(_TOY_PACK))


def _compute(side: str, folder: Path) -> None:
    """In a process of its own, so that neither's memory or settings are the other's."""
    paths = [str(REPOSITORY), str(REPOSITORY / "bindings"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", f"benchmarks.engine_parity.{side}", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=sys.stderr, check=True)


def _found(job: cases.Job, folder: Path) -> tuple[list[verdict.Row], dict[str, Any]]:
    job.write(folder)
    for side in ("comfy_side", "hearth_side"):
        _compute(side, folder)
    comfy, hearth = (load_file(folder / f"{name}.safetensors") for name in ("comfy", "hearth"))
    types = json.loads((folder / "comfy.json").read_text(encoding="utf-8"))
    return verdict.judge(comfy, hearth, toy=job.toy), types


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every rule is kept."""
    given = parse(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = _toy_job(folder / "models") if given.toy else _true_job(given.models)
        rows, types = _found(job, folder)
    print(verdict.table(rows))
    print("\n" + ", ".join(f"{part}: {type_}" for part, type_ in types.items()))
    words = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "benchmarks.engine_parity", *words])
    about = machine() | {"command": command, "types": types}
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        with given.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row) | about) + "\n" for row in rows)
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
