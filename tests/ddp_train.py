"""Trains a network without batch normalisation, whose result does not depend on how a batch is cut into ranks.

python tests/ddp_train.py FOLDER OUT, alone or under torchrun, with the betons of tests/colours.py in FOLDER. Ranks then
train another network twice, with batch normalisation and dropout: in OUT/whole, and in OUT/cut, where the second rank
alone is asked to end in the second epoch, and all go on afterwards.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.machine import MachineSettings
from rescale_fast.ranks import this_rank
from rescale_fast.terminal import run_command
from rescale_fast.train import engine, keeper
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


def build_with_dropout(name, num_classes, image_size, **_):
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(392, num_classes)
    )


@contextlib.contextmanager
def track(what, *, total):
    """The second rank is asked to end after three steps of five in the second epoch."""
    calls = []

    def advance(count, note=""):
        calls.append(count)
        if len(calls) == 8 + 3 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)

    yield advance


def main(folder, out):
    torch.set_num_threads(1)
    engine.build_for_training = build
    betons = {split: folder / f"{split}.beton" for split in ("train", "val")}
    infos = {split: BetonInfo.load(path.with_suffix(".json")) for split, path in betons.items()}
    settings = TrainSettings(epochs=3, train_batch_size=8, learning_rate=0.02, augment="shift")
    training = plan_training(settings, infos["train"], None, loader="dali")
    machine = MachineSettings(device="cpu", num_threads=1)
    with joined(this_rank(), machine.torch_device()) as group:
        run = train_network(betons, infos, training, out, Origin({}, {}), machine=machine, group=group)
        if group.is_first:
            run.save(out)
        if group.count > 1:
            engine.build_for_training, keeper.SECONDS_BETWEEN_LOOKS = build_with_dropout, 0
            for name, codes in (("whole", [0]), ("cut", [75, 0])):
                for code in codes:
                    watched = {"track": track} if code else {}

                    def work(name=name, watched=watched):
                        train_network(
                            betons, infos, training, out / name, Origin({}, {}), machine=machine, group=group, **watched
                        )

                    assert run_command(work, how_to_resume="") == code


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
