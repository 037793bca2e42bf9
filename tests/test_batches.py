"""Down-sampled sets as files: CIFAR-style batches, .npz, betons; cutting classes; damaged and dangerous batch files."""

import csv
import io
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.beton.check import check_beton
from rescale_fast.beton.file import read_beton
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.datasets.folder import open_folder
from rescale_fast.datasets.published import imagenet_classes
from rescale_fast.errors import ArtifactError
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.run.commands import main
from rescale_fast.small.batches import batch_names, read_batch, write_pickle
from rescale_fast.small.types import VariantInfo
from tests.conftest import ROOT
from tests.photos import NOWHERE, encoded, photo

CLASSES = ("ant", "bee", "cat", "dog")
DOWNSAMPLE = ("downsample", "--dataset", "folder", "--root")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Four classes, 9 train and 5 val images each; one train image of a cat is cut short."""
    rng, root = np.random.default_rng(4), tmp_path_factory.mktemp("data") / "pets"
    for split, count in (("train", 9), ("val", 5)):
        for class_id in CLASSES:
            folder = root / split / class_id
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{rng.integers(10**6):06d}.jpg").write_bytes(encoded(photo(rng, 40 + i, 30)))
    bad = sorted((root / "train" / "cat").iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:300])
    return root


def run(*arguments):
    return main([str(one) for one in arguments])


def made(root, out, *arguments):
    """Down-sample; return the set's folder."""
    assert run(*DOWNSAMPLE, root, "--out", out, "--side", 8, *arguments) == 0
    (folder,) = out.iterdir()
    return folder


def unpickled(path):
    with path.open("rb") as file:
        return pickle.load(file)


def rows_of(folder, split):
    with (folder / f"{split}_images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    return made(root, tmp_path_factory.mktemp("whole"), "--forms", "batches", "npz", "beton")


def test_batches_are_as_imagenet32_scripts_writes_them(root, whole):
    assert whole.name == "pets-8x8-sRGB-box-4"
    batches = [unpickled(whole / name) for name in batch_names("train")]
    assert [len(batch["labels"]) for batch in batches] == [3] * 9 + [8]  # 35 readable images
    for batch in batches:
        assert list(batch) == ["data", "labels", "mean"]
        assert type(batch["labels"]) is list and {type(label) for label in batch["labels"]} == {int}
        assert (batch["data"].dtype, batch["data"].shape[1]) == (np.uint8, 3 * 8 * 8)
        assert (batch["mean"].dtype, batch["mean"].shape) == (np.float64, (3 * 8 * 8,))
    data = np.concatenate([batch["data"] for batch in batches])
    for batch in batches:
        np.testing.assert_array_equal(batch["mean"], data.mean(axis=0))
    labels = [label for batch in batches for label in batch["labels"]]
    listed = rows_of(whole, "train")
    assert [int(row["label"]) for row in listed] == labels != sorted(labels)
    for row, pixels in zip(listed, data, strict=True):
        image = Image.open(root / row["path"]).convert("RGB").resize((8, 8), Image.Resampling.BOX)
        np.testing.assert_array_equal(pixels, np.asarray(image).transpose(2, 0, 1).ravel())
        assert row["path"].split("/")[1] == row["class_id"] == CLASSES[int(row["label"]) - 1]
    val = unpickled(whole / "val_data")
    assert list(val) == ["data", "labels"] and len(val["labels"]) == 20
    names = [row["path"].rpartition("/")[2] for row in rows_of(whole, "val")]
    assert names == sorted(names)


def test_nothing_is_lost_silently(root, whole):
    info = VariantInfo.load(whole / "variant.json")
    assert info.num_images == {"train": 35, "val": 20}
    (bad,) = info.skipped["train"]
    assert bad["path"] == f"train/cat/{sorted((root / 'train' / 'cat').iterdir())[0].name}"
    assert "truncated" in bad["reason"].lower()
    assert info.files == {name: (whole / name).stat().st_size for name in info.files}
    listed = [row["path"] for split in ("train", "val") for row in rows_of(whole, split)]
    assert sorted([*listed, bad["path"]]) == sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))


