"""One writer at a time: a lock on a folder or file, which names who holds it and outlives no holder.

The lock is a small file with the holder's host, process and time. The kernel's lock on it, which ends with the process
however that ends, decides between processes of one machine. Several machines may not see each other's locks (NFS
mounted with nolock, some cluster file systems), and some file systems have none: there the holder's heartbeat decides.
It touches the file every few seconds, and who finds the lock of another machine watches whether that is done. What such
a file system leaves open: a holder that stands still for longer than PATIENCE is taken for dead, and two that take over
from one dead holder within the same second do not see each other.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from rescale_fast.errors import OutputError

SECONDS_BETWEEN_BEATS = 10.0
PATIENCE = 45.0  # seconds without a beat after which a holder that no kernel vouches for is dead

_descriptors: set[int] = set()  # of the locks that this process holds


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    host: str
    boot: str  # of the machine: a process from before its start is dead
    pid: int
    since: str  # local time
    command: str

    def is_of(self, other: "Holder") -> bool:
        """Whether both are of the same machine, not started anew between them."""
        return (self.host, self.boot) == (other.host, other.boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since} ({self.command})"


@contextmanager
def lock(path: Path, what: str, command: str) -> Iterator[Holder | None]:
    """Hold the lock file `path` while the body runs; yields the dead holder it was taken over from, or None.

    Args: what: is locked, for the message. command: that wants it, for the messages of others.
    Raises: OutputError when another process holds it, naming which, or when the file cannot be written.
    """
    _forks_do_not_hold()
    me = Holder(socket.gethostname(), _boot(), os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"), command)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, before = _acquire(path, what, me)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot write it: {error.strerror or error}. It would keep others from writing in {what}: "
            "pass another --out."
        ) from error
    _descriptors.add(descriptor)
    try:
        with _beating(descriptor):
            yield before
    finally:
        if _is_at(path, descriptor):
            path.unlink(missing_ok=True)
        _descriptors.discard(descriptor)
        os.close(descriptor)


def _acquire(path: Path, what: str, me: Holder) -> tuple[int, Holder | None]:
    """The lock file, open, locked and with our name in it; and whose name was there."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            vouched = _lock(descriptor)
            before = _read(descriptor)
            if vouched is False or (before and not (vouched and before.is_of(me)) and _is_beating(path, descriptor)):
                raise _taken(path, what, before)
            if _is_at(path, descriptor):  # else its holder has let go of it, and deleted it, meanwhile
                _write(descriptor, me)
                return descriptor, before
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Whether the kernel gave us the lock; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some file systems say EACCES for EAGAIN
        return False
    except OSError:
        return None
    return True


def _is_beating(path: Path, descriptor: int) -> bool:
    """Watch, for as long as PATIENCE, whether somebody touches the file."""
    found, deadline = os.fstat(descriptor).st_mtime_ns, time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(min(1.0, PATIENCE / 10))
        try:
            with path.open("rb") as file:  # NFS asks the server for a file's times when it is opened
                if os.fstat(file.fileno()).st_mtime_ns != found:
                    return True
        except FileNotFoundError:
            return False
    return False


def _taken(path: Path, what: str, holder: Holder | None) -> OutputError:
    return OutputError(
        f"{what} is in use by {holder or 'another process'}. Wait for it or end it, then run this again; or pass "
        f"another --out. (The lock is {path}.)"
    )


@contextmanager
def _beating(descriptor: int) -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(SECONDS_BETWEEN_BEATS):
            with suppress(OSError):  # a file system that is away for a moment
                os.utime(descriptor)

    thread = threading.Thread(target=beat, name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _read(descriptor: int) -> Holder | None:
    with suppress(OSError, ValueError, TypeError):  # empty, or half-written by a machine that lost power
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    return None


def _write(descriptor: int, holder: Holder) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
    os.fsync(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


@cache
def _forks_do_not_hold() -> None:
    """Have a fork of this process close its copies, so that a worker that outlives us does not keep our locks."""

    def close_copies() -> None:
        for descriptor in _descriptors:
            os.close(descriptor)
        _descriptors.clear()

    os.register_at_fork(after_in_child=close_copies)


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
