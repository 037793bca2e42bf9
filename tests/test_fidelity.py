"""Classes on which networks keep their order: the search against every set, the facts against SciPy and simulations."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr

import rescale_fast as rf
from rescale_fast import _core
from rescale_fast.artifact import Origin
from rescale_fast.class_subset.fidelity import rank_fidelity
from rescale_fast.class_subset.fidelity_model import fidelity_model
from rescale_fast.class_subset.held_out import HeldOutPairs, draw_folds
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.class_subset.settings import SelectSettings
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.class_subset.weights import pair_graph, weight_graph
from rescale_fast.confusion import ConfusionMatrix
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.predictions.types import Predictions


def model_arrays(rng, num_classes, rank=3):
    return rng.normal(0.5, 0.5, num_classes), rng.random(num_classes), rng.normal(0, 0.5, (num_classes, rank))


def numpy_fidelity(arrays, classes):
    """The formula of csrc/classes/fidelity.h, on whole arrays."""
    loadings, specific, residuals = arrays
    inside = np.isin(np.arange(len(loadings)), classes)
    load, share = loadings[inside].sum(), loadings[inside].sum() / loadings.sum()
    noise = (specific * (inside - share) ** 2).sum() + (residuals[inside].sum(axis=0) ** 2).sum()
    return load * abs(load) / (load**2 + noise)


def search(model, k, *, graph=None, confusion=0.0, starts=(), num_threads=1, seed=0):
    graph = graph or weight_graph(np.zeros((model.num_classes, model.num_classes)))
    return _core.search_fidelity(
        model, graph, k, fidelity=1.0, confusion=confusion, starts=list(starts),
        num_chains=6, chain_moves=3_000, seed=seed, num_threads=num_threads,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_fidelity_is_the_numpy_formula(seed):
    rng = np.random.default_rng(seed)
    arrays = model_arrays(rng, 17)
    model = _core.FidelityModel(*arrays)
    for k in (1, 5, 17):
        classes = np.sort(rng.choice(17, k, replace=False))
        assert model.fidelity(classes) == pytest.approx(numpy_fidelity(arrays, classes), rel=1e-9)


@pytest.mark.parametrize(("k", "confusion"), [(2, 0.0), (5, 0.0), (9, 0.0), (3, 0.05), (6, 0.01)])
def test_the_search_finds_the_best_of_all_sets(rng, k, confusion):
    arrays = model_arrays(rng, 11)
    weights = np.triu(rng.integers(0, 5, (11, 11)), 1).astype(float)
    weights += weights.T
    best = max(
        numpy_fidelity(arrays, classes) + confusion * weights[np.ix_(classes, classes)].sum() / 2
        for classes in combinations(range(11), k)
    )
    found, value = search(_core.FidelityModel(*arrays), k, graph=weight_graph(weights), confusion=confusion)
    assert value == pytest.approx(best)
    assert value == pytest.approx(numpy_fidelity(arrays, found) + confusion * weights[np.ix_(found, found)].sum() / 2)


def test_the_search_depends_on_the_seed_and_not_on_threads(rng):
    model = _core.FidelityModel(*model_arrays(rng, 200, 20))
    found = [search(model, 40, num_threads=threads)[0] for threads in (1, 2, 7)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_search_is_never_worse_than_where_it_begins(rng):
    model = _core.FidelityModel(*model_arrays(rng, 100))
    start, value = search(model, 20)
    again = _core.search_fidelity(
        model, weight_graph(np.zeros((100, 100))), 20, fidelity=1.0, confusion=0.0, starts=[start],
        num_chains=1, chain_moves=0, seed=5, num_threads=1,
    )  # fmt: skip
    assert again[1] >= value


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ((np.ones(3), np.ones(2), np.ones((3, 1))), "specific of 2"),
        ((np.array([1.0, np.nan]), np.ones(2), np.ones((2, 1))), "loadings holds nan at place 1"),
        ((np.array([1.0, -1.0]), np.ones(2), np.ones((2, 1))), "add up to 0"),
        ((np.ones(2), np.array([1.0, -1.0]), np.ones((2, 1))), "specific holds -1"),
        ((np.ones(2), np.ones(2), np.ones(2)), "residuals has 1 dimensions"),
    ],
)
def test_impossible_models_are_named(arrays, message):
    with pytest.raises(ValueError, match=message):
        _core.FidelityModel(*arrays)


def factor_hits(rng, num_networks, loadings, deviation, images=50):
    """Hits of networks of even ability: class c gains loadings[c] of it, and each network deviates in each class."""
    ability = rng.permutation(np.linspace(-0.1, 0.1, num_networks))
    rates = 0.6 + np.outer(ability, loadings) + deviation * rng.normal(size=(num_networks, len(loadings)))
    ids = tuple(f"c{label}" for label in range(len(loadings)))
    return NetworkHits(rng.binomial(images, np.clip(rates, 0, 1)), np.full(len(loadings), images), ids)


def confusion_of(num_classes, rng=None):
    counts = np.zeros((num_classes, num_classes), np.int64) if rng is None else rng.poisson(2, (num_classes,) * 2)
    ids = tuple(f"c{label}" for label in range(num_classes))
    return ConfusionMatrix(Origin({}, {}), counts, counts.astype(float), ids, ids)


def settings(k, **changes):
    return SelectSettings(k=k, method="rank-fidelity", **changes)


def test_where_some_classes_tell_networks_apart_choosing_beats_random_choices_on_networks_held_out(rng):
    """Half of the classes follow the ability of a network, half are noise."""
    loadings = np.repeat([0.0, 2.0], 60)
    networks = factor_hits(rng, 24, loadings, 0.1)
    chosen, facts = rank_fidelity(confusion_of(120), networks, settings(10), num_threads=1)
    assert facts["beats_random"]
    assert facts["held_out_tau"] > facts["random_tau_95"]
    assert facts["held_out_correlation"] > facts["random_correlation"]
    assert "choosing beats random choices" in facts["verdict"]
    assert np.mean(chosen >= 60) > 0.9
    others = factor_hits(rng, 200, loadings, 0.1)  # a zoo that is drawn afterwards
    by_choice = kendalltau(others.accuracy(chosen), others.accuracy()).statistic
    draws = [rng.choice(120, 10, replace=False) for _ in range(300)]
    at_random = [kendalltau(others.accuracy(draw), others.accuracy()).statistic for draw in draws]
    assert by_choice > np.quantile(at_random, 0.95)


def test_where_classes_are_all_noise_the_facts_say_that_choosing_is_of_no_use(rng):
    networks = factor_hits(rng, 24, np.zeros(120), 0.1)
    facts = rank_fidelity(confusion_of(120), networks, settings(10), num_threads=1)[1]
    assert not facts["beats_random"]
    assert "NOT shown to beat random choices" in facts["verdict"]


def test_with_few_networks_the_verdict_says_that_they_are_too_few(rng):
    facts = rank_fidelity(confusion_of(30), factor_hits(rng, 4, np.ones(30), 0.05), settings(5), num_threads=1)[1]
    assert facts["held_out_pairs"] == 2
    assert "2 pairs of networks are too few to tell" in facts["verdict"]


def test_hardness_goes_from_order_alone_to_confusion_alone(rng):
    confusion, networks = confusion_of(60, rng), factor_hits(rng, 9, rng.uniform(0, 2, 60), 0.05)
    graph, model = pair_graph(confusion), fidelity_model(networks)
    fidelity, value = [], []
    for hardness in (0.0, 0.3, 0.7, 1.0):
        chosen, facts = rank_fidelity(confusion, networks, settings(12, hardness=hardness), num_threads=1)
        fidelity.append(model.fidelity(chosen))
        value.append(graph.value(chosen))
        assert facts["fidelity"] == pytest.approx(fidelity[-1])
    assert fidelity == sorted(fidelity, reverse=True)
    assert value == sorted(value)
    hardest = rf.choose_classes(confusion, 12, num_threads=1)
    assert value[-1] >= hardest.facts["objective"]
    assert facts["confusion_share"] == pytest.approx(value[-1] / hardest.facts["objective"])


def test_choices_and_facts_do_not_depend_on_threads(rng):
    confusion, networks = confusion_of(50, rng), factor_hits(rng, 8, rng.uniform(0, 2, 50), 0.05)
    first, facts = rank_fidelity(confusion, networks, settings(9, hardness=0.4), num_threads=1)
    again, same = rank_fidelity(confusion, networks, settings(9, hardness=0.4), num_threads=3)
    np.testing.assert_array_equal(first, again)
    assert facts == same


def test_all_classes_are_the_choice_of_all(rng):
    chosen, facts = rank_fidelity(confusion_of(8), factor_hits(rng, 6, np.ones(8), 0.05), settings(8), num_threads=1)
    np.testing.assert_array_equal(chosen, np.arange(8))
    assert facts["fidelity"] == pytest.approx(1)
    assert facts["held_out_tau"] == pytest.approx(1)


def test_held_out_tau_and_correlation_are_scipys(rng):
    networks = factor_hits(rng, 12, np.ones(20), 0.1, images=7)  # few images: ties
    subset = networks.accuracy(np.arange(5))
    pairs = HeldOutPairs(networks.accuracy(), np.zeros(12, np.int64))
    assert pairs.tau(subset[None])[0] == pytest.approx(kendalltau(networks.accuracy(), subset).statistic)
    assert pairs.correlation(subset[None])[0] == pytest.approx(pearsonr(networks.accuracy(), subset).statistic)
    low, high = pairs.tau_interval(subset, 0)
    assert low < pairs.tau(subset[None])[0] < high


@pytest.mark.parametrize(("number", "held_out", "parts"), [(4, 0.33, 2), (12, 0.33, 3), (12, 0.1, 6), (13, 0.5, 2)])
def test_each_network_is_held_out_once_with_others_of_all_accuracies(rng, number, held_out, parts):
    networks = factor_hits(rng, number, np.ones(40), 0.02)
    folds = draw_folds(networks, held_out, 3)
    sizes = np.bincount(folds)
    assert len(sizes) == parts
    assert sizes.min() >= 2
    assert sizes.max() - sizes.min() <= 1
    in_order = folds[np.argsort(networks.accuracy(), kind="stable")]
    for begin in range(0, number - parts + 1, parts):
        assert sorted(in_order[begin : begin + parts]) == list(range(parts))


IDS = ("a", "b", "c", "d")


def predictions(seed, *, flips=3, paths=None, labels=None, class_ids=IDS):
    """Of 24 images, 6 of each class; `flips` of them wrong."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), 6) if labels is None else labels
    predicted = labels.copy()
    wrong = rng.choice(len(labels), flips, replace=False)
    predicted[wrong] = (labels[wrong] + rng.integers(1, 4, flips)) % 4
    top_ids = np.stack([predicted, (predicted + 1) % 4], axis=1)
    return Predictions(
        origin=Origin({}, {"network": seed}),
        class_ids=class_ids,
        class_names=class_ids,
        indices=np.arange(len(labels)),
        paths=tuple(paths or (f"val/{i}.jpg" for i in range(len(labels)))),
        labels=labels,
        top_ids=top_ids,
        top_probabilities=np.tile(np.float32([0.7, 0.2]), (len(labels), 1)),
        true_probability=np.where(predicted == labels, 0.7, 0.1).astype(np.float32),
        skipped=(),
    )


