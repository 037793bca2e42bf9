"""The classes of ImageNet-1k and Places365 as they were published: tables, in the order of labels."""

import csv
from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> dict[str, str]:
    """wnid -> name for people, in label order (sorted wnids). Names as torchvision's weights list them."""
    return dict(csv.reader(_table("imagenet_classes.csv").splitlines()[1:]))


@cache
def devkit_order() -> tuple[str, ...]:
    """(1000,) wnids in the order of ILSVRC 2012's devkit, whose ids begin with 1 (map_clsloc.txt of ILSVRC)."""
    return tuple(_table("imagenet_devkit_order.txt").split())


@cache
def places365_classes() -> tuple[str, ...]:
    """The 365 class ids, in label order."""
    return tuple(_table("places365_classes.txt").split())


def _table(name: str) -> str:
    return files("rescale_fast.datasets").joinpath(name).read_text(encoding="utf-8")
