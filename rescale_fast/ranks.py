"""The processes that do a command's work together, as torchrun starts them: who is which, and what they agree on.

A process started by itself is rank 0 of 1, and nothing here waits. Ranks meet through torchrun's key-value store. Only
small facts pass between them (which work is pending, how much is done), so no process group is needed: results go
through files.
"""

import itertools
import json
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from rescale_fast.errors import RescaleError

if TYPE_CHECKING:
    from rescale_fast.types import JSON  # beside arrays of NumPy, which a page of help need not load

PATIENCE = timedelta(days=30)  # a rank that fails is noticed by torchrun, which ends the others
SECONDS_BETWEEN_LOOKS = 0.1
PREFIX = "rescale_fast"

_meetings: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)  # of each name, in this process


@dataclass(frozen=True)
class Ranks:
    """This process's place among `count` of them, `local_count` of which are on this machine."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    store: Any = None  # of torch.distributed, when there are several

    @property
    def is_first(self) -> bool:
        return self.rank == 0


@cache
def this_rank() -> Ranks:
    """This process's place, from the environment that torchrun makes; alone without one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        return Ranks()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of what it warns with stack dumps, there are errors, too
    from torch.distributed.rendezvous import rendezvous

    store, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    return Ranks(
        rank, count, int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]), join(store, rank, count)
    )


@contextmanager
def _torchrun_there() -> Iterator[None]:
    """Raises: RescaleError where torchrun, which keeps the store, has gone."""
    try:
        yield
    except RuntimeError as error:
        from torch.distributed import DistError

        if not isinstance(error, DistError):
            raise
        raise RescaleError(
            "torchrun has gone, or its machine cannot be reached. What is finished is kept: the same command goes on."
        ) from error


@_torchrun_there()
def join(store: Any, rank: int, count: int) -> Any:
    """A part of the store that belongs to these `count` processes alone, once all of them are there.

    After a restart the store still holds what the ranks before have left, and ranks of several machines cannot tell
    by any number of torchrun's how often that happened. So rank 0 draws a name for the part, and tells it to each
    rank in answer to a number which that one has drawn.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    if rank == 0:
        name, greeted, joined = uuid.uuid4().hex, set[str](), {0}
        while len(joined) < count:
            for other in set(range(count)) - joined:
                if store.check([f"{PREFIX}/number/{other}"]):
                    number = store.get(f"{PREFIX}/number/{other}").decode()
                    if number not in greeted:
                        store.set(f"{PREFIX}/name/{number}", name)
                        greeted.add(number)
                if store.check([f"{PREFIX}/{name}/{other}"]):
                    joined.add(other)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    else:
        number = uuid.uuid4().hex
        store.set(f"{PREFIX}/number/{rank}", number)
        _wait_until(lambda: bool(store.check([f"{PREFIX}/name/{number}"])))
        name = store.get(f"{PREFIX}/name/{number}").decode()
        store.set(f"{PREFIX}/{name}/{rank}", "here")
    return PrefixStore(f"{PREFIX}/{name}", store)


def _wait_until(is_true: Callable[[], bool]) -> None:
    while not is_true():  # rather than a blocking wait of the store, which Ctrl-C could not end
        time.sleep(SECONDS_BETWEEN_LOOKS)


class Meeting:
    """One piece of work that all ranks do together, in the same order as other pieces."""

    def __init__(self, name: str, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or this_rank()
        self._prefix = f"{name}/{next(_meetings[name])}"
        self._alone: defaultdict[str, int] = defaultdict(int)

    @_torchrun_there()
    def agree(self, name: str, decide: "Callable[[], JSON]") -> "JSON":
        """What rank 0 decides, on every rank."""
        store, key = self.ranks.store, f"{self._prefix}/{name}"
        if store is None:
            return decide()
        if self.ranks.is_first:
            decision = decide()
            store.set(key, json.dumps(decision))
            return decision
        _wait_until(lambda: bool(store.check([key])))
        decided: JSON = json.loads(store.get(key))
        return decided

    @contextmanager
    def first_before_others(self, name: str) -> Iterator[None]:
        """Rank 0 goes through the body first (and downloads, or makes, what the others then find)."""
        if not self.ranks.is_first:
            self.agree(name, lambda: None)
        yield
        if self.ranks.is_first:
            self.agree(name, lambda: None)

    @_torchrun_there()
    def add(self, name: str, amount: int) -> int:
        """Add to a number that all ranks share, from 0; return the sum."""
        if self.ranks.store is None:
            self._alone[name] += amount
            return self._alone[name]
        return int(self.ranks.store.add(f"{self._prefix}/{name}", amount))

    def wait_for_all(self, name: str, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Return when every rank has come here. meanwhile: done again and again until then."""

        def all_here() -> bool:
            meanwhile()
            return self.add(name, 0) >= self.ranks.count

        self.add(name, 1)
        _wait_until(all_here)
