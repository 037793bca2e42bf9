"""Validation: a pre-trained network looks at every validation image, and every outcome is kept.

Reads the val split of a Dataset; makes Predictions, in parquet parts of 1,024 consecutive images ("chunks"). DALI
decodes and resizes (on the GPU where there is one), torch runs the network. Batches never cross a chunk, so a result
does not depend on where a run was interrupted, nor on how many ranks shared it.
Measured: benchmarks/results/predictions.csv, by benchmarks/bench_predictions.py.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rescale_fast.artifact import Origin
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import ArtifactError, DatasetError
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.chunks import chunk_images, part_path, pending_chunks, remove_others
from rescale_fast.predictions.losses import check_losses, stop_at_losses
from rescale_fast.predictions.quiet import quiet_libraries
from rescale_fast.predictions.settings import Loader, ValidateSettings
from rescale_fast.predictions.types import Predictions, Skipped
from rescale_fast.ranks import Meeting, Ranks
from rescale_fast.settings import Registry
from rescale_fast.types import JSON, Advance, IntArray, Track, silent

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rescale_fast.networks.types import EvalTransform
    from rescale_fast.predictions._loader_torchvision import LoadedBatch
    from rescale_fast.predictions._runner import Outcome

    Batches = Callable[[Sequence[str], EvalTransform, int, int, torch.device], Iterator[LoadedBatch]]


def validate(
    dataset: Dataset,
    network: "nn.Module",
    transform: "EvalTransform",
    settings: ValidateSettings,
    folder: Path,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    ranks: Ranks | None = None,
    track: Track = silent,
    tell: Callable[[str], None] | None = None,
) -> Predictions:
    """Predict every validation image that has no finished part yet; return all predictions.

    Args, Raises: as `predict`; and DatasetError when too few images could be read.
    """
    predict(dataset, network, transform, settings, folder, origin, machine=machine, ranks=ranks, track=track, tell=tell)
    predictions = Predictions.load(folder)
    _check_complete(predictions, dataset.splits["val"], dataset.root)
    check_losses(predictions, settings, folder)
    return predictions


def predict(
    dataset: Dataset,
    network: "nn.Module",
    transform: "EvalTransform",
    settings: ValidateSettings,
    folder: Path,
    origin: Origin,
    *,
    machine: MachineSettings = MachineSettings(),
    ranks: Ranks | None = None,
    track: Track = silent,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Make the parts that are not there yet. Ranks share them, and return when all have finished theirs.

    Args:
        network: in evaluation mode. transform: how it wants its images.
        folder: of the parts; finished ones of the same origin are kept. ranks: by default those of torchrun.
        tell: called by rank 0, with a line about images that DALI did not read, if there are any.
    Raises: SettingError for a GPU that is not there; DatasetError for a file that the operating system does not give,
        and as soon as more images than `max_unreadable` allows cannot be read; RescaleError for a DALI that does not
        work.
    """
    device = machine.torch_device()
    batch_size = settings.batch_size or (256 if device.type == "cuda" else 64)
    images = dataset.splits["val"]
    meeting = Meeting("validate", ranks)

    def prepare() -> JSON:
        pending = pending_chunks(len(images), folder, origin)
        remove_others(folder, pending, len(images))
        return list(pending)

    if device.type == "cpu" and meeting.ranks.count > 1:
        import torch

        torch.set_num_threads(machine.threads)  # torchrun leaves each rank one
    pending: list[int] = meeting.agree("pending", prepare)  # type: ignore[assignment]
    with (
        quiet_libraries() if settings.loader == "dali" else nullcontext(),
        (track if meeting.ranks.is_first else silent)("Validating", total=len(images)) as advance,
    ):
        progress = _Progress(meeting, advance, len(images) - _images_of(pending, len(images)).size)
        mine = pending[meeting.ranks.rank :: meeting.ranks.count]
        if mine:
            positions = _images_of(mine, len(images))
            paths = [str(dataset.root / images.paths[i]) for i in positions]
            batches = load_batches(paths, transform, settings.loader, batch_size, machine.threads, device)
            outcomes = run_network(network, dataset.num_classes, device, batches, images.labels[positions])
            watched = stop_at_losses(progress.watch(outcomes), settings.allowed_unreadable(len(images)), paths, folder)
            _write_parts(watched, dataset, mine, folder, origin)
        meeting.wait_for_all("done", meanwhile=progress.show)
        if tell and meeting.ranks.is_first and (text := progress.of_readers()):
            tell(text)


def load_batches(
    paths: Sequence[str],
    transform: "EvalTransform",
    loader: Loader,
    batch_size: int,
    num_threads: int,
    device: "torch.device",
) -> "Iterator[LoadedBatch]":
    """Read all paths in order, each exactly once, whole batches as long as there are so many."""
    return LOADERS[loader]()(paths, transform, batch_size, num_threads, device)


