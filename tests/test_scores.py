"""Two-half scores: who scores whom, what is stored, what is refused, and that a finished half is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rescale_fast.api.scoring import score_subset
from rescale_fast.artifact import Origin
from rescale_fast.beton.file import read_beton
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.image_subset.halves import halves
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.machine import MachineSettings
from rescale_fast.scores import score
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from tests.test_image_choice import NOWHERE, all_of, made_up


def some_scores(rng, dataset, width=5):
    images = dataset.splits["train"]
    probabilities = rng.dirichlet(np.ones(width), len(images)).astype(np.float32)
    true = probabilities[np.arange(len(images)), images.labels] if width == 5 else probabilities[:, 0]
    return Scores(NOWHERE, images.paths, images.labels, true, probabilities, (None,) * len(images))


def same(a, b):
    fields = ("labels", "true_probability", "probabilities")
    assert (a.paths, a.skipped, a.origin) == (b.paths, b.skipped, b.origin)
    for field in fields:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_scores_survive_the_disk_in_one_file_or_in_parts(rng, tmp_path):
    made = some_scores(rng, made_up())
    made.true_probability[3], made.probabilities[3] = np.nan, np.nan
    made = replace(made, skipped=(*made.skipped[:3], "cut short", *made.skipped[4:]))
    made.save(tmp_path / "one.parquet")
    same(Scores.load(tmp_path / "one.parquet"), made)
    assert Scores.load(tmp_path / "one.parquet", probabilities=False).probabilities is None

    def part(rows):
        return Scores(
            NOWHERE,
            tuple(made.paths[rows]),
            made.labels[rows],
            made.true_probability[rows],
            made.probabilities[rows],
            made.skipped[rows],
        )

    (tmp_path / "parts").mkdir()
    for name, rows in (("a", slice(0, 50)), ("b", slice(50, None))):
        part(rows).save(tmp_path / "parts" / f"part-{name}.parquet")
    same(Scores.load(tmp_path / "parts"), made)
    replace(part(slice(50, None)), origin=Origin({"dataset": "x"}, {})).save(tmp_path / "parts" / "part-b.parquet")
    with pytest.raises(ArtifactError, match="different settings.*`rescale-fast score` finishes them"):
        Scores.load(tmp_path / "parts")


def table_of(scores, **changes):
    columns = {
        "path": list(scores.paths),
        "label": scores.labels,
        "true_probability": scores.true_probability,
        "probabilities": list(scores.probabilities),
    }
    return pa.table({name: column for name, column in (columns | changes).items() if column is not None})


def test_a_table_of_ones_own_needs_three_columns(rng, tmp_path):
    dataset = made_up()
    scores = some_scores(rng, dataset)
    pq.write_table(table_of(scores, probabilities=None), tmp_path / "own.parquet")
    own = Scores.load(tmp_path / "own.parquet")
    assert own.probabilities is None
    settings = SampleSettings(images="difficulty", per_class=9)
    made = [sample_images(dataset, all_of(dataset), NOWHERE, settings, Evidence(scores=s)) for s in (scores, own)]
    assert made[0].train.paths == made[1].train.paths
    pq.write_table(table_of(scores, path=None, label=None), tmp_path / "own.parquet")
    with pytest.raises(ArtifactError, match="path, label is missing"):
        Scores.load(tmp_path / "own.parquet")


def test_what_is_no_probability_is_refused(rng, tmp_path):
    scores = some_scores(rng, made_up())
    p, matrix, path = scores.true_probability, scores.probabilities, tmp_path / "bad.parquet"
    logits = matrix.copy()
    logits[7] *= 2
    negative = matrix.copy()
    negative[7, :2] += [-1, 1]
    ragged = [row[: 5 - (i == 7)] for i, row in enumerate(matrix)]
    for change, message in (
        ({"true_probability": np.where(np.arange(len(p)) == 7, 1.5, p)}, r"train7.jpg' is 1.5, expected 0 to 1 \(1"),
        ({"true_probability": np.where(np.arange(len(p)) == 7, np.nan, p)}, "train7.jpg' is nan"),
        ({"probabilities": list(logits)}, r"train7.jpg' add up to 2 .* Take the softmax"),
        ({"probabilities": list(negative)}, r"train7.jpg' add up to 1 and the least is -"),
        ({"probabilities": ragged}, "lists of 4 to 5 numbers"),
        ({"path": [*scores.paths[:-1], scores.paths[0]]}, "1 images are in it twice"),
    ):
        pq.write_table(table_of(scores, **change), path)
        with pytest.raises(ArtifactError, match=message):
            Scores.load(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match="not readable as parquet"):
        Scores.load(path)


def test_scores_of_something_else_are_refused(rng):
    dataset = made_up()
    settings = SampleSettings(images="difficulty", per_class=9)

    def choose(scores):
        evidence = Evidence(scores=scores, scores_path=Path("s.parquet"))
        return sample_images(dataset, all_of(dataset), NOWHERE, settings, evidence)

    with pytest.raises(SettingError, match="s.parquet: gives probabilities of 4 classes, the subset has 5"):
        choose(some_scores(rng, dataset, width=4))
    fewer = some_scores(rng, made_up(train=(20, 31, 17, 23, 18)))
    with pytest.raises(ArtifactError, match=r"2 of 111 training images have no score, 'train/elk/train18.jpg' first"):
        choose(fewer)
    moved = some_scores(rng, dataset)
    moved = replace(moved, labels=np.where(np.arange(len(moved.labels)) < 2, 3, moved.labels))
    with pytest.raises(ArtifactError, match=r"'train/ape/train0.jpg' as class 3, the data set has it as class 0 \(2"):
        choose(moved)


def test_unreadable_files_are_not_chosen_and_corrected_ones_count_as_their_new_class(rng):
    dataset = made_up(train=(10, 10, 10, 10, 10))
    scores = some_scores(rng, dataset)
    bad = {5, 23}
    skipped = tuple("cut short" if i in bad else None for i in range(50))
    scores = replace(scores, skipped=skipped)
    settings = SampleSettings(images="difficulty", per_class=9)
    made = sample_images(dataset, all_of(dataset), NOWHERE, settings, Evidence(scores=scores))
    assert not {scores.paths[i] for i in bad} & set(made.train.paths)
    # One image is an elk after all. All other elks are 0 % sure; as an elk, so it is; as an ape, it would be 100 %.
    scores.probabilities[:] = [1, 0, 0, 0, 0]
    scores.probabilities[40:] = [0, 1, 0, 0, 0]
    scores.true_probability[:] = scores.probabilities[np.arange(50), scores.labels]
    settings = SampleSettings(images="difficulty", per_class=1)
    path = scores.paths[0]
    for seed in range(12):
        evidence = Evidence(corrections={path: "elk"}, scores=scores)
        chosen = sample_images(dataset, all_of(dataset), NOWHERE, replace(settings, sample_seed=seed), evidence)
        if path in chosen.train.paths:
            return  # it shares the bin of the other elks, so that some seeds choose another
    raise AssertionError("the corrected image was never chosen")


@pytest.fixture
def fake_training(monkeypatch):
    """score_half without a network: says which betons it was given, and is sure of the class it finds in them."""
    calls = []

    def fake(half_trained, half_scored, *_, **__):
        trained, scored = read_beton(half_trained.beton), read_beton(half_scored.beton)
        calls.append((half_trained.beton.stem, half_scored.beton.stem, len(trained), len(scored)))
        if len(calls) == 2 and fake.interrupted:
            fake.interrupted = False
            raise KeyboardInterrupt
        rows, labels = scored.integers("index")[::-1], scored.integers("label")[::-1]
        return rows, np.where(labels[:, None] == np.arange(len(half_scored.info.class_ids)), 0.9, 0.05).astype(
            np.float32
        )

    fake.interrupted = False
    monkeypatch.setattr(score, "score_half", fake)
    return fake, calls


def test_each_half_is_scored_once_by_the_other_and_a_finished_half_is_kept(small_glyphs, tmp_path, fake_training):
    fake, calls = fake_training
    ids = small_glyphs.class_ids
    whole = all_of(small_glyphs)
    classes = replace(
        whole, num_classes=12, classes=(2, 5, 7), class_ids=(ids[2], ids[5], ids[7]), class_names=("a",) * 3
    )
    root = tmp_path / "set"
    for split in ("train", "val"):
        for label in classes.classes:
            (root / split / ids[label]).mkdir(parents=True)
            for file in (small_glyphs.root / split / ids[label]).iterdir():
                (root / split / ids[label] / file.name).write_bytes(file.read_bytes())
    bad = f"train/{ids[5]}/00004.jpg"
    (root / bad).write_bytes(b"no image")
    dataset = replace(small_glyphs, root=root)
    subset = replace(sample_images(dataset, classes, NOWHERE), origin=Origin({"dataset": "x"}, {}))
    arguments = (tmp_path / "scores", dataset, subset, "shift", ScoreSettings(), MachineSettings())
    fake.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        score_subset(*arguments)
    assert [path.name for path in (tmp_path / "scores").iterdir()] == ["part-a.parquet"]
    score_subset(*arguments)
    assert [call[:2] for call in calls] == [("b", "a"), ("a", "b"), ("a", "b")]
    scores = Scores.load(tmp_path / "scores")
    assert sorted(scores.paths) == sorted(subset.train.paths)
    assert {path: reason for path, reason in zip(scores.paths, scores.skipped, strict=True) if reason}.keys() == {bad}
    of = dict(zip(scores.paths, scores.true_probability.tolist(), strict=True))
    assert np.isnan(of.pop(bad))
    assert set(of.values()) == {np.float32(0.9).item()}
    halved = halves(dataset, subset, 0)
    assert np.bincount(halved.train.new_labels).tolist() == [5, 5, 5]
    assert not set(halved.train.paths) & set(halved.val.paths)
    before = len(calls)
    score_subset(*arguments)
    assert len(calls) == before
