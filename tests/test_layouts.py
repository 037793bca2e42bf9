"""Every layout that people have, in miniature: one image a class, the real names, and the real lists beside them."""

import io
import shutil
import tarfile

import numpy as np
import pytest
import torch
from scipy.io import savemat

from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.imagenet import open_imagenet
from rescale_fast.datasets.places365 import class_id_of, display_name, open_places365
from rescale_fast.datasets.published import devkit_order, imagenet_classes, places365_classes
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


def rank_lines(separator=" ", prefix=""):
    rows = enumerate(val_wnids(), start=1)
    return "".join(f"{prefix}{image_name(i)}{separator}{WNIDS.index(wnid)}\n" for i, wnid in rows)


def add_caffe(root):
    (root / "val.txt").write_text(rank_lines())


def add_caffes_folder(root):
    """caffe_ilsvrc12.tar.gz as it unpacks; the order of its synsets is changed here, so that it must be looked at."""
    order = [*WNIDS[1:], WNIDS[0]]
    (root / "caffe_ilsvrc12").mkdir()
    lines = [f"{image_name(i)} {order.index(wnid)}\n" for i, wnid in enumerate(val_wnids(), start=1)]
    (root / "caffe_ilsvrc12/val.txt").write_text("".join(lines))
    (root / "caffe_ilsvrc12/synsets.txt").write_text("\n".join(order) + "\n")
    (root / "caffe_ilsvrc12/synset_words.txt").write_text("".join(f"{wnid} some words\n" for wnid in order))


def add_mmpretrain(root):
    (root / "meta").mkdir()
    (root / "meta/val.txt").write_text(rank_lines())
    (root / "meta/train.txt").write_text("n01440764/n01440764_10026.JPEG 0\n")


def add_swin(root):
    (root / "val_map.txt").write_text(rank_lines("\t"))
    (root / "train_map.txt").write_text("n01440764/n01440764_10026.JPEG\t0\n")


def add_paddle(root):
    (root / "val_list.txt").write_text(rank_lines(prefix="val/"))
    (root / "train_list.txt").write_text("train/n01440764/n01440764_10026.JPEG 0\n")


def add_ground_truth_alone(root):
    """Ids in the order of the real devkit, of which the first images are known: 490 and 361."""
    order = devkit_order()
    assert [order.index(wnid) + 1 for wnid in val_wnids()[:2]] == [490, 361]
    lines = [f"{order.index(wnid) + 1}\n" for wnid in val_wnids()]
    (root / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(lines))


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
        (add_caffes_folder, "val.txt"),
        (add_mmpretrain, "val.txt"),
        (add_swin, "val_map.txt"),
        (add_paddle, "val_list.txt"),
        (add_ground_truth_alone, "ILSVRC2012_validation_ground_truth.txt"),
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


