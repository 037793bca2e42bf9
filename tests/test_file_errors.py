"""Files that the operating system does not give, in all that reads images: waited for, then an error, never a loss."""

import errno
import hashlib
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rescale_fast.datasets.readable import check_readable
from rescale_fast.errors import DatasetError, ImageError
from rescale_fast.export import folder, source
from rescale_fast.export.beton import export_beton
from rescale_fast.export.files import export_files
from rescale_fast.export.settings import ExportSettings, FilesSettings
from rescale_fast.files import images as image_file
from rescale_fast.files.images import image_bytes, patient_map, patiently
from rescale_fast.image_subset.near_duplicates import perceptual_hashes
from rescale_fast.report.pictures import thumbnail
from rescale_fast.small import downsample
from rescale_fast.small.settings import DownsampleSettings
from tests.conftest import interruptible
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files

SOON = (0.02,) * 500


@pytest.fixture
def root(tmp_path, rng):
    """40 images, every fourth of which Pillow decodes for the core; and one that is damaged."""
    contents = {f"{i:02d}.jpg": encoded(photo(rng, 40, 30), "JPEG" if i % 4 else "PNG") for i in range(40)}
    write_files(tmp_path / "set", contents | {"40.jpg": b"no image"})
    return tmp_path / "set"


def beton(root, names, out, **settings):
    export_beton(root, subset_of(names), "val", out / "a.beton", ExportSettings(**settings), NOWHERE, num_threads=2)


def files(root, names, out, form, link="copy"):
    export_files(root, subset_of(names), "val", out / "val", FilesSettings(form, link), NOWHERE)


def small(root, names, out):
    work = downsample.Work(root, "train", names, DownsampleSettings(side=8), out / "parts", "made from this")
    downsample.make_parts(work, num_threads=2)


MAKERS = {
    "passthrough": beton,
    "resize": lambda *place: beton(*place, store="resize", resize_side=20),
    "raw": lambda *place: beton(*place, store="raw"),
    "folder": lambda *place: files(*place, "folder"),
    "hard links": lambda *place: files(*place, "folder", "hard"),
    "symlinks": lambda *place: files(*place, "folder", "symlink"),
    "webdataset": lambda *place: files(*place, "webdataset"),
    "parquet": lambda *place: files(*place, "parquet"),
    "downsample": small,
}
READERS = {
    "readable": lambda root, names: check_readable(root, "val", names, np.arange(len(names)), names),
    "near-duplicates": lambda root, names: perceptual_hashes(root, names, num_threads=2),
    "thumbnails": lambda root, names: [thumbnail(root / name, 8) for name in names],
}


