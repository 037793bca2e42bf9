"""Greedy choice of classes against NumPy, lists, and bad input."""

import itertools

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choose_classes, max_confusion, pair_weights
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError

NOWHERE = Origin({}, {})


def numpy_greedy(weights, k):
    chosen = list(np.unravel_index(np.triu(weights).argmax(), weights.shape))
    while len(chosen) < k:
        gain = weights[chosen].sum(axis=0).astype(float)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
    return sorted(chosen)


def random_matrix(rng, n):
    counts = rng.poisson(0.4, (n, n)) + np.diag(rng.integers(20, 50, n))
    ids = tuple(f"c{i:03d}" for i in range(n))
    return ConfusionMatrix(NOWHERE, counts.astype(np.int64), counts.astype(float), ids, ids)


@pytest.mark.parametrize(("n", "k"), [(2, 2), (13, 5), (40, 39), (101, 17)])
def test_greedy_equals_numpy(rng, n, k):
    weights = pair_weights(random_matrix(rng, n).counts)
    assert max_confusion(weights, k).tolist() == numpy_greedy(weights, k)


def test_the_value_is_the_number_of_images_confused_inside_and_random_is_its_mean(rng):
    matrix = random_matrix(rng, 9)
    subset = choose_classes(matrix, SelectSettings(k=4), NOWHERE)
    values = {
        chosen: sum(matrix.counts[a, b] for a in chosen for b in chosen if a != b)
        for chosen in itertools.combinations(range(9), 4)
    }
    assert subset.facts["value"] == values[subset.classes] <= max(values.values())
    assert subset.facts["value_of_a_random_choice"] == pytest.approx(np.mean(list(values.values())))


def test_a_matrix_without_errors_takes_the_first_classes(rng):
    counts = np.diag(np.full(6, 5))
    ids = tuple("abcdef")
    subset = choose_classes(ConfusionMatrix(NOWHERE, counts, counts * 1.0, ids, ids), SelectSettings(k=3), NOWHERE)
    assert subset.class_ids == ("a", "b", "c")
    assert subset.facts["value"] == 0


def test_a_saved_subset_reads_back_and_its_list_can_be_used(rng, tmp_path):
    matrix = random_matrix(rng, 9)
    subset = choose_classes(matrix, SelectSettings(k=4), Origin({"confusion": "x"}, {"k": 4}))
    subset.save(tmp_path / "class_subset.json")
    assert ClassSubset.load(tmp_path / "class_subset.json") == subset
    again = choose_classes(matrix, SelectSettings(classes=tmp_path / "class_subset.txt"), NOWHERE)
    assert again.classes == subset.classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c001\nc900\n", "line 2: 'c900' is no class"),
        ("c001\n# note\nc001\n", "line 3: 'c001' is there twice"),
        ("../../etc/passwd\n", "'../../etc/passwd' is no class"),
        ("\n# nothing\n", "names 0 classes"),
    ],
)
def test_a_bad_list_is_explained(rng, tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(SettingError, match=message):
        choose_classes(random_matrix(rng, 9), SelectSettings(classes=tmp_path / "list.txt"), NOWHERE)


@pytest.mark.parametrize("k", [-1, 1, 10])
def test_k_out_of_range_is_refused(rng, k):
    with pytest.raises(SettingError, match=f"--k {k}: expected 2 to 9"):
        choose_classes(random_matrix(rng, 9), SelectSettings(k=k), NOWHERE)
