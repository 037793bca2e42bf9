"""Exports an ImageSubset as files that are not betons: a folder, webdataset tars or parquet. No image is decoded.

One folder a split. It gets its name when all is in it, and holds a hidden JSON (FilesInfo) with what it was made from.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rescale_fast.artifact import Origin, write_whole_folder
from rescale_fast.errors import OutputError
from rescale_fast.export.folder import write_folder
from rescale_fast.export.parquet import write_parquet
from rescale_fast.export.settings import FilesSettings
from rescale_fast.export.source import SourceImage, SourceImages
from rescale_fast.export.tars import write_tars
from rescale_fast.export.types import FilesInfo
from rescale_fast.files.images import name_as_text
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.settings import Registry
from rescale_fast.types import Track, silent

# Each takes an empty folder, the images in order, and the subset that they are of.
FORMS: Registry[Callable[[Path, Iterator[SourceImage], ImageSubset], None]] = Registry(
    {"folder": partial(write_folder, link="copy"), "webdataset": write_tars, "parquet": write_parquet}
)


def export_files(
    root: Path,
    subset: ImageSubset,
    split: str,
    target: Path,
    settings: FilesSettings,
    origin: Origin,
    *,
    track: Track = silent,
) -> FilesInfo:
    """Write one split of a subset into the folder `target`, which is replaced if an earlier export made it.

    Files are taken as they are, once their headers have been found to be those of images.
    Raises: DatasetError as soon as no image of a class can be read, for the first bad file with --on-bad fail, and for
        a file that the operating system does not give; OutputError when `target` is something else, or
        cannot be written.
    """
    if target.exists() and not (target / FilesInfo.NAME).exists():
        raise OutputError(f"{target}: is there already, and no export made it. Move it away, or pass another --out.")
    is_linked = settings.link != "copy"  # which the form `folder` alone allows
    source = SourceImages(root, subset, split, settings.on_bad, is_linked=is_linked)
    with write_whole_folder(target) as temporary:
        with track(f"Writing {target.name}", total=len(source.images)) as advance:
            images = source.read(advance)
            if is_linked:
                write_folder(temporary, images, subset, settings.link)
            else:
                FORMS[settings.form](temporary, images, subset)
        info = _describe(subset, source, split, settings, temporary, origin)
        info.save(temporary / FilesInfo.NAME)
    return info


def _describe(
    subset: ImageSubset, source: SourceImages, split: str, settings: FilesSettings, made: Path, origin: Origin
) -> FilesInfo:
    files = [path for path in made.rglob("*") if path.is_file()]
    return FilesInfo(
        origin=origin,
        form=settings.form,
        split=split,
        num_images=len(source.images) - len(source.skipped),
        class_ids=subset.class_ids,
        class_names=subset.class_names,
        images_per_class=tuple(source.left.tolist()),
        skipped=tuple(
            {"path": name_as_text(source.images.paths[row]), "reason": why}
            for row, why in sorted(source.skipped.items())
        ),
        num_files=len(files),
        bytes=sum(path.stat().st_size for path in files),
    )
