"""Errors of ranked guesses: a case counted by hand, scikit-learn, random guesses, sets of every kind, bad input."""

import json

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.evaluate import Truth, evaluate, guesses_of, read_guesses, read_truth, top_errors
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.predictions.types import Predictions, Skipped
from rescale_fast.run.commands import main
from tests.photos import NOWHERE


def test_a_case_counted_by_hand(tmp_path):
    """Right at rank 1, 2, 5; never; and never, for only two guesses were made."""
    (tmp_path / "truth.txt").write_text("3\n3\n1\n2\n6\n")
    (tmp_path / "guesses.txt").write_text("3 1 2 4 5\n1, 3, 2, 4, 5\n2,3,4,5,1\n1 3 4 5 6 2\n1\t2\n")
    truth = read_truth(tmp_path / "truth.txt")
    made = evaluate(truth, read_guesses(tmp_path / "guesses.txt", truth))
    assert made.errors == pytest.approx((0.8, 0.6, 0.6, 0.6, 0.4))
    assert (made.num_images, made.num_classes) == (5, 4)
    assert made.num_unknown == 8  # the 4s and 5s: no image of the set is of these classes


def test_scikit_learn_counts_the_same(rng):
    scores, truth = rng.random((500, 20)), rng.integers(0, 20, 500)
    ranked = np.argsort(-scores, axis=1)
    expected = [1 - top_k_accuracy_score(truth, scores, k=k, labels=np.arange(20)) for k in range(1, 6)]
    np.testing.assert_allclose(top_errors(ranked, truth), expected)


@pytest.mark.parametrize("num_classes", [10, 1000])
def test_random_guesses_err_as_often_as_chance_has_it(rng, num_classes):
    truth = rng.integers(0, num_classes, 50_000)
    guesses = np.argsort(rng.random((5000, num_classes)), axis=1)[:, :5]
    errors = top_errors(np.tile(guesses, (10, 1)), truth)
    expected = 1 - np.arange(1, 6) / num_classes
    deviation = np.sqrt(expected * (1 - expected) / 50_000)
    assert (np.abs(errors - expected) < 5 * deviation).all(), errors


def test_fewer_guesses_than_five_are_wrong_where_they_are_missing():
    np.testing.assert_allclose(top_errors(np.array([[0], [1]]), np.array([0, 0])), [0.5] * 5)


def predictions_of(class_ids, paths, labels, top, skipped=()):
    count = len(paths)
    return Predictions(
        origin=NOWHERE,
        class_ids=class_ids,
        class_names=class_ids,
        indices=np.arange(count),
        paths=tuple(paths),
        labels=np.array(labels),
        top_ids=np.array(top),
        top_probabilities=np.full((count, len(top[0])), 0.1, np.float32),
        true_probability=np.full(count, 0.1, np.float32),
        skipped=tuple(Skipped(count + i, path, 0, "bad") for i, path in enumerate(skipped)),
    )


@pytest.fixture
def predictions():
    """Six images of classes a..f, the first also of a file that could not be read."""
    top = [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [5, 4, 3, 2, 1], [3, 2, 1, 0, 5], [0, 1, 2, 3, 5], [1, 5, 2, 3, 4]]
    return predictions_of(tuple("abcdef"), [f"val/{i}.jpg" for i in range(6)], range(6), top, ["val/bad.jpg"])


def subset_of(rows, new_labels, class_ids):
    rows = np.array(rows)
    images = SubsetImages(
        ("val",) * len(rows), rows, tuple(f"val/{row}.jpg" for row in rows), rows, np.array(new_labels)
    )
    return ImageSubset(NOWHERE, class_ids, class_ids, images, images)


def test_predictions_against_a_subset_of_classes(predictions, tmp_path):
    subset_of([1, 2, 5], [0, 1, 2], ("b", "c", "f")).save(tmp_path / "image_subset.parquet")
    truth = read_truth(tmp_path / "image_subset.parquet")
    made = evaluate(truth, guesses_of(predictions, truth))
    # b is second, c is fourth, f is second; a, d, e are in no line of the set
    assert made.errors == pytest.approx((1, 1 / 3, 1 / 3, 0, 0))
    assert (made.num_images, made.num_classes, made.num_unknown) == (3, 3, 3 + 2 + 2)


