"""`check` and the reader of tables: what is wrong with a beton is found, whoever wrote it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescale_fast.beton_file import ALLOCATION, DESCRIPTOR, HEADER, read_beton
from rescale_fast.errors import ArtifactError, RescaleError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.check import check_beton, find_bad_images
from rescale_fast.export.settings import ExportSettings
from tests.photos import NOWHERE, plain_jpegs, subset_of, write_files


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound beton of 43 samples with its JSON: (bytes, JSON bytes, our reading of its tables)."""
    folder = tmp_path_factory.mktemp("sound")
    names = write_files(folder / "set", plain_jpegs(np.random.default_rng(4)))
    path = folder / "a.beton"
    export_beton(folder / "set", subset_of(names), "val", path, ExportSettings(), NOWHERE, page_size=1 << 21)
    return path.read_bytes(), path.with_suffix(".json").read_bytes(), read_beton(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def verdict(place, content, beside=None, *, decode=False):
    """What `check` says is wrong, or None."""
    (place / "b.json").unlink(missing_ok=True)
    if beside is not None:
        (place / "b.json").write_bytes(beside)
    (place / "b.beton").write_bytes(content)
    try:
        check_beton(place / "b.beton")
        bad = find_bad_images(place / "b.beton") if decode else ()
    except RescaleError as error:
        assert "b.beton" in str(error)
        return str(error)
    return bad or None


def flipped(content, at, bit=0):
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def test_a_sound_file_passes_with_and_without_its_json(sound, place):
    content, beside, _ = sound
    assert verdict(place, content, beside, decode=True) is None
    assert verdict(place, content, decode=True) is None


def test_a_crashed_writer_and_a_missing_or_extra_entry_are_named(sound, place):
    content, beside, _ = sound
    crashed = content[:16] + bytes(8) + content[24:]
    assert "its writer never finished" in verdict(place, crashed)
    assert "has 42 entries, expected 43" in verdict(place, content[:-24])
    assert "has 44 entries, expected 43" in verdict(place, content + bytes(24))
    twice = content[:-24] + content[-48:-24]  # right in number: one payload is named twice, one never
    assert "has no entry in its allocation table" in verdict(place, twice)
    assert verdict(place, content[:-24], beside)
    assert "too few for a beton" in verdict(place, b"")
    assert "no beton of version 2" in verdict(place, b"PK\x03\x04" + content[4:])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused_without_its_json(sound, place, data):
    content, _, _ = sound
    assert verdict(place, content[: data.draw(st.integers(0, len(content) - 1))])


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_every_flipped_bit_is_found_with_the_json(sound, place, data):
    content, beside, beton = sound
    tables = HEADER.itemsize + DESCRIPTOR.itemsize * 3 + beton.records.nbytes
    payload = st.sampled_from(range(len(beton))).flatmap(
        lambda row: st.integers(int(beton.pointers[row, 0]), int(beton.pointers[row, 0] + beton.sizes[row, 0]) - 1)
    )
    table = st.integers(len(content) - ALLOCATION.itemsize * len(beton), len(content) - 1)
    at = data.draw(st.one_of(st.integers(0, tables - 1), payload, table, st.integers(0, len(content) - 1)))
    assert verdict(place, flipped(content, at, data.draw(st.integers(0, 7))), beside)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_tables_are_refused_or_read_but_never_crash_the_reader(sound, place, data):
    content, _, beton = sound
    tables = HEADER.itemsize + DESCRIPTOR.itemsize * 3 + beton.records.nbytes
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, tables - 1))] = data.draw(st.integers(0, 255))
    (place / "c.beton").write_bytes(changed)
    try:
        assert len(read_beton(place / "c.beton")) == len(beton)
    except ArtifactError as error:
        assert "c.beton" in str(error)


def test_an_image_that_ffcv_would_misread_is_found_by_decoding(sound, place):
    content, _, beton = sound
    at, size = int(beton.pointers[3, 0]), int(beton.sizes[3, 0])
    for damage in (b"\x89PNG\r\n\x1a\n" + content[at + 8 : at + size], content[at : at + size // 2].ljust(size, b"\0")):
        damaged = content[:at] + damage + content[at + size :]
        assert verdict(place, damaged) is None  # the tables are sound
        (bad,) = verdict(place, damaged, decode=True)
        assert (bad.row, bad.kind) == (3, "error")


def test_a_json_of_another_beton_is_noticed(sound, place):
    content, beside, _ = sound
    assert "15 images with the label 0, but b.json beside it says 14" in verdict(
        place, content, beside.replace(b'"num_images": 15', b'"num_images": 14')
    )
    assert "43 samples, but b.json beside it says 44" in verdict(
        place, content, beside.replace(b'"num_images": 43', b'"num_images": 44')
    )


def test_a_missing_file_is_one_message(tmp_path):
    with pytest.raises(ArtifactError, match=r"none.beton: cannot be read .No such file"):
        check_beton(tmp_path / "none.beton")
