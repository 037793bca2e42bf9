"""Where images of an epoch are cut: like torchvision, inside the image, and by seed, epoch and row alone."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop

from rescale_fast.loaders.augment import place_centrally, place_randomly, random_boxes

SHAPES = [(375, 500), (32, 32), (40, 400), (1, 1), (7, 3)]  # height, width


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_random_boxes_are_distributed_as_torchvisions(shape, rng):
    torch.manual_seed(0)
    image = torch.zeros(3, *shape)
    drawn = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)]
    boxes = random_boxes(np.tile(shape, (2000, 1)), rng)
    for ours, theirs in zip(boxes.T, np.array(drawn).T, strict=True):
        assert ks_2samp(ours, theirs).pvalue > 0.001
    assert ks_2samp(boxes[:, 2] * boxes[:, 3], [h * w for _, _, h, w in drawn]).pvalue > 0.001


@pytest.mark.parametrize("augment", ["crop-flip", "shift", "shift-flip"])
def test_boxes_lie_inside_and_shifts_are_as_long_as_promised(augment):
    sizes = np.repeat(SHAPES, 200, axis=0)
    for places in (place_centrally(sizes, augment), place_randomly(sizes, augment, 48, seed=1, epoch=2)):
        assert (places.boxes[:, :2] >= 0).all()
        assert (places.boxes[:, 2:] > 0).all()
        assert (places.boxes[:, :2] + places.boxes[:, 2:] <= sizes).all()
    assert np.abs(places.shifts).max() == {"crop-flip": 0, "shift": 3, "shift-flip": 4}[augment]
    assert places.mirrored.mean() == (0 if augment == "shift" else pytest.approx(0.5, abs=0.05))


def test_central_boxes_are_those_of_resize_256_and_centre_crop_224():
    boxes = place_centrally(np.array([[512, 512], [256, 341]]), "crop-flip").boxes
    assert boxes.tolist() == [[32, 32, 448, 448], [16, 58, 224, 224]]
    assert place_centrally(np.array([[20, 31]]), "shift").boxes.tolist() == [[0, 5, 20, 20]]


def test_places_depend_on_seed_and_epoch_alone():
    sizes = np.tile((30, 40), (50, 1))

    def boxes(seed, epoch):
        return place_randomly(sizes, "crop-flip", 24, seed, epoch).boxes.tolist()

    assert boxes(1, 2) == boxes(1, 2)
    assert boxes(1, 2) != boxes(1, 3)
    assert boxes(1, 2) != boxes(2, 2)
