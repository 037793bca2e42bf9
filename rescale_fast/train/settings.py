"""Which network is trained on the subset, and how."""

from dataclasses import dataclass
from typing import Annotated, Literal

from rescale_fast.loaders.augment import Augment
from rescale_fast.settings import Between, Seed, Settings
from rescale_fast.train.recipe import RecipeName


@dataclass(frozen=True)
class TrainSettings(Settings):
    """Training on the subset."""

    train_network: str | None = None
    """Network to train: one of the published table (ResNet18, MAFNet ...), WRN-N-k, `small`, timm:NAME or one of
    torchvision's; or your own code, which is run: package.module:callable or file.py:callable. By default `small` up
    to 64 px, else ResNet18."""
    recipe: RecipeName = "fast"
    """How to train. `fast`: quick, by what is usual today; `rein`: as for the published ReIN and RePL tables;
    `chrabaszcz`: as for down-sampled ImageNet."""
    epochs: Annotated[int, Between(1)] | None = None
    """Passes over the training images. By default the recipe's."""
    train_batch_size: Annotated[int, Between(2)] | None = None
    """Training images in a batch, over all ranks. By default the recipe's; the learning rate goes with it."""
    learning_rate: Annotated[float, Between(0, open=True)] | None = None
    """Highest learning rate. By default the recipe's."""
    train_size: Annotated[int, Between(8, 4096)] | None = None
    """Side of the training images, pixels. By default that of the beton's images, at most 224."""
    augment: Augment | Literal["auto"] = "auto"
    """Augmentation; `auto` is the recipe's, but `shift` for glyphs, whose mirror images are other letters."""
    seed: Seed = 0
    """Seed of weights, order and augmentation."""
    train_compile: bool = False
    """Compile the network first (torch.compile). On a CPU it does not pay (a minute for 2 % of WRN-16-1's time); on a
    GPU, where it may when training takes longer than some minutes, it was not measured."""
    flip_test: bool = False
    """Test on each image and its mirror image together, too: figures of their own, which are no plain accuracies."""
    deterministic: bool = False
    """The same numbers every time on a GPU too, where it costs time."""
    checkpoint_minutes: Annotated[float, Between(0, open=True)] = 10.0
    """Minutes between checkpoints within an epoch, from which a training that is killed goes on. Others are made after
    epochs, and when SIGTERM, SIGUSR1 or Ctrl-C asks a training to end."""
