"""Whether orders of networks agree: by published figures, by scipy, by brute force over pairs, and by simulation."""

import itertools
import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, kendalltau, spearmanr

import rescale_fast as rf
from rescale_fast import _core
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.quality.accuracies import SetAccuracies
from rescale_fast.quality.bootstrap import draw_networks, noisy, residuals, seed_deviation
from rescale_fast.quality.judge import judge
from rescale_fast.quality.pairs import GAPS, compare_orders
from rescale_fast.quality.protocol import follow
from rescale_fast.quality.settings import QualitySettings
from rescale_fast.quality.table import read_accuracies
from rescale_fast.quality.types import Quality
from rescale_fast.run.judging import choose_accuracies
from rescale_fast.train import published
from tests.conftest import ROOT

TABLES = ROOT / "examples" / "quality"
PUBLISHED = ROOT / "rescale_fast" / "train" / "published_accuracies.csv"
SETTINGS = QualitySettings(draws=100)
NAMES = ("model", "image_size")
SLICES = ("imagenet", "classes_of_imagenet_a", "classes_of_imagenet_r")


def of(made, name):
    return next(one for one in made.sets if one.measured.name == name)


# What is known of others' tables


def test_published_subsets_do_not_rank_networks_as_the_full_sets_do():
    imagenet = ("ReIN30", "ReIN50", "ReIN100", "ReIN150", "ReIN200")
    made = rf.quality(PUBLISHED, reference="ImageNet", sets=("ImageNet", *imagenet))
    assert [round(one.tau.value, 2) for one in made.sets] == [0.39, 0.31, 0.17, 0.06, 0.00]
    assert all(one.tau.low < 0 < one.tau.high for one in made.sets)  # of nine networks, none of these is much
    made = rf.quality(PUBLISHED, reference="Places365", sets=("Places365", "RePL30", "RePL50"))
    assert [round(one.tau.value, 2) for one in made.sets] == [0.28, 0.50]
    assert {network for network, _ in published.published_top1()} == set(made.networks)


@pytest.fixture(scope="module")
def slices():
    return rf.quality(TABLES / "timm_imagenet_slices.csv", names=NAMES, sets=SLICES, band_top=85, draws=200)


def test_arbitrary_classes_rank_a_wide_zoo_but_not_close_networks(slices):
    a, r = of(slices, "classes_of_imagenet_a"), of(slices, "classes_of_imagenet_r")
    assert len(slices.networks) == 1556
    assert [round(one.tau.value, 3) for one in (a, r)] == [0.943, 0.937]
    assert slices.band_networks == 769
    assert [round(one.band_tau.value, 3) for one in (a, r)] == [0.851, 0.839]
    assert [round(100 * gap.agreement.value) for gap in r.by_gap] == [59, 76, 91, 99, 100]
    assert [round(100 * gap.agreement.value) for gap in a.by_gap] == [60, 77, 92, 99, 100]
    assert sum(gap.pairs for gap in r.by_gap) == 1_209_599  # of 1,209,790, less ties


def test_the_seeds_of_the_full_training_are_a_ceiling_that_a_proxy_nearly_reaches():
    made = rf.quality(TABLES / "accel_nasbench_seeds.csv", sets=("full", "proxy"))
    (proxy,) = made.sets
    assert (proxy.single_seeds.lowest, proxy.single_seeds.highest) == pytest.approx((0.8995, 0.918), abs=1e-4)
    assert proxy.tau.value == pytest.approx(0.932, abs=5e-4)
    assert (made.ceiling.lowest, made.ceiling.highest) == pytest.approx((0.948, 0.961), abs=5e-4)
    assert proxy.share_of_ceiling == pytest.approx(proxy.single_seeds.mean / made.ceiling.mean)
    assert made.ceiling_interval.low < made.ceiling.mean < made.ceiling_interval.high


# Against others


