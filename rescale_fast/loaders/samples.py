"""Which fields of a beton are image and label, and which samples a loader goes through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rescale_fast.beton.classes import classes_beside
from rescale_fast.beton.file import IMAGE_FIELD, INT_FIELD, BetonFile
from rescale_fast.errors import ArtifactError, SettingError
from rescale_fast.loaders.draws import Purpose, stream
from rescale_fast.loaders.settings import LoaderSettings
from rescale_fast.types import IntArray

FOLD_SEED = 0  # whatever the seed of a training: folds are part of the data, and the same for all of them


@dataclass(frozen=True)
class Samples:
    """What a loader reads of a beton of N samples."""

    image: int  # number of the field
    rows: IntArray  # (n,) which samples, increasing, or in the order asked for
    labels: IntArray  # (N,) of all samples; those outside `rows` mean nothing
    indices: IntArray  # (N,)


def chosen_samples(
    beton: BetonFile, settings: LoaderSettings, subset: Sequence[int] | Sequence[str] | IntArray | None = None
) -> Samples:
    """Find the fields, and the samples of `subset` and of the settings' folds.

    Raises: ArtifactError for a beton without an image, or a label; SettingError where several could be meant, and for
        rows, classes or folds that there are not.
    """
    image = _field(beton, IMAGE_FIELD, settings.image_field, "image", ())
    label = _field(beton, INT_FIELD, settings.label_field, "label", ("index",))
    labels = beton.records[f"f{label}"].astype(np.int64)
    indices = beton.integers("index")
    rows = np.arange(len(beton))
    if subset is not None:
        rows, labels = _subset(beton, subset, labels, beton.fields[label].name)
    if settings.folds is not None:
        rows = _fold(beton, rows, labels[rows], settings.folds, settings.split == "train")
    return Samples(image, rows, labels, np.arange(len(beton)) if indices is None else indices)


def _field(beton: BetonFile, type_id: int, asked: str | None, usual: str, others: Sequence[str]) -> int:
    """The number of the field asked for; else of the one with the usual name; else of the only one that it may be."""
    kind = "images (RGB)" if type_id == IMAGE_FIELD else "integers"
    names = [field.name for field in beton.fields]
    fitting = [field.name for field in beton.fields if field.type_id == type_id and field.name not in others]
    found = f"{beton.path}: has the fields {', '.join(names)}"
    if asked is not None:
        if asked not in names or beton.fields[names.index(asked)].type_id != type_id:
            raise SettingError(f"--{usual}-field {asked}: is no field of {kind}. {found}; {_listed(fitting, kind)}.")
        return names.index(asked)
    if usual in fitting or len(fitting) == 1:
        return names.index(usual if usual in fitting else fitting[0])
    if not fitting:
        raise ArtifactError(f"{found}; expected a field of {kind}, such as {usual!r}.")
    raise SettingError(f"{found}; {_listed(fitting, kind)}. Say with {usual}_field which one is meant.")


def _listed(names: Sequence[str], kind: str) -> str:
    return f"of {kind}: {', '.join(names) or 'none'}"


def _subset(beton: BetonFile, subset: Any, labels: IntArray, field: str) -> tuple[IntArray, IntArray]:
    """The rows, and the labels of all samples: of classes, the i-th has the label i, as in what `cut` makes."""
    values = subset.tolist() if hasattr(subset, "tolist") else list(subset) if isinstance(subset, Sequence) else []
    kinds = {type(value) for value in values} if isinstance(values, list) and not isinstance(subset, str) else set()
    if kinds == {str}:
        return _classes(beton, values, labels, field)
    if not kinds or not all(issubclass(kind, (int, np.integer)) and kind is not bool for kind in kinds):
        raise SettingError(
            f"--subset {str(subset)[:60]}: expected a list of rows (whole numbers) or one of class ids (texts)."
        )
    for row in values:
        if not 0 <= row < len(beton):
            raise SettingError(f"{beton.path}: row {row} is asked for; it has rows 0 to {len(beton) - 1}.")
    return np.array(values, np.int64), labels


def _classes(beton: BetonFile, ids: Sequence[str], labels: IntArray, field: str) -> tuple[IntArray, IntArray]:
    classes = classes_beside(beton)
    if classes is None:
        raise SettingError(f"{beton.path}: no JSON beside it names classes. Give `subset` as rows.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes.ids):
        raise SettingError(
            f"{beton.path}: the field {field} has numbers from {labels.min():,} to {labels.max():,}, which are not "
            f"those of the {len(classes.ids):,} classes that the JSON beside it names. Give `subset` as rows."
        )
    old, new = {one: label for label, one in enumerate(classes.ids)}, np.full(len(classes.ids), -1)
    for label, one in enumerate(ids):
        if one not in old:
            raise SettingError(
                f"--subset: {one!r} is none of the classes of {beton.path}: {', '.join(list(old)[:10])}."
            )
        if new[old[one]] >= 0:
            raise SettingError(f"--subset: the class {one!r} is named twice.")
        new[old[one]] = label
    return np.flatnonzero(new[labels] >= 0), new[labels]


def _fold(beton: BetonFile, rows: IntArray, labels: IntArray, folds: tuple[int, ...], others: bool) -> IntArray:
    """The rows of a fold, or all but those. Each class is dealt out evenly, one after the other."""
    fold, num_folds = folds
    if num_folds > len(rows):
        raise SettingError(f"--folds {folds}: {beton.path} has {len(rows)} samples to deal out.")
    if len(np.unique(rows)) < len(rows):
        raise SettingError(f"--folds {folds}: --subset names a row twice, which would be in both 'train' and 'val'.")
    order = stream(FOLD_SEED, num_folds, Purpose.FOLDS).permutation(len(rows))
    order = order[np.argsort(labels[order], kind="stable")]
    in_fold = np.zeros(len(rows), bool)
    in_fold[order[fold::num_folds]] = True
    return rows[~in_fold if others else in_fold]
