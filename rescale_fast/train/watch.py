"""A look at the loss now and then: whether it is a number still, and does not rise beyond what guessing would give."""

import math

from rescale_fast.errors import TrainingError
from rescale_fast.terminal import say

FIRST_STEPS = 20  # of a training, after each of which there is a look: they cost a GPU little, and a wrong rate shows
STEPS_BETWEEN_LOOKS = 50  # later: each makes a GPU wait
WINDOW = 20  # steps at least, over whose mean the loss is judged
MUCH = 3.0  # times the loss of guessing, or the first, whichever is more


class LossWatch:
    """Follows the loss of one network through its training, on all ranks alike."""

    def __init__(self, network: str, num_classes: int, advice: str) -> None:
        """advice: what to do about a loss that is no number, or rises."""
        self.network, self.advice = network, advice
        self._usual = math.log(max(2, num_classes))
        self._seen = (0, 0.0, 0)  # the epoch, its losses, and how many
        self._window = (0.0, 0)  # of losses that were not judged yet
        self._has_first = self._has_told = False

    def is_due(self, step: int, step_of_epoch: int) -> bool:
        """Whether to look after this step, from 0, of the training and of its epoch."""
        return step < FIRST_STEPS or step_of_epoch % STEPS_BETWEEN_LOOKS == 0

    def look(self, mean: float, steps: int, epoch: int) -> None:
        """Look at the mean loss of the first steps of an epoch, from 0; says once that it has risen.

        Raises: TrainingError when it is no number.
        """
        if not math.isfinite(mean) and (epoch, steps) == (0, 1):
            raise TrainingError(
                f"{self.network}: the loss of the first step is no number, before anything was learnt. Look at what "
                "the network makes of numbers near 0, and at the recipe."
            )
        if not math.isfinite(mean):
            raise TrainingError(f"{self.network}: the loss is no longer a number in epoch {epoch + 1}. {self.advice}")
        seen_epoch, seen, counted = self._seen
        if epoch == seen_epoch and steps == counted:
            return
        before = (seen, counted) if epoch == seen_epoch else (0.0, 0)
        self._seen = epoch, mean * steps, steps
        self._window = self._window[0] + mean * steps - before[0], self._window[1] + steps - before[1]
        recent = self._window[0] / self._window[1]
        if not self._has_first:
            self._usual, self._has_first = max(self._usual, recent), True
        if self._window[1] >= WINDOW:
            self._window = 0.0, 0
            self._judge(recent, epoch)

    def _judge(self, recent: float, epoch: int) -> None:
        if recent > MUCH * self._usual and not self._has_told:
            self._has_told = True
            say(
                f"{'train':>9}  {self.network}: the loss has risen to {recent:.3g} in epoch {epoch + 1}, from "
                f"{self._usual:.2g} at the start: it may not learn. {self.advice}"
            )