def brute_force(full, part, in_band):
    """tau-b, band tau and agreement by gap, pair by pair, in whole thousandths of a point."""
    ends = [0, *(round(1e5 * gap) for gap in GAPS), 10**9]
    credit, pairs = [0.0] * 5, [0] * 5

    def tau(places):
        n, left, right = 0, 0, 0
        for i, j in itertools.combinations(places, 2):
            a, b = full[i] - full[j], part[i] - part[j]
            n, left, right = n + np.sign(a) * np.sign(b), left + (a != 0), right + (b != 0)
        return n / np.sqrt(left * right) if left * right else np.nan

    for i, j in itertools.combinations(range(len(full)), 2):
        a, b = full[i] - full[j], part[i] - part[j]
        if a:
            place = next(k for k in range(5) if ends[k] <= abs(a) < ends[k + 1])
            pairs[place] += 1
            credit[place] += 0.5 if b == 0 else float((a > 0) == (b > 0))
    agreement = [c / p if p else np.nan for c, p in zip(credit, pairs, strict=True)]
    return tau(range(len(full))), tau(np.flatnonzero(in_band)), agreement, pairs


@pytest.mark.parametrize("m", [2, 3, 7, 23])
@pytest.mark.parametrize("spread", [3, 200, 4000])  # thousandths of a point: many ties, or few
def test_orders_equal_a_brute_force_over_pairs_and_scipy(rng, m, spread):
    full, part = rng.integers(70_000, 70_000 + spread, (2, 11, m))
    in_band = rng.random((11, m)) < 0.7
    found = compare_orders(full / 1e5, part / 1e5, in_band)
    for draw in range(11):
        tau, band, agreement, pairs = brute_force(full[draw], part[draw], in_band[draw])
        np.testing.assert_allclose(found.tau[draw], tau, atol=1e-12)
        np.testing.assert_allclose(found.band_tau[draw], band, atol=1e-12)
        np.testing.assert_allclose(found.agreement[draw], agreement, atol=1e-12)
        assert found.pairs[draw].tolist() == pairs
        if np.ptp(full[draw]) and np.ptp(part[draw]):
            assert found.tau[draw] == pytest.approx(kendalltau(full[draw], part[draw]).statistic, abs=1e-12)
            assert found.spearman[draw] == pytest.approx(spearmanr(full[draw], part[draw]).statistic, abs=1e-12)


