"""Opening images with Pillow: every fault of a file is one ImageError with a reason, wherever files are opened."""

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rescale_fast
from rescale_fast.errors import ImageError
from rescale_fast.files.images import image_bytes, image_kind, open_image
from rescale_fast.image_subset.near_duplicates import perceptual_hashes
from rescale_fast.report.pictures import thumbnail
from tests.photos import bad_files, encoded, photo, write_files


@pytest.fixture
def faulty(rng, tmp_path):
    """Files that are no image, by the reason that is expected of each."""
    bad = {name: content for name, (content, _) in bad_files(rng).items()}
    bad["deflate.png"] = encoded(photo(rng, 40, 30), "PNG")[:90] + bytes(60)
    bad["odd.tif"] = b"II*\0\x08\0\0\0\xff\xff" + bytes(range(256)) * 4
    write_files(tmp_path, bad)
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    return sorted(tmp_path.iterdir())


def test_every_fault_is_one_error_with_a_reason(faulty):
    reasons = {}
    for path in faulty:
        with pytest.raises(ImageError) as caught, open_image(path) as image:
            image.convert("RGB")
        assert str(caught.value) == f"{path}: {caught.value.reason}"
        assert str(path.parent) not in caught.value.reason
        reasons[path.name] = caught.value.reason
    assert reasons["empty.jpg"] == "empty: 0 bytes"
    assert reasons["folder.jpg"] == reasons["pipe.jpg"] == "not a file"
    assert reasons["loop.jpg"] == "Too many levels of symbolic links"
    assert "exceeds limit of 178956970 pixels" in reasons["bomb.jpg"]
    assert reasons["text.jpg"] == "cannot identify image file 'text.jpg'"


def test_the_other_ways_in_answer_faults_alike(faulty):
    hashes, was_read = perceptual_hashes(faulty[0].parent, [path.name for path in faulty])
    assert not was_read.any()
    assert not hashes.any()
    assert [thumbnail(path, 20) for path in faulty] == [None] * len(faulty)
    for path in faulty:
        if not path.name.startswith(("cut", "header", "deflate")):  # their headers are those of images
            with pytest.raises(ImageError):
                image_kind(path)
    with pytest.raises(ImageError, match="not a file"):
        image_bytes(faulty[0].parent / "pipe.jpg")


def test_formats_that_start_other_programs_are_no_images(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "EPS"
    with pytest.raises(ImageError, match="cannot identify"):
        image_kind(tmp_path / "a.jpg")


def test_what_fails_while_an_image_is_worked_on_is_its_fault_too(rng, tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(photo(rng, 8, 8), "PNG"))
    for error, reason in ((MemoryError(), "too large for the memory"), (KeyError("x"), "KeyError: 'x'")):
        with pytest.raises(ImageError, match=reason), open_image(tmp_path / "a.png"):
            raise error
    with pytest.raises(KeyboardInterrupt), open_image(tmp_path / "a.png"):
        raise KeyboardInterrupt


def test_a_sound_file_is_opened_with_its_kind_and_bytes(rng, tmp_path):
    image = photo(rng, 31, 20)
    for name, form, kind in (("a.JPEG", "JPEG", "jpg"), ("b.jpg", "PNG", "png"), ("c", "TIFF", "tif")):
        (tmp_path / name).write_bytes(encoded(image, form))
        assert image_kind(tmp_path / name) == kind
        assert image_bytes(tmp_path / name) == (tmp_path / name).read_bytes()
        with open_image(tmp_path / name) as opened:
            assert np.abs(np.asarray(opened.convert("RGB")).astype(int) - np.asarray(image)).mean() < 8


def test_an_image_error_survives_a_process_pool():
    error = pickle.loads(pickle.dumps(ImageError(Path("a.jpg"), "empty: 0 bytes")))
    assert (str(error), error.reason) == ("a.jpg: empty: 0 bytes", "empty: 0 bytes")


def test_files_are_opened_with_pillow_in_one_place():
    package = Path(rescale_fast.__file__).parent
    loaders = {"predictions/_loader_torchvision.py", "loaders/_torchvision.py"}  # the peer; payloads in memory
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bImage\.open\(", path.read_text(encoding="utf-8"))
    }
    assert found - loaders == {"files/images.py"}
