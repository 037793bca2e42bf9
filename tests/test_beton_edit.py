"""Betons from betons: samples, labels and classes after cutting, merging, appending, reordering and relabelling."""

from pathlib import Path

import numpy as np
import pytest
import xxhash

from rescale_fast import _core
from rescale_fast.beton.check import check_beton
from rescale_fast.beton.edit import (
    append_beton,
    cut_beton,
    cut_classes,
    drop_samples,
    group_classes,
    merge_betons,
    relabel_beton,
)
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import SettingError
from rescale_fast.export.beton import export_beton
from rescale_fast.export.settings import ExportSettings
from tests import foreign_beton
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
        (lambda: relabel_beton(betons[0], target, np.arange(3)), "int64 of the shape .3,., expected integers of"),
        (lambda: relabel_beton(betons[0], target, np.arange(40) / 20), "labels are float64 of the shape .40,., exp"),
        (lambda: relabel_beton(betons[0], target, np.full(40, 2**63, np.uint64)), "expected none below 0"),
    ):
        with pytest.raises(SettingError, match=message):
            edit()
    assert not list(tmp_path.iterdir())


def foreign(path, *arguments, **options):
    path.write_bytes(foreign_beton.beton(*arguments, **options))
    return path


def test_foreign_betons_are_edited_with_every_value_in_place(tmp_path):
    """JSON, array and float fields, raw and JPEG images, read back by the format's description."""
    a, t = foreign(tmp_path / "a.beton"), tmp_path / "t.beton"
    whole = foreign_beton.values(a.read_bytes())
    for edit, expected in (
        (lambda: cut_beton(a, t, np.array([5, 2, 2, 0])), [whole[i] for i in (5, 2, 2, 0)]),
        (lambda: drop_samples(a, t, np.array([4, 0, 4])), [whole[i] for i in (1, 2, 3, 5)]),
        (lambda: merge_betons([a, a], t), whole * 2),
        (
            lambda: cut_classes(a, t, ["2", "0"]),
            [(*one[:3], one[3] // 2 ^ 1, *one[4:]) for one in whole if one[3] != 1],
        ),
        (lambda: relabel_beton(a, t, np.arange(6)), [(*one[:3], i, *one[4:]) for i, one in enumerate(whole)]),
    ):
        edit()
        check_beton(t)
        assert foreign_beton.values(t.read_bytes()) == expected


def test_appending_again_and_again_needs_no_json(tmp_path):
    base, extra = foreign(tmp_path / "base.beton"), foreign(tmp_path / "extra.beton", 4, labels=[0, 7, 1, 7])
    whole = foreign_beton.values(base.read_bytes())
    for time in range(1, 4):
        info = append_beton(base, [extra])
        assert foreign_beton.values(base.read_bytes()) == whole + foreign_beton.values(extra.read_bytes()) * time
        assert info.class_ids == tuple("01234567")
        assert info.images_per_class == (2 + time, 2 + time, 2, 0, 0, 0, 0, 2 * time)
    check_beton(base)
    merge_betons([extra, base], tmp_path / "other.beton")  # in either order
    check_beton(tmp_path / "other.beton")


@pytest.mark.parametrize("labels", [[-1, 0, 1, 2, 0, 1], [0, 1, 2, 0, 1, 1 << 62], [0, 1, 2, 3, 4, 100_000]])
def test_labels_that_are_no_class_numbers_are_kept_and_make_no_classes(tmp_path, labels):
    a, t = foreign(tmp_path / "a.beton", labels=labels), tmp_path / "t.beton"
    whole = foreign_beton.values(a.read_bytes())
    for edit, expected in ((lambda: cut_beton(a, t, np.arange(6)), whole), (lambda: append_beton(t, [a]), whole * 2)):
        assert edit().class_ids == ()
        check_beton(t)
        assert foreign_beton.values(t.read_bytes()) == expected
    with pytest.raises(SettingError, match="has no class '0'. Its labels are no class numbers"):
        cut_classes(a, t, ["0"])


def test_labels_that_do_not_belong_to_the_json_are_refused(betons, tmp_path):
    cut_beton(betons[0], tmp_path / "a.beton", np.arange(4))
    content = bytearray((tmp_path / "a.beton").read_bytes())
    for label in (-1, 3):
        at = 24 + 3 * 1041 + 16
        content[at : at + 8] = label.to_bytes(8, "little", signed=True)
        (tmp_path / "a.beton").write_bytes(content)
        with pytest.raises(SettingError, match=f"a label would be {label}, but there are 3 classes"):
            cut_beton(tmp_path / "a.beton", tmp_path / "t.beton", np.arange(4))
    assert not (tmp_path / "t.beton").exists()


def test_a_huge_page_of_the_source_is_not_copied(tmp_path):
    source = foreign(tmp_path / "a.beton")
    content = bytearray(source.read_bytes())
    content[4:8] = (1 << 31).to_bytes(4, "little")  # nothing crosses such a page either
    source.write_bytes(content)
    info = cut_beton(source, tmp_path / "t.beton", np.arange(6))
    assert info.bytes == read_beton(tmp_path / "t.beton").bytes < 1 << 25
    assert foreign_beton.values((tmp_path / "t.beton").read_bytes()) == foreign_beton.values(bytes(content))


def test_a_sample_larger_than_a_page_makes_larger_pages(rng, tmp_path):
    image = encoded(photo(rng, 40, 30)) + bytes(9 << 20)
    source = foreign(tmp_path / "a.beton", 2, images=[image] * 2, sizes=[(40, 30)] * 2, page_size=1 << 25)
    cut_beton(source, tmp_path / "t.beton", np.array([1, 0, 1]))
    check_beton(tmp_path / "t.beton")
    assert read_beton(tmp_path / "t.beton").page_size == 1 << 24


def test_betons_that_differ_in_an_array_alone_are_told_apart(tmp_path):
    a, b = foreign(tmp_path / "a.beton"), foreign(tmp_path / "b.beton")
    arguments = foreign_beton.array_arguments(), foreign_beton.array_arguments(shape=(3, 2))
    b.write_bytes(b.read_bytes().replace(*arguments))
    with pytest.raises(SettingError, match="but other arguments: arrays of another shape"):
        merge_betons([a, b], tmp_path / "t.beton")


def test_the_place_of_the_json_and_no_place_at_all_are_none_for_a_beton(tmp_path):
    for place in (Path(), Path("/")):
        with pytest.raises(SettingError, match="is a folder. Give the beton a name in it"):
            cut_beton(foreign(tmp_path / "a.beton"), place, np.arange(2))
    with pytest.raises(SettingError, match=r"t\.json: is where the JSON beside the beton goes"):
        cut_beton(foreign(tmp_path / "a.beton"), tmp_path / "t.json", np.arange(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.beton"]


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


def test_a_beton_without_images_or_labels_is_cut_and_agrees_with_its_json(tmp_path):
    page = foreign_beton.SMALL_PAGE
    (tmp_path / "bytes.beton").write_bytes(foreign_beton.of_payloads((page, 10), (page + 10, 20), (2 * page, 30)))
    info = cut_beton(tmp_path / "bytes.beton", tmp_path / "cut.beton", np.array([2, 0]))
    assert (info.num_images, info.max_width, info.max_height, info.images_per_class) == (2, 0, 0, ())
    assert check_beton(tmp_path / "cut.beton").info == info
    assert read_beton(tmp_path / "cut.beton").sizes.tolist() == [[30], [10]]