def _through_dali() -> "Batches":
    from rescale_fast.predictions._loader_dali import dali_batches

    return dali_batches


def _through_torchvision() -> "Batches":
    from rescale_fast.predictions._loader_torchvision import torchvision_batches

    return torchvision_batches


LOADERS: "Registry[Callable[[], Batches]]" = Registry({"dali": _through_dali, "torchvision": _through_torchvision})


def run_network(
    network: "nn.Module",
    num_classes: int,
    device: "torch.device",
    batches: "Iterator[LoadedBatch]",
    labels: IntArray,
) -> "Iterator[Outcome]":
    """One outcome for each batch, in order. labels: (N,) of the whole list that the batches are of."""
    from rescale_fast.predictions._runner import Runner

    return Runner(network, num_classes, device).outcomes(batches, labels)


class _Progress:
    """Counts what all ranks have done; rank 0 shows it."""

    def __init__(self, meeting: Meeting, advance: Advance, finished: int) -> None:
        self._meeting, self._advance, self._shown = meeting, advance, 0
        if meeting.ranks.is_first:
            meeting.add("images", finished)
        self.show()

    def watch(self, outcomes: "Iterator[Outcome]") -> "Iterator[Outcome]":
        for outcome in outcomes:
            self._meeting.add("images", outcome.num_listed)
            self._meeting.add("unreadable", len(outcome.unreadable))
            self._meeting.add("left", outcome.num_left)
            self._meeting.add("refused", outcome.num_refused)
            yield outcome
            self.show()

    def show(self) -> None:
        if self._meeting.ranks.is_first:
            done, unreadable, by_pil = self._sum("images"), self._sum("unreadable"), self._sum("left", "refused")
            notes = [f"{unreadable:,} unreadable"] * (unreadable > 0) + [f"{by_pil:,} left to PIL"] * (by_pil > 0)
            self._advance(done - self._shown, ", ".join(notes))
            self._shown = done

    def of_readers(self) -> str:
        """What DALI has not read, in words; empty when it has read everything."""
        left, refused = self._sum("left"), self._sum("refused")
        if not left + refused:
            return ""
        return (
            f"{left + refused:,} images were left to PIL, which is slower: {left:,} because of what they are (no plain "
            f"8-bit JPEG or PNG, cut off, or very large), {refused:,} because DALI refused them"
        )

    def _sum(self, *names: str) -> int:
        return sum(self._meeting.add(name, 0) for name in names)


def _write_parts(
    outcomes: "Iterator[Outcome]", dataset: Dataset, chunks: list[int], folder: Path, origin: Origin
) -> None:
    first = 0  # position of the chunk's first image in the list that was read
    for chunk in chunks:
        indices = chunk_images(chunk, len(dataset.splits["val"]))
        of_chunk: list[Outcome] = []
        while sum(outcome.num_listed for outcome in of_chunk) < len(indices):
            of_chunk.append(next(outcomes))
        _make_part(of_chunk, dataset, indices, first, origin).save(part_path(folder, chunk))
        first += len(indices)


def _make_part(
    outcomes: "list[Outcome]", dataset: Dataset, indices: IntArray, first: int, origin: Origin
) -> Predictions:
    """indices: (n,) of the chunk's images in the val list. first: where they begin in the list that was read."""
    images = dataset.splits["val"]
    read = indices[np.array([p - first for outcome in outcomes for p in outcome.positions], np.int64)]
    unreadable = [(int(indices[p - first]), reason) for outcome in outcomes for p, reason in outcome.unreadable]
    return Predictions(
        origin=origin,
        class_ids=dataset.class_ids,
        class_names=dataset.class_names,
        indices=read,
        paths=tuple(images.paths[i] for i in read),
        labels=images.labels[read].astype(np.int64),
        top_ids=np.concatenate([outcome.top_ids for outcome in outcomes]),
        top_probabilities=np.concatenate([outcome.top_probabilities for outcome in outcomes]),
        true_probability=np.concatenate([outcome.true_probability for outcome in outcomes]),
        skipped=tuple(Skipped(i, images.paths[i], int(images.labels[i]), reason) for i, reason in unreadable),
    )


def _images_of(chunks: Sequence[int], num_images: int) -> IntArray:
    return np.concatenate([np.empty(0, np.int64), *(chunk_images(chunk, num_images) for chunk in chunks)])


def _check_complete(predictions: Predictions, images: ImageList, root: Path) -> None:
    listed = len(predictions.indices) + len(predictions.skipped)
    if listed != len(images):
        raise ArtifactError(f"{root}: {len(images):,} images were listed, but {listed:,} are accounted for.")
    if not len(predictions.indices):
        first = predictions.skipped[0]
        raise DatasetError(
            f"{root}: not one of {len(images):,} validation images could be read. First: {first.path}: {first.reason}"
        )
