"""Betons from betons: samples, labels and classes after cutting, merging, appending, reordering and relabelling."""

import numpy as np
import pytest
import xxhash

from rescale_fast import _core
from rescale_fast.beton_file import read_beton
from rescale_fast.errors import SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.check import check_beton
from rescale_fast.export.edit import append_beton, cut_beton, cut_classes, group_classes, merge_betons, relabel_beton
from rescale_fast.export.settings import ExportSettings
from tests.photos import NOWHERE, encoded, photo, subset_of, write_files


def samples(path):
    """(label, index, width, payload) of each sample; the file is checked, too."""
    check_beton(path)
    beton, content = read_beton(path), path.read_bytes()
    payloads = [content[at : at + size] for (at,), (size,) in zip(beton.pointers, beton.sizes, strict=True)]
    widths = beton.records["f0"]["width"].tolist()
    columns = (beton.integers("label").tolist(), beton.integers("index").tolist(), widths, payloads)
    return list(zip(*columns, strict=True))


@pytest.fixture(scope="module")
def betons(tmp_path_factory):
    """Two betons, of the classes a b c and c d, on several pages."""
    rng, folder = np.random.default_rng(8), tmp_path_factory.mktemp("edit")
    files = {f"{i}.jpg": encoded(photo(rng, 300 + i, 400), quality=97) for i in range(60)}
    names = write_files(folder / "set", files)
    for name, some, labels, ids in (
        ("abc", names[:40], np.arange(40) % 3, "abc"),
        ("cd", names[40:], np.arange(20) % 2, "cd"),
    ):
        target = folder / f"{name}.beton"
        subset = subset_of(some, labels, tuple(ids))
        export_beton(folder / "set", subset, "val", target, ExportSettings(), NOWHERE, page_size=1 << 21)
    return folder / "abc.beton", folder / "cd.beton"


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_rows_are_cut_and_reordered(betons, tmp_path, num_threads):
    whole = samples(betons[0])
    rows = np.array([39, 0, 1, 2, 20, 20, 5])
    info = cut_beton(betons[0], tmp_path / "cut.beton", rows, num_threads=num_threads)
    assert samples(tmp_path / "cut.beton") == [whole[row] for row in rows]
    assert info.class_ids == ("a", "b", "c")
    assert info.images_per_class == tuple(np.bincount(rows % 3, minlength=3))


