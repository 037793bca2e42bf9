"""Which images: random, by difficulty, sensitive; the share of val; and that adding files changes what it must."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.settings import GroupSettings
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset, ImageList
from rescale_fast.errors import ArtifactError, DatasetError, SettingError
from rescale_fast.image_subset.choose import choose_by_difficulty, choose_random
from rescale_fast.image_subset.halves import halves
from rescale_fast.image_subset.order import order_by, ranks_within, stable_keys
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.predictions.types import Predictions, Skipped
from rescale_fast.run.settings import RunSettings, with_configuration

NOWHERE = Origin({}, {})
IDS = ("ape", "bee", "cat", "dog", "elk")


def made_up(train=(20, 31, 17, 23, 20), val=5, prefix=""):
    """A data set of five classes; no file exists."""
    splits = {}
    for split, counts in {"train": train, "val": (val,) * 5}.items():
        labels = np.repeat(np.arange(5), counts)
        numbers = np.concatenate([np.arange(count) for count in counts])
        paths = (f"{prefix}{split}/{IDS[k]}/{split}{i}.jpg" for k, i in zip(labels, numbers, strict=True))
        splits[split] = ImageList(tuple(paths), labels)
    return Dataset("made up", "folder", Path("/nowhere"), IDS, IDS, splits)


def all_of(dataset):
    return ClassSubset(NOWHERE, "list", 5, tuple(range(5)), IDS, IDS, {})


def names(images):
    return {path.split("/")[-2] + "/" + path.split("/")[-1] for path in images.paths}


def capped(bins, keys, wanted):
    """Gao's rule as one would write it down: raise T while the capped bins hold too few; leftovers by key."""
    members = {b: sorted(np.flatnonzero(bins == b), key=lambda i: keys[i]) for b in set(bins.tolist())}
    threshold = 0
    while sum(min(len(some), threshold + 1) for some in members.values()) <= wanted:
        threshold += 1
    chosen = [i for some in members.values() for i in some[:threshold]]
    next_ones = sorted((some[threshold] for some in members.values() if len(some) > threshold), key=lambda i: keys[i])
    return sorted(chosen + next_ones[: wanted - len(chosen)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 7, 30]), st.booleans())
def test_difficulty_equals_the_rule_written_down_plainly(seed, per_class, over_set):
    rng = np.random.default_rng(seed)
    labels = np.sort(np.append(rng.integers(0, 3, 150), np.repeat([0, 1, 2], 30)))
    p = (rng.integers(0, 8, len(labels)) / 7).astype(np.float32)  # few bins, so that many are full
    keys = rng.integers(0, 2**63, len(labels), dtype=np.int64).astype(np.uint64)
    bins = np.rint(100 * p.astype(float)).astype(int)
    got = choose_by_difficulty(labels, p, keys, per_class, ("a", "b", "c"), over_set=over_set)
    if over_set:
        expected = capped(bins, keys, 3 * per_class)
    else:
        of_class = [np.flatnonzero(labels == k) for k in range(3)]
        expected = [i for some in of_class for i in some[capped(bins[some], keys[some], per_class)]]
    assert got.tolist() == [int(i) for i in expected]


def test_bins_that_reach_the_next_threshold_together_share_what_is_left():
    p = np.repeat([0.0, 0.5, 1.0], 4).astype(np.float32)
    keys = np.arange(12, dtype=np.uint64)[::-1].copy()  # the last image comes first
    got = choose_by_difficulty(np.zeros(12, np.int64), p, keys, 7, ("a",))
    assert got.tolist() == [2, 3, 6, 7, 9, 10, 11]  # two of each bin, and one more of the bin with the smaller key


def test_percents_are_rounded_to_the_nearest():
    p = np.array([0.004, 0.0, 0.006, 0.994, 0.996, 1.0], np.float32)  # bins 0 0 1 99 100 100
    got = choose_by_difficulty(np.zeros(6, np.int64), p, np.arange(6, dtype=np.uint64), 4, ("a",))
    assert got.tolist() == [0, 2, 3, 4]