def digests(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def names_in(root):
    return tuple(sorted(path.name for path in root.iterdir()))


@pytest.mark.parametrize("name", ["04.jpg", "05.jpg"])  # a PNG, a JPEG
@pytest.mark.parametrize("maker", MAKERS)
def test_a_file_that_comes_back_in_time_is_stored(root, tmp_path, monkeypatch, maker, name):
    names = names_in(root)
    MAKERS[maker](root, names, tmp_path / "whole")
    monkeypatch.setattr(image_file, "WAITS", SOON)
    (root / name).rename(tmp_path / "away")
    timer = threading.Timer(0.1, lambda: (tmp_path / "away").rename(root / name))
    timer.start()
    MAKERS[maker](root, names, tmp_path / "late")
    timer.join()
    assert digests(tmp_path / "late") == digests(tmp_path / "whole")


@pytest.mark.parametrize("maker", MAKERS)
def test_a_file_that_stays_away_ends_it_and_the_same_again_gives_the_same_bytes(root, tmp_path, monkeypatch, maker):
    names = names_in(root)
    monkeypatch.setattr(downsample, "PART_IMAGES", 10)
    monkeypatch.setattr(image_file, "WAITS", (0.01, 0.01))
    MAKERS[maker](root, names, tmp_path / "whole")
    (root / "35.jpg").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(DatasetError) as caught:
            MAKERS[maker](root, names, tmp_path / "out")
        assert str(caught.value).startswith(
            f"{root}/35.jpg: No such file or directory (ENOENT), also when asked 2 more times."
        )
        finished = ["train-000000.npz", "train-000001.npz", "train-000002.npz"] if maker == "downsample" else []
        assert sorted(path.name for path in digests(tmp_path / "out")) == finished
    (tmp_path / "away").rename(root / "35.jpg")
    MAKERS[maker](root, names, tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


@pytest.mark.parametrize("reader", READERS)
def test_what_only_looks_at_images_waits_and_ends_alike(root, tmp_path, monkeypatch, reader):
    names = names_in(root)[:40]
    (root / "05.jpg").rename(tmp_path / "away")
    monkeypatch.setattr(image_file, "WAITS", (0.01,))
    with pytest.raises(DatasetError, match=r"/05.jpg: No such file or directory \(ENOENT\), also when asked 1 more"):
        READERS[reader](root, names)
    monkeypatch.setattr(image_file, "WAITS", SOON)
    timer = threading.Timer(0.1, lambda: (tmp_path / "away").rename(root / "05.jpg"))
    timer.start()
    READERS[reader](root, names)
    timer.join()


def test_a_thread_that_waits_for_a_file_holds_up_no_other(root, tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "WAITS", SOON)
    names, done = names_in(root), []
    (root / "00.jpg").rename(tmp_path / "away")

    def core(**settings):
        def advance(count):
            done.append(count)
            if sum(done) == len(names) - 1:
                (tmp_path / "away").rename(root / "00.jpg")

        return real(**settings | {"advance": advance})

    real = downsample._core.downsample_images
    monkeypatch.setattr(downsample._core, "downsample_images", core)
    small(root, names, tmp_path)
    assert sum(done) == len(names)


@pytest.mark.parametrize("link", [None, *folder.PLACERS])
def test_a_file_that_vanishes_before_it_is_stored_ends_the_export(root, tmp_path, monkeypatch, link):
    def kind_then_gone(path):
        if path.name == "05.jpg":
            path.unlink()
        return "jpg"

    monkeypatch.setattr(image_file, "WAITS", (0.01,))
    monkeypatch.setattr(source, "image_kind", kind_then_gone)
    if link == "reflink":  # few file systems can; what matters here is the source
        monkeypatch.setattr(folder.fcntl, "ioctl", lambda *_: 0)
    form = ("folder", link) if link else ("parquet",)
    with pytest.raises(DatasetError, match=r"/05.jpg: No such file or directory \(ENOENT\)"):
        files(root, names_in(root), tmp_path / "out", *form)
    assert not digests(tmp_path / "out")


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOMEM, errno.EISDIR, errno.ETIMEDOUT])
@pytest.mark.parametrize("read", [image_bytes, image_file.image_kind])
def test_every_error_of_the_operating_system_is_waited_out(root, monkeypatch, read, code):
    calls, real = [], Path.stat

    def stat(path, **settings):
        calls.append(path)
        if len(calls) < 3:
            raise OSError(code, "no file name, as from read()")
        return real(path, **settings)

    monkeypatch.setattr(image_file, "WAITS", (0, 0))
    monkeypatch.setattr(Path, "stat", stat)
    found = patiently(lambda: read(root / "05.jpg"))
    assert found in ("jpg", (root / "05.jpg").read_bytes())
    calls[:] = []
    monkeypatch.setattr(image_file, "WAITS", (0,))
    with pytest.raises(DatasetError, match=rf"/05.jpg: .* \({errno.errorcode[code]}\), also when asked 1 more times"):
        patiently(lambda: read(root / "05.jpg"))


def test_a_file_that_becomes_shorter_while_it_is_read_is_asked_for_again(root, monkeypatch):
    real, cut = Path.read_bytes, [10, 0]
    monkeypatch.setattr(Path, "read_bytes", lambda path: real(path)[: -cut.pop(0) or None])
    waited = []
    assert patiently(lambda: image_bytes(root / "05.jpg"), wait=waited.append) == real(root / "05.jpg")
    assert waited == [image_file.WAITS[0]]


