"""The commands about betons that exist already, as a user types them."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from rescale_fast.artifact import file_sha256
from rescale_fast.beton.digest import file_digest
from rescale_fast.beton.file import read_beton
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
    assert run("check", beton, "--decode") == 0
    assert "sound. 9 samples of image, label, index" in capsys.readouterr().out
    content = bytearray(beton.read_bytes())
    content[read_beton(beton).pointers[3, 0] + 100] ^= 1
    beton.write_bytes(content)
    assert run("check", beton) == 1
    assert "its content has changed since it was written" in capsys.readouterr().err


def test_cut_by_classes_and_by_rows(beton, tmp_path, capsys):
    (tmp_path / "classes.txt").write_text("\ufeffc  # first\n\na\n", encoding="utf-8")
    assert run("cut", beton, "--classes", tmp_path / "classes.txt", "--target", tmp_path / "cut.beton") == 0
    assert contents(tmp_path / "cut.beton") == (["a", "c"] * 3, [0, 2, 3, 5, 6, 8])
    assert "cut.beton: 6 images of 2 classes" in capsys.readouterr().err
    np.savetxt(tmp_path / "rows.txt", [8, 0, 4], fmt="%d")
    assert run("cut", beton, "--rows", tmp_path / "rows.txt", "--target", tmp_path / "cut.beton") == 0
    assert contents(tmp_path / "cut.beton") == (["c", "a", "b"], [8, 0, 4])


@pytest.fixture
def damaged(beton):
    """The beton as a run folder has it, its image 2 no JPEG and its images 4 and 7 cut a little."""
    names = [f"{i}.jpg" for i in range(9)]
    subset_of(names).save(beton.parent / "image_subset.parquet")
    said = json.loads(beton.with_suffix(".json").read_text())
    said["made_from"]["image_subset"] = file_sha256(beton.parent / "image_subset.parquet")
    tables, content = read_beton(beton), bytearray(beton.read_bytes())
    for row, some in ((2, slice(0, 4)), (4, slice(-2, None)), (7, slice(-2, None))):
        at, size = int(tables.pointers[row, 0]), int(tables.sizes[row, 0])
        part = range(at, at + size)[some]
        content[part.start : part.stop] = bytes(len(part))
    beton.write_bytes(content)
    said["digest"] = file_digest(beton)
    beton.with_suffix(".json").write_text(json.dumps(said))
    return beton


def test_bad_images_are_counted_listed_with_their_files_and_left_out(damaged, tmp_path, capsys):
    listed, cut = tmp_path / "bad.csv", tmp_path / "cut.beton"
    assert run("check", damaged, "--list", listed) == 1
    said = capsys.readouterr().err
    assert "1 of its JPEGs do not decode, so that readers give no image or another one (first: sample 2 (2.jpg)" in said
    assert "2 of its JPEGs decode with a warning (first: sample 4 (4.jpg): Premature end of JPEG file)" in said
    assert f"--drop FILE --target NEW` leaves out {listed}" in said
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["path"], row["kind"]) for row in rows] == [
        *(("2", "2.jpg", "error"), ("4", "4.jpg", "warning"), ("7", "7.jpg", "warning")),
    ]
    assert rows[0]["reason"] == "is no JPEG"
    assert run("cut", damaged, "--drop", listed, "--target", cut) == 0
    assert contents(cut) == (["a", "b", "a", "c", "a", "c"], [0, 1, 3, 5, 6, 8])
    assert run("check", cut, "--decode") == 0
    assert "all its JPEGs decode" in capsys.readouterr().out


def test_the_list_takes_nobodys_place(damaged, capsys):
    before = damaged.read_bytes(), damaged.with_suffix(".json").read_bytes()
    for path in (damaged, damaged.with_suffix(".json")):
        assert run("check", damaged, "--list", path) == 2
        assert "would take the place of the beton, or of its JSON" in capsys.readouterr().err
    assert before == (damaged.read_bytes(), damaged.with_suffix(".json").read_bytes())


def test_warnings_alone_are_no_failure(damaged, tmp_path, capsys):
    (tmp_path / "one.csv").write_text("\ufeffkind,row\nerror,2\n", encoding="utf-8")  # columns go by their names
    assert run("cut", damaged, "--drop", tmp_path / "one.csv", "--target", tmp_path / "cut.beton") == 0
    assert run("check", tmp_path / "cut.beton", "--list", tmp_path / "bad.csv") == 0
    assert "; 2 of its JPEGs decode with a warning (first: sample 3: Premature end" in capsys.readouterr().out
    assert (tmp_path / "bad.csv").read_text().splitlines()[0] == "row,path,reason,kind"
    assert run("check", tmp_path / "cut.beton") == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("row\n9\n", "row 9 is asked for; it has rows 0 to 8"),
        ("row\n-1\n", "row -1 is asked for"),
        ("row,path\n1,a\nx,b\n", "line 3: expected a sample's number as `row`"),
        ("row,path\n\n1,a\n,b\n", "expected a sample's number as `row`"),
        ("row\n99999999999999999999\n", "expected a sample's number as `row`"),
        ("1\n2\n", "its first line names no column `row`"),
        ("", "its first line names no column `row`"),
        ('row\n"' + "1" * 200_000, "expected a sample's number as `row`"),
        ("row\n" + "\n".join(map(str, range(9))), "no sample is left to write"),
    ],
)
def test_a_list_of_rows_that_cannot_be_dropped_is_refused(beton, tmp_path, capsys, content, message):
    (tmp_path / "drop.csv").write_text(content)
    assert run("cut", beton, "--drop", tmp_path / "drop.csv", "--target", tmp_path / "t.beton") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.beton").exists()


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
        (("check", "none.beton"), 2, "error: none.beton: no such file or folder"),
        (("cut", "a.beton", "--target", "t.beton"), 2, "say what to keep"),
        (("cut", "a.beton", "--target", "t.beton", "--rows", "text.txt"), 2, "text.txt: expected an integer a line"),
        (("cut", "a.beton", "--target", "t.beton", "--rows", "none.txt"), 2, "none.txt: no such file or folder"),
        (("cut", "a.beton", "--target", "t.beton", "--classes", "text.txt"), 2, "has no class 'some words'"),
        (("relabel", "a.beton", "--target", "t.beton"), 2, "give the new labels"),
        (
            ("relabel", "a.beton", "--target", "t.beton", "--groups", "one.txt"),
            2,
            "line 1: 'a' is not a class id",
        ),
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


def test_class_names_with_spaces_and_number_signs_are_read_whole(rng, tmp_path):
    names = write_files(tmp_path / "set", {f"{i}.jpg": encoded(photo(rng, 40, 30)) for i in range(9)})
    beton, ids = tmp_path / "a.beton", ("le", "le ad", "#hash")
    subset = replace(subset_of(names), class_ids=ids, class_names=ids)
    export_beton(tmp_path / "set", subset, "val", beton, ExportSettings(), NOWHERE)
    (tmp_path / "list.txt").write_text("# two\nle ad  # the metal\n#hash\n")
    assert run("cut", beton, "--classes", tmp_path / "list.txt", "--target", tmp_path / "cut.beton") == 0
    assert sorted(set(contents(tmp_path / "cut.beton")[0])) == ["#hash", "le ad"]
    (tmp_path / "groups.txt").write_text("# three\nle ad metal\n#hash food  # spelt so\nle\tword\n")
    assert run("relabel", beton, "--groups", tmp_path / "groups.txt", "--target", tmp_path / "g.beton") == 0
    assert contents(tmp_path / "g.beton")[0] == ["word", "metal", "food"] * 3


def test_a_target_that_is_a_source_is_refused(beton, tmp_path, capsys):
    before = beton.read_bytes()
    (tmp_path / "drop.csv").write_text("row\n1\n")
    (tmp_path / "link.beton").symlink_to(beton)
    for target in (beton, tmp_path / "link.beton"):
        assert run("cut", beton, "--drop", tmp_path / "drop.csv", "--target", target) == 2
        assert "is a beton that is read, and would be lost" in capsys.readouterr().err
    assert run("merge", beton, beton, "--target", beton) == 2
    assert run("append", beton, beton) == 2
    assert "cannot be appended to itself" in capsys.readouterr().err
    assert beton.read_bytes() == before