@pytest.mark.parametrize("groups", [1, 5, 2**40])
def test_order_is_that_of_two_stable_sorts_even_if_keys_agree(rng, groups):
    numbers = rng.integers(0, groups, 500)
    for keys in (rng.integers(0, 3, 500).astype(np.uint64), rng.integers(0, 2**62, 500).astype(np.uint64)):
        order = order_by(numbers, keys)
        assert order.tolist() == sorted(range(500), key=lambda i: (numbers[i], keys[i], i))
        ranks = ranks_within(numbers, order)
        assert all(ranks[i] == (numbers[order[:at]] == numbers[i]).sum() for at, i in enumerate(order))


def test_keys_that_differ_in_their_last_bit_alone_still_decide():
    """The bits that numbers take are lost to the quick sort."""
    for numbers, keys, order in (
        ([1, 1], [3, 2], [1, 0]),
        ([0, 1, 1], [9, 3, 2], [0, 2, 1]),
        ([0, 1, 1], [9, 2, 3], [0, 1, 2]),
    ):
        assert order_by(np.array(numbers), np.array(keys, np.uint64)).tolist() == order


def test_random_takes_as_many_of_each_class_and_another_seed_takes_others():
    dataset = made_up()
    made = [
        sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(images="random", per_class=15, sample_seed=s))
        for s in (0, 0, 1)
    ]
    assert np.bincount(made[0].train.new_labels).tolist() == [15] * 5
    assert len(made[0].val) == 25
    assert made[0].train.paths == made[1].train.paths != made[2].train.paths
    taken = [int(path.split("train")[-1].split(".")[0]) for path in made[0].train.paths[:15]]
    assert taken == sorted(taken) != list(range(15)), "in the data set's order, but not its first images"


def changes(choose, classes=5):
    """How many images a choice loses and gains, class by class, when a file is added to the first class."""
    before, after = choose(made_up()), choose(made_up(train=(21, 31, 17, 23, 20)))
    return [
        (len(lost), len(gained))
        for k in range(classes)
        for lost, gained in [
            ({n for n in before - after if n.startswith(IDS[k])}, {n for n in after - before if n.startswith(IDS[k])})
        ]
    ]


def test_a_new_file_takes_the_place_of_one_other_at_most():
    def random(dataset):
        return names(sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(per_class=15)).train)

    def val(dataset):
        return names(sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(val_share=0.5)).val)

    def half(dataset):
        return names(halves(dataset, sample_images(dataset, all_of(dataset), NOWHERE), seed=0).train)

    for choose in (random, val, half):
        found = changes(choose)
        assert found[1:] == [(0, 0)] * 4
        assert max(found[0]) <= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_new_scored_file_changes_two_images_of_the_choice_by_difficulty_at_most(seed):
    rng = np.random.default_rng(seed)
    p = (rng.integers(0, 6, 41) / 5).astype(np.float32)
    keys = rng.integers(0, 2**63, 41, dtype=np.int64).astype(np.uint64)
    labels = np.zeros(41, np.int64)
    before, after = (set(choose_by_difficulty(labels[:n], p[:n], keys[:n], 15, ("a",)).tolist()) for n in (40, 41))
    assert len(before - after) == len(after - before) <= 2


def test_the_layout_of_the_files_does_not_matter():
    chosen = [
        names(sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(per_class=9)).train)
        for dataset in (made_up(), made_up(prefix="ILSVRC/Data/CLS-LOC/"))
    ]
    assert chosen[0] == chosen[1]


def test_choices_for_different_purposes_are_independent(rng):
    paths = [f"{i}.jpg" for i in range(4000)]
    keys = [stable_keys(["a"], np.zeros(4000, np.int64), paths, purpose, 0) for purpose in ("val", "random")]
    low = [key < np.median(key) for key in keys]
    assert 0.45 < np.mean(low[0] == low[1]) < 0.55


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_val_grows_to_its_share_of_each_class_and_no_image_is_in_both(share):
    dataset = made_up()
    whole = sample_images(dataset, all_of(dataset), NOWHERE)
    made = sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(val_share=share))
    assert set(made.val.paths) >= set(whole.val.paths)
    assert not set(made.val.paths) & set(made.train.paths)
    assert {*made.val.paths, *made.train.paths} == {*whole.val.paths, *whole.train.paths}
    for k in range(5):
        in_val = (made.val.new_labels == k).sum()
        total = (whole.val.new_labels == k).sum() + (whole.train.new_labels == k).sum()
        assert in_val == max(5, round(share * total))
    assert (np.diff(made.val.new_labels) >= 0).all()
    listed = {(s, i): p for s, images in dataset.splits.items() for i, p in enumerate(images.paths)}
    for images in (made.train, made.val):
        rows = zip(images.source, images.indices.tolist(), images.paths, strict=True)
        assert all(listed[source, index] == path for source, index, path in rows)


