"""Passthrough: every stored JPEG is an image of its own for FFCV, and what is not sound is converted or said."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from tests.hostile_jpegs import borrowing, changed, join, parse, put, undecodable
from tests.photos import NOWHERE, encoded, photo, plain_jpegs, subset_of, write_files
from tests.test_export import pixels, stored
from tests.turbojpeg import served


def write(tmp_path, files, **settings):
    """The beton's JSON, and {name: (record, payload)} of what is in it."""
    names = write_files(tmp_path / "set", files)
    subset = subset_of(names, [0] * len(names), ("a",))
    info = export_beton(tmp_path / "set", subset, "val", tmp_path / "a.beton", ExportSettings(**settings), NOWHERE)
    return info, {names[index]: (record, payload) for index, record, payload in stored(tmp_path / "a.beton")}


def is_its_own(payload, record, others):
    """Whether FFCV shows the same pixels for it whatever it decoded before and whatever lies in its buffer."""
    width, height = int(record["width"]), int(record["height"])
    shown = [served(payload, width, height, before, shade) for before, shade in zip(others, (0, 255), strict=True)]
    return np.array_equal(*shown)


@pytest.fixture
def others(rng):
    """Two JPEGs with quantisation and Huffman tables of their own."""
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return encoded(noise, quality=3, optimize=True), encoded(noise, quality=97, optimize=True)


def test_jpegs_that_no_decoder_begins_are_skipped_and_their_reason_said(rng, others, tmp_path):
    bad = undecodable(rng)
    info, samples = write(tmp_path, {**bad, "good.jpg": encoded(photo(rng, 60, 40))})
    assert list(samples) == ["good.jpg"]
    reasons = {skipped["path"]: skipped["reason"] for skipped in info.skipped}
    assert reasons.keys() == bad.keys()
    for name, (content, word) in bad.items():
        assert word in reasons[name], name
        assert not is_its_own(content, {"width": 90, "height": 70}, others), name


def test_a_side_that_no_decoder_takes_is_skipped(rng, tmp_path):
    wide = changed(encoded(photo(rng, 900, 8)), 0xC0, put(1, 0, 8, 0xFF, 0xFF))
    info, samples = write(tmp_path, {"wide.jpg": wide, "good.jpg": encoded(photo(rng, 60, 40))}, max_side=0)
    assert list(samples) == ["good.jpg"]
    assert [skipped["path"] for skipped in info.skipped] == ["wide.jpg"]


@pytest.mark.parametrize(
    ("size", "settings", "expected"),
    [
        ((65_520, 3), {}, (65_500, 3)),  # more than a JPEG can have
        ((40_000, 1), {"store": "resize", "resize_side": 50_000}, (65_500, 2)),  # 2,000,000,000 wide at first
    ],
)
def test_sides_beyond_what_a_jpeg_can_have_are_shrunk_to_that(tmp_path, size, settings, expected):
    files = {"wide.png": encoded(Image.new("RGB", size, (200, 100, 50)), "PNG")}
    info, samples = write(tmp_path, files, max_side=0, **settings)
    assert not info.skipped
    record, payload = samples["wide.png"]
    assert (record["width"], record["height"]) == expected
    assert np.abs(pixels(record, payload).astype(int) - (200, 100, 50)).max() <= 3


@pytest.mark.parametrize("store", ["passthrough", "resize", "raw"])
def test_jpegs_without_huffman_tables_are_re_encoded_with_theirs(rng, others, tmp_path, store):
    films = borrowing(rng)
    settings = {"passthrough": {"quality": 95}, "resize": {"quality": 95, "resize_side": 70}, "raw": {}}[store]
    info, samples = write(tmp_path, films, store=store, **settings)
    assert not info.skipped
    for name, content in films.items():
        record, payload = samples[name]
        wanted = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
        assert not is_its_own(content, {"width": 90, "height": 70}, others)
        assert np.abs(pixels(record, payload) - wanted).mean() < 3
        if store != "raw":
            assert is_its_own(payload, record, others)
    if store == "passthrough":
        assert dict(info.stored) == {"converted: a rare kind of JPEG": len(films)}


def test_sound_jpegs_keep_their_bytes(rng, others, tmp_path):
    files = plain_jpegs(rng)
    _, samples = write(tmp_path, files)
    for name, content in files.items():
        record, payload = samples[name]
        assert payload == content
        assert is_its_own(payload, record, others), name


def test_damage_to_any_byte_of_the_markers_stores_nothing_that_is_not_an_image_of_its_own(rng, others, tmp_path):
    chance = random.Random(5)
    photos = [photo(rng, 40, 30), photo(rng, 17, 50)]
    sound = [encoded(image, **options) for image in photos for options in ({}, {"progressive": True})]
    sound += [encoded(image.convert("L"), restart_marker_blocks=1) for image in photos]
    files = {}
    for i in range(1500):
        segments = parse(chance.choice(sound))
        for _ in range(chance.choice((1, 1, 2))):
            segment = chance.choice(segments[1:])  # JFIF's says nothing that matters
            segment[1][chance.randrange(min(len(segment[1]), 20))] = chance.choice(
                (0, 1, 2, 255, chance.randrange(256))
            )
        files[f"{i}.jpg"] = join(segments)
    info, samples = write(tmp_path, files, max_side=300)
    kept = {name: sample for name, sample in samples.items() if sample[1] == files[name]}
    assert len(kept) > 300
    assert len(info.skipped) > 300
    assert [name for name, (record, payload) in kept.items() if not is_its_own(payload, record, others)] == []
