"""Run by test_loaders.py in a process of its own: what loaders give through FFCV, DALI and torchvision.

    python -m tests.loader_judge GREYS SMOOTH DAMAGED NO_HEADER

Four betons: 21 images, each of one grey level, ten times its row; 20 of mixed sizes, smooth JPEGs but for the last
four, of noise, stored as pixels; 12, of which those of DAMAGED_ROWS cannot be decoded; 256, of which one is no JPEG.
Importing FFCV changes torch's threads, and each loader compiles its pipeline.
"""

import copy
import gc
import itertools
import multiprocessing
import os
import pickle
import sys
import threading
import warnings

import numpy as np
import torch

from rescale_fast.errors import ArtifactError, TrainingError
from rescale_fast.loaders import beton_loader

KINDS = ("ffcv", "dali", "torchvision")
DAMAGED_ROWS = {3: "Huffman table", 6: "scan header", 7: "no JPEG at all", 10: "a smaller image"}
DEVICES = ["cpu"] + ["cuda"] * torch.cuda.is_available()


def raises(error, text, call, *arguments):
    try:
        call(*arguments)
    except error as raised:
        assert text in str(raised), raised
    else:
        raise AssertionError(f"no {error.__name__} with {text!r}")


def check_greys(images, labels, indices):
    assert images.shape == (len(indices), 3, 16, 16)
    assert images.dtype == torch.uint8
    assert (images.float().mean((1, 2, 3)).cpu() - 10 * indices.cpu()).abs().max() < 3, "an image is not its row's"
    assert labels.tolist() == [row % 3 for row in indices.tolist()]


def epoch_of(path, number, size=20, **options):
    """Images, labels and indices of an epoch, by index."""
    loader = beton_loader(
        path, split="train", **{"seed": 5, "augment": "shift-flip", "batch_size": 4, "num_workers": 1, **options}
    )
    loader.epoch, loader.image_size = number, size
    images, labels, indices = (torch.cat(column) for column in zip(*loader, strict=True))
    order = indices.argsort()
    return images[order].float(), labels[order], indices[order]


def batches_are_the_callers_own(greys):
    for kind in KINDS:
        for device in DEVICES:
            shape = {"batch_size": 2, "image_size": 16, "augment": "shift", "num_workers": 1, "device": device}
            val = beton_loader(greys, split="val", loader=kind, **shape)
            for _ in range(2):
                batches = list(val)  # 11: more than FFCV has buffers
                assert torch.cat([indices for _, _, indices in batches]).tolist() == list(range(21)), kind
                for batch in batches:
                    check_greys(*batch)
            assert len(batches) == len(val) == 11


def buffers_are_reused_where_that_is_asked_for(greys):
    val = beton_loader(greys, split="val", batch_size=2, image_size=16, augment="shift", reuse_buffers=True)
    batches = []
    for batch in val:
        check_greys(*batch)
        batches.append(batch)
    assert len({images.data_ptr() for images, _, _ in batches}) == 5
    assert torch.cat([indices for _, _, indices in batches]).tolist() == list(range(21)), "labels and indices are not"


def copies_take_memory_that_nobody_holds():
    from rescale_fast.loaders._ffcv import Copies

    copies, batch = Copies(), np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    first = copies.of(batch)
    view, kept, place = first[1, :, 1], first.numpy(), first.data_ptr()
    del first
    for held in ("view", "array"):
        others = [copies.of(batch + 100) for _ in range(5)]
        assert len({place, *(one.data_ptr() for one in others)}) == 6, f"memory that {held} holds is taken"
        if held == "view":
            assert view.tolist() == batch[1, :, 1].tolist()
            del view, others
    assert kept.tolist() == batch.tolist()
    del kept, others
    again = [copies.of(batch) for _ in range(3)]
    assert place in {one.data_ptr() for one in again}, "memory is kept and never used again"
    assert copies.of(batch[:1]).shape == (1, 3, 2, 2)