@pytest.mark.parametrize("root", ["", "ILSVRC", "ILSVRC/Data", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_tree_is_found_from_any_of_its_folders(tmp_path, root):
    """imagenet-object-localization-challenge: lists beside ILSVRC/; those in ImageSets/ number the images instead."""
    flat_val(tmp_path, "ILSVRC/Data/CLS-LOC/val")
    make_tree(tmp_path, "ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG")
    make_tree(tmp_path, *(f"ILSVRC/Data/CLS-LOC/train/{wnid}/{wnid}_1.JPEG" for wnid in WNIDS))
    make_tree(tmp_path, "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml", "ILSVRC/ImageSets/CLS-LOC/x")
    numbered = "".join(f"ILSVRC2012_val_{i:08d} {i}\n" for i in range(1, 1001))
    (tmp_path / "ILSVRC/ImageSets/CLS-LOC/val.txt").write_text(numbered)
    make_tree(tmp_path, "LOC_sample_submission.csv", "LOC_synset_mapping.txt", "LOC_train_solution.csv")
    add_kaggle(tmp_path)
    dataset = open_imagenet(tmp_path / root)
    check_imagenet(dataset)
    assert len(dataset.splits["train"]) == 1000
    assert "LOC_val_solution.csv" in dataset.layout


def test_the_archives_own_names_are_splits(tmp_path):
    flat_val(tmp_path, "ILSVRC2012_img_val")
    make_tree(tmp_path, *(f"ILSVRC2012_img_train/{wnid}/{wnid}_1.JPEG" for wnid in WNIDS))
    add_ground_truth_alone(tmp_path)
    dataset = open_imagenet(tmp_path)
    check_imagenet(dataset)
    assert len(dataset.splits["train"]) == 1000


@pytest.mark.parametrize("below", ["", "val/"])
def test_imagenetv2s_numbers_are_ranks(tmp_path, below):
    make_tree(tmp_path, *(f"{below}{i}/{i:040x}.jpeg" for i in range(1000)))
    dataset = open_imagenet(tmp_path)
    assert dataset.class_ids == WNIDS
    images = dataset.splits["val"]
    assert [int(path.rpartition("/")[2][:40], 16) for path in images.paths] == list(images.labels) == list(range(1000))
    assert "<0 to 999, sorted wnids>" in dataset.layout
    (tmp_path / below / "0").rename(tmp_path / below / "1000")  # now they are the devkit's ids
    with pytest.raises(DatasetError, match="folders are numbers .*devkit's order"):
        open_imagenet(tmp_path)


@pytest.mark.parametrize("splits", [("train", "val"), ("val",), ("",)])
def test_a_part_of_imagenet_is_taken_and_said(tmp_path, splits):
    """Imagenette's ten wnids, named as there; the third layout is ImageNet-A's and -R's."""
    wnids = sorted(WNIDS[i] for i in (0, 217, 482, 491, 497, 566, 569, 571, 574, 701))
    names = [f"{split}/{wnid}/{wnid}_{i}.JPEG".lstrip("/") for split in splits for wnid in wnids for i in range(2)]
    dataset = open_imagenet(make_tree(tmp_path, *names, "noisy_imagenette.csv"))
    assert (dataset.kind, dataset.name) == ("imagenet", "imagenet-10")
    assert dataset.class_ids == tuple(wnids)
    assert dataset.class_names[:2] == ("tench", "English springer")
    assert dataset.splits["val"].labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert "imagenet-10: 10 classes, " in dataset.description
    assert "a part: 10 of the 1,000 classes" in dataset.description
    make_tree(tmp_path, f"{splits[-1] or '.'}/n00000000/1.JPEG")
    with pytest.raises(DatasetError, match="1 of them unknown, 'n00000000' first|looked for val/<class>"):
        open_imagenet(tmp_path)


def test_splits_of_different_parts_are_refused(tmp_path):
    """As a half-unpacked archive leaves them."""
    make_tree(tmp_path, *(f"val/{wnid}/1.JPEG" for wnid in WNIDS), *(f"train/{wnid}/1.JPEG" for wnid in WNIDS[:700]))
    with pytest.raises(DatasetError, match=r"train/ has 700 classes, val/ has 1,000; 0 are in train/ alone and 300 in"):
        open_imagenet(tmp_path)


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
        (
            ["val/cat/a.JPEG", "val/dog/a.JPEG"],
            "expected class folders of .* 2 of them unknown, 'cat' first",
        ),
        (["val/n01440764/a.JPEG"], "all images are of one class, 'n01440764'"),
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
    (tmp_path / "meta.bin").write_bytes(b"torn")
    with pytest.raises(DatasetError, match=r"meta.bin: not readable as what its name says"):
        open_imagenet(tmp_path)


@pytest.mark.parametrize("label", ["1000", "-1", "65.0", "n01751748", ""])
def test_a_rank_that_is_none_is_refused(tmp_path, label):
    flat_val(tmp_path)
    lines = rank_lines().splitlines()
    lines[8] = f"{image_name(9)} {label}"
    (tmp_path / "val.txt").write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=r"val.txt: not readable as what its name says"):
        open_imagenet(tmp_path)


def test_a_flat_val_that_lacks_images_of_its_list_says_so(tmp_path):
    """A half-unpacked archive, and a part."""
    flat_val(tmp_path)
    add_kaggle(tmp_path)
    for number in (7, 8):
        (tmp_path / "val" / image_name(number)).unlink()
    dataset = open_imagenet(tmp_path)
    assert dataset.layout == (
        "val/ labelled by LOC_val_solution.csv, which lists 2 more, a part: 998 of the 1,000 classes"
    )
    assert len(dataset.splits["val"]) == dataset.num_classes == 998


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
        ("data_256_challenge", "val_256", "filelist_places365-challenge"),
        ("data_large", "val_large", "meta"),  # as mmagic has it
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
        (lambda root: make_tree(root, "val/airfield/1.jpg"), "both val/ and val_256/"),
        (lambda root: make_tree(root, "data_256/a/moon_base/1.jpg"), "1 of them unknown, 'a/moon_base' first"),
    ],
)
def test_what_is_not_places365_is_explained(tmp_path, spoil, message):
    places_flat(tmp_path, "val_256")
    places_lists(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DatasetError, match=message):
        open_places365(tmp_path)


