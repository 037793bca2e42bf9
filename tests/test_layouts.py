"""Every layout that people have, in miniature: one image a class, the real names, and the real lists beside them."""

import io
import tarfile

import numpy as np
import pytest
import torch
from scipy.io import savemat

from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.imagenet import imagenet_classes, open_imagenet
from rescale_fast.datasets.places365 import class_id_of, display_name, open_places365, places365_classes
from rescale_fast.errors import DatasetError
from tests.test_datasets import make_tree

WNIDS = tuple(imagenet_classes())
PLACES = places365_classes()


def val_wnids():
    """The class of validation image 1, 2, ...: the first two as in ILSVRC 2012, then every other class once."""
    known = [WNIDS[65], WNIDS[970]]
    return known + [wnid for wnid in WNIDS if wnid not in known]


def image_name(number, suffix=""):
    return f"ILSVRC2012_val_{number:08d}{suffix}.JPEG"


def flat_val(root, folder="val", with_wnid=False):
    names = [image_name(i, f"_{wnid}" if with_wnid else "") for i, wnid in enumerate(val_wnids(), start=1)]
    return make_tree(root, *(f"{folder}/{name}" for name in names))


def devkit_files():
    """meta.mat (leaves in an order of its own, and two inner nodes) and the ground truth in that order."""
    order = [*WNIDS[500:], *WNIDS[:500]]
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(i, wnid, "words", "gloss", 0) for i, wnid in enumerate(order, start=1)]
    rows += [(1001, "n00001740", "entity", "gloss", 3), (1002, "n00001930", "thing", "gloss", 2)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})
    truth = "".join(f"{order.index(wnid) + 1}\n" for wnid in val_wnids())
    return {"meta.mat": meta.getvalue(), "ILSVRC2012_validation_ground_truth.txt": truth.encode()}


def add_devkit(root, packed):
    if packed:
        with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
            for name, content in devkit_files().items():
                member = tarfile.TarInfo(f"ILSVRC2012_devkit_t12/data/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    else:
        folder = root / "ILSVRC2012_devkit_t12" / "data"
        folder.mkdir(parents=True)
        for name, content in devkit_files().items():
            (folder / name).write_bytes(content)


def add_kaggle(root):
    rows = [f"ILSVRC2012_val_{i:08d},{wnid} 1 2 3 4 {wnid} 5 6 7 8 " for i, wnid in enumerate(val_wnids(), start=1)]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows[::-1]]) + "\n")


def add_caffe(root):
    lines = [f"{image_name(i)} {WNIDS.index(wnid)}" for i, wnid in enumerate(val_wnids(), start=1)]
    (root / "val.txt").write_text("\n".join(lines) + "\n")


def add_meta_bin(root):
    torch.save((dict.fromkeys(WNIDS, ("name",)), val_wnids()), root / "meta.bin")


def check_imagenet(dataset):
    """Each image has its class, whatever the layout."""
    assert dataset.class_ids == WNIDS
    wnids = val_wnids()
    images = dataset.splits["val"]
    assert len(images) == 1000
    for path, label in zip(images.paths, images.labels, strict=True):
        assert (dataset.root / path).is_file()
        number = int(path.rpartition("ILSVRC2012_val_")[2][:8])
        assert WNIDS[label] == wnids[number - 1]


@pytest.mark.parametrize(
    ("add", "found"),
    [
        (add_kaggle, "LOC_val_solution.csv"),
        (add_caffe, "val.txt"),
        (add_meta_bin, "meta.bin"),
        (lambda root: add_devkit(root, packed=False), "ILSVRC2012_validation_ground_truth.txt"),
        (lambda root: add_devkit(root, packed=True), "ILSVRC2012_devkit_t12.tar.gz"),
    ],
)
def test_a_flat_val_is_labelled_by_any_of_its_lists(tmp_path, add, found):
    add(flat_val(tmp_path))
    dataset = open_imagenet(tmp_path)
    check_imagenet(dataset)
    assert dataset.layout == f"val/ labelled by {found}"


def test_a_flat_val_is_labelled_by_its_names(tmp_path):
    check_imagenet(open_imagenet(flat_val(tmp_path, "validation", with_wnid=True)))


