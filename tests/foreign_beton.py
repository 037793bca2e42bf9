"""A beton built byte by byte from the description of the format, by none of the package's code.

Fields: image (JPEG or raw), label, note (JSON), array (2 x 3 float32), score (float). Pages of 2 MiB.
"""

import io
import json
import struct

import numpy as np
from PIL import Image

PAGE, SMALL_PAGE = 1 << 21, 1 << 16  # bytes; FFCV has none smaller
FIELDS = ("image", 2), ("label", 1), ("note", 5), ("array", 4), ("score", 0)
RECORD = struct.Struct("<BHHQ3xqQQQd")  # the image's 13 bytes, then padding to the next multiple of 8
HEADER, DESCRIPTOR, ALLOCATION = struct.Struct("<HHIQQ"), struct.Struct("<B16s1024s"), struct.Struct("<QQQ")


def array_arguments(shape=(2, 3), described=b'[["", "<f4"]]'):
    """What FFCV keeps of an array field: 32 sides, the length of the type's description, the description."""
    sides = [*shape, *[0] * (32 - len(shape))]
    return struct.pack("<32QQ", *sides, len(described)) + described


def descriptors(fields=FIELDS, arguments=None):
    arguments = {"array": array_arguments()} if arguments is None else arguments
    return b"".join(DESCRIPTOR.pack(kind, name.encode(), arguments.get(name, b"")) for name, kind in fields)


def jpeg(number, size=(24, 16)):
    data = io.BytesIO()
    Image.new("RGB", size, (40 * number % 256, 90, 30)).save(data, "JPEG")
    return data.getvalue()


def beton(num_samples=6, *, labels=None, images=None, sizes=None, page_size=PAGE):
    """The bytes of a whole beton. images: JPEGs; every third is raw where they are not given."""
    labels = [i % 3 for i in range(num_samples)] if labels is None else labels
    start = HEADER.size + len(descriptors()) + RECORD.size * num_samples
    at = page_start = -(-start // page_size) * page_size
    records, pages, table = b"", b"", b""
    for i in range(num_samples):
        is_raw = images is None and i % 3 == 2
        width, height = sizes[i] if sizes else (24, 16)
        image = bytes(range(256)) * 4 + bytes(128) if is_raw else jpeg(i) if images is None else images[i]
        note = json.dumps({"number": i}).encode() + b"\0"
        array = np.full((2, 3), i, "<f4").tobytes()
        places = []
        for payload in (image, note, array):
            table += ALLOCATION.pack(i, at, len(payload))
            places.append(at)
            pages += payload
            at += len(payload)
        records += RECORD.pack(is_raw, width, height, places[0], labels[i], places[1], len(note), places[2], i / 2)
    end = -(-at // page_size) * page_size
    head = HEADER.pack(2, len(FIELDS), page_size, num_samples, end) + descriptors() + records
    return head.ljust(page_start, b"\0") + pages.ljust(end - page_start, b"\0") + table


def of_payloads(*payloads, end=3 * SMALL_PAGE):
    """A beton of one field of bytes whose payloads, (position, size), lie where they are told to. All are zeros."""
    records = b"".join(struct.pack("<QQ", at, size) for at, size in payloads)
    table = b"".join(ALLOCATION.pack(i, at, size) for i, (at, size) in enumerate(payloads))
    head = HEADER.pack(2, 1, SMALL_PAGE, len(payloads), end) + descriptors([("bytes", 3)], {}) + records
    return head.ljust(end, b"\0") + table


def values(content):
    """What FFCV would read: per sample (mode, width, height, label, note, array, score, image's bytes)."""
    _, num_fields, _, num_samples, table_at = HEADER.unpack_from(content)
    lengths = {at: size for _, at, size in ALLOCATION.iter_unpack(content[table_at:])}
    found = []
    for i in range(num_samples):
        record = RECORD.unpack_from(content, HEADER.size + DESCRIPTOR.size * num_fields + RECORD.size * i)
        mode, width, height, image, label, note, note_size, array, score = record
        payloads = (content[at : at + lengths[at]] for at in (image, note, array))
        found.append((mode, width, height, label, score, note_size, *payloads))
    return found
