"""Bounds and proofs against brute force and against the solver on the whole problem."""

import itertools
import math
import signal
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.bounds import relax, round_bound
from rescale_fast.class_subset.choose import choose_classes
from rescale_fast.class_subset.kernel_mip import solve_kernel
from rescale_fast.class_subset.proof import prove_subset
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.spectral import bound_with_each, spectral_bound
from rescale_fast.class_subset.weights import weight_graph
from tests.conftest import interruptible
from tests.test_choose import optimum, random_matrix, symmetric, value


@pytest.mark.parametrize("density", [0.2, 0.6, 1.0])
def test_the_spectral_bound_is_valid_and_tightens_the_linear_one(rng, density):
    weights = symmetric(rng, 14, density)
    for k in (3, 6, 10):
        best = optimum(weights, k)
        start = spectral_bound(weights, weights / 2, k, -1.0, integral=False, seconds=1e-9)
        found = spectral_bound(weights, weights / 2, k, -1.0, integral=False, seconds=0.4)
        assert best <= found.bound <= start.bound or start.bound == -1.0
        for c in (0, 7):
            most = max(value(weights, list(chosen)) for chosen in itertools.combinations(range(14), k) if c in chosen)
            assert most <= found.with_class[found.kernel == c][0]


def test_the_spectral_bound_of_a_complete_graph_is_exact():
    weights = np.ones((40, 40)) - np.eye(40)
    found = spectral_bound(weights, weights / 2, 10, 0.0, integral=False, seconds=2.0)
    assert 45 <= found.bound < 46  # the linear relaxation says 195


def test_forcing_a_class_in_puts_it_in_the_place_of_the_least_of_the_top():
    scores = np.array([8.0, 1.0, 6.0, 4.0])
    assert bound_with_each(2.0, scores, 2).tolist() == [9.0, 6.5, 9.0, 8.0]  # 2 + (8 + 6) / 2, and so on


def test_the_solver_finds_the_best_of_a_kernel_and_says_when_there_is_none(rng):
    weights = symmetric(rng, 16, 0.5)
    best = optimum(weights, 5)
    solved = solve_kernel(weights, 5, above=best - 1, step=1.0, seconds=30, num_threads=1)
    assert value(weights, solved.places) == best <= solved.bound < best + 0.9
    nothing = solve_kernel(weights, 5, above=best, step=1.0, seconds=30, num_threads=1)
    assert nothing.places is None
    assert nothing.bound == best + 0.5  # half a step


@pytest.mark.parametrize(("n", "k", "density"), [(18, 6, 0.3), (18, 9, 1.0), (60, 12, 0.08)])
def test_proofs_agree_with_brute_force_or_the_solver_on_everything(rng, n, k, density):
    weights = symmetric(rng, n, density)
    if n <= 18:
        best = optimum(weights, k)
    else:
        best = value(weights, solve_kernel(weights, k, above=0.0, step=1.0, seconds=60, num_threads=1).places)
    proof = prove_subset(weight_graph(weights), k, seconds=8.0)
    assert proof.value == value(weights, proof.classes) == best <= proof.bound
    assert proof.is_optimal


def test_a_proof_without_time_is_still_valid(rng):
    weights = symmetric(rng, 80, 1.0)
    proof = prove_subset(weight_graph(weights), 20, seconds=1e-6)
    assert proof.value == value(weights, proof.classes)
    assert proof.value <= proof.bound < np.inf


def test_a_proof_of_weights_that_are_not_whole(rng):
    weights = symmetric(rng, 16, 0.4) / 7
    proof = prove_subset(weight_graph(weights), 5, seconds=8.0)
    best = optimum(weights, 5)
    assert proof.value == pytest.approx(best, rel=1e-12)
    assert best * (1 - 1e-12) <= proof.bound <= best * (1 + 1e-4)


def test_a_proven_choice_says_so(rng):
    matrix = random_matrix(rng, 12)
    subset = choose_classes(matrix, SelectSettings(k=4, effort="prove", seconds=8), Origin({}, {}))
    facts = subset.facts
    assert facts["is_optimal"] is True
    assert (
        facts["objective"]
        == facts["upper_bound"]
        == facts["value"]
        == optimum((matrix.counts + matrix.counts.T) * (1 - np.eye(12)), 4)
    )
    assert facts["gap"] == 0


@pytest.mark.slow
def test_ctrl_c_ends_the_solver_at_once():
    code = (
        "import numpy as np; from rescale_fast.class_subset.kernel_mip import solve_kernel\n"
        "rng = np.random.default_rng(0)\n"
        "w = np.triu(rng.integers(1, 99, (150, 150)) * (rng.random((150, 150)) < 0.2), 1) * 1.0\n"
        "print(1, flush=True)\n"
        "solve_kernel(w + w.T, 40, above=0.0, step=1.0, seconds=600, num_threads=1)"
    )
    with interruptible("-c", code) as process:
        process.stdout.readline()
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        _, stderr = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in stderr
    assert time.monotonic() - start < 10


def odd_matrix(rng, kind):
    """A matrix of 9 classes that once broke a search, or might."""
    matrix = random_matrix(rng, 9)
    counts, soft = matrix.counts.copy(), matrix.soft.copy()
    if kind == "zero":
        counts[:], soft[:] = 0, 0
    elif kind == "one class without images":
        counts[4], soft[4] = 0, 0
    elif kind == "huge counts":
        counts, soft = counts * 10**15, soft * 1e15
    elif kind == "tiny probabilities":
        soft = soft * 1e-12
    return replace(matrix, counts=counts, soft=soft)


