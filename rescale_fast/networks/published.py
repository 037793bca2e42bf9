"""The classes that published weights tell apart, and which of their outputs a data set needs."""

from dataclasses import dataclass

from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.datasets.types import Dataset


@dataclass(frozen=True)
class PublishedOutputs:
    """Where a data set's classes are among the outputs of published weights."""

    kind: str  # "imagenet" or "places365"
    num_outputs: int  # 1,000 or 365
    chosen: tuple[int, ...]  # (K,) the output of each class

    @property
    def are_all(self) -> bool:
        """Whether these are all outputs, in their order."""
        return self.chosen == tuple(range(self.num_outputs))

    def __str__(self) -> str:
        return f"{len(self.chosen):,} of {self.num_outputs:,}"


def published_outputs(dataset: Dataset) -> PublishedOutputs | None:
    """Where classes are in ImageNet-1k or Places365, for a data set of that kind, or a folder of such names only."""
    published = {"imagenet": tuple(imagenet_classes()), "places365": places365_classes()}
    for kind, class_ids in published.items():
        outputs = {class_id: output for output, class_id in enumerate(class_ids)}
        if dataset.kind in (kind, "folder") and outputs.keys() >= set(dataset.class_ids):
            return PublishedOutputs(kind, len(class_ids), tuple(outputs[class_id] for class_id in dataset.class_ids))
    return None
