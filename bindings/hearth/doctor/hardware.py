"""GPU, driver, and what of the RAM this process may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hearth.doctor.finding import Finding, gib
from hearth.doctor.machine import Machine, field_bytes

# The driver of the first CUDA that ComfyUI's dynamic VRAM runs with.
_DYNAMIC_VRAM_DRIVER = 12080
_INSTALL_DRIVER = (
    "install NVIDIA's driver until `nvidia-smi` lists the GPU; for a container: `--gpus all`"
)
_RAISE_MEMLOCK = (
    "`LimitMEMLOCK=infinity` in the systemd unit, `--ulimit memlock=-1` for a container, "
    "or `* - memlock unlimited` in /etc/security/limits.conf and a new login"
)


def driver(machine: Machine) -> Iterator[Finding]:
    """The driver, the CUDA that it runs, and the GPUs."""
    found = machine.gpus()
    version = f"{found.driver_version // 1000}.{found.driver_version % 1000 // 10}"
    facts: dict[str, Any] = {"driver_version": found.driver_version}
    facts["devices"] = [{"name": gpu.name, "total_bytes": gpu.total_bytes} for gpu in found.devices]
    if not found.devices:
        what = f"no GPU can be used: {found.reason.rstrip('.') or 'the driver lists none'}"
        yield Finding("driver", "warning", what, _INSTALL_DRIVER, facts=facts)
        return
    gpus = ", ".join(f"{gpu.name} ({gib(gpu.total_bytes)})" for gpu in found.devices)
    if found.driver_version < _DYNAMIC_VRAM_DRIVER:
        what = f"the driver runs CUDA {version}, and ComfyUI's dynamic VRAM wants 12.8: {gpus}"
        yield Finding("driver", "warning", what, "install a newer NVIDIA driver", facts=facts)
        return
    yield Finding("driver", "ok", f"the driver runs CUDA {version}: {gpus}", facts=facts)


def persistence(machine: Machine) -> Iterator[Finding]:
    """Whether the driver stays up while nobody uses the GPU."""
    query = "--query-gpu=driver_version,persistence_mode"
    code, text = machine.output(["nvidia-smi", query, "--format=csv,noheader"])
    if code != 0:
        raise OSError(f"nvidia-smi ended with {code}: {text.strip().splitlines()[-1:]}")
    rows = [[cell.strip() for cell in line.split(",")] for line in text.strip().splitlines()]
    facts = {"driver": rows[0][0], "modes": [row[-1] for row in rows]}
    if any(row[-1] == "Disabled" for row in rows):
        what = "persistence mode is off: a start while no one uses the GPU waits for the driver"
        yield Finding("persistence", "note", what, "`sudo nvidia-smi -pm 1`", facts=facts)
    else:
        yield Finding("persistence", "ok", f"persistence mode: {rows[0][-1]}", facts=facts)


def memlock(machine: Machine) -> Iterator[Finding]:
    """How much memory may be locked: what the keeper lives of."""
    most = machine.most_locked_bytes()
    facts = {"max_bytes": most}
    if most is None:
        yield Finding("memlock", "ok", "memory may be locked without a limit", facts=facts)
        return
    level = "ok" if most >= _most_worth_locking(machine) else "note"
    size = gib(most) if most >= 1 << 30 else f"{most >> 10} KiB"
    what = f"at most {size} may be locked (RLIMIT_MEMLOCK)"
    if level == "ok":
        yield Finding("memlock", "ok", what, facts=facts)
    else:
        what += ": enough for ComfyUI, too little for `hearth keeper`"
        yield Finding("memlock", "note", what, _RAISE_MEMLOCK, facts=facts)


def _most_worth_locking(machine: Machine) -> int:
    return machine.memory_bytes()[0] // 2


def control_group(machine: Machine) -> Iterator[Finding]:
    """The limit that a container or a service has been given."""
    physical = field_bytes(machine.text("proc/meminfo"), "MemTotal")
    allowed, _ = machine.memory_bytes()
    facts = {"allowed_bytes": allowed, "physical_bytes": physical}
    if allowed < physical:
        what = f"the control group allows {gib(allowed)} of the machine's {gib(physical)}"
        todo = "if models do not stay: a larger `--memory` for the container, or `MemoryMax=`"
        yield Finding("cgroup", "note", what, todo, facts=facts)
    else:
        yield Finding("cgroup", "ok", f"no limit below the machine's {gib(physical)}", facts=facts)


def free_memory(machine: Machine, config: dict[str, Any]) -> Iterator[Finding]:
    """Free RAM beside what the config promises to use and to leave."""
    total, available = machine.memory_bytes()
    if total == 0:
        raise OSError("neither /proc/meminfo nor a control group says how much there is")
    budget = config.get("budget", {})
    facts = {"total_bytes": total, "available_bytes": available} | dict(budget)
    most, keep = budget.get("ram_gib"), budget.get("keep_free_ram_gib")
    free = f"{gib(available)} of {gib(total)} are free"
    if most is not None and most * (1 << 30) > total:
        what = f"budget.ram_gib is {most:g}, more than the {gib(total)} there are"
        todo = 'set it lower, or to null: `"budget": {"ram_gib": null}`'
        yield Finding("memory", "warning", what, todo, facts=facts)
    elif keep is not None and available < keep * (1 << 30):
        what = f"{free}, and budget.keep_free_ram_gib keeps {keep:g}: no model can stay"
        todo = "end what else needs RAM, or lower budget.keep_free_ram_gib"
        yield Finding("memory", "warning", what, todo, facts=facts)
    else:
        yield Finding("memory", "ok", free, facts=facts)


def page_cache(machine: Machine) -> Iterator[Finding]:
    """How much of the disks is in RAM."""
    text = machine.text("proc/meminfo")
    cached = field_bytes(text, "Cached") - field_bytes(text, "Shmem")
    facts = {"cached_bytes": cached}
    what = f"the page cache holds {gib(cached)} of files"
    yield Finding("page_cache", "ok", what, facts=facts)
