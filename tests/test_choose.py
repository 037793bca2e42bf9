"""Greedy choice of classes against NumPy, lists, and bad input."""

import itertools
import signal
import time

import numpy as np
import pytest

from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choose_classes
from rescale_fast.class_subset.search import fast_subset, greedy_subset, pair_weights, upper_bound
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from tests.conftest import interruptible

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
    assert greedy_subset(weights, k).tolist() == numpy_greedy(weights, k)


def value(weights, chosen):
    return weights[np.ix_(chosen, chosen)].sum() / 2


@pytest.mark.parametrize("k", [2, 3, 5, 8, 12, 13])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_fast_finds_the_optimum_of_small_sets_by_brute_force(rng, k, density):
    weights = np.triu(rng.integers(1, 30, (13, 13)) * (rng.random((13, 13)) < density), 1).astype(float)
    weights += weights.T
    best = max(value(weights, list(chosen)) for chosen in itertools.combinations(range(13), k))
    chosen = fast_subset(weights, k)
    assert len(set(chosen.tolist())) == k
    assert value(weights, chosen) == best


def test_fast_exchanges_pairs_which_swaps_one_for_one_cannot():
    """A star of many light edges lures greedy; the optimum is ten separate heavy pairs."""
    n, k = 60, 20
    weights = np.zeros((n, n))
    weights[0, 1:20] = 11.0
    weights[0, 1] = 12.0
    for a in range(20, 40, 2):
        weights[a, a + 1] = 10.0
    weights[0, 20:40] = 0.5
    weights = np.maximum(weights, weights.T)
    weights[20:40, 20:40] += 3.0 * (1 - np.eye(20)) * (weights[20:40, 20:40] == 0)
    chosen = fast_subset(weights, k)
    assert chosen.tolist() == list(range(20, 40))
    assert value(weights, chosen) > value(weights, greedy_subset(weights, k))


def test_fast_depends_on_the_seed_alone_and_is_never_below_greedy(rng):
    weights = pair_weights(random_matrix(rng, 90).counts)
    few = {"num_chains": 5, "num_moves": 3_000, "seed": 3}
    first, found = _core.anneal_class_subset(weights, 20, num_threads=1, **few)
    for num_threads in (2, 7):
        again, again_found = _core.anneal_class_subset(weights, 20, num_threads=num_threads, **few)
        assert again.tolist() == first.tolist()
        assert again_found == found
    assert found == value(weights, first)
    for k in (2, 3, 44, 89, 90):
        nothing, found = _core.anneal_class_subset(weights, k, num_chains=1, num_moves=0, seed=0, num_threads=1)
        assert found == value(weights, nothing) >= value(weights, greedy_subset(weights, k))


@pytest.mark.parametrize("density", [0.15, 0.4, 1.0])
def test_no_choice_exceeds_the_bound_by_brute_force(rng, density):
    weights = np.triu(rng.integers(1, 30, (12, 12)) * (rng.random((12, 12)) < density), 1).astype(float)
    weights += weights.T
    for k in range(2, 13):
        best = max(value(weights, list(chosen)) for chosen in itertools.combinations(range(12), k))
        assert best <= upper_bound(weights, k)
    assert upper_bound(weights, 12) == weights.sum() / 2


@pytest.mark.parametrize("k", [2, 5, 9, 14])
def test_the_bound_is_the_value_of_the_linear_relaxation(rng, k):
    from scipy.optimize import linprog

    n = 15
    weights = np.triu(rng.integers(1, 30, (n, n)) * (rng.random((n, n)) < 0.4), 1).astype(float)
    pairs = np.argwhere(weights > 0)
    costs = np.concatenate([np.zeros(n), -weights[tuple(pairs.T)]])
    rows = np.zeros((2 * len(pairs), n + len(pairs)))
    for e, (i, j) in enumerate(pairs):
        rows[2 * e, [n + e, i]] = rows[2 * e + 1, [n + e, j]] = (1, -1)
    sizes = np.concatenate([np.ones(n), np.zeros(len(pairs))])[None]
    solved = linprog(costs, rows, np.zeros(len(rows)), sizes, [k], bounds=(0, 1))
    assert upper_bound(weights + weights.T, k) == int(-solved.fun + 1e-4)


def test_a_bound_needs_whole_numbers():
    with pytest.raises(ValueError, match=r"weights\[0, 1\] is 0.5, expected a whole number"):
        upper_bound(0.5 * (np.ones((3, 3)) - np.eye(3)), 2)


def test_ctrl_c_ends_the_search_at_once():
    code = (
        "import numpy as np; from rescale_fast import _core; w = np.ones((400, 400)) - np.eye(400);"
        "print(1, flush=True);"
        "_core.anneal_class_subset(w, 50, num_chains=4, num_moves=10**12, seed=0, num_threads=2)"
    )
    with interruptible("-c", code) as process:
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    assert "KeyboardInterrupt" in stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((1, 2, -1.0), r"weights\[1, 2\] is -1"),
        ((1, 2, np.nan), r"weights\[1, 2\] is nan"),
        ((0, 2, np.inf), r"weights\[0, 2\] is inf"),
        ((0, 1, 7.0), r"weights\[0, 1\] is 7, weights\[1, 0\] is 1; expected a symmetric matrix"),
        ((2, 2, 1.0), "zero diagonal"),
    ],
)
def test_impossible_weights_are_named(change, message):
    weights = np.ones((4, 4)) - np.eye(4)
    row, column, weights[row, column] = change
    for search in (greedy_subset, fast_subset):
        with pytest.raises(ValueError, match=message):
            search(weights, 2)
    with pytest.raises(ValueError, match="square matrix"):
        greedy_subset(np.ones((3, 4)), 2)


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
