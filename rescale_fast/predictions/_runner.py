"""A network on a device, asked for the top classes of each batch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rescale_fast.predictions._loader_torchvision import LoadedBatch
from rescale_fast.predictions.types import TOP
from rescale_fast.types import Float32Array, IntArray


@dataclass(frozen=True)
class Outcome:
    """What became of consecutive images of the list that was asked for: read ones in order, then the others."""

    positions: tuple[int, ...]  # (B,) in that list
    top_ids: IntArray  # (B, T) best first
    top_probabilities: Float32Array  # (B, T)
    true_probability: Float32Array  # (B,)
    unreadable: tuple[tuple[int, str], ...]  # (position, reason)
    num_left: int  # that DALI was not given, by their headers
    num_refused: int  # that DALI was given, and refused

    @property
    def num_listed(self) -> int:
        return len(self.positions) + len(self.unreadable)


@dataclass(frozen=True)
class _Started:
    """A batch whose results may still be on their way from the GPU."""

    batch: LoadedBatch
    results: tuple[torch.Tensor, torch.Tensor, torch.Tensor]

    def finish(self) -> Outcome:
        ids, top, true = (result.cpu().numpy() for result in self.results)
        batch = self.batch
        return Outcome(
            batch.positions, ids.astype(np.int64), top, true, batch.unreadable, batch.num_left, batch.num_refused
        )


class Runner:
    """Runs a network over batches: bfloat16 autocast on a GPU, channels-last, no gradients."""

    def __init__(self, network: nn.Module, num_classes: int, device: torch.device) -> None:
        self._device = device
        self._top = min(TOP, num_classes)
        self._network = network.to(device).to(memory_format=torch.channels_last)

    def outcomes(self, batches: Iterator[LoadedBatch], labels: IntArray) -> Iterator[Outcome]:
        """One outcome for each batch, in order. labels: (N,) of the whole list.

        The next batch is given to the GPU before the results of the last are waited for, so that it never idles.
        """
        last: _Started | None = None
        for batch in batches:
            started = _Started(batch, self._start(batch, labels))
            if last is not None:
                yield last.finish()
            last = started
        if last is not None:
            yield last.finish()

    def _start(self, batch: LoadedBatch, labels: IntArray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not batch.positions:
            return torch.zeros(0, self._top, dtype=torch.int64), torch.zeros(0, self._top), torch.zeros(0)
        true = torch.from_numpy(labels[list(batch.positions)].astype(np.int64)).to(self._device)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"),
        ):
            logits = self._network(batch.images)
            probabilities = logits.float().softmax(1)
            top, ids = probabilities.topk(self._top, dim=1)
            return ids, top, probabilities.gather(1, true[:, None])[:, 0]
