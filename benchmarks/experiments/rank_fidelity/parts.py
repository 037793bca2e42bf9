"""Part: which images are trained on and judged by, and what their classes are called then."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from benchmarks.experiments.rank_fidelity.pool import Pool
from rescale_fast.types import IntArray


@dataclass(frozen=True)
class Part:
    """A part of the pool."""

    train: IntArray  # indices into the pool
    val: IntArray  # indices into the pool; of each class the same number, class after class
    label_of: IntArray  # (K,) new label of each class; -1 for those that are not there

    @classmethod
    def all(cls, pool: Pool) -> Self:
        """Everything."""
        return cls(pool.train.ravel(), pool.val.ravel(), np.arange(pool.settings.classes))

    @classmethod
    def half(cls, pool: Pool, second: bool) -> Self:
        """Half of the training images, judged by the other half."""
        halves = pool.train[:, ::2].ravel(), pool.train[:, 1::2].ravel()
        return cls(halves[second], halves[not second], np.arange(pool.settings.classes))

    @property
    def num_classes(self) -> int:
        """Of new labels."""
        return int(self.label_of.max()) + 1

    def few_val(self, each: int) -> IntArray:
        """Some validation images, as many of each of the original classes."""
        classes = int((self.label_of >= 0).sum())
        return self.val.reshape(classes, -1)[:, :each].ravel()

    def labels(self, pool: Pool, images: IntArray) -> IntArray:
        """New labels of images."""
        return self.label_of[pool.classes[images]]
