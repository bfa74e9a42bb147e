"""ComfyUI's flags that defeat hearth, or that hearth replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hearth.doctor.finding import Finding, Level


@dataclass(frozen=True)
class Effect:
    """What one flag does to hearth."""

    level: Level
    what: str
    todo: str


_LEAVE_OUT = "start ComfyUI without it"
_OWN_TRANSFERS = "ComfyUI has no dynamic VRAM and moves weights its own way: switches cost more"
_REPLACED = "hearth keeps models within limits of its own; this keeps them a second time"
EFFECTS = {
    "--cpu": Effect("note", "everything runs on the CPU; hearth keeps models in RAM only", ""),
    "--disable-dynamic-vram": Effect("warning", _OWN_TRANSFERS, _LEAVE_OUT),
    "--highvram": Effect("warning", _OWN_TRANSFERS, f"{_LEAVE_OUT}; hearth keeps models in VRAM"),
    "--gpu-only": Effect("warning", _OWN_TRANSFERS, f"{_LEAVE_OUT}; hearth keeps models in VRAM"),
    "--novram": Effect("warning", _OWN_TRANSFERS, _LEAVE_OUT),
    "--disable-smart-memory": Effect(
        "warning", "ComfyUI takes models out of VRAM after each use, hearth's too", _LEAVE_OUT
    ),
    "--disable-pinned-memory": Effect(
        "warning", "ComfyUI takes no pins, so weights do not come from hearth's mapping", _LEAVE_OUT
    ),
    "--fast-disk": Effect(
        "warning", "weights are read from the disk again, not from hearth's mapping", _LEAVE_OUT
    ),
    "--disable-async-offload": Effect(
        "note", "copies to the GPU do not overlap with the first step", _LEAVE_OUT
    ),
    "--disable-mmap": Effect(
        "warning", "ComfyUI copies each file into RAM of its own: a second copy", _LEAVE_OUT
    ),
    "--cache-none": Effect(
        "warning",
        "ComfyUI runs every node each time: hearth answers the loaders, prompts are encoded anew",
        _LEAVE_OUT,
    ),
    "--cache-lru": Effect("note", _REPLACED, f"{_LEAVE_OUT}, unless you want its node results"),
    "--cache-ram": Effect("note", _REPLACED, f"{_LEAVE_OUT}, unless you want its node results"),
    "--cache-classic": Effect(
        "note", "ComfyUI drops other workflows' results early; hearth's models stay", ""
    ),
    "--high-ram": Effect(
        "note", "ComfyUI pins without a budget, beside what hearth registers", _LEAVE_OUT
    ),
}


def flag_findings(words: Sequence[str], packs: Sequence[str]) -> list[Finding]:
    """One finding per flag that matters; `packs` are the names hearth's folder has there."""
    given = [word.partition("=")[0] for word in words]
    found = [
        Finding("flags", effect.level, f"{flag}: {effect.what}", effect.todo, flag)
        for flag, effect in EFFECTS.items()
        if flag in given
    ]
    if "--disable-all-custom-nodes" in given and not _whitelisted(words, packs):
        what = "--disable-all-custom-nodes: hearth is not loaded"
        name = packs[0] if packs else "hearth"
        todo = f"add `--whitelist-custom-nodes {name}`"
        found.append(Finding("flags", "problem", what, todo, "--disable-all-custom-nodes"))
    return found


def _whitelisted(words: Sequence[str], packs: Sequence[str]) -> bool:
    names: list[str] = []
    taking = False
    for word in words:
        flag, _, value = word.partition("=")
        if flag.startswith("--"):
            taking = flag == "--whitelist-custom-nodes"
            names += [value] if taking and value else []
        elif taking:
            names.append(word)
    return bool(set(names) & set(packs))