def zoo():
    return [predictions(seed, flips=2 + seed) for seed in range(6)]


def test_networks_are_pooled_by_adding_their_matrices():
    networks = zoo()
    pooled, single = rf.confusion(networks), [rf.confusion(one) for one in networks]
    np.testing.assert_array_equal(pooled.counts, sum(one.counts for one in single))
    np.testing.assert_allclose(pooled.soft, sum(one.soft for one in single))
    assert set(pooled.origin.made_from) == {f"predictions {number}" for number in range(1, 7)}
    assert list(single[0].origin.made_from) == ["predictions"]


def test_hits_are_counted_whatever_the_order_of_images():
    first, order = predictions(0), np.random.default_rng(1).permutation(24)
    other = predictions(1)
    shuffled = Predictions(
        **{**vars(other), "paths": tuple(other.paths[i] for i in order), "labels": other.labels[order]}
        | {name: getattr(other, name)[order] for name in ("top_ids", "top_probabilities", "true_probability")}
    )
    networks = [first, shuffled, predictions(2, flips=5), predictions(3, flips=7)]
    hits = NetworkHits.of(networks)
    for one, found in zip(networks, hits.hits, strict=True):
        np.testing.assert_array_equal(found, np.diagonal(rf.confusion(one).counts))
    assert len(rf.confusion(networks).origin.made_from) == 4


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"class_ids": ("a", "b", "x", "d")}, r"predictions\[1\]: its class 2 is 'x', that of predictions\[0\] is 'c'"),
        ({"class_ids": (*IDS, "e")}, "is about 5 classes, predictions.0. about 4"),
        ({"paths": ["other.jpg", *(f"val/{i}.jpg" for i in range(1, 24))]}, "has no prediction of 'val/0.jpg' .1 such"),
        ({"labels": np.roll(np.repeat(np.arange(4), 6), 1)}, "has 'val/0.jpg' under the label 3, predictions.0. under"),
    ],
)
def test_networks_that_looked_at_other_things_are_refused_by_name(other, message):
    with pytest.raises(ArtifactError, match=message):
        rf.confusion([predictions(0), predictions(1, **other)])


