"""--share I/N: one of N parts of the work of a command that is given to several processes or machines."""

import re

from rescale_fast.errors import SettingError


def share_of(text: str | None) -> tuple[int, int]:
    """(I, N), from 0; without a text, all of the work. Raises: SettingError."""
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if found is None or int(found[1]) >= int(found[2]):
        raise SettingError(f"--share {text}: expected I/N with I from 0 to N-1, such as 0/8.")
    return int(found[1]), int(found[2])
