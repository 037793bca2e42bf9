"""The stage `score`: two networks, each trained on one half of the training images, score the other half."""

from pathlib import Path

import numpy as np

from rescale_fast.api.scoring import make_scores, scores_origin
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError
from rescale_fast.machine import MachineSettings
from rescale_fast.run.folder import RunFolder, digest, existing
from rescale_fast.run.sampling import chosen_digest, load_chosen
from rescale_fast.scores.score import pending_halves
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import track

WEAK = 0.5  # of the mean probability of the true class


def score(
    folder: RunFolder,
    dataset: Dataset,
    source: Path,
    corrections: Path | None,
    settings: ScoreSettings,
    machine: MachineSettings,
) -> None:
    """Make scores/part-a.parquet and part-b.parquet: each half scored by a network trained on the other."""
    made_from = chosen_digest(folder, source)
    if corrections is not None:
        made_from["corrections"] = digest(existing(corrections, "--corrections"))
    origin = scores_origin(dataset, made_from, settings)

    def load(path: Path) -> Scores:
        if pending_halves(path, origin):
            raise ArtifactError(f"{path}: not finished.")
        return Scores.load(path, probabilities=False)

    def make() -> Scores:
        classes = load_chosen(folder, source)
        make_scores(folder.scores, dataset, classes, corrections, settings, origin, machine, track=track)
        return load(folder.scores)

    folder.reuse_or_make(
        "score",
        folder.scores,
        origin,
        load,
        make,
        describe=_describe,
        work=lambda made: (len(made.paths), "images"),
    )


def _describe(made: Scores) -> str:
    sure = float(np.nanmean(made.true_probability))
    weak = "; too little to tell a label error from a hard image: raise --score-epochs" if sure < WEAK else ""
    return f"{len(made.paths):,} train images, on average {100 * sure:.1f} % sure{weak}"
