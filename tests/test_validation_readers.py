"""Which reader an image gets, what becomes of a run that DALI loses, and of a DALI that does not work at all."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.errors import RescaleError
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions import _dali_pipeline
from rescale_fast.predictions._loader_dali import dali_batches
from rescale_fast.predictions._loader_torchvision import decode_image
from rescale_fast.predictions.encoded import read_encoded
from rescale_fast.predictions.quiet import quiet_libraries
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.validate import validate
from rescale_fast.run.doctor import Check, _decode, _tried
from tests.photos import encoded, photo

TRANSFORM = EvalTransform(40, 32)
CPU = torch.device("cpu")
ORIGIN = Origin({}, {})


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width=50, height=40, bits=8, colours=2, interlace=0, extra=b"", end=True):
    """A PNG built from the specification: a ramp of rows, each with filter 0."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colours] * bits // 8
    rows = b"".join(b"\0" + bytes((7 * y + x) % 256 for x in range(width * samples)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlace)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(rows))]
    return b"".join([*parts, chunk(b"IEND", b"") if end else b""])


def with_frame(jpeg, marker):
    """The same file, said to be coded in another way."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[:at] + bytes([0xFF, marker]) + jpeg[at + 2 :]


def bogus_tables(jpeg):
    """A header that is fine, and a Huffman table that no decoder takes."""
    at = jpeg.index(b"\xff\xc4") + 5
    return jpeg[:at] + b"\xff" * 7 + jpeg[at + 7 :]


@pytest.fixture
def files(tmp_path):
    def write(*contents):
        paths = [tmp_path / f"{i:03d}.jpg" for i in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return [str(path) for path in paths]

    return write


def load(paths, batch_size=16):
    return list(dali_batches(paths, TRANSFORM, batch_size, 2, CPU))


def test_a_header_tells_which_reader_an_image_gets(rng, files):
    jpeg = encoded(photo(rng, 60, 45))
    animation = chunk(b"acTL", struct.pack(">II", 1, 0))
    for_dali = {
        "JPEG": jpeg,
        "progressive": encoded(photo(rng, 60, 45), progressive=True),
        "grey": encoded(photo(rng, 60, 45).convert("L")),
        "more behind the end": jpeg + b"more",
        "PNG": png(),
        "grey PNG": png(colours=0),
        "PNG with alpha": png(colours=6),
    }
    for_pil = {
        "CMYK": encoded(photo(rng, 60, 45).convert("CMYK")),
        "arithmetic coding": with_frame(jpeg, 0xC9),
        "lossless": with_frame(jpeg, 0xC3),
        "cut off": jpeg[:-200],
        "16-bit grey PNG": png(bits=16, colours=0),
        "16-bit PNG": png(bits=16),
        "interlaced PNG": png(interlace=1),
        "animated PNG": png(extra=animation),
        "PNG without an end": png(end=False),
        "PNG of no size": png(width=0),
        "PNG with a chunk that leads outside": png()[:33] + b"\xff\xff\xff\xffIDAT",
        "GIF": encoded(photo(rng, 60, 45).convert("P"), "GIF"),
        "WebP": encoded(photo(rng, 60, 45), "WEBP"),
        "text": b"hello",
        "nothing": b"",
    }
    everything = for_dali | for_pil
    found = dict(zip(everything, read_encoded(files(*everything.values())), strict=True))
    assert [name for name, one in found.items() if one.is_plain] == list(for_dali)
    assert {(one.width, one.height) for one in found.values()} == {(60, 45), (50, 40), (0, 0)}
    for name, one in found.items():
        assert one.data.tobytes() == everything[name]
    assert (found["16-bit PNG"].fault, found["nothing"].fault) == ("", "empty: 0 bytes")


@pytest.mark.parametrize("cut", range(0, 130, 7))
def test_no_header_however_short_is_read_past_its_end(files, rng, cut):
    (jpeg, picture) = read_encoded(files(encoded(photo(rng, 9, 9))[:cut], png(4, 4)[: cut // 2]))
    assert not jpeg.is_plain
    assert not picture.is_plain


def test_an_image_has_the_same_pixels_whatever_its_neighbours(rng, files):
    """Alone, among good ones, and in a run that DALI loses: the reader and so the pixels are the same."""
    odd = [
        png(bits=16, colours=0),
        png(bits=16),
        png(extra=chunk(b"acTL", struct.pack(">II", 1, 0))),
        png(colours=6),
        encoded(photo(rng, 60, 45).convert("CMYK")),
        encoded(photo(rng, 60, 45)),
        encoded(photo(rng, 81, 47), progressive=True),
        encoded(photo(rng, 47, 81), "WEBP"),
    ]
    alone = [load([path])[0].images[0] for path in files(*odd)]
    spoilt = bogus_tables(encoded(photo(rng, 300, 200)))
    for neighbours in ([encoded(photo(rng, 50, 50))] * 5, [spoilt], [b"", spoilt, spoilt, encoded(photo(rng, 50, 50))]):
        (batch,) = load(files(*odd, *neighbours))
        assert batch.positions[: len(odd)] == tuple(range(len(odd)))
        for ours, expected in zip(batch.images, alone, strict=False):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_one_refused_file_sends_no_other_to_pil_and_none_is_lost(rng, files, monkeypatch):
    by_pil = []

    def watched(images, positions, transform, num_threads):
        by_pil.extend(positions)
        return decode(images, positions, transform, num_threads)

    from rescale_fast.predictions import _loader_dali

    decode = _loader_dali.decode_each
    monkeypatch.setattr(_loader_dali, "decode_each", watched)
    good = [encoded(photo(rng, 60, 45)) for _ in range(61)]
    spoilt = {3, 17, 18, 60}
    paths = files(*(bogus_tables(data) if i in spoilt else data for i, data in enumerate(good)))
    batches = load(paths, batch_size=32)
    assert by_pil == sorted(spoilt)
    assert [batch.num_refused for batch in batches] == [3, 1]
    assert [p for batch in batches for p, _ in batch.unreadable] == sorted(spoilt)
    assert [p for batch in batches for p in batch.positions] == [i for i in range(61) if i not in spoilt]
    expected = [decode_image(one, TRANSFORM) for i, one in enumerate(read_encoded(paths)) if i not in spoilt]
    assert (torch.cat([batch.images for batch in batches]) - torch.stack(expected)).abs().mean() < 0.01


@pytest.mark.parametrize("works_until", [0, 1, 40])
def test_a_dali_that_fails_with_everything_stops_the_work(rng, files, monkeypatch, works_until):
    """From the start on, or after some runs."""
    finish, calls = _dali_pipeline.DaliReader._finish, []

    def fails(self, target):
        calls.append(1)
        if len(calls) > works_until:
            raise RuntimeError("no decoder")
        finish(self, target)

    monkeypatch.setattr(_dali_pipeline.DaliReader, "_finish", fails)
    paths = files(*[encoded(photo(rng, 60, 45))] * 48) * 20
    with pytest.raises(RescaleError, match="DALI cannot decode a JPEG that is known to be good: no decoder"):
        load(paths)


def test_a_dali_that_gives_other_pixels_stops_the_work_and_the_doctor_says_so(rng, files, monkeypatch):
    assert _tried(Check("DALI", lambda: _decode("cpu"), "")).verdict == "ok"
    monkeypatch.setattr(_dali_pipeline, "feed_ndarray", lambda _, target, **__: target.zero_())
    with pytest.raises(RescaleError, match="known to be good: it is .* grey levels off"):
        load(files(encoded(photo(rng, 60, 45))))
    finding = _tried(Check("DALI", lambda: _decode("cpu"), ""))
    assert finding.verdict == "broken"
    assert "known to be good" in finding.found


def test_what_dali_did_not_read_is_counted_and_told(rng, tmp_path):
    for i in range(150):
        content = encoded(photo(rng, 40, 40))
        if i in (3, 149):
            content = bogus_tables(content)
        if i in (5, 6, 100):
            content = png(bits=16)
        path = tmp_path / "val" / f"class{i % 2}" / f"{i:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    told = []
    network = build_network("small", 2).eval()
    settings = ValidateSettings(max_unreadable=0.05)
    validate(open_folder(tmp_path), network, TRANSFORM, settings, tmp_path / "p", ORIGIN, tell=told.append)
    assert len(told) == 1
    assert "5 images were left to PIL" in told[0]
    assert "3 because of what they are" in told[0]
    assert "2 because DALI refused them" in told[0]


NOISY = """
import sys
from pathlib import Path
import torch
from rescale_fast.artifact import Origin
from rescale_fast.datasets.folder import open_folder
from rescale_fast.networks.build import build_network
from rescale_fast.networks.types import EvalTransform
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.validate import validate
from rescale_fast.terminal import say
root = Path(sys.argv[1])
dataset = open_folder(root)
validate(dataset, build_network("small", 2).eval(), EvalTransform(40, 32), ValidateSettings(max_unreadable=1.0),
         root / "p", Origin({}, {}), tell=say)
