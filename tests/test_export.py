"""Betons written by the core: which bytes are in them, what becomes of odd and bad files, whole or absent."""

import hashlib
import io
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash
from PIL import Image, ImageOps

from rescale_fast.beton.check import check_beton, find_bad_images
from rescale_fast.beton.file import read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import ArtifactError, DatasetError, OutputError, SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.types import ImageSubset
from tests.conftest import ROOT, interruptible
from tests.photos import NOWHERE, bad_files, encoded, odd_files, photo, plain_jpegs, subset_of, write_files


def write(root, names, target, *, num_threads=2, one_class=False, **settings):
    subset = subset_of(names, [0] * len(names), ("a",)) if one_class else subset_of(names)
    return export_beton(root, subset, "val", target, ExportSettings(**settings), NOWHERE, num_threads=num_threads)


def stored(path):
    """(index, record, payload) of each sample, by our own reader of the tables."""
    beton, content = read_beton(path), path.read_bytes()
    places = zip(beton.pointers[:, 0].tolist(), beton.sizes[:, 0].tolist(), strict=True)
    payloads = [content[at : at + size] for at, size in places]
    return list(zip(beton.integers("index").tolist(), beton.records["f0"], payloads, strict=True))


def pixels(record, payload):
    if record["mode"] == 1:
        return np.frombuffer(payload, np.uint8).reshape(record["height"], record["width"], 3)
    return np.asarray(Image.open(io.BytesIO(payload)).convert("RGB"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of plain, odd and bad files, one of which is a folder; their names in order."""
    rng = np.random.default_rng(1)
    root = tmp_path_factory.mktemp("files")
    plain, odd, bad = plain_jpegs(rng), odd_files(rng), bad_files(rng)
    names = [*write_files(root, plain | odd | bad), "folder.jpg"]
    (root / "folder.jpg").mkdir()
    random.Random(0).shuffle(names)
    return root, names, plain, odd, bad | {"folder.jpg": (None, "not a file")}


def test_passthrough_keeps_every_byte_and_counts_what_it_converts_or_skips(files, tmp_path):
    root, names, plain, odd, bad = files
    info = write(root, names, tmp_path / "a.beton")
    samples = stored(tmp_path / "a.beton")
    assert [names[index] for index, _, _ in samples] == [name for name in names if name not in bad]
    for index, record, payload in samples:
        if names[index] in plain:
            assert payload == plain[names[index]]
            assert Image.open(io.BytesIO(payload)).size == (record["width"], record["height"])
    expected = {"original bytes": len(plain)}
    for _, how in odd.values():
        expected[how] = expected.get(how, 0) + 1
    assert dict(info.stored) == expected
    assert info.num_images + len(info.skipped) == len(names)
    assert [skipped["path"] for skipped in info.skipped] == [name for name in names if name in bad]
    for skipped in info.skipped:
        assert re.search(bad[skipped["path"]][1], skipped["reason"]), skipped
    assert BetonInfo.load(tmp_path / "a.json") == info
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.beton", "a.json"]


def test_odd_files_look_as_pillow_shows_them(files, tmp_path):
    root, names, _, odd, _ = files
    write(root, names, tmp_path / "a.beton", store="raw", max_side=0)
    for index, record, payload in stored(tmp_path / "a.beton"):
        if names[index] in odd and names[index] != "deep.png":
            np.testing.assert_array_equal(
                pixels(record, payload), np.asarray(Image.open(root / names[index]).convert("RGB"))
            )
        if names[index] == "deep.png":  # Pillow's own conversion cuts every level above 255
            deep = np.asarray(Image.open(root / names[index]))
            np.testing.assert_array_equal(pixels(record, payload)[:, :, 0], deep // 257)


def test_the_digest_is_that_of_the_file_by_another_library(files, tmp_path):
    root, names, *_ = files
    info = write(root, names * 8, tmp_path / "a.beton")
    content = (tmp_path / "a.beton").read_bytes()
    blocks = [xxhash.xxh3_128_digest(content[at : at + 2**20]) for at in range(0, len(content), 2**20)]
    assert info.digest == f"xxh3-128-mib:{xxhash.xxh3_128_hexdigest(b''.join(blocks))}"
    assert info.bytes == len(content) > 2 * 2**21


@pytest.mark.parametrize("store", ["passthrough", "resize", "raw"])
def test_the_bytes_are_the_same_for_any_number_of_threads(files, tmp_path, store):
    root, names, *_ = files
    found = set()
    for num_threads in (1, 2, 7):
        info = write(root, names, tmp_path / "a.beton", store=store, num_threads=num_threads)
        found.add((hashlib.sha256((tmp_path / "a.beton").read_bytes()).hexdigest(), info.digest))
    assert len(found) == 1


def test_larger_images_keep_their_bytes_and_are_read_at_a_smaller_scale(rng, tmp_path):
    sizes = {"at.jpg": (320, 40), "above.jpg": (321, 200), "double.jpg": (640, 480), "huge.jpg": (2600, 33)}
    files = {name: encoded(photo(rng, *size)) for name, size in sizes.items()}
    names = write_files(tmp_path / "set", files)
    info = write(tmp_path / "set", names, tmp_path / "a.beton", max_side=320)
    samples = {names[index]: (record, payload) for index, record, payload in stored(tmp_path / "a.beton")}
    found = {name: (int(record["width"]), int(record["height"])) for name, (record, _) in samples.items()}
    # n/8 of each side, rounded up, with the greatest n that keeps to 320; at n = 1 huge.jpg would still have 325
    assert found == {"at.jpg": (320, 40), "above.jpg": (281, 175), "double.jpg": (320, 240), "huge.jpg": (320, 4)}
    assert all(samples[name][1] == files[name] for name in names[:3])
    assert (info.max_width, info.max_height) == (320, 240)
    assert dict(info.stored) == {
        "original bytes": 1,
        "original bytes, above --max-side: read at a smaller scale": 2,
        "converted: above --max-side": 1,
    }
    assert not find_bad_images(tmp_path / "a.beton")


@pytest.mark.parametrize("eighths", range(1, 9))
def test_scale_changes_the_record_and_not_the_bytes(rng, tmp_path, eighths):
    files = {f"{w}.jpg": encoded(photo(rng, w, h)) for w, h in [(500, 375), (333, 17), (1, 1)]}
    names = write_files(tmp_path / "set", files)
    write(tmp_path / "set", names, tmp_path / "a.beton", scale=f"{eighths}/8")
    for index, record, payload in stored(tmp_path / "a.beton"):
        assert payload == files[names[index]]
        width, height = Image.open(io.BytesIO(payload)).size
        assert (record["width"], record["height"]) == (-(-width * eighths // 8), -(-height * eighths // 8))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("short-side", [(85, 64), (64, 85), (64, 64), (384, 64)]),
        ("long-side", [(64, 48), (48, 64), (64, 64), (64, 11)]),
        ("cap", [(64, 48), (48, 64), (32, 32), (64, 10)]),  # 10.67 is cut, as FFCV's writer does
    ],
)
def test_which_side_becomes_which_length(rng, tmp_path, how, expected):
    sizes = [(200, 150), (150, 200), (32, 32), (300, 50)]
    names = write_files(tmp_path / "set", {f"{i}.jpg": encoded(photo(rng, *size)) for i, size in enumerate(sizes)})
    write(tmp_path / "set", names, tmp_path / "a.beton", store="resize", resize_by=how, resize_side=64)
    assert [(record["width"], record["height"]) for _, record, _ in stored(tmp_path / "a.beton")] == expected


def decibels(found, wanted):
    return 10 * np.log10(255**2 / ((np.asarray(found, float) - np.asarray(wanted, float)) ** 2).mean())


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"keep_rgb": True}]
)
@pytest.mark.parametrize(("size", "side"), [((500, 375), 250), ((301, 223), 97), ((61, 90), 200), ((75, 100), 75)])
def test_resized_images_are_as_close_to_pillows_bilinear_as_a_jpeg_can_be(rng, tmp_path, options, size, side):
    names = write_files(tmp_path / "set", {f"{i}.jpg": encoded(photo(rng, *size), **options) for i in range(3)})
    write(tmp_path / "set", names, tmp_path / "a.beton", store="resize", resize_side=side, quality=95)
    for index, record, payload in stored(tmp_path / "a.beton"):
        source = Image.open(tmp_path / "set" / names[index]).convert("RGB")
        wanted = source.resize((int(record["width"]), int(record["height"])), Image.Resampling.BILINEAR)
        theirs = Image.open(io.BytesIO(encoded(wanted, quality=95)))
        assert decibels(pixels(record, payload), wanted) > decibels(theirs, wanted) - 4  # the DCT-scaled decode


def test_grey_images_stay_grey_and_flat_ones_flat(rng, tmp_path):
    files = {
        "grey.jpg": encoded(photo(rng, 200, 150).convert("L")),
        "flat.jpg": encoded(Image.new("RGB", (201, 151), (200, 30, 90)), quality=100, subsampling=0),
        "line.jpg": encoded(Image.new("RGB", (300, 1), (9, 99, 199)), quality=100, subsampling=0),
    }
    names = write_files(tmp_path / "set", files)
    write(tmp_path / "set", names, tmp_path / "a.beton", store="resize", resize_by="long-side", resize_side=70)
    found = {
        names[index]: pixels(record, payload).astype(int) for index, record, payload in stored(tmp_path / "a.beton")
    }
    assert np.ptp(found["grey.jpg"], axis=2).max() == 0
    assert np.ptp(found["flat.jpg"], axis=(0, 1)).max() == 0
    assert np.abs(found["flat.jpg"][0, 0] - (200, 30, 90)).max() <= 2
    assert np.abs(found["line.jpg"] - (9, 99, 199)).max() <= 2


def test_raw_pixels_are_pillows(files, tmp_path):
    root, names, plain, *_ = files
    info = write(root, list(plain), tmp_path / "a.beton", store="raw")
    assert dict(info.stored) == {"raw pixels": len(plain)}
    for index, record, payload in stored(tmp_path / "a.beton"):
        wanted = np.asarray(Image.open(root / list(plain)[index]).convert("RGB"))
        np.testing.assert_array_equal(pixels(record, payload), wanted, err_msg=names[index])


def test_images_are_turned_upright_on_request_only(rng, tmp_path):
    image, files = photo(rng, 101, 67), {}
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        files[f"{orientation}.jpg"] = encoded(image, exif=exif)
    names = write_files(tmp_path / "set", files)
    info = write(tmp_path / "set", names, tmp_path / "a.beton")
    assert dict(info.stored) == {"original bytes": 8}
    write(tmp_path / "set", names, tmp_path / "a.beton", store="raw", apply_exif=True)
    for index, record, payload in stored(tmp_path / "a.beton"):
        upright = ImageOps.exif_transpose(Image.open(tmp_path / "set" / names[index]))
        np.testing.assert_array_equal(pixels(record, payload), np.asarray(upright))
    info = write(tmp_path / "set", names, tmp_path / "a.beton", apply_exif=True)
    assert dict(info.stored) == {"original bytes": 1, "converted: turned upright": 7}


def test_what_no_page_can_hold_is_shrunk(rng, tmp_path):
    noise = Image.fromarray(rng.integers(0, 256, (1600, 1600, 3), dtype=np.uint8))
    files = {"a.jpg": encoded(noise, quality=98, subsampling=0), "b.jpg": encoded(noise.crop((0, 0, 99, 99)))}
    names = write_files(tmp_path / "set", files)
    for store, how in (("passthrough", "original bytes"), ("raw", "raw pixels")):
        info = export_beton(
            tmp_path / "set",
            subset_of(names, [0, 0], ("a",)),
            "val",
            tmp_path / "a.beton",
            ExportSettings(store=store, max_side=0),
            NOWHERE,
            page_size=1 << 21,
        )
        assert dict(info.stored) == {how: 1, "converted: larger than a page": 1}
        assert not find_bad_images(tmp_path / "a.beton")


def test_files_that_are_no_jpegs_are_kept_as_pixels_if_small(rng, tmp_path):
    files = {
        "a.png": encoded(photo(rng, 160, 136), "PNG"),  # 65,280 bytes of pixels
        "b.png": encoded(photo(rng, 160, 137), "PNG"),
        "c.gif": encoded(photo(rng, 40, 30), "GIF"),
    }
    names = write_files(tmp_path / "set", files)
    info = write(tmp_path / "set", names, tmp_path / "a.beton", one_class=True)
    assert dict(info.stored) == {"raw pixels: a small file, not a JPEG": 2, "converted: not a JPEG file": 1}
    for index, record, payload in stored(tmp_path / "a.beton"):
        if names[index] != "b.png":
            with Image.open(tmp_path / "set" / names[index]) as image:
                np.testing.assert_array_equal(pixels(record, payload), np.asarray(image.convert("RGB")))


def test_pages_are_small_where_little_is_stored_and_large_where_an_image_needs_it(rng, tmp_path):
    names = write_files(
        tmp_path / "set", {"a.png": encoded(Image.new("RGB", (1000, 900)), "PNG"), "b.jpg": encoded(photo(rng, 20, 30))}
    )
    for store, page_size, how in (
        ("passthrough", 1 << 21, "converted: not a JPEG file"),
        ("raw", 1 << 23, "raw pixels"),
    ):
        info = write(tmp_path / "set", names, tmp_path / "a.beton", one_class=True, store=store)
        beton = read_beton(tmp_path / "a.beton")
        assert beton.page_size == page_size
        assert info.stored[how] >= 1
        assert "converted: larger than a page" not in info.stored
        assert beton.bytes < 2.1 * page_size
        between = beton.path.read_bytes()[10_000:page_size]
        assert not any(between), "between tables and first page are zeros, whatever was tried before"
        assert not find_bad_images(tmp_path / "a.beton")


def test_the_first_bad_file_ends_it_on_request_and_nothing_is_left(files, tmp_path):
    root, names, _, _, bad = files
    first = next(name for name in names if name in bad)
    with pytest.raises(DatasetError, match=f"{first}: .*--on-bad skip"):
        write(root, names, tmp_path / "a.beton", on_bad="fail")
    assert not list(tmp_path.iterdir())


def test_a_class_without_a_readable_image_is_an_error_and_the_old_file_stays(files, tmp_path):
    root, _, plain, _, _ = files
    write(root, list(plain), tmp_path / "a.beton")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    subset = subset_of([*plain, "empty.jpg"], [0] * len(plain) + [1], ("a", "b"))
    with pytest.raises(DatasetError, match=r"class 'b' has no readable image. First: empty.jpg: empty: 0 bytes"):
        export_beton(root, subset, "val", tmp_path / "a.beton", ExportSettings(), NOWHERE)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture
def sampled(small_glyphs):
    ids = tuple(small_glyphs.class_ids[label] for label in (1, 4, 9))
    return sample_images(small_glyphs, ClassSubset(NOWHERE, "list", 12, (1, 4, 9), ids, ids, {}), NOWHERE)


def test_labels_and_classes_of_a_sampled_subset(small_glyphs, sampled, tmp_path):
    info = export_beton(small_glyphs.root, sampled, "train", tmp_path / "a.beton", ExportSettings(), NOWHERE)
    np.testing.assert_array_equal(read_beton(tmp_path / "a.beton").integers("label"), sampled.train.new_labels)
    assert info.original_labels == ((1,), (4,), (9,))
    assert info.class_ids == sampled.class_ids
    assert info.images_per_class == (10, 10, 10)


def test_a_sampled_subset_reads_back_the_same(sampled, tmp_path):
    sampled.save(tmp_path / "image_subset.parquet")
    got = ImageSubset.load(tmp_path / "image_subset.parquet")
    assert (got.class_ids, got.train.paths, got.val.source) == (
        sampled.class_ids,
        sampled.train.paths,
        sampled.val.source,
    )
    np.testing.assert_array_equal(got.val.new_labels, sampled.val.new_labels)
    np.testing.assert_array_equal(got.train.indices, sampled.train.indices)


def test_a_subset_of_another_data_set_is_refused(small_glyphs):
    foreign = ClassSubset(NOWHERE, "list", 12, (1, 2), ("x", "y"), ("x", "y"), {})
    with pytest.raises(ArtifactError, match="'x' .label 1. is not in"):
        sample_images(small_glyphs, foreign, NOWHERE)


@pytest.mark.parametrize(
    "settings",
    [
        {"quality": 0},
        {"max_side": -1},
        {"resize_side": 0},
        {"store": "raw", "scale": "4/8"},
        {"store": "raw", "quality": 50},
        {"resize_side": 64},
        {"store": "jpeg"},
    ],
)
def test_impossible_settings_are_refused(files, tmp_path, settings):
    with pytest.raises(SettingError, match=r"expected|would have no effect"):
        write(files[0], files[1], tmp_path / "a.beton", **settings)


KILLED = """
import sys
from pathlib import Path
import numpy as np
from tests.photos import NOWHERE, subset_of
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
root, target, store = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
subset = subset_of([f"{i % 20}.jpg" for i in range(int(sys.argv[4]))])
print("go", flush=True)
export_beton(root, subset, "val", target, ExportSettings(store=store), NOWHERE, num_threads=2)
"""


@pytest.fixture(scope="module")
def twenty(tmp_path_factory):
    rng, folder = np.random.default_rng(2), tmp_path_factory.mktemp("twenty")
    write_files(folder, {f"{i}.jpg": encoded(photo(rng, 500, 375)) for i in range(20)})
    return folder


def test_killed_at_random_moments_it_leaves_a_whole_file_or_none(twenty, tmp_path):
    moments, whole = random.Random(3), 0
    for attempt in range(8):
        store, num_images = (("passthrough", 20_000), ("resize", 700))[attempt % 2]
        target = tmp_path / f"{attempt % 2}.beton"
        with interruptible("-c", KILLED, twenty, target, store, num_images, cwd=ROOT) as process:
            process.stdout.readline()
            time.sleep(moments.uniform(0, 1.0))
            process.send_signal(signal.SIGKILL)
            process.wait()
        if target.exists():
            check_beton(target)
            whole += 1
            target.unlink()
    assert whole < 8  # else nothing was interrupted
    for number, store in enumerate(("passthrough", "resize")):
        write(twenty, ["0.jpg", "1.jpg", "2.jpg"], tmp_path / f"{number}.beton", store=store)
    assert not list(tmp_path.glob(".*.tmp")), "the next writer cleans up"


def test_ctrl_c_works_at_once_and_leaves_nothing(twenty, tmp_path):
    target = tmp_path / "a.beton"
    with interruptible("-c", KILLED, twenty, target, "resize", 100_000, cwd=ROOT) as process:
        process.stdout.readline()
        time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        assert time.monotonic() - start < 5
    assert stderr.strip().endswith("KeyboardInterrupt")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_a_clear_error_and_nothing_is_left(twenty, tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))

    arguments = [sys.executable, "-c", KILLED, twenty, tmp_path / "a.beton", "passthrough", "2000"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert "a.beton: cannot write it: File too large. Free some space" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_target_that_cannot_be_written_is_named(twenty):
    with pytest.raises(OutputError, match="/proc/nothing: cannot write it"):
        write(twenty, ["0.jpg", "1.jpg", "2.jpg"], Path("/proc/nothing/a.beton"))