def test_npz_holds_the_same_without_pickle(whole):
    for split in ("train", "val"):
        for name in batch_names(split):
            batch = unpickled(whole / name)
            with np.load(whole / f"{name}.npz", allow_pickle=False) as arrays:
                assert set(arrays) == set(batch)
                for key in arrays:
                    np.testing.assert_array_equal(arrays[key], batch[key])
                assert arrays["labels"].dtype == np.int64


@pytest.mark.parametrize("colours", ["sRGB", "grey"])
def test_betons_hold_the_same_pixels(root, tmp_path, colours):
    folder = made(root, tmp_path, "--forms", "beton", "batches", "--colours", colours)
    check_beton(folder / "train.beton")
    beton, content = read_beton(folder / "train.beton"), (folder / "train.beton").read_bytes()
    data = np.concatenate([unpickled(folder / name)["data"] for name in batch_names("train")])
    labels = [label for name in batch_names("train") for label in unpickled(folder / name)["labels"]]
    assert beton.integers("label").tolist() == [label - 1 for label in labels]
    assert beton.integers("index").tolist() == list(range(35))
    for at, size, pixels in zip(beton.pointers[:, 0], beton.sizes[:, 0], data, strict=True):
        planes = np.broadcast_to(pixels.reshape(-1, 8, 8), (3, 8, 8))
        assert content[at : at + size] == planes.transpose(1, 2, 0).tobytes()


def test_the_same_bytes_by_shares_and_nothing_is_made_twice(root, whole, tmp_path, capsys):
    forms = ("--forms", "batches", "npz", "beton")
    for share in ("1/2", "0/2"):
        assert run(*DOWNSAMPLE, root, "--out", tmp_path, "--side", 8, "--share", share) == 0
    folder = made(root, tmp_path, *forms)
    for path in whole.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert len(list(folder.iterdir())) == len(list(whole.iterdir()))
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    made(root, tmp_path, "--forms", "npz")
    assert "(reused)" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_form_that_is_asked_for_later_is_added(root, whole, tmp_path):
    made(root, tmp_path, "--forms", "npz", "beton")
    folder = made(root, tmp_path, "--forms", "batches")
    for name in VariantInfo.load(whole / "variant.json").files:
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    assert VariantInfo.load(folder / "variant.json").forms == ("npz", "beton", "batches")


def test_imagenets_labels_are_those_of_its_devkit(tmp_path, rng):
    content = encoded(photo(rng, 10, 10))
    for wnid in imagenet_classes():
        (tmp_path / "set" / "val" / wnid).mkdir(parents=True)
        (tmp_path / "set" / "val" / wnid / f"{wnid}.jpg").write_bytes(content)
    place = ("--root", tmp_path / "set", "--out", tmp_path / "out")
    assert run("downsample", "--dataset", "imagenet", *place, "--side", 4) == 0
    folder = tmp_path / "out" / "imagenet-4x4-sRGB-box-1000"
    label_of = {row["class_id"]: int(row["label"]) for row in rows_of(folder, "val")}
    known = {"n02119789": 1, "n02100735": 2, "n09193705": 361, "n01751748": 490, "n03255030": 1000}
    assert {wnid: label_of[wnid] for wnid in known} == known
    assert sorted(label_of.values()) == list(range(1, 1001))
    assert not (folder / "train_data_batch_1").exists()
    (tmp_path / "two.txt").write_text("n09193705\nn02119789\n")
    (folder / "variant.json").unlink()  # as sets that others made
    (folder / "val_images.csv").unlink()
    assert run("cut", folder, "--classes", tmp_path / "two.txt", "--target", tmp_path / "cut") == 0
    assert unpickled(tmp_path / "cut" / "val_data")["labels"] == [2, 1]  # files go by wnid; labels as in the list
    assert [row["class_id"] for row in rows_of(tmp_path / "cut", "val")] == ["n02119789", "n09193705"]
    assert VariantInfo.load(tmp_path / "cut" / "variant.json").name == "imagenet-4x4-sRGB-box-2"


