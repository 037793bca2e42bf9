"""The stage `sample`: which images of the chosen classes, and what there is to review about them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rescale_fast.api.origins import content_digest
from rescale_fast.artifact import Origin, to_json
from rescale_fast.class_subset.types import ClassGrouping, ClassSubset
from rescale_fast.datasets.types import Dataset
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.image_subset.corrections import read_corrections
from rescale_fast.image_subset.reviewed import check_configuration, sample_and_review
from rescale_fast.image_subset.sample import Evidence
from rescale_fast.image_subset.settings import SampleSettings
from rescale_fast.image_subset.types import ImageSubset
from rescale_fast.machine import MachineSettings
from rescale_fast.report.review import WHAT_BECAME, write_reviews
from rescale_fast.run.folder import RunFolder, digest, existing, names_of
from rescale_fast.run.stages import GivenPredictions
from rescale_fast.scores.types import Scores
from rescale_fast.terminal import say, track

Classes = ClassSubset | ClassGrouping


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


def chosen_digest(folder: RunFolder, source: Path) -> dict[str, str]:
    """Of the classes, which stay what they are when more becomes known of them: what is made of them does, too."""
    return {source.stem: content_digest(load_chosen(folder, source))}


def needs_scores(settings: SampleSettings, dataset: Dataset) -> bool:
    """Whether these settings look at two-half scores."""
    return settings.images == "difficulty" or (settings.label_errors != "keep" and "train" in dataset.splits)


@dataclass(frozen=True)
class _Inputs:
    """The files that the settings call for."""

    classes: Path
    corrections: Path | None
    scores: Path | None
    predictions: GivenPredictions | None

    def digests(self, folder: RunFolder) -> dict[str, str]:
        predictions = self.predictions.paths[0] if self.predictions else None
        files = {"corrections": self.corrections, "scores": self.scores, "predictions": predictions}
        return chosen_digest(folder, self.classes) | {
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
            predictions=self.predictions.load(**names_of(dataset))[0] if self.predictions else None,
        )


def sample(
    folder: RunFolder,
    dataset: Dataset,
    source: Path,
    settings: SampleSettings,
    machine: MachineSettings,
    *,
    scores: Path | None = None,
    predictions: GivenPredictions | None = None,
) -> None:
    """Make image_subset.parquet: images of the chosen classes, or of the groups; and what there is to review.

    Args: scores, predictions: those made elsewhere, to be looked at instead of the run's own.
    """
    if settings.configuration is not None:
        check_configuration(load_chosen(folder, source), settings.configuration)
    settings = settings.resolved()
    inputs = _find_inputs(folder, dataset, source, settings, scores, predictions)
    config: Mapping[str, Any] = to_json(replace(settings, corrections=None))  # type: ignore[assignment]
    origin = Origin({"dataset": dataset.digest, **inputs.digests(folder)}, config)
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
    predictions: GivenPredictions | None,
) -> _Inputs:
    check_corrections_file(folder, settings)
    found_scores = None
    if needs_scores(settings, dataset):
        found_scores = existing(scores, "--scores") if scores else folder.require(folder.scores, "score")
    found_predictions = None
    if settings.images == "sensitive" or settings.label_errors != "keep":
        if predictions is not None:
            found_predictions = predictions
        elif settings.images == "sensitive" or "train" not in dataset.splits or folder.predictions.exists():
            found_predictions = GivenPredictions((folder.require(folder.predictions, "validate"),))
        else:
            say(f"{'sample':>9}  no predictions here, so label errors are looked for in train only")
    return _Inputs(source, settings.corrections, found_scores, found_predictions)


def _make_sample(
    folder: RunFolder,
    dataset: Dataset,
    inputs: _Inputs,
    settings: SampleSettings,
    origin: Origin,
    machine: MachineSettings,
) -> ImageSubset:
    classes, evidence = load_chosen(folder, inputs.classes), inputs.load(folder, dataset, settings)
    made = sample_and_review(dataset, classes, origin, settings, evidence, num_threads=machine.threads, track=track)
    write_reviews(folder.path, dataset, classes, made, settings.label_errors)
    made.images.save(folder.image_subset)
    return made.images


def _describe(made: ImageSubset, settings: SampleSettings) -> str:
    text = f"{len(made.train):,} train and {len(made.val):,} val images of {len(made.class_ids):,} classes"
    if settings.images not in ("all", "auto"):
        text += f" ({settings.images})"
    if "label_errors" in made.facts:
        text += f"; {made.facts['label_errors']:,} likely label errors {WHAT_BECAME[settings.label_errors]}"
    if "near_duplicates" in made.facts:
        text += f"; {made.facts['near_duplicates']:,} near-duplicates across the split"
    return text + ("; see review.html" if made.facts else "")
