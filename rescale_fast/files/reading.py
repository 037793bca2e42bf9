"""Reading files that may be damaged, or made by anyone: whatever is wrong with them becomes one message."""

import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path

from rescale_fast.errors import ArtifactError, RescaleError, UnreadableFileError

GIVE = "Give the file that was meant; docs/formats.md says what it should hold."


class DamageError(ValueError):
    """What is wrong with something read, and where in its file it stands: `reading` adds which file that is."""


@contextmanager
def reading(path: Path, kind: str, then: str = GIVE) -> Iterator[None]:
    """Turn what goes wrong inside into an UnreadableFileError about `path`.

    Args: kind: what the file should be, such as "JSON". then: what to do next.
    """
    try:
        refuse_special(path, then)
        yield
    except RescaleError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file.") from error
    except IsADirectoryError as error:
        raise UnreadableFileError(path, "is a folder, expected a file", then) from error
    except DamageError as error:
        raise UnreadableFileError(path, str(error), then) from error
    except (
        Exception
    ) as error:  # what parsers raise on damaged bytes has no end: zlib.error, RecursionError, KeyError ...
        raise UnreadableFileError(path, f"not readable as {kind} ({reason(error)})", then) from error


def refuse_special(path: Path, then: str = GIVE) -> None:
    """Raise ArtifactError for a pipe, socket or device, which could be waited for without end."""
    with suppress(OSError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UnreadableFileError(path, "is not a regular file", then)


def reason(error: Exception) -> str:
    """An error in one line that is safe to print; its kind where it says nothing."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error)[:1000])
    return " ".join(text.split())[:300] or type(error).__name__


def read_text(path: Path) -> str:
    """A UTF-8 text, with or without the byte order mark that Windows programs put first.

    Raises: OSError; UnicodeDecodeError; DamageError for UTF-16, as spreadsheets write it.
    """
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DamageError("is a text in UTF-16, expected UTF-8: save it as that")
    return StringIO(content.decode("utf-8-sig"), newline=None).read()


def read_lines(path: Path, then: str = "Save it as UTF-8.") -> list[str]:
    """The lines of a text. Raises: ArtifactError."""
    with reading(path, "text", then):
        return read_text(path).splitlines()


def check_class_ids(what: str, ids: Sequence[str]) -> None:
    """Raises: DamageError for an id that is empty, occurs twice, or would break lists with an id a line."""
    seen: set[str] = set()
    for place, class_id in enumerate(ids):
        if not class_id or any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in class_id):
            raise DamageError(f"{what}[{place}] is {class_id!r}, expected an id without control characters")
        if class_id in seen:
            raise DamageError(f"the class id {class_id!r} occurs more than once in {what}")
        seen.add(class_id)
