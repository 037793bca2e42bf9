"""Run by test_beton_mutants.py in a process of its own: forged tables, and what checking and editing makes of them.

    python -m tests.beton_mutants FOLDER SEED COUNT

Each mutant has one to three values of its header, fields, records or allocation table changed. Every command must
take it or refuse it with a message that names it, within 500 MiB more memory than at the start and 10 CPU-seconds.
"""

import collections
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from rescale_fast.beton.check import check_beton, find_bad_images
from rescale_fast.beton.edit import (
    append_beton,
    cut_beton,
    cut_classes,
    drop_samples,
    group_classes,
    merge_betons,
    relabel_beton,
)
from rescale_fast.errors import RescaleError
from tests import foreign_beton

COUNT = 6  # samples
EDGES = [0, 1, 2, 255, *(edge + by for edge in (1 << 16, 1 << 31, 1 << 32, 1 << 60, 1 << 63) for by in (-1, 0)), -1]
FIELDS_AT = foreign_beton.HEADER.size
RECORDS_AT = FIELDS_AT + len(foreign_beton.descriptors())


def regions(content):
    """(start, end) of what is mutated: header, types and names and arguments of fields, records, table."""
    fields = [FIELDS_AT + foreign_beton.DESCRIPTOR.size * i for i in range(len(foreign_beton.FIELDS))]
    return [
        (0, FIELDS_AT),
        *((at, at + 17) for at in fields),
        (fields[3] + 17, fields[3] + 17 + 280),
        *[(RECORDS_AT, RECORDS_AT + foreign_beton.RECORD.size * COUNT)] * 4,
        (len(content) - foreign_beton.ALLOCATION.size * 3 * COUNT, len(content)),
    ]


def mutant(content, rng):
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        low, high = regions(content)[rng.integers(len(regions(content)))]
        at = int(rng.integers(low, high))
        width = int(rng.choice([1, 2, 4, 8]))
        value = int.from_bytes(changed[at : at + width], "little")
        value = (EDGES[rng.integers(len(EDGES))], value ^ 1 << int(rng.integers(8 * width)), value + 1)[rng.integers(3)]
        changed[at : at + width] = (value % 256**width).to_bytes(width, "little")
    if rng.random() < 0.05:
        return bytes(changed[: rng.integers(len(changed))])
    return bytes(changed)


def commands(mutated, sound, target):
    labels = np.arange(COUNT) % 2
    return {
        "check": lambda: check_beton(mutated),
        "decode": lambda: find_bad_images(mutated, num_threads=1),
        "cut": lambda: cut_beton(mutated, target, np.arange(COUNT)),
        "drop": lambda: drop_samples(mutated, target, np.array([1])),
        "classes": lambda: cut_classes(mutated, target, ["0"]),
        "group": lambda: group_classes(mutated, target, {"0": "a", "1": "a"}),
        "merge": lambda: merge_betons([sound, mutated], target),
        "append": lambda: append_beton(target, [mutated]),
        "relabel": lambda: relabel_beton(mutated, target, labels),
    }


def limit_memory(mebibytes):
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (mebibytes << 20),) * 2)


def main(folder, seed, count):
    rng, content, tally = np.random.default_rng(seed), foreign_beton.beton(COUNT), collections.Counter()
    mutated, sound, target = folder / "mutated.beton", folder / "sound.beton", folder / "target.beton"
    sound.write_bytes(content)
    limit_memory(500)
    for _ in range(count):
        mutated.write_bytes(mutant(content, rng))
        for name, command in commands(mutated, sound, target).items():
            target.with_suffix(".json").unlink(missing_ok=True)
            if name == "append":
                target.write_bytes(content)
            start = time.process_time()
            try:
                command()
                tally[name] += 1
            except RescaleError as error:
                assert ".beton" in str(error), error
            seconds = time.process_time() - start
            assert seconds < 10, f"{name} took {seconds:.0f} s"
    print(json.dumps(tally))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
