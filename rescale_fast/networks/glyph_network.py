"""The "pre-trained network" for glyphs, which nobody can download: SmallNet, trained on their train split.

Reads the train split of a glyphs data set; makes a checkpoint in the cache, named by the data set's digest, and
reuses it. Trained on the CPU from memory: SGD with Nesterov momentum, one-cycle learning rate, label smoothing.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.cache import cache_folder
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import DatasetError, NetworkError
from rescale_fast.files.images import open_image, patient_map, patiently
from rescale_fast.networks.build import build_network
from rescale_fast.networks.checkpoints import read_checkpoint
from rescale_fast.networks.saving import save_state
from rescale_fast.networks.schedule import one_cycle
from rescale_fast.networks.types import EvalTransform
from rescale_fast.networks.weights import load_weights
from rescale_fast.types import Track, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

RECIPE = "glyph-network/1"  # change it when anything below changes, so that cached networks are trained anew
SIZE = 32  # pixels; larger glyphs are resized
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
MAX_EPOCHS, MIN_EPOCHS, IMAGE_VISITS = 6, 2, 120_000  # bound the time whatever the number of images
BATCH, LEARNING_RATE = 128, 0.2


def transform(dataset: Dataset) -> EvalTransform:
    """How the network wants its images: at 32 px, or as they are when they are smaller."""
    size = min(SIZE, _image_side(dataset))
    return EvalTransform(resize=size, crop=size, mean=MEAN, std=STD)


def load_or_train(dataset: Dataset, *, track: Track = silent) -> "nn.Module":
    """Load the cached network for this data set, or train it (under a minute on 2 CPU cores) and cache it.

    Raises: DatasetError when the data set has no train split.
    """
    path = cache_folder() / "networks" / f"{RECIPE.replace('/', '-')}-{dataset.digest[:24]}.pt"
    network = build_network("small", dataset.num_classes)
    try:
        load_weights(network, read_checkpoint(path).weights, str(path), dataset.num_classes)
    except NetworkError:  # absent or damaged: train it
        network = _train(dataset, track)
        save_state(path, network.state_dict())
    return network.eval()


def _train(dataset: Dataset, track: Track) -> "nn.Module":
    import torch

    from rescale_fast.networks._small_net import SmallNet

    if "train" not in dataset.splits:
        raise DatasetError(
            f"{dataset.root}: has no train split to train the network for glyphs on. "
            "Draw some (--glyph-train 60), or pass --weights FILE."
        )
    images, labels = _read_all(dataset, dataset.splits["train"])
    epochs = min(MAX_EPOCHS, max(MIN_EPOCHS, IMAGE_VISITS // len(labels)))
    batch = min(BATCH, len(labels))
    steps_per_epoch = len(labels) // batch
    with (
        torch.random.fork_rng(devices=[]),
        track("Training the network for glyphs", total=epochs * len(labels)) as advance,
    ):
        torch.manual_seed(0)
        network = SmallNet(dataset.num_classes).to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(
            network.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, epochs * steps_per_epoch))
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
        for _ in range(epochs):
            order = torch.randperm(len(labels))[: steps_per_epoch * batch]
            for chosen in order.view(steps_per_epoch, batch):
                optimizer.zero_grad()
                loss_of(network(_normalise(images[chosen])), labels[chosen]).backward()
                optimizer.step()
                schedule.step()
                advance(batch)
            advance(len(labels) - steps_per_epoch * batch)  # left out of this epoch: less than a batch
    return network


def _normalise(images: "torch.Tensor") -> "torch.Tensor":
    import torch

    pixels = images.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).float()
    return (pixels / 255 - MEAN[0]) / STD[0]


def _read_all(dataset: Dataset, images: ImageList) -> "tuple[torch.Tensor, torch.Tensor]":
    import torch
    from PIL import Image

    side = transform(dataset).crop

    def read(path: str) -> np.ndarray:
        with open_image(dataset.root / path) as image:
            return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor() as pool:
        pixels = np.stack(list(patient_map(pool, read, images.paths)))
    return torch.from_numpy(pixels), torch.from_numpy(images.labels)


def _image_side(dataset: Dataset) -> int:
    def read() -> int:
        with open_image(dataset.root / dataset.splits["val"].paths[0]) as image:
            return min(image.size)

    return patiently(read)
