"""Files that the operating system does not give, images of extreme shapes, and how many may be lost."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.errors import DatasetError, ImageError, SettingError
from rescale_fast.files import images as image_file
from rescale_fast.files.images import image_bytes, patiently
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions import chunks, encoded
from rescale_fast.predictions._loader_torchvision import _collate_or_fail, _Files, decode_image
from rescale_fast.predictions.encoded import EncodedImage, read_encoded
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.predictions.validate import validate
from tests.photos import encoded as jpeg
from tests.photos import photo

ORIGIN = Origin({}, {})
BARE = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def image_set(root, rng, count, broken=()):
    for i in range(count):
        path = root / "val" / f"class{i % 2}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken" if i in broken else jpeg(photo(rng, 40, 40)))
    return open_folder(root)


def run(dataset, folder, **settings):
    torch.manual_seed(1)
    network = build_network("small", 2).eval()
    return validate(dataset, network, EvalTransform(24, 24), ValidateSettings(**settings), folder, ORIGIN)


def test_a_file_that_comes_back_is_read(tmp_path):
    waited = []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            (tmp_path / "late").write_bytes(b"here")

    (tmp_path / "there").write_bytes(b"there")
    names = ["there", "late", "there"]
    found = read_encoded([str(tmp_path / name) for name in names], wait=wait)
    assert [one.data.tobytes() for one in found] == [b"there", b"here", b"there"]
    assert waited == list(image_file.WAITS[:2])


def test_a_file_that_stays_away_is_an_error_that_names_it_and_the_cause(tmp_path):
    (tmp_path / "file").touch()
    for name, cause in (
        ("nowhere", "ENOENT"),
        ("file/below", "ENOTDIR"),
        ("x" * 300, "ENAMETOOLONG"),
    ):
        waited = []
        with pytest.raises(DatasetError, match=rf"(?s)/{name}: .*\({cause}\), also when asked 4 more times"):
            read_encoded([str(tmp_path / name)], wait=waited.append)
        assert tuple(waited) == image_file.WAITS


@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES, errno.ENOMEM, errno.ETIMEDOUT])
def test_every_error_of_the_operating_system_is_waited_out(tmp_path, monkeypatch, error):
    (tmp_path / "x").write_bytes(b"x")
    real, calls = encoded._core.read_encoded_images, []

    def failing(names, *, count):
        calls.append(count)
        found = real(names, count=count)
        return [(one[0][:0], error, *one[2:]) for one in found] if len(calls) < 3 else found

    monkeypatch.setattr(encoded._core, "read_encoded_images", failing)
    (found,) = read_encoded([str(tmp_path / "x")], wait=lambda _: None)
    assert found.data.tobytes() == b"x"
    assert calls == [1, 1, 1]


def test_too_many_open_files_are_waited_out(tmp_path):
    """The real thing: every descriptor is taken when reading begins."""
    (tmp_path / "x").write_bytes(b"x")
    program = """
import os, resource, sys
from rescale_fast.predictions.encoded import read_encoded
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
(found,) = read_encoded([sys.argv[1]], wait=lambda _: os.close(held.pop()))
print(found.data.tobytes())
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "x"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "b'x'\n", done.stderr


def test_what_lies_there_is_a_fact_and_no_error(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)  # a sparse file of 1 TiB
    (tmp_path / "loop").symlink_to("loop")
    names = ("pipe", "empty", "huge", ".", "loop")
    found = read_encoded([str(tmp_path / name) for name in names], wait=pytest.fail)
    reasons = [decode_image(one, EvalTransform(24, 24)) for one in found]
    expected = ["not a file", "empty: 0 bytes", "larger than 512 MiB", "not a file"]
    assert reasons == [*expected, "Too many levels of symbolic links"]
    for name, reason in zip(names, reasons, strict=True):
        with pytest.raises(ImageError, match=reason):
            patiently(lambda name=name: image_bytes(tmp_path / name), wait=pytest.fail)


def test_a_missing_file_stops_validation_and_is_never_written_down_as_unreadable(rng, tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_SIZE", 32)
    monkeypatch.setattr(image_file, "WAITS", (0.01, 0.01))
    dataset = image_set(tmp_path / "set", rng, 100)
    away = tmp_path / "set" / dataset.splits["val"].paths[99]
    run(dataset, tmp_path / "whole", batch_size=16)
    content = away.read_bytes()
    away.unlink()
    away.symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        with pytest.raises(
            DatasetError, match=rf"{away.name}: No such file or directory \(ENOENT\), also when asked 2 "
        ):
            run(dataset, tmp_path / "parts", batch_size=16)
        assert 1 <= len(list((tmp_path / "parts").iterdir())) <= 3
        assert not any(Predictions.load(part).skipped for part in (tmp_path / "parts").iterdir())
    away.unlink()
    away.write_bytes(content)
    run(dataset, tmp_path / "parts", batch_size=16)
    for part in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / part.name).read_bytes() == part.read_bytes()


