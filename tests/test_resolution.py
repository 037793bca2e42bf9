"""The differences that validation images can tell from noise: by hand, by simulation, and where it is shown."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest, norm, poisson

import rescale_fast as rf
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.image_subset.types import ImageSubset, SubsetImages
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.resolution import FEWEST, FEWEST_EXPECTED, POWER, SIGNIFICANT
from rescale_fast.run.commands import main
from tests.conftest import ROOT

NOWHERE = Origin({}, {})
CLASS_B = ClassSubset(NOWHERE, "list", 3, (1,), ("b",), ("b",), {})


def test_the_constants_are_those_of_the_normal_distribution():
    assert norm.cdf(SIGNIFICANT) == pytest.approx(0.975, abs=1e-6) and norm.cdf(POWER) == pytest.approx(0.8, abs=1e-6)


def test_the_validation_images_of_rein30_by_hand():
    found = rf.resolution(30 * 50, accuracy=0.48)
    assert found.disagreement == pytest.approx(2 * 0.48 * 0.52 * 0.5)
    assert found.least_significant == pytest.approx(1.959964 * math.sqrt(0.2496 / 1500), rel=1e-6)  # 2.53 points
    assert found.detectable == pytest.approx(2.801585 * math.sqrt(0.2496 / 1500), rel=1e-6)  # 3.61 points
    assert found.images_for_target == math.ceil(0.2496 * (1.959964 / 0.01) ** 2)  # 9,589
    assert found.describe() == (
        "1,500 validation images tell two networks apart from 2.53 points of top-1 on (95 %; near 48 %, correlation "
        "0.50 assumed); a true difference of 3.61 points is found 4 times in 5. To resolve 1 point takes 9,589 images."
    )


def outcomes(rng, trials, images, accuracies, correlation):
    """(trials, 2, images): whether each of two networks is right, with these accuracies and this correlation."""
    p, q = accuracies
    both = p * q + correlation * math.sqrt(p * (1 - p) * q * (1 - q))
    draws = rng.random((trials, images))
    return np.stack([draws < p, (draws < both) | ((draws >= p) & (draws < p + q - both))], axis=1)


@pytest.mark.parametrize(("accuracy", "correlation"), [(0.5, 0.5), (0.8, 0.3), (0.3, 0.0), (0.75, 0.8)])
@pytest.mark.parametrize(("differ_by", "share"), [("nothing", 0.05), ("least_significant", 0.5), ("detectable", 0.8)])
def test_networks_that_differ_are_told_apart_as_often_as_promised(rng, accuracy, correlation, differ_by, share):
    found = rf.resolution(1500, accuracy=accuracy, correlation=correlation)
    apart = 0.0 if differ_by == "nothing" else getattr(found, differ_by)
    right = outcomes(rng, 4000, 1500, (accuracy - apart / 2, accuracy + apart / 2), correlation)
    measured = right[:, 1].mean(axis=1) - right[:, 0].mean(axis=1)
    assert measured.mean() == pytest.approx(apart, abs=2e-3)
    assert np.mean(np.abs(measured) > found.least_significant) == pytest.approx(share, abs=0.035)


def test_several_seeds_are_told_apart_as_often_as_promised(rng):
    """Trainings whose accuracies scatter by 1 point around their network's, tested on images of their own."""
    found = rf.resolution(2000, accuracy=0.6, correlation=0.0, seeds=1, seed_deviation=0.01)
    for apart, share in ((0.0, 0.05), (found.detectable, 0.8)):
        p = 0.6 + np.array([0, apart])[:, None] + rng.normal(0, 0.01, (2, 20_000))
        first, second = rng.binomial(2000, p) / 2000
        assert np.mean(np.abs(first - second) > found.least_significant) == pytest.approx(share, abs=0.015)


