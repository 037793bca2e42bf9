"""Greedy choice of classes against NumPy, lists, and bad input."""

import itertools
import math
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.bounds import relax
from rescale_fast.class_subset.choose import choose_classes
from rescale_fast.class_subset.search import fast_subset, greedy_starts, greedy_subset, thorough_subset
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.class_subset.weights import pair_graph, weight_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.files.reading import DamageError
from tests.conftest import interruptible

NOWHERE = Origin({}, {})


def numpy_greedy(weights, k):
    chosen = list(np.unravel_index(np.triu(weights).argmax(), weights.shape))
    while len(chosen) < k:
        gain = weights[chosen].sum(axis=0).astype(float)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
    return sorted(chosen)


def symmetric(rng, n, density=1.0, high=30):
    weights = np.triu(rng.integers(1, high, (n, n)) * (rng.random((n, n)) < density), 1).astype(float)
    return weights + weights.T


def value(weights, chosen):
    return weights[np.ix_(chosen, chosen)].sum() / 2


def optimum(weights, k):
    return max(value(weights, list(chosen)) for chosen in itertools.combinations(range(len(weights)), k))


def random_matrix(rng, n):
    counts = rng.poisson(0.4, (n, n)) + np.diag(rng.integers(20, 50, n))
    ids = tuple(f"c{i:03d}" for i in range(n))
    return ConfusionMatrix(NOWHERE, counts.astype(np.int64), counts.astype(float), ids, ids)


@pytest.mark.parametrize(("n", "k"), [(13, 5), (40, 39), (101, 17), (200, 70)])
@pytest.mark.parametrize("density", [0.1, 1.0])
def test_greedy_equals_numpy(rng, n, k, density):
    weights = symmetric(rng, n, density, high=6)  # many ties
    assert greedy_subset(weight_graph(weights), k).tolist() == numpy_greedy(weights, k)


@pytest.mark.parametrize("density", [0.1, 1.0])
def test_greedy_from_every_start_is_the_best_of_numpys(rng, density):
    weights, k = symmetric(rng, 70, density, high=1000), 20

    def grown(start):
        chosen = [start]
        while len(chosen) < k:
            gain = weights[chosen].sum(axis=0)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))
        return value(weights, chosen)

    graph = weight_graph(weights)
    best = max(grown(start) for start in range(70))
    for num_threads in (1, 2, 7):
        found = _core.greedy_from_many_starts(graph, k, num_starts=70, num_threads=num_threads)
        assert value(weights, found) == best


def test_peeling_equals_numpys(rng):
    weights = symmetric(rng, 60, 0.3, high=5)
    left = list(range(60))
    while len(left) > 17:
        gain = weights[np.ix_(left, left)].sum(axis=0)
        left.pop(len(left) - 1 - int(gain[::-1].argmin()))  # of equals, the last
    assert _core.peel_class_subset(weight_graph(weights), 17).tolist() == left


