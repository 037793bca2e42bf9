"""The rank fidelity experiment: its grid resumes, its parts are what they say, its report says what
`quality` says."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest
from scipy.stats import kendalltau

from benchmarks.experiments.rank_fidelity import choose, grid, report
from benchmarks.experiments.rank_fidelity.choices import Choice, of_classes
from benchmarks.experiments.rank_fidelity.networks import NETWORKS
from benchmarks.experiments.rank_fidelity.pool import Pool, PoolSettings
from benchmarks.experiments.rank_fidelity.restricted import restricted_tau
from benchmarks.experiments.rank_fidelity.results import RESULTS, Cell, Training, add_training, claim, read_trainings
from benchmarks.experiments.rank_fidelity.training import train
from tests.conftest import ROOT

POOL = PoolSettings(classes=6, size=16, train=10, val=4)
PLAN = """condition,share,seed,networks
full,1,0,plain separable
pair,0.5,10,plain separable
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def pool():
    return Pool.open(POOL)


def make_folder(folder, plan=PLAN):
    folder.mkdir()
    settings = {"schema": "rank_fidelity/1", "pool": vars(POOL), "epochs": 20}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "plan.csv").write_text(plan)
    of_classes([1, 4], "two").save(folder / "choices" / "pair.json")
    return folder


def lines(folder):
    """What trainings came to, without what they cost."""
    return sorted(replace(one, cpu_seconds=0).to_line() for one in read_trainings(folder / "trainings.jsonl").values())


