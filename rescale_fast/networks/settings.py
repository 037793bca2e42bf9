"""Which pre-trained network looks at the validation images."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NetworkSettings:
    """The pre-trained network."""

    network: str | None = None
    """Its name: `small` or one of torchvision's, such as resnet50. By default what suits the data set."""
    weights: Path | None = None
    """A checkpoint of it (a state_dict). By default the published weights are downloaded once."""
