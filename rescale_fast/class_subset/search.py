"""Searches the k classes that are most confused with one another, with as much effort as one likes.

Source of max-confusion: Gao 2021 ("Subsets of ImageNet"), method 4: the k-subset with the greatest sum of pairwise
confusion. The searches run in C++ without the GIL (csrc/classes), on a WeightGraph (weights.py).
Measured: benchmarks/results/class_subset.csv, by benchmarks/bench_class_subset.py.
"""

import time
from collections.abc import Callable

import numpy as np

from rescale_fast import _core
from rescale_fast.class_subset.bounds import Relaxation, good_enough, is_best, relax
from rescale_fast.errors import SettingError
from rescale_fast.types import IntArray, Track, silent

NUM_CHAINS = 8
WORK_A_CLASS, CHAIN_WORK = 80_000, 80_000_000  # of a chain; at most about two seconds of one core for all chains
MOST_WORK = 10**15  # of a chain: months; far from what counters hold
HOTTEST, WARM = 0.08, 0.03  # temperatures to begin at: from scratch, and from a choice that is good already
GREEDY_WORK = 200_000_000  # entries: how many starts greedy is given
MAX_SEED = 2**63 - 1

Report = Callable[[int, float], bool | None]


def greedy_subset(graph: _core.WeightGraph, k: int) -> IntArray:
    """Grow from the heaviest pair, one class at a time; ties go to the lower label.

    Returns: (k,) int64 labels, increasing.
    Raises: SettingError for k outside 2..K.
    """
    check_k(k, graph.num_classes)
    return np.sort(_core.greedy_class_subset(graph, k))


def greedy_starts(relaxation: Relaxation, k: int, *, num_threads: int = 0) -> list[IntArray]:
    """Where searches begin: greedy from every class (or as many as a second allows), peeling, the relaxation's order.

    Returns: three times (k,) int64 labels, increasing; the best first.
    """
    graph = relaxation.graph
    check_k(k, graph.num_classes)
    entries_a_step = 2 * graph.num_pairs // graph.num_classes + graph.num_classes // 64 + 1
    num_starts = max(1, min(graph.num_classes, GREEDY_WORK // (k * entries_a_step)))
    starts = [
        _core.greedy_from_many_starts(graph, k, num_starts=num_starts, num_threads=num_threads),
        _core.peel_class_subset(graph, k),
        np.sort(relaxation.order()[:k]),
    ]
    return sorted(starts, key=graph.value, reverse=True)


def fast_subset(
    graph: _core.WeightGraph,
    k: int,
    *,
    seed: int = 0,
    num_threads: int = 0,
    relaxation: Relaxation | None = None,
    track: Track = silent,
) -> IntArray:
    """Search from greedy, peeling, the relaxation's order and random starts, for two seconds of one core at most.

    Simulated annealing over exchanges of clusters; on dense graphs, over swaps, then tabu search. The work is
    fixed, not the time, so the result depends on the seed alone. Never worse than greedy. Ends when it meets the
    relaxation's bound; Ctrl-C ends it at once.

    Args: relaxation: the graph's, if it is at hand. Others, result and errors as for `greedy_subset`.
    """
    check_seed(seed)
    check_k(k, graph.num_classes)
    relaxation = relaxation or relax(graph)
    starts = [*greedy_starts(relaxation, k, num_threads=num_threads), greedy_subset(graph, k)]
    bound = relaxation.bound(k)
    work = min(CHAIN_WORK, WORK_A_CLASS * graph.num_classes)
    with track("Searching", total=NUM_CHAINS * work // 1_000_000, unit="M steps") as advance:
        done = 0

        def report(work: int, value: float) -> None:
            nonlocal done
            advance(work // 1_000_000 - done, _note(value, bound))
            done = work // 1_000_000

        return _search(graph, k, starts, HOTTEST, work, seed, num_threads, bound, report)


def thorough_subset(
    graph: _core.WeightGraph,
    k: int,
    *,
    seconds: float,
    seed: int = 0,
    num_threads: int = 0,
    relaxation: Relaxation | None = None,
    track: Track = silent,
) -> IntArray:
    """Search on for `seconds` of wall time: rounds of new seeds and growing length, and shorter ones from the best.

    Ends before when the choice is proven the best (bounds.py), as the only choice of all classes is from the start.
    Never worse than `fast` with the same seed, which is its first round.
    Arguments, result and errors else as for `fast_subset`.
    """
    start = time.monotonic()
    check_k(k, graph.num_classes)
    relaxation = relaxation or relax(graph)
    bound = relaxation.bound(k)
    best = fast_subset(graph, k, seed=seed, num_threads=num_threads, relaxation=relaxation, track=track)
    with track("Searching on", total=round(seconds), unit="s") as advance:
        shown = 0

        def report(_: int, value: float) -> bool:
            nonlocal shown
            elapsed = time.monotonic() - start
            advance(int(elapsed) - shown, _note(max(value, graph.value(best)), bound))
            shown = int(elapsed)
            return elapsed < seconds

        work, number = min(CHAIN_WORK, WORK_A_CLASS * graph.num_classes), 1
        while time.monotonic() - start < seconds and not is_best(graph, graph.value(best), bound):
            hottest, starts = (WARM, [best] * (NUM_CHAINS // 2)) if number % 2 else (HOTTEST, [best])
            found = _search(graph, k, starts, hottest, work, _seed_of_round(seed, number), num_threads, bound, report)
            if graph.value(found) > graph.value(best):
                best = found
            work, number = (work if number % 2 else min(2 * work, MOST_WORK)), number + 1
    return best


def _seed_of_round(seed: int, number: int) -> int:
    """A seed for a round that no other seed has for any of its rounds, to all appearances."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _note(value: float, bound: float) -> str:
    return f"found {value:,.6g}, at most {bound:,.6g}"


def _search(
    graph: _core.WeightGraph,
    k: int,
    starts: list[IntArray],
    hottest: float,
    work: int,
    seed: int,
    num_threads: int,
    bound: float,
    report: Report,
) -> IntArray:
    found, _ = _core.search_class_subset(
        graph,
        k,
        starts=starts,
        num_chains=NUM_CHAINS,
        chain_work=work,
        hottest=hottest,
        seed=seed % (MAX_SEED + 1),
        num_threads=num_threads,
        target=good_enough(graph, bound),
        report=report,
    )
    return found


def check_k(k: int, num_classes: int) -> None:
    """Raise SettingError unless 2 <= k <= num_classes."""
    if not 2 <= k <= num_classes:
        raise SettingError(f"--k {k}: expected 2 to {num_classes:,}, the number of classes there are.")


def check_seed(seed: int) -> None:
    """Raise SettingError unless 0 <= seed < 2^63."""
    if not 0 <= seed <= MAX_SEED:
        raise SettingError(f"--search-seed {seed}: expected 0 to 2^63 - 1.")