@pytest.mark.parametrize("num_threads", [2, 7])
def test_pairs_are_counted_alike_by_any_number_of_threads(rng, num_threads):
    full, part = rng.integers(0, 50, (2, 41, 199)) / 1e3
    given = full, part, rng.random((41, 199)) < 0.5, np.array(GAPS)
    one = _core.count_pairs(*given, tied=1e-9, num_threads=1)
    np.testing.assert_array_equal(_core.count_pairs(*given, tied=1e-9, num_threads=num_threads), one)
    assert (one.sum(axis=(1, 2, 3)) == 199 * 198 // 2).all()
    with pytest.raises(ValueError, match=r"part is \(40, 199\), full is \(41, 199\)"):
        _core.count_pairs(full, part[1:], *given[2:], tied=1e-9, num_threads=1)


def test_progress_is_told_set_by_set(rng):
    steps = []

    @contextmanager
    def track(what, *, total, unit):
        steps.append(total)
        yield lambda count: steps.append(count)

    accuracies = choose_accuracies({name: {str(i): {(0, 0): 0.1 * i} for i in range(4)} for name in "abc"}, SETTINGS)
    judge(accuracies, SETTINGS, track=track)
    assert steps == [2, 1, 1]


def test_means_over_seeds_that_are_equal_are_ties_whatever_arithmetic_makes_of_them():
    full = {"full": [[0.1, 0.2], [0.15, 0.15], [0.3, 0.3]], "half": [[0.3], [0.3], [0.1 + 0.2]]}
    with pytest.raises(SettingError, match="all networks have the same accuracy on 'half'"):
        rf.quality(full)
    full["half"] = [[0.5], [0.1], [0.6]]
    (half,) = rf.quality(full).sets
    assert sum(gap.pairs for gap in half.by_gap) == 2  # 0.1 + 0.2 is not 0.15 + 0.15 to a computer
    assert half.measured.ranks == (2, 3, 1)


# The bootstrap


def zoo(rng, m, num_seeds, deviation, val_images=None, name="full"):
    true = rng.uniform(0.6, 0.7, m)
    values = true[:, None] + rng.normal(0, deviation, (m, num_seeds))
    return SetAccuracies(name, values[:, :, None], (0,), val_images)


def test_noise_of_a_draw_has_the_deviation_of_a_mean_over_seeds_and_of_the_images(rng):
    one = zoo(rng, 400, 3, 0.004)
    assert seed_deviation(one) == pytest.approx(0.004, rel=0.05)
    drawn = noisy(one, 500, 0.5, rng)
    assert (drawn - one.mean).std() == pytest.approx(seed_deviation(one) / np.sqrt(3), rel=0.02)
    drawn = noisy(replace(one, val_images=10_000), 500, 0.2, rng)
    of_images = one.mean * (1 - one.mean) * 0.8 / 10_000
    assert (drawn - one.mean).var() == pytest.approx(seed_deviation(one) ** 2 / 3 + of_images.mean(), rel=0.02)
    alone = SetAccuracies("one", one.values[:, :1], (0,))
    assert len(residuals(alone)) == 0 and seed_deviation(alone) is None
    np.testing.assert_array_equal(noisy(alone, 2, 0.5, rng), np.tile(alone.mean, (2, 1)))


def test_few_of_many_networks_in_a_draw_give_the_interval_that_all_of_them_give(rng):
    m = 1000
    full = rng.uniform(0.6, 0.8, m)
    part = full + rng.normal(0, 0.02, m)
    few = draw_networks(m, 1000, rng)
    assert few.others.shape == (1000, 256) and few.shrink == pytest.approx(np.sqrt(0.256))
    few_taus = compare_orders(full[few.others], part[few.others], np.zeros(few.others.shape, bool)).tau
    every = rng.integers(0, m, (300, m))
    deviation = np.std([kendalltau(full[one], part[one]).statistic for one in every])
    assert few.shrink * few_taus.std() == pytest.approx(1.12 * deviation, rel=0.15)  # on the safe side


def repetitions(rng, count, *, new_networks):
    """tau, measured again and again, and its intervals: with networks, seeds and validation images drawn anew, or all
    but the networks."""
    m, deviation, images, correlation = 30, 0.004, 4000, 0.5
    found = []
    for trial in range(count):
        if new_networks or not trial:
            full = rng.uniform(0.6, 0.7, m)
            part = full - 0.15 + rng.normal(0, 0.01, m)
        noise = np.sqrt(part * (1 - part) * (1 - correlation) / images)
        measured = {
            "full": full[:, None] + rng.normal(0, deviation, (m, 3)),
            "part": (part + rng.normal(0, noise))[:, None] + rng.normal(0, deviation, (m, 2)),
        }
        made = rf.quality(measured, val_images={"part": images}, draws=100, quality_seed=trial)
        found.append(made.sets[0].tau)
    return found


def test_intervals_with_other_networks_hold_what_these_give_on_average_as_often_as_they_say(rng):
    found = repetitions(rng, 150, new_networks=True)
    mean = np.mean([tau.value for tau in found])
    held = np.mean([tau.low <= mean <= tau.high for tau in found])
    assert 0.90 <= held <= 0.99  # 95 %, and three deviations of 150 trials more or less


def test_intervals_with_the_same_networks_hold_what_repetitions_give_on_average_as_often_as_they_say(rng):
    found = repetitions(rng, 150, new_networks=False)
    mean = np.mean([tau.value for tau in found])
    held = np.mean([tau.same_low <= mean <= tau.same_high for tau in found])
    assert 0.90 <= held <= 0.99
    assert all(tau.same_high - tau.same_low < tau.high - tau.low for tau in found)


def test_few_pairs_that_all_agree_do_not_make_a_certainty():
    made = rf.quality({"full": [50, 50.1, 60, 61.5, 62], "part": [40, 41, 50, 51, 52]})
    for gap in made.sets[0].by_gap:
        if gap.pairs:
            low, _ = proportion_interval(gap.pairs)
            assert gap.agreement.value == gap.agreement.high == 1 and gap.agreement.low <= low + 1e-9
    assert [gap.pairs for gap in made.sets[0].by_gap] == [1, 0, 1, 1, 7]


def proportion_interval(n):
    return binomtest(n, n).proportion_ci(method="wilson")


def test_the_same_seed_gives_the_same_intervals_and_another_one_others():
    measured = {"full": np.linspace(50, 60, 12), "part": np.r_[42, 41, 43:53]}
    first, again, other = (rf.quality(measured, val_images={"part": 500}, quality_seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.sets[0].tau != other.sets[0].tau and first.sets[0].tau.value == other.sets[0].tau.value


# Controls, ceilings, costs


@pytest.fixture(scope="module")
def experiment():
    """40 networks with 3 seeds on the full set; a good subset, two random choices and a shorter training, 2 seeds."""
    rng = np.random.default_rng(5)
    true = rng.uniform(60, 70, 40)
    noise = {"good": 0.2, "draw1": 1.5, "draw2": 2.0, "fewer": 1.2}
    measured = {"full": true[:, None] + rng.normal(0, 0.1, (40, 3))}
    for name, deviation in noise.items():
        measured[name] = (true - 20 + rng.normal(0, deviation, 40))[:, None] + rng.normal(0, 0.1, (40, 2))
    images = dict.fromkeys(measured, 50_000)
    return rf.quality(measured, random=("draw1", "draw2"), short=("fewer",), val_images=images)


def test_a_set_is_measured_against_the_best_of_the_random_draws_on_the_same_draws_of_networks(experiment):
    good = of(experiment, "good")
    assert [one.role for one in experiment.sets] == ["subset", "random", "random", "short"]
    best = max(of(experiment, name).tau.value for name in ("draw1", "draw2"))
    assert good.above_random.value == pytest.approx(good.tau.value - best)
    assert good.above_random.low > 0
    assert good.above_short.value == pytest.approx(good.tau.value - of(experiment, "fewer").tau.value)
    assert of(experiment, "draw1").above_random is None
    apart = good.above_random.high - good.above_random.low
    rival = max((of(experiment, name) for name in ("draw1", "draw2")), key=lambda one: one.tau.value)
    assert apart < (good.tau.high - good.tau.low) + (rival.tau.high - rival.tau.low)
    assert any("good beats a random choice and fewer epochs on the full set" in line for line in experiment.advice)


def test_advice_says_what_was_not_compared_and_what_was_not_shown(rng):
    true = np.linspace(50, 70, 15)
    alone = rf.quality({"full": true, "part": true[::-1] - 20})
    text = " ".join(alone.advice)
    assert "may be no agreement at all: do not rank networks on it" in text
    assert "Not compared with a random choice or fewer epochs" in text and "full has one seed" in text
    rival = rf.quality({"full": true, "part": true - 20, "draw": true - 10}, random=("draw",))
    assert "It is not shown that part is better than a random choice" in " ".join(rival.advice)


def test_gaps_between_networks_are_told_against_the_resolution_of_the_validation_images():
    made = rf.quality(PUBLISHED, reference="ImageNet", sets=("ImageNet", "ReIN30"), val_images={"ReIN30": 1500})
    (rein,) = made.sets
    accuracies = sorted(rein.measured.accuracies)
    limit = rein.measured.resolution.least_significant
    close = np.mean([b - a <= limit for a, b in itertools.combinations(accuracies, 2)])
    assert any(line.startswith(f"{100 * close:.0f} % of the pairs differ on ReIN30") for line in made.advice)


def test_one_validation_image_resolves_nothing():
    made = rf.quality({"full": [50, 60, 70, 80], "part": [40, 45, 60, 50]}, val_images={"part": 1}, draws=100)
    expected = "100 % of the pairs differ on part by less than the 100.0 points that its 1 validation image resolves: "
    assert any(one.startswith(expected) for one in made.advice)


# The protocol of Gao 2021


def epochs_of(orders):
    """(M, 1, E) accuracies of three networks, from the rank that each has after each epoch."""
    return np.array(orders, float).T[:, None, :] / 10


def test_the_earliest_epoch_is_the_one_from_which_the_order_holds_to_the_end():
    full = epochs_of([[1, 2, 3], [3, 2, 1], [1, 2, 3], [1, 3, 2], [1, 2, 3], [1, 2, 3]])  # epochs 1 to 6
    part = epochs_of([[2, 2, 2], [1, 3, 2], [1, 2, 3], [1, 2, 3]])
    made = rf.quality({"full": full, "part": part}, order_tau=1.0, train_images={"full": 1000, "part": 100})
    assert made.reference.protocol.first_epoch == 5 and made.reference.protocol.images == 5000
    (judged,) = made.sets
    protocol = judged.measured.protocol
    assert protocol.tau == pytest.approx((0, 1 / 3, 1, 1)) and protocol.epochs == (1, 2, 3, 4)
    assert (protocol.first_epoch, protocol.images) == (3, 300)
    assert (made.reference.cost, judged.measured.cost) == (6000, 400)
    lax = rf.quality({"full": full, "part": part}, order_tau=0.3)
    assert [one.protocol.first_epoch for one in (lax.reference, lax.sets[0].measured)] == [3, 2]


def test_an_order_that_is_never_the_final_one_of_the_full_set_has_no_epoch():
    full = epochs_of([[1, 2, 3], [1, 2, 3]])
    made = rf.quality({"full": full, "part": epochs_of([[1, 2, 3], [1, 3, 2]])}, order_tau=0.9)
    assert made.sets[0].measured.protocol.first_epoch is None and made.sets[0].measured.protocol.images is None
    assert made.reference.protocol.first_epoch == 1


def test_the_interval_of_the_earliest_epoch_holds_it(rng):
    true = rng.uniform(0.5, 0.8, 25)
    values = np.stack([true + rng.normal(0, 0.2 / epoch, 25) for epoch in range(1, 31)], axis=1)[:, None, :]
    one = SetAccuracies("full", values, tuple(range(1, 31)))
    found = follow(one, one.mean, 0.8, draw_networks(25, 300, rng))
    assert found.first_epoch_low <= found.first_epoch <= found.first_epoch_high
    assert found.first_epoch_low < found.first_epoch_high
    for epoch, tau in zip(found.epochs, found.tau, strict=True):
        assert tau == pytest.approx(kendalltau(values[:, 0, epoch - 1], true * 0 + one.mean).statistic)
        assert epoch < found.first_epoch - 1 or tau >= 0.8 or epoch == found.first_epoch - 1


# Tables


def table(path, text):
    path.write_text(text)
    return path


def test_columns_say_sets_seeds_and_epochs(tmp_path):
    text = "net,full_seed3_epoch10,full_seed3_epoch20,full_seed5_epoch10,full_seed5_epoch20,part\n"
    path = table(tmp_path / "t.csv", text + "a,1,2,3,4,50\nb,5,6,7,8,60\nc,9,10,11,12,55\n")
    cells = read_accuracies(path).cells
    assert cells["full"]["b"] == {(3, 10): 5, (3, 20): 6, (5, 10): 7, (5, 20): 8}
    assert cells["part"] == {"a": {(0, 0): 50}, "b": {(0, 0): 60}, "c": {(0, 0): 55}}
    made = rf.quality(path, train_images={"full": 10})
    assert made.reference.accuracies == pytest.approx((0.03, 0.07, 0.11)) and made.reference.num_seeds == 2
    assert made.reference.protocol.epochs == (10, 20) and made.reference.cost == 200


def test_sets_that_are_named_leave_the_others_unread(tmp_path):
    path = table(tmp_path / "t.csv", "net,size,full,part,draw\na,448,50,40,30\nb,224,60,50,20\nc,224,70,55,45\n")
    made = rf.quality(path, sets=["part"], reference="full", random=["draw"])
    assert (made.reference.name, [one.measured.name for one in made.sets]) == ("full", ["part", "draw"])
    assert [one.measured.name for one in rf.quality(path, sets=["part", "draw"]).sets] == ["draw"]


def test_shares_and_percent_mean_the_same(tmp_path):
    percent = table(tmp_path / "p.csv", "net,full,part\na,50,40\nb,60,45\nc,70,60\n")
    share = table(tmp_path / "s.csv", "net,full,part\na,.5,.4\nb,.6,.45\nc,.7,.6\n")
    first, second = rf.quality(percent), rf.quality(share)
    assert (first.unit, second.unit) == ("percent", "share")
    assert first.reference.accuracies == pytest.approx(second.reference.accuracies)
    low = table(tmp_path / "low.csv", "net,full,part\na,0.5,40\nb,60,45\nc,70,60\n")
    with pytest.raises(SettingError, match="'full' reach from 0.5 to 70: shares and percent mixed"):
        rf.quality(low)
    assert rf.quality(low, unit="percent").reference.accuracies[0] == 0.005


def test_several_tables_and_spreadsheets_give_one_result(tmp_path):
    one = table(tmp_path / "one.csv", "\ufeffnet,full\n'=a,50\nb,60\nc,70\n")
    two = table(tmp_path / "two.csv", "name,part\nc,60\n\nb,45\n'=a,40\n")  # another order, an empty line
    made = rf.quality([one, two])
    assert made.networks == ("=a", "b", "c") and made.sets[0].tau.value == 1
    assert made.reference.name == "full"


HEAD = "net,full,part\n"
BAD = [
    (HEAD + "a,1,2\nb,3,4\n", "there are 2 networks, expected at least 3"),
    (HEAD + "a,50,\nb,60,40\nc,70,50\n", "'a' has no accuracy on 'part' .1 of 3 networks lack something"),
    (HEAD + "a,50,nan\nb,60,40\nc,70,50\n", "row 2, column 'part': 'nan' is no accuracy, 0 to 100"),
    (HEAD + "a,50,inf\nb,60,40\nc,70,50\n", "row 2, column 'part': 'inf' is no accuracy"),
    (HEAD + "a,50,good\nb,60,40\nc,70,50\n", "row 2, column 'part': 'good' is no accuracy"),
    (HEAD + "a,50,-1\nb,60,40\nc,70,50\n", "row 2, column 'part': '-1' is no accuracy"),
    (HEAD + "a,50,448\nb,60,40\nc,70,50\n", "'448' is no accuracy, 0 to 100. If no cell of that column is one, name"),
    (HEAD + "a,50,40\na,60,40\nc,70,50\n", "the network 'a' has two rows"),
    (HEAD + ",50,40\nb,60,40\nc,70,50\n", "row 2 names no network"),
    (HEAD + "a,50\nb,60,40\nc,70,50\n", "row 2 has 2 cells, the first line 3"),
    (HEAD + "a,50,40\nb,50,45\nc,50,50\n", "all networks have the same accuracy on 'full'"),
    (HEAD, "has a first line and nothing below it"),
    ("", "is empty"),
    ("net\na\nb\nc\n", "has one column"),
    ("net;full;part\na;1;2\nb;2;3\nc;3;4\n", "has one column .its cells seem to be separated by ';'"),
    ("net,full\na,10\nb,20\nc,30\n", "'full' is the only set, with one seed"),
    ("net,full,full\na,1,2\nb,2,3\nc,3,4\n", "two of its columns are called 'full'"),
    ("net,full,\na,1,2\nb,2,3\nc,3,4\n", "column 3 has no name"),
    ("net,full,full_seed1\na,1,2\nb,2,3\nc,3,4\n", "the set 'full' has columns with and without seeds"),
    ("net,full_seed1,full_seed01\na,1,2\nb,2,3\nc,3,4\n", "column 'full_seed01' is there twice"),
    (HEAD + "a,50,.4\nb,60,.5\nc,70,.6\n", "'full' are in percent, on 'part' in share"),
    ("net,full_epoch1,full_epoch2,part\na,1,2,9\nb,2,,5\nc,3,4,6\n", "'b' has no accuracy on 'full' after epoch 2"),
    ("net,full_seed1,full_seed2,part\na,1,2,9\nb,2,,5\nc,3,4,6\n", "'b' has no accuracy on 'full' of seed 2"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_a_table_that_cannot_be_judged_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises((ArtifactError, SettingError), match=message):
        rf.quality(table(tmp_path / "t.csv", text))


def test_tables_whose_names_do_not_match_are_refused_or_what_they_share_is_judged(tmp_path):
    one = table(tmp_path / "one.csv", "net,full\nResNet18,50\nb,60\nc,70\nd,80\n")
    two = table(tmp_path / "two.csv", "net,part\nresnet18,40\nb,45\nc,60\nd,50\n")
    with pytest.raises(SettingError, match="'ResNet18' has no accuracy on 'part' .2 of 5 networks lack something"):
        rf.quality([one, two])
    made = rf.quality([one, two], incomplete="drop")
    assert made.networks == ("b", "c", "d")
    assert made.left_out == ("ResNet18: no accuracy on 'part'", "resnet18: no accuracy on 'full'")
    with pytest.raises(SettingError, match="there are 0 networks .8 lack an accuracy somewhere., expected at least 3"):
        rf.quality([one, table(tmp_path / "three.csv", "net,part\nw,40\nx,45\ny,60\nz,50\n")], incomplete="drop")
    with pytest.raises(SettingError, match="two of the tables or runs have a set 'full'"):
        rf.quality([one, one])


ARRAYS = {"full": [50, 60, 70, 80], "part": [40, 45, 60, 50]}
BAD_SETTINGS = [
    ({"sets": ["full", "part"], "val_images": {"part": 9, "prat": 9}}, "there is no set 'prat'; there are full, part"),
    (
        {"sets": ["full"], "val_images": {"part": 9}},
        "part: its number of images would have no effect, as --sets leaves",
    ),
    ({"reference": "whole"}, "there is no set 'whole'; there are full, part"),
    ({"sets": ["full", "prat"]}, "there is no set 'prat'"),
    ({"random": ["part"], "short": ["part"]}, "part: has two roles"),
    ({"reference": "part", "random": ["part"]}, "part: has two roles"),
    ({"random": ["full"]}, "full: has two roles, as it is the full set, too"),
    ({"short": ["full"]}, "full: has two roles, as it is the full set, too"),
    ({"val_images": {"part": 0}}, "--val-images part=0: expected SET=NUMBER"),
    ({"val_images": {"prat": 9}}, "there is no set 'prat'"),
    ({"random": "part"}, "random: is an object of type str, expected a list of names"),
    ({"networks": [1, 2, 3, 4]}, "networks: .1, 2, 3, 4.: expected a list of names"),
    ({"networks": ["a", "b", "c", ""]}, "networks: .'a', 'b', 'c', ''.: expected a list of names"),
    ({"val_images": {"part": 1.5}}, "--val-images part=1.5: expected SET=NUMBER"),
    ({"val_images": 1500}, "val_images: is an object of type int, expected Mapping"),
    ({"band": 0}, "--band 0.0: expected a number, more than 0"),
    ({"draws": 5}, "--draws 5: expected a whole number, 100"),
    ({"unit": "points"}, "--unit points: expected one of auto, percent, share"),
    ({"names": ["model"]}, "--names: would have no effect, as accuracies are arrays"),
    ({"networks": ["a", "b", "c", "c"]}, "full: has 4 networks; there are 3 different names"),
    ({"networks": ["a", "b"]}, "full: has 4 networks; there are 2 different names"),
]


@pytest.mark.parametrize(("settings", "message"), BAD_SETTINGS, ids=[next(iter(one)) for one, _ in BAD_SETTINGS])
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        rf.quality(ARRAYS, **settings)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "there is no set"),
        ({"full": []}, "is an array of shape .0,., expected"),
        (None, "accuracies: is an object of type NoneType"),
        ({1: [50, 60, 70]}, "1: expected the name of a set"),
        ({"": [50, 60, 70]}, "'': expected the name of a set"),
        ({"full": [50j, 60, 70]}, "full: is no array of accuracies .but of complex128"),
        ({"full": np.array([50, 60, 70], "M8[s]")}, "full: is no array of accuracies .but of datetime64"),
        (b"x.csv", "accuracies.0.: is an object of type int, expected str or Path"),
        (["x.csv", [50, 60]], "accuracies.1.: is an object of type list, expected str or Path"),
        ({"full": 3}, "is an array of shape .., expected"),
        ({"full": ["a", "b"]}, "full: is no array of accuracies"),
        ({"full": [[1, 2], [3]]}, "full: is no array of accuracies"),
        ({"full": [50, 60, 70], "part": [40, np.nan, 60]}, "'1' has no accuracy on 'part'"),
        ({"full": [50, 60, 70], "part": [40, np.inf, 60]}, "an accuracy on 'part' is inf"),
        ({"full": [50, 60, 70], "part": [40, 120, 60]}, "an accuracy on 'part' is 120, expected 0 to 100"),
        ({"full": [50, 60, 70], "part": [40, -1, 60]}, "an accuracy on 'part' is -1"),
        ({"full": [50, 60, 70], "part": [40, 50]}, "part: has 2 networks"),
        ({"full": [np.nan] * 3, "part": [50, 60, 70]}, "the set 'full' has no accuracy of any network"),
    ],
)
def test_arrays_that_cannot_be_judged_are_refused(arrays, message):
    with pytest.raises(SettingError, match=message):
        rf.quality(arrays)


def test_a_set_without_any_accuracy_is_refused_whatever_is_dropped(tmp_path):
    path = table(tmp_path / "t.csv", "net,full,part\na,,40\nb,,45\nc,,60\n")
    for given in (path, {"full": [np.nan] * 3, "part": [50, 60, 70]}):
        with pytest.raises(SettingError, match="the set 'full' has no accuracy of any network"):
            rf.quality(given, incomplete="drop")


# The file


def test_what_is_saved_reads_back_as_it_was(experiment, tmp_path):
    experiment.save(tmp_path / "quality.json")
    assert Quality.load(tmp_path / "quality.json") == experiment


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["networks"].pop(), "'full' has 40 accuracies, and there are 39 networks"),
        (lambda tree: tree["sets"][0].pop("tau"), "lacks the field 'sets.0..tau'"),
        (lambda tree: tree["sets"][1]["tau"].update(value="high"), "sets.1..tau.value is 'high', expected a number"),
        (lambda tree: tree["sets"][0].update(role="best"), "role is 'best', expected one of subset, random, short"),
        (lambda tree: tree.update(reference=None), "reference is None, expected an object"),
        (lambda tree: tree["sets"][0]["by_gap"].pop(), "different numbers of gaps"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(experiment, tmp_path, change, message):
    path = tmp_path / "quality.json"
    experiment.save(path)
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(ArtifactError, match=message):
        Quality.load(path)
