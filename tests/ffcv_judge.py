"""Run by test_ffcv.py in a process of its own: what stock FFCV reads from betons of ours, and we from one of FFCV's.

    python -m tests.ffcv_judge FOLDER

Importing FFCV changes torch's threads, and it compiles each pipeline, so this is one process for all.
"""

import io
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from rescale_fast.beton.check import check_beton, find_bad_images
from rescale_fast.beton.edit import append_beton, cut_beton, merge_betons, relabel_beton
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from rescale_fast.loaders import beton_loader
from rescale_fast.small.parts import StoredPixels, load_part, save_part
from rescale_fast.small.pixel_beton import write_pixels
from tests import foreign_beton
from tests.photos import NOWHERE, faulty_jpegs, odd_files, photo, plain_jpegs, subset_of, write_files

warnings.simplefilter("ignore")

from ffcv.fields import (  # noqa: E402
    BytesField,
    FloatField,
    IntField,
    JSONField,
    NDArrayField,
    RGBImageField,
    TorchTensorField,
)
from ffcv.fields.basics import FloatDecoder, IntDecoder  # noqa: E402
from ffcv.fields.bytes import BytesDecoder  # noqa: E402
from ffcv.fields.ndarray import NDArrayDecoder  # noqa: E402
from ffcv.fields.rgb_image import (  # noqa: E402
    CenterCropRGBImageDecoder,
    RandomResizedCropRGBImageDecoder,
    SimpleRGBImageDecoder,
)
from ffcv.libffcv import imdecode  # noqa: E402
from ffcv.loader import Loader, OrderOption  # noqa: E402
from ffcv.transforms import ToTensor  # noqa: E402
from ffcv.writer import DatasetWriter  # noqa: E402

SEQUENTIAL, RANDOM, QUASI = OrderOption.SEQUENTIAL, OrderOption.RANDOM, OrderOption.QUASI_RANDOM


def read(path, decoder, order=SEQUENTIAL, os_cache=True):
    """(indices, labels, images) that FFCV gives."""
    numbers = [[IntDecoder(), ToTensor()] for _ in range(2)]
    loader = Loader(
        str(path),
        batch_size=7,
        num_workers=2,
        order=order,
        os_cache=os_cache,
        drop_last=False,
        seed=1,
        pipelines={"image": [decoder, ToTensor()], "label": numbers[0], "index": numbers[1]},
    )
    batches = [(i.numpy().ravel().copy(), y.numpy().ravel().copy(), x.numpy().copy()) for x, y, i in loader]
    return tuple(np.concatenate(column) for column in zip(*batches, strict=True))


