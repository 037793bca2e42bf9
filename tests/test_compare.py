"""Comparing subsets, by hand-computed cases and by simulation."""

import json
import re

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.compare import hardness, overlaps, random_choice
from rescale_fast.confusion import ConfusionMatrix, make_confusion
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.commands import main

NOWHERE = Origin({}, {})
IDS = tuple("abcdefg")


def predictions():
    """Seven images of classes a..c of seven, the top 5 of each."""
    top = ["abcde", "bacde", "gfedb", "bcdef", "cgfed", "agfed", "gfeda"]
    labels = [0, 0, 0, 1, 2, 2, 2]
    ids = np.array([[IDS.index(c) for c in row] for row in top], np.int64)
    probabilities = np.tile(np.array([0.5, 0.2, 0.1, 0.1, 0.1], np.float32), (7, 1))
    paths = tuple(f"{i}.jpg" for i in range(7))
    return Predictions(
        NOWHERE, IDS, IDS, np.arange(7), paths, np.array(labels), ids, probabilities, np.zeros(7, np.float32), ()
    )


def test_hardness_by_hand():
    confusion = make_confusion(predictions(), NOWHERE)
    found = hardness(confusion, np.array([0, 1]))
    # a: right, called b, called g; b: right.
    assert (found.value, found.errors, found.share_inside, found.accuracy) == (1, 2, 0.5, 0.5)
    assert (found.allowed_low, found.allowed_high) == (0.5, 0.75)  # the image called g may be right or not
    found = hardness(confusion, np.array([0, 1]), predictions())
    assert (found.allowed_low, found.allowed_high) == (0.5, 0.5)  # its top 5 say b before a
    found = hardness(confusion, np.array([1, 2]), predictions())
    # b: right; c: right; "agfed" and "gfeda" hold neither b nor c.
    assert (found.allowed_low, found.allowed_high) == (0.5, 1.0)


def test_all_classes_allowed_is_the_plain_accuracy():
    confusion = make_confusion(predictions(), NOWHERE)
    found = hardness(confusion, np.arange(7), predictions())
    assert found.allowed_low == found.allowed_high == found.accuracy == confusion.accuracy


def test_a_random_choice_has_the_expected_value_and_an_interval_around_it(rng):
    counts = rng.poisson(0.8, (20, 20)) + 10 * np.eye(20, dtype=np.int64)
    ids = tuple(f"c{i}" for i in range(20))
    confusion = ConfusionMatrix(NOWHERE, counts.astype(np.int64), counts.astype(float), ids, ids)
    found = random_choice(confusion, 6)
    expected = (counts.sum() - np.trace(counts)) * 6 * 5 / (20 * 19)
    assert found.mean.value == pytest.approx(expected, rel=0.05)
    assert found.low.value < expected < found.high.value
    assert found == random_choice(confusion, 6)


def test_overlaps_count_shared_classes():
    assert overlaps([np.array([1, 2, 3]), np.array([3, 4])]).tolist() == [[3, 1], [1, 2]]


def test_a_subset_named_twice_is_refused(tmp_path, capsys):
    make_confusion(predictions(), NOWHERE).save(tmp_path / "confusion.npz")
    (tmp_path / "one.txt").write_text("a\nb\n")
    one, page = str(tmp_path / "one.txt"), tmp_path / "page.html"
    arguments = [one, one, "--confusion", str(tmp_path / "confusion.npz"), "--page", str(page)]
    assert main(["compare", *arguments]) == 2
    assert f"{one}: is named twice." in capsys.readouterr().err
    assert not page.exists()


def test_the_command_compares_lists_and_subsets(tmp_path, capsys):
    make_confusion(predictions(), NOWHERE).save(tmp_path / "confusion.npz")
    predictions().save(tmp_path / "part-0.parquet")
    (tmp_path / "one.txt").write_text("a\nb\n")
    out, matrix = tmp_path / "out", tmp_path / "confusion.npz"
    select = ["select", "--out", str(out), "--confusion", str(matrix), "--k", "3"]
    assert main([*select, "--method", "lowest-accuracy"]) == 0
    subsets = [str(tmp_path / "one.txt"), str(out / "class_subset.json")]
    arguments = [*subsets, "--confusion", str(matrix), "--json", str(tmp_path / "found.json")]
    assert main(["compare", *arguments, "--predictions", str(tmp_path / "part-0.parquet")]) == 0
    assert "one.txt" in capsys.readouterr().out
    page = tmp_path / "side by side.html"
    runs = [str(tmp_path / "one.txt"), str(out), "--confusion", str(matrix), "--page", str(page)]
    assert main(["compare", *runs]) == 0
    shown = capsys.readouterr().out
    assert "│ out " in shown  # a run folder stands for its classes
    text = page.read_text(encoding="utf-8")
    assert "one.txt, out side by side" in text and "random, 95 %" in text and "Trained networks" not in text
    of_a = re.search(r"<tr><td class=\"left\">a</td>(.*?)</tr>", text)[1]
    assert re.findall(r">([^<]*)</td>", of_a) == ["a", "yes", "yes", "33.3"]  # right on one image of three
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["shared_classes"][0][0] == 2
    assert found["subsets"][0]["allowed_high"] == 0.5
    assert main(["compare", str(tmp_path / "one.txt"), str(out)]) == 0
    assert capsys.readouterr().out == shown, "by the matrix of the run folder"
    assert main(["compare", str(tmp_path / "one.txt")]) == 2
    assert "--confusion: give the matrix to measure them on" in capsys.readouterr().err
    assert main(["compare", "nowhere/x.txt", "--confusion", str(matrix)]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["compare", "ReIN30", "--confusion", str(matrix)]) == 2
    assert "is a list of imagenet's classes" in capsys.readouterr().err
