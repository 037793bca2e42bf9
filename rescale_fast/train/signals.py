"""Signals that ask a training to end: they wait until a step is done, and what it made is saved."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rescale_fast.terminal import ENDINGS

SECONDS_OF_ONE = 2.0  # what comes again within these is the same wish: SLURM and torchrun both tell a rank to end


class HeldSignals:
    """Ctrl-C and ENDINGS, held back. `pending` is the number of the one that came last, or 0."""

    def __init__(self) -> None:
        self.pending = 0
        self._since = 0.0
        self._process = os.getpid()
        self._handlers: dict[int, Any] = {}  # of those that are held, from before

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold them back until `deliver`, or the end of the block. A signal that comes again works at once.

        Outside the main thread, where Python hears no signals, this does nothing.
        """
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDINGS)}
            self._handlers = {number: handler for number, handler in handlers.items() if _may_be_held(number, handler)}
        self._take()
        try:
            yield
        finally:
            self._put_back()
            if self.pending:
                signal.raise_signal(self.pending)

    def deliver(self, number: int) -> None:
        """Let a signal do now what it does without us, also if it came to another rank. Returns where that returns."""
        self.pending = 0
        self._put_back()
        signal.raise_signal(number)
        self._take()

    def _take(self) -> None:
        for number in self._handlers:
            signal.signal(number, self._hear)

    def _put_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        is_again = number == self.pending and time.monotonic() - self._since > SECONDS_OF_ONE
        if is_again or os.getpid() != self._process:  # a fork has nothing to save
            self.deliver(number)
        elif number != self.pending:
            self.pending, self._since = number, time.monotonic()


def _may_be_held(number: int, handler: Any) -> bool:
    """Not what is ignored, nor what only C hears, such as a faulthandler that shows stacks on SIGUSR1."""
    return callable(handler) or (handler is signal.SIG_DFL and number != signal.SIGUSR1)
