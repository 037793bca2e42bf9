"""`rescale-fast evaluate`: the errors of ranked guesses against a set."""

from dataclasses import asdict, dataclass
from pathlib import Path

from rescale_fast.artifact import write_json
from rescale_fast.errors import SettingError
from rescale_fast.evaluate import Evaluation, evaluate, guesses_of, read_guesses, read_truth
from rescale_fast.predictions.types import Predictions
from rescale_fast.settings import InputPath, Settings
from rescale_fast.terminal import show


@dataclass(frozen=True)
class EvaluateCommand(Settings):
    """Count top-1 to top-5 errors of guesses, or of predictions, against a set."""

    truth: InputPath
    """A down-sampled set, an image_subset.parquet, or a text file with one label or class id per line."""
    guesses: InputPath | None = None
    """A text file with the guesses for one image per line, best first: labels from 1, or class ids."""
    predictions: InputPath | None = None
    """Predictions (a part or a folder of them) instead; those of other images are left out."""
    json: Path | None = None
    """Write the numbers here too."""

    def check(self) -> None:
        """Raises: SettingError unless it is said in one way what to evaluate."""
        if (self.guesses is None) == (self.predictions is None):
            raise SettingError("evaluate: say what to evaluate, either with --guesses FILE or with --predictions PATH.")


def evaluate_guesses(settings: EvaluateCommand) -> None:
    """Print the table; write the JSON if one is wanted. Raises: SettingError, ArtifactError."""
    truth = read_truth(settings.truth)
    if settings.guesses is not None:
        guesses = read_guesses(settings.guesses, truth)
    elif settings.predictions is not None:
        guesses = guesses_of(Predictions.load(settings.predictions), truth)
    made = evaluate(truth, guesses)
    show(_table(made))
    if settings.json is not None:
        write_json(settings.json, {"schema": "evaluation/1", **asdict(made)})


def _table(made: Evaluation) -> str:
    lines = [f"{made.num_images:,} images of {made.num_classes:,} classes", f"{'':<6} {'error':>9} {'guessing':>9}"]
    for rank, error in enumerate(made.errors, 1):
        at_random = max(0.0, 1 - rank / made.num_classes)
        lines.append(f"top-{rank:<2} {100 * error:>8.2f}% {100 * at_random:>8.2f}%")
    if made.num_unknown:
        lines.append(f"{made.num_unknown:,} guesses are of no class of the set, and count as wrong")
    if made.num_without:
        lines.append(f"{made.num_without:,} images have no prediction (unreadable files), and are not counted")
    return "\n".join(lines)
