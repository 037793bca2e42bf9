"""Betons of tiny images that a network learns at once: three classes, each of one colour under noise; and a network."""

import numpy as np
from PIL import Image
from torch import nn

from rescale_fast.beton.types import BetonInfo
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from tests.photos import NOWHERE, encoded, subset_of, write_files

COLOURS = np.array([(200, 60, 60), (60, 200, 60), (60, 60, 200)])


def write_colours(folder, num_train=40, num_val=11, noise=60, seed=0):
    """train.beton and val.beton in `folder`; gives ({split: path}, {split: BetonInfo})."""
    rng = np.random.default_rng(seed)
    betons, infos = {}, {}
    for split, count in (("train", num_train), ("val", num_val)):
        pixels = COLOURS[np.arange(count) % 3][:, None, None] + rng.integers(-noise, noise, (count, 16, 16, 3))
        files = {f"{split}{i}.jpg": encoded(Image.fromarray(one)) for i, one in enumerate(pixels.astype(np.uint8))}
        names = write_files(folder / "files", files)
        betons[split] = folder / f"{split}.beton"
        export_beton(folder / "files", subset_of(names), split, betons[split], ExportSettings(), NOWHERE)
        infos[split] = BetonInfo.load(betons[split].with_suffix(".json"))
    return betons, infos


class WithDropout(nn.Sequential):
    """For these images. Random numbers of torch's, running statistics, and their count, matter."""

    def __init__(self, num_classes):
        super().__init__(
            nn.Conv2d(3, 8, 3, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(392, num_classes),
        )
