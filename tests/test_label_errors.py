"""Likely label errors: found where they were made on purpose; what is done about them; the page to review them."""

import re
from dataclasses import replace

import numpy as np
import pytest

from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.label_errors import corrections_by, find_label_errors, likely_errors, probabilities_of
from rescale_fast.image_subset.sample import Evidence
from rescale_fast.image_subset.types import LabelErrors, NearDuplicates
from rescale_fast.predictions.types import Predictions
from rescale_fast.report.review import Review, write_review
from rescale_fast.scores.types import Scores
from tests.test_image_choice import IDS, NOWHERE, all_of, made_up


def uncertain(rng, labels, width):
    """Probabilities as of a network that is sure of nine images in ten, and in doubt about the others."""
    p = rng.dirichlet(np.full(width, 0.5), len(labels))
    weight = np.where(rng.random(len(labels)) < 0.9, 0.7, 0.2)
    p *= 1 - weight[:, None]
    p[np.arange(len(labels)), labels] += weight
    return p.astype(np.float32)


def test_flipped_labels_are_found_in_simulated_scores(rng):
    truth = np.arange(2000) % 20
    given = truth.copy()
    flips = rng.choice(2000, 100, replace=False)
    given[flips] = (given[flips] + rng.integers(1, 20, 100)) % 20
    paths = [str(i) for i in range(2000)]
    ids = [f"c{k}" for k in range(20)]
    found = likely_errors(paths, given, uncertain(rng, truth, 20), ids)
    named = {int(path) for path in found.paths}
    assert len(named & set(flips)) >= 0.8 * len(named)
    assert len(named & set(flips)) >= 0.8 * len(flips)
    right = [ids[truth[int(path)]] == suggested for path, suggested in zip(found.paths, found.suggested, strict=True)]
    assert np.mean(right) > 0.8
    assert (np.diff(found.given_probability) >= 0).all()


def test_the_top_five_and_the_true_class_are_kept_and_the_rest_is_spread():
    top = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]])
    p = np.array([[0.5, 0.2, 0.1, 0.05, 0.05], [0.5, 0.2, 0.1, 0.05, 0.05]], np.float32)
    ids = tuple("abcdefgh")
    made = probabilities_of(
        Predictions(NOWHERE, ids, ids, np.arange(2), ("x", "y"), np.array([0, 7]), top, p, np.array([0.5, 0.04]), ())
    )
    np.testing.assert_allclose(made[0], [0.5, 0.2, 0.1, 0.05, 0.05, 0.1 / 3, 0.1 / 3, 0.1 / 3], atol=1e-6)
    np.testing.assert_allclose(made[1], [0.5, 0.2, 0.1, 0.05, 0.05, 0.03, 0.03, 0.04], atol=1e-6)


@pytest.fixture
def noisy(rng):
    """A data set of five classes in which 12 training and 10 validation labels are wrong, and evidence of it."""
    dataset = made_up(train=(60,) * 5, val=50)
    called, wrong = {}, {}
    for split, count in (("train", 12), ("val", 10)):
        labels, paths = dataset.splits[split].labels, dataset.splits[split].paths
        called[split] = labels.copy()
        for i in rng.choice(len(labels), count, replace=False).tolist():
            called[split][i] = (labels[i] + rng.integers(1, 5)) % 5
            wrong[paths[i]] = IDS[called[split][i]]
    p = np.where(called["train"][:, None] == np.arange(5), 0.9, 0.025).astype(np.float32)
    train, val = dataset.splits["train"], dataset.splits["val"]
    true = p[np.arange(len(train)), train.labels]
    scores = Scores(NOWHERE, train.paths, train.labels, true, p, (None,) * len(train))
    top = (called["val"][:, None] + np.arange(5)) % 5
    q = np.tile(np.array([0.9, 0.025, 0.025, 0.025, 0.025], np.float32), (len(val), 1))
    true = np.where(called["val"] == val.labels, 0.9, 0.025).astype(np.float32)
    predictions = Predictions(NOWHERE, IDS, IDS, np.arange(len(val)), val.paths, val.labels, top, q, true, ())
    return dataset, Evidence(scores=scores, predictions=predictions), wrong


