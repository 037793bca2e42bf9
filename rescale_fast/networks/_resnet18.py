"""ResNet18 as the ReIN table has it: torchvision's, begun with other weights. Imported only where torch is wanted.

Sources: He et al. 2016; the repository nttbdrk25/ImageNetPlaces365, which leaves the skips' convolutions as torch makes
them, draws the head's weights as He et al. (2015) do, and begins with its bias at zero.
"""

from torch import nn
from torchvision.models import resnet18 as torchvisions


def resnet18(num_classes: int) -> nn.Module:
    """Takes (B, 3, H, W) of any size from 8 px, gives (B, K) logits."""
    network: nn.Module = torchvisions(num_classes=num_classes)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and "downsample" in name:
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return network