@pytest.mark.parametrize("root", ["", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_tree_is_found_from_any_of_its_folders(tmp_path, root):
    flat_val(tmp_path, "ILSVRC/Data/CLS-LOC/val")
    make_tree(tmp_path, "ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG")
    make_tree(tmp_path, *(f"ILSVRC/Data/CLS-LOC/train/{wnid}/{wnid}_1.JPEG" for wnid in WNIDS))
    add_kaggle(tmp_path / "ILSVRC" if root == "ILSVRC" else tmp_path)
    dataset = open_imagenet(tmp_path / root)
    check_imagenet(dataset)
    assert len(dataset.splits["train"]) == 1000
    assert "LOC_val_solution.csv" in dataset.layout


@pytest.mark.parametrize("spelling", ["{wnid}", "{wnid}_{name}", "{wnid} - {name}"])
def test_sorted_folders_of_any_spelling(tmp_path, spelling):
    for i, wnid in enumerate(val_wnids(), start=1):
        name = spelling.format(wnid=wnid, name=imagenet_classes()[wnid])
        make_tree(tmp_path, f"val/{name}/{image_name(i)}")
    check_imagenet(open_imagenet(tmp_path))


def test_two_lists_that_disagree_are_both_named(tmp_path):
    flat_val(tmp_path)
    add_caffe(tmp_path)
    add_kaggle(tmp_path)
    check_imagenet(open_imagenet(tmp_path))
    text = (tmp_path / "val.txt").read_text().splitlines()
    text[9] = f"{image_name(10)} 999"
    (tmp_path / "val.txt").write_text("\n".join(text))
    with pytest.raises(
        DatasetError, match=r"LOC_val_solution.csv and .*val.txt, which disagree about ILSVRC2012_val_0*10"
    ):
        open_imagenet(tmp_path)


def test_labels_in_another_order_are_noticed(tmp_path):
    """Devkit ids written as if they were ranks: the trap that gives 0.1 % accuracy."""
    flat_val(tmp_path)
    (tmp_path / "val.txt").write_text("".join(f"{image_name(i)} {(i + 489) % 1000}\n" for i in range(1, 1001)))
    with pytest.raises(DatasetError, match=r"but that image is a n\d+"):
        open_imagenet(tmp_path)


@pytest.mark.parametrize("both", [("val", "validation"), ("val", "ILSVRC/Data/CLS-LOC/val")])
def test_two_val_folders_are_both_named(tmp_path, both):
    for folder in both:
        flat_val(tmp_path, folder)
    with pytest.raises(DatasetError, match=f"holds both {both[0]}/ and {both[1]}/"):
        open_imagenet(tmp_path)
    make_tree(tmp_path / "linked", "val/x.JPEG")
    (tmp_path / "linked" / "validation").symlink_to("val")
    with pytest.raises(DatasetError, match="no list says which class"):  # one folder under two names is no ambiguity
        open_imagenet(tmp_path / "linked")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["val/ILSVRC2012_val_00000001.JPEG"], "no list says which class .* LOC_val_solution.csv"),
        (["val/1/a.JPEG", "val/2/a.JPEG"], "folders are numbers"),
        (["val/cat/a.JPEG", "val/dog/a.JPEG"], "expected the 1,000 class folders .* 2 unknown, 1,000 missing, 'cat'"),
        (["val/cat/a.JPEG", "val/a.JPEG"], "both class folders and images beside them"),
        (["val/readme.txt"], "no class folder and no image, only readme.txt"),
        (["val/n01440764/a.JPEG", "val/n01440764 tench/a.JPEG"], "both n01440764/ and n01440764 tench/, both class"),
        (["images/a.JPEG"], "looked for val/<class>.*found images/"),
    ],
)
def test_what_is_not_imagenet_is_explained(tmp_path, names, message):
    with pytest.raises(DatasetError, match=message):
        open_imagenet(make_tree(tmp_path, *names))


def test_an_image_that_a_list_lacks_and_a_damaged_list_are_named(tmp_path):
    flat_val(tmp_path)
    add_kaggle(tmp_path)
    make_tree(tmp_path, "val/ILSVRC2012_val_00009999.JPEG")
    with pytest.raises(DatasetError, match="1 of 1,001 images have no label .*00009999"):
        open_imagenet(tmp_path)
    (tmp_path / "val" / "ILSVRC2012_val_00009999.JPEG").unlink()
    (tmp_path / "val" / image_name(7)).unlink()
    with pytest.raises(DatasetError, match="1 of 1,000 classes have no image"):
        open_imagenet(tmp_path)
    (tmp_path / "meta.bin").write_bytes(b"torn")
    with pytest.raises(DatasetError, match=r"meta.bin: not readable as what its name says"):
        open_imagenet(tmp_path)


