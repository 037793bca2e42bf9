"""Which pre-trained network looks at the validation images."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NetworkSettings:
    """The pre-trained network."""

    network: str | None = None
    """Its name: `small`, one of torchvision's, such as resnet50, or timm:NAME. By default what suits the data set."""
    weights: Path | None = None
    """A checkpoint of it (a state_dict, or safetensors). By default the published weights are downloaded once."""
