"""The moving average of a network's weights, which is what is tested."""

from copy import deepcopy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Average:
    """A network whose weights and running statistics are a moving average of another's, `follow`ed step by step."""

    def __init__(self, followed: "nn.Module") -> None:
        self.network = deepcopy(followed).requires_grad_(False)
        self._followed = followed

    def follow(self, weight: float) -> None:
        """Move by this share of the way to the network as it is now; what is counted in whole numbers is copied."""
        import torch

        own, theirs = self.network.state_dict(), self._followed.state_dict()
        moved = [name for name, value in own.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([own[name] for name in moved], [theirs[name] for name in moved], weight)
            for name in own.keys() - moved:
                own[name].copy_(theirs[name])
