"""What is wrong with the device that is asked for, as far as that is known without torch."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from pathlib import Path
from typing import Literal

from hearth import device
from hearth.headless.faults import Fault

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…
_SHORT_FLOATS = (8, 9)
"""Compute capability from which on a GPU multiplies 8-bit floats; as RowQuantiser has it."""


def faults_of_device(wanted: str | None, numbers: Literal["parity", "fast", "fp8"]) -> list[Fault]:
    """`wanted`: cpu or cuda; None: a GPU where there is one."""
    if numbers == "fp8" and wanted == "cpu":
        return [Fault("--fp8: is for a GPU, and --device cpu was given")]
    asked = {"--device cuda": wanted == "cuda", "--fp8": numbers == "fp8"}
    names = [name for name, is_asked in asked.items() if is_asked]
    found = device.probe() if names else None
    if found is None:
        return []
    if not found.devices:
        reason = found.reason or "the driver lists none"
        return [Fault(f"{name}: there is no GPU: {reason}") for name in names]
    if _is_torch_for_cpus():
        text = "this torch was built for CPUs only; install one for CUDA (pytorch.org), or leave"
        return [Fault(f"{name}: {text} {name} out") for name in names]
    return _faults_of_gpu(found.devices[0].name) if numbers == "fp8" else []


def _faults_of_gpu(name: str) -> list[Fault]:
    found = compute_capability()
    if found is None or found >= _SHORT_FLOATS:
        return []
    has = ".".join(map(str, found))
    needs = ".".join(map(str, _SHORT_FLOATS))
    text = f"{name} has compute capability {has}, and 8-bit floats need {needs} (Ada, Hopper)"
    return [Fault(f"--fp8: {text}; leave --fp8 out")]


def compute_capability() -> tuple[int, int] | None:
    """Of the first GPU; None where the driver does not say."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    index, parts = ctypes.c_int(), (ctypes.c_int(), ctypes.c_int())
    results = [driver.cuInit(0), driver.cuDeviceGet(ctypes.byref(index), 0)]
    for part, attribute in zip(parts, (_MAJOR, _MINOR), strict=True):
        results.append(driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, index))
    return (parts[0].value, parts[1].value) if not any(results) else None


def _is_torch_for_cpus() -> bool:
    """By the page that torch keeps of its build, since importing torch takes seconds. False where
    that does not say."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    builds = re.findall(r"^(?:cuda|hip)\b[^=\n]*= *(.+)$", text, re.MULTILINE)
    return bool(builds) and all(build.strip() == "None" for build in builds)
