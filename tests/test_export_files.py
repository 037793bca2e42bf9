"""Exports that keep files as they are: folders, webdataset tars, parquet."""

import contextlib
import errno
import hashlib
import io
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rescale_fast.beton.types import BetonInfo
from rescale_fast.errors import DatasetError, OutputError, RescaleError, SettingError
from rescale_fast.export import folder
from rescale_fast.export.beton import export_beton
from rescale_fast.export.files import export_files
from rescale_fast.export.settings import ExportSettings, FilesSettings
from rescale_fast.export.types import FilesInfo
from tests.photos import NOWHERE, bad_files, encoded, odd_files, photo, plain_jpegs, subset_of, write_files

FORMS = ("folder", "webdataset", "parquet")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of plain, odd and unreadable files, names in order, and the names of those that have an image header."""
    rng, root = np.random.default_rng(3), tmp_path_factory.mktemp("files")
    plain, odd = plain_jpegs(rng), odd_files(rng)
    bad = {name: content for name, (content, _) in bad_files(rng).items() if name in ("empty.jpg", "text.jpg")}
    names = [*write_files(root, plain | odd | bad), "folder.jpg"]
    (root / "folder.jpg").mkdir()
    return root, names, [name for name in names if name not in (*bad, "folder.jpg")]


def export(files, target, form, **settings):
    root, names, _ = files
    return export_files(root, subset_of(names), "val", target, FilesSettings(form, **settings), NOWHERE)


def in_folder(target):
    found = {path.name: ("abc".index(path.parent.name), path.read_bytes()) for path in target.glob("*/*")}
    return [(name, *found[name]) for name in sorted(found)]


def in_tars(target):
    import webdataset

    samples = webdataset.WebDataset([str(path) for path in sorted(target.glob("*.tar"))], shardshuffle=False)
    found = []
    for sample in samples:
        facts = json.loads(sample["json"])
        content = next(sample[kind] for kind in ("jpg", "png", "webp") if kind in sample)
        assert sample["__key__"] == f"{facts['index']:08d}"
        assert facts["class_id"] == "abc"[int(sample["cls"])]
        found.append((facts["file"], int(sample["cls"]), content))
    return sorted(found)


def in_parquet(target):
    import pyarrow.parquet as pq

    table = pq.read_table(target)
    rows = zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)
    return sorted((image["path"], label, image["bytes"]) for image, label in rows)


READERS = dict(zip(FORMS, (in_folder, in_tars, in_parquet), strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_each_form_holds_every_image_as_it_is_and_names_what_is_left_out(files, tmp_path, form):
    root, names, good = files
    info = export(files, tmp_path / form / "val", form)
    expected = sorted((name, names.index(name) % 3, (root / name).read_bytes()) for name in good)
    assert READERS[form](tmp_path / form / "val") == expected
    assert [skipped["path"] for skipped in info.skipped] == ["empty.jpg", "text.jpg", "folder.jpg"]
    assert [skipped["reason"] for skipped in info.skipped] == [
        "empty: 0 bytes",
        "cannot identify image file 'text.jpg'",
        "not a file",
    ]
    assert info.num_images + len(info.skipped) == len(names)
    assert FilesInfo.load(tmp_path / form / "val" / FilesInfo.NAME) == info
    assert [path.name for path in (tmp_path / form).iterdir()] == ["val"]


@pytest.mark.parametrize("form", FORMS)
def test_a_second_run_gives_the_same_files_and_takes_the_place_of_the_first(files, tmp_path, form):
    def digests():
        return {
            path.relative_to(tmp_path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in tmp_path.rglob("*")
            if path.is_file()
        }

    export(files, tmp_path / "out", form)
    first = digests()
    (tmp_path / "out" / "left-over.txt").touch()
    export(files, tmp_path / "out", form)
    assert digests() == first


def test_torchvision_reads_the_folder(files, tmp_path):
    from torchvision.datasets import ImageFolder

    root, names, good = files
    export(files, tmp_path / "val", "folder")
    dataset = ImageFolder(tmp_path / "val")
    assert dataset.classes == ["a", "b", "c"]
    assert len(dataset) == len(good)
    image, label = dataset[0]
    name = Path(dataset.samples[0][0]).name
    assert label == names.index(name) % 3
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(root / name).convert("RGB")))


def test_parquet_says_what_hugging_face_needs_to_know(files, tmp_path):
    import pyarrow.parquet as pq

    export(files, tmp_path / "val", "parquet")
    (shard,) = tmp_path.glob("val/*.parquet")
    features = json.loads(pq.read_schema(shard).metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"_type": "ClassLabel", "names": ["a", "b", "c"]}
    row = pq.read_table(shard).slice(0, 1).to_pylist()[0]
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (32, 32)


def test_hugging_face_datasets_reads_the_parquet(files, tmp_path):
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    _, _, good = files
    export(files, tmp_path / "val", "parquet")
    loaded = datasets.load_dataset(str(tmp_path), split="validation", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == len(good)
    assert loaded.features["label"].names == ["a", "b", "c"]
    assert loaded[0]["image"].size == (32, 32)


@pytest.mark.parametrize("link", ["hard", "symlink"])
def test_links_lead_to_the_source(files, tmp_path, link):
    root, _, good = files
    export(files, tmp_path / "val", "folder", link=link)
    for path in (tmp_path / "val").glob("*/*"):
        assert path.samefile(root / path.name)
        assert path.is_symlink() == (link == "symlink")
    assert len(list((tmp_path / "val").glob("*/*"))) == len(good)


@pytest.mark.parametrize(
    ("link", "code", "what_to_do"),
    [
        ("copy", errno.ENOSPC, "No space left on device. Free some space there"),
        ("copy", errno.EDQUOT, "Free some space there, or pass another --out, or `--link symlink`"),
        ("hard", errno.EXDEV, "It lies on another file system. Pass `--link symlink`, or `copy`"),
        ("hard", errno.EMLINK, "as many names as its file system allows. Pass `--link symlink`, or `copy`"),
        ("hard", errno.EPERM, "you may not link files of others. Pass `--link copy`"),
        ("reflink", errno.EOPNOTSUPP, "cannot share blocks between files"),
        ("symlink", errno.EROFS, "Read-only file system. Check that you may write there"),
    ],
)
def test_a_file_that_cannot_be_put_there_is_named_with_the_cause_and_a_way_out(
    files, tmp_path, monkeypatch, link, code, what_to_do
):
    def refuse(*_):
        raise OSError(code, os.strerror(code), "somewhere")

    monkeypatch.setitem(folder.PLACERS, link, refuse)
    with pytest.raises(OutputError) as caught:
        export(files, tmp_path / "val", "folder", link=link)
    assert f"{files[0] / files[2][0]}: cannot be put into {tmp_path} by --link {link}: " in str(caught.value)
    assert what_to_do in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_named(files, tmp_path):
    (tmp_path / "small").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path / "small"], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        for form in FORMS:
            with pytest.raises(OutputError, match="No space left on device"):
                export(files, tmp_path / "small" / "val", form)
            assert not list((tmp_path / "small").iterdir())
    finally:
        subprocess.run(["umount", tmp_path / "small"], check=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
def test_bombs_pipes_loops_and_odd_names_end_no_export(rng, tmp_path, form):
    """A header of 65,000 x 65,000 pixels, a pipe, a link to itself, a folder; and a name that is no UTF-8."""
    root, odd = tmp_path / "set", os.fsdecode(b"caf\xe9.jpg")
    empty = os.fsdecode(b"g\xf6ne.jpg")
    plain = {name: encoded(photo(rng, 20, 10)) for name in ("a.jpg", odd, "b.jpg")}
    write_files(root, plain | {"bomb.jpg": bad_files(rng)["bomb.jpg"][0], empty: b""})
    os.mkfifo(root / "pipe.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "folder.jpg").mkdir()
    bad = ["bomb.jpg", "pipe.jpg", "loop.jpg", "folder.jpg", empty]
    subset = subset_of([*plain, *bad], [0] * 8, ("a",))
    info = export_files(root, subset, "val", tmp_path / "out", FilesSettings(form), NOWHERE)
    assert [skipped["path"] for skipped in info.skipped] == [*bad[:4], r"g\xf6ne.jpg"]
    reasons = [skipped["reason"] for skipped in info.skipped]
    assert "exceeds limit of 178956970 pixels" in reasons[0]
    assert reasons[1:] == ["not a file", "Too many levels of symbolic links", "not a file", "empty: 0 bytes"]
    assert FilesInfo.load(tmp_path / "out" / FilesInfo.NAME) == info
    found = sorted(content for _, _, content in READERS[form](tmp_path / "out"))
    assert found == sorted(plain.values())


def test_names_that_are_no_utf8_end_no_export_of_betons_either(rng, tmp_path):
    files = {os.fsdecode(b"caf\xe9.jpg"): encoded(photo(rng, 20, 10)), os.fsdecode(b"g\xf6ne.jpg"): b""}
    subset = subset_of(write_files(tmp_path / "set", files), [0, 0], ("a",))
    info = export_beton(tmp_path / "set", subset, "val", tmp_path / "a.beton", ExportSettings(), NOWHERE)
    assert (info.num_images, info.skipped[0]["path"]) == (1, r"g\xf6ne.jpg")
    assert BetonInfo.load(tmp_path / "a.json") == info


def test_a_class_without_a_readable_image_ends_the_export_at_its_last_file(files, tmp_path):
    root, names, good = files
    read = []

    @contextlib.contextmanager
    def track(*_, **__):
        yield lambda count, note="": read.append(count)

    subset = subset_of([good[0], "folder.jpg", "empty.jpg", *good[1:]], [0, 1, 1, *[0] * len(good[1:])], ("a", "b"))
    with pytest.raises(DatasetError, match=r"class 'b' has no readable image. The last of them: .*empty.jpg: empty"):
        export_files(root, subset, "val", tmp_path / "out", FilesSettings("parquet"), NOWHERE, track=track)
    assert len(read) == 2
    with pytest.raises(DatasetError, match="class 'c' has no image in val"):
        subset = subset_of(names[:2], [0, 1], ("a", "b", "c"))
        export_files(root, subset, "val", tmp_path / "out", FilesSettings("folder"), NOWHERE)
    assert not list(tmp_path.iterdir())


def test_files_of_the_same_name_keep_apart(rng, tmp_path):
    content = {f"{i}/x.jpg": encoded(photo(rng, 8 + i, 8)) for i in range(3)} | {"x-1.jpg": encoded(photo(rng, 20, 8))}
    for name, data in content.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(data)
    names = ["x-1.jpg", "0/x.jpg", "1/x.jpg", "2/x.jpg"]
    subset = subset_of(names, [0, 0, 0, 0], ("a",))
    export_files(tmp_path / "set", subset, "val", tmp_path / "out", FilesSettings("folder"), NOWHERE)
    assert sorted(path.read_bytes() for path in (tmp_path / "out" / "a").iterdir()) == sorted(content.values())


@pytest.mark.parametrize("class_id", ["..", ".", "", "../up", "/etc", "a/b", "a\0b"])
def test_no_class_id_leads_out_of_the_target(files, tmp_path, class_id):
    root, names, _ = files
    subset = subset_of(names[:3], [0, 1, 0], ("fine", class_id))
    with pytest.raises(SettingError, match="is no name for a folder"):
        export_files(root, subset, "val", tmp_path / "out", FilesSettings("folder"), NOWHERE)
    assert not list(tmp_path.iterdir())


def test_a_link_inside_the_target_is_not_followed(files, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("all of it")
    export(files, tmp_path / "out", "folder")
    for path in (tmp_path / "out" / "a").iterdir():
        path.unlink()
    (tmp_path / "out" / "a").rmdir()
    (tmp_path / "out" / "a").symlink_to(tmp_path / "precious")
    export(files, tmp_path / "out", "folder")
    assert [path.name for path in (tmp_path / "precious").iterdir()] == ["thesis.tex"]
    assert not (tmp_path / "out" / "a").is_symlink()


def test_what_no_export_made_is_left_alone_and_failures_leave_nothing(files, tmp_path):
    root, names, _ = files
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(OutputError, match="is there already, and no export made it"):
        export(files, tmp_path / "mine", "parquet")
    with pytest.raises(DatasetError, match=r"empty.jpg: empty: 0 bytes.*--on-bad skip"):
        export(files, tmp_path / "out", "parquet", on_bad="fail")
    with pytest.raises(DatasetError, match="class 'b' has no readable image"):
        subset = subset_of([names[0], "folder.jpg"], [0, 1], ("a", "b"))
        export_files(root, subset, "val", tmp_path / "out", FilesSettings("webdataset"), NOWHERE)
    with pytest.raises(RescaleError, match="cannot write it"):
        export(files, tmp_path / "mine" / "thesis.tex" / "out", "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
