"""Settings refuse what their types do not allow, from Python as from the command line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest

from rescale_fast.errors import SettingError
from rescale_fast.settings import Between, Settings


@dataclass(frozen=True)
class Inner(Settings):
    side: Annotated[int, Between(1, 64)] = 8


@dataclass(frozen=True)
class Some(Settings):
    effort: Literal["greedy", "fast"] = "fast"
    form: Literal["beton"] | Literal["folder"] = "beton"
    seconds: Annotated[float, Between(0)] = 1.0
    share: Annotated[float, Between(0, 1, open=True)] = 0.5
    above: Annotated[float, Between(0, open=True)] | None = None
    name: str | None = None
    file: Path | None = None
    names: tuple[str, ...] = ()
    flag: bool = False
    inner: Inner = field(default_factory=Inner)

    def check(self):
        if self.flag and self.name is None:
            raise SettingError("--flag True needs --name.")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"effort": "throrough"}, r"^--effort throrough: expected one of greedy, fast\.$"),
        ({"form": "tar"}, "--form tar: expected one of beton or one of folder"),
        ({"seconds": float("nan")}, "--seconds nan: expected a number, 0 or more"),
        ({"seconds": float("inf")}, "--seconds inf"),
        ({"seconds": -1}, "--seconds -1"),
        ({"seconds": True}, "--seconds True"),
        ({"seconds": "3"}, "--seconds '3': expected a number"),
        ({"seconds": np.array([1.0, 2.0])}, "--seconds .*: expected a number"),
        ({"effort": np.array(["fast"])}, "--effort .*: expected one of"),
        ({"seconds": 10**400}, "--seconds 1000"),
        ({"share": 0}, r"--share 0.0: expected a number, more than 0 and less than 1"),
        ({"share": 1.0}, r"--share 1.0"),
        ({"above": 0}, r"--above 0.0: expected a number, more than 0\.$"),
        ({"name": 3}, "--name 3: expected text"),
        ({"names": ["a"]}, "--names"),
        ({"names": ("a", 3)}, "--names 3: expected text"),
        ({"flag": 1}, "--flag 1: expected True or False"),
        ({"flag": True}, "--flag True needs --name"),
        ({"inner": None}, "--inner None: expected Inner"),
        ({"file": ""}, "--file .*: expected a path"),
    ],
)
def test_what_a_type_does_not_allow_is_refused_by_name(wrong, message):
    with pytest.raises(SettingError, match=message):
        Some(**wrong)


@pytest.mark.parametrize("side", [0, 65, 2.0, True, None, "8"])
def test_numbers_stay_within_their_limits(side):
    with pytest.raises(SettingError, match=r"--side .*: expected a whole number, 1 to 64\.$"):
        Inner(side=side)


def test_what_fits_is_taken_and_a_text_becomes_a_path():
    made = Some(seconds=np.float32(2), file="a/b", names=("x",), inner=Inner(side=np.int64(64)))
    assert made.file == Path("a/b")
    assert made.inner.side == 64
