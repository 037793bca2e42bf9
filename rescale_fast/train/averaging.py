"""The moving average of a network's weights, which is what is tested.

Measured: a step of WRN-16-1 takes 0.2 ms of CPU time, where asking both networks for their state_dict, and moving each
tensor by itself, takes 0.5 ms.
"""

from copy import deepcopy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Average:
    """A network whose weights and running statistics are a moving average of another's, `follow`ed step by step."""

    def __init__(self, followed: "nn.Module") -> None:
        self.network = deepcopy(followed).requires_grad_(False)
        self._parameters = list(zip(self.network.parameters(), followed.parameters(), strict=True))
        # Of these by their places: some networks put a new tensor where the old one was.
        names = [name.rpartition(".") for name, _ in followed.named_buffers() if name in followed.state_dict()]
        self._buffers = [
            (self.network.get_submodule(place), followed.get_submodule(place), name) for place, _, name in names
        ]

    def follow(self, weight: float) -> None:
        """Move by this share of the way to the network as it is now; what is counted in whole numbers is copied."""
        import torch

        pairs = self._parameters + [(getattr(own, name), getattr(theirs, name)) for own, theirs, name in self._buffers]
        moved = [(mine, other) for mine, other in pairs if mine.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([mine for mine, _ in moved], [other for _, other in moved], weight)
            for mine, other in pairs:
                if not mine.is_floating_point():
                    mine.copy_(other)
