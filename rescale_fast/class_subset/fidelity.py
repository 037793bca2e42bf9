"""rank-fidelity: chooses classes on which networks keep the order and the spacing that they have on all classes.

Reads NetworkHits and a ConfusionMatrix; the search runs in C++ (csrc/classes/fidelity.h) on the model that
fidelity_model.py makes. That the choice is of use for networks that had no part in it is not taken for granted:
held_out.py tries that, and the facts of the choice say how it came out.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rescale_fast import _core
from rescale_fast.class_subset.fidelity_model import fidelity_model
from rescale_fast.class_subset.held_out import draw_folds, held_out_facts
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.search import fast_subset
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.weights import pair_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import ArtifactError
from rescale_fast.types import JSON, Advance, IntArray, Track, silent

NUM_CHAINS = 8
MOVES_A_CLASS, MOST_MOVES = 2_000, 1_000_000  # of a chain
NUM_DRAWS = 200  # sets at random, for what fidelity is without choosing


def rank_fidelity(
    confusion: ConfusionMatrix,
    networks: NetworkHits,
    settings: SelectSettings,
    *,
    num_threads: int = 0,
    track: Track = silent,
) -> tuple[IntArray, dict[str, JSON]]:
    """The k classes on which networks rank as on all, by all networks; and how it goes with networks held out.

    With `hardness` h the choice is the best by (1 - h) fidelity + h confusion inside, each as a share of what choosing
    by it alone gains over a random choice; the confusion is that of all networks, also while some are held out.
    Facts: `fidelity`, what is searched for: a squared correlation that new networks reach at best; `confusion_share`,
    where hardness counts: confused images inside as a share of those of max-confusion; and those of held_out.py.
    Raises: ArtifactError when the networks are about other classes than the matrix.
    """
    if networks.class_ids != confusion.class_ids:
        raise ArtifactError(
            f"the predictions are about {len(networks.class_ids):,} classes from {networks.class_ids[0]!r}, the "
            f"confusion matrix about {confusion.num_classes:,} from {confusion.class_ids[0]!r}. "
            "Pool those of the same networks."
        )
    folds = draw_folds(networks, settings.held_out, settings.search_seed)
    parts = range(int(folds.max()) + 1)
    moves = min(MOST_MOVES, MOVES_A_CLASS * confusion.num_classes)
    searches = (1 + len(parts)) * (1 if settings.hardness == 0 else 2)
    with track("Searching", total=searches * NUM_CHAINS * moves // 1000, unit="k steps") as advance:
        aim = _Aim(pair_graph(confusion), settings, moves, num_threads, advance)
        chosen = aim.choose(networks)
        by_others = [aim.choose(networks.some(folds != part)) for part in parts]
    facts: dict[str, JSON] = {"fidelity": fidelity_model(networks).fidelity(chosen), "hardness": settings.hardness}
    if settings.hardness > 0:
        facts["confusion_share"] = aim.confusion_share(chosen)
    return chosen, facts | held_out_facts(networks, folds, by_others, settings.search_seed)


@dataclass(frozen=True)
class _Aim:
    """What is searched for, whichever networks are at hand."""

    graph: _core.WeightGraph
    settings: SelectSettings
    moves: int  # of a chain
    num_threads: int
    advance: Advance  # by thousands of moves

    def choose(self, networks: NetworkHits) -> IntArray:
        """(k,) labels, increasing."""
        model, hardness = fidelity_model(networks), self.settings.hardness
        most_faithful = self._search(model, 1.0, 0.0, [])
        if hardness == 0:
            return most_faithful
        of_fidelity = _share(model.fidelity(most_faithful), self._fidelity_at_random(model))
        of_confusion = _share(self.graph.value(self.hardest), self._confusion_at_random())
        starts = [most_faithful, self.hardest]
        return self._search(model, (1 - hardness) * of_fidelity, hardness * of_confusion, starts)

    @cached_property
    def hardest(self) -> IntArray:
        """(k,) what max-confusion chooses."""
        return fast_subset(self.graph, self.settings.k, seed=self.settings.search_seed, num_threads=self.num_threads)

    def confusion_share(self, chosen: IntArray) -> float:
        most = self.graph.value(self.hardest)
        return self.graph.value(chosen) / most if most else 1.0

    def _search(
        self, model: _core.FidelityModel, fidelity: float, confusion: float, starts: list[IntArray]
    ) -> IntArray:
        shown = 0

        def report(done: int) -> None:
            nonlocal shown
            self.advance(done // 1000 - shown)
            shown = done // 1000

        found, _ = _core.search_fidelity(
            model,
            self.graph,
            self.settings.k,
            fidelity=fidelity,
            confusion=confusion,
            starts=starts,
            num_chains=NUM_CHAINS,
            chain_moves=self.moves,
            seed=self.settings.search_seed,
            num_threads=self.num_threads,
            report=report,
        )
        report(NUM_CHAINS * self.moves)
        return found

    def _fidelity_at_random(self, model: _core.FidelityModel) -> float:
        rng = np.random.default_rng([self.settings.search_seed, 2])
        draws = (rng.choice(model.num_classes, self.settings.k, replace=False) for _ in range(NUM_DRAWS))
        return float(np.mean([model.fidelity(classes) for classes in draws]))

    def _confusion_at_random(self) -> float:
        k, n = self.settings.k, self.graph.num_classes
        return self.graph.total * k * (k - 1) / (n * (n - 1))


def _share(best: float, at_random: float) -> float:
    """What a unit is worth, if the gain from a random choice to the best one counts as 1; 0 where nothing is gained."""
    return 1 / (best - at_random) if best > at_random else 0.0
