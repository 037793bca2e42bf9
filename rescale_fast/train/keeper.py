"""The keeper of a training's checkpoint, written after epochs, by the clock, and before a signal ends the training.

Writing may take a twentieth of the time: with epochs of a second and weights of many megabytes not each has its
checkpoint. Ranks agree after which step they save or end, about once a second, so that it costs them next to nothing.
"""

import time
from pathlib import Path
from signal import Signals

from rescale_fast.artifact import Origin
from rescale_fast.errors import OutputError
from rescale_fast.files.reading import reading
from rescale_fast.terminal import RUN_AGAIN, Ended
from rescale_fast.train.checkpoint import THEN, Record, load_checkpoint, save_checkpoint
from rescale_fast.train.engine import Trainer
from rescale_fast.train.signals import HeldSignals

SHARE_OF_SAVING = 0.05  # of the time, at most
SECONDS_BETWEEN_LOOKS = 1.0  # of several ranks; a process by itself looks after each step


class Keeper:
    """Keeps the checkpoint of one training. `resume` comes first."""

    def __init__(self, path: Path, origin: Origin, trainer: Trainer, minutes: float) -> None:
        self.path, self.origin, self.trainer = path, origin, trainer
        self.records: list[Record] = []  # of the epochs that are finished
        self.seconds = 0.0  # of training in the one that is not
        self.note = ""  # what there is to say of the last checkpoint
        self.signals = HeldSignals()
        self._pause, self._cost = 60 * minutes, 0.0  # seconds between checkpoints, and for one
        self._saved = self._looked = time.monotonic()
        self._stride = self._steps_to_look = 1

    def resume(self) -> None:
        """Take over the checkpoint, if there is one. Raises: as load_checkpoint."""
        found = load_checkpoint(self.path, self.origin)
        if found is not None:
            self.records, self.seconds, state = found
            with reading(self.path, "a checkpoint", THEN):
                self.trainer.restore(state)

    @property
    def steps_done(self) -> int:
        """Of the epoch that is not finished."""
        return self.trainer.steps_done if self.trainer.epoch == len(self.records) else 0

    def end_epoch(self, record: Record) -> None:
        """Note a finished epoch; then as `look`."""
        self.records.append(record)
        self.seconds = 0.0
        self._decide(pause=0.0)

    def look(self) -> None:
        """After a step, of all ranks alike: save if it is time to, and let a signal end the training, which is saved.

        Raises: what the signal raises, noting what is saved.
        """
        self._steps_to_look -= 1
        if self._steps_to_look == 0:
            self._decide(self._pause)

    def _decide(self, pause: float) -> None:
        trainer, is_due, stride = self.trainer, False, 0
        if trainer.group.is_first:  # by one clock
            is_due = time.monotonic() - self._saved >= max(pause, self._cost / SHARE_OF_SAVING)
            stride = self._next_stride()
        number, must_save, self._stride = trainer.group.largest(
            [self.signals.pending, is_due, stride], device=trainer.device
        )
        self._steps_to_look = self._stride
        if number or must_save:
            self._save()
        if number:
            self._end(number)

    def _next_stride(self) -> int:
        """Steps until the next look."""
        seconds, self._looked = time.monotonic() - self._looked, time.monotonic()
        if self.trainer.group.count == 1:
            return 1
        return max(1, min(2 * self._stride, int(SECONDS_BETWEEN_LOOKS * self._stride / max(seconds, 1e-9))))

    def _save(self) -> None:
        """Write the checkpoint. A disk that is full does not end the training: there may be room the next time."""
        state = self.trainer.state()
        if not self.trainer.group.is_first:
            return
        start = time.monotonic()
        try:
            save_checkpoint(self.path, self.origin, self.records, self.seconds, state)
            self.note = ""
        except OutputError as error:
            self.note = f"{self.path.name} not written: {getattr(error.__cause__, 'strerror', error)}"
        self._saved = time.monotonic()
        self._cost = self._saved - start

    def _end(self, number: int) -> None:
        """Returns where somebody's own handler lets the training go on."""
        steps, epochs, trainer = self.steps_done, len(self.records), self.trainer
        where = f"step {steps} of epoch {epochs + 1}" if steps else f"epoch {epochs}"
        (is_lost,) = trainer.group.largest([self.note != ""], device=trainer.device)
        try:
            self.signals.deliver(number)
            if trainer.group.count > 1:
                raise Ended(Signals(number))  # other ranks have ended
        except KeyboardInterrupt as end:
            end.add_note(f"{self.note}." if is_lost else f"The training is saved after {where}.")
            if isinstance(end, Ended):
                end.exit_code = 1 if is_lost else RUN_AGAIN
            raise