def test_both_splits_are_looked_at_each_by_its_own_evidence(noisy):
    dataset, evidence, wrong = noisy
    found = find_label_errors(dataset, all_of(dataset), evidence)
    assert dict(zip(found.paths, found.suggested, strict=True)) == wrong
    assert corrections_by(found, relabel=True) == wrong
    assert corrections_by(found, relabel=False) == dict.fromkeys(wrong)
    val_only = find_label_errors(dataset, all_of(dataset), replace(evidence, scores=None))
    assert set(val_only.paths) == {path for path in wrong if path.startswith("val")}


def test_what_was_corrected_by_hand_is_right(noisy):
    dataset, evidence, wrong = noisy
    reviewed = [path for i, path in enumerate(sorted(wrong)) if i % 2]
    kept = {path: path.split("/")[1] for path in reviewed}  # each as it is listed
    found = find_label_errors(dataset, all_of(dataset), replace(evidence, corrections=kept))
    assert set(found.paths) == set(wrong) - set(reviewed)


def test_of_a_choice_only_errors_that_concern_it_are_named(noisy):
    dataset, evidence, wrong = noisy
    chosen = ClassSubset(NOWHERE, "list", 5, (0, 1), IDS[:2], IDS[:2], {})
    found = find_label_errors(dataset, chosen, replace(evidence, scores=None))
    concerned = {p for p, c in wrong.items() if p.startswith("val") and {c, p.split("/")[1]} & {"ape", "bee"}}
    assert set(found.paths) == concerned
    groups = (("ape", "bee"), ("cat", "dog", "elk"))
    grouping = ClassGrouping(NOWHERE, "t", 5, ("g", "h"), ("g", "h"), ((0, 1), (2, 3, 4)), groups, {})
    found = find_label_errors(dataset, grouping, replace(evidence, scores=None))
    crossing = {p for p in wrong if p.startswith("val") and (p.split("/")[1] in groups[0]) != (wrong[p] in groups[0])}
    assert set(found.paths) == crossing
    assert set(found.suggested) <= {"g", "h"}


def test_scores_without_all_probabilities_cannot_tell(noisy):
    dataset, evidence, _ = noisy
    scores = replace(evidence.scores, probabilities=None)
    with pytest.raises(SettingError, match="has no column `probabilities`"):
        find_label_errors(dataset, all_of(dataset), replace(evidence, scores=scores))


def test_the_list_is_a_table_of_corrections_and_the_page_stands_by_itself(small_glyphs, tmp_path):
    paths = small_glyphs.splits["train"].paths[:2]
    p = np.array([0.01, 0.2], np.float32)
    errors = LabelErrors(paths, ("u0030", "u0030"), ("u0031", "u0032"), p, 1 - p)
    errors.save(tmp_path / "e.csv")
    assert read_corrections(tmp_path / "e.csv") == {paths[0]: "u0031", paths[1]: "u0032"}
    pairs = NearDuplicates((paths[0], paths[1]), (small_glyphs.splits["val"].paths[0], "val"), np.array([0, 1]))
    names = dict(zip(small_glyphs.class_ids, small_glyphs.class_names, strict=True)) | {"u0032": "<b>two</b>"}
    class_of = {paths[0]: "u0031", paths[1]: "u0030", pairs.val_paths[0]: "u0031", "val": "u0032"}
    write_review(Review("g & h", small_glyphs.root, names, errors, "listed", pairs, class_of), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 2 + 3
    assert "not readable" in page
    cards = re.findall(r'<div class="card( differ)?">(.*?)</div>\n', page.split("look alike")[1], re.S)
    assert "1 of them is of two classes" in page
    assert page.index("0 (u0030) in train, &lt;b&gt;two&lt;/b&gt; (u0032) in val") < page.index("both 1 (u0031)")
    assert [differs for differs, _ in cards] == [" differ", ""]
    assert "2 likely label errors, listed" in page
    assert "0 (u0030)" in page
    assert "&lt;b&gt;two&lt;/b&gt;" in page
    assert "http://" not in page
    assert "https://" not in page
