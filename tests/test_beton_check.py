"""`check` and the reader of tables: what is wrong with a beton is found, whoever wrote it."""

import os
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescale_fast.beton import file
from rescale_fast.beton.agreement import compare_with_json
from rescale_fast.beton.check import check_beton, find_bad_images
from rescale_fast.beton.file import ALLOCATION, DESCRIPTOR, HEADER, read_beton
from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import ArtifactError, RescaleError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from tests import foreign_beton
from tests.conftest import ROOT
from tests.photos import NOWHERE, faulty_jpegs, plain_jpegs, subset_of, write_files


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


def test_a_foreign_beton_of_all_kinds_of_fields_is_sound(place):
    assert verdict(place, foreign_beton.beton(), decode=True) is None
    assert len(read_beton(place / "b.beton")) == 6


def test_errors_are_told_from_warnings_and_all_are_listed(rng, place):
    faulty = faulty_jpegs(rng)
    images = [content for content, _, _ in faulty.values()]
    sizes = [(60_000, 60_000) if name == "bomb" else (64, 48) for name in faulty]
    (place / "f.beton").write_bytes(foreign_beton.beton(len(images), images=images, sizes=sizes))
    bad = {one.row: one for one in find_bad_images(place / "f.beton")}
    for row, (name, (_, kind, reason)) in enumerate(faulty.items()):
        assert (bad[row].kind if row in bad else None) == kind, f"{name}: {bad.get(row)}"
        assert row not in bad or reason in bad[row].reason, f"{name}: {bad[row]}"
    assert list(bad) == sorted(bad)


def in_a_process(code, megabytes):
    """Run code that may not use more memory than the modules it needs and so much."""
    limited = f"""
import resource
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import RescaleError
from rescale_fast.beton.check import find_bad_images
from rescale_fast.beton.edit import append_beton, cut_beton, cut_classes, merge_betons
from pathlib import Path
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {megabytes << 20},) * 2)
try:
    {code}
except RescaleError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_forged_header_of_60000_pixels_takes_no_memory(rng, place):
    jpeg = faulty_jpegs(rng)["bomb"][0]
    content = foreign_beton.beton(2, images=[jpeg] * 2, sizes=[(60_000, 60_000), (7_500, 7_500)])
    (place / "bomb.beton").write_bytes(content)
    said = in_a_process(f"print(find_bad_images(Path({str(place / 'bomb.beton')!r}), num_threads=1))", 200)
    assert said.count("60000 x 60000 pixels: more than the limit") == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((2, 5, 1 << 21, 1 << 60, 1 << 22), "it claims 1,152,921,504,606,846,976 samples"),
        ((2, 5, 1 << 21, 1 << 39, 1 << 22), "549,755,813,888 records do not fit before its allocation table"),
        ((2, 65535, 1 << 21, 6, 1 << 22), "it claims 65535 fields"),
        ((2, 5, 1 << 21, 6, (1 << 39) + 8), "its allocation table has 22,906,492,245 entries, expected 18"),
        ((2, 5, 1 << 21, 6, 1 << 63), "before its allocation table at 9,223,372,036,854,775,808"),
    ],
)
def test_forged_lengths_are_compared_with_the_file_before_anything_is_read(place, fields, message):
    """In a file of a terabyte, which is empty but for its tables."""
    (place / "forged.beton").write_bytes(foreign_beton.HEADER.pack(*fields) + foreign_beton.beton()[24:])
    with (place / "forged.beton").open("rb+") as file:
        file.truncate(1 << 40)
    assert message in in_a_process(f"read_beton(Path({str(place / 'forged.beton')!r}))", 100)
    (place / "forged.beton").unlink()


def replaced(content, old, new):
    assert content.count(old) >= 1
    return content.replace(old, new.ljust(len(old), b"\0"))


def test_payloads_must_have_the_size_that_their_record_or_field_says(place):
    content = foreign_beton.beton()
    note = struct.pack("<Q", 14)
    at = content.index(note)
    assert "sample 0 has an impossible 'note': 14 bytes, for a record that says" in verdict(
        place, content[:at] + struct.pack("<Q", 15) + content[at + 8 :]
    )
    arguments = foreign_beton.array_arguments()
    for changed in (
        foreign_beton.array_arguments(shape=(2, 4)),
        foreign_beton.array_arguments(shape=(1 << 63, 1 << 63)),
        foreign_beton.array_arguments(described=b'[["", "<f8"]]'),
    ):
        assert "sample 0 has an impossible 'array': 24 bytes" in verdict(place, replaced(content, arguments, changed))
    for described in (b"[[[[[[[[[[[[[", b'[["", "|O"]]', b'[["", "<q7"]]'):
        changed = foreign_beton.array_arguments(described=described)
        assert "the type of the arrays in 'array' cannot be read" in verdict(
            place, replaced(content, arguments, changed)
        )


def test_fields_that_nobody_but_their_maker_knows_are_refused_by_name(place):
    content = foreign_beton.beton()
    names = replaced(content, b"\x00score", b"\xffscore")
    assert "the field 'score' is of a type of its maker's own" in verdict(place, names)
    assert "the field 'score' is of the type 9" in verdict(place, replaced(content, b"\x00score", b"\x09score"))
    for name in (b"sc\x1bre", b"sc\x7fre", b"sc\xf6re"):
        assert "expected printable ASCII" in verdict(place, replaced(content, b"score", name))


def test_an_empty_payload_is_refused_and_said_to_be_one(place):
    content = bytearray(foreign_beton.beton())
    content[-8:] = bytes(8)
    assert "sample 5 has an empty payload, which FFCV confuses" in verdict(place, bytes(content))


@pytest.mark.parametrize("left", [-10, -24, -100_000, 9_000])
def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(place, monkeypatch, left):
    """It is cut once its header has been read; the reader's buffer holds the first 8 KiB."""
    path, content = place / "shrinks.beton", foreign_beton.beton(300)
    path.write_bytes(content)
    monkeypatch.setattr(file, "_check_header", lambda *_: os.truncate(path, left % len(content)))
    with pytest.raises(ArtifactError, match=r"shrinks\.beton: is no sound beton: it became shorter while it was read"):
        read_beton(path)


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    (tmp_path / "a.beton").mkdir()
    with pytest.raises(ArtifactError, match=r"a\.beton: is no sound beton: it is not a file"):
        read_beton(tmp_path / "a.beton")


