"""Programs with all the processes that they start, whatever becomes of the parents of these."""

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.conftest import interruptible


@contextlib.contextmanager
def session(*arguments):
    """Start a program in a session of its own; in the end nothing is left of that."""
    with interruptible(*arguments, start_new_session=True) as process:
        try:
            yield process
        finally:
            for left in of_session(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)


def of_session(leader):
    """{process id: its parent's} of the session that a program began."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, number = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # gone in the meantime
            continue
        if int(number) == leader.pid and state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def left_after(leader, seconds):
    """What is left of a session after so many seconds at most."""
    end = time.monotonic() + seconds
    while of_session(leader) and time.monotonic() < end:
        time.sleep(0.05)
    return of_session(leader)
