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
    """One thing to look at. `needed`: without it `run` does not work."""

    name: str
    look: Callable[[], Finding]
    advice: str
    needed: bool = True


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
            lacking += [check.name] if check.needed else []
    if lacking:
        raise RescaleError(f"what rescale_fast needs does not work here: {', '.join(lacking)}. See above.")


def _tried(check: Check) -> Finding:
    try:
        return check.look()
    except ModuleNotFoundError as error:
        return Finding("missing", f"not installed ({error.name})")
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


_NO_GPU = "Fine if there is none. Else check nvidia-smi, the driver, and that torch is built for its CUDA version."
_DALI = "pip install nvidia-dali-cuda130 (or -cuda120). The package called nvidia-dali is not it."
CHECKS: tuple[Check, ...] = (
    Check("Python", _python, "Python 3.11 or newer is needed."),
    Check("core", _core, "Build it: bash scripts/setup.sh, or pip install . in the source folder."),
    Check("torch", _torch, "Install torch and torchvision together, from one index: pip install -U torch torchvision."),
    Check("GPU", _gpu, _NO_GPU, needed=False),
    Check("DALI", lambda: _decode("cpu"), _DALI),
    Check("DALI on GPU", _dali_gpu, _NO_GPU, needed=False),
    Check("FFCV", _ffcv, "Install libopencv-dev and libturbojpeg0-dev, then pip install --no-build-isolation ffcv."),
    Check("solver", _imports("highspy"), "pip install highspy: --effort prove needs it."),
    Check("networks", _imports("timm", "safetensors"), "pip install timm safetensors: timm:NAME needs them."),
    Check("other formats", _imports("pyarrow", "webdataset"), "pip install pyarrow webdataset."),
    Check("weights", _hub, "Set TORCH_HOME to a folder that can be read."),
    Check("disk", _disk, "Set XDG_CACHE_HOME to a folder that can be written."),
    Check("ranks", _ranks, "Start with torchrun."),
)
