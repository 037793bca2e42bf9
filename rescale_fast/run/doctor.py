"""`rescale-fast doctor`: what is installed, what works here, and what to do about what does not.

Every check tries the thing itself (decodes a JPEG, reads a beton, runs a network) rather than looking up versions.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rescale_fast.cache import cache_folder
from rescale_fast.errors import RescaleError
from rescale_fast.extras import MissingPackageError
from rescale_fast.settings import Settings
from rescale_fast.terminal import show

Verdict = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """What a check found; `advice` says what to do when it is not ok."""

    verdict: Verdict
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """One thing to look at. `needed`: "always", "never", or "if there": an extra brings it, and then it must work."""

    name: str
    look: Callable[[], Finding]
    advice: str
    needed: Literal["always", "if there", "never"] = "always"


@dataclass(frozen=True)
class DoctorCommand(Settings):
    """Say what is installed, which decoders and GPUs work, and what to do about what is missing."""


def doctor(_: DoctorCommand) -> None:
    """Print a line for each check. Raises: RescaleError when something that is needed does not work."""
    lacking = []
    for check in CHECKS:
        finding = _tried(check)
        show(f"{finding.verdict:>8}  {check.name:<14}{finding.found}")
        if finding.verdict != "ok":
            show(f"{'':>24}{finding.advice or check.advice}")
            if check.needed == "always" or (check.needed == "if there" and finding.verdict == "broken"):
                lacking.append(check.name)
    if lacking:
        raise RescaleError(f"what rescale_fast needs does not work here: {', '.join(lacking)}. See above.")


def _tried(check: Check) -> Finding:
    try:
        return check.look()
    except MissingPackageError as error:
        return Finding("missing", str(error))
    except ModuleNotFoundError as error:
        return Finding("missing", f"{error.name} is not installed")
    except Exception as error:  # a library that is broken may raise anything; to say so is what this is for
        return Finding("broken", f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")


def _version(package: str) -> str:
    return metadata.version(package)


def _python() -> Finding:
    cores, visible = len(os.sched_getaffinity(0)), os.cpu_count()
    share = f"{cores} of {visible} cores" if cores != visible else f"{cores} cores"
    return Finding("ok", f"{platform.python_version()} ({sys.executable}), {share}, {platform.machine()}")


def _core() -> Finding:
    import numpy as np

    from rescale_fast import _core

    counts = _core.count_confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2, num_threads=1)
    assert counts.tolist() == [[1, 0], [1, 1]]
    return Finding("ok", f"rescale_fast {_version('rescale_fast')}, its C++ core counts")


def _torch() -> Finding:
    import torch
    import torchvision

    network = torch.nn.Conv2d(3, 4, 3)
    network(torch.zeros(1, 3, 8, 8))
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)  # missing when the two do not belong together
    return Finding("ok", f"torch {torch.__version__}, torchvision {torchvision.__version__}")


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
        return Finding("missing", f"none that torch can use; {built}")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    torch.zeros(1, device="cuda")
    return Finding("ok", f"{len(names)}: {', '.join(sorted(set(names)))}, CUDA {torch.version.cuda}")


def _decode(device: str) -> Finding:
    import nvidia.dali as dali
    import torch
    from PIL import Image

    from rescale_fast.networks.types import EvalTransform
    from rescale_fast.predictions._loader_dali import dali_batches

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.jpg"
        Image.new("RGB", (40, 30), (200, 100, 50)).save(path)
        (batch,) = dali_batches([str(path)], EvalTransform(24, 16), 1, 1, torch.device(device))
    if batch.unreadable or batch.images.shape != (1, 3, 16, 16):
        return Finding("broken", f"DALI {dali.__version__} cannot decode a JPEG")
    return Finding("ok", f"DALI {dali.__version__} decodes JPEGs on the {device.upper()}")


def _dali_gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("missing", "no GPU; images are decoded on the CPU")
    return _decode("cuda")


def _ffcv() -> Finding:
    import numpy as np
    from PIL import Image

    from rescale_fast.artifact import Origin
    from rescale_fast.export.beton import export_beton
    from rescale_fast.export.settings import ExportSettings
    from rescale_fast.image_subset.types import ImageSubset, SubsetImages
    from rescale_fast.loaders import beton_loader

    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (40, 30), (200, 100, 50)).save(Path(folder) / "x.jpg")
        one = np.zeros(1, np.int64)
        images = SubsetImages(("val",), one, ("x.jpg",), one, one)
        subset = ImageSubset(Origin({}, {}), ("a",), ("a",), images, images)
        beton = Path(folder) / "x.beton"
        export_beton(Path(folder), subset, "val", beton, ExportSettings(), Origin({}, {}))
        loader = beton_loader(beton, split="val", batch_size=1, image_size=16, device="cpu", num_workers=1)
        (batch,) = [labels.tolist() for _, labels, _ in loader]
    if batch != [0]:
        return Finding("broken", f"ffcv {_version('ffcv')} read the label {batch} where [0] was written")
    return Finding("ok", f"ffcv {_version('ffcv')} reads what rescale_fast writes")


def _imports(*packages: str) -> Callable[[], Finding]:
    def look() -> Finding:
        from importlib import import_module

        for package in packages:
            import_module(package)
        return Finding("ok", ", ".join(f"{package} {_version(package)}" for package in packages))

    return look


def _hub() -> Finding:
    from torch import hub

    checkpoints = Path(hub.get_dir()) / "checkpoints"
    names = sorted(path.name for path in checkpoints.glob("*")) if checkpoints.is_dir() else []
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return Finding("ok", f"{checkpoints}: {shown or 'empty; weights are downloaded when they are first needed'}")


def _disk() -> Finding:
    def free(path: Path) -> str:
        while not path.exists():
            path = path.parent
        return f"{shutil.disk_usage(path).free / 2**30:,.0f} GiB free"

    return Finding("ok", f"here {free(Path.cwd())}; cache {cache_folder()} {free(cache_folder())}")


def _ranks() -> Finding:
    count = os.environ.get("WORLD_SIZE")
    return Finding("ok", f"rank {os.environ.get('RANK')} of {count}" if count else "alone (torchrun starts several)")


def _extra(name: str, why: str) -> str:
    return f"pip install 'rescale-fast[{name}]' ({why})."


_NO_GPU = "Fine if there is none. Else check nvidia-smi, the driver, and that torch is built for its CUDA version."
_DALI = _extra("validate", "or nvidia-dali-cuda120, for an older driver; the package called nvidia-dali is not it")
CHECKS: tuple[Check, ...] = (
    Check("Python", _python, "Python 3.11 or newer is needed."),
    Check("core", _core, "Build it: bash scripts/setup.sh, or pip install . in the source folder."),
    Check("torch", _torch, _extra("validate", "torch and torchvision belong together, from one index"), "if there"),
    Check("GPU", _gpu, _NO_GPU, "never"),
    Check("DALI", lambda: _decode("cpu"), _DALI, "if there"),
    Check("DALI on GPU", _dali_gpu, _NO_GPU, "never"),
    Check("FFCV", _ffcv, _extra("train", "first libopencv-dev and libturbojpeg0-dev"), "if there"),
    Check("solver", _imports("highspy"), "pip install highspy."),
    Check("networks", _imports("timm", "safetensors"), _extra("validate", "for timm:NAME"), "if there"),
    Check("images", _imports("cleanlab", "imagehash"), _extra("images", "to find label errors"), "if there"),
    Check("plots", _imports("matplotlib", "scipy"), _extra("report", "for plots, `quality` and glyphs"), "if there"),
    Check("other formats", _imports("pyarrow", "webdataset"), "pip install pyarrow webdataset."),
    Check("weights", _hub, "Set TORCH_HOME to a folder that can be read.", "if there"),
    Check("disk", _disk, "Set XDG_CACHE_HOME to a folder that can be written."),
    Check("ranks", _ranks, "Start with torchrun."),
)
