"""What a run would find out too late: its settings against the data set and this machine, before the first stage.

Settings check themselves when they are made, and files that are read are looked for (settings.py). Here is what is
left, a function a stage, none of which takes longer than reading a list.
"""

import numpy as np

from rescale_fast.class_subset.choose import check_choice
from rescale_fast.class_subset.group import check_classes
from rescale_fast.class_subset.settings import GroupSettings, SelectSettings
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import SettingError
from rescale_fast.extras import need, need_to_load
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.settings import SampleSettings, numbers_of
from rescale_fast.networks.own import is_reference
from rescale_fast.networks.pretrained import choose_network, load_network
from rescale_fast.networks.registry import check_network
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.run.folder import RunFolder, names_of
from rescale_fast.run.sampling import check_corrections_file, needs_scores
from rescale_fast.run.settings import RunSettings
from rescale_fast.run.stages import GivenPredictions
from rescale_fast.scores.settings import ScoreSettings
from rescale_fast.scores.types import Scores
from rescale_fast.train.plan import check_training


def check_run(settings: RunSettings, predictions: GivenPredictions | None, dataset: Dataset, folder: RunFolder) -> None:
    """Go through the stages of a run without doing their work.

    Args: predictions: those of the settings.
    Raises: SettingError, or another error of usage, naming the option that no run on this data set could follow.
    """
    if predictions is not None:
        for one in predictions.load(**names_of(dataset)):
            one.missing(dataset)
    elif settings.looks:
        check_validate(settings.validate)
        choice = choose_network(dataset, settings.network)
        if is_reference(choice.name):
            load_network(choice, dataset)
    _check_configuration(settings.sample, dataset.num_classes)
    num_classes = check_chosen(settings.select, settings.group, dataset)
    check_sample(settings.sample, dataset, folder, num_classes)
    no_predictions = settings.confusion is not None and not settings.predictions and not folder.predictions.exists()
    if settings.sample.images == "sensitive" and no_predictions:
        raise SettingError("--images sensitive with --confusion needs --predictions, too.")
    if settings.scores is not None:
        Scores.load(settings.scores, probabilities=False)
    elif needs_scores(settings.sample, dataset):
        check_score(settings.score, dataset)
    if settings.goes_on_to("train") and "train" in dataset.splits:  # else nothing is trained, which is said
        need("training (without it, pass --until export)", "torch", "ffcv")
        outputs = num_classes if settings.group.grouping is None else None  # of groups, that number is the most
        check_training(settings.train, check_numbers(settings, dataset, num_classes), outputs)


def check_validate(settings: ValidateSettings) -> None:
    """Raise MissingPackageError where nothing can look at images."""
    what_for = "validating (not for classes that are listed: --classes, --published)"
    need_to_load(what_for, settings.loader)
    need(what_for, "torchvision")


def _check_configuration(settings: SampleSettings, num_classes: int) -> None:
    if settings.configuration is not None and numbers_of(settings.configuration)[0] > num_classes:
        raise SettingError(f"--configuration {settings.configuration}: there are {num_classes:,} classes.")


def check_chosen(select: SelectSettings, group: GroupSettings, dataset: Dataset) -> int:
    """How many classes or groups there will be (of groups, at most). Raises: SettingError."""
    if group.grouping is not None:
        return check_classes(group, dataset.class_ids)
    return check_choice(select, dataset.class_ids)


def check_sample(settings: SampleSettings, dataset: Dataset, folder: RunFolder, num_classes: int) -> None:
    """Raise SettingError for images that the data set does not have, or corrections that cannot be read."""
    if settings.configuration is not None and numbers_of(settings.configuration)[0] != num_classes:
        raise SettingError(
            f"--configuration {settings.configuration}: {num_classes:,} classes are listed. Leave out one or the other."
        )
    check_corrections_file(folder, settings)
    if settings.corrections is not None:
        read_corrections(settings.corrections)
    if settings.label_errors != "keep":
        need(f"--label-errors {settings.label_errors}", "cleanlab")
    if settings.near_duplicates is not None:
        need(f"--near-duplicates {settings.near_duplicates}", "imagehash")
    of_train = settings.changed("per_class", "configuration", "val_share")
    if settings.images == "difficulty":
        of_train.insert(0, "--images difficulty")
    if of_train and "train" not in dataset.splits:
        raise SettingError(f"{', '.join(of_train)}: {dataset.name} has no train split to take images of.")


def check_score(settings: ScoreSettings, dataset: Dataset) -> None:
    """Raise SettingError when there is nothing to score; UnknownNetworkError."""
    if "train" not in dataset.splits:
        raise SettingError(f"{dataset.name} has no train split, so there is nothing to score.")
    need("scoring images", "torch", "ffcv")
    if settings.score_network is not None:
        check_network(settings.score_network)


def check_numbers(settings: RunSettings, dataset: Dataset, num_classes: int) -> int:
    """How many training images there can be, whichever classes are chosen.

    Raises: SettingError when no choice has as many of each class as are wanted.
    """
    sample = settings.sample
    sizes = np.sort(np.bincount(dataset.splits["train"].labels, minlength=dataset.num_classes))[::-1]
    grow = sample.corrections is not None or sample.label_errors == "relabel" or sample.images == "sensitive"
    if settings.group.grouping is not None or grow:
        most = int(sizes.sum())
        enough = most // max(1, num_classes)  # of each, if all were of one size
    else:
        most, enough = int(sizes[:num_classes].sum()), int(sizes[num_classes - 1])
    wanted = sample.resolved().per_class
    if wanted is None:
        return most
    if wanted > (most // num_classes if sample.evenly_over == "set" else enough):
        raise SettingError(
            f"{', '.join(sample.changed('per_class', 'configuration'))}: {wanted:,} training images of each class are "
            f"wanted; {num_classes:,} classes of {dataset.name} have at most {enough:,} each."
        )
    return wanted * num_classes
