"""rescale_fast: turn a large labelled image set into a small one that is hard in the same way.

    import rescale_fast as rf

    dataset = rf.open_dataset("/data/mine")
    predictions = rf.validate(dataset, my_network, transform=224)
    classes = rf.choose_classes(rf.confusion(predictions), k=50)
    images = rf.choose_images(dataset, classes, per_class=500)
    rf.export_beton(dataset, images, "small")

The functions are the stages, in order; `rescale-fast COMMAND` makes the same, in a run folder. What they refuse is a
RescaleError (rescale_fast/errors.py), with the words of the command line: `effort` is --effort. Importing this package
is cheap: torch, DALI, FFCV and matplotlib are loaded by the stage that needs them.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rescale_fast.api.classes import choose_classes as choose_classes
    from rescale_fast.api.classes import compare as compare
    from rescale_fast.api.classes import confusion as confusion
    from rescale_fast.api.classes import group_classes as group_classes
    from rescale_fast.api.data import open_dataset as open_dataset
    from rescale_fast.api.data import validate as validate
    from rescale_fast.api.evaluating import evaluate as evaluate
    from rescale_fast.api.images import choose_images as choose_images
    from rescale_fast.api.images import export_beton as export_beton
    from rescale_fast.api.quality import quality as quality
    from rescale_fast.api.quality import resolution as resolution
    from rescale_fast.api.scoring import score_images as score_images
    from rescale_fast.api.small import downsample as downsample
    from rescale_fast.api.training import train as train
    from rescale_fast.loaders import beton_loader as beton_loader

__version__ = "0.1.0"
__all__ = [
    "beton_loader",
    "choose_classes",
    "choose_images",
    "compare",
    "confusion",
    "downsample",
    "evaluate",
    "export_beton",
    "group_classes",
    "open_dataset",
    "quality",
    "resolution",
    "score_images",
    "train",
    "validate",
]
_PLACES = {
    "open_dataset": "rescale_fast.api.data",
    "validate": "rescale_fast.api.data",
    "confusion": "rescale_fast.api.classes",
    "choose_classes": "rescale_fast.api.classes",
    "group_classes": "rescale_fast.api.classes",
    "compare": "rescale_fast.api.classes",
    "score_images": "rescale_fast.api.scoring",
    "choose_images": "rescale_fast.api.images",
    "export_beton": "rescale_fast.api.images",
    "beton_loader": "rescale_fast.loaders",
    "downsample": "rescale_fast.api.small",
    "evaluate": "rescale_fast.api.evaluating",
    "train": "rescale_fast.api.training",
    "quality": "rescale_fast.api.quality",
    "resolution": "rescale_fast.api.quality",
}


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        """Functions called as modules are (`confusion`, `train` ...) keep their names when these are imported.

        `from rescale_fast.train.loop import ...` finds modules all the same.
        """
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