@pytest.mark.parametrize("form", ["batches", "npz"])
def test_cutting_classes_gives_what_down_sampling_them_gives(root, tmp_path, form):
    folder = made(root, tmp_path / "whole", "--forms", form)
    (tmp_path / "classes.txt").write_text("bee\ndog\n")
    direct = made(root, tmp_path / "direct", "--forms", form, "--classes", tmp_path / "classes.txt")
    assert direct.name == "pets-8x8-sRGB-box-2"
    assert run("cut", folder, "--classes", tmp_path / "classes.txt", "--target", tmp_path / "cut") == 0
    suffix = ".npz" if form == "npz" else ""
    assert (tmp_path / "cut" / f"val_data{suffix}").read_bytes() == (direct / f"val_data{suffix}").read_bytes()

    def images(place):
        batches = [read_batch(place / name) for name in batch_names("train", suffix)]
        assert [len(batch.labels) for batch in batches] == [1] * 9 + [9]
        data = [pixels.tobytes() for batch in batches for pixels in batch.data]
        labels = [int(label) for batch in batches for label in batch.labels]
        return sorted(zip([row["path"] for row in rows_of(place, "train")], labels, data, strict=True))

    assert run("cut", folder, "--classes", tmp_path / "classes.txt", "--target", tmp_path / "cut") == 0  # again
    assert images(tmp_path / "cut") == images(direct)  # whose order differs, as fewer images were shuffled
    info, expected = (VariantInfo.load(place / "variant.json") for place in (tmp_path / "cut", direct))
    assert (info.name, info.class_ids, info.labels, info.original_labels) == (
        "pets-8x8-sRGB-box-2", expected.class_ids, expected.labels, expected.original_labels
    )  # fmt: skip
    assert not (tmp_path / "cut" / "parts").exists()


def test_the_images_of_a_run_can_be_down_sampled(root, tmp_path, capsys):
    dataset = open_folder(root)
    origin = Origin({"dataset": dataset.digest}, {})
    chosen = ClassSubset(origin, "list", 4, (1, 2), ("bee", "cat"), ("bee", "cat"), {})
    sample_images(dataset, chosen, origin).save(tmp_path / "image_subset.parquet")
    folder = made(root, tmp_path / "out", "--images", tmp_path / "image_subset.parquet")
    assert {row["class_id"] for row in rows_of(folder, "val")} == {"bee", "cat"}
    sample_images(dataset, chosen, NOWHERE).save(tmp_path / "image_subset.parquet")
    arguments = ("--dataset", "folder", "--root", root, "--images", tmp_path / "image_subset.parquet")
    assert run("downsample", *arguments) == 2
    assert "was chosen from another data set" in capsys.readouterr().err


def test_a_class_without_a_readable_image_is_an_error(root, tmp_path, capsys):
    shutil.copytree(root, tmp_path / "pets")
    for path in (tmp_path / "pets" / "val" / "dog").iterdir():
        path.write_bytes(b"")
    assert run(*DOWNSAMPLE, tmp_path / "pets", "--out", tmp_path / "out", "--side", 8) == 1
    assert re.search(
        r"class 'dog' has no readable image in val: none of \d+ can be decoded\. First: val/dog/\d+\.jpg: ",
        capsys.readouterr().err,
    )
    assert not (tmp_path / "out").exists()  # found before any work


def pickled(value, protocol=None):
    text = io.BytesIO()
    pickle.dump(value, text, protocol)
    return text.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_batches_of_other_makers_are_read(tmp_path, protocol, rng):
    value = {"data": rng.integers(0, 256, (5, 12), np.uint8), "labels": [3, 1, 2, 2, 1], "mean": np.zeros(12)}
    (tmp_path / "b").write_bytes(pickled(value, protocol))
    batch = read_batch(tmp_path / "b")
    np.testing.assert_array_equal(batch.data, value["data"])
    assert batch.labels.tolist() == value["labels"]