def test_more_images_seeds_and_correlation_resolve_smaller_differences():
    base = {"accuracy": 0.6, "seed_deviation": 0.005}
    plain = rf.resolution(2000, **base)
    for better in (rf.resolution(4000, **base), rf.resolution(2000, seeds=3, **base)):
        assert better.least_significant < plain.least_significant
    assert rf.resolution(2000, correlation=0.9, **base).least_significant < plain.least_significant
    assert rf.resolution(2000, accuracy=0.5).least_significant > rf.resolution(2000, accuracy=0.9).least_significant


@pytest.mark.parametrize("target", [0.005, 0.01, 0.03])
@pytest.mark.parametrize("seed_deviation", [0.0, 0.002])
def test_so_many_images_as_it_says_resolve_the_target_and_one_less_does_not(target, seed_deviation):
    asked = {"accuracy": 0.7, "seeds": 3, "seed_deviation": seed_deviation, "target": target}
    needed = rf.resolution(1500, **asked).images_for_target
    assert rf.resolution(needed, **asked).least_significant <= target * (1 + 1e-12)
    assert rf.resolution(needed - 1, **asked).least_significant > target


def test_where_seeds_alone_make_more_noise_no_number_of_images_will_do():
    found = rf.resolution(1000, seed_deviation=0.01)
    assert found.images_for_target is None
    assert "No number of images resolves 1 point, as the noise of seeds alone is larger" in found.describe()


def predictions_of(right, labels=None, names=None):
    """Predictions over three classes: the true one where right, else the next."""
    n = len(right)
    labels = np.arange(n) % 3 if labels is None else labels
    called = np.where(right, labels, (labels + 1) % 3)
    others = np.stack([(called + 1) % 3, (called + 2) % 3], axis=1)
    return Predictions(
        NOWHERE, ("a", "b", "c"), ("a", "b", "c"), np.arange(n), names or tuple(f"{i}.jpg" for i in range(n)), labels,
        np.column_stack([called, others]), np.tile(np.float32([0.6, 0.3, 0.1]), (n, 1)), np.zeros(n, np.float32), (),
    )  # fmt: skip


def test_on_few_images_and_where_networks_hardly_disagree_the_exact_test_sets_the_limits():
    significant = [n for n in range(1, 20) if binomtest(n, n).pvalue < 0.05]
    assert (min(significant), poisson.sf(FEWEST - 1, FEWEST_EXPECTED) >= 0.8) == (FEWEST, True)
    for accuracy in (0.0, 1.0):
        found = rf.resolution(1500, accuracy=accuracy)
        assert (found.least_significant, found.detectable) == (6 / 1500, 8 / 1500)
        assert rf.resolution(accuracy=accuracy, images=found.images_for_target).least_significant <= found.target
    assert rf.resolution(7).least_significant == 6 / 7
    for n, images in ((1, "1 validation image tells"), (6, "6 validation images tell")):
        found = rf.resolution(n, seed_deviation=0.5)
        assert (found.least_significant, found.detectable) == (1, 1)
        assert found.describe().startswith(f"{images} no two networks apart: any difference may be noise (95 %; near")


def test_with_predictions_the_disagreement_is_counted():
    right = np.tile(np.array([[1, 1, 1, 0, 0, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0, 1, 0, 0]], bool), 9)
    first, second = map(predictions_of, right)
    found = rf.resolution(predictions=(first, second))
    assert (found.val_images, found.is_measured) == (81, True)
    assert found.disagreement == pytest.approx(3 / 9) and found.accuracy == pytest.approx(9 / 18)
    assert found.correlation == pytest.approx(1 - (3 / 9) / 0.5)
    assert found.least_significant == pytest.approx(SIGNIFICANT * math.sqrt(27) / 81)  # McNemar: sqrt(b + c) / n
    of_a = rf.resolution(predictions=(first, second), classes=ClassSubset(NOWHERE, "list", 3, (0,), ("a",), ("a",), {}))
    assert (of_a.val_images, of_a.disagreement) == (27, pytest.approx(1 / 3))  # images 0, 3, 6, ...
    assert rf.resolution(8100, (first, second)).least_significant == pytest.approx(found.least_significant / 10)
    backwards = predictions_of(right[1][::-1], first.labels[::-1], first.paths[::-1])
    assert rf.resolution(predictions=(first, backwards)) == found  # in another order
    third = predictions_of(~right[0])
    among = rf.resolution(predictions=(first, second, third))
    assert among.disagreement == pytest.approx((3 / 9 + 1 + 6 / 9) / 3)


