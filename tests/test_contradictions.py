"""Files brought along that contradict the data set, or hold nothing: said in a message, never believed."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.beton.agreement import agreed_info
from rescale_fast.beton.edit import cut_beton
from rescale_fast.beton.file import read_beton
from rescale_fast.class_subset.bounds import relax
from rescale_fast.class_subset.proof import proof_by_relaxation, prove_subset
from rescale_fast.class_subset.search import fast_subset
from rescale_fast.class_subset.weights import weight_graph
from rescale_fast.confusion import ConfusionMatrix, make_confusion
from rescale_fast.errors import ArtifactError, DatasetError
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.predictions.types import Predictions
from tests import foreign_beton
from tests.test_foreign_files import PROBABILITIES, table
from tests.test_image_choice import all_of, made_up, predicted_as

NOWHERE = Origin({}, {})


def loaded(tmp_path, found, **names):
    pq.write_table(found, tmp_path / "own.parquet")
    return Predictions.load(tmp_path / "own.parquet", **names)


def test_predictions_are_compared_with_the_data_set():
    dataset = made_up()
    right = predicted_as(dataset, np.repeat([1, 2, 3, 4, 0], 5))
    assert right.missing(dataset) == []
    few = replace(right, paths=right.paths[:20], labels=right.labels[:20])
    assert few.missing(dataset) == list(dataset.splits["val"].paths[20:])
    for wrong, message in (
        (replace(right, labels=4 - right.labels), r"'val/ape/val0.jpg' under the label 4, made up under 0 \(20 such"),
        (replace(few, labels=few.labels + 1), "under the label 1, made up under 0 .* They count from 1"),
        (replace(right, paths=("val/x.jpg", *right.paths[1:])), r"of 'val/x.jpg' \(1 such .* as 'val/ape/val0.jpg'"),
    ):
        with pytest.raises(ArtifactError, match=message):
            wrong.missing(dataset)


def test_labels_that_count_from_one_are_named_as_such(tmp_path):
    found = table(label=pa.array([1, 2, 3, 1, 2, 3]), top_ids=pa.array([[1, 2, 3]] * 6))
    with pytest.raises(ArtifactError, match="names class 3, and there are 3 .*these count from 1"):
        loaded(tmp_path, found, class_ids=("a", "b", "c"))


def test_an_empty_reason_means_that_the_file_was_read(tmp_path):
    made = loaded(tmp_path, table(skipped=pa.array([""] * 6)))
    assert len(made.labels) == 6 and made.skipped == ()


def test_probabilities_that_rounding_moved_are_put_back(tmp_path):
    over = [[1.0000001, 0.0, -1e-9]] * 6
    made = loaded(tmp_path, table(top_probabilities=pa.array(over), true_probability=pa.array([1.0000001] * 6)))
    assert made.top_probabilities.max() == 1 and made.top_probabilities.min() == 0
    assert make_confusion(made, NOWHERE).soft.sum() == 6


def test_a_matrix_of_no_image_or_of_terabytes_is_refused(tmp_path):
    nothing = table().slice(0, 0)
    skipped = table(skipped=pa.array(["cut short"] * 6), top_ids=pa.nulls(6), top_probabilities=pa.nulls(6))
    huge = table(label=pa.array([0, 1, 2, 0, 1, 999_000]), top_probabilities=pa.array(PROBABILITIES))
    for found, message in (
        (nothing, "no image was predicted, and 0 could not"),
        (skipped, r"and 6 could not be read: 'val/ant/0.jpg' \(cut short\) first"),
        (huge, "of 999,001 classes takes 31,936"),
    ):
        with pytest.raises(ArtifactError, match=message):
            make_confusion(loaded(tmp_path, found), NOWHERE)


def test_a_share_of_val_that_leaves_no_training_image_names_the_class():
    with pytest.raises(DatasetError, match="leaves no training image of any class, 'ape' first"):
        sample_images(made_up(train=(1,) * 5, val=1), all_of(made_up()), NOWHERE, SampleSettings(val_share=0.99))
    assert not len(sample_images(val_alone(), all_of(made_up()), NOWHERE).train)


def val_alone():
    dataset = made_up()
    return replace(dataset, splits={"val": dataset.splits["val"]})


@pytest.mark.parametrize("labels", [[-1, 0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 1 << 62]])
def test_a_beton_of_labels_that_are_no_class_numbers_fits_its_json(tmp_path, labels):
    (tmp_path / "a.beton").write_bytes(foreign_beton.beton(labels=labels))
    cut_beton(tmp_path / "a.beton", tmp_path / "b.beton", np.arange(6)[::-1])
    assert (tmp_path / "b.json").exists()
    assert agreed_info(read_beton(tmp_path / "b.beton"))


def test_the_bound_is_no_more_than_the_heaviest_pair_allows(rng):
    ones = np.ones((60, 60)) - np.eye(60)
    proof = prove_subset(weight_graph(ones), 7, seconds=1e-6)
    assert (proof.value, proof.bound, proof.is_optimal, proof.bound_by) == (21, 21, True, "heaviest pair")
    weights = np.triu(rng.random((30, 30)), 1)
    found = fast_subset(weight_graph(weights + weights.T), 2)
    proof = proof_by_relaxation(relax(weight_graph(weights + weights.T)), found)
    assert proof.is_optimal and proof.value == weights.max()


def matrix(tmp_path, content):
    (tmp_path / "c.csv").write_bytes(content)
    return ConfusionMatrix.load(tmp_path / "c.csv")


def test_a_line_break_in_a_name_and_a_comment_of_words_are_read_as_what_they_are(tmp_path):
    with pytest.raises(ArtifactError, match=r"class_ids\[0\] is 'a\\nb', expected an id without control"):
        matrix(tmp_path, b'"a\nb",c\n1,2\n3,4\n')
    assert matrix(tmp_path, b"# by me\n1 2\n3 4\n").class_ids == ("0", "1")
    assert matrix(tmp_path, b"# a,b\n1,2\n3,4\n").class_ids == ("a", "b")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_text_in_utf_16_is_told_to_be_saved_otherwise(tmp_path, encoding):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    with pytest.raises(ArtifactError, match="is a text in UTF-16, expected UTF-8: save it as that"):
        matrix(tmp_path, mark + "1,2\n3,4\n".encode(encoding))


def test_sums_that_pandas_adds_are_no_class(tmp_path):
    with pytest.raises(ArtifactError, match="its last row and column, 'All', are the sums of the others"):
        matrix(tmp_path, b"true,a,b,All\na,3,1,4\nb,0,5,5\nAll,3,6,9\n")
    assert matrix(tmp_path, b"true,a,b,All\na,3,1,4\nb,0,5,5\nAll,3,6,8\n").num_classes == 3
    np.save(tmp_path / "c.npy", np.array([[3, 1, 4], [0, 5, 5], [3, 6, 9]]))
    with pytest.raises(ArtifactError, match="data set has 2; its last row and column are sums"):
        ConfusionMatrix.load(tmp_path / "c.npy", class_ids=("a", "b"))


def test_arrays_of_other_names_are_named(tmp_path):
    np.savez(tmp_path / "c.npz", cm=np.eye(2, dtype=int), labels=np.arange(2))
    with pytest.raises(ArtifactError, match="it holds the arrays cm, labels, expected counts or arr_0"):
        ConfusionMatrix.load(tmp_path / "c.npz")
