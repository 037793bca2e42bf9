"""Photograph-like images, and files with every oddity that people have on their disks."""

import io
import struct

import numpy as np
from PIL import Image

from rescale_fast.artifact import Origin
from rescale_fast.image_subset.types import ImageSubset, SubsetImages

NOWHERE = Origin({}, {})


def photo(rng, width, height):
    """Smooth shapes under noise."""
    small = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + rng.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8))


def encoded(image, form="JPEG", **options):
    data = io.BytesIO()
    image.save(data, form, **({"quality": 90} if form == "JPEG" else {}) | options)
    return data.getvalue()


def plain_jpegs(rng):
    """JPEGs that any decoder reads: {name: bytes}."""
    files = {}
    for i, size in enumerate([(32, 32), (1, 1), (7, 3), (200, 150), (150, 201), (17, 230)]):
        image = photo(rng, *size)
        files[f"baseline{i}.jpg"] = encoded(image)
        files[f"progressive{i}.jpg"] = encoded(image, progressive=True)
        files[f"full-chroma{i}.jpg"] = encoded(image, subsampling=0)
        files[f"half-chroma{i}.jpg"] = encoded(image, subsampling=1)
        files[f"grey{i}.jpg"] = encoded(image.convert("L"))
        files[f"restarts{i}.jpg"] = encoded(image, restart_marker_blocks=2)
        files[f"rgb{i}.jpg"] = encoded(image, keep_rgb=True)
    files["trailing.jpg"] = encoded(photo(rng, 40, 30)) + b"more" * 10
    return files


def odd_files(rng):
    """Files that can be read, but whose bytes FFCV would misread: {name: (bytes, how they are stored)}."""
    deep = Image.fromarray((np.arange(48 * 64).reshape(48, 64) * 21).astype(np.uint16))
    return {
        "cmyk.jpg": (encoded(photo(rng, 64, 48).convert("CMYK")), "converted: CMYK or YCCK"),
        "png.jpg": (encoded(photo(rng, 64, 48), "PNG"), "raw pixels: a small file, not a JPEG"),
        "deep.png": (encoded(deep, "PNG"), "raw pixels: a small file, not a JPEG"),
        "webp.jpg": (encoded(photo(rng, 64, 48), "WEBP"), "raw pixels: a small file, not a JPEG"),
        "wide.jpg": (encoded(photo(rng, 20_000, 40)), "converted: above --max-side"),
    }


def bad_files(rng):
    """Files that no image comes out of: {name: (bytes, a word of the reason)}."""
    bomb = bytearray(encoded(photo(rng, 64, 64)))
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
    return {
        "empty.jpg": (b"", "0 bytes"),
        "text.jpg": (b"hello, world", "cannot identify"),
        "cut.jpg": (encoded(photo(rng, 300, 200))[:3000], "truncated"),
        "header.jpg": (encoded(photo(rng, 30, 20))[:200], "(?i)truncated"),
        "bomb.jpg": (bytes(bomb), "65000 x 65000 pixels: more than"),
    }


def faulty_jpegs(rng):
    """JPEGs by what becomes of them: {name: (bytes, kind, part of the reason)}."""
    jpeg, large = encoded(photo(rng, 64, 48)), bytearray(encoded(photo(rng, 64, 48)))
    frame = large.index(b"\xff\xc0")
    large[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    scan = jpeg.index(b"\xff\xda")
    tables = bytearray(jpeg)
    tables[tables.index(b"\xff\xc4") + 5 : tables.index(b"\xff\xc4") + 21] = bytes([255] * 16)  # codes of each length
    return {
        "fine": (jpeg, None, ""),
        "no end": (jpeg[:-2], "warning", "Premature end of JPEG file"),
        "half": (jpeg[: scan + (len(jpeg) - scan) // 2], "warning", "Premature end of JPEG file"),
        "more in the scan": (jpeg[:-2] + b"abc\xff\xd9", None, ""),  # behind the last block no decoder looks
        "before a marker": (jpeg[:20] + b"abcd" + jpeg[20:], "warning", "extraneous bytes before marker"),
        "huffman": (bytes(tables), "error", "does not decode: Bogus Huffman table definition"),
        "header alone": (jpeg[: scan - 200], "error", ""),
        "PNG": (encoded(photo(rng, 64, 48), "PNG"), "error", "is no JPEG"),
        "zeros": (bytes(500), "error", "is no JPEG"),
        "CMYK": (encoded(photo(rng, 64, 48).convert("CMYK")), "error", "is a CMYK or YCCK JPEG"),
        "other size": (encoded(photo(rng, 65, 48)), "error", "is 65 x 48 pixels, its record says 64 x 48 pixels"),
        "bomb": (bytes(large), "error", "60000 x 60000 pixels: more than the limit of 178956970"),
    }


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content[0] if isinstance(content, tuple) else content)
    return tuple(files)


def subset_of(names, labels=None, class_ids=("a", "b", "c")):
    """An ImageSubset of these files, in this order, as both splits."""
    labels = np.arange(len(names)) % len(class_ids) if labels is None else np.asarray(labels)
    images = SubsetImages(("val",) * len(names), np.arange(len(names)), tuple(names), 10 + labels, labels)
    return ImageSubset(NOWHERE, tuple(class_ids), tuple(class_ids), images, images)
