"""The recipe experiment: its images are what they are called, its grid resumes, its intervals are Student's."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.experiments.recipe import grid, report, ways
from benchmarks.experiments.recipe.batches import InMemory
from benchmarks.experiments.recipe.cases import CASES, Case
from benchmarks.experiments.recipe.sets import Images, SetSettings, open_set
from benchmarks.experiments.recipe.trainings import Outcome, by_recipe, by_timm, plain
from rescale_fast.loaders.augment import FILL
from rescale_fast.train.recipe import FAST

TINY = SetSettings("glyphs", classes=2, size=16, train=40, val=10)
NETWORK = "benchmarks.experiments.recipe.networks:plain"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def tiny_case(monkeypatch):
    """Two ways in one case, each of a second."""
    monkeypatch.setattr(ways, "CHANGES", dict(list(ways.CHANGES.items())[:2]))
    monkeypatch.setattr(ways, "_rivals", lambda case, fast: iter(()))
    monkeypatch.setattr(Case, "fast", lambda case: replace(FAST, epochs=1))
    for module in (grid, report):
        monkeypatch.setattr(module, "CASES", {"tiny": Case("choose", TINY, "plain", seeds=2)})
    for cached in (grid._ways, grid._parts):
        cached.cache_clear()
    yield grid.Wanted(cases=("tiny",), seeds=2)
    for cached in (grid._ways, grid._parts):
        cached.cache_clear()


def test_mirrored_letters_are_the_letters_half_of_them_mirrored():
    letters, mixed = (open_set(replace(TINY, kind=kind))["val"].pixels for kind in ("glyphs", "mirrored"))
    same = [np.array_equal(one, other) for one, other in zip(letters, mixed, strict=True)]
    mirrored = [np.array_equal(one[:, ::-1], other) for one, other in zip(letters, mixed, strict=True)]
    assert all(np.logical_xor(same, mirrored))
    assert 4 <= sum(mirrored) <= 16


@pytest.mark.parametrize("kind", ["glyphs", "mirrored", "objects"])
def test_a_set_is_drawn_alike_again_and_no_image_twice(kind, monkeypatch, tmp_path):
    settings = replace(TINY, kind=kind, classes=6, train=3, val=2, noise=10)
    first = open_set(settings)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    again = open_set(settings)
    for split, count in (("train", 18), ("val", 12)):
        np.testing.assert_array_equal(first[split].pixels, again[split].pixels)
        assert first[split].labels.tolist() == np.repeat(np.arange(6), count // 6).tolist()
    everything = np.concatenate([part.pixels for part in first.values()])
    assert len(np.unique(everything.reshape(30, -1), axis=0)) == 30


def test_an_epoch_has_each_image_once_moved_and_filled_as_the_loaders_do(rng):
    pixels = rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    batches = InMemory(Images(pixels, np.arange(10)), 5, 32, "shift", trains=True)
    made = {
        int(row): image.permute(1, 2, 0).numpy()
        for images, _, rows in batches
        for image, row in zip(images, rows, strict=True)
    }
    assert sorted(made) == list(range(10))
    padded = np.full((10, 36, 36, 3), FILL, np.uint8)
    padded[:, 2:34, 2:34] = pixels
    for row, image in made.items():
        places = [padded[row, i : i + 32, j : j + 32] for i in range(5) for j in range(5)]
        assert any(np.array_equal(image, place) for place in places)


def test_batches_are_those_of_our_loaders(tmp_path, rng):
    from rescale_fast.loaders.augment import place_randomly
    from rescale_fast.loaders.base import Share

    pixels = rng.integers(0, 256, (9, 24, 24, 3), dtype=np.uint8)
    batches = InMemory(Images(pixels, np.arange(9)), 4, 24, "shift-flip", seed=3, trains=True, drops_last=True)
    batches.epoch = 2
    found = [(images, rows) for images, _, rows in batches]
    order = Share(9, 0, 1, shuffled=True, equal=True, seed=3).sample_order(2)[:8]
    assert torch.cat([rows for _, rows in found]).tolist() == order.tolist()
    places = place_randomly(order, order * 0, np.full((9, 2), 24), "shift-flip", 24, 3, 2)
    for i, image in enumerate(torch.cat([images for images, _ in found])):
        down, right = places.shifts[i]
        centre = image.permute(1, 2, 0).numpy()[8:16, 8:16]
        whole = pixels[order[i]][:, ::-1] if places.mirrored[i] else pixels[order[i]]
        np.testing.assert_array_equal(centre, whole[8 - down : 16 - down, 8 - right : 16 - right])


def test_each_way_of_training_learns_two_letters(one_thread):
    parts = open_set(TINY)
    recipe = replace(FAST.of_batch(16), epochs=6, augment="shift")
    rate = {"epochs": 6, "batch_size": 16}
    outcomes = [
        by_recipe(parts, NETWORK, recipe, 0),
        plain(parts, NETWORK, "shift", 0, optimizer="SGD", learning_rate=0.02, **rate),
        plain(parts, NETWORK, "shift", 0, optimizer="AdamW", learning_rate=0.005, **rate),
        by_timm(parts, NETWORK, "shift", 0, epochs=12, batch_size=16),
        by_timm(parts, NETWORK, "shift", 0, epochs=6, batch_size=16, same_images=True),
    ]
    assert min(one.top1 for one in outcomes) >= 0.8
    assert all(one.cpu_seconds > one.loading_cpu_seconds > 0 for one in outcomes)
    assert [one.steps for one in outcomes] == [30, 30, 30, 60, 30]


def lines(path):
    """What trainings came to, without what they cost."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted(str({key: value for key, value in row.items() if "seconds" not in key}) for row in rows)


