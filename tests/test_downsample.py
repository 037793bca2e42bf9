"""Down-sampling: pixels equal to Pillow's, parts that survive interruption, bad files that are listed."""

import hashlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.small import downsample
from rescale_fast.small.downsample import FILTERS, FITS, Work, make_parts
from rescale_fast.small.settings import DownsampleSettings
from tests.conftest import ROOT, interruptible
from tests.photos import bad_files, encoded, odd_files, photo, plain_jpegs, write_files

PILLOW = {name: Image.Resampling[name.upper()] for name in FILTERS}
ODD_SIZES = [(31, 97), (97, 31), (5, 200), (200, 5), (64, 64), (65, 64), (101, 203), (500, 375)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of JPEGs of every kind, odd sizes and other formats; their names."""
    rng = np.random.default_rng(2)
    root = tmp_path_factory.mktemp("files")
    sized = {f"{w}x{h}.jpg": encoded(photo(rng, w, h)) for w, h in ODD_SIZES}
    odd = {name: content for name, (content, _) in odd_files(rng).items() if name not in ("deep.png", "wide.jpg")}
    grey = {"grey.png": encoded(photo(rng, 50, 40).convert("L"), "PNG")}
    return root, write_files(root, plain_jpegs(rng) | sized | odd | grey)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """100 small JPEGs, three of which are bad."""
    rng = np.random.default_rng(3)
    root = tmp_path_factory.mktemp("many")
    names = list(write_files(root, {f"{i:02d}.jpg": encoded(photo(rng, 40, 30)) for i in range(97)} | bad_files(rng)))
    random.Random(0).shuffle(names)
    return root, tuple(names)


def work_on(root, names, folder, **settings):
    return Work(root, "train", names, DownsampleSettings(**settings), folder, "made from this")


def small(root, names, folder, *, num_threads=2, **settings):
    """(n, channels, side, side) pixels of images that are all readable."""
    work = work_on(root, names, folder, **settings)
    parts = make_parts(work, num_threads=num_threads)
    assert not any(part.skipped for part in parts)
    shape = (len(names), work.settings.channels, work.settings.side, work.settings.side)
    found = np.concatenate([part.pixels() for part in parts]).reshape(shape)
    shutil.rmtree(folder)
    return found


def by_pillow(path, side, fit, name, colours):
    """The same by Pillow alone; None where its letterbox would leave nothing of an image."""
    image = Image.open(path).convert("L" if colours == "grey" else "RGB")
    if fit == "letterbox" and max(image.size) / min(image.size) >= 2 * side:
        return None
    way = {"stretch": Image.Image.resize, "letterbox": ImageOps.pad, "fill": ImageOps.fit}[fit]
    pixels = np.asarray(way(image, (side, side), PILLOW[name]))
    return pixels[None] if colours == "grey" else pixels.transpose(2, 0, 1)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("name", FILTERS)
def test_every_pixel_is_pillows(files, tmp_path, fit, name):
    root, names = files
    compared = 0
    for side, colours in [(32, "sRGB"), (32, "grey"), (1, "sRGB"), (7, "grey"), (150, "sRGB"), (9, "sRGB")]:
        got = small(root, names, tmp_path / "p", side=side, fit=fit, filter=name, colours=colours)
        for one, pixels in zip(names, got, strict=True):
            expected = by_pillow(root / one, side, fit, name, colours)
            if expected is not None:
                np.testing.assert_array_equal(pixels, expected, err_msg=f"{one} {side} {colours}")
                compared += 1
    assert compared > 4 * len(names)


def test_a_letterboxed_image_never_vanishes(tmp_path):
    names = write_files(tmp_path / "set", {"thin.png": encoded(Image.new("RGB", (400, 2), (200, 100, 50)), "PNG")})
    (pixels,) = small(tmp_path / "set", names, tmp_path / "p", side=8, fit="letterbox")
    assert [plane.sum() for plane in pixels] == [8 * 200, 8 * 100, 8 * 50]


def test_fast_decoding_comes_close_and_leaves_alone_what_is_small_already(rng, tmp_path):
    sizes = {"large.jpg": (500, 375), "tall.jpg": (333, 500), "small.jpg": (60, 50)}
    names = write_files(tmp_path / "set", {name: encoded(photo(rng, *size)) for name, size in sizes.items()})
    for fit in FITS:
        for name in FILTERS[1:]:
            exact, fast = (
                small(tmp_path / "set", names, tmp_path / "p", fit=fit, filter=name, decode=decode).astype(int)
                for decode in ("exact", "fast")
            )
            large, tall, same = np.abs(fast - exact).mean(axis=(1, 2, 3))
            assert 0 < large < 2 and 0 < tall < 2 and same == 0, (fit, name, large, tall, same)


def test_bad_files_are_listed_with_reasons_and_nothing_else_is_lost(many, tmp_path, rng):
    root, names = many
    bad = bad_files(rng)
    (part,) = make_parts(work_on(root, (*names, "."), tmp_path, side=8))
    assert {names[row] for row in part.skipped if row < len(names)} == set(bad)
    for row, reason in part.skipped.items():
        expected = "not a file" if row == len(names) else bad[names[row]][1].removeprefix("(?i)").split()[0]
        assert expected.lower() in reason.lower()
    assert sorted([*part.rows, *part.skipped]) == list(range(len(names) + 1))
    for row, pixels in zip(part.rows, part.pixels(), strict=True):
        np.testing.assert_array_equal(
            pixels.reshape(3, 8, 8), by_pillow(root / names[row], 8, "stretch", "box", "sRGB")
        )
    np.testing.assert_array_equal(part.total, part.pixels().astype(int).sum(axis=0))


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_parts_are_the_same_for_any_threads_shares_and_interruptions(many, tmp_path, monkeypatch):
    monkeypatch.setattr(downsample, "PART_IMAGES", 7)
    root, names = many
    make_parts(work_on(root, names, tmp_path / "whole"), num_threads=1)
    whole = digests(tmp_path / "whole")
    assert len(whole) == 15
    for share in (2, 0, 1):
        made = make_parts(work_on(root, names, tmp_path / "shared"), share=share, num_shares=3, num_threads=3)
        assert len(made) == 5
    assert digests(tmp_path / "shared") == whole
    damaged, absent = tmp_path / "shared" / "train-000003.npz", tmp_path / "shared" / "train-000008.npz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    absent.unlink()
    untouched = (tmp_path / "shared" / "train-000004.npz").stat().st_mtime_ns
    make_parts(work_on(root, names, tmp_path / "shared"))
    assert digests(tmp_path / "shared") == whole
    assert (tmp_path / "shared" / "train-000004.npz").stat().st_mtime_ns == untouched
    make_parts(replace(work_on(root, names, tmp_path / "shared"), made_from="something else"))
    assert digests(tmp_path / "shared").keys() == whole.keys()
    assert not set(digests(tmp_path / "shared").values()) & set(whole.values())


def test_a_damaged_part_is_found_when_it_is_read(many, tmp_path):
    (part,) = make_parts(work_on(*many, tmp_path))
    content = bytearray(part.path.read_bytes())
    content[len(content) // 2] ^= 1
    part.path.write_bytes(content)
    with pytest.raises(
        ArtifactError, match=r"train-000000\.npz: not readable as .* \(.*\)\. Delete it and run the same"
    ):
        part.pixels()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"filter": "mitchell"},
            "--filter mitchell: expected one of nearest, box, bilinear, hamming, bicubic, lanczos",
        ),
        ({"fit": "crop"}, "--fit crop: expected one of stretch, letterbox, fill"),
        ({"side": 0}, "--side 0: expected a whole number, 1 to 1,024"),
        ({"side": 1025}, "--side 1025"),
        ({"seed": -1}, "--seed -1"),
        ({"filter": "nearest", "decode": "fast"}, "--decode fast gives averages"),
    ],
)
def test_impossible_settings_are_refused(many, tmp_path, settings, message):
    with pytest.raises(SettingError, match=message):
        make_parts(work_on(*many, tmp_path, **settings))


INTERRUPTED = """
import sys
from pathlib import Path
from rescale_fast.small import downsample
from tests.test_downsample import work_on
downsample.PART_IMAGES = 500
root = Path(sys.argv[1])
names = sorted(path.name for path in root.iterdir()) * 400
print("ready", flush=True)
downsample.make_parts(work_on(root, names, Path(sys.argv[2])), num_threads=2)
"""


def test_a_full_disk_is_a_clear_error_and_finished_parts_stay(many, tmp_path):
    root, names = many

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    make_parts(work_on(root, names[:50], tmp_path))
    arguments = [sys.executable, "-c", INTERRUPTED, root, tmp_path]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert "train-000001.npz: cannot write it: File too large. Free some space" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["train-000000.npz"]
    assert len(work_on(root, names[:50], tmp_path).load(0).rows) > 40  # the one that was there


def test_ctrl_c_works_at_once_and_finished_parts_stay(many, tmp_path):
    root, _ = many
    with interruptible("-c", INTERRUPTED, root, tmp_path, cwd=ROOT) as process:
        process.stdout.readline()
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("train-*.npz"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - start < 5
    assert stderr.strip().endswith("KeyboardInterrupt")
    finished = sorted(tmp_path.glob("train-*.npz"))
    assert 3 <= len(finished) < 80
    names = sorted(path.name for path in root.iterdir()) * 400
    for number in range(len(finished)):
        assert work_on(root, names, tmp_path).load(number).path == finished[number]