@pytest.mark.parametrize(
    ("train", "taken"),
    [
        ([], ["val_256"]),
        (["data_256"], ["data_256", "val_256"]),
        (["data_large"], ["data_large", "val_large"]),
        (["data_large_standard", "data_256_standard"], ["data_256_standard", "val_256"]),
    ],
)
def test_of_two_sizes_that_of_both_splits_is_taken(tmp_path, train, taken):
    for folder in train:
        make_tree(tmp_path, *(f"{folder}/{nested(class_id)}/00000001.jpg" for class_id in PLACES))
    places_flat(tmp_path, "val_256")
    places_flat(tmp_path, "val_large")
    places_lists(tmp_path)
    dataset = open_places365(tmp_path)
    assert [images.paths[0].partition("/")[0] for images in dataset.splits.values()] == taken


@pytest.mark.parametrize("spell", [nested, lambda class_id: class_id])
def test_a_part_of_places365_is_taken_and_said(tmp_path, spell):
    classes = PLACES[5:25]
    dataset = open_places365(make_tree(tmp_path, *(f"val/{spell(class_id)}/1.jpg" for class_id in classes)))
    assert (dataset.kind, dataset.name, dataset.class_ids) == ("places365", "places365-20", classes)
    assert dataset.layout.endswith("a part: 20 of the 365 classes")


def tiny(root, *, classes):
    """tiny-imagenet-200.zip: images of train in folders of their own, boxes beside them, those of val annotated."""
    make_tree(root, *(f"train/{c}/images/{c}_{i}.JPEG" for c in classes for i in range(2)))
    make_tree(root, *(f"train/{c}/{c}_boxes.txt" for c in classes), "wnids.txt", "words.txt")
    make_tree(root, *(f"val/images/val_{i}.JPEG" for i in range(4)), "test/images/test_0.JPEG")
    of_image = [classes[i] for i in (2, 0, 1, 0)]
    rows = [f"val_{i}.JPEG\t{c}\t0\t32\t44\t62\n" for i, c in enumerate(of_image)]
    (root / "val" / "val_annotations.txt").write_text("".join(rows))
    return of_image


@pytest.mark.parametrize("open_it", [open_folder, open_imagenet])
def test_tiny_imagenet_as_it_unpacks(tmp_path, open_it):
    tiny(tmp_path, classes=WNIDS[:3])
    dataset = open_it(tmp_path)
    assert dataset.class_ids == WNIDS[:3]
    assert dataset.splits["val"].paths == tuple(f"val/images/val_{i}.JPEG" for i in (1, 3, 2, 0))
    np.testing.assert_array_equal(dataset.splits["val"].labels, [0, 0, 1, 2])
    assert len(dataset.splits["train"]) == 6
    assert "labelled by val_annotations.txt" in dataset.layout
    assert dataset.splits["train"].left_out[".txt"].count == 3


@pytest.mark.parametrize("open_it", [open_folder, open_imagenet])
@pytest.mark.parametrize("inner", ["", "images/"])
@pytest.mark.parametrize("leftover", [True, False])
def test_tiny_imagenet_sorted_into_class_folders_with_the_annotations_kept(tmp_path, open_it, inner, leftover):
    for i, wnid in enumerate(tiny(tmp_path, classes=WNIDS[:3])):
        target = tmp_path / f"val/{wnid}/{inner}val_{i}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"val/images/val_{i}.JPEG").rename(target)
    if not leftover:
        (tmp_path / "val/images").rmdir()
    dataset = open_it(tmp_path)
    assert dataset.class_ids == WNIDS[:3]
    assert [path.rpartition("/")[2] for path in dataset.splits["val"].paths] == [f"val_{i}.JPEG" for i in (1, 3, 2, 0)]


def test_annotations_of_other_classes_are_refused(tmp_path):
    tiny(tmp_path, classes=("n00000001", "n00000002", "n00000003"))
    with pytest.raises(DatasetError, match="unknown, 'n00000001' first"):
        open_imagenet(tmp_path)
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(DatasetError, match="'n00000001' is no class of ImageNet-1k"):
        open_imagenet(tmp_path)
    (tmp_path / "val/val_annotations.txt").write_bytes(b"val_0.JPEG\tcaf\xe9\n")
    with pytest.raises(DatasetError, match="val_annotations.txt: not readable as text"):
        open_folder(tmp_path)