def test_predictions_against_coarse_classes(predictions, tmp_path):
    subset_of(range(6), [0, 0, 0, 1, 1, 1], ("abc", "def")).save(tmp_path / "image_subset.parquet")
    truth = read_truth(tmp_path / "image_subset.parquet")
    made = evaluate(truth, guesses_of(predictions, truth))
    assert made.errors == pytest.approx((3 / 6, 2 / 6, 2 / 6, 0, 0))  # c: third; e: fourth; f: second


def test_files_that_could_not_be_read_are_counted_apart(predictions, tmp_path):
    rows = "label,class_id,path\n1,a,val/0.jpg\n1,a,val/bad.jpg\n2,b,val/1.jpg\n"
    (tmp_path / "val_images.csv").write_text(rows)
    truth = read_truth(tmp_path)  # a set's folder
    made = evaluate(truth, guesses_of(predictions, truth))
    assert made.errors[:2] == (0.5, 0.0)
    assert (made.num_images, made.num_without) == (2, 1)


def test_guesses_may_be_labels_or_class_ids(tmp_path):
    (tmp_path / "val_images.csv").write_text("label,class_id,path\n1,n01,a.jpg\n2,n02,b.jpg\n10,n10,c.jpg\n")
    (tmp_path / "g.txt").write_text("n01\n10 n02\nn10,2\n")
    truth = read_truth(tmp_path)
    assert evaluate(truth, read_guesses(tmp_path / "g.txt", truth)).errors == pytest.approx((1 / 3, 0, 0, 0, 0))


def test_where_class_ids_are_numbers_a_number_is_a_label(tmp_path):
    (tmp_path / "val_images.csv").write_text("label,class_id,path\n1,2,a.jpg\n2,1,b.jpg\n")
    (tmp_path / "g.txt").write_text("1\n2\n")
    truth = read_truth(tmp_path)
    assert evaluate(truth, read_guesses(tmp_path / "g.txt", truth)).errors == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n", r"has 1 lines, and the set has 3 images"),
        ("1\n\n2\n", r"line 2: is empty, expected at least one guess"),
        ("1\n0 1\n2\n", r"line 2: guesses label 0, and the labels of this set begin with 1"),
    ],
)
def test_bad_guesses_are_refused(tmp_path, text, message):
    (tmp_path / "truth.txt").write_text("1\n2\n3\n")
    (tmp_path / "g.txt").write_text(text)
    with pytest.raises(SettingError, match=message):
        read_guesses(tmp_path / "g.txt", read_truth(tmp_path / "truth.txt"))


def test_guesses_for_another_set_are_refused(predictions, tmp_path):
    truth = Truth((("1",), ("2",)), np.array([0, 1]))
    (tmp_path / "g.txt").write_text("n01440764\nn01440764\n")
    with pytest.raises(SettingError, match="no guess names a class of the set"):
        evaluate(truth, read_guesses(tmp_path / "g.txt", truth))
    with pytest.raises(SettingError, match="are found by the files' paths"):
        guesses_of(predictions, truth)
    other = Truth((("1", "a"), ("2", "b")), np.array([0, 1]), ("val/0.jpg", "val/other.jpg"))
    with pytest.raises(SettingError, match=r"1 of 2 images are not among the predictions, 'val/other.jpg' first"):
        guesses_of(predictions, other)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "none.txt: no such file"),
        ("empty.txt", "", "empty.txt: is empty"),
        ("other.csv", "a,b\n1,2\n", "has no column 'label'"),
        ("cut.parquet", "PAR1", "cut.parquet: not readable as parquet"),
    ],
)
def test_bad_truth_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ArtifactError, match=message):
        read_truth(tmp_path / name)


def test_the_command_prints_a_table_and_writes_json(predictions, tmp_path, capsys):
    (tmp_path / "val_images.csv").write_text("label,class_id,path\n1,a,val/0.jpg\n2,b,val/1.jpg\n1,a,val/bad.jpg\n")
    predictions.save(tmp_path / "part-000000.parquet")
    arguments = ["evaluate", "--truth", str(tmp_path)]
    out = tmp_path / "errors.json"
    assert main([*arguments, "--predictions", str(tmp_path), "--json", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "2 images of 2 classes"
    assert printed[2].split() == ["top-1", "50.00%", "50.00%"]
    assert printed[3].split() == ["top-2", "0.00%", "0.00%"]
    assert printed[-1].startswith("1 images have no prediction")
    assert json.loads(out.read_text())["errors"] == [0.5, 0, 0, 0, 0]
    assert main(arguments) == 2
    assert "either with --guesses FILE or with --predictions PATH" in capsys.readouterr().err