def test_measured_and_assumed_agree_where_the_assumption_holds(rng):
    ((first, second),) = outcomes(rng, 1, 100_000, (0.7, 0.7), 0.4)
    measured = rf.resolution(predictions=(predictions_of(first), predictions_of(second)))
    assumed = rf.resolution(100_000, accuracy=0.7, correlation=0.4)
    assert measured.least_significant == pytest.approx(assumed.least_significant, rel=0.02)
    assert measured.correlation == pytest.approx(0.4, abs=0.02)


def test_predictions_of_other_images_are_refused():
    right = np.ones(6, bool)
    one = predictions_of(right)
    with pytest.raises(ArtifactError, match=r"predictions.1.: has no prediction of '5.jpg' \(1 such images\)"):
        rf.resolution(predictions=(one, predictions_of(right[:5])))
    with pytest.raises(ArtifactError, match=r"predictions.1.: has no prediction of '0.jpg' \(6 such images\)"):
        rf.resolution(predictions=(one, predictions_of(right, names=tuple("abcdef"))))
    with pytest.raises(ArtifactError, match="predictions.1.: has '1.jpg' under the label 0, predictions.0. under 1"):
        rf.resolution(predictions=(one, predictions_of(right, labels=np.zeros(6, np.int64))))
    with pytest.raises(ArtifactError, match="predictions.1.: its class 0 is 'x'"):
        rf.resolution(predictions=(one, replace(one, class_ids=("x", "y", "z"))))
    with pytest.raises(SettingError, match="two networks or more"):
        rf.resolution(predictions=(one,))
    with pytest.raises(SettingError, match="of no image of these classes"):
        none = [predictions_of(one, labels=np.zeros(6, np.int64)) for one in (right, ~right)]
        rf.resolution(predictions=none, classes=CLASS_B)