say("the end")
"""


def test_decoders_print_nothing_that_reaches_the_user(rng, tmp_path):
    """Damage that libjpeg, libpng and nvImageCodec each have something to say about."""
    good = encoded(photo(rng, 90, 60))
    scan = good.index(b"\xff\xda") + 20
    damaged = [
        bogus_tables(good),
        good[:scan] + rng.bytes(60) + good[scan + 60 :],
        good[: scan + 300] + b"\xff\xd9",
        with_frame(good, 0xF7),
        png()[:60] + b"\0\1\2\3" + png()[64:],
        good,
    ]
    for i, content in enumerate(damaged):
        path = tmp_path / "val" / f"class{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    program = [sys.executable, "-W", "ignore", "-c", NOISY, tmp_path]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[-1] == "the end"
    assert all("left to PIL" in line for line in lines[:-1]), done.stderr
    assert done.stdout == ""


def test_quiet_keeps_pythons_own_words_and_undoes_itself(tmp_path):
    program = """
import os, sys
from rescale_fast.predictions.quiet import quiet_libraries
before = sys.stderr
with quiet_libraries():
    os.write(2, b"noise")
    print("heard", file=sys.stderr)
os.write(2, b"heard, too")
assert sys.stderr is before
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "heard\nheard, too")
    stand_in, sys.stderr = sys.stderr, io.StringIO()
    try:
        with quiet_libraries():
            print("kept", file=sys.stderr)
        assert sys.stderr.getvalue() == "kept\n"
    finally:
        sys.stderr = stand_in
    assert os.fstat(2)


def test_pillow_agrees_about_the_pngs_of_these_tests():
    for colours, mode in ((0, "L"), (2, "RGB"), (6, "RGBA")):
        picture = Image.open(io.BytesIO(png(colours=colours)))
        assert (picture.mode, picture.size) == (mode, (50, 40))
        assert np.asarray(picture).ravel()[0] == 0