def test_the_torchvision_loader_stops_at_a_missing_file_too(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(image_file, "WAITS", ())
    (tmp_path / "good.jpg").write_bytes(jpeg(photo(rng, 40, 40)))
    files = _Files([str(tmp_path / "good.jpg"), str(tmp_path / "nowhere.jpg")], EvalTransform(24, 24))
    assert _collate_or_fail([files[0]]).positions == (0,)
    failure = _collate_or_fail([files[0], files[1]])
    assert isinstance(failure, DatasetError)
    assert "nowhere.jpg: No such file" in str(failure)


@pytest.mark.parametrize(
    ("listed", "lost", "share", "stops"),
    [(20, 1, 0.01, False), (20, 2, 0.01, True), (20, 1, 0, True), (20, 2, 0.1, False), (20, 3, 0.1, True)],
)
def test_more_unreadable_images_than_allowed_stop_validation(rng, tmp_path, listed, lost, share, stops):
    dataset = image_set(tmp_path / "set", rng, listed, broken=range(lost))
    if not stops:
        assert len(run(dataset, tmp_path / "p", max_unreadable=share).skipped) == lost
        return
    with pytest.raises(DatasetError, match=rf"(?s)images cannot be read: {lost}, .*000.jpg: Unidentified.*delete .*/p"):
        run(dataset, tmp_path / "p", max_unreadable=share)


def test_finished_parts_do_not_hide_what_was_lost(rng, tmp_path, command):
    """What one run accepts, the next with another share does not."""
    image_set(tmp_path / "set", rng, 40, broken=(3, 20))
    torch.manual_seed(1)
    torch.save(build_network("small", 2).state_dict(), tmp_path / "small.pt")
    arguments = ["validate", "--dataset", "folder", "--root", tmp_path / "set", "--network", "small", "--device", "cpu"]
    arguments += ["--weights", tmp_path / "small.pt", "--out", tmp_path / "out"]
    code, _, stderr = command(*arguments, "--max-unreadable", "0.05")
    assert code == 0, stderr
    assert "2 images were left to PIL" in stderr
    code, _, stderr = command(*arguments)
    assert code == 1
    assert "too many images cannot be read: 2, where --max-unreadable allows 1" in stderr
    code, _, stderr = command(*arguments, "--max-unreadable", "2")
    assert code == 2


@pytest.mark.parametrize(
    "setting", [{"max_unreadable": -0.1}, {"max_unreadable": 1.5}, {"loader": "dalli"}, {"batch_size": -1}]
)
def test_settings_that_mean_nothing_are_refused(setting):
    with pytest.raises(SettingError):
        ValidateSettings(**setting)


def as_encoded(image):
    return EncodedImage(np.frombuffer(jpeg(image, "PNG"), np.uint8), "", True, *image.size)


def by_torchvision(image, transform):
    size = [transform.resize] * 2 if transform.squash else transform.resize
    mode = transforms.InterpolationMode(transform.interpolation)
    steps = [transforms.Resize(size, mode), transforms.CenterCrop(transform.crop), transforms.ToTensor()]
    return transforms.Compose(steps)(image)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("squash", [False, True])
def test_the_tolerant_reader_gives_torchvisions_pixels_at_every_size(rng, interpolation, squash):
    transform = EvalTransform(64, 56, interpolation, squash=squash, **BARE)
    sizes = [tuple(rng.integers(1, 300, 2).tolist()) for _ in range(60)]
    for size in [*sizes, (1, 1), (1, 2000), (2000, 1), (64, 64), (56, 56), (500, 375), (3, 4000)]:
        image = Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        torch.testing.assert_close(
            decode_image(as_encoded(image), transform), by_torchvision(image, transform), rtol=0, atol=0
        )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_strip_too_long_to_be_resized_whole_gives_nearly_the_same_pixels(rng, interpolation):
    transform = EvalTransform(64, 56, interpolation, **BARE)
    for size in ((2, 9001), (9001, 2), (3, 20_011), (5, 22_222)):
        image = photo(rng, *size)
        difference = 255 * (decode_image(as_encoded(image), transform) - by_torchvision(image, transform)).abs()
        assert difference.max() < 2.01
        assert difference.mean() < 0.3


STRIP = """
import resource, sys
import torch
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions.validate import load_batches
paths, loader = sys.argv[2:], sys.argv[1]
def load(paths):
    (batch,) = load_batches(paths, EvalTransform(256, 224), loader, 16, 1, torch.device("cpu"))
    return batch
load(paths[:1])
peak = lambda: max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
before = peak()
batch = load(paths)
print(batch.positions, len(batch.unreadable), (peak() - before) // 1024)
"""


@pytest.mark.parametrize("loader", ["dali", "torchvision"])
def test_strips_of_65000_pixels_beside_a_broken_file_take_little_memory(rng, tmp_path, loader):
    """Resized whole, each would have 256 x 16.6 million pixels: 24 GB."""
    good = jpeg(photo(rng, 60, 45))
    at = good.index(b"\xff\xc4") + 5
    refused = good[:at] + b"\xff" * 7 + good[at + 7 :]  # by every decoder, though its header is fine
    contents = [
        good,
        jpeg(photo(rng, 1, 65_000)),
        refused,
        jpeg(photo(rng, 65_000, 1)),
        b"",
        jpeg(photo(rng, 1, 65_000).convert("CMYK")),
    ]
    paths = [tmp_path / f"{i}.jpg" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    program = [sys.executable, "-W", "ignore", "-c", STRIP, loader, *paths]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    positions, megabytes = done.stdout.rsplit(" ", 2)[0], int(done.stdout.split()[-1])
    assert positions == "(0, 1, 3, 5)"
    assert megabytes < 400


def test_an_image_too_large_for_the_memory_is_left_out_with_a_reason(rng, monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", exhausted)
    assert decode_image(as_encoded(photo(rng, 40, 30)), EvalTransform(24, 24)).startswith("MemoryError: too large")
