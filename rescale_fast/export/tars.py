"""Tars as webdataset reads them: for each image <row>.<jpg, png, ...>, <row>.cls (its label) and <row>.json."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rescale_fast.export.source import SourceImage
from rescale_fast.files.images import name_as_text
from rescale_fast.image_subset.types import ImageSubset

SHARD_BYTES = 1 << 30


def write_tars(target: Path, images: Iterator[SourceImage], subset: ImageSubset) -> None:
    """Write shards of about a GiB, 00000.tar and on; the same bytes on every run."""
    from webdataset.writer import TarWriter

    number, size = 0, SHARD_BYTES
    with ExitStack() as opened:
        for image in images:
            if size >= SHARD_BYTES:
                opened.close()
                file = opened.enter_context((target / f"{number:05d}.tar").open("wb"))
                shard = opened.enter_context(TarWriter(file, mtime=0))
                number, size = number + 1, 0
            facts = {
                "class_id": subset.class_ids[image.label],
                "index": image.row,
                "file": name_as_text(image.path.name),
            }
            sample = {image.kind: image.content, "cls": image.label, "json": facts}
            size += shard.write({"__key__": f"{image.row:08d}", **sample})
