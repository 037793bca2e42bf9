"""Coarse classes: groups against brute force, a miniature WordNet, tables, and the way of a grouping into betons."""

import itertools
import json

import numpy as np
import pytest

from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.beton.types import BetonInfo
from rescale_fast.class_subset.group import coarsen, group_classes
from rescale_fast.class_subset.settings import GroupSettings
from rescale_fast.class_subset.types import ClassGrouping
from rescale_fast.class_subset.weights import weight_graph
from rescale_fast.class_subset.wordnet import merge_deepest, merge_smallest, read_nouns
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.sample import sample_images
from rescale_fast.image_subset.types import ImageSubset
from tests.test_choose import random_matrix, symmetric

NOWHERE = Origin({}, {})


def inside(weights, groups):
    return sum(weights[np.ix_(group, group)].sum() / 2 for group in groups)


def partitions(classes, size):
    """All ways of cutting the classes into groups of one size."""
    if not classes:
        yield []
        return
    first, *rest = classes
    for others in itertools.combinations(rest, size - 1):
        left = [c for c in rest if c not in others]
        for groups in partitions(left, size):
            yield [[first, *others], *groups]


@pytest.mark.parametrize(("size", "density"), [(2, 0.4), (3, 1.0), (5, 0.5)])
def test_confused_groups_are_the_best_of_all_partitions(rng, size, density):
    n = 10 if size != 3 else 9
    weights = symmetric(rng, n, density)
    best = max(inside(weights, groups) for groups in partitions(list(range(n)), size))
    graph = weight_graph(weights)
    start = _core.extract_groups(graph, np.full(n // size, size, np.int64))
    found = _core.anneal_groups(graph, start, num_moves=200_000, seed=0)
    assert np.bincount(found).tolist() == [size] * (n // size)
    assert _core.weight_inside(graph, found) == inside(weights, [np.flatnonzero(found == g) for g in range(n // size)])
    assert _core.weight_inside(graph, found) == best


@pytest.mark.parametrize("sizes", [[2, 0], [-1, 3], [2**62, 2**62, 2**62, 2**62, 2]])
def test_sizes_of_groups_that_no_grouping_has_are_refused(sizes):
    graph = _core.WeightGraph.from_dense(np.array([[0.0, 1.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match="sizes hold"):
        _core.extract_groups(graph, np.array(sizes))


def test_extraction_takes_the_heaviest_pairs_first():
    weights = np.zeros((6, 6))
    weights[4, 5], weights[0, 3], weights[1, 2] = 9, 5, 1
    groups = _core.extract_groups(weight_graph(weights + weights.T), np.array([2, 2, 2]))
    assert groups.tolist() == [1, 2, 2, 1, 0, 0]


def test_annealing_depends_on_the_seed_and_keeps_what_was_found(rng):
    graph = weight_graph(symmetric(rng, 60, 0.1))
    start = np.arange(60) % 7
    runs = [_core.anneal_groups(graph, start, num_moves=20_000, seed=seed).tolist() for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert np.bincount(runs[2]).tolist() == np.bincount(start).tolist()
    for moves in (0, 50):
        found = _core.anneal_groups(graph, start, num_moves=moves, seed=0)
        assert _core.weight_inside(graph, found) >= _core.weight_inside(graph, start)


def test_annealing_is_right_where_sums_are_not_exact(rng):
    """Weights with fractions, dense and sparse: kept-up sums against a fresh one, and against one-for-one swaps."""
    for density in (1.0, 0.1):
        weights = symmetric(rng, 40, density) * rng.uniform(0.5, 1)
        found = _core.anneal_groups(weight_graph(weights), np.arange(40) % 8, num_moves=100_000, seed=3)
        value = inside(weights, [np.flatnonzero(found == g) for g in range(8)])
        for a, b in itertools.combinations(range(40), 2):
            swapped = found.copy()
            swapped[[a, b]] = found[[b, a]]
            assert inside(weights, [np.flatnonzero(swapped == g) for g in range(8)]) <= value * (1 + 1e-8)


@pytest.mark.parametrize("way", ["random", "confused"])
@pytest.mark.parametrize("number", [2, 7, 13])
def test_sizes_differ_by_at_most_one_and_every_class_is_in_one_group(rng, way, number):
    matrix = random_matrix(rng, 13)
    grouping = group_classes(matrix, GroupSettings(way, number), NOWHERE)
    sizes = [len(labels) for labels in grouping.labels]
    assert len(sizes) == number
    assert max(sizes) - min(sizes) <= 1
    assert sorted(itertools.chain(*grouping.labels)) == list(range(13))
    assert len(set(grouping.class_ids)) == number


def test_facts_count_errors_inside_and_coarsening_keeps_all_images(rng):
    matrix = random_matrix(rng, 12)
    grouping = group_classes(matrix, GroupSettings("confused", 4), NOWHERE)
    counts, errors = matrix.counts, matrix.counts.sum() - np.trace(matrix.counts)
    mistakes = sum(counts[a, b] for group in grouping.labels for a in group for b in group if a != b)
    assert (grouping.facts["errors"], grouping.facts["errors_inside"]) == (errors, mistakes)
    coarse = coarsen(matrix, grouping)
    assert coarse.counts.sum() == counts.sum()
    assert coarse.accuracy == pytest.approx(grouping.facts["accuracy"])
    draws = [np.random.default_rng(seed).permutation(12).reshape(4, 3) for seed in range(300)]
    off_diagonal = counts - np.diag(np.diag(counts))
    mean = np.mean([sum(off_diagonal[np.ix_(g, g)].sum() for g in draw) for draw in draws]) / errors
    assert grouping.facts["share_inside_at_random"] == pytest.approx(mean, rel=0.05)


def test_a_saved_grouping_reads_back(rng, tmp_path):
    grouping = group_classes(random_matrix(rng, 9), GroupSettings("random", 3), Origin({"a": "b"}, {"c": 1}))
    grouping.save(tmp_path / "class_grouping.json")
    assert ClassGrouping.load(tmp_path / "class_grouping.json") == grouping


NOUNS = """  1 a licence
00000001 03 n 01 entity 0 000 | all there is
00000002 03 n 01 animal 0 001 @ 00000001 n 0000 | lives
00000003 03 n 02 dog 0 hound 0 002 @ 00000002 n 0000 ~ 00000006 n 0000 | barks
00000004 03 n 01 cat 0 002 #m 00000009 n 0000 @ 00000002 n 0000 | purrs
00000005 03 n 01 poodle 0 001 @ 00000003 n 0000 | curls
00000006 03 n 01 corgi 0 002 @ 00000003 n 0000 @ 00000007 n 0000 | two parents
00000007 03 n 01 motor_car 0 001 @ 00000001 n 0000 | drives
00000008 03 n 01 taxi 0 001 @i 00000007 n 0000 | waits
00000009 03 n 01 tabby 0 001 @ 00000004 n 0000 | sleeps
"""
LEAVES = ("n00000005", "n00000006", "n00000008", "n00000009")  # poodle, corgi, taxi, tabby


def of_ids(ids):
    counts = np.eye(len(ids), dtype=np.int64)
    return ConfusionMatrix(NOWHERE, counts, counts.astype(float), ids, ids)


@pytest.mark.parametrize(
    ("way", "number", "groups"),
    [
        ("wordnet", 3, {"dog": (0, 1), "taxi": (2,), "tabby": (3,)}),
        ("wordnet", 2, {"animal": (0, 1, 3), "taxi": (2,)}),
        ("wordnet-balanced", 3, {"dog": (0, 1), "taxi": (2,), "tabby": (3,)}),
        ("wordnet-balanced", 2, {"dog": (0, 1), "entity": (2, 3)}),
    ],
)
def test_wordnet_merges_what_has_a_common_parent(tmp_path, way, number, groups):
    (tmp_path / "data.noun").write_text(NOUNS)
    settings = GroupSettings(way, number, wordnet=tmp_path / "data.noun")
    grouping = group_classes(of_ids(LEAVES), settings, NOWHERE)
    assert dict(zip(grouping.class_names, grouping.labels, strict=True)) == groups


def test_wordnet_takes_the_parent_listed_first_and_reads_words_with_spaces(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    nouns = read_nouns(tmp_path / "data.noun")
    assert [nouns.names[node] for node in nouns.path("00000006")] == ["entity", "animal", "dog", "corgi"]
    assert nouns.names["00000007"] == "motor car"
    paths = [nouns.path(leaf[1:]) for leaf in LEAVES]
    assert merge_deepest(paths, 1) == ["00000001"] * 4
    assert merge_smallest(paths, 1) == [0] * 4


@pytest.mark.parametrize(
    ("ids", "text", "message"),
    [
        (LEAVES, None, "cannot be read .* apt-get install wordnet-base"),
        (LEAVES, "00000001 03 n\n", "line 1: not in the format of data.noun"),
        (("cat", "dog"), NOUNS, "2 of 2 class ids, such as 'cat', are no wnids"),
        (("n00000005", "n99999999"), NOUNS, "1 of 2 class ids, such as 'n99999999'"),
        (LEAVES, NOUNS.replace("animal 0 001 @", "animal 0 001 !"), "00000005 and 00000008 have no common root"),
        (LEAVES, NOUNS.replace("entity 0 000", "entity 0 001 @ 00000007 n 0000"), "goes round at"),
        (LEAVES, NOUNS.replace("taxi 0 001 @i 00000007", "taxi 0 001 @i 00000077"), "00000008 breaks off at 00000077"),
    ],
)
def test_what_wordnet_cannot_group_is_explained(tmp_path, ids, text, message):
    if text is not None:
        (tmp_path / "data.noun").write_text(text)
    with pytest.raises(SettingError, match=message):
        group_classes(of_ids(ids), GroupSettings("wordnet", 2, wordnet=tmp_path / "data.noun"), NOWHERE)


def test_a_table_groups_what_it_names_and_leaves_out_the_rest(tmp_path):
    table = tmp_path / "map.csv"
    table.write_text('# by hand\nclass id,coarse label\nc3,"b, too"\nc1,a\n\nc0,"b, too"\n')
    grouping = group_classes(of_ids(("c0", "c1", "c2", "c3")), GroupSettings(str(table)), NOWHERE)
    assert dict(zip(grouping.class_ids, grouping.labels, strict=True)) == {"b, too": (0, 3), "a": (1,)}
    assert grouping.facts["classes_left_out"] == 1
    assert grouping.method == "map.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c0,a\nc9,b\n", "line 2: 'c9' is no class of this data set"),
        ("c0,a\nc1,b\nc0,b\n", "line 3: 'c0' is there twice"),
        ("c0,a\nc1\n", "line 2: 'c1' is not a class id and a coarse label"),
        ("c0,a\n\nc1,\n", "line 3: .* is not a class id and a coarse label"),
        ("c0,a\nc1,a\n", "gives the 2 classes of this data set 1 coarse labels, expected at least 2"),
        ('c0,a\nc1,"b\n', "line 2: not CSV"),
        (f"c0,a\nc1,{'b' * 200_000}\n", "line 2: not CSV .field larger"),
    ],
)
def test_a_bad_table_is_explained(tmp_path, text, message):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(SettingError, match=message):
        group_classes(of_ids(("c0", "c1")), GroupSettings(str(tmp_path / "map.csv")), NOWHERE)


def test_a_class_whose_name_begins_with_a_number_sign_is_grouped(tmp_path):
    (tmp_path / "map.csv").write_text("# a comment, too\n#hash,g1\nc1,g2\n")
    grouping = group_classes(of_ids(("#hash", "c1")), GroupSettings(str(tmp_path / "map.csv")), NOWHERE)
    assert grouping.labels == ((0,), (1,))


def test_the_67_coarse_labels_cover_imagenet():
    from rescale_fast.datasets.published import imagenet_classes

    grouping = group_classes(of_ids(tuple(imagenet_classes())), GroupSettings("coarse67"), NOWHERE)
    assert len(grouping.labels) == 67
    assert grouping.facts["classes_left_out"] == 0
    part = group_classes(of_ids(tuple(imagenet_classes())[::100]), GroupSettings("coarse67"), NOWHERE)
    assert part.facts["classes_left_out"] == 0
    with pytest.raises(SettingError, match="gives the 2 classes of this data set 0 coarse labels"):
        group_classes(of_ids(("cat", "dog")), GroupSettings("coarse67"), NOWHERE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("confused", 1), "--num-groups 1: expected a whole number, 2 or more"),
        (("random", 5), "--num-groups 5: expected 2 to 4"),
        (("random", 2, -1), "--group-seed -1"),
        (("nowhere.csv",), "neither a file nor one of random"),
        (("coarse67", 5), "--num-groups: would have no effect, as --grouping is coarse67"),
        (("wordnet", 5, 1), "--group-seed: would have no effect"),
        (("random", 2, 0, "nouns"), "--wordnet: would have no effect"),
        ((None, 5), "--num-groups: would have no effect, as no --grouping is asked for"),
        ((None,), "--grouping: say how"),
    ],
)
def test_impossible_settings_are_explained(settings, message):
    with pytest.raises(SettingError, match=message):
        group_classes(of_ids(("a", "b", "c", "d")), GroupSettings(*settings), NOWHERE)


def test_a_grouping_takes_all_images_of_its_classes(small_glyphs, rng):
    counts = rng.integers(0, 9, (12, 12)).astype(np.int64)
    ids = small_glyphs.class_ids
    grouping = group_classes(
        ConfusionMatrix(NOWHERE, counts, counts * 1.0, ids, ids), GroupSettings("confused", 5), NOWHERE
    )
    subset = sample_images(small_glyphs, grouping, NOWHERE)
    assert (len(subset.train), len(subset.val)) == (120, 144)
    of = {label: new for new, labels in enumerate(grouping.labels) for label in labels}
    assert [of[label] for label in subset.val.labels.tolist()] == subset.val.new_labels.tolist()
    assert (np.diff(subset.val.new_labels) >= 0).all()
    assert subset.class_ids == grouping.class_ids


def test_a_whole_run_on_groups(command, tmp_path):
    table, out = tmp_path / "map.csv", tmp_path / "out"
    table.write_text("u0030,round\nu0038,round\nu0031,straight\nu0037,straight\n")
    quick = ("--glyph-classes", 12, "--glyph-size", 24, "--glyph-train", 30, "--glyph-val", 10, "--epochs", 1)
    code, stdout, stderr = command("run", *quick, "--grouping", table, "--out", out, timeout=600)
    assert code == 0, stderr
    assert "grouped: 4 classes into 2 (map.csv)" in stdout
    assert "8 classes left out" in stderr
    info = BetonInfo.load(out / "train.json")
    assert info.class_ids == ("round", "straight")
    assert sorted(len(labels) for labels in info.original_labels) == [2, 2]
    assert info.images_per_class == (60, 60)
    assert json.loads((out / "class_grouping.json").read_text())["facts"]["classes_left_out"] == 8
    assert "class_grouping" in ImageSubset.load(out / "image_subset.parquet").origin.made_from
    page = (out / "report.html").read_text()
    assert "4 classes in 2 groups" in page
    assert "u0030, u0038" in page
    assert not (out / "class_subset.json").exists()
    assert command("select", "--out", out, "--k", 3)[0] == 0
    code, _, stderr = command("sample", "--out", out)
    assert (code, "Pass --of subset or --of grouping" in stderr) == (2, True)
    assert command("sample", "--out", out, "--of", "subset")[0] == 0