def test_a_network_that_looked_at_fewer_images_is_refused():
    fewer = predictions(1, paths=[f"val/{i}.jpg" for i in range(23)], labels=np.repeat(np.arange(4), 6)[:23])
    with pytest.raises(ArtifactError, match=r"predictions\[1\]: has no prediction of 'val/23.jpg'"):
        rf.confusion([predictions(0), fewer])
    with pytest.raises(ArtifactError, match=r"predictions\[0\]: has no prediction of 'val/23.jpg'"):
        rf.confusion([fewer, predictions(0)])


def test_python_chooses_by_networks_and_says_where_from():
    networks = zoo()
    chosen = rf.choose_classes(rf.confusion(networks), 2, method="rank-fidelity", predictions=networks, num_threads=1)
    assert chosen.method == "rank-fidelity"
    assert len(chosen.classes) == 2
    assert chosen.facts["networks"] == 6
    assert "predictions 6" in chosen.origin.made_from
    assert "verdict" in chosen.facts


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "rank-fidelity"}, "at least 4 networks, here are 0"),
        ({"method": "rank-fidelity", "predictions": zoo()[:3]}, "at least 4 networks, here are 3"),
        ({"method": "rank-fidelity", "predictions": zoo(), "k": 5}, "--k 5: expected 2 to 4"),
        ({"method": "rank-fidelity", "predictions": [*zoo(), zoo()[0]]}, "the same are there twice"),
        ({"predictions": zoo()}, "predictions: would have no effect"),
        ({"hardness": 0.5}, "--hardness: would have no effect, as --method is max-confusion"),
        ({"held_out": 0.5}, "--held-out: would have no effect, as --method is max-confusion"),
        ({"method": "rank-fidelity", "predictions": zoo(), "hardness": 1.5}, "--hardness 1.5: expected"),
        ({"method": "rank-fidelity", "predictions": zoo(), "held_out": 0.9}, "--held-out 0.9: expected"),
        ({"method": "rank-fidelity", "predictions": zoo(), "effort": "greedy"}, "--effort: would have no effect"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        rf.choose_classes(rf.confusion(zoo()), **{"k": 2, **arguments})


def test_a_matrix_of_other_classes_than_the_networks_is_refused():
    others = rf.confusion([predictions(seed, class_ids=("w", "x", "y", "z")) for seed in range(2)])
    with pytest.raises(ArtifactError, match="4 classes from 'a', the confusion matrix about 4 from 'w'"):
        rf.choose_classes(others, 2, method="rank-fidelity", predictions=zoo())


def test_networks_without_an_order_or_images_are_refused():
    equal = [predictions(seed, flips=4) for seed in range(4)]
    with pytest.raises(ArtifactError, match=r"all 4 networks have the accuracy 0\.8333"):
        NetworkHits.of(equal)
    of_three = [predictions(seed, flips=2 + seed, labels=np.repeat(np.arange(3), 6)) for seed in range(4)]
    with pytest.raises(ArtifactError, match="class 'd' has no predicted image"):
        NetworkHits.of(of_three)


def test_the_command_line_pools_networks_chooses_by_them_and_says_how_good_that_is(command, tmp_path):
    for number, one in enumerate(zoo()):
        one.save(tmp_path / f"net{number}.parquet")
    files, out = [tmp_path / f"net{number}.parquet" for number in range(6)], tmp_path / "run"
    chosen = ("select", "--out", out, "--k", 2, "--method", "rank-fidelity", "--predictions")
    code, printed, error = command(*chosen, *files)
    assert code == 0, error
    assert "tau of held-out networks" in printed + error
    subset, matrix = ClassSubset.load(out / "class_subset.json"), out / "confusion.npz"
    assert subset.facts["networks"] == 6
    assert ConfusionMatrix.load(matrix).num_images == 6 * 24
    assert "".join(command(*chosen, *files)[1:]).count("reused") == 2
    assert "at least 4 networks, here are 2" in command(*chosen, *files[:2])[2]
    assert "is the same as" in command(*chosen, *files[:4], files[0])[2]
    code, printed, error = command("confuse", "--out", tmp_path / "pooled", "--predictions", *files[:2])
    assert (code, ConfusionMatrix.load(tmp_path / "pooled" / "confusion.npz").num_images) == (0, 48), error
    refused = command("run", "--out", tmp_path / "no", "--method", "rank-fidelity", "--confusion", matrix)
    assert (refused[0], "at least 4 networks, here are 0" in refused[2]) == (2, True)
    many = ("--images", "sensitive", "--predictions", *files)
    assert "look at those of one" in command("run", "--out", tmp_path / "no", *many)[2]