def what_is_refused_names_its_rows(damaged):
    rows = sorted(DAMAGED_ROWS)
    shape = {"batch_size": 12, "image_size": 16, "num_workers": 2}
    for kind, named in (("ffcv", rows), ("torchvision", rows[:3]), ("dali", rows[:1])):
        loader = beton_loader(damaged, split="val", loader=kind, **shape)
        text = f"the JPEG of sample {', '.join(map(str, named))} does not decode"
        raises(ArtifactError, text, list, loader)


def dali_outlives_an_image_without_a_header(no_header):
    """In runs of 32 images or more on the CPU it ended the process."""
    loader = beton_loader(no_header, split="val", batch_size=64, image_size=16, num_workers=2, loader="dali")
    for _ in range(3):
        raises(ArtifactError, "the JPEG of sample 131 does not decode", list, loader)


def an_epoch_can_be_left(greys):
    for kind in KINDS:
        val = beton_loader(greys, split="val", batch_size=2, image_size=16, augment="shift", loader=kind)
        for batch in val:
            check_greys(*batch)
            break
        left = iter(val)
        next(left)
        for _ in range(2):
            assert torch.cat([indices for _, _, indices in val]).tolist() == list(range(21)), kind
        raises(TrainingError, "a later epoch of this loader has begun", next, left)
        raises(TrainingError, "a later epoch", list, zip(val, val, strict=False))
        assert val.epoch == 6
        del val, left
        gc.collect()


def an_epoch_begins_at_any_batch(smooth, damaged):
    for kind in KINDS:
        train = beton_loader(smooth, split="train", batch_size=4, image_size=20, num_workers=1, seed=5, loader=kind)
        train.epoch = 3
        whole = list(train)
        for first in (0, 2, 5):
            train.epoch, train.first_batch = 3, first
            rest = list(train)
            assert len(rest) == 5 - first, kind
            for one, other in zip(whole[first:], rest, strict=True):
                assert all(map(torch.equal, one, other)), kind
        assert (train.epoch, train.first_batch, len(list(train))) == (4, 0, 5), "the next is whole again"
    val = beton_loader(damaged, split="val", batch_size=1, image_size=16, num_workers=1, loader="dali")
    val.first_batch = 11
    assert [int(row) for _, _, row in val] == [11], "nothing is decoded before the first batch"