def test_a_pickle_is_what_pickle_itself_makes_of_it(tmp_path, rng):
    data, labels = rng.integers(0, 256, (7, 12), np.uint8), rng.integers(0, 300, 7)
    text = io.BytesIO()
    write_pickle(text, data.shape, [data[:4], data[4:]], labels, data.mean(axis=0))
    found = pickle.loads(text.getvalue())
    assert pickled(found) == pickled({"data": data, "labels": labels.tolist(), "mean": data.mean(axis=0)})
    assert b"numpy._core" not in text.getvalue()  # a name that NumPy 1 does not know
    found["data"][0, 0] = 1  # may be written to


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize("what", [Evil(), {"data": Evil(), "labels": []}, print, np.load])
def test_a_pickle_that_calls_anything_is_refused_before_it_does(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    Path("batch").write_bytes(pickled(what))
    with pytest.raises(ArtifactError, match="batch: it asks for .*, which is no part of an array"):
        read_batch(Path("batch"))
    assert not Path("evil").exists()


@pytest.mark.parametrize("name", ["val_data", "val_data.npz"])
def test_a_batch_file_cut_short_anywhere_is_a_clear_error(whole, tmp_path, name):
    content = (whole / name).read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(content), 97), len(content) - 1]:
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(ArtifactError, match=f"{name}: .+ Copy or make it again"):
            read_batch(tmp_path / name)


@pytest.mark.parametrize("name", ["val_data", "val_data.npz"])
def test_a_batch_file_with_flipped_bits_is_read_or_refused(whole, tmp_path, rng, name):
    content = (whole / name).read_bytes()
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(0, 300 if rng.random() < 0.7 else len(content))] ^= 1 << rng.integers(0, 8)
        (tmp_path / name).write_bytes(damaged)
        try:
            batch = read_batch(tmp_path / name)
            assert len(batch.data) == len(batch.labels)
        except ArtifactError as error:
            assert str(error).startswith(str(tmp_path / name))
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "is no batch file"),
        ({"labels": [1]}, "it has no 'data'"),
        ({"data": np.zeros((2, 12), np.float32), "labels": [1, 2]}, r"expected data \(n, d\) of uint8"),
        ({"data": np.zeros((2, 12), np.uint8), "labels": ["a", "b"]}, "n integer labels"),
        ({"data": np.zeros((2, 12), np.uint8), "labels": [1]}, "holds 2 images and 1 labels"),
    ],
)
def test_what_is_no_batch_is_refused(tmp_path, value, message):
    (tmp_path / "b").write_bytes(pickled(value))
    with pytest.raises(ArtifactError, match=message):
        read_batch(tmp_path / "b")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--classes", "some.txt", "--target", "cut"), 2, "class 'cow' is none of its 4 classes"),
        (("--classes", "twice.txt", "--target", "cut"), 2, "class 'ant' is there twice"),
        (("--classes", "none.txt", "--target", "cut"), 2, "no class is named"),
        (("--classes", "ant.txt", "--target", "."), 2, "--target .: is the set itself"),
        (("--classes", "ant.txt", "--target", ".."), 2, "--target ..: exists, and is no down-sampled set"),
        (("--rows", "ant.txt", "--target", "cut"), 2, "is a down-sampled set; pass --classes FILE"),
    ],
)
def test_mistakes_when_cutting(whole, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(whole)
    try:
        for name, lines in {
            "some.txt": "cow\n",
            "twice.txt": "ant\nant\n",
            "ant.txt": "ant\n",
            "none.txt": "# none\n",
        }.items():
            Path(name).write_text(lines)
        assert run("cut", ".", *arguments) == code
        assert message in capsys.readouterr().err
    finally:
        for name in ("some.txt", "twice.txt", "ant.txt", "none.txt"):
            Path(name).unlink()


def test_damaged_sets_when_cutting(root, tmp_path, capsys):
    folder = made(root, tmp_path / "out")
    (tmp_path / "ant.txt").write_text("ant\n")
    arguments = ("cut", folder, "--classes", tmp_path / "ant.txt", "--target", tmp_path / "cut")
    content = (folder / "train_data_batch_4").read_bytes()
    (folder / "train_data_batch_4").write_bytes(content[:-50])
    assert run(*arguments) == 1
    assert "train_data_batch_4: it ends too early" in capsys.readouterr().err
    other = {"data": np.zeros((1, 48), np.uint8), "labels": [1]}
    (folder / "train_data_batch_4").write_bytes(pickled(other))
    assert run(*arguments) == 1
    assert "its images are of another size than those of train_data_batch_1" in capsys.readouterr().err
    other = {"data": np.zeros((9, 192), np.uint8), "labels": [1] * 9}
    (folder / "train_data_batch_4").write_bytes(pickled(other))
    assert run(*arguments) == 1
    assert "train_data_batch_10: holds more images than train_images.csv lists" in capsys.readouterr().err
    (folder / "train_data_batch_4").unlink()
    assert run(*arguments) == 1
    assert "train_data_batch_4: no such file; the other batch files" in capsys.readouterr().err
    strange = {"data": np.zeros((1, 192), np.uint8), "labels": [9]}
    (folder / "train_data_batch_4").write_bytes(pickled(strange))
    assert run(*arguments) == 1
    assert "train_data_batch_4: image 0 has the label 9, and the classes are 1 to 4" in capsys.readouterr().err
    assert run("cut", tmp_path, "--classes", tmp_path / "ant.txt", "--target", tmp_path / "cut") == 1
    assert "holds no batch file. Looked for train_data_batch_1" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ant.txt", "out"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--share", "2/2"), 2, "--share 2/2: expected I/N with I from 0 to N-1"),
        (("--share", "x"), 2, "--share x: expected I/N"),
        (("--side", 0), 2, "--side 0"),
        (("--filter", "mitchell"), 2, "mitchell"),
        (("--forms",), 2, "--forms: expected one of batches, npz, beton after it."),
        (("--classes", "a.txt", "--images", "b.parquet"), 2, "--images and --classes"),
        (("--seed", 1), 1, "holds a set of other images or another order"),
    ],
)
def test_mistakes_when_down_sampling(root, whole, capsys, arguments, code, message):
    side = () if "--side" in arguments else ("--side", 8)
    assert run(*DOWNSAMPLE, root, "--out", whole.parent, *side, *arguments) == code
    text = "".join(capsys.readouterr())
    assert message in text