def test_a_graph_is_the_same_from_dense_and_sparse_rows(rng):
    from scipy.sparse import coo_array, csr_array

    weights = symmetric(rng, 50, 0.2)
    dense, sparse = weight_graph(weights), weight_graph(csr_array(weights))
    chosen = np.array([3, 7, 20, 33, 49])
    for graph in (dense, sparse, weight_graph(coo_array(weights))):
        assert (graph.num_classes, graph.num_pairs, graph.total) == (50, (weights > 0).sum() // 2, weights.sum() / 2)
        assert graph.value(chosen) == value(weights, chosen)
        np.testing.assert_array_equal(graph.among(chosen), weights[np.ix_(chosen, chosen)])
    assert fast_subset(dense, 9).tolist() == fast_subset(sparse, 9).tolist()


@pytest.mark.parametrize("k", [2, 3, 5, 8, 12, 13])
@pytest.mark.parametrize("density", [0.2, 1.0])
def test_fast_finds_the_optimum_of_small_sets_by_brute_force(rng, k, density):
    weights = symmetric(rng, 13, density)
    chosen = fast_subset(weight_graph(weights), k)
    assert len(set(chosen.tolist())) == k
    assert value(weights, chosen) == optimum(weights, k)


def test_fast_exchanges_pairs_which_swaps_one_for_one_cannot():
    """A star of many light edges lures greedy; the optimum is ten separate heavy pairs, amid noise."""
    weights = np.zeros((200, 200))
    weights[0, 1:20] = 11.0
    weights[0, 1] = 12.0
    for a in range(20, 40, 2):
        weights[a, a + 1] = 22.0
    weights = np.maximum(weights, weights.T)
    graph = weight_graph(weights)
    assert value(weights, greedy_subset(graph, 20)) == 12 + 18 * 11
    assert fast_subset(graph, 20).tolist() == list(range(20, 40))


@pytest.mark.parametrize("density", [0.1, 1.0])
def test_a_search_depends_on_the_seed_alone_and_is_never_below_its_starts(rng, density):
    weights = symmetric(rng, 90, density)
    graph = weight_graph(weights)
    starts = greedy_starts(relax(graph), 20)
    few = {"starts": starts, "num_chains": 5, "chain_work": 300_000, "hottest": 0.1, "seed": 3}
    first, found = _core.search_class_subset(graph, 20, num_threads=1, **few)
    for num_threads in (2, 7):
        again, again_found = _core.search_class_subset(graph, 20, num_threads=num_threads, **few)
        assert (again.tolist(), again_found) == (first.tolist(), found)
    assert found == value(weights, first) >= max(value(weights, start) for start in starts)
    for k in (2, 3, 44, 89, 90):
        greedy = greedy_subset(graph, k)
        nothing, found = _core.search_class_subset(
            graph, k, starts=[greedy], num_chains=1, chain_work=0, hottest=0.1, seed=0, num_threads=1
        )
        assert found == value(weights, nothing) >= value(weights, greedy)


def test_the_first_chain_to_meet_the_target_wins_for_any_thread_count(rng):
    graph = weight_graph(symmetric(rng, 90, 0.1))
    some = {"starts": [], "num_chains": 9, "chain_work": 10**8, "hottest": 0.1, "seed": 0}
    target = 0.97 * graph.value(fast_subset(graph, 20))
    first, found = _core.search_class_subset(graph, 20, num_threads=1, target=target, **some)
    assert found >= target
    for num_threads in (2, 7):
        again, _ = _core.search_class_subset(graph, 20, num_threads=num_threads, target=target, **some)
        assert again.tolist() == first.tolist()


def test_thorough_stops_in_time_and_is_never_below_fast(rng):
    graph = weight_graph(symmetric(rng, 300, 0.05))
    start = time.monotonic()
    fast = graph.value(fast_subset(graph, 40))
    fast_seconds = time.monotonic() - start
    start = time.monotonic()
    assert graph.value(thorough_subset(graph, 40, seconds=fast_seconds + 1)) >= fast
    assert fast_seconds < time.monotonic() - start < 4 * fast_seconds + 5


@pytest.mark.parametrize("density", [0.15, 0.4, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e-7 / 3])
def test_no_choice_exceeds_the_bound_by_brute_force(rng, density, scale):
    weights = symmetric(rng, 12, density) * scale
    graph = weight_graph(weights)
    relaxation = relax(graph)
    for k in range(2, 13):
        assert optimum(weights, k) <= relaxation.bound(k)
    assert relaxation.bound(12) == pytest.approx(weights.sum() / 2, rel=1e-9)


@pytest.mark.parametrize("k", [2, 5, 9, 14])
@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_the_bound_is_the_value_of_the_linear_relaxation_by_highs(rng, k, scale):
    from scipy.optimize import linprog

    n = 15
    weights = symmetric(rng, n, 0.4) * scale
    pairs = np.argwhere(np.triu(weights) > 0)
    costs = np.concatenate([np.zeros(n), -weights[tuple(pairs.T)]])
    rows = np.zeros((2 * len(pairs), n + len(pairs)))
    for e, (i, j) in enumerate(pairs):
        rows[2 * e, [n + e, i]] = rows[2 * e + 1, [n + e, j]] = (1, -1)
    sizes = np.concatenate([np.ones(n), np.zeros(len(pairs))])[None]
    solved = linprog(costs, rows, np.zeros(len(rows)), sizes, [k], bounds=(0, 1))
    bound = relax(weight_graph(weights)).bound(k)
    expected = min(-solved.fun, math.comb(k, 2) * weights.max())  # of k classes no pair is heavier than the heaviest
    if scale == 1.0:
        assert bound == int(expected + 1e-4)
    else:
        assert expected * (1 - 1e-12) <= bound <= expected * (1 + 1e-6)


def test_pair_weights_are_counts_rates_or_probabilities(rng):
    matrix = random_matrix(rng, 7)
    a, b = 2, 5
    both = np.array([a, b])
    counts = matrix.counts
    assert pair_graph(matrix).value(both) == counts[a, b] + counts[b, a]
    rates = counts[a, b] / counts[a].sum() + counts[b, a] / counts[b].sum()
    assert pair_graph(matrix, "rates").value(both) == pytest.approx(rates)
    assert pair_graph(matrix, "soft").value(both) == pytest.approx(matrix.soft[a, b] + matrix.soft[b, a])


def test_ctrl_c_ends_the_search_at_once():
    code = (
        "import numpy as np; from rescale_fast import _core;"
        "g = _core.WeightGraph.from_dense(np.ones((400, 400)) - np.eye(400)); print(1, flush=True);"
        "_core.search_class_subset("
        "g, 50, starts=[], num_chains=4, chain_work=10**15, hottest=0.1, seed=0, num_threads=2)"
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
        ((0, 1, 0.0), "expected a symmetric matrix"),
        ((2, 2, 1.0), "zero diagonal"),
    ],
)
def test_impossible_weights_are_named(change, message):
    from scipy.sparse import csr_array

    weights = np.ones((4, 4)) - np.eye(4)
    row, column, weights[row, column] = change
    with pytest.raises(ValueError, match=message):
        weight_graph(weights)
    with pytest.raises(ValueError, match=message):
        weight_graph(csr_array(weights))


