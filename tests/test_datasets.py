"""Folders people have: what is listed, and what is said when a folder is not what it should be."""

import os

import numpy as np
import pytest

from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.imagenet import imagenet_classes, open_imagenet
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.places365 import display_name, open_places365, places365_classes
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import DatasetError, SettingError


def make_tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_classes_are_sorted_and_images_listed_in_order(tmp_path):
    root = make_tree(tmp_path, "val/b/2.JPEG", "val/b/1.png", "val/a/deep/x.jpg", "val/a/.hidden.jpg", "val/a/n.txt")
    dataset = open_folder(root)
    assert dataset.class_ids == ("a", "b")
    assert dataset.splits["val"].paths == ("val/a/deep/x.jpg", "val/b/1.png", "val/b/2.JPEG")
    np.testing.assert_array_equal(dataset.splits["val"].labels, [0, 1, 1])
    assert "train" not in dataset.splits


def test_the_digest_follows_the_listing(tmp_path):
    root = make_tree(tmp_path, "val/a/1.jpg", "val/b/1.jpg")
    before = open_folder(root).digest
    assert open_folder(root).digest == before
    make_tree(root, "val/b/2.jpg")
    assert open_folder(root).digest != before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/1.jpg"], "looked for val/<class>"),
        (["val/a/1.jpg"], "found 1 class folders"),
        (["val/a/1.jpg", "val/b/readme.txt"], "b: holds readme.txt, no image"),
        (["val/a/1.jpg", "val/b/1.jpg", "train/a/1.jpg", "train/c/1.jpg"], "1 are in train/ alone .* 'c' first"),
    ],
)
def test_a_folder_that_is_not_a_data_set_is_explained(tmp_path, names, message):
    with pytest.raises(DatasetError, match=message):
        open_folder(make_tree(tmp_path, *names))


def test_a_name_that_is_not_utf8_is_shown(tmp_path):
    make_tree(tmp_path, "val/a/1.jpg", "val/b/1.jpg")
    (tmp_path / "val/b" / os.fsdecode(b"caf\xe9.jpg")).touch()
    with pytest.raises(DatasetError, match=r"caf.xe9.jpg'.*not UTF-8"):
        open_folder(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        open_folder(tmp_path / "nowhere")


def test_imagenet_and_places365_need_their_own_classes(tmp_path):
    imagenet = make_tree(tmp_path / "i", *(f"val/{wnid}/1.JPEG" for wnid in imagenet_classes()))
    dataset = open_imagenet(imagenet)
    assert (dataset.num_classes, dataset.class_ids[0], dataset.class_names[0]) == (1000, "n01440764", "tench")
    places = make_tree(tmp_path / "p", *(f"val/{name}/1.jpg" for name in places365_classes()))
    dataset = open_places365(places)
    assert (dataset.num_classes, dataset.class_ids[8]) == (365, "apartment_building-outdoor")
    assert dataset.class_names[8] == "apartment building (outdoor)"
    with pytest.raises(DatasetError, match="expected the 365 class folders of Places365-Standard, found 1,000"):
        open_places365(imagenet)
    make_tree(places, "val/zzz/1.jpg")
    with pytest.raises(DatasetError, match="1 unknown, 0 missing, 'zzz' first"):
        open_places365(places)


def test_class_tables_are_sound():
    assert list(imagenet_classes()) == sorted(imagenet_classes())
    assert len(imagenet_classes()) == 1000
    assert list(places365_classes()) == sorted(places365_classes())
    assert len(set(places365_classes())) == 365
    assert len(set(map(display_name, places365_classes()))) == 365


def test_root_is_asked_for_and_pointless_for_glyphs(tmp_path):
    with pytest.raises(SettingError, match="needs --root DIR"):
        open_dataset(DatasetSettings(dataset="imagenet"))
    with pytest.raises(SettingError, match="need no folder"):
        open_dataset(DatasetSettings(root=tmp_path))
