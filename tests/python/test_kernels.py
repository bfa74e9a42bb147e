"""The engine's kernels compile for GPUs, on machines without one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch")

from hearth._native import _core  # noqa: E402
from hearth.errors import CudaError  # noqa: E402

_needs_nvrtc = pytest.mark.skipif(
    torch.version.cuda is None, reason="NOT RUN, needs NVRTC, which a torch for CUDA brings"
)


@_needs_nvrtc
@pytest.mark.parametrize("architecture", ["sm_80", "sm_89", "sm_90", "sm_100"])
def test_they_compile_for_every_gpu_that_has_bfloat16(architecture: str) -> None:
    transformer, vae, quantise = _core.compile_kernels(architecture)
    for kernel in (b"NormScale", b"GateAddNorm", b"HeadNormTurn", b"SiluMul"):
        assert kernel in transformer
    for kernel in (
        b"GroupMoments",
        b"GroupScales",
        b"GroupApply",
        b"SumWithBias",
        b"DoubleSize",
        b"ScaledSoftmax",
    ):
        assert kernel in vae
    assert (b"QuantiseRows" in quantise) == (architecture != "sm_80")  # has no such numbers


@_needs_nvrtc
def test_an_architecture_that_is_none_is_named() -> None:
    with pytest.raises(CudaError, match="sm_1"):
        _core.compile_kernels("sm_1")


def test_without_a_compiler_the_error_says_what_brings_one() -> None:
    script = """
from hearth._native import _core
from hearth.errors import CudaError
try:
    _core.compile_kernels("sm_90")
except CudaError as error:
    print(error)
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert "torch" in done.stdout or done.stdout == ""  # empty: the system has one
