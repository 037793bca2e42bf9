"""Trains a network without batch normalisation, whose result does not depend on how a batch is cut into ranks.

python tests/ddp_train.py FOLDER OUT, alone or under torchrun, with the betons of tests/colours.py in FOLDER.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.machine import MachineSettings
from rescale_fast.ranks import this_rank
from rescale_fast.train import engine
from rescale_fast.train.group import joined
from rescale_fast.train.loop import train_network
from rescale_fast.train.plan import plan_training
from rescale_fast.train.settings import TrainSettings


def plain_network(name, num_classes, image_size):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes)).eval()


def build(name, num_classes, image_size, **_):
    network = plain_network(name, num_classes, image_size)
    network(torch.zeros(1, 3, image_size, image_size))  # the lazy layer takes its shape
    return network


def main(folder, out):
    torch.set_num_threads(1)
    engine.build_for_training = build
    engine.half_of = lambda device: None  # rounding to which depends on how a batch is cut
    betons = {split: folder / f"{split}.beton" for split in ("train", "val")}
    infos = {split: BetonInfo.load(path.with_suffix(".json")) for split, path in betons.items()}
    settings = TrainSettings(epochs=3, train_batch_size=8, learning_rate=0.02, augment="shift")
    training = plan_training(settings, infos["train"], None, loader="dali")
    machine = MachineSettings(device="cpu", num_threads=1)
    with joined(this_rank(), machine.torch_device()) as group:
        run = train_network(betons, infos, training, out, Origin({}, {}), machine=machine, group=group)
        if group.is_first:
            run.save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