def test_the_slurm_script_makes_the_parts_and_then_the_set(root, whole, tmp_path):
    """By a stand-in for sbatch that runs each job at once."""
    sbatch = tmp_path / "sbatch"
    sbatch.write_text(
        """#!/usr/bin/env bash
echo "$@" >>"$JOBS"
array=0-0
for one in "$@"; do
  case "$one" in --array=*) array=${one#--array=} ;; --wrap=*) wrap=${one#--wrap=} ;; esac
done
for ((SLURM_ARRAY_TASK_ID = ${array%-*}; SLURM_ARRAY_TASK_ID <= ${array#*-}; ++SLURM_ARRAY_TASK_ID)); do
  SLURM_ARRAY_TASK_ID=$SLURM_ARRAY_TASK_ID sh -c "$wrap" >&2 || exit 1
done
echo 17
"""
    )
    sbatch.chmod(0o755)
    checkout = tmp_path / "checkout"  # with a .venv that is this test's Python
    (checkout / "scripts").mkdir(parents=True)
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    script = checkout / "scripts" / "slurm_downsample.sh"
    script.write_bytes((ROOT / "scripts" / "slurm_downsample.sh").read_bytes())
    environment = dict(os.environ, JOBS=str(tmp_path / "jobs"), PYTHONPATH=str(ROOT))
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    out = tmp_path / "a place"
    arguments = (*DOWNSAMPLE[1:], root, "--side", 8, "--out", out, "--forms", "batches", "npz", "beton")
    command = ["bash", script, "2", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts, join = (tmp_path / "jobs").read_text().splitlines()
    assert "--array=0-1" in parts and "--dependency=afterok:17" in join
    for path in whole.iterdir():
        assert (out / whole.name / path.name).read_bytes() == path.read_bytes(), path.name
