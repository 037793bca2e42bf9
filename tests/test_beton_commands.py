"""The commands about betons that exist already, as a user types them."""

import json

import numpy as np
import pytest

from rescale_fast.beton_file import read_beton
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.run.commands import main
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files


@pytest.fixture
def beton(rng, tmp_path):
    names = write_files(tmp_path / "set", {f"{i}.jpg": encoded(photo(rng, 40, 30)) for i in range(9)})
    export_beton(tmp_path / "set", subset_of(names), "val", tmp_path / "a.beton", ExportSettings(), NOWHERE)
    return tmp_path / "a.beton"


def run(*arguments):
    return main([str(one) for one in arguments])


def contents(path):
    beton = read_beton(path)
    classes = [row["id"] for row in json.loads(path.with_suffix(".json").read_text())["classes"]]
    return [classes[label] for label in beton.integers("label")], beton.integers("index").tolist()


def test_check_says_what_is_there_and_what_is_wrong(beton, capsys):
    assert run("check", beton, "--decode", True) == 0
    assert "sound. 9 samples of image, label, index" in capsys.readouterr().out
    content = bytearray(beton.read_bytes())
    content[2**23 + 100] ^= 1
    beton.write_bytes(content)
    assert run("check", beton) == 1
    assert "its content has changed since it was written" in capsys.readouterr().err


def test_cut_by_classes_and_by_rows(beton, tmp_path, capsys):
    (tmp_path / "classes.txt").write_text("c  # first\n\na\n")
    assert run("cut", beton, "--classes", tmp_path / "classes.txt", "--target", tmp_path / "cut.beton") == 0
    assert contents(tmp_path / "cut.beton") == (["a", "c"] * 3, [0, 2, 3, 5, 6, 8])
    assert "cut.beton: 6 images of 2 classes" in capsys.readouterr().err
    np.savetxt(tmp_path / "rows.txt", [8, 0, 4], fmt="%d")
    assert run("cut", beton, "--rows", tmp_path / "rows.txt", "--target", tmp_path / "cut.beton") == 0
    assert contents(tmp_path / "cut.beton") == (["c", "a", "b"], [8, 0, 4])


def test_merge_and_append(beton, tmp_path):
    assert run("merge", beton, beton, "--target", tmp_path / "two.beton") == 0
    assert contents(tmp_path / "two.beton") == (list("abc") * 6, [*range(9), *range(9)])
    assert run("append", tmp_path / "two.beton", beton) == 0
    assert contents(tmp_path / "two.beton")[1] == [*range(9)] * 3


def test_relabel_by_groups_and_by_labels(beton, tmp_path):
    (tmp_path / "groups.txt").write_text("a vowel\nb consonant\nc consonant\n")
    assert run("relabel", beton, "--groups", tmp_path / "groups.txt", "--target", tmp_path / "g.beton") == 0
    assert contents(tmp_path / "g.beton")[0] == ["vowel", "consonant", "consonant"] * 3
    (tmp_path / "labels.txt").write_text("2\n" * 9)
    assert run("relabel", beton, "--labels", tmp_path / "labels.txt", "--target", tmp_path / "l.beton") == 0
    assert contents(tmp_path / "l.beton")[0] == ["c"] * 9


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("check", "none.beton"), 1, "none.beton: cannot be read (No such file"),
        (("cut", "a.beton", "--target", "t.beton"), 2, "say what to keep"),
        (("cut", "a.beton", "--target", "t.beton", "--rows", "text.txt"), 2, "text.txt: expected an integer a line"),
        (("cut", "a.beton", "--target", "t.beton", "--rows", "none.txt"), 1, "none.txt: No such file"),
        (("cut", "a.beton", "--target", "t.beton", "--classes", "text.txt"), 2, "has no class 'some'"),
        (("relabel", "a.beton", "--target", "t.beton"), 2, "give the new labels"),
        (("relabel", "a.beton", "--target", "t.beton", "--groups", "one.txt"), 2, "one.txt, line 1: 'a' has 1 words"),
        (("merge", "a.beton", "text.txt", "--target", "t.beton"), 1, "text.txt: is no sound beton"),
    ],
)
def test_mistakes_end_in_one_message_and_leave_nothing(beton, monkeypatch, capsys, arguments, code, message):
    monkeypatch.chdir(beton.parent)
    (beton.parent / "text.txt").write_text("some words\n")
    (beton.parent / "one.txt").write_text("a\n")
    beton.with_name("text.json").write_bytes(beton.with_suffix(".json").read_bytes())
    assert run(*arguments) == code
    assert message in capsys.readouterr().err
    assert not (beton.parent / "t.beton").exists()
