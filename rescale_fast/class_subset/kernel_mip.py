"""The exact stage: the best k classes of a kernel, by the mixed-integer solver HiGHS.

The model is the linear relaxation with 0/1 choices: maximise sum w_ij y_ij, y_ij <= x_i, y_ij <= x_j, sum x = k.
Source: HiGHS, Huangfu and Hall 2018.
"""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from math import frexp, ldexp
from typing import Any

import numpy as np

from rescale_fast.types import FloatArray, IntArray

LEAST_EXPONENT = -1000  # of two, whose inverse is a float, too
SLACK = 1e-6  # HiGHS's tolerance, relative to the value: its bounds are widened by so much


@dataclass(frozen=True)
class KernelOptimum:
    """What the solver found and proved about choices within the kernel."""

    places: IntArray | None  # (k,) places in the kernel of a choice that is worth more than `above`; None: none found
    bound: float  # no choice within the kernel is worth more; at least `above` + `step` / 2; may be infinite


def solve_kernel(
    weights: FloatArray, k: int, *, above: float, step: float, seconds: float, num_threads: int
) -> KernelOptimum:
    """Look for a choice of k of the m classes that is worth at least `above` + `step`, until proven or out of time.

    Args:
        weights: (m, m) float64, symmetric, zero diagonal. step: the least by which one value exceeds another.
    Raises: KeyboardInterrupt at once on Ctrl-C.
    """
    import highspy

    solver = highspy.Highs()
    solver.silent()
    solver.HandleUserInterrupt = True
    for option, value in (("time_limit", seconds), ("threads", num_threads), ("mip_rel_gap", 0.0)):
        solver.setOptionValue(option, value)
    # Half a step is enough to exclude what is known. In units of about a step (a power of two, so that nothing is
    # rounded) it is far beyond the solver's tolerances, which are absolute.
    unit = ldexp(1.0, max(LEAST_EXPONENT, frexp(step)[1] - 1))
    at_least = (above + step / 2) / unit
    solver.passModel(_model(weights / unit, k, at_least))
    _run(solver)
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return KernelOptimum(None, above + step / 2)
    bound = unit * max(at_least, solver.getInfo().mip_dual_bound + SLACK * (1 + at_least))
    values = np.array(solver.getSolution().col_value[: len(weights)])
    found = len(values) > 0 and round(values.sum()) == k and solver.getInfo().primal_solution_status == 2
    return KernelOptimum(np.flatnonzero(values > 0.5) if found else None, bound)


def _run(solver: Any) -> None:
    """Solve in a thread of its own, so that Ctrl-C is heard here."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(solver.run)
        try:
            while not running.done():
                wait([running], timeout=0.1)
        except KeyboardInterrupt:
            solver.cancelSolve()
            raise
        running.result()


def _model(weights: FloatArray, k: int, at_least: float) -> "object":
    import highspy

    size = len(weights)
    rows, columns = np.nonzero(np.triu(weights))
    num_pairs = len(rows)
    pair_weights = weights[rows, columns]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = size + num_pairs, 2 + 2 * num_pairs
    lp.col_cost_ = np.concatenate([np.zeros(size), pair_weights])
    lp.col_lower_, lp.col_upper_ = np.zeros(size + num_pairs), np.ones(size + num_pairs)
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.integrality_ = [highspy.HighsVarType.kInteger] * size + [highspy.HighsVarType.kContinuous] * num_pairs
    lp.row_lower_ = np.concatenate([[k, at_least], np.full(2 * num_pairs, -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([[k, highspy.kHighsInf], np.zeros(2 * num_pairs)])
    y = size + np.arange(num_pairs)
    entry_rows = np.concatenate(
        [np.zeros(size), np.ones(num_pairs), np.repeat(2 + np.arange(2 * num_pairs), 2)]
    ).astype(np.int64)
    ends = np.stack([rows, columns], axis=1).reshape(-1)  # y_e <= x_i, then y_e <= x_j
    entry_columns = np.concatenate([np.arange(size), y, np.stack([np.repeat(y, 2), ends], axis=1).reshape(-1)])
    entries = np.concatenate([np.ones(size), pair_weights, np.tile([1.0, -1.0], 2 * num_pairs)])
    order = np.argsort(entry_rows, kind="stable")
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.searchsorted(entry_rows[order], np.arange(lp.num_row_ + 1))
    lp.a_matrix_.index_ = entry_columns[order]
    lp.a_matrix_.value_ = entries[order]
    return lp
