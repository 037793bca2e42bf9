"""How commands talk to a person: progress, status lines, and one clear message when something ends them."""

import atexit
import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast
from unicodedata import category

from rescale_fast.errors import OutputError, RescaleError
from rescale_fast.extras import explain

if TYPE_CHECKING:
    from rescale_fast.types import Advance  # beside arrays of NumPy, which a page of help need not load

SECONDS_BETWEEN_LINES = 10.0
ENDINGS = {  # signals that ask a command to end; SIGUSR1 as a warning, some time before there is no choice
    signal.SIGTERM: "Terminated",
    signal.SIGHUP: "The terminal has gone",
    signal.SIGUSR1: "Asked to end",
}
RUN_AGAIN = 75  # exit code: EX_TEMPFAIL of sysexits.h


class Ended(KeyboardInterrupt):
    """One of ENDINGS came: ends a command wherever Ctrl-C would, with what is finished kept."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number
        self.exit_code = 128 + number


def show(text: str) -> None:
    """A result, on stdout. Raises: BrokenPipeError when its reader has gone; OutputError when it cannot be written."""
    try:
        _write(text, sys.stdout)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _lost_result(error) from error


def say(text: str) -> None:
    """A status line on stderr, dropped where it cannot be written; results go to stdout. Of ranks the first speaks."""
    if _rank() == "0":
        with suppress(OSError):  # a full disk, or a reader that has gone, is no reason to end the work
            _write(text, sys.stderr)


def complain(text: str) -> None:
    """An error, on stderr, from whichever rank; on stdout where there is no stderr."""
    for stream in (sys.stderr, sys.stdout):
        with suppress(OSError):
            _write(text if _rank() == "0" else f"rank {_rank()}: {text}", stream)
            return


def _write(text: str, stream: TextIO | None) -> None:
    if stream is None or stream.closed:  # `>&-`
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    encoding = stream.encoding or "utf-8"
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _lost_result(error: OSError) -> OutputError:
    return OutputError(
        f"stdout: cannot write the result there: {error.strerror or error}. Free some space, or send it elsewhere."
    )


def printable(text: str) -> str:
    """The text with control characters shown, not obeyed: the name of a file must not clear a screen or hide a line."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in "\n\t" or category(one) == "Zs" else repr(one)[1:-1] for one in text
    )


def _rank() -> str:
    return os.environ.get("RANK", "0")  # as torchrun sets it


def track(what: str, *, total: int, unit: str = "images") -> "AbstractContextManager[Advance]":
    """Show a bar with rate and time left on a terminal; elsewhere a plain line now and then."""
    return _bar(what, total, unit) if sys.stderr is not None and sys.stderr.isatty() else _lines(what, total, unit)


class _Patient:
    """stderr, where what cannot be written (its terminal has gone) is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


@contextmanager
def _bar(what: str, total: int, unit: str) -> "Iterator[Advance]":
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
    with Progress(*columns, console=Console(file=cast(TextIO, _Patient(sys.stderr))), transient=True) as progress:
        task = progress.add_task(printable(what), total=total, note="")

        def advance(count: int, note: str = "", /) -> None:
            progress.update(task, advance=count, note=printable(note))

        yield advance


@contextmanager
def _lines(what: str, total: int, unit: str) -> "Iterator[Advance]":
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
    """Run a command; return its exit code.

    0 done, 1 failed, 2 wrong usage, 128 + n ended by signal n (Ctrl-C: 130), RUN_AGAIN by one for which all was saved.

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
    except KeyboardInterrupt as end:
        return _say_ended(end, how_to_resume)
    except BrokenPipeError:
        return 1  # the reader of our output has gone; nobody is left to tell
    except ModuleNotFoundError as error:
        if (text := explain(error)) is None:
            raise
        complain(f"error: {text}")
        return 2
    except Exception as error:
        if (hidden := _interrupt_behind(error)) is not None:
            return _say_ended(hidden, how_to_resume)
        text = _explained(error)
        if text is None:
            raise
        complain(f"error: {text}")
        return 1
    return 0


def _say_ended(end: KeyboardInterrupt, how_to_resume: str) -> int:
    what, code = "Interrupted", 128 + signal.SIGINT
    if isinstance(end, Ended):
        number, code = signal.Signals(end.signal), end.exit_code
        what = f"{ENDINGS.get(number, what)} ({number.name})"
    say("\n" + " ".join([f"{what}.", *getattr(end, "__notes__", ()), how_to_resume]))
    return code


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt that an error was made of: what hears one while a class is made raises a RuntimeError instead."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__cause__ or error.__context__
    return None


def _explained(error: Exception) -> str | None:
    """What a person can do about an error that the machine is to blame for; None for a defect."""
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory. Lower --num-threads, end other programs, or raise the limit (ulimit -v, or "
            "that of the job)."
        )
    refused = isinstance(error, OSError) and error.filename is None and error.errno == errno.EAGAIN  # of the core
    if refused or str(error) == "can't start new thread":
        return (
            "could not start threads. Lower --num-threads, or raise the limit on processes or memory (ulimit -u, "
            "ulimit -v, or that of the job)."
        )
    if isinstance(error, OSError) and error.filename is None and error.errno == errno.ENOSPC:
        return str(_lost_result(error))  # files are written by what names them: what comes here are rich's tables
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Check that the path is right and that you may use it."
    return None


def end_process(exit_code: int) -> NoReturn:
    """End with an exit code, which nothing that comes later can spoil.

    A Ctrl-C, or another signal that asks for an end, comes too late from here on. And C++ libraries are not taken down
    in order: one that was interrupted while it was imported would report leaks, and one whose threads still run would
    abort the process.
    """
    for number in (signal.SIGINT, *ENDINGS):
        signal.signal(number, signal.SIG_IGN)
    atexit._run_exitfuncs()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (BrokenPipeError, ValueError):  # nobody reads it any more
        pass
    except OSError as error:
        if exit_code == 0:
            complain(f"error: {_lost_result(error)}")
            exit_code = 1
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    os._exit(exit_code)


def occupy_standard_streams() -> None:
    """Keep files that are opened from taking the numbers of streams that are closed, where libraries would print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free


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
