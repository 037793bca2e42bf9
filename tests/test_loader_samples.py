"""Which fields and samples `beton_loader` reads, of betons that others made (foreign_beton.py), and in which form."""

import numpy as np
import pytest
import torch
from torchvision import transforms

from rescale_fast.beton.edit import cut_beton
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.loaders import beton_loader
from rescale_fast.loaders._torchvision import TorchvisionLoader
from rescale_fast.loaders.base import BetonLoader
from tests import foreign_beton

SHAPE = {"batch_size": 4, "image_size": 16, "loader": "torchvision", "num_workers": 1, "augment": "shift"}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """24 samples of five fields, none an index; labels 0, 1, 2, 0, ..."""
    path = tmp_path_factory.mktemp("foreign") / "theirs.beton"
    path.write_bytes(foreign_beton.beton(24))
    return path


def renamed(path, target, **names):
    content = path.read_bytes()
    for old, new in names.items():
        content = content.replace(old.encode() + b"\0", new.encode() + b"\0", 1)
    target.write_bytes(content)
    return target


def read(path, **options):
    """Labels and indices of an epoch of "val", without the processes that would decode its images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchvisionLoader, "__init__", BetonLoader.__init__)
        patch.setattr(TorchvisionLoader, "_images", lambda self, places: (yield from places.batches(self.batch_size)))
        batches = list(beton_loader(path, **{"split": "val", **SHAPE, **options}))
    return [torch.cat(column).tolist() for column in list(zip(*batches, strict=True))[1:]]


def test_a_beton_of_five_fields_and_no_index_is_read_and_the_row_stands_for_that(foreign):
    assert read(foreign) == [[i % 3 for i in range(24)], list(range(24))]
    (images, _, _), *_ = beton_loader(foreign, split="val", **SHAPE)
    red = images[:2].float().mean((2, 3))[:, 0]
    assert (red - torch.tensor([0.0, 40.0])).abs().max() < 3, "the colours that sample 0 and 1 were made with"


def test_fields_of_other_names_are_found_where_there_is_one_or_it_is_named(foreign, tmp_path):
    wanted = read(foreign)
    assert read(renamed(foreign, tmp_path / "a", image="pixel", label="class")) == wanted
    indexed = renamed(foreign, tmp_path / "b", label="index")
    with pytest.raises(ArtifactError, match="has the fields image, index, note, array, score; expected a field of int"):
        read(indexed)
    assert read(indexed, label_field="index") == [wanted[0], wanted[0]]
    for name, field in (("label", "score"), ("label", "none"), ("image", "label")):
        with pytest.raises(SettingError, match=f"--{name}-field {field}: is no field of .* of .*: {name}"):
            read(foreign, **{f"{name}_field": field})


def test_rows_are_given_in_the_order_asked_for(foreign):
    assert read(foreign, subset=[5, 3, 3, 23]) == [[2, 0, 0, 2], [5, 3, 3, 23]]
    assert read(foreign, subset=np.array([7], np.uint8)) == [[1], [7]]
    train = beton_loader(foreign, split="train", **SHAPE, subset=range(9))
    assert (len(train), len(train.dataset), train.num_images) == (2, 9, 9)


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ([24], "row 24 is asked for; it has rows 0 to 23"),
        ([-1], "row -1 is asked for"),
        ([], "expected a list of rows"),
        ([0.5], "expected a list of rows"),
        ([[1]], "expected a list of rows"),
        ([[1], [2, 3]], "expected a list of rows"),
        ([1, "dog"], "expected a list of rows"),
        ({1}, "expected a list of rows"),
        ([2**70], "row 1180591620717411303424 is asked for"),
        ([True] * 24, "expected a list of rows"),
        ("dog", "expected a list of rows"),
        (["dog"], "no JSON beside it names classes. Give `subset` as rows"),
    ],
)
def test_a_subset_that_there_is_not_is_refused(foreign, subset, message):
    with pytest.raises(SettingError, match=message):
        read(foreign, subset=subset)


def test_classes_are_numbered_in_the_order_asked_for(foreign, tmp_path):
    cut_beton(foreign, tmp_path / "named.beton", np.arange(10))  # labels 0, 1, 2, 0, ... and a JSON that names them
    assert read(tmp_path / "named.beton", subset=["2", "0"]) == [[1, 0, 1, 0, 1, 0, 1], [0, 2, 3, 5, 6, 8, 9]]
    for wrong, message in ((["3"], "'3' is none of the classes"), (["1\0"], "is none of"), (["1", "1"], "named twice")):
        with pytest.raises(SettingError, match=message):
            read(tmp_path / "named.beton", subset=wrong)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3] * 6, [-1, 0, 1] * 8])
def test_class_ids_are_refused_for_a_label_field_whose_numbers_are_not_those_classes(foreign, tmp_path, labels):
    cut_beton(foreign, tmp_path / "named.beton", np.arange(10))
    (tmp_path / "whole").write_bytes(foreign_beton.beton(24, labels=labels))
    other = tmp_path / "other.beton"
    cut_beton(renamed(tmp_path / "whole", tmp_path / "whole", label="breed"), other, np.arange(10))
    other.with_suffix(".json").write_bytes((tmp_path / "named.json").read_bytes())
    with pytest.raises(SettingError, match="the field breed has numbers from .* not those of the 3 classes"):
        read(other, subset=["1"])


@pytest.mark.parametrize("num_folds", [2, 3, 5])
def test_folds_are_disjoint_cover_everything_and_have_each_class_evenly(foreign, num_folds):
    folds = [read(foreign, folds=(fold, num_folds)) for fold in range(num_folds)]
    assert sorted(row for _, rows in folds for row in rows) == list(range(24))
    for fold, (labels, rows) in enumerate(folds):
        counts = np.bincount(labels, minlength=3)
        assert counts.max() - counts.min() <= 1
        train = beton_loader(foreign, split="train", **SHAPE, folds=[fold, num_folds], seed=fold)
        assert sorted([*train.dataset.tolist(), *rows]) == list(range(24))
    assert folds == [read(foreign, folds=(fold, num_folds), seed=9) for fold in range(num_folds)]


@pytest.mark.parametrize("folds", [(5, 5), (-1, 5), (0, 1), (0, 0), (1,), (0, 2, 3), (0, 25), 5, (0.0, 2), "05"])
def test_folds_that_there_are_not_are_refused(foreign, folds):
    with pytest.raises(SettingError, match="--folds"):
        read(foreign, folds=folds)


def test_folds_of_rows_of_which_one_is_there_twice_are_refused(foreign):
    for split in ("train", "val"):
        with pytest.raises(SettingError, match="--subset names a row twice"):
            beton_loader(foreign, **{**SHAPE, "split": split}, subset=[0, 5, 0], folds=(0, 2))


def test_ranks_cover_val_in_any_order_and_are_as_long_as_one_another_in_train(foreign):
    ranks = [{"rank": rank, "num_ranks": 5} for rank in range(5)]
    for shuffle in (False, True):
        rows = [read(foreign, **one, shuffle=shuffle)[1] for one in ranks]
        assert sorted(row for one in rows for row in one) == list(range(24))
        train = [read(foreign, **one, shuffle=shuffle, split="train", batch_size=1)[1] for one in ranks]
        assert [len(one) for one in train] == [4] * 5


def test_what_is_shuffled_and_left_out_can_be_told(foreign):
    in_order = list(range(22))
    assert read(foreign, split="train", subset=in_order, shuffle=False, drop_last=False)[1] == in_order
    shuffled = read(foreign, subset=in_order, shuffle=True)[1]
    assert shuffled != in_order
    assert sorted(shuffled) == in_order
    assert read(foreign, subset=in_order, drop_last=True)[1] == in_order[:20]
    train = beton_loader(foreign, split="train", **SHAPE, drop_last=False, subset=in_order)
    assert [len(images) for images, _, _ in train] == [4, 4, 4, 4, 4, 2]


def test_an_epoch_of_both_has_each_row_twice_shuffled_together(foreign):
    options = {"split": "train", "augment": "shift-both", "seed": 3}
    labels, rows = read(foreign, **options, batch_size=5)
    assert len(rows) == 45, "9 batches of 5, of 2 x 24 images"
    whole = read(foreign, **options, batch_size=5, drop_last=False)[1]
    assert sorted(whole) == sorted([*range(24)] * 2)
    assert whole[:45] == rows
    assert labels == [row % 3 for row in rows]
    assert len(set(whole[:24])) < 24, "the copies are not one after the other"
    loader = beton_loader(foreign, **SHAPE | options)
    assert (len(loader), len(loader.dataset), loader.num_images) == (12, 48, 48)
    ranks = [read(foreign, **options, rank=rank, num_ranks=3)[1] for rank in range(3)]
    assert [len(rank) for rank in ranks] == [16, 16, 16]
    assert sorted(row for rank in ranks for row in rank) == sorted(whole)
    some = read(foreign, **options, subset=[7, 3, 11], drop_last=False)[1]
    assert sorted(some) == [3, 3, 7, 7, 11, 11]
    fold = read(foreign, **options, folds=(0, 4))[1]
    assert (len(fold), len(set(fold))) == (36, 18)
    assert read(foreign, augment="shift-both")[1] == list(range(24)), "val has each image once"


def test_it_stands_where_a_dataloader_stood(foreign):
    loader = beton_loader(foreign, split="train", **SHAPE, index=False)
    loader.set_epoch(3)
    (_, first), *_ = loader
    assert loader.epoch == 4
    assert len(loader.dataset) == 24
    again = beton_loader(foreign, split="train", **SHAPE)
    again.set_epoch(3)
    assert torch.equal(next(iter(again))[1], first)


def test_normalised_images_are_those_of_torchvisions_transform(foreign):
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    plain = beton_loader(foreign, split="val", **SHAPE)
    normalised = beton_loader(foreign, split="val", **SHAPE, normalise=[list(mean), deviation])
    transform = transforms.Normalize(mean, deviation)
    for (images, *_), (found, *_) in zip(plain, normalised, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, transform(images / 255), rtol=1e-5, atol=1e-5)
    half = beton_loader(foreign, split="val", **SHAPE, normalise=np.array([mean, deviation]), dtype="float16")
    (one, *_), *_ = half
    assert one.dtype == torch.float16
    with pytest.raises(SettingError, match="--dtype: would have no effect, as images that are not normalised"):
        read(foreign, dtype="float16")


def test_a_mean_image_is_mirrored_and_moved_as_each_image_is(foreign, rng):
    mean = rng.random((3, 16, 16))
    options = SHAPE | {"split": "train", "augment": "shift-flip", "seed": 2, "batch_size": 24}
    ((plain, _, rows),) = beton_loader(foreign, **options)
    ((made, _, same),) = beton_loader(foreign, **options, normalise=(mean, (0.5, 0.25, 1)))
    assert torch.equal(rows, same)
    places = beton_loader(foreign, **options)._place(0, 0)
    for image, found, mirrored, (down, right) in zip(plain, made, places.mirrored, places.shifts, strict=True):
        expected = np.zeros((3, 16, 16))
        for y in range(max(0, down), min(16, 16 + down)):
            for x in range(max(0, right), min(16, 16 + right)):
                of_mean = mean[:, y - down, 15 - (x - right) if mirrored else x - right]
                expected[:, y, x] = (image[:, y, x].numpy() / 255 - of_mean) / (0.5, 0.25, 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert not found[:, expected.sum(0) == 0].any(), "exactly 0 outside"
    assert places.mirrored.any() and places.shifts.any()
    loader = beton_loader(foreign, split="val", **SHAPE, normalise=(mean, (1, 1, 1)))
    with pytest.raises(SettingError, match="--normalise: its mean image is 16 px large, the images 24 px"):
        loader.image_size = 24


@pytest.mark.parametrize(
    "value",
    [
        ((0.5, 0.5, 0.5),),
        (np.zeros((3, 16, 15)), (1, 1, 1)),
        (np.full((3, 16, 16), np.nan), (1, 1, 1)),
        "off",
        ((1, 1, 1), (1, 1, 0)),
        ((-1, 0, 0), (1, 1, 1)),
        ((123.7, 116.3, 103.5), (58, 57, 57)),
        1,
    ],
)
def test_means_that_are_none_are_refused(foreign, value):
    with pytest.raises(SettingError, match="--normalise"):
        read(foreign, normalise=value)
