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
from typing import NoReturn

from rescale_fast.errors import RescaleError
from rescale_fast.types import Advance

SECONDS_BETWEEN_LINES = 10.0
INTERRUPTED = 130  # the shell's exit code for Ctrl-C


def say(text: str) -> None:
    """A status line on stderr; results go to stdout. Of several ranks only the first speaks."""
    if _rank() == "0":
        print(text, file=sys.stderr, flush=True)


def complain(text: str) -> None:
    """An error, on stderr, from whichever rank."""
    print(text if _rank() == "0" else f"rank {_rank()}: {text}", file=sys.stderr, flush=True)


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
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, note="")

        def advance(count: int, note: str = "", /) -> None:
            progress.update(task, advance=count, note=note)

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
    """Run a command; return its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

    Errors meant for people become one message. Any other exception keeps its traceback: it is a defect.
    """
    logging.captureWarnings(True)  # libraries' warnings are not the user's business
    logging.getLogger("py.warnings").addHandler(logging.NullHandler())
    logging.getLogger("py.warnings").propagate = False
    try:
        with _hearing_lost_interrupts():
            work()
    except RescaleError as error:
        complain(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say(f"\nInterrupted. {how_to_resume}")
        return INTERRUPTED
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

    A Ctrl-C comes too late from here on. And C++ libraries are not taken down in order: one that was interrupted while
    it was imported would report leaks, and one whose threads still run would abort the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(exit_code)


@contextmanager
def _hearing_lost_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again that fell into a C library's callback, where Python prints and forgets it."""
    before, again = sys.unraisablehook, threading.Timer(0, lambda: None)

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        nonlocal again
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))  # by when the callback has returned
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        again.cancel()
        sys.unraisablehook = before