def test_classes_are_cut_out_and_numbered_in_the_order_asked_for(betons, tmp_path):
    whole = samples(betons[0])
    info = cut_classes(betons[0], tmp_path / "cut.beton", ["c", "a"])
    assert samples(tmp_path / "cut.beton") == [(1 - label // 2, *rest) for label, *rest in whole if label != 1]
    assert (info.class_ids, info.images_per_class, info.original_labels) == (("c", "a"), (13, 14), ((12,), (10,)))


def test_classes_are_grouped(betons, tmp_path):
    whole = samples(betons[0])
    info = group_classes(betons[0], tmp_path / "grouped.beton", {"b": "rest", "a": "a", "c": "rest"})
    assert samples(tmp_path / "grouped.beton") == [(0 if label else 1, *rest) for label, *rest in whole]
    assert (info.class_ids, info.original_labels) == (("rest", "a"), ((11, 12), (10,)))


def test_merging_matches_classes_by_their_ids(betons, tmp_path):
    first, second = samples(betons[0]), samples(betons[1])
    info = merge_betons(betons, tmp_path / "all.beton")
    assert samples(tmp_path / "all.beton") == first + [(label + 2, *rest) for label, *rest in second]
    assert (info.class_ids, info.images_per_class) == (("a", "b", "c", "d"), (14, 13, 13 + 10, 10))


def test_merging_without_any_json_keeps_labels_and_with_some_is_refused(betons, tmp_path):
    for number, source in enumerate(betons):
        (tmp_path / f"{number}.beton").write_bytes(source.read_bytes())
    info = merge_betons([tmp_path / "0.beton", tmp_path / "1.beton"], tmp_path / "all.beton")
    assert samples(tmp_path / "all.beton") == samples(betons[0]) + samples(betons[1])
    assert info.class_ids == ("0", "1", "2")
    with pytest.raises(SettingError, match=r"0.beton: has no JSON beside it"):
        merge_betons([tmp_path / "0.beton", betons[1]], tmp_path / "mixed.beton")


def test_appending_replaces_the_file_by_a_longer_one(betons, tmp_path):
    base = tmp_path / "base.beton"
    cut_beton(betons[0], base, np.arange(5))
    append_beton(base, [betons[0], betons[0]])
    assert samples(base) == samples(betons[0])[:5] + 2 * samples(betons[0])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.beton", "base.json"]


def test_relabelling_changes_labels_alone(betons, tmp_path):
    labels = np.arange(40)[::-1] % 3
    relabel_beton(betons[0], tmp_path / "new.beton", labels)
    expected = [(int(label), *rest) for label, (_, *rest) in zip(labels, samples(betons[0]), strict=True)]
    assert samples(tmp_path / "new.beton") == expected


def test_impossible_edits_are_explained_and_leave_nothing(betons, tmp_path):
    target = tmp_path / "t.beton"
    for edit, message in (
        (lambda: cut_beton(betons[0], target, np.array([0, 40])), "row 40 is asked for; it has rows 0 to 39"),
        (lambda: cut_beton(betons[0], target, np.array([-1])), "row -1 is asked for"),
        (lambda: cut_beton(betons[0], target, np.array([], np.int64)), "no sample is left"),
        (lambda: cut_beton(betons[0], target, np.array([0.5])), "expected a list of integers"),
        (lambda: cut_classes(betons[0], target, ["a", "z"]), "has no class 'z'"),
        (lambda: relabel_beton(betons[0], target, np.arange(40)), "a label would be 39, but there are 3 classes"),
        (lambda: relabel_beton(betons[0], target, np.arange(3)), "labels have the shape"),
    ):
        with pytest.raises(SettingError, match=message):
            edit()
    assert not list(tmp_path.iterdir())


def test_copies_of_any_layout_land_where_they_should(rng, tmp_path):
    """The copying kernel against a copy byte by byte: pieces of all sizes, gaps, neighbours, whole empty blocks."""
    block, end = _core.DIGEST_BLOCK, 6 * _core.DIGEST_BLOCK
    content = rng.integers(0, 256, 4 * block, dtype=np.uint8)
    (tmp_path / "source").write_bytes(content.tobytes())
    for _ in range(20):
        sizes = rng.choice([0, 1, 7, 4096, block // 3, block, block + 1], 12)
        gaps = np.where(rng.random(12) < 0.5, 0, rng.integers(0, block // 2, 12))
        targets = np.cumsum(gaps) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
        keep = targets + sizes <= end
        sizes, targets = sizes[keep], targets[keep]
        origins = rng.integers(0, len(content) - sizes)
        origins[1:][rng.random(len(origins) - 1) < 0.5] = 0
        expected = np.zeros(end, np.uint8)
        for origin, target, size in zip(origins, targets, sizes, strict=True):
            expected[target : target + size] = content[origin : origin + size]
        with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb+") as target:
            target.truncate(end)
            digests = _core.copy_payloads(
                target=target.fileno(),
                sources=np.full(len(sizes), source.fileno()),
                origins=origins,
                targets=targets,
                sizes=sizes,
                start=0,
                end=end,
                num_threads=3,
                advance=lambda _: None,
            )
        assert (tmp_path / "target").read_bytes() == expected.tobytes()
        for number in range(6):
            piece = expected[number * block : (number + 1) * block].tobytes()
            assert digests[number].tobytes() == xxhash.xxh3_128_digest(piece)
