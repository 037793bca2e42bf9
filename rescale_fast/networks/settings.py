"""Which pre-trained network looks at the validation images."""

from dataclasses import dataclass

from rescale_fast.settings import InputPath, Settings


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """The pre-trained network."""

    network: str | None = None
    """Name of the network: `small`, one of torchvision's, such as resnet50, or timm:NAME; or your own code, which is
    run: package.module:callable or file.py:callable. By default what suits the data set."""
    weights: InputPath | None = None
    """Checkpoint of the network (a state_dict, or safetensors). By default the published weights are downloaded once;
    your own code may load its own."""