def loaders_stay_in_their_process(greys):
    for kind in KINDS:
        val = beton_loader(greys, split="val", batch_size=2, image_size=16, loader=kind)
        raises(TrainingError, "Call beton_loader there", pickle.dumps, val)
        raises(TrainingError, "Call beton_loader there", copy.copy, val)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own, of forks
            child = os.fork()
        if child == 0:
            try:
                iter(val)
            except TrainingError as error:
                os._exit(0 if "its fork" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, kind


def ranks_share_an_epoch(greys):
    shares = []
    for rank in range(4):  # 21 images on 4 ranks: 6, 5, 5, 5
        share = beton_loader(greys, split="val", batch_size=4, image_size=16, rank=rank, num_ranks=4, loader="dali")
        rows = torch.cat([indices for _, _, indices in share]).tolist()
        assert len(rows) == share.num_images
        shares += rows
    assert sorted(shares) == list(range(21)), shares
    none = beton_loader(greys, split="val", batch_size=4, image_size=16, rank=21, num_ranks=22)
    assert list(none) == []
    assert none.num_images == len(none) == 0
    train = beton_loader(greys, split="train", batch_size=4, image_size=16, rank=1, num_ranks=2, num_workers=99)
    assert train.num_workers == len(os.sched_getaffinity(0))
    epochs = [torch.cat([indices for _, _, indices in train]).tolist() for _ in range(2)]
    assert [len(set(rows)) for rows in epochs] == [8, 8]
    assert epochs[0] != epochs[1]
    assert len(train) == 2


def images_are_the_same_whatever_makes_them(smooth):
    one, two = epoch_of(smooth, 3), epoch_of(smooth, 3, num_workers=2)
    assert all(map(torch.equal, one, two))
    assert one[0].shape == (20, 3, 20, 20)
    assert all(map(torch.equal, one, epoch_of(smooth, 3, num_workers=2))), "threads disturb one another"
    again = beton_loader(smooth, split="train", batch_size=4, image_size=20, augment="shift-flip", seed=5)
    for _ in range(3):
        list(again)
    assert torch.equal(torch.cat([images for images, _, _ in again]).float().mean(), one[0].mean())
    half = epoch_of(smooth, 3, rank=1, num_ranks=2, batch_size=5)
    rows = {int(row): image for image, row in zip(one[0], one[2], strict=True)}
    assert len(half[2]) == 10
    assert all(torch.equal(rows[int(row)], image) for image, row in zip(half[0], half[2], strict=True))
    for options, ffcv in (({}, one), ({"augment": "crop-flip"}, epoch_of(smooth, 3, augment="crop-flip"))):
        for kind in ("dali", "torchvision"):
            other = epoch_of(smooth, 3, loader=kind, **options)
            assert torch.equal(other[1], ffcv[1])
            assert torch.equal(other[2], ffcv[2])
            difference = (other[0] - ffcv[0]).abs()
            assert difference.mean() < 1.5, (kind, options, difference.mean())
            if kind == "torchvision":
                assert difference[-4:].max() <= 1, (options, "of noise that is not decoded, resizing is all there is")


def moved(image, down, right):
    """What comes in from outside has ImageNet's mean colour, rounded."""
    padded = torch.tensor([124, 116, 104], dtype=image.dtype)[:, None, None].repeat(1, 28, 28)
    padded[:, 4:24, 4:24] = image
    return padded[:, 4 - down : 24 - down, 4 - right : 24 - right]


def an_image_comes_twice_once_mirrored_and_each_time_moved_on_its_own(smooth):
    for kind in KINDS:
        shape = {"image_size": 20, "augment": "shift-both", "loader": kind, "num_workers": 1}
        ((plain, _, _),) = beton_loader(smooth, split="val", batch_size=20, **shape)
        found = {}
        for images, _, rows in beton_loader(smooth, split="train", batch_size=8, seed=5, **shape):
            for image, row in zip(images, rows.tolist(), strict=True):
                for mirrored, one in enumerate((plain[row], plain[row].flip(2))):
                    for shift in itertools.product(range(-4, 5), repeat=2):
                        if torch.equal(image, moved(one, *shift)):
                            assert (row, mirrored) not in found, kind
                            found[row, mirrored] = shift
        assert len(found) == 40, (kind, "each row as it is and mirrored")
        assert sum(found[row, 0] == found[row, 1] for row in range(20)) < 4, (kind, "moved on its own")


def a_dead_loader_raises(greys):
    threading.excepthook = lambda _: None
    val = beton_loader(greys, split="val", batch_size=8, image_size=16)
    val._loader.code = ([(lambda **_: 1 / 0, ())], ())
    raises(TrainingError, "loading thread died", list, val)
    assert torch.get_num_threads() == 2
    val = beton_loader(greys, split="val", batch_size=2, image_size=16, num_workers=1, loader="torchvision")
    batches = iter(val)
    next(batches)
    for process in multiprocessing.active_children():
        process.kill()
    raises(TrainingError, "a loading process stopped", list, batches)
    assert len(list(val)) == 11, "the next epoch has new processes"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    GREYS, SMOOTH, DAMAGED, NO_HEADER = sys.argv[1:]
    batches_are_the_callers_own(GREYS)
    assert torch.get_num_threads() == 2
    buffers_are_reused_where_that_is_asked_for(GREYS)
    copies_take_memory_that_nobody_holds()
    what_is_refused_names_its_rows(DAMAGED)
    dali_outlives_an_image_without_a_header(NO_HEADER)
    an_epoch_can_be_left(GREYS)
    an_epoch_begins_at_any_batch(SMOOTH, DAMAGED)
    loaders_stay_in_their_process(GREYS)
    ranks_share_an_epoch(GREYS)
    images_are_the_same_whatever_makes_them(SMOOTH)
    an_image_comes_twice_once_mirrored_and_each_time_moved_on_its_own(SMOOTH)
    a_dead_loader_raises(GREYS)
    gc.collect()
    print("all is well")
