"""Parquet with the bytes of the images, as Hugging Face's `datasets` reads it: image, label (with its names), index."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from rescale_fast.export.source import SourceImage
from rescale_fast.files.images import name_as_text
from rescale_fast.image_subset.types import ImageSubset

GROUP_IMAGES = 100  # a row group: what a reader takes at once
SHARD_GROUPS = 100


def write_parquet(target: Path, images: Iterator[SourceImage], subset: ImageSubset) -> None:
    """Write shards of 10,000 images, 00000.parquet and on, in row groups of 100."""
    import pyarrow.parquet as pq

    schema = _schema(subset)
    number = 0
    with ExitStack() as opened:
        while group := list(islice(images, GROUP_IMAGES)):
            if number % SHARD_GROUPS == 0:
                opened.close()
                path = target / f"{number // SHARD_GROUPS:05d}.parquet"
                shard = opened.enter_context(pq.ParquetWriter(path, schema, compression="none"))  # JPEGs are small
            shard.write_table(_table(group, schema))
            number += 1


def _schema(subset: ImageSubset) -> Any:
    import pyarrow as pa

    features = {
        "image": {"_type": "Image"},
        "label": {"_type": "ClassLabel", "names": list(subset.class_ids)},
        "index": {"_type": "Value", "dtype": "int64"},
    }
    columns = {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "label": pa.int64(),
        "index": pa.int64(),
    }
    return pa.schema(columns, {"huggingface": json.dumps({"info": {"features": features}})})


def _table(group: Sequence[SourceImage], schema: Any) -> Any:
    import pyarrow as pa

    columns = {
        "image": [{"bytes": image.content, "path": name_as_text(image.path.name)} for image in group],
        "label": [image.label for image in group],
        "index": [image.row for image in group],
    }
    return pa.table(columns, schema)