def test_the_json_is_compared_with_the_tables_without_reading_the_file(sound, place):
    content, beside, _ = sound
    (place / "q.json").write_bytes(beside)
    (place / "q.beton").write_bytes(content)
    info = BetonInfo.load(place / "q.json")
    compare_with_json(read_beton(place / "q.beton"), info)
    record = HEADER.itemsize + DESCRIPTOR.itemsize * 3
    for at, value, message in (
        (record + 16, 1, "14 images with the label 0, but q.json beside it says 15"),
        (record + 16, 3, "sample 0 has the label 3, but q.json beside it says 3 classes, from 0"),
        (record + 17, 255, "sample 0 has the label 65,280, but q.json"),
    ):
        changed = bytearray(content)
        changed[at] = value
        (place / "q.beton").write_bytes(changed)
        with pytest.raises(ArtifactError, match=message):
            compare_with_json(read_beton(place / "q.beton"), info)
    (place / "q.beton").write_bytes(content)
    for change in ({"bytes": 7}, {"num_images": 42}, {"max_width": 231}, {"max_height": 0}):
        with pytest.raises(ArtifactError, match="q.json beside it says"):
            compare_with_json(read_beton(place / "q.beton"), replace(info, **change))


PAGE = foreign_beton.SMALL_PAGE
TABLES = 24 + 1041 + 3 * 16  # bytes before the first payload of three: header, one descriptor, records


def test_payloads_may_touch_each_other_their_page_and_the_tables(place):
    for payloads in (
        [(PAGE, 10), (PAGE + 10, 20), (2 * PAGE, PAGE)],
        [(TABLES, 10), (2 * PAGE - 5, 5), (3 * PAGE - 1, 1)],
        [(2 * PAGE, 7), (PAGE + 3, 9), (PAGE, 3)],  # in any order
    ):
        assert verdict(place, foreign_beton.of_payloads(*payloads)) is None


@pytest.mark.parametrize(
    ("payloads", "bad"),
    [
        ([(PAGE, 11), (PAGE + 10, 20), (2 * PAGE, 9)], 1),  # begins a byte before the one before it ends
        ([(PAGE, 10), (2 * PAGE, 9), (PAGE, 10)], 2),  # two samples share a payload
        ([(PAGE, 99), (2 * PAGE, 9), (PAGE + 9, 3)], 2),  # within another
        ([(PAGE, 10), (2 * PAGE - 5, 6), (2 * PAGE + 9, 9)], 1),  # a byte over the end of its page
        ([(PAGE, 10), (PAGE + 10, PAGE), (2 * PAGE + 10, 9)], 1),  # no longer than a page, but in two
        ([(PAGE, 2 * PAGE), (3 * PAGE - 2, 1), (3 * PAGE - 1, 1)], 0),  # two pages long
        ([(TABLES - 1, 10), (PAGE, 9), (PAGE + 9, 9)], 0),  # begins within the records
        ([(PAGE, 10), (PAGE + 10, 2**64 - 5), (2 * PAGE, 9)], 1),  # a negative size, were it signed
        ([(PAGE, 10), (PAGE + 10, 9), (2**63 - 5, 5)], 2),  # whose end is no 64-bit number
        ([(PAGE, 10), (PAGE + 10, 9), (2**63 - 5, 2**63 - 1)], 2),
    ],
)
def test_a_payload_that_overlaps_another_or_leaves_its_page_or_the_pages_is_named(place, payloads, bad):
    at, size = payloads[bad]
    size -= 2**64 if size >= 2**63 else 0
    said = verdict(place, foreign_beton.of_payloads(*payloads))
    assert f"sample {bad} has an impossible payload: {size:,} bytes at {at:,}" in (said or "")


def test_a_payload_that_reaches_into_the_allocation_table_is_named(place):
    payloads = (PAGE, 10), (PAGE + 10, 9), (PAGE + 95, 6)
    assert verdict(place, foreign_beton.of_payloads(*payloads, end=PAGE + 101)) is None
    assert "sample 2 has an impossible payload: 6 bytes" in verdict(
        place, foreign_beton.of_payloads(*payloads, end=PAGE + 100)
    )
