"""Folders people have: what is listed, and what is said when a folder is not what it should be."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.imagenet import open_imagenet
from rescale_fast.datasets.open import open_dataset
from rescale_fast.datasets.places365 import display_name, open_places365
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.datasets.readable import check_readable
from rescale_fast.datasets.settings import DatasetSettings
from rescale_fast.errors import DatasetError, SettingError
from rescale_fast.files import images as image_file
from tests.photos import encoded


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


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"caf\xe9/x.jpg"])
def test_a_file_that_is_not_named_in_utf8_is_left_out_and_said(tmp_path, name):
    make_tree(tmp_path, "val/a/1.jpg", "val/b/1.jpg", os.fsdecode(b"val/b/" + name))
    dataset = open_folder(tmp_path)
    assert dataset.splits["val"].paths == ("val/a/1.jpg", "val/b/1.jpg")
    assert f"left out: 1 not named in UTF-8 (val/b/{'caf'}" in dataset.description
    assert r"caf\xe9" in dataset.description
    dataset.description.encode()  # can be printed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"caf\xe9", r"'caf\\\\xe9' is not UTF-8"),
        (b"two\nlines", r"'two\\nlines' holds a control character"),
        (b"red\x1b[31m", r"'red\\x1b\[31m' holds a control character"),
        ("line\u2028separator".encode(), r"u2028separator' holds a control character"),
        (b"cat ", r"'cat ' begins or ends with a space"),
    ],
)
@pytest.mark.parametrize("split", ["val/", ""])
def test_a_class_that_no_list_can_hold_is_refused_at_once(tmp_path, split, name, message):
    make_tree(tmp_path, f"{split}a/1.jpg", os.fsdecode(split.encode() + name + b"/1.jpg"))
    with pytest.raises(DatasetError, match=message):
        open_folder(tmp_path)


def test_a_root_that_is_not_named_in_utf8_is_refused(tmp_path):
    root = make_tree(tmp_path / os.fsdecode(b"caf\xe9"), "val/a/1.jpg", "val/b/1.jpg")
    with pytest.raises(DatasetError, match=r"caf.xe9: its name is not UTF-8"):
        open_folder(root)


def test_what_is_left_out_is_counted_by_kind_and_said(tmp_path):
    """As from the archive of a Mac (attributes in files of their own) or from a file server (thumbnails)."""
    root = make_tree(
        tmp_path,
        *("val/a/1.jpg", "val/a/2.GIF", "val/a/3.gif", "val/a/4.jp2", "val/a/5.tga", "val/a/6.ico", "val/a/noext"),
        *("val/a/._1.jpg", "val/b/.DS_Store", "val/b/1.JPG", "val/b/Thumbs.db", "val/b/7.heic", "val/readme.txt"),
        *("val/stray.jpg", "val/__MACOSX/a/._1.jpg", "val/a/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "train/a/1.gif"),
        *("train/a/1.jpg", "train/b/1.jpg"),
    )
    os.mkfifo(root / "val/b/pipe.jpg")  # would be read for ever
    dataset = open_folder(root)
    assert dataset.splits["val"].paths == ("val/a/1.jpg", "val/b/1.JPG")
    counts = {reason: what.count for reason, what in dataset.splits["val"].left_out.items()}
    assert counts == {
        **{".gif": 2, ".jp2": 1, ".tga": 1, ".ico": 1, ".heic": 1, ".db": 1, ".txt": 1, "without a suffix": 1},
        **{"hidden": 4, "beside the class folders": 1, "that are no files": 1},
    }
    assert dataset.splits["val"].left_out["beside the class folders"].first == "val/stray.jpg"
    assert "; left out: 4 hidden (val/__MACOSX), 3 .gif (train/a/1.gif), " in dataset.description
    assert dataset.description.endswith("of other kinds")
    assert "left out" not in open_folder(make_tree(tmp_path / "plain", "val/a/1.jpg", "val/b/1.jpg")).description


def test_links_in_a_circle_are_not_followed(tmp_path):
    root = make_tree(tmp_path, "val/a/1.jpg", "val/a/deep/2.jpg", "val/b/1.jpg", "more/3.jpg", "more/sub/4.jpg")
    for link, target in {
        "val/val": ".",
        "val/root": "../..",
        "val/a/itself": ".",
        "val/a/deep/up": "../..",
        "val/a/x.jpg": "x.jpg",
        "val/a/top": "/",
        "val/b/a": "../a",
        "val/b/more": "../../more",
        "more/back": "../more",
        "more/b": "../val/b",
        "val/b/again": "../../more/sub",
        "val/b/nowhere.jpg": "gone.jpg",
    }.items():
        (root / link).symlink_to(target)
    images = open_folder(root).splits["val"]
    assert images.paths == (
        *("val/a/1.jpg", "val/a/deep/2.jpg", "val/b/1.jpg", "val/b/a/1.jpg", "val/b/a/deep/2.jpg"),
        *("val/b/again/4.jpg", "val/b/more/3.jpg", "val/b/nowhere.jpg"),
    )
    assert images.labels.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert images.left_out["linked to a folder above"].count >= 6
    assert images.left_out["linked to a folder already listed"].count >= 2
    assert images.left_out["linked in a circle"].first == "val/a/x.jpg"


def test_a_folder_is_listed_once_however_many_links_lead_to_it(tmp_path):
    """Each level linked twice from the one above: without a memory, 2 to the power of 30 folders."""
    root = make_tree(tmp_path, "val/a/1.jpg", "val/b/1.jpg", *(f"levels/{i}/{i}.jpg" for i in range(30)))
    for i in range(29):
        for name in "lr":
            (root / f"levels/{i}/{name}").symlink_to(root / f"levels/{i + 1}")
    (root / "val/b/levels").symlink_to(root / "levels/0")
    images = open_folder(root).splits["val"]
    assert len(images) == 2 + 30
    assert images.left_out["linked to a folder already listed"].count == 29


def test_accents_of_two_systems_are_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    root = make_tree(tmp_path, f"train/{composed}/1.jpg", "train/b/1.jpg", f"val/{decomposed}/1.jpg", "val/b/1.jpg")
    dataset = open_folder(root)
    assert dataset.class_ids == ("b", composed)
    assert dataset.splits["val"].paths[1] == f"val/{decomposed}/1.jpg"
    make_tree(root, f"val/{composed}/1.jpg")
    with pytest.raises(DatasetError, match="either could be meant"):
        open_folder(root)


def test_odd_but_sound_names_are_taken(tmp_path):
    names = ["-rf", "a b", "C#", "\u8c93", "train", "x.jpg", "...", "a,b", '"q"', "=1+1"]
    root = make_tree(tmp_path, *(f"val/{name}/in ner/1 (1).JPeG" for name in names))
    dataset = open_folder(root)
    assert dataset.class_ids == tuple(sorted(set(names) - {"..."}))
    assert len(dataset.splits["val"]) == len(names) - 1
    assert dataset.splits["val"].left_out["hidden"].first == "val/..."


@pytest.mark.parametrize("name", ["validation", "valid", "test"])
def test_a_val_of_another_name_is_taken_and_said(tmp_path, name):
    root = make_tree(tmp_path, f"{name}/a/1.jpg", f"{name}/b/1.jpg", "train/a/1.jpg", "train/b/1.jpg")
    dataset = open_folder(root)
    assert dataset.splits["val"].paths == (f"{name}/a/1.jpg", f"{name}/b/1.jpg")
    assert len(dataset.splits["train"]) == 2
    assert dataset.layout == f"train/<class>, {name}/<class> as val"
    make_tree(root, "val/a/2.jpg", "val/b/2.jpg")
    if name == "test":  # is not needed then
        assert open_folder(root).splits["val"].paths == ("val/a/2.jpg", "val/b/2.jpg")
    else:
        with pytest.raises(DatasetError, match=f"holds both val/ and {name}/"):
            open_folder(root)


def test_class_folders_without_splits_are_val_and_said(tmp_path):
    root = make_tree(tmp_path / "caltech", "a/1.jpg", "b/1.jpg", "b/deep/2.jpg", "README")
    dataset = open_folder(root)
    assert dataset.splits.keys() == {"val"}
    assert dataset.splits["val"].paths == ("a/1.jpg", "b/1.jpg", "b/deep/2.jpg")
    assert dataset.layout == "<class> without splits, all of it val"
    assert dataset.splits["val"].left_out["without a suffix"].first == "README"
    for stray in ("Test/a/1.jpg", "empty/notes.txt", "seg_train/buildings/1.jpg", "1.jpg"):
        other = make_tree(tmp_path / stray.partition("/")[0], "a/1.jpg", "b/1.jpg", stray)
        with pytest.raises(DatasetError, match="looked for val/<class>"):
            open_folder(other)


def check_all(root):
    dataset = open_folder(root)
    for split, images in dataset.splits.items():
        check_readable(root, split, images.paths, images.labels, dataset.class_ids)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        encoded(Image.new("RGB", (40, 30)))[:200],
        encoded(Image.new("RGB", (40, 30)), "PNG")[:60],  # a sound header
    ],
)
def test_a_class_of_which_no_image_can_be_read_is_named_before_any_work(tmp_path, monkeypatch, content):
    good = encoded(Image.new("RGB", (40, 30)))
    for name in ("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg", "val/b/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(good)
    (tmp_path / "val/b/1.jpg").write_bytes(content)
    check_all(tmp_path)  # the second is sound
    (tmp_path / "val/b/2.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"class 'b' has no readable image in val: none of 2 .* val/b/1.jpg: \w+"):
        check_all(tmp_path)
    (tmp_path / "val/b/1.jpg").unlink()
    (tmp_path / "val/b/1.jpg").symlink_to("gone.jpg")
    (tmp_path / "val/b/2.jpg").write_bytes(good)
    monkeypatch.setattr(image_file, "WAITS", ())
    with pytest.raises(DatasetError, match=r"val/b/1.jpg: No such file or directory \(ENOENT\)"):
        check_all(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        open_folder(tmp_path / "nowhere")


def test_imagenet_and_places365_need_their_own_classes(tmp_path):
    imagenet = make_tree(tmp_path / "i", *(f"val/{wnid}/1.JPEG" for wnid in imagenet_classes()))
    dataset = open_imagenet(imagenet)
    assert (dataset.num_classes, dataset.class_ids[0], dataset.class_names[0]) == (1000, "n01440764", "tench")
    assert "a part" not in dataset.layout
    places = make_tree(tmp_path / "p", *(f"val/{name}/1.jpg" for name in places365_classes()))
    dataset = open_places365(places)
    assert (dataset.num_classes, dataset.class_ids[8]) == (365, "apartment_building-outdoor")
    assert dataset.class_names[8] == "apartment building (outdoor)"
    with pytest.raises(DatasetError, match="expected class folders of Places365-Standard, found 1,000"):
        open_places365(imagenet)
    make_tree(places, "val/zzz/1.jpg")
    with pytest.raises(DatasetError, match="found 366 folders, 1 of them unknown, 'zzz' first"):
        open_places365(places)


@pytest.mark.parametrize("root", ["itself", "~nobody-by-this-name/images"])
def test_a_root_that_leads_nowhere_is_one_message(tmp_path, root):
    (tmp_path / "itself").symlink_to("itself")
    with pytest.raises(DatasetError, match="no such folder"):
        open_dataset(DatasetSettings(dataset="folder", root=Path(root) if root[0] == "~" else tmp_path / root))


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
