"""Keeps what C and C++ libraries print away from the user, and lets Python's own messages through."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what is written to file descriptor 2 directly; `sys.stderr` goes on to where that led before.

    Decoders print a nameless line for each oddity of a file (libjpeg, libpng and nvImageCodec inside DALI have no
    switch for all of them). What becomes of a file is said by its reason.
    """
    python, before = sys.stderr, os.dup(2)
    try:
        python.flush()
        if _is_descriptor_2(python):
            sys.stderr = os.fdopen(before, "w", buffering=1, errors="backslashreplace", closefd=False)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:  # in this order, so that Ctrl-C in between leaves a stream that works
        os.dup2(before, 2)
        sys.stderr = python
        os.close(before)


def _is_descriptor_2(stream: object) -> bool:
    try:
        return stream.fileno() == 2  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError, ValueError):  # a stand-in, such as a test's
        return False
