"""Processes that help one of ours: they leave Ctrl-C to it, and end when it does, however it ends."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait

from rescale_fast.errors import SettingError

LONGEST_SOCKET = 107  # bytes, of Linux's sockaddr_un
SLOW_IMPORTS = ("torch", "torchvision")  # seconds for each process; importing them starts no threads of theirs


def worker_context() -> "multiprocessing.context.ForkServerContext":
    """How worker processes are started: by a server that has no threads, as torch's do not survive a fork.

    The server is there when this returns. Where this process has torch, its workers need that and torchvision, most
    likely, and the server imports both once for all of them. A terminal's Ctrl-C goes to all processes, and would reach
    it while it begins, before it can say that it leaves that to us: so it, and the workers after it, begin with SIGINT
    blocked.

    Raises: SettingError when the folder for temporary files has too long a name; and as check_script_is_guarded.
    """
    check_script_is_guarded()
    _check_room_for_sockets()
    resource_tracker.ensure_running()  # which the server asks for, and which ends by unblocking SIGINT
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(SLOW_IMPORTS) if "torch" in sys.modules else [])
    with ctrl_c_waits():
        forkserver.ensure_running()
    return context


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Have Ctrl-C wait until the body is done: of few seconds, in which a worker process must not lose its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_script_is_guarded() -> None:
    """Raise SettingError in a worker process that imports the script it is to help, which asks for helpers itself.

    It would do so for ever, or wait for what its parent has locked.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise SettingError(
            "worker processes import the script that is run, and this one would start the work again. Put what the "
            'script does under `if __name__ == "__main__":`.'
        )


def _check_room_for_sockets() -> None:
    """multiprocessing makes its sockets in the folder for temporary files, and the kernel keeps their names short."""
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) + len("/pymp-12345678/listener-12345678") > LONGEST_SOCKET:
        raise SettingError(
            f"TMPDIR={folder}: has too long a name: sockets of worker processes are made there, whose names may have "
            f"{LONGEST_SOCKET} bytes. Set TMPDIR to a folder with a shorter one, such as /tmp."
        )


def start_worker(_: int = 0) -> None:
    """The first call of each worker process: of a pool as its initializer, of a DataLoader as its worker_init_fn.

    A killed parent cannot end its workers, and with `forkserver` nobody else does: the parent they ask the system
    for is the server, which lives as long as they do. So each watches a pipe that only its real parent holds open.
    """
    for number in (signal.SIGINT, signal.SIGUSR1):  # the parent's to handle
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # at once: nobody is left to take a result
