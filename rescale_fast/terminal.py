"""How commands talk to a person: progress, status lines, and one clear message when something ends them."""

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NoReturn, TextIO
from unicodedata import category

from rescale_fast.errors import RescaleError
from rescale_fast.types import Advance

SECONDS_BETWEEN_LINES = 10.0
ENDINGS = {signal.SIGTERM: "Terminated", signal.SIGHUP: "The terminal has gone"}  # signals that ask a command to end


class Ended(KeyboardInterrupt):
    """One of ENDINGS came: ends a command wherever Ctrl-C would, with what is finished kept."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


def show(text: str) -> None:
    """A result, on stdout."""
    _write(text, sys.stdout)


def say(text: str) -> None:
    """A status line on stderr; results go to stdout. Of several ranks only the first speaks."""
    if _rank() == "0":
        _write(text, sys.stderr)


def complain(text: str) -> None:
    """An error, on stderr, from whichever rank."""
    _write(text if _rank() == "0" else f"rank {_rank()}: {text}", sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    encoding = stream.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def printable(text: str) -> str:
    """The text with control characters shown, not obeyed: the name of a file must not clear a screen or hide a line."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" or category(one) == "Zs" else repr(one)[1:-1] for one in text
    )


def _rank() -> str:
    return os.environ.get("RANK", "0")  # as torchrun sets it


def track(what: str, *, total: int, unit: str = "images") -> AbstractContextManager[Advance]:
    """Show a bar with rate and time left on a terminal; elsewhere a plain line now and then."""
    return _bar(what, total, unit) if sys.stderr.isatty() else _lines(what, total, unit)


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {unit}/s" if speed and unit != "s" else "", style="cyan")

    columns = (
        TextColumn("  {task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(printable(what), total=total, note="")

        def advance(count: int, note: str = "", /) -> None:
            progress.update(task, advance=count, note=printable(note))

        yield advance


@contextmanager
def _lines(what: str, total: int, unit: str) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0

    def advance(count: int, note: str = "", /) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - start)
            left = (total - done) / rate if rate else float("inf")
            speed = "" if unit == "s" else f", {rate:,.0f} {unit}/s"
            say(f"  {what}: {done:,}/{total:,} {unit}{speed}, {left:,.0f} s left{note and ', ' + note}")

    yield advance


def run_command(work: Callable[[], None], *, how_to_resume: str) -> int:
    """Run a command; return its exit code: 0 done, 1 failed, 2 wrong usage, 128 + n ended by signal n (Ctrl-C: 130).

    Errors meant for people become one message. Any other exception keeps its traceback: it is a defect.
    """
    logging.captureWarnings(True)  # libraries' warnings are not the user's business
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    logging.getLogger("py.warnings").propagate = False
    try:
        with _ending_in_order(), _hearing_lost_interrupts():
            work()
    except RescaleError as error:
        complain(f"error: {error}")
        return error.exit_code
    except Ended as end:
        with suppress(OSError):  # the terminal may have gone
            say(f"\n{ENDINGS[signal.Signals(end.signal)]} ({signal.Signals(end.signal).name}). {how_to_resume}")
        return 128 + end.signal
    except KeyboardInterrupt:
        say(f"\nInterrupted. {how_to_resume}")
        return 128 + signal.SIGINT
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return 1  # the reader of our output has gone; nobody is left to tell
        if error.filename is None:
            raise
        complain(f"error: {error.filename}: {error.strerror}. Check that the path is right and that you may use it.")
        return 1
    return 0


def end_process(exit_code: int) -> NoReturn:
    """End with an exit code, which nothing that comes later can spoil.

    A Ctrl-C, or another signal that asks for an end, comes too late from here on. And C++ libraries are not taken down
    in order: one that was interrupted while it was imported would report leaks, and one whose threads still run would
    abort the process.
    """
    for number in (signal.SIGINT, *ENDINGS):
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(exit_code)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Raise KeyboardInterrupt, for ENDINGS Ended, but for a signal that is ignored, as nohup has it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def end(number: int, frame: object) -> None:
        if os.getpid() == process:
            raise Ended(number)
        signal.signal(number, signal.SIG_DFL)  # a fork of ours, which nobody expects to tidy up
        os.kill(os.getpid(), number)

    handlers = dict.fromkeys(ENDINGS, end) | {signal.SIGINT: signal.default_int_handler}
    before = {number: signal.getsignal(number) for number in handlers}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


@contextmanager
def _hearing_lost_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that fell into a C library's callback, where Python prints and forgets it."""
    before, again = sys.unraisablehook, threading.Timer(0, lambda: None)

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        nonlocal again
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        number = getattr(lost.exc_value, "signal", signal.SIGINT)
        again = threading.Timer(0.05, os.kill, (os.getpid(), number))  # by when the callback has returned
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        again.cancel()
        sys.unraisablehook = before
