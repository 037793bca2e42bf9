"""Confusion counts and sums against NumPy, scikit-learn and hand-made cases."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from rescale_fast.artifact import Origin
from rescale_fast.confusion import ConfusionMatrix, count_confusion, sum_probabilities
from rescale_fast.errors import ArtifactError


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_counts_equal_sklearn_for_any_thread_count(rng, num_threads):
    labels, predicted = rng.integers(0, 11, size=(2, 10_007))  # prime: no even split
    got = count_confusion(labels, predicted, 11, num_threads=num_threads)
    np.testing.assert_array_equal(got, confusion_matrix(labels, predicted, labels=np.arange(11)))


def test_row_is_the_true_class():
    got = count_confusion(np.array([0, 0, 2]), np.array([1, 1, 0]), 3)
    np.testing.assert_array_equal(got, [[0, 2, 0], [0, 0, 0], [1, 0, 0]])


def test_no_images_give_an_empty_matrix():
    nothing = np.zeros(0, np.int64)
    assert count_confusion(nothing, nothing, 4).sum() == 0


@pytest.mark.parametrize("num_threads", [1, 3])
def test_probabilities_sum_like_numpy_and_alike_for_any_thread_count(rng, num_threads):
    labels = rng.integers(0, 7, 5_003)
    ids = rng.integers(0, 7, (5_003, 3))
    probabilities = rng.random((5_003, 3)).astype(np.float32).astype(np.float64)
    expected = np.zeros((7, 7))
    np.add.at(expected, (labels[:, None], ids), probabilities)
    got = sum_probabilities(labels, ids, probabilities, 7, num_threads=num_threads)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    one_thread = sum_probabilities(labels, ids, probabilities, 7, num_threads=1)
    np.testing.assert_array_equal(got, one_thread)


@pytest.mark.parametrize(
    ("labels", "predicted", "message"),
    [
        ([0, 1], [0], "labels has 2 entries, predicted has 1"),
        ([0, 3], [0, 0], r"labels\[1\] is 3, expected 0..2"),
        ([0, 0], [-1, 0], r"predicted\[0\] is -1, expected 0..2"),
    ],
)
def test_bad_ids_are_named(labels, predicted, message):
    with pytest.raises(ValueError, match=message):
        count_confusion(np.array(labels, np.int64), np.array(predicted, np.int64), 3)


def test_float_ids_are_refused_rather_than_cut():
    with pytest.raises(TypeError):
        count_confusion(np.array([0.5]), np.array([1.0]), 3)


@pytest.mark.parametrize("bad", [-0.1, 1.5, np.nan])
def test_impossible_probabilities_are_named(bad):
    with pytest.raises(ValueError, match=r"probabilities\[1\] is"):
        sum_probabilities(np.array([0]), np.array([[0, 1]]), np.array([[0.5, bad]]), 2)


def test_sums_hold_more_images_than_fit_in_one_cell_unless_all_are_of_one_class():
    labels = np.zeros(2**23 + 2, np.int64)
    nothing = np.zeros((len(labels), 1))
    with pytest.raises(ValueError, match="8388610 images of class 0, expected fewer than 2\\^23"):
        sum_probabilities(labels, nothing.astype(np.int64), nothing, 2)
    labels[::2] = 1
    assert sum_probabilities(labels, nothing.astype(np.int64), nothing, 2).sum() == 0


def matrix() -> ConfusionMatrix:
    return ConfusionMatrix(
        origin=Origin({"predictions": "abc"}, {"k": 1}),
        counts=np.array([[3, 1], [0, 4]]),
        soft=np.array([[2.5, 1.5], [0.25, 3.75]]),
        class_ids=("n1", "n2"),
        class_names=("crane", "crane"),
    )


def test_a_saved_matrix_reads_back_the_same_and_the_same_bytes(tmp_path):
    matrix().save(tmp_path / "a.npz")
    matrix().save(tmp_path / "b.npz")
    got = ConfusionMatrix.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(got.counts, matrix().counts)
    np.testing.assert_array_equal(got.soft, matrix().soft)
    assert (got.class_ids, got.class_names) == (("n1", "n2"), ("crane", "crane"))
    assert got.origin.same_as(matrix().origin)
    assert got.accuracy == pytest.approx(7 / 8)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_foreign_matrix_with_counts_and_wnids_is_accepted(tmp_path):
    np.savez(tmp_path / "c.npz", counts=np.eye(2, dtype=np.int32), wnids=np.array(["a", "b"]))
    got = ConfusionMatrix.load(tmp_path / "c.npz")
    assert got.class_names == ("a", "b")
    assert got.counts.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"class_ids": np.array(["a", "b"])}, "holds the arrays class_ids, expected counts"),
        ({"counts": np.zeros((2, 3), int), "class_ids": np.array(["a", "b"])}, r"shape \(2, 3\)"),
        ({"counts": -np.eye(2, dtype=int), "class_ids": np.array(["a", "b"])}, r"counts\[0, 0\] is -1"),
        ({"counts": np.eye(2) / 4, "class_ids": np.array(["a", "b"])}, r"counts\[0, 0\] is 0.25 .*, expected whole"),
        ({"counts": np.eye(2, dtype=int), "class_ids": np.array(["a", "a"])}, "'a' occurs more than once"),
    ],
)
def test_a_bad_foreign_matrix_is_refused_with_its_reason(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ArtifactError, match=message):
        ConfusionMatrix.load(tmp_path / "bad.npz")


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"not a zip")
    with pytest.raises(ArtifactError, match="not readable as an .npz"):
        ConfusionMatrix.load(tmp_path / "x.npz")


def test_pickled_arrays_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "p.npz", counts=np.eye(1, dtype=int), class_ids=np.array(["a"], dtype=object))
    with pytest.raises(ArtifactError, match=r"class_ids is \(1,\) of object, expected an array of numbers or texts"):
        ConfusionMatrix.load(tmp_path / "p.npz")