def nested(class_id):
    return f"{class_id[0]}/{class_id.replace('-', '/')}"


def places_flat(root, folder):
    for i in range(365):
        make_tree(root, f"{folder}/Places365_val_{i + 1:08d}.jpg")


def places_lists(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"Places365_val_{i + 1:08d}.jpg {364 - i}" for i in range(365)]
    (folder / "places365_val.txt").write_text("\n".join(lines) + "\n")
    names = [f"/{nested(class_id)} {i}" for i, class_id in enumerate(PLACES)]
    (folder / "categories_places365.txt").write_text("\n".join(names) + "\n")


@pytest.mark.parametrize(
    ("train", "val", "lists"),
    [
        ("data_256_standard", "val_256", ""),  # torchvision.datasets.Places365
        ("data_large_standard", "val_large", ""),
        ("data_256", "val_256", "filelist_places365-standard"),  # the archives as they unpack
    ],
)
def test_torchvisions_places365_and_the_unpacked_archives(tmp_path, train, val, lists):
    make_tree(tmp_path, *(f"{train}/{nested(class_id)}/00000001.jpg" for class_id in PLACES))
    places_flat(tmp_path, val)
    places_lists(tmp_path / lists)
    dataset = open_places365(tmp_path)
    assert dataset.class_ids == PLACES
    assert dataset.layout == f"{train}/<letter>/<class>, {val}/ labelled by places365_val.txt"
    for path, label in zip(dataset.splits["train"].paths, dataset.splits["train"].labels, strict=True):
        assert path == f"{train}/{nested(PLACES[label])}/00000001.jpg"
    for path, label in zip(dataset.splits["val"].paths, dataset.splits["val"].labels, strict=True):
        assert 364 - label == int(path[-12:-4]) - 1


@pytest.mark.parametrize(
    ("base", "spell"),
    [
        ("", lambda i: i),
        ("places365_standard/", lambda i: i),
        ("", lambda i: i.replace("-", "_")),
        ("", display_name),
        ("", nested),
    ],
)
def test_places365_folders_of_any_spelling(tmp_path, base, spell):
    make_tree(tmp_path, *(f"{base}val/{spell(class_id)}/{i:08d}.jpg" for i, class_id in enumerate(PLACES)))
    dataset = open_places365(tmp_path)
    assert dataset.class_names == tuple(map(display_name, PLACES))
    images = dataset.splits["val"]
    assert [int(path[-12:-4]) for path in images.paths] == list(images.labels) == list(range(365))


def test_spellings_of_a_place_are_one_class():
    for class_id in PLACES:
        spellings = {class_id, f"/{nested(class_id)}", class_id.replace("-", "_"), display_name(class_id)}
        assert {class_id_of(spelling) for spelling in spellings} == {class_id}
    assert class_id_of("moon_base") is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "places365_val.txt").unlink(), "places365_val.txt is not in"),
        (lambda root: (root / "places365_val.txt").write_text("a.jpg 365\n"), "line 1 is 'a.jpg 365', expected"),
        (
            lambda root: (root / "categories_places365.txt").write_text("/b/bar 0\n"),
            "1 is '/b/bar 0', which is not",
        ),
        (lambda root: places_flat(root, "val_large"), "both val_256/ and val_large/"),
        (lambda root: make_tree(root, "data_256/a/moon_base/1.jpg"), "1 unknown, 365 missing, 'a/moon_base'"),
    ],
)
def test_what_is_not_places365_is_explained(tmp_path, spoil, message):
    places_flat(tmp_path, "val_256")
    places_lists(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_places365(tmp_path)


def test_tiny_imagenet_is_a_folder(tmp_path):
    make_tree(tmp_path, *(f"train/{c}/images/{c}_{i}.JPEG" for c in ("n1", "n2", "n3") for i in range(2)))
    make_tree(tmp_path, *(f"val/images/val_{i}.JPEG" for i in range(4)))
    rows = [f"val_{i}.JPEG\t{c}\t0\t0\t9\t9\n" for i, c in enumerate(("n3", "n1", "n2", "n1"))]
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(rows))
    dataset = open_folder(tmp_path)
    assert dataset.class_ids == ("n1", "n2", "n3")
    assert dataset.splits["val"].paths == tuple(f"val/images/val_{i}.JPEG" for i in (1, 3, 2, 0))
    np.testing.assert_array_equal(dataset.splits["val"].labels, [0, 0, 1, 2])
    assert len(dataset.splits["train"]) == 6