@pytest.mark.parametrize("effort", ["fast", "thorough", "prove"])
@pytest.mark.parametrize("weights", ["counts", "rates", "soft"])
@pytest.mark.parametrize("k", [2, 5, 8, 9])
@pytest.mark.parametrize("kind", ["usual", "zero", "one class without images", "huge counts", "tiny probabilities"])
def test_any_effort_finds_the_best_of_any_weights_and_never_more_than_its_bound(rng, effort, weights, k, kind):
    matrix = odd_matrix(rng, kind)
    seconds = {} if effort == "fast" else {"seconds": 0.6}
    facts = choose_classes(
        matrix, SelectSettings(k=k, effort=effort, pair_weights=weights, **seconds), Origin({}, {})
    ).facts
    directed = {
        "counts": matrix.counts * 1.0,
        "rates": matrix.counts / np.maximum(1, matrix.counts.sum(axis=1, keepdims=True)),
        "soft": matrix.soft,
    }[weights]
    both = (directed + directed.T) * (1 - np.eye(9))
    best = max(value(both, list(chosen)) for chosen in itertools.combinations(range(9), k))
    assert facts["objective"] == pytest.approx(best, rel=1e-5)
    assert facts["upper_bound"] >= best * (1 - 1e-12)
    assert facts["gap"] >= -1e-12
    if k == 9 or kind == "zero":
        assert facts["is_optimal"]


@pytest.mark.parametrize("effort", ["thorough", "prove"])
@pytest.mark.parametrize("weights", ["rates", "soft"])
def test_the_only_choice_is_made_at_once_whatever_the_time(rng, effort, weights):
    """k = K: the bound lies 1e-12 above the value, as it is made of fixed-point numbers."""
    matrix = random_matrix(rng, 60)
    start = time.monotonic()
    facts = choose_classes(
        matrix, SelectSettings(k=60, effort=effort, pair_weights=weights, seconds=100_000), Origin({}, {})
    ).facts
    assert time.monotonic() - start < 60  # a busy machine's second
    assert facts["is_optimal"]
    assert facts["upper_bound"] == pytest.approx(facts["objective"], rel=1e-6)


def test_a_search_ends_when_its_choice_is_proven_the_best():
    """Three pairs that are confused with nobody else: the relaxation is tight, up to rounding."""
    weights = np.zeros((9, 9))
    for a, weight in ((0, 1 / 3), (2, 1 / 7), (4, 1 / 9)):
        weights[a, a + 1] = weights[a + 1, a] = weight
    start = time.monotonic()
    proof = prove_subset(weight_graph(weights), 4, seconds=100_000)
    assert time.monotonic() - start < 60
    assert proof.is_optimal
    assert proof.classes.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scale", [1e-9, 1 / 7, 1e15 / 7])
def test_the_solver_knows_no_unit_of_weight(rng, scale):
    """A step in absolute numbers let it "prove" whatever was known already, where weights were small."""
    weights = symmetric(rng, 16, 0.5) * scale
    best = optimum(weights, 5)
    found = solve_kernel(weights, 5, above=0.5 * best, step=1e-5 * best, seconds=30, num_threads=1)
    assert value(weights, found.places) == pytest.approx(best)
    assert best <= found.bound <= best * (1 + 1e-5)
    nothing = solve_kernel(weights, 5, above=best, step=1e-5 * best, seconds=30, num_threads=1)
    assert nothing.places is None
    assert best <= nothing.bound <= best * (1 + 1e-5)


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**-30, 2.0**60, 2.0**900])
def test_the_spectral_bound_scales_with_the_weights(rng, scale):
    weights = symmetric(rng, 14, 0.6) / 3
    found = spectral_bound(weights * scale, weights * scale / 2, 6, -1.0 * scale, integral=False, seconds=0.3)
    assert optimum(weights, 6) * scale <= found.bound < np.inf


def test_weights_whose_sum_is_no_number_are_refused():
    with pytest.raises(ValueError, match="their sum is not"):
        weight_graph(np.full((9, 9), 1e308) * (1 - np.eye(9)))


def test_bounds_hold_for_the_largest_and_the_smallest_weights(rng):
    weights = symmetric(rng, 9, 0.6)
    for scale in (1e-300, 1e300):
        relaxation = relax(weight_graph(weights * scale))
        for k in range(2, 10):
            assert optimum(weights, k) * scale * (1 - 1e-12) <= relaxation.bound(k) < np.inf


@pytest.mark.parametrize(
    "bound", [Fraction(1, 3), Fraction(2, 3), Fraction(1, 10), Fraction(10**30 + 1, 7), Fraction(5)]
)
def test_a_bound_becomes_the_least_float_that_is_not_below_it(bound):
    """float(1/3) lies below a third, so that a choice worth a third would exceed its bound."""
    graph = weight_graph(np.array([[0, 1 / 3], [1 / 3, 0]]))
    rounded = round_bound(graph, bound)
    assert Fraction(rounded) >= bound > Fraction(math.nextafter(rounded, 0.0))


def test_a_bound_of_whole_weights_becomes_the_whole_number_below_it():
    graph = weight_graph(np.array([[0.0, 3.0], [3.0, 0.0]]))
    assert [round_bound(graph, bound) for bound in (Fraction(7, 2), Fraction(3), 2.999)] == [3.0, 3.0, 2.0]
