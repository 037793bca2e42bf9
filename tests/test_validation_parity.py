"""DALI against torchvision's transform on PIL images: the same pixels and decisions, over 2,000 photographs."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions._loader_torchvision import decode_each
from rescale_fast.predictions.encoded import read_encoded
from rescale_fast.predictions.validate import load_batches

SIZES = [(500, 375)] * 4 + [
    (375, 500),
    (500, 333),
    (333, 500),
    (400, 300),
    (301, 256),
    (256, 256),
    (257, 391),
    (640, 427),
]
BARE = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees": neither PIL nor ImageFolder does
    return exif


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Windows of one large picture of smooth colours, edges and grain, each with a contrast of its own."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 256, (45, 60, 3), dtype=np.uint8))
    picture = np.asarray(coarse.resize((1800, 1350), Image.Resampling.BICUBIC)).astype(np.float32)
    for _ in range(400):
        top, left = rng.integers(0, 1300), rng.integers(0, 1750)
        picture[top : top + rng.integers(5, 200), left : left + rng.integers(5, 200)] *= rng.uniform(0.3, 1.2)
    picture += rng.normal(0, 10, picture.shape)
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for i in range(2000):
        width, height = SIZES[i % len(SIZES)]
        top, left = rng.integers(0, 1350 - height), rng.integers(0, 1800 - width)
        window = picture[top : top + height, left : left + width] * rng.uniform(0.6, 1.1) + rng.uniform(-20, 40)
        image = Image.fromarray(window.clip(0, 255).astype(np.uint8)).convert("L" if i % 31 == 5 else "RGB")
        extra = {"exif": rotated()} if i % 37 == 3 else {}
        paths.append(folder / f"{i:04d}.jpg")
        image.save(paths[-1], quality=int(rng.integers(70, 97)), progressive=i % 29 == 1, **extra)
    return [str(path) for path in paths]


def pairs(paths, transform):
    """Batches of DALI's beside batches of torchvision's."""
    both = [load_batches(paths, transform, loader, 64, 2, torch.device("cpu")) for loader in ("dali", "torchvision")]
    return zip(*both, strict=True)


def test_pixels_and_decisions_over_two_thousand_photographs(photographs):
    """The network is one whose decisions are spread over all of its 100 classes: each looks at colours in 49 places."""
    transform = EvalTransform(256, 224, **BARE)
    torch.manual_seed(0)
    look = torch.nn.Linear(3 * 7 * 7, 100, bias=False)
    largest, total, alike, seen = 0.0, 0.0, 0, 0
    decisions = set()
    for ours, reference in pairs(photographs, transform):
        assert ours.positions == reference.positions
        assert ours.num_left == ours.num_refused == 0
        difference = 255 * (ours.images - reference.images).abs()
        largest = max(largest, float(difference.max()))
        total += float(difference.mean()) * len(ours.positions)
        with torch.inference_mode():
            places = [torch.nn.functional.adaptive_avg_pool2d(b.images, 7) for b in (ours, reference)]
            chosen = [look((p - p.mean((2, 3), keepdim=True)).flatten(1)).argmax(1) for p in places]
        alike += int((chosen[0] == chosen[1]).sum())
        decisions |= set(chosen[0].tolist())
        seen += len(ours.positions)
    assert seen == 2000
    assert len(decisions) > 60
    assert largest < 1.01  # grey levels
    assert total / seen < 0.2
    assert alike / seen >= 0.999


@pytest.mark.parametrize(
    ("transform", "largest"),
    [
        (EvalTransform(232, 224, **BARE), 1.01),
        (EvalTransform(224, 224, **BARE), 1.01),
        (EvalTransform(224, 224, squash=True, **BARE), 1.01),
        (EvalTransform(96, 64, **BARE), 1.01),
        (EvalTransform(342, 299, **BARE), 1.01),
        (EvalTransform(224, 224, "bicubic", **BARE), 2.01),
        (EvalTransform(224, 224, "bicubic", squash=True, **BARE), 2.01),
        (EvalTransform(256, 224, "bicubic", **BARE), 2.01),
        (EvalTransform(235, 224, "bicubic", **BARE), 2.01),
    ],
)
def test_pixels_of_other_networks_transforms(photographs, transform, largest):
    """Where the crop reaches the image's edge, outermost pixels differ more: DALI repeats the edge, PIL does not."""
    paths = photographs[:48]
    reference = decode_each(read_encoded(paths), range(48), transform, 2).images
    for ours in load_batches(paths, transform, "dali", 64, 2, torch.device("cpu")):
        difference = 255 * (ours.images - reference).abs()
        assert difference[:, :, 1:-1, 1:-1].max() < largest
        assert difference.mean() < 0.2


def hard_edges(rng, width, height):
    """Black and white boxes under grain: bicubic filters overshoot at every edge."""
    pixels = np.full((height, width, 3), 128.0)
    for _ in range(60):
        top, left = rng.integers(0, height), rng.integers(0, width)
        pixels[top : top + rng.integers(2, 80), left : left + rng.integers(2, 80)] = rng.choice([0, 20, 240, 255], 3)
    return Image.fromarray((pixels + rng.normal(0, 5, pixels.shape)).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_at_hard_edges_whatever_the_shape(tmp_path, interpolation):
    """Tall, wide, smaller than the crop, large: Pillow resizes some of them downwards first, and rounds in between."""
    rng = np.random.default_rng(11)
    sizes = [(500, 375), (300, 700), (700, 300), (60, 45), (45, 60), (1500, 1000), (120, 900), (341, 256), (224, 500)]
    transform = EvalTransform(256, 224, interpolation, **BARE)
    for i, size in enumerate(sizes):
        hard_edges(rng, *size).save(tmp_path / f"{i}.png")
    paths = [str(tmp_path / f"{i}.png") for i in range(len(sizes))]
    reference = torchvision_pixels(paths, transform)
    (ours,) = load_batches(paths, transform, "dali", 64, 2, torch.device("cpu"))
    assert ours.num_left == ours.num_refused == 0
    difference = 255 * (ours.images - reference).abs()
    assert difference.max() < 2.01
    assert difference.mean() < (0.2 if interpolation == "bilinear" else 0.01)


def torchvision_pixels(paths, transform):
    """By torchvision alone; nothing of ours."""
    steps = [
        transforms.Resize(transform.resize, transforms.InterpolationMode(transform.interpolation)),
        transforms.CenterCrop(transform.crop),
        transforms.ToTensor(),
        transforms.Normalize(transform.mean, transform.std),
    ]
    return torch.stack([transforms.Compose(steps)(Image.open(path).convert("RGB")) for path in paths])
