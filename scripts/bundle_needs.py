"""Which packages go into a bundle: those that pip would install, less those that the other machine has.

Reads report.json, what `pip install --dry-run --report` found; writes wheels.txt and sources.txt, the packages to
download and those to build, a name and version a line. scripts/bundle.sh calls it.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

IN_PLACE_OF = {"opencv-python": "opencv-python-headless"}  # the same module, without windows and what these link to


def needed(
    report: Mapping[str, Any], wanted: Sequence[str], without: Sequence[str]
) -> dict[NormalizedName, Mapping[str, Any]]:
    """What `wanted` needs, directly or not, when nothing of `without` (patterns of names) and what it needs counts.

    Returns: pip's entry for each package, by name. Raises: ValueError for an extra or a pattern that names nothing.
    """
    entries = {canonicalize_name(entry["metadata"]["name"]): entry for entry in report["install"]}
    patterns = [canonicalize_name(pattern) for pattern in without]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in entries):
            raise ValueError(
                f"--without {pattern}: no such package is needed. Needed are {', '.join(sorted(entries))}."
            )
    reached: dict[NormalizedName, Mapping[str, Any]] = {}
    waiting, seen = [Requirement(one) for one in wanted], set()
    for requirement in waiting:
        name = canonicalize_name(IN_PLACE_OF.get(requirement.name, requirement.name))
        for extra in sorted({"", *requirement.extras}):
            if (name, extra) in seen or any(fnmatch(name, pattern) for pattern in patterns):
                continue
            seen.add((name, extra))
            reached[name] = entries[name]
            waiting += _needs(entries[name]["metadata"], extra, report["environment"])
    return reached


def _needs(metadata: Mapping[str, Any], extra: str, environment: Mapping[str, str]) -> list[Requirement]:
    known = metadata.get("provides_extra", [])
    if extra and canonicalize_name(extra) not in map(canonicalize_name, known):
        raise ValueError(f"{metadata['name']} has no extra {extra}. It has {', '.join(known)}.")
    needs = map(Requirement, metadata.get("requires_dist", []))
    return [one for one in needs if one.marker is None or one.marker.evaluate({**environment, "extra": extra})]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wanted", required=True)
    parser.add_argument("--without", default="")
    asked = parser.parse_args()
    report = json.loads((asked.folder / "report.json").read_text())
    without = [pattern.strip() for pattern in asked.without.split(",") if pattern.strip()]
    try:
        entries = needed(report, [asked.wanted, "pip"], without)
    except ValueError as error:
        sys.exit(f"bundle: {error}")
    lines: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(entries.keys() - {"rescale-fast"}):
        entry = entries[name]
        lines[entry["download_info"]["url"].endswith(".whl")].append(f"{name}=={entry['metadata']['version']}\n")
    (asked.folder / "wheels.txt").write_text("".join(lines[True]))
    (asked.folder / "sources.txt").write_text("".join(lines[False]))


if __name__ == "__main__":
    main()