def test_matrices_that_are_not_square_or_empty_are_refused():
    from scipy.sparse import csr_array

    for shape in ((3, 4), (4, 3)):
        with pytest.raises(ValueError, match="square matrix"):
            weight_graph(np.ones(shape))
        with pytest.raises(ValueError, match="square matrix"):
            weight_graph(csr_array(np.ones(shape)))
    with pytest.raises(ValueError, match="0 classes, expected at least 2"):
        weight_graph(np.zeros((0, 0)))


def test_the_value_is_the_number_of_images_confused_inside_and_random_is_its_mean(rng):
    matrix = random_matrix(rng, 9)
    subset = choose_classes(matrix, SelectSettings(k=4), NOWHERE)
    values = {
        chosen: sum(matrix.counts[a, b] for a in chosen for b in chosen if a != b)
        for chosen in itertools.combinations(range(9), 4)
    }
    assert subset.facts["value"] == values[subset.classes] <= max(values.values())
    assert subset.facts["value_of_a_random_choice"] == pytest.approx(np.mean(list(values.values())))


def test_the_curves_over_k_hold_what_each_k_gives_by_itself(rng):
    matrix = random_matrix(rng, 9)
    subset = choose_classes(matrix, SelectSettings(k=4), NOWHERE)
    over_k = subset.facts["over_k"]
    assert over_k["k"] == list(range(2, 10))
    off_diagonal = matrix.counts * (1 - np.eye(9, dtype=int))
    for k, bound, greedy, random in zip(*over_k.values(), strict=True):
        values = [off_diagonal[np.ix_(one, one)].sum() for one in itertools.combinations(range(9), k)]
        assert greedy <= max(values) <= bound
        assert random == pytest.approx(np.mean(values))
        alone = choose_classes(matrix, SelectSettings(k=k, effort="greedy"), NOWHERE).facts
        assert (greedy, bound) == (alone["objective"], alone["upper_bound"])
    broken = {**subset.facts, "over_k": over_k | {"greedy": [1.0]}}
    with pytest.raises(DamageError, match="unequal lengths"):
        replace(subset, facts=broken).check()


def test_a_matrix_without_errors_takes_the_first_classes_and_says_so(rng):
    counts = np.diag(np.full(6, 5))
    ids = tuple("abcdef")
    subset = choose_classes(ConfusionMatrix(NOWHERE, counts, counts * 1.0, ids, ids), SelectSettings(k=3), NOWHERE)
    assert subset.class_ids == ("a", "b", "c")
    assert subset.facts["value"] == 0
    assert "no two classes are confused" in subset.facts["note"]


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


@pytest.mark.parametrize(("k", "expected"), [(-1, "a whole number, 2 or more"), (1, "a whole number"), (10, "2 to 9")])
def test_k_out_of_range_is_refused(rng, k, expected):
    with pytest.raises(SettingError, match=f"--k {k}: expected {expected}"):
        choose_classes(random_matrix(rng, 9), SelectSettings(k=k), NOWHERE)
