"""Locks on a folder or file, which name who holds them and outlive no holder: of one alone, or shared by several.

A lock is a small file with the holder's host, process and time. The kernel's lock on it, which ends with the process
however that ends, decides between processes of one machine. Several machines may not see each other's locks (NFS
mounted with nolock, some cluster file systems), and some file systems have none: there the holder's heartbeat decides.
It touches the file every few seconds, and who finds the lock of another machine watches whether that is done. What such
a file system leaves open: a holder that stands still for longer than PATIENCE is taken for dead, and two that take over
from one dead holder within the same second do not see each other.

Who shares `lock` holds a file of its own, `lock.<host>.<number>`, and then looks for `lock`; who wants it alone holds
`lock` and then looks for the others'. So each sees the other, whoever comes first.
"""

import fcntl
import glob
import itertools
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from rescale_fast.errors import OutputError
from rescale_fast.terminal import say

SECONDS_BETWEEN_BEATS = 10.0
PATIENCE = 45.0  # seconds without a beat after which a holder that no kernel vouches for is dead

_descriptors: set[int] = set()  # of the locks that this process holds


class _InUseError(OutputError):
    pass


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    host: str
    boot: str  # of the machine: a process from before its start is dead
    pid: int
    since: str  # local time
    command: str

    def is_surely_gone(self, me: "Holder", vouched: bool | None) -> bool:
        """Whether it no longer runs, on our machine. vouched: the kernel gave us the lock that it held."""
        return self.host == me.host and (vouched is True or self.boot != me.boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since} ({self.command})"


@contextmanager
def lock(path: Path, what: str, command: str) -> Iterator[Holder | None]:
    """Hold the lock file `path` alone while the body runs; yields the dead holder it was taken over from, or None.

    Folders that it needs are made, and deleted afterwards if they are still empty.
    Args: what: is locked, for the message. command: that wants it, for the messages of others.
    Raises: OutputError when another process holds it, naming which, or when the file cannot be written.
    """
    me = _me(command)
    with _held(path, what, me) as before:
        dead = _clear(sorted(path.parent.glob(f"{glob.escape(path.name)}.*.[0-9]*")), what, me)
        yield before or dead


@contextmanager
def shared(path: Path, what: str, command: str) -> Iterator[None]:
    """As `lock`, beside any others that share it, and so as to keep out who wants it alone."""
    me = _me(command)
    with ExitStack() as held:
        for number in itertools.count():
            with suppress(_InUseError):
                held.enter_context(_held(path.with_name(f"{path.name}.{me.host}.{number}"), what, me))
                break
        _clear([path], what, me)
        yield


@contextmanager
def lock_beside(target: Path, command: str) -> Iterator[None]:
    """Lock a file or folder that is to be replaced. Raises: as `lock`."""
    with lock(target.parent / f"{target.name}.lock", str(target), command):
        yield


@contextmanager
def shared_beside(target: Path, command: str) -> Iterator[None]:
    """Keep a file from being replaced while it is read; one in a folder where nothing can be written is safe anyway.

    Raises: as `lock`.
    """
    if os.access(target.parent, os.W_OK):
        with shared(target.parent / f"{target.name}.lock", str(target), command):
            yield
    else:
        yield


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait for other processes that do something in a folder which each of them does when it is its turn."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _held(path: Path, what: str, me: Holder) -> Iterator[Holder | None]:
    _forks_do_not_hold()
    with _folder(path.parent):
        try:
            descriptor, before = _acquire(path, what, me)
        except OSError as error:
            raise _cannot_write(path, error) from error
        _descriptors.add(descriptor)
        try:
            with _beating(descriptor):
                yield before
        finally:
            if _is_at(path, descriptor):
                path.unlink(missing_ok=True)
            _descriptors.discard(descriptor)
            os.close(descriptor)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder; afterwards delete what was made if nothing is in it."""
    try:
        new = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield
    finally:
        with suppress(OSError):
            for one in new:
                one.rmdir()


def _acquire(path: Path, what: str, me: Holder) -> tuple[int, Holder | None]:
    """The lock file, open, locked and with our name in it; and whose name was there."""
    while True:
        descriptor = _open(path, os.O_CREAT)
        try:
            vouched = _lock(descriptor, fcntl.LOCK_EX)
            before = _read(descriptor)
            if vouched is False:
                raise _in_use(path, what, before)
            if before and not before.is_surely_gone(me, vouched):
                _watch({path: before}, what)
            if _is_at(path, descriptor):  # else its holder has let go of it, and deleted it, meanwhile
                _write(path, descriptor, me)
                return descriptor, before
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _clear(paths: Sequence[Path], what: str, me: Holder) -> Holder | None:
    """Delete lock files whose holders are dead; return one of these. Raises: OutputError naming one that is not."""
    found: dict[Path, Holder | None] = {}
    doubtful: dict[Path, Holder] = {}
    with ExitStack() as opened:
        for path in paths:
            try:
                descriptor = _open(path)
            except FileNotFoundError:
                continue
            opened.callback(os.close, descriptor)
            vouched = _lock(descriptor, fcntl.LOCK_SH)  # which does not keep others from looking, too
            found[path] = holder = _read(descriptor)
            if vouched is False:
                raise _in_use(path, what, holder)
            if holder and not holder.is_surely_gone(me, vouched):
                doubtful[path] = holder
        _watch(doubtful, what)
        for path in found:
            path.unlink(missing_ok=True)
    return next(filter(None, found.values()), None)


def _open(path: Path, flags: int = 0) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | flags, 0o666)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    except OSError:
        if not path.is_symlink() and (path.is_file() or not path.exists()):
            raise
    raise OutputError(f"{path}: expected a lock file there, found a folder, a link or a pipe. Delete it.")


def _lock(descriptor: int, how: int) -> bool | None:
    """Whether the kernel gave us the lock; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # some file systems say EACCES for EAGAIN
        return False
    except OSError:
        return None
    return True


def _watch(holders: Mapping[Path, Holder], what: str) -> None:
    """Watch, for as long as PATIENCE, whether somebody touches one of the files. Raises: OutputError then."""
    if not holders:
        return
    first = next(iter(holders.values()))
    say(f"{what}: locked by {first}. Watching for at most {PATIENCE:.0f} s whether that is still there ...")
    found, deadline = {path: _touched(path) for path in holders}, time.monotonic() + PATIENCE
    while any(found.values()) and time.monotonic() < deadline:
        time.sleep(min(1.0, PATIENCE / 10))
        for path, before in found.items():
            found[path] = now = _touched(path)
            if before and now and now != before:
                raise _in_use(path, what, holders[path])


def _touched(path: Path) -> int | None:
    """When a file was touched, in ns; None when it is not there."""
    with suppress(FileNotFoundError), path.open("rb") as file:  # NFS asks the server when a file is opened
        return os.fstat(file.fileno()).st_mtime_ns
    return None


def _in_use(path: Path, what: str, holder: Holder | None) -> OutputError:
    return _InUseError(
        f"{what} is in use by {holder or 'another process'}. Wait for it or end it, then run this again; or write "
        f"elsewhere. (The lock is {path}.)"
    )


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path}: cannot write it: {error.strerror or error}. It would keep others from writing there meanwhile. "
        "Free some space or permission there, or write elsewhere."
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


def _write(path: Path, descriptor: int, holder: Holder) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        os.fsync(descriptor)
    except OSError:
        path.unlink(missing_ok=True)
        raise


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


def _me(command: str) -> Holder:
    boot = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Holder(socket.gethostname(), boot, os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"), command)
