"""Where images of an epoch are cut: like torchvision, inside the image, and by seed, epoch and row alone."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, ks_2samp, kstest
from torchvision.transforms import RandomResizedCrop

from rescale_fast.loaders import draws
from rescale_fast.loaders.augment import AUGMENTS, place_centrally, place_randomly, random_boxes
from rescale_fast.loaders.draws import Purpose, RowDraws

SHAPES = [(375, 500), (32, 32), (40, 400), (1, 1), (7, 3)]  # height, width


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_random_boxes_are_distributed_as_torchvisions(shape):
    torch.manual_seed(0)
    image = torch.zeros(3, *shape)
    drawn = [RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(2000)]
    boxes = random_boxes(np.tile(shape, (2000, 1)), np.arange(2000), RowDraws(1, 2, Purpose.CROP))
    for ours, theirs in zip(boxes.T, np.array(drawn).T, strict=True):
        assert ks_2samp(ours, theirs).pvalue > 0.001
    assert ks_2samp(boxes[:, 2] * boxes[:, 3], [h * w for _, _, h, w in drawn]).pvalue > 0.001


def centrally(sizes, augment):
    return place_centrally(np.arange(len(sizes)), sizes, augment)


def randomly(sizes, augment, image_size=48, *, seed=3, epoch=1, copy=0):
    """All rows in order, as one of the augmentation's copies."""
    rows = np.arange(len(sizes))
    return place_randomly(rows, np.full(len(rows), copy), sizes, augment, image_size, seed, epoch)


@pytest.mark.parametrize("augment", AUGMENTS)
def test_boxes_lie_inside_and_shifts_are_as_long_as_promised(augment):
    sizes = np.repeat(SHAPES, 200, axis=0)
    for places in (centrally(sizes, augment), randomly(sizes, augment)):
        assert (places.boxes[:, :2] >= 0).all()
        assert (places.boxes[:, 2:] > 0).all()
        assert (places.boxes[:, :2] + places.boxes[:, 2:] <= sizes).all()
    longest = {"crop-flip": 0, "crop-alternate": 0, "shift": 3, "shift-flip": 4, "shift-both": 4}
    assert [places.shifts.min(), places.shifts.max()] == [-longest[augment], longest[augment]]
    assert places.mirrored.mean() == (0 if augment in ("shift", "shift-both") else pytest.approx(0.5, abs=0.05))


def test_mirroring_alternates_from_one_epoch_to_the_next():
    sizes = np.tile((30, 40), (500, 1))
    epochs = [randomly(sizes, "crop-alternate", epoch=epoch).mirrored for epoch in range(4)]
    assert 200 < epochs[0].sum() < 300
    assert (epochs[0] ^ epochs[1]).all()
    np.testing.assert_array_equal(epochs[:2], epochs[2:])
    assert (epochs[0] != randomly(sizes, "crop-alternate", epoch=0, seed=4).mirrored).any()


def test_the_second_copy_of_an_image_is_mirrored_and_moved_on_its_own():
    sizes = np.tile((30, 40), (4000, 1))
    one, other = (randomly(sizes, "shift-both", copy=copy) for copy in range(2))
    assert other.mirrored.all()
    for a in range(2):
        for b in range(2):
            pairs = np.histogram2d(one.shifts[:, a], other.shifts[:, b], bins=9, range=[(-4.5, 4.5)] * 2)[0]
            assert chisquare(pairs.ravel()).pvalue > 0.001


def test_central_boxes_are_those_of_resize_256_and_centre_crop_224():
    boxes = centrally(np.array([[512, 512], [256, 341]]), "crop-flip").boxes
    assert boxes.tolist() == [[32, 32, 448, 448], [16, 58, 224, 224]]
    assert centrally(np.array([[20, 31]]), "shift").boxes.tolist() == [[0, 5, 20, 20]]


def boxes(sizes, seed, epoch):
    return randomly(sizes, "crop-flip", seed=seed, epoch=epoch).boxes


def test_places_are_those_of_their_seed_and_epoch_only():
    sizes = np.tile((30, 40), (50, 1))
    assert boxes(sizes, 1, 2).tolist() == boxes(sizes, 1, 2).tolist()
    seeds = [0, 1, 2, 3, 2**32, 2**32 + 1, 2**63 - 1]
    places = {boxes(sizes, seed, epoch).tobytes() for seed in seeds for epoch in range(5)}
    assert len(places) == 5 * len(seeds), "seed 0, epoch 1 is not seed 1, epoch 0"


@pytest.mark.parametrize("augment", AUGMENTS)
def test_an_images_place_depends_on_no_other_image(augment, rng):
    sizes = rng.integers(20, 60, (500, 2))
    sizes[7] = 500, 40  # takes all ten attempts
    before = randomly(sizes, augment)
    sizes[200] = 40, 500
    after = randomly(np.concatenate([sizes, sizes]), augment)
    others = np.arange(500) != 200
    for one, two in ((before.boxes, after.boxes), (before.mirrored, after.mirrored), (before.shifts, after.shifts)):
        np.testing.assert_array_equal(one[others], two[:500][others])
    assert (after.boxes[:500] != after.boxes[500:]).any(axis=1).mean() > (0.9 if augment.startswith("crop") else -1)


def test_draws_are_uniform_and_rows_positions_epochs_and_purposes_are_independent():
    rows, numbers = np.arange(20_000), range(44)
    drawn = RowDraws(0, 0, Purpose.CROP).uniform(rows, numbers)
    assert drawn.shape == (44, 20_000)
    assert ((drawn >= 0) & (drawn < 1)).all()
    for column in drawn[[0, 1, 20, 43]]:
        assert kstest(column, "uniform").pvalue > 0.001
    for row in drawn.T[[0, 1, 19_999]]:
        assert kstest(row, "uniform").pvalue > 0.001
    others = (RowDraws(0, 1, Purpose.CROP), RowDraws(1, 0, Purpose.CROP), RowDraws(0, 0, Purpose.SHIFT))
    pairs = [(drawn[0], other.uniform(rows, range(1))[0]) for other in others]
    pairs += [(drawn[0], drawn[1]), (drawn[0, :-1], drawn[0, 1:]), (drawn[3, 5:], drawn[3, :-5])]
    for one, two in pairs:
        cells = np.histogram2d(one, two, bins=8, range=[(0, 1), (0, 1)])[0]
        assert chisquare(cells.ravel()).pvalue > 0.001
    np.testing.assert_array_equal(
        RowDraws(0, 0, Purpose.CROP).uniform(rows[[5, 3]], range(2, 4)), drawn[2:4][:, [5, 3]]
    )


def test_mixing_is_that_of_splitmix64():
    """The first numbers of the published generator from the seed 0."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    assert draws._mixed(draws._multiples(np.arange(4))).tolist() == published
