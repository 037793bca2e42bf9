"""What a subset is worth: the differences that it resolves, and whether networks rank on it as on the full set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from rescale_fast.api.origins import alike, expect, network_digests
from rescale_fast.class_subset.types import ClassSubset
from rescale_fast.errors import SettingError
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.predictions.types import Predictions
from rescale_fast.quality.accuracies import Cells
from rescale_fast.quality.judge import judge
from rescale_fast.quality.resolution import ResolutionSettings, assumed_resolution, measured_resolution
from rescale_fast.quality.settings import QualitySettings, Unit
from rescale_fast.quality.types import Quality, Resolution
from rescale_fast.run.judging import choose_accuracies, find_accuracies
from rescale_fast.settings import Between
from rescale_fast.types import FloatArray


def quality(
    accuracies: "str | Path | Sequence[str | Path] | Mapping[str, ArrayLike]",
    networks: Sequence[str] = (),
    *,
    reference: str | None = None,
    sets: Sequence[str] = (),
    random: Sequence[str] = (),
    short: Sequence[str] = (),
    names: Sequence[str] = (),
    unit: Unit = "auto",
    incomplete: Literal["refuse", "drop"] = "refuse",
    recipe: str | None = None,
    val_images: Mapping[str, int] | None = None,
    train_images: Mapping[str, int] | None = None,
    band: float = 5.0,
    band_top: float | None = None,
    order_tau: float = 0.9,
    correlation: float = 0.5,
    draws: int = 1000,
    quality_seed: int = 0,
) -> Quality:
    """Say whether networks rank on subsets as they do on the full set.

    Args:
        accuracies: tables (CSV) and run folders, as `rescale-fast quality` takes them; or for each set an array of M
            networks, (M,), (M, S) with S seeds, or (M, S, E) with E epochs; not a number where there is none.
        networks: (M,) names, for arrays; by default their numbers.
        reference: the full set; by default the one called "full", or else the first. sets: judge only these.
        random, short: of the sets, the controls: random choices of the same size, and the full set for fewer epochs.
        names: columns of a table that together name a network. unit: "percent", "share", or by their size ("auto").
        incomplete: refuse networks that lack an accuracy, or drop them. recipe: of trainings, only by this one.
        val_images, train_images: of sets, where known: for intervals, resolution and costs.
        band, band_top: points of accuracy, and %: tau among the networks in the band is reported, too; by default of
            those below the best.
        order_tau: from which Kendall's tau on an epoch's order implies the final one. correlation: assumed, of which
            images two networks get right. draws, quality_seed: of the bootstrap.
    Returns: Quality: of each of its `sets` tau, band_tau, spearman and by_gap, Estimates with 95 % intervals (`low`,
        `high`); `ceiling`, tau between seeds of the full set; `advice`, sentences.
    Raises: SettingError for a value that is none of these, a file that is no such table, accuracies that are missing,
        fewer than three networks, and sets on which all are equal; ArtifactError for a file that cannot be read.
    """
    settings = QualitySettings(
        reference=reference,
        sets=_names("sets", sets),
        random=_names("random", random),
        short=_names("short", short),
        names=_names("names", names),
        unit=unit,
        incomplete=incomplete,
        recipe=recipe,
        val_images=_numbers("val_images", val_images),
        train_images=_numbers("train_images", train_images),
        band=band,
        band_top=band_top,
        order_tau=order_tau,
        correlation=correlation,
        draws=draws,
        quality_seed=quality_seed,
    )
    expect("accuracies", accuracies, str, Path, Mapping, Sequence)
    if not isinstance(accuracies, Mapping):
        paths = [accuracies] if isinstance(accuracies, (str, Path)) else accuracies
        for i, path in enumerate(paths):
            expect(f"accuracies[{i}]", path, str, Path)
        if _names("networks", networks):
            raise SettingError("networks: would have no effect, as files name theirs. Leave out one or the other.")
        return judge(find_accuracies([Path(path) for path in paths], settings), settings)
    settings.refuse("names", "recipe", because="as accuracies are arrays")
    return judge(choose_accuracies(_cells(accuracies, _names("networks", networks)), settings), settings)


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise SettingError(f"{what}: is an object of type str, expected a list of names.")
    found = tuple(names)
    if not all(isinstance(name, str) and name.strip() for name in found):
        raise SettingError(f"{what}: {list(found)!r:.80}: expected a list of names.")
    return found


def _numbers(what: str, images: Mapping[str, int] | None) -> tuple[str, ...]:
    expect(what, images, Mapping, type(None))
    return tuple(f"{name}={number}" for name, number in (images or {}).items())


def _cells(accuracies: Mapping[str, ArrayLike], networks: Sequence[str]) -> Cells:
    """Of arrays. Raises: SettingError for arrays that are none, or do not fit together."""
    cells: Cells = {}
    for name, values in accuracies.items():
        if not isinstance(name, str) or not name.strip():
            raise SettingError(f"{name!r}: expected the name of a set.")
        found = _numbers_of(name, values)
        if not 1 <= found.ndim <= 3 or not found.size:
            raise SettingError(f"{name}: is an array of shape {found.shape}, expected (M,), (M, S) or (M, S, E).")
        networks = list(networks) or [str(number) for number in range(len(found))]
        if len(networks) != len(found) or len(set(networks)) != len(networks):
            raise SettingError(
                f"{name}: has {len(found):,} networks; there are {len(set(networks)):,} different names."
            )
        has_epochs = found.ndim == 3
        found = found.reshape(*found.shape, *[1] * (3 - found.ndim))
        cells[name] = {
            network: {
                (seed, epoch + has_epochs): float(value)
                for (seed, epoch), value in np.ndenumerate(of_network)
                if not np.isnan(value)
            }
            for network, of_network in zip(networks, found, strict=True)
        }
    if not cells:
        raise SettingError("quality: there is no set.")
    return cells


def _numbers_of(name: str, values: ArrayLike) -> FloatArray:
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biufO":  # NumPy makes numbers of dates, and of complex ones with a warning
            raise TypeError(f"but of {given.dtype}")
        return np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name}: is no array of accuracies ({error}).") from error


def resolution(
    images: int | ImageSubset | None = None,
    predictions: Sequence[Predictions] = (),
    *,
    classes: ClassSubset | None = None,
    accuracy: float = 0.5,
    correlation: float = 0.5,
    seeds: int = 1,
    seed_deviation: float = 0.0,
    target: float = 0.01,
) -> Resolution:
    """Say which differences between two networks validation images can tell from noise; nothing is trained.

    Args:
        images: how many there are (classes times images of each), or an ImageSubset, whose validation images count.
        predictions: of two networks or more, on the same images: how much they disagree is measured, not assumed.
            Without `images`, as many as these are. classes: only those of these classes.
        accuracy: near which the networks are, 0..1 (0.5: the most noise); correlation: of which images they get right,
            0..1; both assumed without predictions.
        seeds: trainings of each network, averaged; seed_deviation: between them, 0..1.
        target: the difference that one wants to resolve, up to 0.99.
    Returns: Resolution: `least_significant`, above which a measured difference is no noise (95 %); `detectable`, the
        true difference that is found 4 times in 5; `images_for_target`; `describe()` says it in words.
    Raises: SettingError for a value that is none of these, or would have no effect, and the same predictions twice;
        ArtifactError for networks that looked at different images.
    """
    settings = ResolutionSettings(accuracy, correlation, seeds, seed_deviation, target)
    val_images, all_images = _images(images)
    if len(predictions):
        for one in predictions:
            expect("predictions", one, Predictions)
        settings.refuse("accuracy", "correlation", because="as predictions are given, which say it")
        network_digests(predictions)  # which refuses the same ones twice
        networks = list(alike(predictions))
        labels = None if classes is None else np.array(classes.classes, np.int64)
        return measured_resolution(networks, settings, classes=labels, val_images=val_images, all_images=all_images)
    if classes is not None or val_images is None:
        raise SettingError("resolution: give a number of images, an ImageSubset, or predictions (and their classes).")
    return assumed_resolution(val_images, settings, all_images=all_images)


def _images(images: int | ImageSubset | None) -> tuple[int | None, int | None]:
    """Validation images, and all that there are, where known."""
    expect("images", images, int, np.integer, ImageSubset, type(None))
    if isinstance(images, ImageSubset):
        return len(images.val), len(images.val) + len(images.train)
    if images is not None and (isinstance(images, bool) or images not in Between(1, 2**63 - 1)):
        raise SettingError(f"images {images}: expected a number of validation images, 1 or more.")
    return None if images is None else int(images), None