def predicted_as(dataset, called):
    """Predictions that name `called` (one label an image of val) first."""
    val = dataset.splits["val"]
    called = np.asarray(called)
    top = np.stack([called, (called + 1) % 5], axis=1)
    p = np.tile(np.array([0.8, 0.1], np.float32), (len(val), 1))
    true_p = np.where(called == val.labels, 0.8, np.where(top[:, 1] == val.labels, 0.1, 0.1 / 3)).astype(np.float32)
    return Predictions(NOWHERE, IDS, IDS, np.arange(len(val)), val.paths, val.labels, top, p, true_p, ())


def test_sensitive_takes_the_mistaken_images_of_the_chosen_classes_and_of_those_they_were_called():
    dataset = made_up()
    called = np.repeat(np.arange(5), 5)
    called[0] = 2  # an ape called cat
    called[5] = 0  # a bee called ape: bee is neither chosen nor called
    called[10:13] = 3  # cats called dog
    called[24] = 4  # an elk rightly called
    chosen = ClassSubset(NOWHERE, "list", 5, (0, 4), ("ape", "elk"), ("ape", "elk"), {})
    evidence = Evidence(predictions=predicted_as(dataset, called))
    made = sample_images(dataset, chosen, NOWHERE, SampleSettings(images="sensitive"), evidence)
    assert made.class_ids == ("ape", "cat"), "elk was never mistaken; dog was only what cats were called"
    assert made.val.indices.tolist() == [0, 10, 11, 12]
    assert made.val.new_labels.tolist() == [0, 1, 1, 1]
    assert len(made.train) == 20 + 17
    none = Evidence(predictions=predicted_as(dataset, np.repeat(np.arange(5), 5)))
    with pytest.raises(DatasetError, match=r"only 0 of the 2 classes have misclassified"):
        sample_images(dataset, chosen, NOWHERE, SampleSettings(images="sensitive"), none)


def test_an_image_that_could_not_be_read_is_not_sensitive():
    """It has no prediction, so nothing says that it was mistaken."""
    dataset = made_up()
    called = np.repeat(np.arange(5), 5)
    called[[0, 5]] = [1, 0]  # an ape called bee, a bee called ape
    whole = predicted_as(dataset, called)
    unread = tuple(Skipped(i, whole.paths[i], int(whole.labels[i]), "truncated") for i in (1, 6))
    kept = np.setdiff1d(np.arange(25), [1, 6])
    evidence = Evidence(
        predictions=replace(
            whole,
            indices=kept,
            paths=tuple(whole.paths[i] for i in kept),
            labels=whole.labels[kept],
            top_ids=whole.top_ids[kept],
            top_probabilities=whole.top_probabilities[kept],
            true_probability=whole.true_probability[kept],
            skipped=unread,
        )
    )
    made = sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(images="sensitive"), evidence)
    assert made.val.indices.tolist() == [0, 5]


def test_sensitive_images_of_groups_are_those_called_another_group():
    dataset = made_up()
    grouping = ClassGrouping(
        NOWHERE, "table", 5, ("x", "y", "z"), ("x", "y", "z"), ((0, 1), (2, 3), (4,)),
        (("ape", "bee"), ("cat", "dog"), ("elk",)), {},
    )  # fmt: skip
    called = np.repeat(np.arange(5), 5)
    called[[0, 5, 14, 15]] = [1, 2, 0, 2]  # ape-bee and dog-cat stay inside their groups
    evidence = Evidence(predictions=predicted_as(dataset, called))
    made = sample_images(dataset, grouping, NOWHERE, SampleSettings(images="sensitive"), evidence)
    assert made.class_ids == ("x", "y")
    assert made.val.indices.tolist() == [5, 14]
    inside = np.repeat([1, 0, 3, 2, 4], 5)  # all mistaken, none for a class of another group
    inside[0] = 2
    with pytest.raises(DatasetError, match=r"only 1 of 3 groups have misclassified"):
        evidence = Evidence(predictions=predicted_as(dataset, inside))
        sample_images(dataset, grouping, NOWHERE, SampleSettings(images="sensitive"), evidence)


