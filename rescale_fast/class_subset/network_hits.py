"""NetworkHits: how many images of each class each of several networks got right."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.predictions.types import Predictions
from rescale_fast.types import FloatArray, IntArray

FEWEST = 4  # networks: two to hold out, two to choose by


@dataclass(frozen=True)
class NetworkHits:
    """M networks on K classes. All outputs compete: an image is right when the true class is the first of all K, so a
    network's hits add up over classes. (When only k classes may be named, more is right; a network trained on k classes
    is another network. Neither can be known from hits.)
    """

    hits: IntArray  # (M, K) images that the network got right
    images: IntArray  # (K,) images of the class
    class_ids: tuple[str, ...]  # (K,)

    @classmethod
    def of(cls, predictions: Iterable[Predictions]) -> Self:
        """Count hits; the predictions are taken one after another, and must be of the same images (several.py).

        Raises: ArtifactError when a class has no image, or all networks have the same accuracy.
        """
        hits: list[IntArray] = []
        images, class_ids = np.zeros(0, np.int64), tuple[str, ...]()
        for one in predictions:
            class_ids = one.class_ids
            right = one.labels[one.predicted == one.labels]
            hits.append(np.bincount(right, minlength=len(class_ids)))
            images = np.bincount(one.labels, minlength=len(class_ids))
        made = cls(np.array(hits, np.int64), images, class_ids)
        made._check()
        return made

    def _check(self) -> None:
        check_number(self.num_networks)
        empty = np.flatnonzero(self.images == 0)
        if len(empty):
            raise ArtifactError(
                f"class {self.class_ids[empty[0]]!r} has no predicted image ({len(empty):,} such classes), so "
                "nothing is known of how networks do on it. Choose by another --method."
            )
        if np.ptp(self.hits.sum(axis=1)) == 0:
            raise ArtifactError(
                f"all {self.num_networks} networks have the accuracy {self.accuracy()[0]:.4f}, so there is no order to "
                "keep. Give predictions of networks that differ."
            )

    @property
    def num_networks(self) -> int:
        return len(self.hits)

    def accuracy(self, classes: IntArray | None = None) -> FloatArray:
        """(M,) top-1, 0..1, on images of these classes, or of all."""
        hits, images = (self.hits, self.images) if classes is None else (self.hits[:, classes], self.images[classes])
        shares: FloatArray = hits.sum(axis=1) / images.sum()
        return shares

    def some(self, networks: "IntArray | np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Self:
        """The same of some of the networks: their places, or which."""
        return replace(self, hits=self.hits[networks])


def check_number(networks: int) -> None:
    """Raise SettingError for fewer networks than `rank-fidelity` can do with."""
    if networks < FEWEST:
        raise SettingError(
            f"--method rank-fidelity: looks at predictions of at least {FEWEST} networks, here are {networks}. Pass "
            "--predictions A B C D ..., those of each network; a dozen that differ tell far more."
        )
