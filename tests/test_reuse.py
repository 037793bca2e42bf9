"""What a run takes as it is, and what it looks at again: predictions, images, betons."""

import os
import shutil

import pytest

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.errors import ArtifactError, OutputError
from rescale_fast.predictions.chunks import pending_chunks, remove_others
from rescale_fast.predictions.types import Predictions
from rescale_fast.run import exporting, reporting, running, sampling, training
from rescale_fast.run.commands import main
from tests.conftest import mistaken_predictions


@pytest.fixture(scope="module")
def predictions(small_glyphs):
    """Of a network that calls each class the next, once in three."""
    return mistaken_predictions(small_glyphs, 3)


def test_given_predictions_are_read_once_and_images_looked_at_once(small_glyphs, predictions, tmp_path, monkeypatch):
    """What takes long afterwards is left out."""
    root = tmp_path / "set"
    shutil.copytree(small_glyphs.root, root)
    predictions.save(tmp_path / "p.parquet")
    for module, name in ((training, "train_one"), (exporting, "export"), (reporting, "report")):
        monkeypatch.setattr(module, name, lambda *_, **__: "")
    read, looked = [], []
    load, look = Predictions.load.__func__, running.check_readable

    def counted(cls, path, **options):
        read.append(path)
        return load(cls, path, **options)

    monkeypatch.setattr(Predictions, "load", classmethod(counted))
    monkeypatch.setattr(running, "check_readable", lambda *args: [looked.append(args[1]), look(*args)])
    words = [
        "run",
        "--dataset",
        "folder",
        "--root",
        root,
        "--out",
        tmp_path / "o",
        "--predictions",
        tmp_path / "p.parquet",
    ]
    words = [str(word) for word in [*words, "--k", 4, "--images", "sensitive"]]
    assert main(words) == 0
    assert (len(read), looked) == (1, ["train", "val"])
    assert main(words) == 0
    assert (len(read), looked) == (2, ["train", "val"])
    images = sorted((root / "train").rglob("*.jpg"))
    shutil.copy(images[0], images[0].with_name("more.jpg"))
    images[-1].parent.joinpath("bad.jpg").write_bytes(b"")
    assert main(words) == 0
    assert looked == ["train", "val"] * 2
    assert sampling.ImageSubset.load(tmp_path / "o" / "image_subset.parquet").class_ids


@pytest.fixture(scope="module")
def exported(small_glyphs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    classes = rf.choose_classes(rf.confusion([0, 1], [1, 0], small_glyphs.class_ids), 2)
    rf.export_beton(small_glyphs, rf.choose_images(small_glyphs, classes), folder, num_threads=1)
    return folder


@pytest.fixture
def beton(exported, tmp_path):
    for name in ("train.beton", "train.json"):
        shutil.copy2(exported / name, tmp_path / name)
    json = tmp_path / "train.json"
    os.utime(json, ns=(0, (tmp_path / "train.beton").stat().st_mtime_ns + 1))
    return tmp_path / "train.beton"


def test_a_beton_older_than_its_json_is_taken_by_its_tables_alone(beton, monkeypatch):
    monkeypatch.setattr("rescale_fast.beton.digest.file_digest", None)
    assert exporting._load_beton(beton, num_threads=1).num_images == 20
    beton.write_bytes(beton.read_bytes()[:-1])
    os.utime(beton, (0, 0))
    with pytest.raises(ArtifactError, match="its allocation table is cut"):
        exporting._load_beton(beton, num_threads=1)


def test_a_beton_that_was_touched_is_taken_if_its_content_is_the_same(beton, capsys):
    beton.touch()
    assert exporting._load_beton(beton, num_threads=1).num_images == 20
    content = bytearray(beton.read_bytes())
    content[len(content) // 2] ^= 1
    beton.write_bytes(content)
    with pytest.raises(ArtifactError, match="its content is not what train.json describes"):
        exporting._load_beton(beton, num_threads=1)
    assert "train.beton was changed after it was exported, so it is exported again" in capsys.readouterr().err


def test_a_beton_that_was_just_exported_is_not_thought_to_be_changed(exported, monkeypatch):
    """Its JSON comes last; where a file system's clock cannot tell, the content is the same."""
    assert exporting._load_beton(exported / "train.beton", num_threads=1).num_images == 20


def test_a_folder_in_the_place_of_a_part_is_named(tmp_path, predictions):
    part = tmp_path / "part-000000.parquet"
    part.mkdir()
    assert pending_chunks(10, tmp_path, Origin({}, {})) == [0]
    with pytest.raises(OutputError, match=r"part-000000\.parquet: is a folder, and a part .* Delete or move it"):
        remove_others(tmp_path, [0], 10)
    part.rmdir()
    predictions.save(part)
    remove_others(tmp_path, [0], 10)
    assert not part.exists()
