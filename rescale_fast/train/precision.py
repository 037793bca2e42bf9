"""The numbers in which a network computes: single precision, or half where the device has it and the recipe wants it.

bfloat16 needs no care. float16, of GPUs that only emulate bfloat16 (before Ampere), has losses multiplied so that small
gradients do not vanish (Micikevicius et al., "Mixed precision training", 2018); a step whose gradients overflow is left
out.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


def half_of(device: "torch.device") -> "torch.dtype | None":
    """The half precision in which a device computes faster than in single; None where it has none.

    None on CPUs, too: where they have bfloat16 a step takes a half to nine tenths of the time, but by torch 2.15
    networks with depthwise convolutions came out otherwise from run to run, of one seed and on one thread, and now and
    then their weights were no numbers.
    """
    import torch

    if device.type != "cuda":
        return None
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


class Precision:
    """Computes in `dtype`, by torch's autocast, and makes steps of gradients that were; None = single precision."""

    def __init__(self, device: "torch.device", dtype: "torch.dtype | None") -> None:
        import torch

        self.device, self.dtype = device, dtype
        self._scaler = torch.amp.GradScaler(device.type, enabled=dtype is torch.float16)

    def computing(self) -> "AbstractContextManager[Any]":
        """The block in which the network is asked."""
        import torch

        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None)

    def step(
        self, loss: "torch.Tensor", network: "nn.Module", optimizer: "torch.optim.Optimizer", clip_norm: float = 0.0
    ) -> None:
        """Step down the loss's gradients, shortened to this norm, if to any."""
        import torch

        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if clip_norm:
            self._scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The scale of losses, which changes from step to step; nothing where they are not scaled."""
        return self._scaler.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        if state:
            self._scaler.load_state_dict(dict(state))
