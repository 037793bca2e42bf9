"""A thousand files, fifty of them broken in ten ways: none is lost, and none ends the run."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.validate import validate
from tests.photos import encoded, photo

ORIGIN = Origin({"dataset": "d"}, {"network": "n"})
TRANSFORM = EvalTransform(resize=40, crop=32)


def exif(turned):
    data = Image.Exif()
    data[0x0112] = turned
    return data


def readable(rng, i):
    """Every kind of file that PIL reads."""
    image = photo(rng, *[(60, 45), (45, 60), (81, 47), (40, 40), (33, 70)][i % 5])
    return [
        lambda: encoded(image),
        lambda: encoded(image, progressive=True),
        lambda: encoded(image.convert("L")),
        lambda: encoded(image.convert("CMYK")),
        lambda: encoded(image, "PNG"),
        lambda: encoded(image, exif=exif(6)),
        lambda: encoded(image, subsampling=0, restart_marker_blocks=3),
        lambda: encoded(image.convert("P"), "PNG"),
        lambda: encoded(image, "WEBP"),
        lambda: encoded(image) + b"trailing",
    ][i % 10]()


def broken(rng, kind):
    good = encoded(photo(rng, 300, 200))
    frame = good.index(b"\xff\xc0")
    bomb = bytearray(good)
    bomb[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    no_size = bytearray(good)
    no_size[frame + 5 : frame + 9] = bytes(4)
    return [
        b"",
        b"no image at all",
        good[:1],
        good[:300],
        good[: len(good) // 2],
        b"\xff\xd8\xff\xe0" + bytes(500),
        encoded(photo(rng, 90, 60), "PNG")[:2000],
        bytes(bomb),
        bytes(no_size),
        rng.bytes(4000),
    ][kind]


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """(root, paths of the broken files). Two runs of broken neighbours among them."""
    rng = np.random.default_rng(3)
    root = tmp_path_factory.mktemp("thousand")
    good = [readable(rng, i) for i in range(40)]
    bad_at = {*range(96, 116), 250, 511, 512, *range(983, 1000)} | {7 + 80 * i for i in range(10)}
    spoilt = []
    for i in range(1000):
        path = root / "val" / f"class{i % 4}" / f"{i:04d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(broken(rng, i % 10) if i in bad_at else good[i % 40])
        if i in bad_at:
            spoilt.append(path.relative_to(root).as_posix())
    return root, spoilt


@pytest.mark.parametrize("loader", ["dali", "torchvision"])
def test_a_thousand_files_with_fifty_broken_ones(thousand, tmp_path, loader):
    root, spoilt = thousand
    assert len(spoilt) == 50
    torch.manual_seed(1)
    network = build_network("small", 4).eval()
    dataset = open_folder(root)
    got = validate(
        dataset, network, TRANSFORM, ValidateSettings(loader, max_unreadable=0.06), tmp_path / loader, ORIGIN
    )
    assert sorted(skipped.path for skipped in got.skipped) == sorted(spoilt)
    assert len(got.indices) == 950
    assert all(skipped.reason for skipped in got.skipped)
    assert sorted([*got.indices.tolist(), *(skipped.index for skipped in got.skipped)]) == list(range(1000))
