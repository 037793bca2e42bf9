"""Choices from single outcomes, at random and from lists."""

import numpy as np
import pytest

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.choose import choose_classes
from rescale_fast.class_subset.lists import read_list
from rescale_fast.class_subset.outcomes import by_errors_and_half, by_lowest_accuracy, by_votes, lowest_and_confused
from rescale_fast.class_subset.published import PUBLISHED, find_published
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.datasets.published import imagenet_classes, places365_classes
from rescale_fast.errors import SettingError

NOWHERE = Origin({}, {})
COUNTS = np.array(  # row = true class
    [
        [9, 1, 0, 0, 0],  # 90 %
        [4, 2, 4, 0, 0],  # 20 %
        [0, 3, 6, 1, 0],  # 60 %
        [0, 0, 5, 5, 0],  # 50 %
        [0, 0, 0, 0, 10],  # 100 %
    ]
)


def matrix(counts, ids=None):
    ids = ids or tuple(f"c{i}" for i in range(len(counts)))
    return ConfusionMatrix(NOWHERE, np.asarray(counts, np.int64), np.asarray(counts, float), ids, ids)


def test_lowest_accuracy_orders_classes_and_puts_those_without_images_last():
    assert by_lowest_accuracy(COUNTS).tolist() == [1, 3, 2, 0, 4]
    empty = COUNTS.copy()
    empty[1] = 0
    assert by_lowest_accuracy(empty).tolist() == [3, 2, 0, 4, 1]
    empty[1, 0] = 1  # its only image is misclassified
    assert by_lowest_accuracy(empty).tolist() == [1, 3, 2, 0, 4]


def test_votes_by_hand():
    # Voters of 2 x 1: classes 1 and 3. True votes: 8 for 1, 5 for 3; predicted votes: 4 for 0, 4 + 5 for 2.
    assert by_votes(COUNTS, 1, 2.0).tolist() == [2]
    # Voters of 1 x 2: the same; in order 2 (9), 1 (8), 3 (5), 0 (4).
    assert by_votes(COUNTS, 2, 1.0).tolist() == [2, 1]


def test_errors_and_half_by_hand():
    # Errors 1 8 4 5 0; predicted on errors of classes 1 and 3: 4 0 9 0 0; sums 3, 8, 8.5, 5, 0.
    assert by_errors_and_half(COUNTS, 2).tolist() == [2, 1]


def test_a_prediction_counts_for_half_an_error_and_neither_more_nor_less():
    counts = np.diag([0, 49, 100, 51])  # the three lowest are 0, 1 and 3; 2 has no error
    counts[0, 2], counts[1, 0], counts[3, 0] = 100, 51, 49  # 2 is predicted 100 times, for 50: between 49 and 51
    assert by_errors_and_half(counts, 4).tolist() == [0, 1, 2, 3]
    assert by_errors_and_half(counts, 3).tolist() == [0, 1, 2]


def test_lowest_and_confused_by_hand():
    assert lowest_and_confused(COUNTS, 2).tolist() == [1, 0]  # 1 is mistaken for 0 and 2 alike: the lower label
    assert lowest_and_confused(COUNTS, 4).tolist() == [1, 0, 3, 2]
    assert sorted(lowest_and_confused(COUNTS, 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [
        (SelectSettings(k=2, method="lowest-accuracy"), [1, 3]),
        (SelectSettings(k=2, method="validation-outcomes", vote_pool=1.0), [1, 2]),
        (SelectSettings(k=2, method="validation-outcomes", rule="errors+half"), [1, 2]),
        (SelectSettings(k=4, method="validation-outcomes", rule="lowest+confused"), [0, 1, 2, 3]),
    ],
)
def test_methods_are_reached_by_their_settings(settings, chosen):
    subset = choose_classes(matrix(COUNTS), settings, NOWHERE)
    assert list(subset.classes) == chosen
    assert subset.facts["errors"] == sum(COUNTS[c].sum() - COUNTS[c, c] for c in chosen)
    with pytest.raises(SettingError, match="--k 6: expected 2 to 5"):
        choose_classes(matrix(COUNTS), SelectSettings(k=6, method=settings.method), NOWHERE)


def test_random_choices_depend_on_the_seed_and_favour_no_class():
    def drawn(seed):
        return choose_classes(matrix(COUNTS), SelectSettings(k=2, method="random", search_seed=seed), NOWHERE).classes

    assert drawn(3) == drawn(3)
    times = np.bincount(np.concatenate([drawn(seed) for seed in range(400)]), minlength=5)
    assert (np.abs(times - 160) < 45).all()  # 4.6 standard deviations


def test_published_lists_fit_the_data_sets_they_name():
    ids = {"imagenet": imagenet_ids(), "places365": places365_classes()}
    sizes = {}
    for published in PUBLISHED.values():
        labels = published.labels(ids[published.data_set])
        sizes[published.name] = len(labels)
        assert len(set(labels.tolist())) == len(published.class_ids)
        assert published.source
        assert len(published.digest) == len("sha256:") + 64
    for name in ("ReIN30", "ReIN50", "ReIN100", "ReIN150", "ReIN200", "RePL30", "RePL50", "TinyImageNet-200"):
        assert sizes[name] == int(name.removeprefix("TinyImageNet-").lstrip("ReINPL"))
    assert len({published.digest for published in PUBLISHED.values()}) == len(PUBLISHED)


def test_published_lists_overlap_as_is_known():
    """ReIN lists are not nested, RePL's are; Imagewang is Imagenette and Imagewoof."""
    ids = {published.name: set(published.class_ids) for published in PUBLISHED.values()}
    assert [len(ids["ReIN30"] - ids["ReIN50"]), len(ids["ReIN50"] - ids["ReIN100"])] == [1, 3]
    assert ids["RePL30"] < ids["RePL50"]
    assert ids["Imagewang"] == ids["Imagenette"] | ids["Imagewoof"]
    assert ids["ImageBirds"] == {"n01614925", "n01616318", "n01622779", "n01806143", "n01833805"}


def test_a_published_list_is_chosen_by_name_and_carries_its_source():
    ids = imagenet_ids()
    counts = np.eye(len(ids), dtype=np.int64)
    subset = choose_classes(matrix(counts, ids), SelectSettings(published="rein_30"), NOWHERE)
    assert subset.method == "ReIN30"
    assert subset.class_ids == find_published("ReIN30").class_ids
    assert subset.facts["digest"].startswith("sha256:")
    assert "10.1016/j.patrec.2024.07.001" in subset.facts["source"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ImageNet-100", "could be any of ImageNet100-CMC, ImageNet100-Kaggle"),
        ("../ReIN30", "no such list. There are ReIN30, "),
        ("", "no such list"),
        ("RePL30", "30 of its 30, such as 'apartment_building-outdoor', are not among the 1,000"),
    ],
)
def test_names_that_mean_no_list_are_explained(name, message):
    ids = imagenet_ids()
    with pytest.raises(SettingError, match=message):
        choose_classes(matrix(np.eye(len(ids)), ids), SelectSettings(published=name), NOWHERE)


def test_two_lists_at_once_are_refused(tmp_path):
    with pytest.raises(SettingError, match="give one of them"):
        SelectSettings(published="ReIN30", classes=tmp_path / "list.txt")


def imagenet_ids():
    return tuple(imagenet_classes())


def test_a_class_whose_name_holds_a_number_sign_is_found(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("C#\nd # a comment\n# another\n")
    assert read_list(path, ("C", "C#", "d")).tolist() == [1, 2]
