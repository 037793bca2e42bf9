"""The stage `sample`: which images of the chosen classes, and what there is to review about them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rescale_fast.artifact import Origin, to_json
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.sample import Evidence, sample_images
from rescale_fast.image_subset.settings import Configuration, SampleSettings, numbers_of
from rescale_fast.image_subset.types import ImageSubset, LabelErrors, NearDuplicates
from rescale_fast.machine import MachineSettings
from rescale_fast.predictions.types import Predictions
from rescale_fast.run.folder import RunFolder, digest, existing, names_of
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import say, track
from rescale_fast.types import JSON

Classes = ClassSubset | ClassGrouping
WHAT_BECAME = {"keep": "", "list": "listed", "drop": "left out", "relabel": "relabelled"}


def find_chosen(folder: RunFolder, of: Literal["auto", "subset", "grouping"]) -> Path:
    """The file that says which classes to take images of. Raises: SettingError, MissingInputError."""
    if of == "auto":
        both = folder.class_grouping.exists() and folder.class_subset.exists()
        if both:
            raise SettingError(
                f"{folder.path}: holds a class subset and a grouping. Pass --of subset or --of grouping."
            )
        of = "grouping" if folder.class_grouping.exists() else "subset"
    if of == "grouping":
        return folder.require(folder.class_grouping, "group")
    return folder.require(folder.class_subset, "select")


def load_chosen(folder: RunFolder, source: Path) -> Classes:
    if source == folder.class_grouping:
        return ClassGrouping.load(source)
    chosen = ClassSubset.load(source)
    chosen.check_list(source)
    return chosen


def needs_scores(settings: SampleSettings, dataset: Dataset) -> bool:
    """Whether these settings look at two-half scores."""
    return settings.images == "difficulty" or (settings.label_errors != "keep" and "train" in dataset.splits)


@dataclass(frozen=True)
class _Inputs:
    """The files that the settings call for."""

    classes: Path
    corrections: Path | None
    scores: Path | None
    predictions: Path | None

    def digests(self) -> dict[str, str]:
        files = {"corrections": self.corrections, "scores": self.scores, "predictions": self.predictions}
        return {self.classes.stem: digest(self.classes)} | {
            name: digest(path) for name, path in files.items() if path is not None
        }

    def load(self, folder: RunFolder, dataset: Dataset, settings: SampleSettings) -> Evidence:
        scores = None
        if self.scores is not None:  # other classes' probabilities only where they are looked at
            needs_all = settings.label_errors != "keep" or self.corrections is not None
            scores = Scores.load(self.scores, probabilities=needs_all)
        return Evidence(
            corrections=read_corrections(self.corrections) if self.corrections else {},
            scores=scores,
            scores_path=self.scores or folder.scores,
            predictions=Predictions.load(self.predictions, **names_of(dataset)) if self.predictions else None,
        )


def sample(
    folder: RunFolder,
    dataset: Dataset,
    source: Path,
    settings: SampleSettings,
    machine: MachineSettings,
    *,
    scores: Path | None = None,
    predictions: Path | None = None,
) -> None:
    """Make image_subset.parquet: images of the chosen classes, or of the groups; and what there is to review.

    Args: scores, predictions: those made elsewhere, to be looked at instead of the run's own.
    """
    if settings.configuration is not None:
        _check_number(load_chosen(folder, source), settings.configuration)
    settings = settings.resolved()
    inputs = _find_inputs(folder, dataset, source, settings, scores, predictions)
    config: Mapping[str, Any] = to_json(replace(settings, corrections=None))  # type: ignore[assignment]
    origin = Origin({"dataset": dataset.digest, **inputs.digests()}, config)
    wanted = [folder.label_errors] if settings.label_errors != "keep" else []
    wanted += [folder.near_duplicates] if settings.near_duplicates is not None else []
    wanted += [folder.review] if wanted else []

    def load(path: Path) -> ImageSubset:
        for review in wanted:
            if not review.exists():
                raise ArtifactError(f"{review}: not there.")
        return ImageSubset.load(path)

    folder.reuse_or_make(
        "sample",
        folder.image_subset,
        origin,
        load,
        lambda: _make_sample(folder, dataset, inputs, settings, origin, machine),
        describe=lambda made: _describe(made, settings),
        work=lambda made: (len(made.train) + len(made.val), "images"),
    )


def check_corrections_file(folder: RunFolder, settings: SampleSettings) -> None:
    """Raise SettingError for corrections that are not there, or that this sample would write over."""
    if settings.corrections is None:
        return
    existing(settings.corrections, "--corrections")
    if settings.label_errors != "keep" and settings.corrections.resolve() == folder.label_errors.resolve():
        raise SettingError(f"--corrections {settings.corrections}: would be overwritten. Pass a copy of it.")


def _find_inputs(
    folder: RunFolder,
    dataset: Dataset,
    source: Path,
    settings: SampleSettings,
    scores: Path | None,
    predictions: Path | None,
) -> _Inputs:
    check_corrections_file(folder, settings)
    found_scores = None
    if needs_scores(settings, dataset):
        found_scores = existing(scores, "--scores") if scores else folder.require(folder.scores, "score")
    found_predictions = None
    if settings.images == "sensitive" or settings.label_errors != "keep":
        if predictions is not None:
            found_predictions = existing(predictions, "--predictions")
        elif settings.images == "sensitive" or "train" not in dataset.splits or folder.predictions.exists():
            found_predictions = folder.require(folder.predictions, "validate")
        else:
            say(f"{'sample':>9}  no predictions here, so label errors are looked for in train only")
    return _Inputs(source, settings.corrections, found_scores, found_predictions)


def _check_number(classes: Classes, configuration: Configuration) -> None:
    wanted, found = numbers_of(configuration)[0], len(classes.class_ids)
    if wanted != found:
        command = f"group --num-groups {wanted}" if isinstance(classes, ClassGrouping) else f"select --k {wanted}"
        raise SettingError(
            f"--configuration {configuration}: {found:,} classes were chosen. `rescale-fast {command}` first."
        )


def _make_sample(
    folder: RunFolder,
    dataset: Dataset,
    inputs: _Inputs,
    settings: SampleSettings,
    origin: Origin,
    machine: MachineSettings,
) -> ImageSubset:
    from rescale_fast.image_subset.label_errors import corrections_by, find_label_errors
    from rescale_fast.image_subset.near_duplicates import find_near_duplicates

    classes, evidence = load_chosen(folder, inputs.classes), inputs.load(folder, dataset, settings)
    facts: dict[str, JSON] = {}
    errors = duplicates = None
    if settings.label_errors != "keep":
        errors = find_label_errors(dataset, classes, evidence)
        facts["label_errors"] = len(errors)
        if settings.label_errors != "list":
            found = corrections_by(errors, relabel=settings.label_errors == "relabel")
            evidence = replace(evidence, corrections=found | dict(evidence.corrections))
    made = sample_images(dataset, classes, origin, settings, evidence)
    if settings.near_duplicates is not None:
        duplicates = find_near_duplicates(
            dataset.root, made, settings.near_duplicates, num_threads=machine.threads, track=track
        )
        facts["near_duplicates"] = len(duplicates)
    _write_reviews(folder, dataset, classes, settings, errors, duplicates)
    made = replace(made, facts=facts)
    made.save(folder.image_subset)
    return made


def _write_reviews(
    folder: RunFolder,
    dataset: Dataset,
    classes: Classes,
    settings: SampleSettings,
    errors: LabelErrors | None,
    duplicates: NearDuplicates | None,
) -> None:
    from rescale_fast.report.review import Review, write_review

    if errors is None and duplicates is None:
        return
    if errors is not None:
        errors.save(folder.label_errors)
    if duplicates is not None:
        duplicates.save(folder.near_duplicates)
    names = dict(zip(dataset.class_ids, dataset.class_names, strict=True))
    names |= dict(zip(classes.class_ids, classes.class_names, strict=True))
    what_became = WHAT_BECAME[settings.label_errors]
    write_review(Review(dataset.name, dataset.root, names, errors, what_became, duplicates), folder.review)


def _describe(made: ImageSubset, settings: SampleSettings) -> str:
    text = f"{len(made.train):,} train and {len(made.val):,} val images of {len(made.class_ids):,} classes"
    if settings.images not in ("all", "auto"):
        text += f" ({settings.images})"
    if "label_errors" in made.facts:
        text += f"; {made.facts['label_errors']:,} likely label errors {WHAT_BECAME[settings.label_errors]}"
    if "near_duplicates" in made.facts:
        text += f"; {made.facts['near_duplicates']:,} near-duplicates across the split"
    return text + ("; see review.html" if made.facts else "")
