"""Validation: a pre-trained network looks at every validation image, and every outcome is kept.

Reads the val split of a Dataset; makes Predictions, in parquet parts of 1,024 consecutive images. DALI decodes
and resizes (on the GPU where there is one), torch runs the network (bfloat16 autocast and channels-last on a GPU).
Batches never cross a part, so a result does not depend on where a run was interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import ArtifactError, DatasetError, SettingError
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.settings import CHUNK_SIZE, ValidateSettings
from rescale_fast.predictions.types import TOP, Predictions, Skipped
from rescale_fast.types import IntArray, Track, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rescale_fast.networks.types import EvalTransform
    from rescale_fast.predictions._loader_torchvision import LoadedBatch


def pending_chunks(num_images: int, folder: Path, origin: Origin) -> list[int]:
    """The chunks that have no finished part of the same origin in `folder`."""
    return [chunk for chunk in range(-(-num_images // CHUNK_SIZE)) if not _is_made(part_path(folder, chunk), origin)]


def _is_made(part: Path, origin: Origin) -> bool:
    try:
        return Predictions.load(part).origin.same_as(origin)
    except ArtifactError:  # absent, damaged, or of another version
        return False


def is_finished(num_images: int, folder: Path, origin: Origin) -> bool:
    """Whether every chunk has a finished part of the same origin."""
    return not pending_chunks(num_images, folder, origin)


def part_path(folder: Path, chunk: int) -> Path:
    return folder / f"part-{chunk:06d}.parquet"


def validate(
    dataset: Dataset,
    network: "nn.Module",
    transform: "EvalTransform",
    settings: ValidateSettings,
    folder: Path,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    track: Track = silent,
) -> Predictions:
    """Predict every validation image that has no finished part yet; return all predictions.

    Args:
        network: in evaluation mode. transform: how it wants its images.
        folder: of the parts; finished ones of the same origin are kept.
    Raises: SettingError for a batch size that does not divide a part, or a GPU that is not there;
        DatasetError when not one image could be read.
    """
    if settings.batch_size < 1 or CHUNK_SIZE % settings.batch_size:
        raise SettingError(f"--batch-size {settings.batch_size}: expected a divisor of {CHUNK_SIZE:,}, such as 64.")
    images = dataset.splits["val"]
    pending = pending_chunks(len(images), folder, origin)
    if pending:
        for chunk in pending:  # of other settings, or damaged: never to be taken for finished ones
            part_path(folder, chunk).unlink(missing_ok=True)
        positions = np.concatenate([_chunk_images(chunk, len(images)) for chunk in pending])
        runner = _Runner(network, dataset.num_classes, machine.torch_device())
        with track("Validating", total=len(images)) as advance:
            advance(len(images) - len(positions))
            paths = [dataset.root / images.paths[i] for i in positions]
            rows = _rows(runner, load_batches(paths, transform, settings, machine), advance)
            _write_parts(rows, dataset, positions, pending, folder, origin)
    remove_stale_parts(folder, len(images))
    predictions = Predictions.load(folder)
    _check_complete(predictions, images, dataset.root)
    return predictions


def load_batches(
    paths: Sequence[Path], transform: "EvalTransform", settings: ValidateSettings, machine: MachineSettings
) -> "Iterator[LoadedBatch]":
    """Read images with the loader that the settings name."""
    from rescale_fast.predictions._loader_torchvision import torchvision_batches

    if settings.loader == "torchvision":
        return torchvision_batches(paths, transform, settings.batch_size, machine.threads, machine.torch_device())
    from rescale_fast.predictions._loader_dali import dali_batches

    return dali_batches(paths, transform, settings.batch_size, machine.threads, machine.torch_device())


class _Runner:
    """A network on a device, asked for the top classes of a batch."""

    def __init__(self, network: "nn.Module", num_classes: int, device: "torch.device") -> None:
        import torch

        self.device = device
        self.top = min(TOP, num_classes)
        self.network = network.to(device).to(memory_format=torch.channels_last)

    def __call__(self, images: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """(B, 3, H, W) -> probabilities (B, K), and the top (B, T) ids and probabilities, all on the CPU."""
        import torch

        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"),
        ):
            logits = self.network(images)
        probabilities = logits.float().softmax(1)
        top_probabilities, top_ids = probabilities.topk(self.top, dim=1)
        return probabilities.cpu(), top_ids.cpu(), top_probabilities.cpu()


@dataclass(frozen=True)
class _Row:
    """What became of one listed image."""

    reason: str | None = None
    top_ids: Any = None
    top_probabilities: Any = None
    probabilities: Any = None


def _rows(runner: _Runner, batches: "Iterator[LoadedBatch]", advance: Callable[[int], None]) -> Iterator[_Row]:
    """One row for each listed image, in order."""
    for batch in batches:
        rows = {position: _Row(reason=reason) for position, reason in batch.unreadable}
        if batch.positions:
            probabilities, top_ids, top_probabilities = runner(batch.images)
            for i, position in enumerate(batch.positions):
                rows[position] = _Row(None, top_ids[i].numpy(), top_probabilities[i].numpy(), probabilities[i])
        advance(batch.num_listed)
        yield from (rows[position] for position in sorted(rows))


def _write_parts(
    rows: Iterator[_Row], dataset: Dataset, positions: IntArray, chunks: list[int], folder: Path, origin: Origin
) -> None:
    images = dataset.splits["val"]
    for chunk in chunks:
        indices = _chunk_images(chunk, len(images))
        _make_part([next(rows) for _ in indices], dataset, indices, origin).save(part_path(folder, chunk))


def _make_part(rows: list[_Row], dataset: Dataset, indices: IntArray, origin: Origin) -> Predictions:
    images = dataset.splits["val"]
    good = [(int(i), row) for i, row in zip(indices, rows, strict=True) if row.reason is None]
    bad = [(int(i), row.reason) for i, row in zip(indices, rows, strict=True) if row.reason is not None]
    top = min(TOP, dataset.num_classes)
    return Predictions(
        origin=origin,
        class_ids=dataset.class_ids,
        class_names=dataset.class_names,
        indices=np.array([i for i, _ in good], np.int64),
        paths=tuple(images.paths[i] for i, _ in good),
        labels=images.labels[[i for i, _ in good]].astype(np.int64),
        top_ids=np.array([row.top_ids for _, row in good], np.int64).reshape(-1, top),
        top_probabilities=np.array([row.top_probabilities for _, row in good], np.float32).reshape(-1, top),
        true_probability=np.array([row.probabilities[images.labels[i]] for i, row in good], np.float32),
        skipped=tuple(Skipped(i, images.paths[i], int(images.labels[i]), str(reason)) for i, reason in bad),
    )


def _chunk_images(chunk: int, num_images: int) -> IntArray:
    return np.arange(chunk * CHUNK_SIZE, min((chunk + 1) * CHUNK_SIZE, num_images), dtype=np.int64)


def remove_stale_parts(folder: Path, num_images: int) -> None:
    """Remove parts beyond the last chunk: those of a longer list."""
    wanted = {part_path(folder, chunk) for chunk in range(-(-num_images // CHUNK_SIZE))}
    for path in folder.glob("part-*.parquet"):
        if path not in wanted:
            path.unlink()


def _check_complete(predictions: Predictions, images: ImageList, root: Path) -> None:
    listed = len(predictions.indices) + len(predictions.skipped)
    if listed != len(images):
        raise ArtifactError(f"{root}: {len(images):,} images were listed, but {listed:,} are accounted for.")
    if not len(predictions.indices):
        first = predictions.skipped[0]
        raise DatasetError(
            f"{root}: not one of {len(images):,} validation images could be read. First: {first.path}: {first.reason}"
        )