def centre(pixels, side):
    """What CenterCrop(side, ratio=1) makes of an image, by OpenCV."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    y, x = (height - short) // 2, (width - short) // 2
    return cv2.resize(pixels[y : y + short, x : x + short], (side, side), interpolation=cv2.INTER_AREA)


def stored_image(record, payload):
    if record["mode"] == 0:
        return Image.open(io.BytesIO(payload)).convert("RGB")
    return Image.frombytes("RGB", (int(record["width"]), int(record["height"])), payload)


def passthrough_in_every_order_and_cache(folder, rng):
    files = plain_jpegs(rng) | odd_files(rng)
    names = write_files(folder / "set", files)
    labels = rng.integers(0, 3, len(names))
    labels[:3] = 0, 1, 2
    subset = subset_of(names, labels)
    for scale, orders in (("8/8", (SEQUENTIAL, RANDOM, QUASI)), ("4/8", (SEQUENTIAL,)), ("5/8", (SEQUENTIAL,))):
        path = folder / "passthrough.beton"
        export_beton(folder / "set", subset, "val", path, ExportSettings(scale=scale), NOWHERE, page_size=1 << 21)
        beton, content = read_beton(path), path.read_bytes()
        for order in orders:
            for os_cache in (True, False) if scale == "8/8" else (True,):
                rows, found, images = read(path, CenterCropRGBImageDecoder((16, 16), 1.0), order, os_cache)
                assert sorted(rows) == list(range(len(names)))
                assert order != SEQUENTIAL or rows.tolist() == sorted(rows)
                np.testing.assert_array_equal(found, labels[rows])
                for row, image in zip(rows, images, strict=True):
                    at, size, record = beton.pointers[row, 0], beton.sizes[row, 0], beton.records["f0"][row]
                    whole = stored_image(record, content[at : at + size])
                    shown = whole.resize((int(record["width"]), int(record["height"])), Image.Resampling.BOX)
                    if scale != "8/8" and min(shown.size) < 16:
                        continue  # so small that the scaled DCT and a box filter differ
                    difference = np.abs(centre(np.asarray(shown), 16).astype(int) - image).mean()
                    assert difference < 4, f"{names[row]} at {scale}: {difference:.1f}"  # FFCV's DCT is a fast one


def raw_and_resized_as_ffcv_writes_them(folder, rng):
    pictures = [photo(rng, 120, 90) for _ in range(40)]
    names = write_files(folder / "same", {f"{i}.jpg": _jpeg(one) for i, one in enumerate(pictures)})
    decoded = [np.asarray(Image.open(folder / "same" / name).convert("RGB")) for name in names]
    labels = np.arange(40) % 3

    class Samples:
        def __len__(self):
            return 40

        def __getitem__(self, i):
            return decoded[i], int(labels[i]), i

    def ffcv(path, **image):
        fields = {"image": RGBImageField(**image), "label": IntField(), "index": IntField()}
        DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(Samples())
        return read(path, SimpleRGBImageDecoder())[2]

    def ours(path, **settings):
        export_beton(folder / "same", subset_of(names, labels), "val", path, ExportSettings(**settings), NOWHERE)
        return read(path, SimpleRGBImageDecoder())

    rows, found, images = ours(folder / "raw.beton", store="raw")
    np.testing.assert_array_equal(images, ffcv(folder / "theirs.beton", write_mode="raw"))
    assert rows.tolist() == list(range(40))
    np.testing.assert_array_equal(found, labels)

    small = ours(folder / "small.beton", store="resize", resize_by="cap", resize_side=64)[2].astype(float)
    theirs = ffcv(folder / "theirs.beton", write_mode="jpg", max_resolution=64, jpeg_quality=90).astype(float)
    psnr = 10 * np.log10(255**2 / ((small - theirs) ** 2).mean())
    print(f"PSNR of resized images against FFCV's: {psnr:.1f} dB")
    assert psnr > 26

    indices, _, crops = read(folder / "small.beton", RandomResizedCropRGBImageDecoder((32, 32)), RANDOM)
    assert sorted(indices) == list(range(40))
    assert np.abs(crops.mean((1, 2, 3)) - small[indices].mean((1, 2, 3))).mean() < 15


def editing_what_ffcv_wrote(folder):
    theirs, edited = folder / "theirs.beton", folder / "edited.beton"
    check_beton(theirs)
    assert not find_bad_images(theirs)
    images = read(theirs, SimpleRGBImageDecoder())[2]
    cut_beton(theirs, edited, np.array([7, 3, 39, 3]))
    rows, _, got = read(edited, SimpleRGBImageDecoder())
    assert rows.tolist() == [7, 3, 39, 3]
    np.testing.assert_array_equal(got, images[[7, 3, 39, 3]])
    merge_betons([theirs, theirs], folder / "merged.beton")
    np.testing.assert_array_equal(
        read(folder / "merged.beton", SimpleRGBImageDecoder())[2], np.tile(images, (2, 1, 1, 1))
    )
    relabel_beton(theirs, folder / "labels.beton", np.arange(40) % 5)
    rows, labels, got = read(folder / "labels.beton", SimpleRGBImageDecoder())
    assert (labels.tolist(), rows.tolist()) == ([i % 5 for i in range(40)], list(range(40)))
    np.testing.assert_array_equal(got, images)


def down_sampled_pixels(folder, rng):
    target, labels = folder / "pixels.beton", np.arange(40) % 3
    for channels in (3, 1):
        planes = rng.integers(0, 256, (40, channels, 12, 12), np.uint8)
        save_part(folder / "part.npz", "", planes.reshape(40, -1), np.arange(40), {})
        stored = StoredPixels([load_part(folder / "part.npz", "")])
        write_pixels(target, stored, labels, 12, lambda count, note="": None)
        rows, found, images = read(target, SimpleRGBImageDecoder())
        assert (rows.tolist(), found.tolist()) == (list(range(40)), labels.tolist())
        np.testing.assert_array_equal(images, np.broadcast_to(planes, (40, 3, 12, 12)).transpose(0, 2, 3, 1))


def all_kinds_of_fields_that_ffcv_writes(folder, rng):
    """Fields in another order and of other names, on pages of another size, JPEG and raw at random."""
    images = [rng.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(30)]
    arrays, blobs = rng.normal(size=(30, 3, 5)).astype(np.float32), rng.integers(0, 256, (30, 9000), np.uint8)

    class Samples:
        def __len__(self):
            return 30

        def __getitem__(self, i):
            array = arrays[i]
            return i / 2, {"number": int(i)}, blobs[i, : 10 + 250 * i], array, torch.from_numpy(array), i % 3, images[i]

    fields = {
        "score": FloatField(),
        "note": JSONField(),
        "blob": BytesField(),
        "array": NDArrayField(np.dtype("float32"), (3, 5)),
        "tensor": TorchTensorField(torch.float32, (3, 5)),
        "label": IntField(),
        "a name cut off here": RGBImageField(write_mode="proportion", compress_probability=0.5),
    }
    theirs, ours = folder / "fields.beton", folder / "fields-edited.beton"
    DatasetWriter(str(theirs), fields, num_workers=2, page_size=1 << 25).from_indexed_dataset(Samples(), chunksize=4)
    check_beton(theirs)
    assert not find_bad_images(theirs)
    rows = [29, 0, 0, 7]
    cut_beton(theirs, ours, np.array(rows))
    append_beton(ours, [theirs])
    ours.with_suffix(".json").unlink()
    append_beton(ours, [theirs])
    check_beton(append_beton(ours, [theirs]) and ours)
    rows += 3 * list(range(30))
    loader = Loader(
        str(ours),
        batch_size=7,
        num_workers=2,
        order=SEQUENTIAL,
        drop_last=False,
        pipelines={
            "note": [BytesDecoder()],
            "blob": None,
            "array": [NDArrayDecoder()],
            "tensor": [NDArrayDecoder(), ToTensor()],
            "score": [FloatDecoder()],
            "label": [IntDecoder()],
            "a name cut off h": None,
        },
    )
    batches = [[np.array(column) for column in batch] for batch in loader]  # copies: FFCV uses its buffers again
    names = [name for name in loader.reader.handlers if name not in ("blob", "a name cut off h")]
    by_name = {name: np.concatenate(column) for name, *column in zip(names, *batches, strict=True)}
    assert by_name["score"].ravel().tolist() == [row / 2 for row in rows]
    assert [one["number"] for one in JSONField.unpack(by_name["note"])] == rows
    assert by_name["label"].ravel().tolist() == [row % 3 for row in rows]
    np.testing.assert_array_equal(by_name["array"], arrays[rows])
    np.testing.assert_array_equal(by_name["tensor"], arrays[rows])
    records = read_beton(theirs).records["f6"][rows]
    for column in ("mode", "width", "height"):
        np.testing.assert_array_equal(loader.reader.metadata["f6"][column], records[column])


def the_usual_loop_and_small_images_without_loss(folder, rng):
    """`for images, target in Loader(...)`, on a beton without an index."""
    pixels = rng.integers(0, 256, (600, 12, 16, 3), dtype=np.uint8)
    files = {}
    for number, one in enumerate(pixels):
        data = io.BytesIO()
        Image.fromarray(one).save(data, ("PNG", "BMP", "TIFF")[number % 3])
        files[f"{number:03d}.png"] = data.getvalue()
    labels = np.arange(600) % 3
    subset = subset_of(write_files(folder / "small", files), labels)
    for split in ("train", "val"):
        path = folder / f"two-{split}.beton"
        export_beton(folder / "small", subset, split, path, ExportSettings(index=False), NOWHERE)
        check_beton(path)
        assert [field.name for field in read_beton(path).fields] == ["image", "label"]
    path = folder / "two-val.beton"
    assert path.stat().st_size < 4.3e6, "pages of 8 MiB would make it 16.8 MB"
    for os_cache in (True, False):
        pipelines = {"image": [SimpleRGBImageDecoder(), ToTensor()], "label": [IntDecoder(), ToTensor()]}
        loader = Loader(str(path), batch_size=100, num_workers=2, os_cache=os_cache, pipelines=pipelines)
        read = [(images.numpy().copy(), target.numpy().ravel().copy()) for images, target in loader]
        np.testing.assert_array_equal(np.concatenate([images for images, _ in read]), pixels)
        np.testing.assert_array_equal(np.concatenate([target for _, target in read]), labels)
    merge_betons([path, folder / "two-train.beton"], folder / "merged.beton")
    cut_beton(folder / "merged.beton", folder / "cut.beton", np.arange(600, 1200))
    for name in ("two-val.beton", "cut.beton"):
        val = beton_loader(folder / name, split="val", batch_size=100, image_size=16, augment="shift", index=False)
        assert torch.cat([target for _, target in val]).tolist() == labels.tolist()


def loaders_of_ours_on_betons_of_ffcvs(folder, rng):
    images = rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)

    class Samples:
        def __init__(self, *columns):
            self.columns = columns

        def __len__(self):
            return 20

        def __getitem__(self, i):
            return tuple(column[i] for column in self.columns)

    labels = [i % 4 for i in range(20)]
    usual = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    DatasetWriter(str(folder / "usual.beton"), usual, num_workers=1).from_indexed_dataset(Samples(images, labels))
    two = {"front": RGBImageField(write_mode="raw"), "back": RGBImageField(write_mode="jpg"), "size": FloatField()}
    two |= {"label": IntField(), "group": IntField()}
    columns = (images[::-1], images, [float(i) for i in range(20)], labels, labels[::-1])
    DatasetWriter(str(folder / "two.beton"), two, num_workers=1).from_indexed_dataset(Samples(*columns))
    shape = {"split": "val", "batch_size": 8, "image_size": 16, "augment": "shift"}
    for name, which, wanted in (("usual", {}, images), ("two", {"image_field": "front"}, images[::-1])):
        for kind in ("ffcv", "torchvision"):
            loader = beton_loader(folder / f"{name}.beton", **shape, **which, loader=kind)
            batches = [torch.cat(column).numpy() for column in zip(*loader, strict=True)]
            np.testing.assert_array_equal(batches[0].transpose(0, 2, 3, 1), wanted)
            assert batches[1].tolist() == labels
            assert batches[2].tolist() == list(range(20))
    try:
        beton_loader(folder / "two.beton", **shape)
    except SettingError as error:
        assert "of images (RGB): front, back. Say with image_field which one is meant" in str(error), error
    else:
        raise AssertionError("two fields of images")


def errors_are_what_ffcv_leaves_out(folder, rng):
    """FFCV's own decoder, into a buffer of zeros: of errors nothing arrives, of warnings an image does."""
    faulty = faulty_jpegs(rng)
    images = [content for content, _, _ in faulty.values()]
    sizes = [(64, 48)] * len(images)
    path = folder / "faulty.beton"
    path.write_bytes(foreign_beton.beton(len(images), images=images, sizes=sizes))
    kinds = {one.row: one.kind for one in find_bad_images(path)}
    for row, (name, content) in enumerate(zip(faulty, images, strict=True)):
        if name in ("other size", "bomb"):  # decoded, askew
            continue
        buffer = np.zeros((48, 64, 3), np.uint8)
        imdecode(np.frombuffer(content, np.uint8).copy(), buffer, 48, 64, 48, 64, 0, 0, 1, 1, False, False)
        assert (kinds.get(row) == "error") == (not buffer.any()), name


def _jpeg(image):
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return data.getvalue()


if __name__ == "__main__":
    place, generator = Path(sys.argv[1]), np.random.default_rng(5)
    passthrough_in_every_order_and_cache(place, generator)
    raw_and_resized_as_ffcv_writes_them(place, generator)
    editing_what_ffcv_wrote(place)
    down_sampled_pixels(place, generator)
    all_kinds_of_fields_that_ffcv_writes(place, generator)
    errors_are_what_ffcv_leaves_out(place, generator)
    the_usual_loop_and_small_images_without_loss(place, generator)
    loaders_of_ours_on_betons_of_ffcvs(place, generator)
    print("all is well")