def test_a_grid_killed_in_the_middle_resumes_to_the_lines_of_an_undisturbed_one(tmp_path, one_thread):
    whole, killed = make_folder(tmp_path / "whole"), make_folder(tmp_path / "killed")
    grid.work(whole)
    assert len(lines(whole)) == 4
    call = [sys.executable, "-m", "benchmarks.experiments.rank_fidelity.grid", "--folder", str(killed)]
    with subprocess.Popen([*call, "--workers", "1"], start_new_session=True, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(killed / "trainings.jsonl")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert 1 <= len(lines(killed)) < 4
    with (killed / "trainings.jsonl").open("a") as file:
        file.write('{"condition": "pa')  # what a crash of the machine may leave
    grid.work(killed)
    assert lines(killed) == lines(whole)
    assert len((killed / "trainings.jsonl").read_text().splitlines()) == 4


def wait_for(path):
    deadline = time.monotonic() + 120
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_cell_that_another_process_claims_is_left_to_it(tmp_path):
    cell = Cell("full", 1.0, 0, "plain")
    with claim(tmp_path, cell) as mine, claim(tmp_path, cell) as again:
        assert (mine, again) == (True, False)
    with claim(tmp_path, cell) as mine:
        assert mine


def test_a_row_of_the_plan_waits_for_its_choice(tmp_path, one_thread):
    folder = make_folder(tmp_path / "g", PLAN.replace("pair", "later"))
    grid.work(folder)
    assert {one.condition for one in read_trainings(folder / "trainings.jsonl")} == {"full"}
    of_classes([0, 1, 2], "three").save(folder / "choices" / "later.json")
    grid.work(folder)
    assert len(lines(folder)) == 4


def test_a_training_survives_being_a_line(tmp_path, rng):
    correct = rng.random(13) < 0.5
    training = Training(Cell("a", 0.1, 3, "plain"), 0.25, 7, 9, (0.1, 0.25), 1.5, correct)
    add_training(tmp_path / "t.jsonl", training)
    (found,) = read_trainings(tmp_path / "t.jsonl").values()
    np.testing.assert_array_equal(found.correct, correct)
    assert found.to_line() == training.to_line()


def test_a_choice_of_coarse_classes_and_images_trains_on_these_and_judges_by_all_of_their_classes(pool):
    part = Choice([[0, 5], [2]], [0, 1, 30]).part(pool)
    assert part.train.tolist() == [0, 1, 30]
    assert part.labels(pool, part.train).tolist() == [0, 0, 1]
    assert part.labels(pool, part.val).tolist() == [0] * 4 + [1] * 4 + [0] * 4
    assert part.few_val(1).tolist() == [10, 38, 80]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_trains_and_gives_a_probability_to_every_image(pool, name, one_thread):
    part = of_classes([1, 2, 4], "").part(pool)
    outcome = train(NETWORKS[name], pool, part, images_seen=300, seed=0)
    assert outcome.predicted.shape == outcome.probability.shape == (12,)
    assert set(outcome.predicted) <= {0, 1, 2}
    assert (outcome.probability >= 0).all()
    assert len(outcome.checkpoints) == 4


def test_a_network_learns_the_images_that_it_sees(pool, one_thread):
    part = of_classes([0, 1, 4], "").part(pool)
    seen = replace(part, val=part.train)
    assert train(NETWORKS["plain"], pool, seen, images_seen=4_000, seed=0).checkpoints[-1] > 0.9


def test_pictures_picked_by_difficulty_are_what_their_names_say(pool):
    hard = np.tile(np.arange(10) / 10, (6, 1))[:, ::-1]  # of each class the last is the easiest
    picked = {name: np.array(choose.some_images(pool, hard, 2, pick).train) for name, pick in choose.PICKS.items()}
    places = {name: (images.reshape(6, 2) % 14).tolist() for name, images in picked.items()}
    assert places["easiest"] == [[8, 9]] * 6
    assert places["hardest"] == [[0, 1]] * 6
    assert places["tails"] == [[0, 9]] * 6
    assert places["even"] == [[2, 7]] * 6
    assert all(len(set(one)) == 2 for one in places["random"])


PAGES = [ROOT / "docs" / "worth.md", ROOT / "benchmarks" / "experiments" / "rank_fidelity" / "README.md"]
COLUMNS = {  # of pages -> of the saved table
    "passes": ("passes", 1),
    "seeds": ("seeds", 0),
    "tau to the full order": ("tau", 2),
    "one seed, share of the ceiling": ("share_of_ceiling", 2),
    "if only judged": ("tau_if_only_judged", 2),
}


def shown(values, digits):
    """Of several draws, the lowest and the highest."""
    ends = [f"{value:.{digits}f}" for value in (min(values), max(values))] if values else [""]
    return " to ".join(dict.fromkeys(ends))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_figures_on_pages_are_those_of_the_saved_table(page):
    with (RESULTS / "report" / "table.csv").open(newline="") as file:
        saved = list(csv.DictReader(file))
    checked, header = 0, []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[1:3] == ["condition", "cost"]:
            header = cells
        if not (header and len(cells) == len(header) and cells[1].startswith("`")):
            continue
        of = [row for row in saved if fnmatchcase(row["condition"], cells[1].strip("`")) and row["share"] == cells[2]]
        for name, cell in zip(header[3:], cells[3:], strict=True):
            key, digits = COLUMNS[name]
            assert cell == shown([float(row[key]) for row in of if row[key]], digits), line
            checked += 1
    assert checked > 15


def test_guides_that_are_far_off_have_no_part_in_a_choice_for_fidelity():
    rates = {"guide-gelu": 5, "guide-smooth": 4, "max-head": 4, "cutout": 3, "group-norm": 1}  # of 10 in each class
    trainings = []
    for place, (name, rate) in enumerate(rates.items()):
        correct = np.tile(np.arange(10) < rate, 6)
        correct[10 * place : 10 * place + 9] = True  # each is good at a class of its own
        trainings.append(Training(Cell("full", 1.0, 0, name), correct.mean(), 1, 1, (), 0, correct))
        trainings.append(Training(Cell("half-a", 1.0, 0, name), 1.0, 1, 1, (), 0, correct))
    names, hits = choose.hits_of_guides(trainings, 6)
    assert names == ["guide-gelu", "guide-smooth", "max-head", "cutout"]
    assert hits.hits.tolist()[1] == [4, 9, 4, 4, 4, 4] and hits.images.tolist() == [10] * 6


def test_tau_of_full_trainings_judged_by_some_classes_is_that_of_their_hits(tmp_path):
    of_classes([0, 2], "").save(tmp_path / "c.json")
    hits = np.array([[1, 2, 0, 3], [2, 0, 1, 4], [0, 4, 2, 4]])  # of 3 networks, on 4 classes of 5 images
    trainings = {}
    for name, row in zip("abc", hits, strict=True):
        cell = Cell("full", 1.0, 0, name)
        trainings[cell] = Training(cell, 0, 1, 1, (), 0, (np.arange(5) < row[:, None]).ravel())
    expected = kendalltau(hits.sum(axis=1), hits[:, [0, 2]].sum(axis=1)).statistic
    assert restricted_tau(trainings, "abc", 4, tmp_path / "c.json") == pytest.approx(expected)
    assert restricted_tau(trainings, "abc", 2, tmp_path / "c.json") is None
    assert restricted_tau(trainings, "abc", 4, tmp_path / "none.json") is None


def test_the_report_says_which_condition_keeps_the_order(tmp_path):
    folder = make_folder(tmp_path / "g")
    names, path = ("plain", "wide", "deep", "narrow"), folder / "trainings.jsonl"
    order = {"full": [3, 2, 1, 0], "random-2-0": [3, 2, 0, 1], "good-2": [3, 2, 1, 0], "random-2-1": [0, 1, 2, 3]}
    for condition, ranks in order.items():
        for seed in (0, 1):
            for name, rank in zip(names, ranks, strict=True):
                correct = np.arange(100) < 40 + 8 * rank + seed
                share = 1.0 if condition == "full" else 0.1
                add_training(
                    path, Training(Cell(condition, share, seed, name), correct.mean(), 5, 6, (0.5,), 1, correct)
                )
    text = report.write_report(folder, names)
    assert "agree to tau 1.000" in text
    best = next(line for line in text.splitlines() if "good-2" in line).split(" | ")
    assert best[0] == "| good-2"
    assert best[report.HEADINGS.index("tau")].startswith("1.00")
    assert best[-1].startswith("0.33")  # above the better of 2/3 and -1
    first = (folder / "report" / "worth-ranks.svg").read_bytes()
    assert first.startswith(b"<?xml") and report.write_report(folder, names) == text
    assert (folder / "report" / "worth-ranks.svg").read_bytes() == first