def test_a_network_is_not_compared_with_itself(tmp_path, capsys):
    one = predictions_of(np.array([1, 0, 1], bool))
    with pytest.raises(SettingError, match="the same are there twice"):
        rf.resolution(predictions=(one, replace(one, origin=Origin({"another": "file"}, {}))))
    for name in ("a", "b"):
        one.save(tmp_path / f"{name}.parquet")
    assert main(["resolution", "--predictions", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 2
    assert "b.parquet: is the same as" in capsys.readouterr().err


def test_the_command_calls_predictions_of_other_images_damage_as_select_does(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    for path, n in zip(paths, (6, 5), strict=True):
        predictions_of(np.ones(n, bool)).save(Path(path))
    assert main(["resolution", "--predictions", *paths]) == 1
    assert f"{paths[1]}: has no prediction of '5.jpg'" in capsys.readouterr().err


def subset_of(num_train, num_val):
    def images(n):
        return SubsetImages(("val",) * n, np.arange(n), tuple(map(str, range(n))), np.zeros(n, int), np.zeros(n, int))

    return ImageSubset(NOWHERE, ("a",), ("a",), images(num_train), images(num_val))


def test_a_subset_is_told_the_val_share_that_resolves_one_point():
    found = rf.resolution(subset_of(38_500, 1500))
    assert (found.val_images, found.images_for_target) == (1500, 9604)
    assert found.val_share_for_target == pytest.approx(9604 / 40_000)
    assert found.describe().endswith("To resolve 1 point takes 9,604 images: --val-share 0.241.")
    small = rf.resolution(subset_of(3000, 1000))
    assert "more than half of all there are: take more classes, or several seeds" in small.describe()
    assert rf.resolution(subset_of(10, 10_000)).describe().endswith("That resolves 1 point.")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give a number of images, an ImageSubset, or predictions"),
        ({"images": 0}, "images 0: expected a number of validation images"),
        ({"images": True}, "images True"),
        ({"images": 1500.0}, "images: is an object of type float, expected int"),
        ({"images": 9, "accuracy": 48}, "--accuracy 48.0: expected a number, 0 to 1"),
        ({"images": 9, "correlation": 1.0}, "--correlation 1.0: expected a number, 0 to 0.999"),
        ({"images": 9, "seeds": 0}, "--seeds 0"),
        ({"images": 9, "target": 0}, "--target 0.0: expected a number, 1e-06 to 0.99"),
        ({"images": 9, "target": 1e-300}, "--target 1e-300: expected a number, 1e-06 to 0.99"),
        ({"predictions": [3, 4]}, "predictions: is an object of type int"),
        ({"predictions": [predictions_of(np.ones(3, bool))] * 2, "accuracy": 0.4}, "--accuracy: would have no effect"),
        (
            {"images": 9, "classes": CLASS_B},
            "give a number of images",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        rf.resolution(**settings)


def test_the_command_says_the_same(tmp_path, capsys):
    assert main(["resolution", "--val-images", "1500", "--accuracy", "0.48"]) == 0
    assert capsys.readouterr().out.strip() == rf.resolution(1500, accuracy=0.48).describe()
    right = np.tile(np.array([[1, 1, 1, 0, 0, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0, 1, 0, 0]], bool), 2)
    for name, row in zip("ab", right, strict=True):
        predictions_of(row).save(tmp_path / f"{name}.parquet")
    given = ["--predictions", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    (tmp_path / "list.txt").write_text("a\nb\n")
    for more, n in (([], 18), (["--classes", str(tmp_path / "list.txt")], 12), (["--val-images", "50"], 50)):
        assert main(["resolution", *given, *more]) == 0
        assert f"{n} validation images tell two networks apart" in capsys.readouterr().out
    for wrong, message in (
        ([], "resolution: give --val-images, or --predictions"),
        ([*given, "--accuracy", "0.4"], "--accuracy: would have no effect, as --predictions say it"),
        (["--val-images", "9", "--classes", "ReIN30"], "--classes: would have no effect, without --predictions"),
        (["--predictions", str(tmp_path / "c.parquet")], "c.parquet: no such file"),
        ([*given, "--classes", "ReIM30"], "--classes ReIM30: no such file, nor a list of that name"),
        (given[:2], "a disagreement takes the predictions of two networks or more"),
    ):
        assert main(["resolution", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_numbers_of_the_manual_are_what_it_computes():
    manual = " ".join((ROOT / "docs" / "worth.md").read_text(encoding="utf-8").split())
    assert rf.resolution(1500, accuracy=0.48).describe() in manual
    images = {"ReIN30": 1500, "ReIN50": 2500, "ReIN100": 5000, "ReIN150": 7500, "ReIN200": 10_000, "ImageNet": 50_000}
    table = ROOT / "rescale_fast" / "train" / "published_accuracies.csv"
    made = rf.quality(table, reference="ImageNet", sets=tuple(images), val_images=images, draws=100)
    for one in (made.reference, *(judged.measured for judged in made.sets)):
        found = one.resolution
        limits = f"{100 * found.least_significant:.2f} | {100 * found.detectable:.2f}"
        assert f"| {one.name} | {images[one.name]:,} | {limits} |" in manual
    assert made.advice[2].startswith("64 % of the pairs") and "64 % of the pairs differ" in manual
    for correlation, text in ((0.0, "3.58 points without any correlation"), (0.8, "1.60 at 0.8")):
        found = rf.resolution(1500, accuracy=0.48, correlation=correlation)
        assert f"{100 * found.least_significant:.2f}" == text[:4] and text in manual
    seeds = rf.resolution(1500, accuracy=0.48, seeds=3, seed_deviation=0.006)
    assert f"makes the 2.53 points {100 * seeds.least_significant:.2f}" in manual
    assert f"it takes {seeds.images_for_target:,} images" in manual
