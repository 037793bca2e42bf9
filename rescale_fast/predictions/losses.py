"""How many images may be lost: a few damaged files are left out, many are a reason to stop and look."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rescale_fast.errors import DatasetError
from rescale_fast.predictions.settings import ValidateSettings
from rescale_fast.predictions.types import Predictions

if TYPE_CHECKING:
    from rescale_fast.predictions._runner import Outcome

SHOWN = 5


def check_losses(predictions: Predictions, settings: ValidateSettings, folder: Path) -> None:
    """Raise DatasetError when more images were unreadable than the settings allow."""
    lost = predictions.skipped
    allowed = settings.allowed_unreadable(len(predictions.indices) + len(lost))
    if len(lost) > allowed:
        raise _too_many([(one.path, one.reason) for one in lost], allowed, folder)


def stop_at_losses(
    outcomes: "Iterator[Outcome]", allowed: int, paths: Sequence[str], folder: Path
) -> "Iterator[Outcome]":
    """The same outcomes; raises DatasetError as soon as more images are lost than is allowed."""
    lost: list[tuple[str, str]] = []
    for outcome in outcomes:
        lost += [(paths[position], reason) for position, reason in outcome.unreadable]
        if len(lost) > allowed:
            raise _too_many(lost, allowed, folder)
        yield outcome


def _too_many(lost: Sequence[tuple[str, str]], allowed: int, folder: Path) -> DatasetError:
    first = "".join(f"\n  {path}: {reason}" for path, reason in lost[:SHOWN])
    return DatasetError(
        f"too many images cannot be read: {len(lost):,}, where --max-unreadable allows {allowed:,}. The first:{first}\n"
        f"Repair them and delete {folder}, so that they are read again; or do without them: a larger --max-unreadable."
    )