def test_predictions_of_something_else_are_refused():
    dataset = made_up()
    right = predicted_as(dataset, np.repeat([1, 2, 3, 4, 0], 5))
    other = replace(right, class_ids=("ant", *IDS[1:]))
    fewer = predicted_as(made_up(val=4), np.repeat([1, 2, 3, 4, 0], 4))
    for predictions, message in (
        (other, "are about 5 classes from 'ant', made up has 5 from 'ape'"),
        (fewer, "5 of 25 validation images have no prediction, 'val/ape/val4.jpg' first"),
    ):
        with pytest.raises(ArtifactError, match=message):
            evidence = Evidence(predictions=predictions)
            sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(images="sensitive"), evidence)


def test_too_few_images_are_named_with_what_to_do():
    dataset = made_up()
    for images in ("random", "difficulty"):
        with pytest.raises(DatasetError, match=r"4 of 5 classes have fewer than 24 .*; 'cat' has the fewest, 17\."):
            choose = choose_random if images == "random" else choose_by_difficulty
            labels = dataset.splits["train"].labels
            p = () if images == "random" else (np.zeros(len(labels), np.float32),)
            choose(labels, *p, np.arange(len(labels), dtype=np.uint64), 24, IDS)
    with pytest.raises(DatasetError, match="have 4 training images, fewer than the 6"):
        choose_by_difficulty(
            np.array([0, 0, 1, 1]), np.zeros(4, np.float32), np.arange(4, dtype=np.uint64), 3, ("a", "b"), over_set=True
        )
    no_train = replace(dataset, splits={"val": dataset.splits["val"]})
    assert len(sample_images(no_train, all_of(dataset), NOWHERE).train) == 0
    with pytest.raises(DatasetError, match="has no training images"):
        sample_images(no_train, all_of(dataset), NOWHERE, SampleSettings(per_class=3))


def test_a_class_left_in_one_split_only_is_named():
    dataset = made_up()
    for split in ("train", "val"):
        gone = {path: None for path in dataset.splits[split].paths if "/dog/" in path}
        with pytest.raises(DatasetError, match=f"1 of 5 classes have no {split} image left, 'dog' first"):
            sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(), Evidence(corrections=gone))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"images": "random"}, "needs --per-class"),
        ({"images": "all", "per_class": 5}, "takes no --per-class"),
        ({"per_class": 0}, "--per-class 0: expected a whole number, 1 or more"),
        ({"per_class": 5, "configuration": "N200-M500"}, "give one of them"),
        ({"val_share": 1.0}, "expected a number, more than 0 and less than 1"),
        ({"near_duplicates": 17}, "expected a whole number, 0 to 16"),
        ({"sample_seed": -1}, "--sample-seed -1"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(chosen, message):
    with pytest.raises(SettingError, match=message):
        SampleSettings(**chosen)


@pytest.mark.parametrize("name", ["N200-M500", "N100-M1000", "N20-M5000", "N20-M2500", "N10-M5000", "N100-M500"])
def test_a_configuration_sets_the_number_of_classes_and_of_images(name):
    made = with_configuration(RunSettings(sample=SampleSettings(configuration=name)))
    resolved = made.sample.resolved()
    assert f"N{made.select.k}-M{resolved.per_class}" == name
    grouped = RunSettings(sample=SampleSettings(configuration=name), group=GroupSettings("random"))
    assert with_configuration(grouped).group.num_groups == made.select.k
    assert resolved.images == "random"
    assert resolved.resolved() == resolved


def test_a_share_of_val_that_leaves_nothing_to_train_on_is_refused():
    dataset = made_up()
    with pytest.raises(DatasetError, match=r"--val-share 0\.9999: leaves no training image"):
        sample_images(dataset, all_of(dataset), NOWHERE, SampleSettings(val_share=0.9999))
