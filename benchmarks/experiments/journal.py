"""Results that several processes add to one file, a line for each, claims on what is being done, and the processes."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[str]:
    """All lines; a last one that was cut off by a crash is not one."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def add_line(path: Path, line: str) -> None:
    """Add a line, whole or not at all; several processes may."""
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)  # what a crash cut off
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def claimed(folder: Path, name: str) -> Iterator[bool]:
    """Whether this process alone works on it now; the claim ends with the process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def in_processes(work: Callable[..., None], arguments: tuple[Any, ...], number: int) -> int:
    """Do the work in so many processes, each on one thread; the exit code: 1 if one of them failed."""
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # for the workers, which import torch
    workers = [get_context("spawn").Process(target=work, args=arguments) for _ in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return int(any(worker.exitcode for worker in workers))
