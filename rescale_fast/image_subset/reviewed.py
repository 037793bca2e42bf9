"""Images as the settings want them, and what there is for a person to review: likely label errors, near-duplicates."""

from dataclasses import replace

from rescale_fast.artifact import Origin
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import MissingInputError, SettingError
from rescale_fast.extras import need
from rescale_fast.image_subset.label_errors import corrections_by, find_label_errors
from rescale_fast.image_subset.near_duplicates import find_near_duplicates
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import Configuration, SampleSettings, numbers_of
from rescale_fast.image_subset.types import Reviewed
from rescale_fast.types import JSON, Track, silent


def sample_and_review(
    dataset: Dataset,
    classes: ClassSubset | ClassGrouping,
    origin: Origin,
    settings: SampleSettings,
    evidence: Evidence,
    *,
    num_threads: int = 1,
    track: Track = silent,
) -> Reviewed:
    """Take images as `sample_images`; list likely label errors first, and near-duplicates among what was taken.

    Args: num_threads: that read images for near-duplicates.
    Raises: as sample_images; MissingInputError when label errors are looked for without evidence of them; SettingError
        when the package that looks for them is not installed.
    """
    facts: dict[str, JSON] = {}
    errors = duplicates = None
    if settings.near_duplicates is not None:
        need(f"--near-duplicates {settings.near_duplicates}", "imagehash")
    if settings.label_errors != "keep":
        _check_evidence(dataset, settings, evidence)
        errors = find_label_errors(dataset, classes, evidence)
        facts["label_errors"] = len(errors)
        if settings.label_errors != "list":
            found = corrections_by(errors, relabel=settings.label_errors == "relabel")
            evidence = replace(evidence, corrections=found | dict(evidence.corrections))
    images = sample_images(dataset, classes, origin, settings, evidence)
    if settings.near_duplicates is not None:
        duplicates = find_near_duplicates(
            dataset.root, images, settings.near_duplicates, num_threads=num_threads, track=track
        )
        facts["near_duplicates"] = len(duplicates)
    return Reviewed(replace(images, facts=facts), errors, duplicates)


def _check_evidence(dataset: Dataset, settings: SampleSettings, evidence: Evidence) -> None:
    need(f"--label-errors {settings.label_errors}", "cleanlab")
    has_train = "train" in dataset.splits
    if (evidence.scores if has_train else evidence.predictions) is None:
        needed, command = ("scores", "score") if has_train else ("predictions", "validate")
        raise MissingInputError(
            f"--label-errors {settings.label_errors} needs {needed}. `rescale-fast {command}` makes them."
        )


def check_configuration(classes: ClassSubset | ClassGrouping, configuration: Configuration | None) -> None:
    """Raise SettingError unless as many classes or groups were chosen as a configuration names."""
    if configuration is None:
        return
    wanted, found = numbers_of(configuration)[0], len(classes.class_ids)
    if wanted != found:
        command = f"group --num-groups {wanted}" if isinstance(classes, ClassGrouping) else f"select --k {wanted}"
        raise SettingError(
            f"--configuration {configuration}: {found:,} classes were chosen. `rescale-fast {command}` first."
        )
