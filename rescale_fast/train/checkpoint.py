"""Checkpoints: all that a training needs to go on after a step as if it had never stopped.

A file of torch.save with tensors, numbers and strings alone, so that it is read with weights_only. Randomness needs no
place in it: whatever is drawn depends on (seed, epoch, step).
"""

import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rescale_fast.artifact import Origin, parse_json
from rescale_fast.errors import ArtifactError
from rescale_fast.files.fields import typed
from rescale_fast.files.reading import DamageError, reading
from rescale_fast.networks.saving import save_state
from rescale_fast.train.types import check_records

SCHEMA = "checkpoint/2"
THEN = "Delete it to train anew."
Record = dict[str, Any]  # of an epoch, as in log.jsonl


def save_checkpoint(
    path: Path, origin: Origin, records: Sequence[Record], seconds: float, state: Mapping[str, Any]
) -> None:
    """Write the trainer's state after the epochs in `records` and some steps, that took `seconds`, of the next."""
    about = {"origin": json.dumps(origin.to_dict()), "records": json.dumps(records), "seconds": seconds}
    save_state(path, {"schema": SCHEMA, **about, **state})


def load_checkpoint(path: Path, origin: Origin) -> tuple[list[Record], float, dict[str, Any]] | None:
    """Read what save_checkpoint wrote: (records, seconds, state); None where there is no checkpoint.

    Raises: ArtifactError when it is damaged, or of a training on other data or with other settings, naming them.
    """
    import torch

    if not path.exists():
        return None
    with reading(path, "a checkpoint", THEN):
        try:
            stored = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # which advises to load it unsafely
            raise DamageError("it holds something else than tensors and plain values") from error
        if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
            raise DamageError(f"it is no checkpoint of this version ({SCHEMA})")
        records = typed(parse_json(stored.pop("records")), tuple[Mapping[str, Any], ...], "records")
        check_records(records)
        seconds = typed(stored.pop("seconds"), float, "seconds")
        there = Origin.from_dict(parse_json(stored.pop("origin"))).to_dict()
    if there != origin.to_dict():
        differences = _differences(there, origin.to_dict())
        raise ArtifactError(
            f"{path}: is of another training, stopped after {len(records)} epochs: {differences}. Pass the same "
            f"settings to go on with it, or delete {path.parent} to train anew."
        )
    return [dict(record) for record in records], seconds, stored


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> str:
    """What is not equal, such as `epochs 16 there, 20 here`."""
    found = []
    for key in sorted(there.keys() | here.keys()):
        a, b = there.get(key), here.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found.append(_differences(a, b, prefix="other data: " if key == "made_from" else prefix))
        elif a != b:
            short = (str(value)[:24] for value in (a, b))
            found.append("{}{} {} there, {} here".format(prefix, key, *short))
    return "; ".join(text for text in found if text)
