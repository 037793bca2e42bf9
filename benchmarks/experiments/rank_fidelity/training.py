"""One training: a network, a part of the images, a number of images to see, a seed; the same again gives the same
(on a GPU nearly).

In bfloat16, on the CPU on one thread; AdamW, a warm-up of a tenth, then a cosine to nought at the end of *this*
training however short: a cheap training has its own full schedule.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.experiments.rank_fidelity.networks import Classifier, Network
from benchmarks.experiments.rank_fidelity.parts import Part
from benchmarks.experiments.rank_fidelity.pool import Pool
from rescale_fast.types import FloatArray, IntArray

BATCHES = (64, 32, 16)  # images; a cheap training takes smaller steps rather than hardly any
FEWEST_STEPS = 400
CHECKPOINTS = 4  # the last is the end
VAL_AT_CHECKPOINTS = 5  # images a class, of those that the end is judged by


@dataclass(frozen=True)
class Outcome:
    """What a training came to, on the part's V validation images in the part's order."""

    predicted: IntArray  # (V,) new labels
    probability: FloatArray  # (V,) of the true class
    checkpoints: tuple[float, ...]  # top-1 on the way, on fewer images, evenly spaced
    cpu_seconds: float


def train(network: Network, pool: Pool, part: Part, *, images_seen: int, seed: int, device: str = "cpu") -> Outcome:
    """Train on the part's images, looped through until `images_seen`, and say what becomes of its validation images."""
    start = time.process_time()
    torch.manual_seed(seed)
    net = Classifier(network, part.num_classes).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=network.rate, weight_decay=network.decay, fused=True)
    batch = batch_size(images_seen)
    steps = max(CHECKPOINTS, round(images_seen / batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(step / steps))
    rng = np.random.default_rng(seed)
    ways = iter(_looped(part.train, steps, batch, rng))
    stops = {round(steps * (i + 1) / CHECKPOINTS): i for i in range(CHECKPOINTS - 1)}
    few = part.few_val(VAL_AT_CHECKPOINTS)
    checkpoints = []
    for step in range(1, steps + 1):
        chosen = next(ways)
        images, labels = _batch(pool, part, chosen, device)
        loss = AUGMENTED[network.augment](net, images, labels, network.smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step in stops:
            checkpoints.append(_top1(net, pool, part, few, device))
    predicted, probability = _judge(net, pool, part, part.val, device)
    checkpoints.append(float(np.mean(predicted == part.labels(pool, part.val))))
    return Outcome(predicted, probability, tuple(checkpoints), time.process_time() - start)


def batch_size(images_seen: int) -> int:
    """The largest batch that leaves enough steps."""
    return next((batch for batch in BATCHES if images_seen >= FEWEST_STEPS * batch), BATCHES[-1])


def _share_of_rate(done: float) -> float:
    return min(done / 0.1, 1.0) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _looped(images: IntArray, steps: int, batch: int, rng: np.random.Generator) -> IntArray:
    """(steps, batch): all images once, in random order, then again, and so on."""
    times = math.ceil(steps * batch / len(images))
    return np.concatenate([rng.permutation(images) for _ in range(times)])[: steps * batch].reshape(steps, batch)


def _batch(pool: Pool, part: Part, chosen: IntArray, device: str) -> tuple[Tensor, Tensor]:
    labels = torch.from_numpy(part.labels(pool, chosen))
    return torch.from_numpy(pool.images[chosen]).to(device), labels.to(device)


def _logits(net: nn.Module, images: Tensor) -> Tensor:
    with torch.autocast(images.device.type, torch.bfloat16):
        logits: Tensor = net(((images.float() - 128) / 64).permute(0, 3, 1, 2))  # the view is channels-last
    return logits.float()


def _loss(net: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return nn.functional.cross_entropy(_logits(net, images), labels, label_smoothing=smoothing)


def _shifted(net: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return _loss(net, _shift(images, 2), labels, smoothing)


def _shift(images: Tensor, most: int) -> Tensor:
    count, size = images.shape[:2]
    by = torch.randint(-most, most + 1, (2, count, 1), device=images.device)
    rows, columns = (torch.arange(size, device=images.device) + by).clamp(0, size - 1)
    return images[torch.arange(count, device=images.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _cut(net: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    count, size = images.shape[:2]
    first = torch.randint(-size // 8, size, (2, count, 1), device=images.device)
    places = torch.arange(size, device=images.device)
    rows, columns = (places >= first) & (places < first + size // 4)
    hidden = rows[:, :, None] & columns[:, None, :]
    return _loss(net, images.masked_fill(hidden[..., None], 128), labels, smoothing)


def _mixed(net: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    share = float(torch.rand(())) * 0.4
    others = torch.randperm(len(images), device=images.device)
    logits = _logits(net, (1 - share) * images.float() + share * images[others].float())
    losses = [nn.functional.cross_entropy(logits, one, label_smoothing=smoothing) for one in (labels, labels[others])]
    return (1 - share) * losses[0] + share * losses[1]


AUGMENTED: Mapping[str, Callable[[nn.Module, Tensor, Tensor, float], Tensor]] = {
    "none": _loss,
    "shift": _shifted,
    "cutout": _cut,
    "mixup": _mixed,
}


def _top1(net: nn.Module, pool: Pool, part: Part, images: IntArray, device: str) -> float:
    return float(np.mean(_judge(net, pool, part, images, device)[0] == part.labels(pool, images)))


@torch.inference_mode()
def _judge(net: nn.Module, pool: Pool, part: Part, images: IntArray, device: str) -> tuple[IntArray, FloatArray]:
    net.eval()
    predicted, probability = [], []
    for chosen in np.array_split(images, math.ceil(len(images) / 500)):
        batch, labels = _batch(pool, part, chosen, device)
        chances = _logits(net, batch).softmax(1)
        predicted.append(chances.argmax(1).cpu().numpy())
        probability.append(chances.gather(1, labels[:, None])[:, 0].cpu().numpy().astype(np.float64))
    net.train()
    return np.concatenate(predicted), np.concatenate(probability)