def test_nobody_waits_for_damage(root, tmp_path, monkeypatch):
    (root / "41.jpg").mkdir()
    monkeypatch.setattr(image_file, "WAITS", (600,))
    for name, reason in (("40.jpg", "cannot identify image file '40.jpg'"), ("41.jpg", "not a file")):
        with pytest.raises(ImageError, match=reason):
            patiently(lambda name=name: image_file.image_kind(root / name))
    for maker in MAKERS.values():
        maker(root, names_in(root), tmp_path / "out")


def test_a_patient_map_gives_results_in_order(monkeypatch):
    asked = []

    def read(number):
        asked.append(number)
        if number % 3 == 0 and asked.count(number) < 3:
            raise OSError(errno.EIO, "for a moment", str(number))
        return 10 * number

    monkeypatch.setattr(image_file, "WAITS", (0, 0))
    with ThreadPoolExecutor(3) as pool:
        assert list(patient_map(pool, read, range(10))) == list(range(0, 100, 10))


# Begins when the export's own files are open; then there is not one descriptor left.
NO_DESCRIPTORS = """
import contextlib, os, resource, sys, threading
from pathlib import Path
from rescale_fast.files import images as image_file
from PIL import Image, ImageOps  # which could not be opened later
from tests import test_file_errors as tests
from rescale_fast.export.beton import export_beton
from rescale_fast.errors import DatasetError
root, target, is_freed = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "freed"
image_file.WAITS = tests.SOON if is_freed else (0.01, 0.01)
held = []

def free():
    while held:
        os.close(held.pop())

@contextlib.contextmanager
def track(*_, **__):
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    if is_freed:
        threading.Timer(0.2, free).start()
    try:
        yield lambda count, note="": None
    finally:
        free()

try:
    export_beton(root, tests.subset_of(tests.names_in(root)), "val", target, tests.ExportSettings(), tests.NOWHERE,
                 num_threads=2, track=track)
except DatasetError as error:
    print(error)
"""


def test_too_many_open_files_are_waited_out_or_end_the_export(root, tmp_path):
    def run(*arguments):
        program = [sys.executable, "-W", "ignore", "-c", NO_DESCRIPTORS, root, *arguments]
        done = subprocess.run(program, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1])
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "out").mkdir()
    assert "Too many open files (EMFILE), also when asked 2 more times." in run(tmp_path / "out" / "a.beton", "held")
    assert not list((tmp_path / "out").iterdir())
    assert run(tmp_path / "out" / "a.beton", "freed") == ""
    beton(root, names_in(root), tmp_path / "whole")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


WAITING = """
import sys, threading
from pathlib import Path
from rescale_fast.files import images as image_file
from tests import test_file_errors as tests
image_file.WAITS = (600.0,)
root, out, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def validation(root, names):
    import torch
    from rescale_fast.networks.types import EvalTransform
    from rescale_fast.predictions.validate import load_batches
    list(load_batches([str(root / one) for one in names], EvalTransform(24, 24), "dali", 16, 2, torch.device("cpu")))

work = tests.READERS.get(name) or {"validation": validation}.get(name) or (
    lambda *place: tests.MAKERS[name](*place, out))
threading.Timer(WAIT, lambda: print("waiting", flush=True)).start()
work(root, tuple(f"{i:02d}.jpg" for i in range(40)))
print("done")
"""


@pytest.mark.parametrize("work", ["passthrough", "downsample", "parquet", "near-duplicates", "readable", "validation"])
def test_ctrl_c_ends_a_pause_at_once(root, tmp_path, work):
    (root / "05.jpg").unlink()
    program = WAITING.replace("WAIT,", "4.0," if work == "validation" else "0.5,")
    with interruptible("-c", program, root, tmp_path / "out", work) as process:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)  # the pause is of 600 seconds
    assert process.returncode == -signal.SIGINT, stderr
    assert stdout == ""
    assert stderr.endswith("KeyboardInterrupt\n")
