"""A choice is a file, choices/<condition>.json: which classes, under which labels, and, if not all, which images.

So a further condition is a further file, whoever made it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.experiments.rank_fidelity.parts import Part
from benchmarks.experiments.rank_fidelity.pool import Pool
from rescale_fast.artifact import write_whole


@dataclass(frozen=True)
class Choice:
    """What a condition trains on."""

    groups: Sequence[Sequence[int]]  # the classes of each new label: one each, or several for coarse classes
    train: Sequence[int] | None = None  # pool indices; None for all training images of those classes
    how: str = ""  # for people

    def part(self, pool: Pool) -> Part:
        """Its images."""
        label_of = np.full(pool.settings.classes, -1)
        for label, group in enumerate(self.groups):
            label_of[list(group)] = label
        classes = np.flatnonzero(label_of >= 0)
        train = pool.train[classes].ravel() if self.train is None else np.array(self.train)
        return Part(train, pool.val[classes].ravel(), label_of)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values: dict[str, object] = {"how": self.how, "groups": [list(group) for group in self.groups]}
        if self.train is not None:
            values["train"] = list(self.train)
        with write_whole(path) as temporary:
            temporary.write_text(json.dumps(values) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Choice":
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(values["groups"], values.get("train"), values["how"])


def of_classes(classes: Sequence[int], how: str) -> Choice:
    """Some classes, each its own label."""
    return Choice([[int(one)] for one in sorted(classes)], how=how)
