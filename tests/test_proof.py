"""Bounds and proofs against brute force and against the solver on the whole problem."""

import itertools
import signal
import time

import numpy as np
import pytest

from rescale_fast.artifact import Origin
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
