"""Finding a split among the places where people have it, and its class folders under any spelling."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rescale_fast.datasets.folder import describe, flat_images, folder_names
from rescale_fast.errors import DatasetError


def find_split(root: Path, names: Sequence[str]) -> str | None:
    """The one of `names` (relative folders) that lies below `root`; None when none does.

    Raises: DatasetError naming two that both do, and are not one folder under two names.
    """
    found = [name for name in names if (root / name).is_dir()]
    for other in found[1:]:
        if not (root / other).samefile(root / found[0]):
            raise ambiguous(root, f"{found[0]}/", f"{other}/")
    return found[0] if found else None


def ambiguous(root: Path, first: str, second: str, how: str = "") -> DatasetError:
    """The error for two things of which only one can be meant."""
    return DatasetError(
        f"{root}: holds both {first} and {second}{how}, and either could be meant. "
        "Move one away, or make a new folder with links to what you mean (ln -s) and pass that as --root."
    )


def is_flat(root: Path, relative: str) -> bool:
    """Whether a split's images lie side by side, rather than in class folders.

    Raises: DatasetError when it holds both, or neither.
    """
    folder = root / relative
    has_folders = bool(folder_names(folder))
    has_images = bool(flat_images(folder))
    if has_folders and has_images:
        raise ambiguous(folder, "class folders", "images beside them")
    if not has_folders and not has_images:
        raise DatasetError(f"{folder}: holds no class folder and no image, only {describe(folder)}. Unpack it again.")
    return has_images


def match_folders(
    folder: Path, names: Sequence[str], class_ids: Sequence[str], class_of: Callable[[str], str | None], title: str
) -> list[str]:
    """Of folder names in any spelling, the one of each class. title: of the data set, for messages.

    Returns: (K,) names in the order of `class_ids`.
    Raises: DatasetError for unknown and missing classes, or two folders of one class, naming both.
    """
    of_class: dict[str, str] = {}
    unknown = []
    for name in sorted(names):
        class_id = class_of(name)
        if class_id is None:
            unknown.append(name)
        elif class_id in of_class:
            raise ambiguous(folder, f"{of_class[class_id]}/", f"{name}/", f", both class {class_id!r}")
        else:
            of_class[class_id] = name
    missing = [class_id for class_id in class_ids if class_id not in of_class]
    if unknown or missing:
        example = unknown[0] if unknown else missing[0]
        raise DatasetError(
            f"{folder}: expected the {len(class_ids):,} class folders of {title}, found {len(names):,} folders: "
            f"{len(unknown):,} unknown, {len(missing):,} missing, {example!r} first. "
            "For a part of it, or other classes, pass --dataset folder and --weights FILE."
        )
    return [of_class[class_id] for class_id in class_ids]
