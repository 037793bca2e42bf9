"""run.json: which data set a run folder belongs to, how long each stage took, and what it was made by."""

import os
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any

from rescale_fast import __version__
from rescale_fast.files.fields import Count, Means, member, typed

SCHEMA = "run/1"
_LINE: ContextVar[str] = ContextVar("line", default="")


@dataclass(frozen=True)
class Manifest:
    """run.json."""

    dataset: Annotated[Mapping[str, str], Means("name, kind and root")]
    settings: Annotated[Mapping[str, Any], Means("those of the data set")]
    timings: Annotated[
        Mapping[str, Mapping[str, Any]],
        Means("stage -> seconds, items, unit; command, version, machine"),
    ]
    readable: Annotated[str, Means("digest of the lists of which an image of each class was read")] = ""

    def check(self) -> None:
        for key in ("name", "kind", "root"):
            member(self.dataset, key, "dataset.")
        for stage, timing in self.timings.items():
            for key, kind in (("seconds", float), ("items", Count), ("unit", str)):
                typed(member(timing, key, f"timings.{stage}."), kind, f"timings.{stage}.{key}")
            for key in ("command", "version", "machine") if "command" in timing else ():
                typed(member(timing, key, f"timings.{stage}."), str, f"timings.{stage}.{key}")


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """While this lasts, stages are made by `rescale-fast` with these arguments."""
    token = _LINE.set(shlex.join(["rescale-fast", *arguments]))
    try:
        yield
    finally:
        _LINE.reset(token)


def made_by() -> dict[str, str]:
    """The command ("a Python program" where there is none), the version and the machine."""
    return {
        "command": _LINE.get() or "a Python program",
        "version": __version__,
        "machine": f"{platform.platform()}, Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores",
    }
