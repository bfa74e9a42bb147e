"""Made by `./dev stubs` from the built module; do not edit."""

"""
What hearth computes on tensors: the steps of samplers.
"""
from __future__ import annotations
import collections.abc
import torch
import typing
__all__: list[str] = ['Sampler', 'native_api', 'torch_version']
class Sampler:
    """
    A sampler by ComfyUI's name; may be used by any thread.
    """
    @staticmethod
    def names() -> list[str]:
        """
        Every name there is.
        """
    def __init__(self, name: str, *, s_churn: typing.SupportsFloat = 0.0, s_tmin: typing.SupportsFloat = 0.0, s_tmax: typing.SupportsFloat = ..., s_noise: typing.SupportsFloat = 1.0) -> None:
        """
        Raises HearthError, with the nearest name, for a sampler that hearth does not have.
        """
    def sample(self, x: torch.Tensor, sigmas: torch.Tensor, denoise: collections.abc.Callable, observe: collections.abc.Callable) -> torch.Tensor:
        """
        The latents after the last step. Calls denoise(x, sigma) and, when it has answered,
        observe(index, x, sigma, sigma_hat, denoised); sigmas are tensors without dimensions.
        """
def native_api() -> str:
    """
    Hash of the stub file this module was built with.
    """
def torch_version() -> str:
    """
    Version of the torch this module was built against.
    """
