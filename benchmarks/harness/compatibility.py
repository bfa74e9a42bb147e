"""What hearth finds in a ComfyUI, as a table: `python -m benchmarks.harness.compatibility` starts
the ComfyUIs of COMFYUI_PATH_OLD and COMFYUI_PATH and rewrites `docs/compatibility.md`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import toy_models
from benchmarks.harness.client import ComfyClient
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    ComfyServer,
    ServerSpec,
    find_comfy,
    find_older_comfy,
)
from benchmarks.harness.hearth_face import HearthFace

PAGE = REPOSITORY / "docs" / "compatibility.md"

# What each place of ComfyUI is taken hold of for, and what is done where it is not found.
SEAMS = {
    "between_prompts": (
        "`get`, `get_flags` and `set_flag` of the prompt queue: work between prompts",
        "no idle eviction, no prewarm; limits are applied when a model is loaded",
    ),
    "device_oom": (
        "`comfy.model_management.OOM_EXCEPTION`: which errors are want of GPU memory",
        "only want of RAM is met",
    ),
    "diffusion_forward": (
        "wrappers around a diffusion model, and the callback after it (`comfy.patcher_extension`)",
        "hearth's engine does not compute inside ComfyUI",
    ),
    "executing_context": (
        "`comfy_execution.utils.get_executing_context`: which node and prompt asks",
        "events name neither",
    ),
    "interrupt": (
        "`comfy.model_management`'s question whether the user wants the end of the prompt",
        "files that are being read for a prompt are read to their end",
    ),
    "is_oom": (
        "`comfy.model_management.is_oom`: the same question for all kinds of device",
        "`device_oom` alone says so",
    ),
    "loaded_models": (
        "`current_loaded_models` and `free_memory`: taking one model off its device",
        "what is evicted leaves VRAM when nobody holds it",
    ),
    "loader:CheckpointLoaderSimple": ("the method of the stock loader", "loaded by ComfyUI alone"),
    "loader:UNETLoader": ("the method of the stock loader", "loaded by ComfyUI alone"),
    "loader:CLIPLoader": ("the method of the stock loader", "loaded by ComfyUI alone"),
    "loader:DualCLIPLoader": ("the method of the stock loader", "loaded by ComfyUI alone"),
    "loader:VAELoader": ("the method of the stock loader", "loaded by ComfyUI alone"),
    "native_file_check": (
        "hearth's own check of safetensors files",
        "a bad file is told by ComfyUI",
    ),
    "node_api_v3": (
        "`comfy_api.latest`: nodes by schema and entry point",
        "the same nodes in the older API",
    ),
    "node_cache": (
        "`execution.PromptExecutor`: the cache of node outputs",
        "what lingers is not freed on demand",
    ),
    "node_texts": (
        "`PromptServer.send_progress_text`: a text at a node",
        "it is in the log and at `/hearth/events` only",
    ),
    "out_of_memory": (
        "where ComfyUI runs a node: one more try after an eviction",
        "an error ends the prompt",
    ),
    "prewarm": ("`execution.validate_inputs`, and the node cache", "nothing is loaded ahead"),
    "renamed_nodes": (
        "`node_replace_manager`: old names of nodes in a workflow that is prewarmed",
        "as in this ComfyUI's own prompts, only today's names are known",
    ),
    "routes": ("`PromptServer.instance.routes`", "no `/hearth/` addresses"),
    "sampler_function": (
        "wrappers around a sampler's run (`comfy.patcher_extension`): native steps",
        "hearth's sampler nodes take ComfyUI's steps",
    ),
    "sampler_object": (
        "`comfy.samplers.sampler_object`: ComfyUI's own sampler by its name",
        "no `hearth sampler`",
    ),
    "sampler_progress": (
        "`comfy.utils.model_trange`: ComfyUI's progress bar in the console",
        "tqdm's own",
    ),
    "seeded_noise": (
        "`comfy.k_diffusion.sampling.default_noise_sampler`: the noise that a seed gives",
        "hearth's sampler nodes take ComfyUI's steps",
    ),
    "system_directories": (
        "`folder_paths.get_system_user_directory`: folders that no client sees",
        "`hearth.json` is looked for in `user/hearth` rather than `user/__hearth`",
    ),
    "use_recording": (
        "`comfy.model_management.load_models_gpu`: which model works, and when",
        "idle times count from the last load",
    ),
}

_HEAD = """# Compatibility

hearth asks ComfyUI for what it needs and never for its version. This is what it found in two
versions, both on a CPU (`python -m benchmarks.harness.compatibility` writes this page, and a test
compares it with the `seams` of `/hearth/health`). What is not found is done without, and that is
said in the log and at `/hearth/health`, unless something else serves as well: that is not missed.

How weights reach a GPU depends on the machine and on ComfyUI's flags as well. It is found out at
each start and printed there (`weights go by …`): from hearth's mapping of the file where ComfyUI
has dynamic VRAM, as 0.33.0 has with an NVIDIA GPU; ComfyUI's own way elsewhere, as in 0.3.64.

The tests in `tests/comfy` run with `COMFYUI_PATH` set to either; those marked `older_too` run in
both, the older one being `COMFYUI_PATH_OLD` or a `ComfyUI-0.3…` in the home folder.

"""


def columns(page: str) -> dict[str, dict[str, bool]]:
    """Found or not, by version and seam, as a page says."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("|")
    ]
    versions = rows[0][3:]
    return {
        version: {row[0].strip("`"): row[3 + number] == "yes" for row in rows[2:]}
        for number, version in enumerate(versions)
    }


def page_of(found: Mapping[str, Mapping[str, bool]]) -> str:
    """The page for what was found, by version and seam."""
    versions = list(found)
    lines = [
        f"| seam | what it is | without it | {' | '.join(versions)} |",
        "|---" * (3 + len(versions)) + "|",
    ]
    for seam in sorted({seam for seams in found.values() for seam in seams}):
        words = " | ".join(SEAMS[seam])
        marks = " | ".join("yes" if found[version].get(seam) else "no" for version in versions)
        lines.append(f"| `{seam}` | {words} | {marks} |")
    return _HEAD + "\n".join(lines) + "\n"


def seams_of(health: Mapping[str, Any]) -> tuple[str, dict[str, bool]]:
    """ComfyUI's version and what was found in it."""
    return f"ComfyUI {health['comfyui']}", dict(health["seams"])


def _ask(comfy: Path, folder: Path) -> tuple[str, dict[str, bool]]:
    models = toy_models.write_all(folder / "models")
    spec = ServerSpec(
        comfy, folder / "base", models, packs={"hearth": REPOSITORY}, flags=("--cpu",)
    )
    spec.base.mkdir()
    with ComfyServer(spec) as server:
        return seams_of(HearthFace(ComfyClient(server.url)).health())


def _main() -> int:
    found: dict[str, dict[str, bool]] = {}
    for comfy in (find_older_comfy(), find_comfy()):
        with tempfile.TemporaryDirectory() as folder:
            version, seams = _ask(comfy, Path(folder))
            found[version] = seams
    PAGE.write_text(page_of(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
