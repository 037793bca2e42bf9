"""`prove`: the best choice one can find, and the least bound, in a given time; often the same number.

Search, then the linear relaxation's bound, then the spectral one, then an exact solver on the kernel of classes that
could be part of something better. Each stage ends early when value and bound meet. All of them are tried in a little
of the time first: on few classes or sparse confusion the last is done at once, while those before it use what they get.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from rescale_fast import _core
from rescale_fast.class_subset.bounds import TOLERANCE, Relaxation, better_than, is_best, relax, round_bound
from rescale_fast.class_subset.kernel_mip import solve_kernel
from rescale_fast.class_subset.search import check_k, thorough_subset
from rescale_fast.class_subset.spectral import SpectralBound, spectral_bound
from rescale_fast.types import FloatArray, IntArray, Track, silent

FIRST_SHARE = 0.05  # of the seconds given: how long all stages are tried before each has its full share
SEARCH_SHARE, SPECTRAL_SHARE = 0.25, 0.6  # of a round's seconds; the solver takes what is left
LARGEST_SPECTRUM = 2_500  # classes; beyond, an eigenvalue decomposition takes too long to be repeated
EXACTLY_SOLVED = 1e9  # of a sum of whole weights: up to here the solver's floats tell one from the next
KERNEL_SIZES = (60, 120, 300)  # classes beyond k that the solver is given, one kernel after the other


@dataclass(frozen=True)
class Proof:
    """A choice, and what no choice can exceed."""

    graph: _core.WeightGraph
    classes: IntArray  # (k,) int64 labels, increasing
    value: float
    bound: float
    bound_by: str  # which of the bounds is the least

    @property
    def is_optimal(self) -> bool:
        return is_best(self.graph, self.value, self.bound)


def proof_by_relaxation(relaxation: Relaxation, classes: IntArray) -> Proof:
    """A choice with the least bound that costs nothing."""
    graph, bounds = relaxation.graph, relaxation.bounds(len(classes))
    least = min(bounds, key=bounds.__getitem__)
    return Proof(graph, classes, graph.value(classes), bounds[least], least)


def prove_subset(
    graph: _core.WeightGraph,
    k: int,
    *,
    seconds: float,
    seed: int = 0,
    num_threads: int = 0,
    relaxation: Relaxation | None = None,
    track: Track = silent,
) -> Proof:
    """Find the best choice of k classes and prove how good it is, within about `seconds` of wall time.

    Args: relaxation: the graph's, if it is at hand.
    Raises: SettingError for k outside 2..K; KeyboardInterrupt at once.
    """
    start = time.monotonic()
    check_k(k, graph.num_classes)
    relaxation = relaxation or relax(graph)
    proof = _prove(relaxation, k, FIRST_SHARE * seconds, seed, num_threads, track)
    left = seconds - (time.monotonic() - start)
    if proof.is_optimal or left <= 0:
        return proof
    longer = _prove(relaxation, k, left, seed, num_threads, track)
    better, lower = max(longer, proof, key=lambda one: one.value), min(longer, proof, key=lambda one: one.bound)
    return replace(better, bound=lower.bound, bound_by=lower.bound_by)


def _prove(relaxation: Relaxation, k: int, seconds: float, seed: int, num_threads: int, track: Track) -> Proof:
    """All stages, one after the other."""
    start, graph = time.monotonic(), relaxation.graph
    classes = thorough_subset(
        graph,
        k,
        seconds=SEARCH_SHARE * seconds,
        seed=seed,
        num_threads=num_threads,
        relaxation=relaxation,
        track=track,
    )
    proof = proof_by_relaxation(relaxation, classes)
    if proof.is_optimal:
        return proof
    everything = np.arange(graph.num_classes)
    tight = SpectralBound(proof.bound, everything, np.full(len(everything), proof.bound))
    if graph.num_classes <= LARGEST_SPECTRUM:
        tight = spectral_bound(
            graph.among(everything),
            _shares(relaxation),
            k,
            better_than(graph, proof.value),
            integral=graph.is_integral,
            seconds=SPECTRAL_SHARE * seconds,
            track=track,
        )
        if tight.bound < proof.bound:
            proof = replace(proof, bound=tight.bound, bound_by="spectral dual")
    if proof.is_optimal:
        return proof
    return _solve(graph, k, proof, tight, start + seconds, num_threads, track)


def _solve(
    graph: _core.WeightGraph,
    k: int,
    proof: Proof,
    tight: SpectralBound,
    until: float,
    num_threads: int,
    track: Track,
) -> Proof:
    """Solve growing kernels; choices that leave the kernel are bounded by what the classes outside it allow."""
    for extra in KERNEL_SIZES:
        kernel = np.sort(tight.kernel[: k + extra])
        outside = max(tight.with_class[len(kernel) :], default=0.0)
        seconds = max(1.0, (until - time.monotonic()) * (1.0 if extra == KERNEL_SIZES[-1] else 0.5))
        with track(f"Solving for {len(kernel):,} classes", total=round(seconds), unit="s") as advance:
            solved = solve_kernel(
                graph.among(kernel),
                k,
                above=proof.value,
                step=1.0 if graph.is_integral and proof.value < EXACTLY_SOLVED else TOLERANCE * proof.value,
                seconds=seconds,
                num_threads=num_threads,
            )
            advance(round(seconds), f"found {proof.value:,.6g}, at most {proof.bound:,.6g}")
        if solved.places is not None and graph.value(kernel[solved.places]) > proof.value:
            classes = kernel[solved.places]
            proof = replace(proof, classes=classes, value=graph.value(classes))
        bound = max(proof.value, round_bound(graph, outside), round_bound(graph, min(proof.bound, solved.bound)))
        if bound < proof.bound:
            proof = replace(proof, bound=bound, bound_by=f"solver, {len(kernel):,} classes")
        if proof.is_optimal or len(kernel) == len(tight.kernel) or time.monotonic() >= until:
            break
    return proof


def _shares(relaxation: Relaxation) -> FloatArray:
    """(K, K): what the class of the row carries of each pair's weight."""
    matrix = relaxation.graph.among(np.arange(relaxation.graph.num_classes))
    matrix[np.nonzero(matrix)] = np.ldexp(relaxation.shares.astype(np.float64), -relaxation.fraction_bits)
    return matrix
