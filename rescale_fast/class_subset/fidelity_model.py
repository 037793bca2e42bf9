"""What is to be expected of networks that nobody has looked at yet, on any set of classes: a model with one factor.

Reads NetworkHits; makes the core's FidelityModel (csrc/classes/fidelity.h), whose `fidelity` of a set of classes is the
squared correlation, over networks, of the accuracy on the set with that on all classes. That of the networks at hand
alone is worth nothing: with a handful of networks a search finds sets on which it is 1. So, per class c,

    hits of network m = mean + loading_c * (accuracy of m on all classes) + deviation_mc

- *loadings* are regression slopes, which few networks tell badly; they are drawn towards what classes as hard have
  (a quadratic in the binomial variance), by as much as their noise asks for (Fay and Herriot 1979).
- *residuals*: the deviations of the networks at hand, which must cancel out in a set as they do over all classes.
- what other networks deviate by: classes on which the known ones did alike may be alike again, as a Gaussian process
  over the classes' profiles says (by random Fourier features, Rahimi and Recht 2007); then a set must hold them in the
  proportion that all classes do. How much of the variance that explains is seen by leaving out each network in turn.
  The rest is *specific* to each class; its variance is estimated and drawn as loadings are.

With no residuals and no process, fidelity is the composite reliability (omega, McDonald 1999) by which items of a test
are chosen; with these alone, the set is an even sample of the classes, as anchor points are (Vivek et al. 2024;
tinyBenchmarks, Polo et al. 2024). Weighed by held-out networks: see benchmarks/bench_rank_fidelity.py.
"""

import numpy as np

from rescale_fast import _core
from rescale_fast.class_subset.network_hits import NetworkHits
from rescale_fast.types import FloatArray

SPECIFIC = 0.3  # weight of what is specific: with all of it, searches trust loadings more than held-out networks do
FEATURES, LENGTH = 48, 0.5  # of the process; its length scale, in median distances between profiles
LEAST = 0.1  # share of the binomial variance that deviations have at least, however few networks show them


def fidelity_model(networks: NetworkHits) -> _core.FidelityModel:
    """Fit the model to these networks."""
    scale = networks.images.mean()
    hits = networks.hits / scale  # so that a class counts as 1, on average
    accuracy = hits.mean(axis=1)
    spread = accuracy - accuracy.mean()
    centred = hits - hits.mean(axis=0)
    freedom = max(1, networks.num_networks - 2)
    loadings = _slopes(spread, centred, networks.images / scale)
    deviations = centred - np.outer(spread, loadings)
    variances = (deviations**2).sum(axis=0) / freedom
    binomial = _binomial_variance(networks) * networks.images / scale**2

    least = LEAST * binomial
    specific = np.maximum(least, _drawn(variances, 2 * np.maximum(variances, least) ** 2 / freedom, binomial))
    variance = max(spread @ spread / (networks.num_networks - 1), np.finfo(float).tiny)
    loadings = _drawn(loadings, specific / (variance * (networks.num_networks - 1)), binomial)
    deviations = centred - np.outer(spread, loadings)
    smooth = min(specific.mean(), _smooth_variance(networks, deviations))
    parts = [deviations / np.sqrt(networks.num_networks - 1), np.sqrt(smooth) * _features(networks)]
    return _core.FidelityModel(
        np.ascontiguousarray(loadings * np.sqrt(variance)),
        np.ascontiguousarray(SPECIFIC * (1 - smooth / specific.mean()) * specific),
        np.ascontiguousarray(np.concatenate(parts).T),
    )


def _smooth_variance(networks: NetworkHits, deviations: FloatArray) -> float:
    """The variance that the process has, by how alike a network's deviations are in classes that are alike to others.

    By least squares: products of the deviations of two classes against the products of their features.
    """
    numbers = np.arange(networks.num_networks)
    explained = squares = 0.0
    for left_out, found in enumerate(deviations):
        features = _features(networks.some(numbers != left_out))
        lengths = (features**2).sum(axis=0)
        explained += ((features @ found) ** 2).sum() - lengths @ found**2  # less the products of a class with itself
        squares += ((features @ features.T) ** 2).sum() - lengths @ lengths
    return max(0.0, explained / squares) if squares > 0 else 0.0


def _slopes(spread: FloatArray, centred: FloatArray, alike: FloatArray) -> FloatArray:
    """(K,) of each class on the accuracy; `alike` where these networks do not differ in accuracy."""
    squares = spread @ spread
    slopes: FloatArray = spread @ centred / squares if squares > 0 else alike
    return slopes


def _binomial_variance(networks: NetworkHits) -> FloatArray:
    """(K,) of whether an image of the class is right, as networks do on average; never 0."""
    rates = (networks.hits + 0.5) / (networks.images + 1)
    variance: FloatArray = (rates * (1 - rates)).mean(axis=0)
    return variance


def _drawn(found: FloatArray, noise: FloatArray, hardness: FloatArray) -> FloatArray:
    """(K,) values drawn towards a quadratic in `hardness` by the share of their variance that is noise; the sum stays.

    Args: noise: (K,) variance of each value.
    """
    powers = np.vander(hardness / hardness.max(), 3)
    expected: FloatArray = powers @ np.linalg.lstsq(powers, found, rcond=None)[0]
    rest = found - expected
    seen = rest @ rest / max(1, len(found) - powers.shape[1])
    kept = max(0.0, 1 - noise.mean() / seen) if seen > 0 else 0.0
    return expected + kept * rest


def _features(networks: NetworkHits) -> FloatArray:
    """(FEATURES, K): classes with like profiles have like columns; of unit length, less the mean over all classes."""
    profiles = networks.hits / networks.images
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, profiles.shape[1], (2, 2000))
    apart = np.sqrt(np.median(((profiles[:, a] - profiles[:, b]) ** 2).sum(axis=0)))
    scale = max(LENGTH * apart, np.finfo(float).tiny)
    phases = rng.normal(size=(FEATURES // 2, len(profiles))) @ profiles / scale
    features = np.concatenate([np.cos(phases), np.sin(phases)]) * np.sqrt(2 / FEATURES)
    centred: FloatArray = features - features.mean(axis=1, keepdims=True)
    return centred