def test_a_grid_does_what_is_missing_alone_and_comes_to_the_same(tmp_path, tiny_case, one_thread):
    path = tmp_path / "trainings.jsonl"
    grid.work(path, tiny_case)
    whole = path.read_text().splitlines(keepends=True)
    assert len(whole) == 4
    (tmp_path / "cut.jsonl").write_text(whole[0] + whole[3] + whole[1][:40])  # what a crash may leave
    grid.work(tmp_path / "cut.jsonl", tiny_case)
    assert lines(tmp_path / "cut.jsonl") == lines(path)
    assert (tmp_path / "cut.jsonl").read_text().startswith(whole[0] + whole[3])
    grid.work(path, tiny_case)
    assert path.read_text() == "".join(whole)


def test_results_of_other_settings_are_none_of_a_way(tmp_path, tiny_case, monkeypatch):
    path = tmp_path / "trainings.jsonl"
    for cell, _ in tiny_case.cells():
        grid.add_line(path, json.dumps(asdict(cell) | asdict(Outcome(0.5, 0.5, 1.0, 0.1, 5))))
    assert len(report.gather(path)["tiny"]) == 2
    monkeypatch.setattr(Case, "fast", lambda case: replace(FAST, epochs=2))
    assert report.gather(path) == {}


def test_no_way_of_a_case_does_the_same_as_another():
    for name, case in CASES.items():
        found = list(ways.ways(case))
        assert found[0].name == ways.BASELINE, name
        assert len({way.digest for way in found}) == len(found) == len({way.name for way in found}), name


def test_an_interval_over_one_case_is_that_of_a_paired_t_test(rng):
    ours, theirs = rng.normal(size=(2, 7))
    found = report.mean_of_means([(ours - theirs).tolist()])
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_an_interval_over_cases_is_that_of_least_squares_with_a_mean_for_each(rng):
    groups = rng.normal(size=(3, 5)) + np.array([[0], [4], [9]])
    design = np.kron(np.eye(3), np.ones((5, 1)))
    means, squares, *_ = np.linalg.lstsq(design, groups.ravel())
    error = np.sqrt(squares[0] / 12 / 15)  # 12 degrees of freedom, a mean of 15 values
    found = report.mean_of_means(groups.tolist())
    assert found.value == pytest.approx(means.mean())
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 12) * error)


def test_one_seed_has_no_interval():
    assert report.mean_of_means([[1.0], [2.0, 3.0]]).low == -np.inf
